"""DOT text in, svg, png or pdf bytes out, on a machine that may have neither Graphviz nor fonts.

Graphviz comes from the wheel of pygraphviz and runs in a child process (render_child.py); a `dot`
on the PATH is the second choice: its version is the machine's, and from version to version boxes
are of other sizes, so that one graph would be drawn otherwise on each machine. (Debian 12 has 2.43:
a graph of five nodes is 164 points high there, and 174 by the wheel's 14.1.) Nothing here knows of
expressions, gradients or colours.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from minigrad.drawing import render_child
from minigrad.drawing.faults import (
    RenderError,
    crashed,
    is_failure,
    refused,
    timed_out,
    too_large,
    unwritten,
)
from minigrad.drawing.font_config import font_environment
from minigrad.drawing.fonts import warn_of_missing
from minigrad.drawing.job import Job, checked_job

_INSTALL = "Install a renderer with `pip install pygraphviz` (its wheel brings Graphviz along)."


def render(dot: str, format: str, *, timeout: float = 60.0) -> bytes:
    """Draw one graph, with Graphviz's engine `dot`, and return the file's bytes.

    `format` is "svg", "png" or "pdf"; `timeout` is in seconds. A PNG that would be too large for
    Graphviz is drawn at a lower dpi. Raises RenderError for bad DOT, a bad HTML-like label, a
    crash, a timeout, a PNG that would be illegible, and where there is no Graphviz.

    >>> svg = render("digraph { x -> y }", "svg")
    >>> svg.startswith(b"<?xml"), b">x</text>" in svg
    (True, True)
    """
    return render_many([(dot, format)], timeout=timeout)[0]


def render_many(jobs: Sequence[tuple[str, str]], *, timeout: float = 60.0) -> list[bytes]:
    """Draw several (dot, format) jobs in one child process; `timeout` counts for each of them.

    Raises RenderError, as `render` does, for the first job that fails.

    >>> graph = "digraph { x -> y }"
    >>> [picture[:4] for picture in render_many([(graph, "png"), (graph, "pdf")])]
    [b'\\x89PNG', b'%PDF']
    """
    if not timeout > 0.0:
        raise RenderError(f"timeout={timeout}: give a number of seconds above 0.")
    checked = [
        checked_job(dot, format, _place(i, len(jobs), format))
        for i, (dot, format) in enumerate(jobs)
    ]
    if not checked:
        return []
    warn_of_missing(job.dot for job in checked)
    with tempfile.TemporaryDirectory(prefix="minigrad-", ignore_cleanup_errors=True) as folder:
        environment = font_environment(Path(folder))
        try:
            pictures = _by_pygraphviz(checked, timeout, environment)
        except _AbsentError as absent:
            pictures = _by_system_dot(checked, timeout, environment, str(absent))
    return [_cleaned(picture, job.format) for job, picture in zip(checked, pictures, strict=True)]


class _AbsentError(Exception):
    """There is no pygraphviz that works; the text says why."""


def _place(index: int, count: int, format: str) -> str:
    return f"the {format}" if count == 1 else f"picture {index + 1} of {count} (the {format})"


# ---------------------------------------------------------------- pygraphviz, in a child process


def _by_pygraphviz(jobs: Sequence[Job], timeout: float, environment: dict[str, str]) -> list[bytes]:
    with tempfile.TemporaryFile() as log, _child(environment, log) as child:
        return [_draw(child, job, timeout, log) for job in jobs]


@contextlib.contextmanager
def _child(environment: dict[str, str], log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """A running render_child.py, which is dead afterwards in any case."""
    command = [
        *(sys.executable, "-I", "-S"),
        render_child.__file__,
        _folder_of_pygraphviz(),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        yield child
    finally:
        child.kill()
        with contextlib.suppress(OSError):  # what a dead child did not read
            child.communicate()


def _folder_of_pygraphviz() -> str:
    """The folder to import pygraphviz from; finding it does not import it."""
    try:
        spec = importlib.util.find_spec("pygraphviz")
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        raise _AbsentError("pygraphviz is not installed")
    if not sys.executable:
        raise _AbsentError("this Python does not know its own executable (sys.executable is empty)")
    return str(Path(spec.origin).parent.parent)


def _draw(child: "subprocess.Popen[bytes]", job: Job, timeout: float, log: IO[bytes]) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    answer = None
    with _deadline(child, timeout) as expired, contextlib.suppress(OSError):
        source = job.source
        child.stdin.write(b"%s %d\n" % (job.format.encode(), len(source)) + source)
        child.stdin.flush()
        answer = _answer(child.stdout)
    if answer is None:
        # A child that found no pygraphviz leaves its answer behind and goes, whatever it is sent.
        with contextlib.suppress(OSError):
            answer = _answer(child.stdout)
    if expired.is_set():
        raise timed_out(job.place, job.dot, timeout)
    if answer is None:
        raise crashed(job.place, child.wait(), _whole(log))
    status, picture, printed = answer
    if status == "absent":
        raise _AbsentError(f"pygraphviz cannot be used ({printed.strip()})")
    if status == "unwritten":
        raise unwritten(job.place, picture.decode(errors="replace"))
    if status == "large":
        raise too_large(job.place, picture.decode())
    if status != "ok" or is_failure(printed):
        raise refused(job.place, job.dot, printed)
    return picture


@contextlib.contextmanager
def _deadline(child: "subprocess.Popen[bytes]", seconds: float) -> Iterator[threading.Event]:
    """Kill the child when the time is up, which ends every wait for it; the event then is set."""
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        child.kill()

    watchdog = threading.Timer(min(seconds, threading.TIMEOUT_MAX), stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield expired
    finally:
        watchdog.cancel()
        watchdog.join()


def _answer(stream: IO[bytes]) -> tuple[str, bytes, str] | None:
    """(status, picture, log), or None when the child has gone in the middle of it."""
    header = stream.readline().split()
    if len(header) != 3:
        return None
    size, log_size = int(header[1]), int(header[2])
    picture, log = stream.read(size), stream.read(log_size)
    if len(picture) < size or len(log) < log_size:
        return None
    return header[0].decode(), picture, log.decode(errors="replace")


def _whole(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read(100_000).decode(errors="replace")


# ---------------------------------------------------------------- a `dot` on the PATH


def _by_system_dot(
    jobs: Sequence[Job], timeout: float, environment: dict[str, str], reason: str
) -> list[bytes]:
    program = shutil.which("dot")
    if program is None:
        raise RenderError(
            f"cannot draw {jobs[0].place}: {reason}, and there is no Graphviz program `dot` on the "
            f"PATH. {_INSTALL}"
        )
    return [_run_dot(program, job, timeout, environment) for job in jobs]


def _run_dot(program: str, job: Job, timeout: float, environment: dict[str, str]) -> bytes:
    if job.format != "png":
        return _run_dot_once(program, job, job.format, [], timeout, environment)
    dpi = render_child.PNG_DPI
    # With dpi set, an SVG has the size of the PNG in pixels.
    svg = _run_dot_once(program, job, "svg", [f"-Gdpi={dpi:g}"], timeout, environment)
    factor, size = render_child.shrink(svg)
    if dpi * factor < render_child.LEAST_DPI:
        raise too_large(job.place, size)
    return _run_dot_once(program, job, "png", [f"-Gdpi={dpi * factor:g}"], timeout, environment)


def _run_dot_once(
    program: str,
    job: Job,
    format: str,
    options: list[str],
    timeout: float,
    environment: dict[str, str],
) -> bytes:
    try:
        done = subprocess.run(
            [program, f"-T{format}", *options],
            input=job.source,
            capture_output=True,
            timeout=min(timeout, threading.TIMEOUT_MAX),
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise timed_out(job.place, job.dot, timeout) from error
    except OSError as error:
        raise RenderError(f"cannot run {program}: {error}. {_INSTALL}") from error
    printed = done.stderr.decode(errors="replace")
    if done.returncode < 0:
        raise crashed(job.place, done.returncode, printed)
    if done.returncode or not done.stdout or is_failure(printed):
        raise refused(job.place, job.dot, printed)
    return done.stdout


# ---------------------------------------------------------------- what comes out


_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PDF_DATE = re.compile(rb"(/CreationDate \(D:)\d{14}")


def _cleaned(picture: bytes, format: str) -> bytes:
    if format == "svg":
        # Graphviz passes the control characters of labels on, and XML forbids them.
        return _NOT_XML.sub("\ufffd", picture.decode(errors="replace")).encode()
    if format == "pdf" and "SOURCE_DATE_EPOCH" not in os.environ:
        # One graph gives one file, whatever the time; the length must stay, offsets count on it.
        return _PDF_DATE.sub(rb"\g<1>20000101000000", picture)
    return picture
