"""Sums of slices put back in their places, as gradients of slices are.

The gradient of `a` through a[:, 0:H], a[:, H:2H], ... is a sum of scatters, each as large as `a`
and mostly zeros. Added up one by one, n of them cost n² elements; side by side, n.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from heapq import heappush, heapreplace
from typing import NamedTuple

from minigrad.graph.node import Expr, make, rebuild
from minigrad.graph.walk import packed
from minigrad.loop.passes.frame import sums_in
from minigrad.ops.arithmetic import add
from minigrad.ops.core import full, reshape
from minigrad.ops.index import SCATTER, all_of
from minigrad.ops.shape import concat
from minigrad.types import Shape


class _Cut(NamedTuple):
    """The range of an axis that a scatter fills; all of the other axes."""

    start: int
    stop: int
    axis: int
    node: Expr


def join_slices(outputs: Sequence[Expr]) -> list[Expr]:
    """Summands that are slices of one axis become one concat, with zeros in the gaps.

    Only the order of a sum changes: a last digit, where slices overlap or other summands are two.
    """
    concerned = packed(outputs).dependents(SCATTER)
    if not concerned:
        return list(outputs)
    sums = sums_in(outputs, concerned)
    new: dict[Expr, Expr] = {}
    for node in concerned:
        changed = None
        if node in sums:
            changed = _joined([new.get(t, t) for t in sums[node]])
        elif _fills_all(node):
            value = node.args[0]
            changed = reshape(new.get(value, value), node.shape)
        if changed is None:
            changed = rebuild(node, tuple([new.get(a, a) for a in node.args]))
        new[node] = changed
    return [new.get(o, o) for o in outputs]


def _fills_all(node: Expr) -> bool:
    """Whether a scatter has a value for every element, and they stand in order."""
    if node.op is not SCATTER or len(node.args) > 1 or node.args[0].size != node.size:
        return False
    return all(entry[0] != "s" or entry[3] == 1 for entry in node.attrs[0])


def _joined(terms: Sequence[Expr]) -> Expr | None:
    """The sum of the terms, those that can be joined in one; None where there are none."""
    parts: list[Expr] = []
    cuts: dict[int, list[_Cut]] = {}
    for term in terms:
        cut = _cut(term)
        if cut is None:
            parts.append(term)
        else:
            cuts.setdefault(cut.axis, []).append(cut)
    parts += [_side_by_side(row) for group in cuts.values() for row in _rows(group)]
    return reduce(add, parts) if len(parts) < len(terms) else None


def _cut(node: Expr) -> _Cut | None:
    """What a scatter fills; None for what is no scatter, or cuts more than a range of one axis."""
    if node.op is not SCATTER or len(node.args) > 1 or len(node.attrs[0]) != node.ndim:
        return None
    pairs = enumerate(zip(*node.attrs, strict=True))
    cut = [(k, entry) for k, (entry, n) in pairs if entry != ("s", 0, n, 1)]
    if len(cut) != 1:
        return None
    axis, (kind, start, *rest) = cut[0]
    length, step = rest if kind == "s" else (1, 1)
    return _Cut(start, start + length, axis, node) if length and step == 1 else None


def _rows(cuts: Sequence[_Cut]) -> list[list[_Cut]]:
    """The cuts in as few rows as can be, in each of which none overlaps another."""
    rows: list[list[_Cut]] = []
    ends: list[tuple[int, int]] = []  # a heap: (where a row ends, its number)
    for cut in sorted(cuts, key=lambda c: c.start):
        if ends and ends[0][0] <= cut.start:
            number = ends[0][1]
            heapreplace(ends, (cut.stop, number))
        else:
            number = len(rows)
            rows.append([])
            heappush(ends, (cut.stop, number))
        rows[number].append(cut)
    return rows


def _side_by_side(row: Sequence[_Cut]) -> Expr:
    """The sum of a row: one concat, itself put in its place where it does not fill the axis."""
    first, last, node = row[0], row[-1], row[0].node
    if len(row) == 1:
        return node
    shape, axis = node.shape, first.axis

    def resized(length: int) -> Shape:
        return (*shape[:axis], length, *shape[axis + 1 :])

    pieces: list[Expr] = []
    at = first.start
    for cut in row:
        if at < cut.start:
            pieces.append(full(0, node.type.with_shape(resized(cut.start - at))))
        pieces.append(reshape(cut.node.args[0], resized(cut.stop - cut.start)))
        at = cut.stop
    value = concat(pieces, axis)
    if value.shape == shape:
        return value
    spec = list(all_of(shape))
    spec[axis] = ("s", first.start, last.stop - first.start, 1)
    return make(SCATTER, (value,), (tuple(spec), shape))
