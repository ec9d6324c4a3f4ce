"""Tasks that are made of a file of the user's: `lstm train text FILE`, `lstm train csv FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lstm.cli.options import path, positive, whole
from lstm.errors import ConfigError
from lstm.tasks import TableTask, Task, TextTask
from lstm.tasks.tokenizer import LEVELS

OF_FILES: dict[str, Any] = {kind.name: kind for kind in (TextTask, TableTask)}
"""By the names that stand for TASK."""


def file_options(parser: argparse.ArgumentParser) -> None:
    """The file, and what is said of how it is read."""
    parser.add_argument(
        "file", nargs="?", type=path, metavar="FILE", help="of text and csv: what to read, in UTF-8"
    )
    group = parser.add_argument_group("text and csv")
    text = f"of text: what a token is, one of {', '.join(LEVELS)} (default: char)"
    group.add_argument("--level", choices=[*LEVELS], metavar="NAME", help=text)
    group.add_argument("--target", metavar="COLUMN", help="of csv: what is asked for")
    group.add_argument(
        "--features",
        type=_names,
        metavar="COLUMN,…",
        help="of csv: what is read (default: all columns of numbers)",
    )
    text = "of csv: rows from the last one that is read to the one asked for (default: 1)"
    group.add_argument("--horizon", type=whole(0), help=text)
    group.add_argument(
        "--classify", action="store_true", default=None, help="of csv: the target is a class"
    )
    text = "the share of the file, its end, that is not trained on (default: text 0.1, csv 0.2)"
    group.add_argument("--held-out", type=positive, metavar="SHARE", help=text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def file_label(args: argparse.Namespace) -> str:
    """What files of a task are called: by its name, and by the file that it is made of. Raises
    ConfigError where there is none, and where there is one that it does not take."""
    label: str = args.task
    if label in OF_FILES:
        if args.file is None:
            raise ConfigError(f"the task {label} takes a file: lstm train {label} FILE")
        return f"{label}-{args.file.stem}"
    if args.file is not None:
        raise ConfigError(f"the task {label} takes no file: {args.file}")
    _settings(args, label, ())
    return label


def _settings(args: argparse.Namespace, name: str, known: Collection[str]) -> dict[str, Any]:
    """What is said of how a file is read. Raises ConfigError where the task does not take it."""
    settings: dict[str, Any] = {}
    for option in ("level", "target", "features", "horizon", "classify", "held_out"):
        value = getattr(args, option)
        if value is not None and option not in known:
            raise ConfigError(f"the task {name} takes no --{option.replace('_', '-')}")
        if value is not None:
            settings[option] = value
    return settings


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
    options = _settings(args, args.task, kind.settings)
    for name in asked.keys() & options.keys():
        raise ConfigError(f"--{name.replace('_', '-')} and --set {name}= say the same: give one")
    then = {name: then[name] for name in kind.settings if name in then}
    settings = {**then, **asked, **options}
    if kind is TableTask and "target" not in settings:
        raise ConfigError("the task csv needs --target COLUMN, which is what is asked for")
    task: Task = kind(file, **settings)
    return task
