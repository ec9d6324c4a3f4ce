"""What the command `lstm` can be asked: its commands, their options, and what these take."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from lstm.cells import CELLS
from lstm.errors import ConfigError

LONGEST = 10_000  # sequences are written out step by step, at some 70 ops a step
LARGEST = 1_000_000  # units, or sequences in a batch; what memory allows is far less

Run: TypeAlias = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse would print its usage too; one line is what an error is here.
        raise ConfigError(f"{message} (see {self.prog} --help)")


def command_line(run: Mapping[str, Run]) -> argparse.ArgumentParser:
    """A parser whose results have, as `run`, the function that is given for the command's name.

    It raises ConfigError for a command line that it does not understand.
    """
    parser = _Parser(
        prog="lstm", description="Recurrent nets from the textbook's equations, and their gradients"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (text, add_options) in _COMMANDS.items():
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run[name])
        add_options(command)
    return parser


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=_path, default=Path("lstm-demo"), help="folder for the pictures"
    )
    parser.add_argument(
        "--length", type=_whole(3, LONGEST), default=100, help="time steps (default: 100)"
    )
    _common(parser, steps=500)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="one of those that `lstm tasks` lists")
    parser.add_argument("--cell", choices=list(CELLS), default="lstm", help="default: lstm")
    parser.add_argument(
        "--length", type=_whole(1, LONGEST), help="time steps (default: the task's)"
    )
    parser.add_argument("--hidden", type=_whole(1, LARGEST), default=16, help="units (default: 16)")
    parser.add_argument(
        "--batch", type=_whole(1, LARGEST), default=32, help="sequences (default: 32)"
    )
    parser.add_argument("--lr", type=_positive, default=0.03, help="rate (default: 0.03)")
    parser.add_argument(
        "--memory",
        type=_whole(0),
        help="steps that the gates are set to remember at first (default: the task's length; "
        "0: the usual bias, a forget gate of σ(1))",
    )
    parser.add_argument("--out", type=_path, help="where to write the model (*.safetensors)")
    _common(parser, steps=500)


def _flow(parser: argparse.ArgumentParser) -> None:
    _model_file(parser)
    parser.add_argument(
        "--out", type=_path, default=Path("lstm-flow"), help="folder for the pictures"
    )
    parser.add_argument(
        "--length", type=_whole(1, LONGEST), help="time steps (default: as trained)"
    )
    parser.add_argument(
        "--task", metavar="FILE.py:NAME", help="the class of the model's task, if it is your own"
    )
    _own_cell(parser)
    _common(parser)


def _tasks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="results as JSON")


def _info(parser: argparse.ArgumentParser) -> None:
    _model_file(parser)
    _own_cell(parser)
    parser.add_argument("--json", action="store_true", help="results as JSON")


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "demo": ("train an RNN and an LSTM, and draw their gradients", _demo),
    "train": ("train a model on a task", _train),
    "flow": ("measure and draw how a model's gradient flows", _flow),
    "tasks": ("list the tasks", _tasks),
    "info": ("what a model file holds", _info),
}


# --- options of several commands ---------------------------------------------------------------


def _model_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=_path, metavar="MODEL", help="a file that `lstm train` wrote")


def _own_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell", metavar="FILE.py:NAME", help="the class of the model's cell, if it is your own"
    )


def _common(parser: argparse.ArgumentParser, steps: int | None = None) -> None:
    if steps is not None:
        text = f"training steps (default: {steps})"
        parser.add_argument("--steps", type=_whole(1), default=steps, help=text)
    parser.add_argument("--seed", type=_whole(0), default=0, help="of all that is random")
    parser.add_argument("--json", action="store_true", help="results as JSON, no progress")


# --- what options take --------------------------------------------------------------------------


def _whole(least: int, most: int = 2**31 - 1) -> Any:
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


def _path(text: str) -> Path:
    if not text:  # Path("") is the folder one is in, which nobody means
        raise argparse.ArgumentTypeError("the path is empty")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"no file can be called {text!r}") from None
    return Path(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return number
