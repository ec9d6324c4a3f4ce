"""Whether boxes of a tensor's elements cover it, counted from their ranges, not element by element.

A box is the product of a range for each axis: what a slice takes, or what one is put in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import TypeAlias

import numpy as np

from minigrad.types import Shape

Box: TypeAlias = Sequence[range]

_CELLS = 1 << 16


def cover(shape: Shape, boxes: Sequence[Box]) -> bool:
    """Whether boxes cover a tensor of a shape; False where telling would take many cells.

    Every axis is cut where a range begins or ends, or at each element of one that leaves gaps. No
    box ends within a cell, so one flag a cell tells all, however many elements the cell has: the
    boxes of a (20000, 20000) array took 760 MB and 5 s of flags for elements.

    >>> cover((4, 9), [[range(4), range(0, 9, 2)], [range(4), range(1, 9, 2)]])
    True
    >>> cover((4, 9), [[range(4), range(5)], [range(3), range(5, 9)]])
    False
    """
    boxes = [box for box in boxes if all(box)]
    if sum([prod(map(len, box)) for box in boxes]) < prod(shape):
        return False
    cuts = [_cuts(n, {box[k] for box in boxes}) for k, n in enumerate(shape)]
    counts = [len(c) - 1 for c in cuts]
    if 0 in map(len, cuts) or prod(counts) > _CELLS:
        return False
    covered = np.zeros(counts, np.bool_)
    for box in boxes:
        covered[np.ix_(*[_cells(r, c) for r, c in zip(box, cuts, strict=True)])] = True
    return bool(covered.all())


def _cuts(length: int, ranges: set[range]) -> list[int]:
    """Where an axis is cut, its two ends included; [] where that is in too many places."""
    if sum([2 * len(r) for r in ranges if _has_gaps(r)]) > _CELLS:
        return []
    ends = chain.from_iterable(_ends(r) for r in ranges)
    return sorted({0, length, *ends})


def _has_gaps(r: range) -> bool:
    return len(r) > 1 and r.step not in (1, -1)


def _ends(r: range) -> list[int]:
    if _has_gaps(r):
        return [*r, *[k + 1 for k in r]]
    return [min(r[0], r[-1]), max(r[0], r[-1]) + 1]


def _cells(r: range, cuts: Sequence[int]) -> Sequence[int]:
    """The cells that a range has, which it has whole."""
    if _has_gaps(r):
        return [bisect_left(cuts, k) for k in r]
    first, stop = _ends(r)
    return range(bisect_left(cuts, first), bisect_left(cuts, stop))
