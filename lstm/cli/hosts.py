"""`--devices` and `--hosts`: a command as one of several processes, on one host or many.

JAX ends a process from within C++ where another one is lost, with a trace. So the command's work is
done in a child, whose end is told in one line; what C++ writes there goes to a file of no name.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NoReturn

from lstm.cli.options import whole
from lstm.errors import ConfigError, LostProcessError
from lstm.training.hosts import jax_module

HEARTBEAT = 10
"""Seconds after which a process that is not heard of counts as lost."""
LEAVE = 2
"""Seconds that a process which fails leaves the others to tell why they do."""
WAIT = 300
"""Seconds in which all processes have to be there."""


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and where the first one listens; none of it where the
    cluster's launcher says so."""

    index: int | None = None
    count: int | None = None
    address: str | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files; known once the processes are together."""
        return bool(jax_module("jax").process_index() == 0)

    def __str__(self) -> str:
        if self.index is None:
            return "this process"
        return f"process {self.index} of {self.count}"


def host_options(group: Any) -> None:
    """Over what the steps are divided."""
    text = "of --backend jax: over how many, or all, each batch is divided (default: 1, or all of "
    text += "several hosts)"
    group.add_argument("--devices", type=_devices, metavar="N", help=text)
    text = "of --backend jax: this is process INDEX of COUNT, 0 the first, which listens at "
    text += "ADDRESS:PORT; auto: as the cluster's launcher says (Slurm, Open MPI, Kubernetes, TPUs)"
    metavar = "INDEX/COUNT@ADDRESS:PORT"
    group.add_argument("--hosts", type=_place, metavar=metavar, help=text)


def _devices(text: str) -> int | str:
    number: int = -1 if text == "all" else whole(1)(text)
    return "all" if number < 0 else number


def _place(text: str) -> Place:
    if text == "auto":
        return Place()
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})@(\S+:\d{1,5})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(
            f"{text!r:.60} is neither auto nor such as 0/4@10.0.0.1:8476, process 0 … 3 of 4"
        )
    return Place(int(match[1]), int(match[2]), match[3])


def place_asked(args: argparse.Namespace) -> Place | None:
    """Which process this is; None where there is but one. Raises ConfigError."""
    place: Place | None = getattr(args, "hosts", None)
    if place is not None and args.backend != "jax":
        raise ConfigError(f"--hosts is for --backend jax, not --backend {args.backend}")
    return place


def in_a_child(
    place: Place, run: Callable[[], int], guarded: Callable[[Callable[[], int]], int]
) -> int:
    """The exit status of what is run in a process of its own, together with the others.

    guarded: gives the status of a function, whatever it raises. Signals are passed on to the child,
    which ends where this process does. Raises LostProcessError where JAX ended it, or a signal.
    """
    if not hasattr(os, "fork"):
        raise ConfigError("--hosts needs a system that can fork, and this one cannot")
    with tempfile.TemporaryFile() as log:
        alive, ours = os.pipe()  # closed by the system when we are gone
        report, joined = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        child = os.fork()
        if child == 0:
            os.close(ours)
            joining = partial(_joined, place, joined, run)
            _work(log, alive, joined, lambda: guarded(joining))
        os.close(joined)
        with _passed_on(child):
            _, ended = os.waitpid(child, 0)
        told = os.read(report, 2)
        for pipe in (alive, ours, report):
            os.close(pipe)
        if len(told) == 2:  # it said why, and how it ended after that does not matter
            return told[1]
        if os.WIFEXITED(ended):
            return os.WEXITSTATUS(ended)
        raise LostProcessError(_why(place, os.WTERMSIG(ended), log, together=bool(told)))


@contextmanager
def _passed_on(child: int) -> Iterator[None]:
    """Within, signals are the child's; Ctrl-C of a terminal has reached it already."""
    handlers: dict[int, Any] = {signal.SIGINT: signal.SIG_IGN}
    handlers |= dict.fromkeys((signal.SIGTERM, signal.SIGHUP), lambda n, _: os.kill(child, n))
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(log: BinaryIO, alive: int, report: int, run: Callable[[], int]) -> NoReturn:
    """What the child does, which never returns: not to the barrier, either, at which JAX would wait
    for the others at the end of an ordinary process."""
    status = 1
    try:
        threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
        outputs = [(1, "stdout"), (2, "stderr")]
        for number, name in outputs:  # ours go where they went; what C++ writes, to the log
            setattr(sys, name, os.fdopen(os.dup(number), "w", errors="replace"))
            os.dup2(log.fileno(), number)
        status = run()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.write(report, bytes([status]))
        if status == 0:
            jax_module("jax").distributed.shutdown()
        else:  # the end of the first one would end the others, who have something to tell, too
            time.sleep(LEAVE)
    finally:
        os._exit(status)


def _joined(place: Place, report: int, run: Callable[[], int]) -> int:
    """What is run gives, once all processes are there. Raises ConfigError where that cannot be."""
    jax = jax_module("jax")
    before = signal.getsignal(signal.SIGTERM)
    try:
        jax.distributed.initialize(
            place.address,
            place.count,
            place.index,
            initialization_timeout=WAIT,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"--hosts: {place} cannot join the others: {reason}") from None
    signal.signal(signal.SIGTERM, before)  # JAX has put its own in its place
    os.write(report, b"1")
    if jax.process_index():  # one of them prints results; errors are told by each
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end
    return run()


def _end_with(alive: int) -> None:
    """End where the process that waits for this one does."""
    os.read(alive, 1)
    os._exit(1)


def _why(place: Place, number: int, log: BinaryIO, *, together: bool) -> str:
    """Why the child was ended by a signal, in one line."""
    way = "the same command with --resume goes on from the last checkpoint"
    log.seek(0)
    fatal = re.findall(r"^F.*?\] (.*)", log.read().decode(errors="replace"), re.MULTILINE)[:1]
    if "distributed service" not in " ".join(fatal):
        name = signal.Signals(number).name
        return ": ".join([f"{place} was ended by {name}; {way}", *(text[:200] for text in fatal)])
    if not together:
        return f"{place}: the others were not there within {WAIT} s; is the address right?"
    return f"{place} stops: another one is gone, or not heard of for {HEARTBEAT} s; {way}"
