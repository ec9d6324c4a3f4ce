"""Signals that ask to stop, kept until what is being done is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

_ASKED = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]


class Interruption:
    """Within, the first Ctrl-C, SIGTERM or SIGHUP is noted, and raised again by `pass_on`.

    The second goes its usual way at once. In a thread that is not the main one nothing is changed,
    and signals that are ignored (as under nohup) stay so.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _ASKED:
                if number is not None and signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        self._restore()

    def pass_on(self) -> None:
        """Let the signal do what it would have done, if there was one; outside of the block."""
        if self.signal is not None:
            signal.raise_signal(self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
