"""Where a node was made: the line of the user's code, for errors and pictures."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from minigrad.graph.node import Expr

Origin: TypeAlias = tuple[CodeType, int]
_PACKAGE = str(Path(__file__).parent.parent) + "/"


class _Context(threading.local):
    origin: Origin | None = None


CONTEXT = _Context()


def caller() -> Origin | None:
    frame = sys._getframe(2)
    while frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def line_of(origin: Origin | None) -> str:
    if origin is None:
        return ""
    code, lasti = origin
    line = next((n for s, e, n in code.co_lines() if s <= lasti < e), None)
    return f"{code.co_filename}:{line or code.co_firstlineno}"


@contextmanager
def origins() -> Iterator[Callable[[Expr], None]]:
    """Inside, after mark(node), nodes count as made where `node` was made: its gradient, its form.

    One context a pass and a cheap mark a node: a context a node cost half of a reverse sweep.
    """
    before = CONTEXT.origin

    def mark(node: Expr) -> None:
        CONTEXT.origin = node._origin

    try:
        yield mark
    finally:
        CONTEXT.origin = before
