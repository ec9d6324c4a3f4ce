"""What stands before a derivative that is still to be taken: a gradient, or a Jacobian's product.

A derivation is a sum of terms, each a coefficient times ∂node/∂x. Of a scalar y the coefficient is
the node's adjoint so far, which the reverse sweep makes; of a tensor y it is a product of matrices.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from minigrad.compile.evaluate import eval
from minigrad.derivations.matrices import Diagonal, Matrix, Product, Style, Sum
from minigrad.derivations.rules import Paper, bare
from minigrad.derivatives.api import jacobian, vjp
from minigrad.derivatives.masked import Masked
from minigrad.derivatives.sweep import added, edge_terms
from minigrad.graph.leaves import PARAM, PLACEHOLDER, VAR, const, placeholder
from minigrad.graph.node import Expr, make, rebuild
from minigrad.graph.numpy_call import numpy_call
from minigrad.graph.walk import substitute, toposort
from minigrad.ops.arithmetic import multiply
from minigrad.ops.core import full_like, reshape, sum, uniform_value
from minigrad.rewrite.exact import EXACT
from minigrad.rewrite.rules import simplify
from minigrad.text import formula
from minigrad.types import Array

C = TypeVar("C")
_DEEPEST = 3  # brackets within each other, beyond which they are not told in parts
_LARGEST = 1 << 20  # elements of a matrix of constants that is looked at


class Coefficients(Protocol, Generic[C]):
    """How coefficients of one kind are made, written and multiplied."""

    def first(self, y: Expr) -> C:
        """What stands before ∂y/∂x: 1."""

    def back(self, coefficient: C, node: Expr) -> Sequence[C | None]:
        """By the rule of a node, what stands before the derivatives of its arguments."""

    def added(self, a: C, b: C) -> C:
        """Their sum."""

    def text(self, coefficient: C, name: str, style: Style) -> str:
        """The term; name: of the derivative that is still to be taken, '' for ∂x/∂x = 1."""

    def along(self, coefficients: Sequence[C], tangents: Sequence[Expr]) -> list[Expr]:
        """The coefficients times derivatives along one direction."""

    def whole(self, coefficient: C, node: Expr, x: Expr) -> Expr:
        """The coefficient times ∂node/∂x, of the type that the derivative has."""


@dataclass(frozen=True, eq=False, slots=True)
class Adjoint:
    """An adjoint of the reverse sweep; shown as a textbook has it, unless `is_computed`."""

    value: Expr
    is_computed: bool = False


class Gradients(Coefficients[Adjoint]):
    """Adjoints, each of its node's type; exactly what the reverse sweep of `grad` makes."""

    def __init__(self, active: Collection[Expr]) -> None:
        self._active = active
        self._masked = Masked()
        self._paper = Paper()

    def shown(self, coefficient: Adjoint) -> Expr:
        """An adjoint as it is shown."""
        value = coefficient.value
        return value if coefficient.is_computed else self._paper(value)

    def first(self, y: Expr) -> Adjoint:
        return Adjoint(const(1.0, y.dtype))

    def back(self, coefficient: Adjoint, node: Expr) -> Sequence[Adjoint | None]:
        terms = edge_terms(coefficient.value, node, self._active, self._masked)
        return [None if t is None else Adjoint(t) for t in terms]

    def added(self, a: Adjoint, b: Adjoint) -> Adjoint:
        return Adjoint(added(a.value, b.value))

    def text(self, coefficient: Adjoint, name: str, style: Style) -> str:
        factor = bare(self.shown(coefficient))
        if not name:
            return formula(factor, latex=style.latex, limit=style.limit)[0]
        if uniform_value(factor) == 1:
            return name
        stand_in = placeholder("derivative", factor.type)
        term = make(multiply.op, (factor, stand_in))
        return formula(term, latex=style.latex, limit=style.limit, names={stand_in: name})[0]

    def along(self, coefficients: Sequence[Adjoint], tangents: Sequence[Expr]) -> list[Expr]:
        pairs = zip(coefficients, tangents, strict=True)
        return [sum(self.shown(c) * t) for c, t in pairs]

    def whole(self, coefficient: Adjoint, node: Expr, x: Expr) -> Expr:
        factor = self.shown(coefficient)
        whole: Expr = factor if node is x else vjp(node, x, factor)
        return whole


class Jacobians(Coefficients[Product]):
    """Products of matrices: ∂y/∂node, a row for each element of y, a column for each of node."""

    def __init__(self, active: Collection[Expr], dtype: np.dtype[Any]) -> None:
        self._active = active
        self._dtype = dtype

    def first(self, y: Expr) -> Product:
        return Product(y.size)

    def back(self, coefficient: Product, node: Expr) -> Sequence[Product | None]:
        coefficient = coefficient.passed(node)
        return [
            _times_local(coefficient, node, i) if arg in self._active else None
            for i, arg in enumerate(node.args)
        ]

    def added(self, a: Product, b: Product) -> Product:
        # What both begin with stands before the bracket: or a chain of residual blocks would double
        # with each of them.
        pairs = zip(a.factors, b.factors, strict=False)
        count = len(list(takewhile(lambda pair: pair[0] is pair[1], pairs)))
        terms: list[Product] = []
        for rest in (replace(p, factors=p.factors[count:]) for p in (a, b)):
            alone = rest.factors[0] if rest.is_a_sum else None
            terms += alone.opened(rest.path) if isinstance(alone, Sum) else [rest]
        if max(p.depth for p in terms) >= _DEEPEST:
            terms = [p.closed(self._dtype) for p in terms]
        return Product(a.size, factors=(*a.factors[:count], Sum(tuple(terms))))

    def text(self, coefficient: Product, name: str, style: Style) -> str:
        shown = coefficient.text(style)
        if not name:
            alone = coefficient.factors[0] if coefficient.is_a_sum else None
            return alone.inside(style) if isinstance(alone, Sum) else shown or "I"
        if not coefficient.factors:
            return shown.removesuffix("I") + name
        return shown + (r" \, " if style.latex else " @ ") + name

    def along(self, coefficients: Sequence[Product], tangents: Sequence[Expr]) -> list[Expr]:
        pairs = zip(coefficients, tangents, strict=True)
        return [reshape(c.times(reshape(t, (-1, 1))), -1) for c, t in pairs]

    def whole(self, coefficient: Product, node: Expr, x: Expr) -> Expr:
        if node is x:
            return coefficient.value(x.dtype)
        return coefficient.times(reshape(jacobian(node, x), (node.size, x.size)))


# --- what one op contributes to a Jacobian -------------------------------------------------------


def _times_local(product: Product, node: Expr, i: int) -> Product | None:
    """A product times ∂node/∂(argument i)."""
    op, n = node.op, node.args[i].size
    if op.pointwise:
        v = edge_terms(full_like(node, 1.0), node)[i]
        if v is None:
            return None
        v = simplify(v, EXACT)
        value = uniform_value(v)
        if value is not None:
            return product.then(float(value), None, n)
        return product.then(1.0, Diagonal(Paper()(v)), n)
    if (stated := op.jacobian and op.jacobian(node, i)) is not None:
        return product.then(1.0, Matrix(stated), n)
    if _only_moves(node):
        return product.then(1.0, None, n)
    local = _local(node, i)
    known = _constant(local)
    if known is None:
        return product.then(1.0, Matrix(local, _fraction(node, i)), n)
    if not known.any():
        return None
    place = _place(known)
    if place is not None:
        return product.columns(place, place + n)
    return product.then(1.0, Matrix(const(known), _notation(known, node, i)), n)


def _only_moves(node: Expr) -> bool:
    """Whether a linear op of one argument gives its elements in the same order."""
    if not node.op.jointly or len(node.args) != 1 or node.size != node.args[0].size:
        return False
    x = node.args[0]
    counted: Array = np.arange(x.size, dtype=x.dtype)
    return np.array_equal(
        np.ravel(numpy_call(node)(counted.reshape(x.shape), *node.attrs)), counted
    )


def _local(node: Expr, i: int) -> Expr:
    """∂node/∂(argument i), (node.size, arg.size), of that op alone."""
    arg = node.args[i]
    moved = placeholder("argument", arg.type)
    alone = rebuild(node, (*node.args[:i], moved, *node.args[i + 1 :]))
    local: Expr = substitute(reshape(jacobian(alone, moved), (node.size, arg.size)), {moved: arg})
    return local


def _constant(local: Expr) -> Array | None:
    """The numbers of a matrix that is the same wherever it is taken."""
    if local.size > _LARGEST or any(n.op in (VAR, PARAM, PLACEHOLDER) for n in toposort(local)):
        return None
    return np.asarray(eval(local))


def _place(known: Array) -> int | None:
    """Where in a vector another one is put: the first row of an identity among rows of zeros."""
    rows, n = known.shape
    first = int(known[:, 0].argmax()) if n else 0
    return first if n <= rows and np.array_equal(known, np.eye(rows, n, -first)) else None


def _notation(known: Array, node: Expr, i: int) -> tuple[str, str]:
    """How a matrix of numbers is written."""
    rows, n = known.shape
    first = int(known[0].argmax())
    if np.array_equal(known, np.eye(rows, n, first)):
        return f"I[{first}:{first + rows}]", rf"I\left[{first}:{first + rows}\right]"
    if (known == 1).all() and min(rows, n) == 1:
        return ("1.T", r"\mathbf{1}^{\top}") if rows == 1 else ("1", r"\mathbf{1}")
    return _fraction(node, i)


def _fraction(node: Expr, i: int) -> tuple[str, str]:
    """∂f/∂u as it stands."""
    above, below = ([formula(n, latex=k)[0] for k in (False, True)] for n in (node, node.args[i]))
    return (
        f"∂[{above[0]}]/∂[{below[0]}]",
        rf"\frac{{\partial\, {above[1]}}}{{\partial\, {below[1]}}}",
    )
