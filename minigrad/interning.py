"""Tables of what is made once, so that equal things are one object; none keeps them alive."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from minigrad.locks import process_lock

T = TypeVar("T")

INTERNING = process_lock()
"""Held while an entry of such a table is removed or replaced. It is the first lock that is made,
since collecting garbage, which any thread may do at any time, takes it."""


class Entry(weakref.ref[T]):
    """What a table holds under a key."""

    __slots__ = ("key",)
    key: Any


class Table(dict[Any, Entry[T]]):
    """Weak references by key: what is gone is forgotten."""

    __slots__ = ("forget",)

    def __init__(self) -> None:
        def forget(
            entry: weakref.ref[T],
            table: Table[T] = self,
            lock: AbstractContextManager[bool] = INTERNING,
            at_exit: Callable[[], bool] = sys.is_finalizing,  # when globals may be gone
        ) -> None:
            if at_exit():  # a daemon thread may have been stopped while it held the lock
                return
            key = entry.key  # type: ignore[attr-defined]
            with lock:
                # A new one may already stand under the key: only the dead entry is removed.
                if table.get(key) is entry:
                    del table[key]

        self.forget = forget

    def intern(self, key: Any, new: T) -> T:
        """What stands under the key: the new one, if another thread was not faster."""
        entry: Entry[T] = Entry(new, self.forget)
        entry.key = key
        if self.setdefault(key, entry) is entry:  # a dict does that at once: it needs no lock
            return new
        with INTERNING:
            before = self.get(key)
            if before is not None and (there := before()) is not None:
                return there
            self[key] = entry
        return new
