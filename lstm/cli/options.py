"""Options that several commands have, and what options take."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NoReturn

from lstm.errors import ConfigError
from minigrad.names import did_you_mean

LONGEST = 10_000  # sequences are written out step by step, at some 70 ops a step
LARGEST = 1_000_000  # units, or sequences in a batch; what memory allows is far less


class _Formatter(argparse.HelpFormatter):
    def _split_lines(self, text: str, width: int) -> list[str]:
        # As argparse's, but no name is cut at its hyphen.
        return wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """Raises ConfigError for a command line that it does not understand."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, **options)

    def error(self, message: str) -> NoReturn:
        # argparse would print its usage too; one line is what an error is here.
        raise ConfigError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse asks this of every value that has choices; it does not say which one comes near.
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), names)
            text = f"there is no {value!r:.40}; there are {', '.join(names)}{hint}"
            raise argparse.ArgumentError(action, text)

    def print_help(self, file: Any = None) -> None:
        # argparse would say nothing of a full disk.
        print(self.format_help(), end="", file=file)

    def refuse(self, arguments: Sequence[str]) -> NoReturn:
        """Raise ConfigError for arguments that nobody knows, with the option that comes near."""
        unknown = next((a for a in arguments if a.startswith("-")), arguments[0])
        # Without the dashes, which would make all of them alike.
        known = re.findall(r"--([\w-]+)", self.format_usage())
        hint = did_you_mean(unknown.strip("-").partition("=")[0], known).replace("mean ", "mean --")
        hint = hint if unknown.startswith("-") else ""
        self.error(f"unrecognized arguments: {' '.join(arguments)}{hint}")


def model_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=path, metavar="MODEL", help="a file that `lstm train` wrote")


def own_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell", metavar="FILE.py:NAME", help="the class of the model's cell, if it is your own"
    )


def common(parser: argparse.ArgumentParser, steps: int | None = None) -> None:
    if steps is not None:
        text = f"training steps (default: {steps})"
        parser.add_argument("--steps", type=whole(1), default=steps, help=text)
    parser.add_argument("--seed", type=whole(0), default=0, help="of all that is random")
    parser.add_argument("--json", action="store_true", help="results as JSON, no progress")


def overwriting(parser: argparse.ArgumentParser) -> None:
    text = "write over files there that are not lstm's; what an earlier run wrote is written over"
    parser.add_argument("--force", action="store_true", help=text)


def setting(parser: argparse.ArgumentParser) -> None:
    text = "a setting of the task's, as `lstm tasks` lists them; may be given several times"
    kind = _name_and_value
    parser.add_argument("--set", type=kind, action="append", metavar="NAME=VALUE", help=text)


class OrOwn(list[str]):
    """Names to choose from; FILE.py:NAME, a class of one's own, is among them."""

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) or ":" in str(value)


def one_of(
    group: Any, option: str, names: Iterable[str], *, default: str | None = None, usual: str = ""
) -> None:
    """An option that takes one of the names; usual: which that is where the option has no default
    of its own."""
    listed = list(names)
    text = f"one of {', '.join(listed)} (default: {default or usual})"
    group.add_argument(option, choices=listed, default=default, metavar="NAME", help=text)


# --- what options take --------------------------------------------------------------------------


def whole(least: int, most: int = 2**31 - 1) -> Any:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        if number > most:
            raise argparse.ArgumentTypeError(f"{text!r} is more than {most}")
        return number

    return parse


def path(text: str) -> Path:
    if not text:  # Path("") is the folder one is in, which nobody means
        raise argparse.ArgumentTypeError("the path is empty")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"no file can be called {text!r}") from None
    return Path(text)


def positive(text: str, *, zero: bool = False) -> float:
    """A number above 0, or 0 too."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf") and not (zero and number == 0):
        kind = "number of at least 0" if zero else "positive number"
        raise argparse.ArgumentTypeError(f"{text!r} is no {kind}")
    return number


def by_name(text: str) -> dict[str, float]:
    """Numbers by name, "h=0.5,C=1"."""
    numbers: dict[str, float] = {}
    for pair in text.split(","):
        name, _, number = pair.rpartition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise argparse.ArgumentTypeError(f"{pair!r} is no name and number, as in h=0.5")
    return numbers


def _name_and_value(text: str) -> tuple[str, Any]:
    """A name, and what its value spells in JSON, or the text as it stands."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r:.60} is no NAME=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
