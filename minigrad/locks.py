"""Locks of the whole process, which a forked child finds free."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _thread import RLock


def process_lock() -> RLock:
    """A reentrant lock that a fork waits for, so that no child is born with it locked.

    A child has none of its parent's other threads: a lock that one of them held would stay locked
    for ever, and what it guards might be half done. Forks take the locks in reverse order of their
    making: who holds one may take those that were made before it, and no others.

    >>> with process_lock(), process_lock():
    ...     pass
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
