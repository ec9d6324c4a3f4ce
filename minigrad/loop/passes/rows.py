"""Rows of matrices: those that were looked up in a table, and masks of whole rows.

A row that a mask leaves out is read by nobody; nor is it added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from minigrad.derivatives.conditions import (
    Conditions,
    conditions_of,
    conjunction,
    is_where_mask,
    laid_out,
    masked_by,
    masked_value,
    widened,
)
from minigrad.derivatives.support import Support
from minigrad.graph.leaves import const
from minigrad.graph.node import Expr, make
from minigrad.graph.walk import depend_on, substitute
from minigrad.loop.body import Call
from minigrad.loop.node import SCAN
from minigrad.ops.batch import batched
from minigrad.ops.core import RESHAPE, broadcast_to, reshape
from minigrad.ops.index import ARRAY, GETITEM, SCATTER, Spec, all_of
from minigrad.ops.tuples import ITEM
from minigrad.types import Shape

# Rows read, to rows of the table, and the width of its rows. Below, what the product saves is about
# what it costs to read, and add up, the products' rows. A step of a net of 64 units over 2,048 rows
# of 64, native, one thread: 5.4 ms became 2.8 with rows of 128, 3.7 2.8 with 64, 3.0 2.5 with 32,
# and 2.8 stayed 2.8 with 16.
_MANY, _WIDE = 2, 32

_Key: TypeAlias = tuple[Expr, Shape]


def add_rows(rows: Expr, index: Expr, n: int, conditions: Conditions) -> Expr:
    """(n, ·): the rows for which the conditions hold added up, each where the index says."""
    values = reshape(rows, (*index.shape, rows.shape[-1]))
    known = _known(values)
    values = masked_by([c for c in conditions if _key(c) not in known], values)
    return make(SCATTER, (values, index), (rows_of(rows), (n, rows.shape[-1])))


def is_read(index: Expr, n: int, conditions: Conditions) -> Expr:
    """(n, 1): which of n rows an index reads where the conditions hold."""
    values = broadcast_to(const(True), index.shape)
    if conditions:
        values = reshape(widened(conjunction(conditions), (*index.shape, 1)), index.shape)
    return reshape(make(SCATTER, (values, index), ((ARRAY,), (n,))), (n, 1))


def unmasked(node: Expr) -> tuple[Conditions, Expr]:
    """What is within the reshapes and the masks of whole rows of a node, and their conditions."""
    conditions: list[Expr] = []
    while node.op is RESHAPE or is_where_mask(node):
        if node.op is RESHAPE:
            (inner,) = node.args
            here = [laid_out(c, node.shape, inner.shape) for c in conditions]
        else:
            inner = masked_value(node)
            here = [*conditions, *conditions_of(node)]
        if any(c.shape[-1:] != (1,) for c in here):
            break
        node, conditions = inner, here
    return tuple({_key(c): c for c in conditions}.values()), node


def _known(values: Expr) -> set[_Key]:
    """What holds wherever values that a loop gave out are other than 0."""
    stack = within_reshapes(values)
    if stack.op is not ITEM or stack.args[0].op is not SCAN:
        return set()
    call = Call.of(stack.args[0])
    conditions = Support().of(call.body.outputs[stack.attrs[0]])
    if stack.attrs[0] < call.body.n_carry or depends(conditions, call.body.carries):
        return set()
    stacks = over_steps(call, conditions)
    return {_key(laid_out(c, stack.shape, values.shape)) for c in stacks}


def over_steps(call: Call, conditions: Conditions) -> list[Expr]:
    """Conditions that depend on no carry, for all steps at once."""
    constants = dict(call.constants)
    within = [substitute(c, constants) for c in conditions]
    return batched(within, call.xs, call.loop.length)


def depends(conditions: Conditions, carries: Sequence[Expr]) -> bool:
    moving = depend_on(carries, conditions)
    return any(c in moving for c in conditions)


def _key(condition: Expr) -> _Key:
    """What is the same for conditions that are, however they were brought into their shape."""
    return within_reshapes(condition), condition.shape


def within_reshapes(node: Expr) -> Expr:
    """What a node is, before it was reshaped."""
    while node.op is RESHAPE:
        (node,) = node.args
    return node


def adds_many(node: Expr) -> bool:
    """Whether many floating rows are added up to few, by one array of indices."""
    if node.op is not SCATTER or not node.type.is_float:
        return False
    return _many_rows(node, node.attrs[0], node.args[1:])


def reads_many(node: Expr) -> bool:
    """Whether many whole rows of a table are read by one array of indices."""
    return node.op is GETITEM and _many_rows(node.args[0], node.attrs[0], node.args[1:])


def _many_rows(table: Expr, spec: Spec, arrays: Sequence[Expr]) -> bool:
    """Whether an index is one array, for whole rows of a table of few, wide ones."""
    if len(arrays) != 1 or table.ndim != 2 or not table.size or spec != rows_of(table):
        return False
    return arrays[0].size >= _MANY * table.shape[0] and table.shape[1] >= _WIDE


class Rows(NamedTuple):
    """The rows of a matrix: those of a table where conditions hold, else 0."""

    table: Expr
    places: Expr
    conditions: Conditions
    """Each (..., 1), of a shape that stretches to that of the places and 1."""


def looked_up(matrix: Expr) -> Rows | None:
    """The rows of a matrix, if they are many ones of a table."""
    conditions, read = unmasked(matrix)
    if not reads_many(read):
        return None
    table, index = read.args
    whole = matrix.shape == (index.size, table.shape[1])
    return Rows(table, index, conditions) if whole else None


def rows_of(matrix: Expr) -> Spec:
    """The index of whole rows, by an array."""
    return (ARRAY, *all_of(matrix.shape)[1:])
