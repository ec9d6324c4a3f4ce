"""Where-masks, and conditions that must hold where a tensor is other than 0.

A condition has as many axes as the tensor, of length 1 along those where it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from minigrad.graph.leaves import CONST, const
from minigrad.graph.node import Expr, Op, make, make_typed
from minigrad.ops.choice import WHERE
from minigrad.ops.comparisons import bitwise_and, logical_and, logical_not, logical_or
from minigrad.ops.core import BROADCAST, RESHAPE, broadcast_to, full, is_zero
from minigrad.types import Shape, TensorType, broadcast_shapes

Conditions: TypeAlias = tuple[Expr, ...]
"""All must hold where an element may be other than 0; of none, any element may."""

_AND = (logical_and.op, bitwise_and.op)
_NEGATED = (logical_not.op, CONST)
MOST = 8
"""Conditions of a mask that are looked at one by one.

Of all of them, a chain of n units with kinks cost n²: 500 relus compiled in 3.9 s for 0.3.
"""
_FOLD_LIMIT = 1 << 16  # elements: larger constants are cheaper to compute than to keep


# --- conditions ---------------------------------------------------------------------------------


def applied(op: Op, args: Sequence[Expr], *attrs: Any) -> Expr:
    """An op of conditions; of constants, a constant."""
    node = make(op, tuple(args), attrs)
    if node.size > _FOLD_LIMIT or any(a.op is not CONST for a in args):
        return node
    return const(op.numpy(*[a.value for a in args], *attrs))


def true(shape: Shape) -> Expr:
    """A condition that always holds."""
    if np.prod(shape) > _FOLD_LIMIT:
        return broadcast_to(const(True), shape)
    return const(np.ones(shape, np.bool_))


def always(condition: Expr) -> bool:
    """Whether a condition is known to hold everywhere."""
    return condition.op is CONST and bool(condition.value.all())


def shaped(condition: Expr, shape: Shape) -> Expr:
    """The same condition with axes of length 1 put in or left out."""
    return condition if condition.shape == shape else applied(RESHAPE, [condition], shape)


def widened(condition: Expr, shape: Shape) -> Expr:
    """The condition for each element."""
    return condition if condition.shape == shape else applied(BROADCAST, [condition], shape)


def both(a: Expr, b: Expr) -> Expr:
    """Whether two conditions hold."""
    return _joined(logical_and.op, a, b)


def either(a: Expr, b: Expr) -> Expr:
    """Whether one of two conditions holds; of opposites, one always does."""
    if _opposed(a, {b}) or _opposed(b, {a}):
        return true((1,) * a.ndim)
    return _joined(logical_or.op, a, b)


def _joined(op: Op, a: Expr, b: Expr) -> Expr:
    if a is b:
        return a
    if a.shape == b.shape:
        return applied(op, [a, b])
    shape = broadcast_shapes(a.shape, b.shape)
    return applied(op, [widened(a, shape), widened(b, shape)])


def negated(condition: Expr) -> Expr:
    """Whether a condition does not hold."""
    if condition.op is logical_not.op:
        return condition.args[0]
    return applied(logical_not.op, [condition])


def _opposed(condition: Expr, others: Container[Expr]) -> bool:
    """Whether the opposite of a condition, itself a negation or known, is among others."""
    return condition.op in _NEGATED and negated(condition) in others


def conjunction(conditions: Sequence[Expr]) -> Expr:
    """Whether all of some conditions hold."""
    # From the last to the first: what stays when one more comes before it is there already.
    return reduce(lambda rest, c: both(c, rest), reversed(conditions))


def compact(condition: Expr) -> Expr:
    """A condition with length 1 along the axes that it repeats itself along."""
    if condition.op is logical_not.op:
        return negated(_without_repeats(condition.args[0]))
    return _without_repeats(condition)


def _without_repeats(condition: Expr) -> Expr:
    views = []
    while condition.op in (BROADCAST, RESHAPE):
        views.append(condition)
        condition = condition.args[0]
    for view in reversed(views):
        if view.op is BROADCAST:
            condition = shaped(condition, (1,) * (view.ndim - condition.ndim) + condition.shape)
        else:
            condition = laid_out(condition, view.args[0].shape, view.shape)
    return condition


def laid_out(condition: Expr, before: Shape, after: Shape) -> Expr:
    """The condition of a tensor of one shape as that of the tensor reshaped to another."""
    if 0 in before:
        return shaped(widened(condition, before), after)
    wide: list[int] = []
    lengths: list[int] = []
    for old, new in _groups(before, after):
        whole = any(condition.shape[k] > 1 for k in old)
        wide += [before[k] if whole else 1 for k in old]
        lengths += [after[k] if whole else 1 for k in new]
    return shaped(widened(condition, tuple(wide)), tuple(lengths))


def _groups(before: Shape, after: Shape) -> Iterator[tuple[range, range]]:
    """The axes that a reshape makes of which, in groups as small as can be."""
    i = j = 0
    while i < len(before) and j < len(after):
        first, a, b = (i, j), before[i], after[j]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                a, i = a * before[i], i + 1
            else:
                b, j = b * after[j], j + 1
        yield range(first[0], i), range(first[1], j)
    yield range(i, len(before)), range(j, len(after))


# --- where-masks --------------------------------------------------------------------------------


def is_where_mask(x: Expr) -> bool:
    """Whether x is a `where` with 0 on one side."""
    return x.op is WHERE and (is_zero(x.args[1]) or is_zero(x.args[2]))


def masked_value(mask: Expr) -> Expr:
    """What a where-mask masks."""
    return mask.args[1] if is_zero(mask.args[2]) else mask.args[2]


def conditions_of(mask: Expr) -> Conditions:
    """The conditions of a where-mask, at most MOST."""
    condition, _, b = mask.args
    if is_zero(b):
        return tuple([compact(c) for c in _parts(compact(condition))])
    return (negated(compact(condition)),)


def _parts(condition: Expr) -> list[Expr]:
    """The conditions of which a condition is the conjunction; what is left of MOST is one."""
    parts: list[Expr] = []
    stack = [condition]
    while stack:
        c = stack.pop()
        if c.op in _AND and len(parts) + len(stack) < MOST:
            stack += reversed(c.args)
        else:
            parts.append(c)
    return parts


def masked_by(conditions: Iterable[Expr], value: Expr) -> Expr:
    """value where all of the conditions hold, else 0."""
    return mask(conditions, value.type)(value)


def mask(conditions: Iterable[Expr], type_: TensorType) -> Callable[[Expr], Expr]:
    """What leaves 0 of values of a type but where all of the conditions hold."""
    needed = dict.fromkeys(conditions)
    if not needed:
        return lambda value: value
    zero = full(0, type_)
    if len(needed) > 1 and any(_opposed(c, needed) for c in needed):
        return lambda value: zero
    condition = conjunction(list(needed))
    other = condition.op is logical_not.op
    wide = broadcast_to(condition.args[0] if other else condition, type_.shape)

    def masked(value: Expr) -> Expr:
        if value is zero:
            return zero
        return make_typed(WHERE, (wide, zero, value) if other else (wide, value, zero), type_)

    return masked
