"""`--devices` and `--hosts`: a command as one of several processes, on one host or many.

JAX ends a process from within C++ where another one is lost, with a trace. So the command's work is
done in a child, whose end is told in one line; what C++ writes there goes to a file of no name.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NoReturn

from lstm.cli.options import whole
from lstm.errors import ConfigError, LostProcessError
from lstm.training.hosts import place_among
from minigrad import MissingPackageError
from minigrad.compile.backends.jax.libraries import jax

HEARTBEAT = 30
"""Seconds after which a process that is not heard of counts as lost."""
NOTICE = 30
"""Seconds after which one that waits for the others says so; to import JAX takes some of them."""
LEAVE = 2
"""Seconds that a process which fails leaves the others to tell why they do."""
WAIT = 300
"""Seconds in which all processes have to be there."""
_TOGETHER = b"\xff"
"""What a child tells once they are; no exit status."""


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and where the first one listens; none of it where the
    cluster's launcher says so."""

    index: int | None = None
    count: int | None = None
    address: str | None = None

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
    text += "ADDRESS:PORT; auto: as the cluster's launcher says (Slurm, Open MPI: one process "
    text += "a GPU; Kubernetes, TPUs)"
    metavar = "INDEX/COUNT@ADDRESS:PORT"
    group.add_argument("--hosts", type=_place, metavar=metavar, help=text)


def _devices(text: str) -> int | str:
    number: int = -1 if text == "all" else whole(1)(text)
    return "all" if number < 0 else number


def _place(text: str) -> Place:
    if text == "auto":
        return Place()
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})@(\S+):(\d{1,5})", text)
    if match is None or int(match[1]) >= int(match[2]) or not 0 < int(match[4]) < 1 << 16:
        raise argparse.ArgumentTypeError(
            f"{text!r:.60} is neither auto nor such as 0/4@10.0.0.1:8476, process 0 … 3 of 4 and a "
            "port up to 65535"
        )
    return Place(int(match[1]), int(match[2]), f"{match[3]}:{match[4]}")


def place_asked(args: argparse.Namespace) -> Place | None:
    """Which process this is; None where there is but one. Raises ConfigError."""
    place: Place | None = getattr(args, "hosts", None)
    if place is not None and args.backend != "jax":
        raise ConfigError(f"--hosts is for --backend jax, not --backend {args.backend}")
    return place


def writes_files(args: argparse.Namespace) -> bool:
    """Whether this process is the one that does; known once the processes are together."""
    return args.hosts is None or place_among()[0] == 0


def in_a_child(
    place: Place, run: Callable[[], int], guarded: Callable[[Callable[[], int]], int]
) -> int:
    """The exit status of what is run in a process of its own, together with the others.

    guarded: gives the status of a function, whatever it raises. Signals are passed on to the child,
    which ends where this process does; one that comes before the processes are together ends it.
    Raises ConfigError where the others cannot reach this one, LostProcessError where JAX ended the
    child, or a signal.
    """
    if not hasattr(os, "fork"):
        raise ConfigError("--hosts needs a system that can fork, and this one cannot")
    listens = _listens(place)
    with tempfile.TemporaryFile() as log:
        alive, ours = os.pipe()  # closed by the system when we are gone
        report, told = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        child = os.fork()
        if child == 0:
            os.close(ours)
            joining = partial(_joined, place, listens, told, run)
            _work(log, alive, told, lambda: guarded(joining))
        os.close(told)
        try:
            said, ended = _waited(place, child, report)
        finally:
            for pipe in (alive, ours, report):
                os.close(pipe)
        status = said.removeprefix(_TOGETHER)
        if status:  # how it ended after that does not matter
            return status[0]
        if os.WIFEXITED(ended):
            return os.WEXITSTATUS(ended)
        raise LostProcessError(_why(place, os.WTERMSIG(ended), log, together=bool(said)))


def _waited(place: Place, child: int, report: int) -> tuple[bytes, int]:
    """What the child told, and how it ended."""
    try:
        if not select.select([report], [], [], NOTICE)[0]:
            at = "" if place.address is None else f" at {place.address}"
            with suppress(OSError, ValueError):  # nobody reads it
                print(f"lstm: {place} waits for the others{at}, {WAIT} s", file=sys.stderr)
        said = os.read(report, 1)
    except BaseException:  # JAX, which waits for the others in C++, would keep a signal waiting
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    with _passed_on(child):
        _, ended = os.waitpid(child, 0)
    return (said + os.read(report, 1) if said == _TOGETHER else said), ended


def _listens(place: Place) -> str | None:
    """The address at which the first process listens, of which JAX would make a crash where it
    cannot; None where JAX is to choose. Raises ConfigError."""
    if place.index != 0 or place.address is None:
        return None
    address = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", place.address)
    host, _, port = address.rpartition(":")
    try:
        places = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        family, kind, *_, at = places[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has ended is no use
            trial.bind(at)
    except OSError as error:
        raise ConfigError(
            f"{place} cannot listen at {address}: {error.strerror}; it has to be an address of "
            "this host, and a port that nothing uses"
        ) from None
    return address


@contextmanager
def _passed_on(child: int) -> Iterator[None]:
    """Within, signals that ask to stop are the child's, which has a process group of its own, so
    that a terminal's Ctrl-C reaches it once. Those that are ignored stay so."""
    before: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, lambda n, _: os.kill(child, n))
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


def _work(log: BinaryIO, alive: int, told: int, run: Callable[[], int]) -> NoReturn:
    """What the child does, which never returns: not to the barrier, either, at which JAX would wait
    for the others at the end of an ordinary process."""
    status = 1
    try:
        os.setpgid(0, 0)
        threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
        outputs = [(1, "stdout"), (2, "stderr")]
        for number, name in outputs:  # ours go where they went; what C++ writes, to the log
            setattr(sys, name, os.fdopen(os.dup(number), "w", errors="replace"))
            os.dup2(log.fileno(), number)
        status = run()
    except BaseException:  # no error of ours, so that its place is to be told
        traceback.print_exc()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.write(told, bytes([status]))
        if status == 0:
            jax.distributed.shutdown()
        else:  # the end of the first one would end the others, who have something to tell, too
            time.sleep(LEAVE)
    finally:
        os._exit(status)


def _joined(place: Place, listens: str | None, told: int, run: Callable[[], int]) -> int:
    """What is run gives, once all processes are there. Raises ConfigError where that cannot be."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        jax.distributed.initialize(
            place.address,
            place.count,
            place.index,
            # a launcher that is not asked does not say, either, that there is one GPU a process
            cluster_detection_method=None if place.address is None else "deactivate",
            initialization_timeout=WAIT,
            heartbeat_timeout_seconds=HEARTBEAT,
            coordinator_bind_address=listens,
        )
    except MissingPackageError:
        raise
    except Exception as error:  # what a launcher's environment lacks is a KeyError, too
        said = str(error) if isinstance(error, (ValueError, RuntimeError)) else repr(error)
        reason = said.partition("\n")[0]
        raise ConfigError(f"--hosts: {place} cannot join the others: {reason}") from None
    signal.signal(signal.SIGTERM, before)  # JAX has put its own in its place
    index, count = place_among()
    if place.count not in (None, count):
        raise ConfigError(f"--hosts: {place} has joined {count}: each is to be told one number")
    os.write(told, _TOGETHER)
    if index > 0:  # one of them prints results; errors are told by each
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end
    return run()


def _end_with(alive: int) -> None:
    """End where the process that waits for this one does."""
    os.read(alive, 1)
    os._exit(1)


def _why(place: Place, number: int, log: BinaryIO, *, together: bool) -> str:
    """Why the child was ended by a signal, in one line."""
    way = "; the same command with --resume goes on from the last checkpoint" if together else ""
    log.seek(0)
    fatal = re.findall(r"^F.*?\] (.*)", log.read().decode(errors="replace"), re.MULTILINE)[:1]
    if "distributed service" not in " ".join(fatal):
        name = signal.Signals(number).name
        return ": ".join([f"{place} was ended by {name}{way}", *(text[:200] for text in fatal)])
    if not together:
        return f"{place}: the others were not there within {WAIT} s; is the address right?"
    if place.count == 1:
        return f"{place} stops: JAX did not hear of it for {HEARTBEAT} s{way}"
    return f"{place} stops: another one is gone, or not heard of for {HEARTBEAT} s{way}"
