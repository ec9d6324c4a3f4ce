"""Products of cotangents that are 0 where the other factor may be infinite or NaN.

where(c, a, 0) * b = where(c, a * b, 0): an element that nobody read has derivative 0, not 0·∞.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from minigrad.derivatives.conditions import is_where_mask, mask, masked_by, shaped
from minigrad.derivatives.support import Support, along
from minigrad.graph.node import Expr, Op, Terms, make, make_typed, rebuild
from minigrad.graph.walk import walk
from minigrad.ops.arithmetic import add, divide, multiply, negative, subtract
from minigrad.ops.choice import WHERE
from minigrad.ops.core import CONSTANTS, full, is_zero, uniform_value
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import PERMUTE, matrix_transpose
from minigrad.rewrite.exact import folded


class Masked:
    """Products in which what is 0 stays 0, whatever it meets; of one sweep."""

    def __init__(self) -> None:
        self._support = Support()
        self._ways: dict[Expr, tuple[Expr, Callable[[Expr], Expr] | None]] = {}
        """By cotangents: what is multiplied in their place, and the mask of the product, if any."""

    def negated(self, cotangent: Expr) -> Expr:
        """-cotangent."""
        return _within(cotangent, lambda x, of: _negative(x))

    def times(self, cotangent: Expr, factor: Expr) -> Expr:
        """cotangent * factor, 0 where the cotangent is, or where the factor is masked."""
        way = self._ways.get(cotangent)
        if way is None:
            conditions = self._support.of(cotangent)
            value = _unmasked(cotangent) if conditions else cotangent
            masked = mask(conditions, value.type) if conditions else None
            way = self._ways[cotangent] = value, masked
        value, masked = way
        # Most products; a cotangent has many, of a net's unit one for each weight.
        if factor.op is WHERE or (
            masked is not None and (factor.op in CONSTANTS or cotangent.op is SCATTER)
        ):
            return self._product(multiply.op, (cotangent, factor), 0)
        product = _multiplied(value, factor)
        if value.op not in CONSTANTS:  # else it may be 0 where the factor is
            self._support.note_anywhere(product)
        return product if masked is None else masked(product)

    def terms(self, terms: Terms, cotangent: Expr, node: Expr) -> Terms:
        """The terms of a node's rule, with the products that the rule has written masked."""
        ends = {cotangent, node, *node.args}
        new = {cotangent: cotangent}
        present = [t for t in terms if t is not None]
        for n, args in walk(present, lambda n: () if n in ends else n.args).items():
            if any(a in new for a in args):
                new[n] = self._made(n, args, new)
        # Of a node of which nobody reads anything, nothing comes back, whatever its rule does.
        whole = [c for c in self._support.of(cotangent) if c.size == 1]
        return [None if t is None else _left_out(new.get(t, t), whole) for t in terms]

    def _made(self, node: Expr, before: Sequence[Expr], new: Mapping[Expr, Expr]) -> Expr:
        args = tuple([new.get(a, a) for a in before])
        moving = [k for k, a in enumerate(before) if a in new]
        if node.op in (multiply.op, divide.op) and len(moving) == 1:
            return self._product(node.op, args, moving[0])
        if node.op is MATMUL:
            return self._matmul(*args)
        if node.op is negative.op:
            return self.negated(*args)
        return rebuild(node, args)

    def _product(self, op: Op, args: tuple[Expr, ...], moving: int) -> Expr:
        """A product, or a quotient, of a cotangent and a factor."""
        cotangent, factor = args[moving], args[1 - moving]
        conditions = () if op is divide.op and moving else self._support.of(cotangent)
        if factor.op is WHERE and op is multiply.op:
            conditions += self._support.of(factor)
        if not conditions:
            return make(op, args)

        def made(x: Expr, other: Expr) -> Expr:
            if op is multiply.op:
                return _multiplied(x, other)
            return make_typed(op, (other, x) if moving else (x, other), x.type)

        if uniform_value(factor) is not None:
            return _within(cotangent, lambda x, of: made(x, of(factor)))
        if (
            cotangent.op is SCATTER
            and factor.op is not WHERE
            and not self._support.of(cotangent.args[0])
        ):
            return _within(cotangent, lambda x, of: made(x, of(factor)))
        other = _unmasked(factor) if op is multiply.op else factor
        return masked_by(conditions, made(_unmasked(cotangent), other))

    def _matmul(self, a: Expr, b: Expr) -> Expr:
        """a @ b: what whole rows or columns of zeros meet is masked too, or they meet NaN there."""
        left, right = self._support.of(a), self._support.of(b)
        if not left and not right:
            return make(MATMUL, (a, b))
        a = _masked_operand(a, along(right, -1))
        b = _masked_operand(b, along(left, -2))
        return masked_by((*along(left, -1), *along(right, -2)), make(MATMUL, (a, b)))


def _within(x: Expr, change: Callable[[Expr, Callable[[Expr], Expr]], Expr]) -> Expr:
    """x, changed in a way that leaves 0 as it is; of a mask, what it masks.

    change(values, of), where of(y) is of another tensor what lies in the places of the values.
    """
    if x.op is SCATTER:
        values = change(x.args[0], lambda y: _taken(y, x))
        return make(SCATTER, (values, *x.args[1:]), x.attrs)
    if not is_where_mask(x):
        return change(x, lambda y: y)
    condition, *sides = x.args
    return make(WHERE, (condition, *[s if is_zero(s) else change(s, lambda y: y) for s in sides]))


def _multiplied(value: Expr, factor: Expr) -> Expr:
    """value * factor, as a compiled function would rewrite it, and all that reads it after it."""
    for a, b in ((value, factor), (factor, value)):
        if a.op in CONSTANTS and (number := uniform_value(a)) is not None:
            if number == 1:
                return b
            if number == -1:
                return _negative(b)
            if b.op in CONSTANTS:
                return folded(make_typed(multiply.op, (value, factor), value.type))
        if a.op is negative.op:
            return _negative(_multiplied(a.args[0], b))
    return make_typed(multiply.op, (value, factor), value.type)


def _negative(x: Expr) -> Expr:
    value = uniform_value(x)
    if value is not None:
        return full(-value, x.type)
    if x.op is subtract.op:
        a, b = x.args
        if a.op is negative.op:
            return make_typed(add.op, (b, a.args[0]), x.type)
        return make_typed(subtract.op, (b, a), x.type)
    return x.args[0] if x.op is negative.op else make_typed(negative.op, (x,), x.type)


def _left_out(term: Expr, conditions: Sequence[Expr]) -> Expr:
    return masked_by([shaped(c, (1,) * term.ndim) for c in conditions], term)


def _taken(x: Expr, scatter: Expr) -> Expr:
    """The elements of x in the places that a scatter fills."""
    value = uniform_value(x)
    if value is not None:
        return full(value, scatter.args[0].type)
    return make(GETITEM, (x, *scatter.args[1:]), scatter.attrs[:1])


def _unmasked(x: Expr) -> Expr:
    while is_where_mask(x):
        x = x.args[2] if is_zero(x.args[1]) else x.args[1]
    return x


def _masked_operand(x: Expr, conditions: Sequence[Expr]) -> Expr:
    """An operand of a product, 0 where the other is; what stands transposed is masked before."""
    needed = [matrix_transpose(c) for c in conditions if c.shape[-2:] != (1, 1)]
    if x.op is PERMUTE and x is matrix_transpose(x.args[0]):
        return matrix_transpose(masked_by([matrix_transpose(c) for c in needed], x.args[0]))
    return masked_by(needed, x)
