"""Memory of generated code: of scratch which bytes are whose, decided while the code is made; and
that of results, which is used again."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.types import Array, Shape

ALIGN = 64  # bytes: a cache line, and the widest vector


class Memory:
    """One block of memory, taken and given back in pieces; `size` is the most that it came to.

    Its first cache line is taken already: code may raise a flag there (see gather.py); beside
    that is a word of callbacks.py's.

    >>> memory = Memory()
    >>> a, b = memory.take(100), memory.take(64)
    >>> memory.give_back(a)
    >>> a, b, memory.take(64), memory.size
    (64, 192, 64, 256)
    """

    def __init__(self) -> None:
        self.size = ALIGN
        self._free: list[tuple[int, int]] = []  # (start, end), in order, never touching
        self._taken: dict[int, int] = {}  # start: end
        self._held: list[int] | None = None  # what is given back late

    def take(self, bytes_: int) -> int:
        """The offset of so many bytes: the smallest free piece that holds them."""
        need = max(1, -(-bytes_ // ALIGN)) * ALIGN
        fits = [(end - start, start) for start, end in self._free if end - start >= need]
        if fits:
            length, start = min(fits)
            self._free.remove((start, start + length))
            if length > need:
                self._insert(start + need, start + length)
        else:
            start = self.size
            if self._free and self._free[-1][1] == self.size:  # what is free at the end grows
                start, _ = self._free.pop()
            self.size = start + need
        self._taken[start] = start + need
        return start

    def give_back(self, start: int) -> None:
        """What was taken at this offset is free again."""
        if self._held is not None:
            self._held.append(start)
        else:
            self._insert(start, self._taken.pop(start))

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is given back within is free only after it: for parts that run side by side."""
        self._held = []
        yield
        held, self._held = self._held, None
        for start in held:
            self.give_back(start)

    def _insert(self, start: int, end: int) -> None:
        before = [p for p in self._free if p[1] < start]
        touching = [p for p in self._free if p[1] >= start and p[0] <= end]
        after = [p for p in self._free if p[0] > end]
        start, end = min([start, *(p[0] for p in touching)]), max([end, *(p[1] for p in touching)])
        self._free = [*before, (start, end), *after]


def aligned(size: int) -> tuple[Array, int]:
    """Uninitialised bytes, and the address of the first cache line in them."""
    block = np.empty(size + ALIGN, np.uint8)
    return block, -(-block.ctypes.data // ALIGN) * ALIGN


# --- results -----------------------------------------------------------------------------------

LARGE = 1 << 20
"""Bytes of a result from which its memory is used again."""


def maker(shape: Shape, dtype: np.dtype[Any]) -> Callable[[], Array]:
    """What makes uninitialised arrays for one result of a program, call by call.

    Large ones lie where an earlier one lay that nobody holds any more, nor any view of it. Memory
    that is freed goes back to the system and comes again page by page, which took a tenth of the
    time of a formula and its gradients of 10⁶ elements (33 ms of the CPUs, 29 without; medians).
    """
    if dtype.itemsize * math.prod(shape) < LARGE:
        return functools.partial(np.empty, shape, dtype)
    free: deque[Array] = deque(maxlen=1)  # the rest is the system's

    def make() -> Array:
        try:
            block = free.pop()  # atomic
        except IndexError:
            block = np.empty(shape, dtype)
        return np.asarray(_Lent(block, free))

    return make


class _Lent:
    """What an array and its views hold on to, as their base, for as long as there are any."""

    def __init__(self, block: Array, free: deque[Array]) -> None:
        self.__array_interface__ = block.__array_interface__
        self._block, self._free = block, free

    def __del__(self) -> None:
        self._free.append(self._block)
