"""When a training writes its checkpoint."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from lstm.errors import LostProcessError, OutputError
from lstm.files import written
from lstm.store.checkpoint import check_plain, write_checkpoint
from lstm.training.course import Course

SECONDS_BETWEEN_SAVES = 10.0


class Saver:
    """Saves what steps come to: when it is due, at the end, and where one fails, or a callback:
    what is whole then is what the steps before came to."""

    def __init__(self, course: Course, path: str | Path | None, every: int | None) -> None:
        self._course, self._path, self._every = course, path, every
        self._saved_at, self._saved = time.monotonic(), course.state.steps
        self._there = None if path is None else written(path)
        if path is not None:
            check_plain(course.checkpoint())

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: object
    ) -> None:
        if error is None:
            self.save()
        elif isinstance(error, LostProcessError):  # and with it what the step was making
            return
        elif isinstance(error, Exception):  # a second Ctrl-C is not kept waiting
            with suppress(OutputError):  # what failed first is what is told
                self.save()

    def save_if_due(self) -> None:
        """Save every so many steps, or seconds."""
        if self._every is not None:
            due = self._course.state.steps % self._every == 0
        else:
            due = time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES
        if due:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, unless there is nothing new in it."""
        if self._path is None or self._course.state.steps == self._saved:
            return
        if written(self._path) not in (None, self._there):
            raise OutputError(
                f"cannot write {self._path}: another training has written it since this one began; "
                "give each a path of its own (out=, --out)"
            )
        write_checkpoint(self._path, self._course.checkpoint())
        self._saved_at, self._saved = time.monotonic(), self._course.state.steps
        self._there = written(self._path)
