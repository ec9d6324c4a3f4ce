"""Indexing along a leading axis: the batch rules of getitem, scatter and put.

NumPy puts the axes that index arrays make where the arrays stand, if they stand side by side, and
first if they do not; an integer beside arrays counts as one of them. A leading axis changes which
of the two it is, so results are permuted back where they have to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.graph.leaves import const
from minigrad.graph.node import Expr, make
from minigrad.ops.core import broadcast_to, reshape


class Lifted(NamedTuple):
    """An index with a leading axis."""

    spec: tuple[Any, ...]
    indices: list[Expr]
    order: list[int]
    """Which axis of what NumPy then gives is which axis of the stack of results."""


def lift_index(
    spec: tuple[Any, ...], indices: Sequence[Expr], many: Sequence[bool], n: int, whole: bool
) -> Lifted:
    """The index for n operands at once.

    many: which indices differ from one to the other, along a first axis.
    whole: whether the operand has the axis too, or is the same for all.
    """
    arrays = [k for k, entry in enumerate(spec) if entry[0] in "ai"]
    beside = bool(arrays) and arrays[-1] - arrays[0] == len(arrays) - 1
    before = sum(entry[0] in "sn" for entry in spec[: arrays[0]]) if beside else 0
    ranks = [a.ndim - m for a, m in zip(indices, many, strict=True)]
    rank = max(ranks, default=0)
    others = sum(entry[0] in "sn" for entry in spec)
    axes = list(range(1 + rank + others)) if indices else list(range(1 + others))
    if not any(many):
        spec = (("s", 0, n, 1), *spec)
        if indices and not beside:
            axes = [rank, *range(rank), *axes[rank + 1 :]]
        return Lifted(spec, list(indices), axes)
    picked = [
        reshape(a, (n, *(1,) * (rank - r), *a.shape[1:])) if m else a
        for a, m, r in zip(indices, many, ranks, strict=True)
    ]
    if not whole:
        return Lifted(spec, picked, [before, *axes[:before], *axes[before + 1 :]])
    rows = const(np.arange(n).reshape((n, *(1,) * rank)))
    if beside and before:
        first, last = 1 + rank, 1 + rank + before
        axes = [0, *axes[first:last], *axes[1:first], *axes[last:]]
    return Lifted((("a",), *spec), [rows, *picked], axes)


def getitem_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """x[index] of n operands, of n indices, or of both."""
    lifted = lift_index(node.attrs[0], args[1:], many[1:], n, many[0])
    return make(node.op, (args[0], *lifted.indices), (lifted.spec,)).transpose(lifted.order)


def scatter_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """Values put into n tensors of zeros."""
    spec, shape = node.attrs
    lifted = lift_index(spec, args[1:], many[1:], n, True)
    values = _laid_out(args[0], many[0], n, lifted.order)
    return make(node.op, (values, *lifted.indices), (lifted.spec, (n, *shape)))


def put_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """Values put into n tensors."""
    lifted = lift_index(node.attrs[0], args[2:], many[2:], n, True)
    x = args[0] if many[0] else broadcast_to(args[0], (n, *args[0].shape))
    values = _laid_out(args[1], many[1], n, lifted.order)
    return make(node.op, (x, values, *lifted.indices), (lifted.spec,))


def _laid_out(values: Expr, many: bool, n: int, order: Sequence[int]) -> Expr:
    """A stack of values as NumPy wants it for a lifted index."""
    stack = values if many else broadcast_to(values, (n, *values.shape))
    return stack.transpose(np.argsort(order).tolist())
