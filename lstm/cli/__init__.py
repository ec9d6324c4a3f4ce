"""The command `lstm`: what it runs, what it prints, how it fails. The work is done elsewhere.

Tables and results go to standard output, progress and errors to standard error. An error is one
line and exit status 2; Ctrl-C is one line and 130, SIGTERM one line and 143. Nothing is left
half-written.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import StringIO, TextIOWrapper
from typing import Any, NoReturn

from lstm.cli import (
    demo,
    figures,
    flow,
    info,
    predict,
    reproduce,
    sample,
    sweep,
    tasks,
    train,
    walk,
)
from lstm.cli.hosts import in_a_child, place_asked
from lstm.cli.options import Parser
from lstm.cli.tables import printable
from lstm.errors import LstmError
from minigrad import MinigradError

COMMANDS = {"demo": demo, "train": train, "flow": flow, "tasks": tasks, "info": info}
COMMANDS |= {"sample": sample, "predict": predict, "reproduce": reproduce, "walk": walk}
COMMANDS |= {"figures": figures, "sweep": sweep}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if sys.stderr is None:  # closed by whoever called: errors go nowhere, and are not in the way
        sys.stderr = StringIO()
    if sys.stdout is None:
        return _fail("cannot write: standard output is closed", 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show ∂ shows ?
            stream.reconfigure(errors="replace")
    return _status(partial(_run, sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    args = _asked(argv)
    run: Callable[[], int] = partial(args.run, args)
    place = place_asked(args)
    return run() if place is None else in_a_child(place, run, _status)


def _status(run: Callable[[], int]) -> int:
    """The exit status of what is run; an error is told in one line."""
    try:
        with _cleaning_up():
            status = run()
            sys.stdout.flush()
        return status
    except (LstmError, MinigradError) as error:
        return _fail(str(error), 2)
    except MemoryError:
        return _fail("not enough memory; try a smaller --length, --batch or --hidden-size", 2)
    except KeyboardInterrupt as error:
        return _fail(_with_notes("interrupted", error), 130)
    except _StoppedError as error:
        return _fail(_with_notes("stopped from outside", error), 128 + error.signal)
    except BrokenPipeError:  # `lstm tasks | head -1`: whoever read has had enough
        _drop_output()
        return 1
    except OSError as error:  # a full disk behind `lstm tasks > file`, say
        _drop_output()
        return _fail(f"cannot write: {error.strerror or error}", 2)


def _asked(argv: Sequence[str]) -> argparse.Namespace:
    """What the arguments ask for; `help` and `help COMMAND` are --help."""
    words = [*argv[1:2], "--help"] if list(argv[:1]) == ["help"] else list(argv)
    try:
        args, unknown = _command_line().parse_known_args(words)
    except SystemExit:  # help, which must have been written
        sys.stdout.flush()
        raise
    if unknown:
        args.parser.refuse(unknown)
    args.spelled = shlex.join(["lstm", *words])
    return args


def _command_line() -> Parser:
    """A parser whose results have, as `run`, the function that runs the command, and as `parser`
    the one of its options."""
    parser = Parser(
        prog="lstm",
        description="Recurrent nets from the textbook's equations, and their gradients",
        epilog="`lstm help COMMAND` says what a command takes.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version, and end")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        options = commands.add_parser(name, help=command.HELP)
        options.set_defaults(run=command.run, parser=options)
        command.add_options(options)
    return parser


def _with_notes(message: str, error: BaseException) -> str:
    """A message, and how to go on, where what was stopped says so."""
    return ": ".join([message, *getattr(error, "__notes__", ())])


class _Version(argparse.Action):
    """As argparse's own, which would look the version up for every command: 0.1 s."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"lstm {version('minigrad-lstm')}")
        except PackageNotFoundError:
            print("lstm, not installed")
        parser.exit()


class _StoppedError(BaseException):
    """SIGTERM, or the terminal was closed; no BaseException less would pass all that is caught."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Signals that would end the process at once raise instead, so that what is begun is undone."""

    def stop(signum: int, _: object) -> NoReturn:
        raise _StoppedError(signum)

    signals = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    caught = [s for s in signals if s is not None and signal.getsignal(s) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        caught = []
    for s in caught:
        signal.signal(s, stop)
    try:
        yield
    finally:
        for s in caught:
            signal.signal(s, signal.SIG_DFL)


def _drop_output() -> None:
    # Python tries once more to write what is left when it ends, and would complain.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    print(f"lstm: {printable(_one_line(message))}", file=sys.stderr)
    return status


def _one_line(message: str) -> str:
    """The lines of a message one after the other, each set off from the next."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    ended = [line if line[-1] in ".,:;!?" else f"{line};" for line in lines[:-1]]
    return " ".join([*ended, *lines[-1:]])
