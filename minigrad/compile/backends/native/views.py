"""Where a tensor lies in memory while code is generated: base pointer, offset, strides.

Reshapes, slices, permutations and broadcasts of what lies in memory cost nothing: they are other
views of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from minigrad.types import Shape


class UnsupportedError(Exception):
    """What the native backend leaves to NumPy; the text says what and why."""


def contiguous(shape: Shape) -> tuple[int, ...]:
    """Row-major strides, in elements.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@dataclass(frozen=True)
class View:
    """A tensor in memory. `base` is a pointer in the code being generated."""

    base: Any
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @classmethod
    def whole(cls, base: Any, shape: Shape, offset: int = 0) -> View:
        """A row-major array."""
        return cls(base, shape, contiguous(shape), offset)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements follow each other in row-major order (axes of length 1 aside)."""
        wanted = contiguous(self.shape)
        axes = zip(self.shape, self.strides, wanted, strict=True)
        return all(n == 1 or s == w for n, s, w in axes)

    def permuted(self, axes: tuple[int, ...]) -> View:
        """The axes in another order."""
        shape = tuple(self.shape[a] for a in axes)
        return replace(self, shape=shape, strides=tuple(self.strides[a] for a in axes))

    def broadcast(self, shape: Shape) -> View:
        """Repeated along new axes and axes of length 1."""
        new = len(shape) - len(self.shape)
        strides = (0,) * new + tuple(
            0 if n == 1 and m != 1 else s
            for n, m, s in zip(self.shape, shape[new:], self.strides, strict=True)
        )
        return replace(self, shape=shape, strides=strides)

    def indexed(self, spec: tuple[tuple[Any, ...], ...]) -> View:
        """Integers, slices and new axes of a static index (see ops/index.py)."""
        offset, shape, strides = self.offset, [], []
        axis = 0
        for entry in spec:
            if entry[0] == "n":
                shape.append(1)
                strides.append(0)
                continue
            if entry[0] == "a":
                raise UnsupportedError("indexing with arrays")
            offset += entry[1] * self.strides[axis]
            if entry[0] == "s":
                shape.append(entry[2])
                strides.append(entry[3] * self.strides[axis])
            axis += 1
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def reshaped(self, shape: Shape) -> View | None:
        """The same elements in another shape, where strides can express it."""
        if self.is_contiguous:
            return replace(self, shape=shape, strides=contiguous(shape))
        # Axes of length 1 come and go freely; the rest must be the same axes in the same order.
        rest = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        if [n for n, _ in rest] != [n for n in shape if n != 1]:
            return None
        left = iter(rest)
        return replace(
            self, shape=shape, strides=tuple(0 if n == 1 else next(left)[1] for n in shape)
        )


def common_axes(shape: Shape, views: list[View]) -> tuple[Shape, list[tuple[int, ...]]]:
    """The fewest loops that visit all elements: axes that every view walks as one are merged.

    Returns the merged shape and each view's strides along it; a scalar gives one axis of length 1.

    >>> a, b = View.whole(None, (4, 8)), View.whole(None, (8,)).broadcast((4, 8))
    >>> common_axes((4, 8), [a]), common_axes((4, 8), [a, b])
    (((32,), [(1,)]), ((4, 8), [(8, 1), (0, 1)]))
    """
    axes = [k for k, n in enumerate(shape) if n != 1] or ([0] if shape else [])
    if not axes:
        return (1,), [(0,) for _ in views]
    dims = [shape[k] for k in axes]
    steps = [[v.strides[k] for k in axes] for v in views]
    k = len(dims) - 1
    while k > 0:
        if all(s[k - 1] == s[k] * dims[k] for s in steps):
            dims[k - 1] *= dims[k]
            for s in steps:
                s[k - 1] = s[k]
                del s[k]
            del dims[k]
        k -= 1
    return tuple(dims), [tuple(s) for s in steps]
