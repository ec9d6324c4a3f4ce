"""A file of metrics: one JSON object a line, a line a step, each step once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm.errors import OutputError
from lstm.files import check_file, write_atomically
from lstm.plain_values import jsonable


class MetricsFile:
    """Lines are added to the end, each in one go.

    In a file that is there, the lines of steps after `step`, and a last one that was not written to
    its end, are left out first: that is where a run that is resumed goes on. Raises OutputError
    where it cannot be written, and for a file that holds something else.
    """

    def __init__(self, path: str | Path, step: int) -> None:
        self._path = Path(path)
        check_file(self._path)
        self._write_head(step)
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise self._failure(error) from None

    def _write_head(self, step: int) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failure(error) from None
        lines = data.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # of a run that was killed
            lines.pop()
        steps = [_step_of(line) for line in lines]
        if None in steps:
            raise OutputError(f"cannot add to {self._path}: it holds something else than metrics")
        early = [line for line, k in zip(lines, steps, strict=True) if k is not None and k <= step]
        if sum(map(len, early)) < len(data):
            write_atomically(self._path, b"".join(early))

    def add(self, values: Mapping[str, Any]) -> None:
        """One line more."""
        line = (json.dumps(jsonable(values), allow_nan=False) + "\n").encode()
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(28, os.strerror(28))  # the disk is full
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}")

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._file)


def _step_of(line: bytes) -> int | None:
    """The step that a line is about; None for what is no line of ours."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if type(step) is int else None
