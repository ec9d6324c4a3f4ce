"""Threads, helpers and forked children: what tests of them share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest


def share_all(patch: pytest.MonkeyPatch) -> None:
    """Share out what can be shared, and run side by side what can be, however small it is."""
    from minigrad.compile.backends.native import backend

    backend.keep.cache_clear()  # code that is made anew, and that nothing keeps
    patch.setattr(backend, "keep", lambda body: body)
    together = "minigrad.compile.backends.native.together"
    patch.setattr(f"{together}.PART_WORK", 1)
    patch.setattr(f"{together}.SAVED_WORK", -1)


def called_wrong(f: Callable[..., Any], batches: Sequence[Sequence[Any]], times: int) -> list[int]:
    """The batches of which a function gives something else in as many threads than alone."""
    expected = [f(*b) for b in batches]
    wrong = []

    def call(k: int) -> None:
        for _ in range(times):
            for a, b in zip(f(*batches[k]), expected[k], strict=True):
                if not np.array_equal(a, b):
                    wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(len(batches))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


def fork(is_right: Callable[[], bool], within: float = 20.0) -> None:
    """Fork a child in which something is to hold. Raises AssertionError if not within seconds."""
    child = os.fork()
    if not child:
        os._exit(0 if is_right() else 1)
    end = time.monotonic() + within
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.002)
    assert ended[1] == 0, f"the child ended with status {ended[1]}"


def command(program: str, *arguments: object) -> list[str]:
    """The command line of a program that may import from here."""
    text = f"import sys\nsys.path.insert(0, {os.path.dirname(__file__)!r})\n{program}"
    return [sys.executable, "-W", "ignore", "-c", text, *map(str, arguments)]


def run_program(program: str, *arguments: object) -> None:
    """Run a program that is to end well."""
    ran = subprocess.run(
        command(program, *arguments), capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
