"""Rules for matrix products of masks: conditions that are the same along whole rows."""

from __future__ import annotations

import itertools

from minigrad.graph.node import Expr, make
from minigrad.ops.arithmetic import add
from minigrad.ops.choice import WHERE
from minigrad.ops.comparisons import logical_not
from minigrad.ops.core import BROADCAST, RESHAPE, broadcast_to, reshape
from minigrad.ops.index import SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, PERMUTE, matrix_transpose
from minigrad.rewrite.conditions import conditions_of, is_where_mask, masked_by, parts_of
from minigrad.rewrite.driver import Rule
from minigrad.types import Shape


def _mask_past_product(node: Expr) -> Expr | None:
    """where(c, g, 0) · b = where(c, g · b, 0) where c masks rows of g: what comes next moves in."""
    for k, along in ((0, -1), (1, -2)):
        if is_where_mask(node.args[k]):
            conditions, value = _conditions(node.args[k], along)
            rows = {c: r for c in conditions if (r := _row(c, along)) is not None}
            if rows:
                inner = masked_by([c for c in conditions if c not in rows], value)
                product = make(MATMUL, (*node.args[:k], inner, *node.args[k + 1 :]))
                return masked_by([_spread(r, node.shape) for r in rows.values()], product)
    return None


def _mask_operand(node: Expr) -> Expr | None:
    """x · where(c, g, 0) = where(c, x, 0) · where(c, g, 0) where c masks whole rows of g.

    A row of zeros that nobody asked for meets NaN in x: padding of a batch under a mask.
    """
    for k in (0, 1):
        masked, other = node.args[k], node.args[1 - k]
        if masked.shape[:-2] != other.shape[:-2]:
            return None
        rows = _rows_of(masked, along=k - 2)
        # A row condition of one operand, (..., n, 1) or (..., 1, n), is the other's turned; what
        # stands transposed is masked before it is turned, where it lies.
        turned = _is_transposed(other)
        inner = _transposed(other) if turned else other
        needed = [_spread(r if turned else _transposed(r), inner.shape) for r in rows]
        # What is the same along the axis that is summed would move out of the product again.
        summed = -1 - k if turned else k - 2
        present = {_plain(c) for c in _all_conditions(inner)} if needed else set()
        missing = [
            c
            for c in itertools.chain.from_iterable(map(parts_of, needed))
            if _plain(c) not in present and _row(c, summed) is None
        ]
        if missing:
            safe = masked_by(missing, inner)
            safe = matrix_transpose(safe) if turned else safe
            return make(MATMUL, (masked, safe) if k == 0 else (safe, masked))
    return None


def _all_conditions(x: Expr) -> list[Expr]:
    """The conditions of a where-mask, however many, and of what it masks; of others none."""
    conditions: list[Expr] = []
    while is_where_mask(x):
        some, x = conditions_of(x)
        conditions += itertools.chain.from_iterable(map(parts_of, some))
    return conditions


def _is_transposed(x: Expr) -> bool:
    return x.op is PERMUTE and x is matrix_transpose(x.args[0])


def _transposed(x: Expr) -> Expr:
    return x if not x.ndim else x.args[0] if _is_transposed(x) else matrix_transpose(x)


def _rows_of(x: Expr, along: int) -> list[Expr]:
    """The conditions that mask x and are the same all along an axis, of length 1 there.

    They are looked for in the parts of sums and of concatenations too, as packed gates have them.
    """
    shared: list[Expr] | None = None
    stack = [x]
    while stack and shared != []:
        node = stack.pop()
        if is_where_mask(node):
            conditions = (_row(c, along) for c in _conditions(node, along)[0])
            rows = [r for r in conditions if r is not None]
            shared = rows if shared is None else [r for r in shared if r in frozenset(rows)]
        elif node.op is add.op or (node.op is CONCAT and node.attrs[0] == node.ndim + along):
            stack += node.args
        elif _puts_along(node, along):
            stack.append(node.args[0])
        else:
            return []
    return shared or []


def _conditions(mask: Expr, along: int) -> tuple[list[Expr], Expr]:
    """As conditions_of, but what is left of many conditions is told apart where all are rows."""
    (*first, last), value = conditions_of(mask)
    rest = parts_of(last)
    return [*first, *(rest if all(_row(c, along) is not None for c in rest) else [last])], value


def _puts_along(node: Expr, along: int) -> bool:
    """Whether a node is a scatter of slices that leave all but one axis whole."""
    if node.op is not SCATTER or len(node.args) > 1 or len(node.attrs[0]) != node.ndim:
        return False
    spec, shape = node.attrs
    return all(
        entry[0] == "s" and (k == node.ndim + along or entry == ("s", 0, shape[k], 1))
        for k, entry in enumerate(spec)
    )


def _row(condition: Expr, along: int) -> Expr | None:
    """A condition that is the same along an axis, with length 1 there or no axes; else None."""
    if condition.op is logical_not.op:
        row = _row(condition.args[0], along)
        return None if row is None else logical_not(row)
    source, shape = _source(condition)
    while source.op is RESHAPE:
        source = source.args[0]
    return reshape(source, shape) if not shape or shape[along] == 1 else None


def _source(condition: Expr) -> tuple[Expr, Shape]:
    """What a condition repeats, and in which shape it does so, of as many axes as the condition.

    Shape () where all elements have one answer.
    """
    source = condition
    while source.op in (BROADCAST, RESHAPE) and source.size != 1:
        source = source.args[0]
    if source.size == 1:
        return source, ()
    # Broadcasts alone leave each axis where it is, counted from the last; a reshape may not.
    source = condition
    while source.op is BROADCAST:
        source = source.args[0]
    shape = (1,) * (condition.ndim - source.ndim) + source.shape
    return source, shape


def _laid_flat(x: Expr) -> Expr:
    """What has the same elements in the same order as x, without the views that only reshape it."""
    while x.op in (BROADCAST, RESHAPE, PERMUTE) and x.args[0].size == x.size:
        if x.op is PERMUTE:
            longer = [k for k in x.attrs[0] if x.args[0].shape[k] != 1]
            if longer != sorted(longer):
                break
        x = x.args[0]
    return x


def _plain(condition: Expr) -> tuple[bool, Expr, Shape]:
    """A condition by what it repeats: the same for all ways to write one.

    Told apart by nodes, two ways to write one went from operand to operand without end.
    """
    negated = condition.op is logical_not.op
    source, shape = _source(condition.args[0] if negated else condition)
    source = _laid_flat(source)
    while source.op is logical_not.op:
        source, negated = _laid_flat(source.args[0]), not negated
    return negated, source, shape


def _spread(row: Expr, shape: Shape) -> Expr:
    """A row of conditions in a shape; written as `where` writes it, so that equals are one node."""
    if row.op is logical_not.op:
        return logical_not(broadcast_to(row.args[0], shape))
    return broadcast_to(row, shape)


PRODUCT_MASKS: tuple[Rule, ...] = (
    Rule("mask past a product", MATMUL, _mask_past_product, False, WHERE),
    *(
        Rule("mask an operand", MATMUL, _mask_operand, False, child)
        for child in (WHERE, add.op, CONCAT, SCATTER)
    ),
)
