"""Tasks that are made of a file of the user's: `lstm train text FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm.cli.options import path
from lstm.errors import ConfigError
from lstm.tasks import Task, TextTask
from lstm.tasks.tokenizer import LEVELS

OF_FILES: dict[str, type[TextTask]] = {TextTask.name: TextTask}
"""By the names that stand for TASK."""


def file_options(parser: argparse.ArgumentParser) -> None:
    """The file, and what is said of how it is read."""
    parser.add_argument(
        "file", nargs="?", type=path, metavar="FILE", help="of text: what to read, in UTF-8"
    )
    text = f"of text: what a token is, one of {', '.join(LEVELS)} (default: char)"
    parser.add_argument("--level", choices=[*LEVELS], metavar="NAME", help=text)


def file_label(args: argparse.Namespace) -> str:
    """What files of a task are called: by its name, and by the file that it is made of. Raises
    ConfigError where there is none, and where there is one that it does not take."""
    label: str = args.task
    if label in OF_FILES:
        if args.file is None:
            raise ConfigError(f"the task {label} takes a file: lstm train {label} FILE")
        return f"{label}-{args.file.stem}"
    if args.file is not None or args.level is not None:
        what = "--level" if args.file is None else f"the file {args.file}"
        raise ConfigError(f"{what} is for lstm train text FILE, not for the task {label}")
    return label


def task_of_file(
    args: argparse.Namespace, asked: Mapping[str, Any], then: Mapping[str, Any]
) -> Task:
    """The task of the file. asked: settings, by --set; then: those of a checkpoint, which stay
    where nothing else is asked for. Raises ConfigError."""
    kind, file = OF_FILES[args.task], Path(args.file)
    unknown = ", ".join(sorted(map(repr, set(asked) - set(kind.settings))))
    if unknown:
        names = ", ".join(kind.settings)
        raise ConfigError(f"task {args.task} has no setting {unknown}; it has {names}")
    settings = {name: then[name] for name in kind.settings if name in then} | dict(asked)
    if args.level is not None:
        settings["level"] = args.level
    return kind(file, **settings)
