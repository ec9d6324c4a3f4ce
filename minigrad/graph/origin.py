"""Where a node was made: the line of the user's code, for errors and pictures."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from minigrad.graph.node import Expr

Origin: TypeAlias = tuple[CodeType, int]
_PACKAGE = str(Path(__file__).parent.parent) + "/"
# Folders of packages whose lines are not the user's: minigrad's own, and what is built on it.
_LIBRARIES = [_PACKAGE]


def library(init: str) -> None:
    """Count a package, by the `__file__` of its __init__, as a library: errors name the line that
    calls it, and a variable that it makes is not the user asking for his own of that name again.
    """
    _LIBRARIES.append(str(Path(init).parent) + "/")


class _Context(threading.local):
    origin: Origin | None = None


CONTEXT = _Context()


def caller() -> Origin | None:
    """The line outside of minigrad that calls: an equation of a cell, where a library has it."""
    return _outside(sys._getframe(2), _PACKAGE)


def users_line() -> Origin | None:
    """The line outside of every library that calls."""
    return _outside(sys._getframe(2), tuple(_LIBRARIES))


def users_own_line() -> Origin | None:
    """The line that calls who asks, where that is the user's; None for a library's."""
    frame = sys._getframe(2)
    if frame.f_code.co_filename.startswith(tuple(_LIBRARIES)):
        return None
    return frame.f_code, frame.f_lasti


def is_librarys(origin: Origin | None) -> bool:
    """Whether a library's line made it, or nobody knows whose."""
    return origin is None or origin[0].co_filename.startswith(tuple(_LIBRARIES))


def users_depth() -> int:
    """How many calls up from whoever asks the line outside of every library is: what a warning that
    is raised there takes for its `stacklevel`."""
    depth, frame = 1, sys._getframe(1)
    ours = (*_LIBRARIES, functools.__file__)  # what a cached property calls us through
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        depth, frame = depth + 1, frame.f_back
    return depth


def _outside(start: FrameType, folders: str | tuple[str, ...]) -> Origin | None:
    frame: FrameType | None = start
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(folders):
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def line_of(origin: Origin | None) -> str:
    if origin is None:
        return ""
    code, lasti = origin
    if code.co_filename.startswith("<frozen "):  # Python's own: made while minigrad was imported
        return ""
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
