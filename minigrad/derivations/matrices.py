"""Jacobians in matrix notation: products of what single ops contribute, diag(v), W.T, I[2:5].

A Jacobian has a row for each element of what is differentiated and a column for each element of
what it is by, both in row-major order. So a layer h @ W contributes W.T, and W @ h contributes W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from minigrad.graph.node import Expr, make
from minigrad.ops.arithmetic import multiply
from minigrad.ops.core import reshape
from minigrad.ops.creation import eye
from minigrad.ops.index_syntax import getitem
from minigrad.ops.linalg import matmul
from minigrad.rewrite.rules import simplify
from minigrad.rewrite.views import VIEWS
from minigrad.text import LIMIT, formula


class Style(NamedTuple):
    """How a formula is written; limit: ops of a coefficient, or of a factor, that are shown."""

    latex: bool = False
    limit: int = LIMIT


@dataclass(frozen=True, eq=False, slots=True)
class Diagonal:
    """diag(v): what an elementwise op contributes; v is the tensor of its partial derivatives."""

    v: Expr

    def text(self, style: Style) -> str:
        """The notation."""
        shown = formula(self.v, latex=style.latex, limit=style.limit)[0]
        return rf"\operatorname{{diag}}\left({shown}\right)" if style.latex else f"diag({shown})"

    def times(self, x: Expr) -> Expr:
        """The product with a matrix (n, k)."""
        return reshape(self.v, (-1, 1)) * x

    def columns(self, first: int, end: int) -> Matrix:
        """Some of its columns."""
        n = self.v.size
        whole = reshape(self.v, (1, n)) * eye(n, dtype=self.v.dtype)
        shown = [f"{self.text(style)}[:, {first}:{end}]" for style in (Style(), Style(latex=True))]
        return Matrix(getitem(whole, (slice(None), slice(first, end))), (shown[0], shown[1]))


@dataclass(frozen=True, eq=False, slots=True)
class Matrix:
    """A matrix that is an expression, or that has a notation of its own: (text, LaTeX)."""

    value: Expr
    notation: tuple[str, str] | None = None

    def text(self, style: Style) -> str:
        """The notation."""
        if self.notation is not None:
            return self.notation[style.latex]
        shown, strength = formula(self.value, latex=style.latex, limit=style.limit)
        return shown if strength > 7 else rf"\left({shown}\right)" if style.latex else f"({shown})"

    def times(self, x: Expr) -> Expr:
        """The product with a matrix (n, k)."""
        return matmul(self.value, x)

    def columns(self, first: int, end: int) -> Matrix:
        """Some of its columns."""
        part = getitem(self.value, (slice(None), slice(first, end)))
        if self.notation is None:
            return Matrix(simplify(part, VIEWS))
        text, latex = self.notation
        return Matrix(part, (f"{text}[:, {first}:{end}]", rf"{latex}\left[:, {first}:{end}\right]"))


@dataclass(frozen=True, eq=False, slots=True)
class Sum:
    """A sum of products in brackets: what several paths contribute."""

    products: tuple[Product, ...]

    def text(self, style: Style) -> str:
        """The notation."""
        inside = joined([p.text(style) or "I" for p in self.products])
        return rf"\left({inside}\right)" if style.latex else f"({inside})"

    def times(self, x: Expr) -> Expr:
        """The product with a matrix (n, k)."""
        first, *rest = [p.times(x) for p in self.products]
        for term in rest:
            first = first + term
        return first

    def columns(self, first: int, end: int) -> Sum:
        """Some of its columns."""
        return Sum(tuple([p.columns(first, end) for p in self.products]))


Factor: TypeAlias = Diagonal | Matrix | Sum


@dataclass(frozen=True, eq=False, slots=True)
class Product:
    """A number times a product of matrices; with none it is a multiple of the identity.

    size: of that identity.
    """

    size: int
    scale: float = 1.0
    factors: tuple[Factor, ...] = ()

    def text(self, style: Style) -> str:
        """The notation; '' for the identity."""
        number = {1.0: "", -1.0: "-"}.get(self.scale, f"{self.scale:.6g}" + r" \, " * style.latex)
        if not style.latex and number not in ("", "-") and self.factors:
            number += " * "
        between = r" \, " if style.latex else " @ "
        shown = number + between.join([f.text(style) for f in self.factors])
        return shown + "I" if shown and not self.factors else shown

    def times(self, x: Expr) -> Expr:
        """The product with a matrix (n, k)."""
        for factor in reversed(self.factors):
            x = factor.times(x)
        return x if self.scale == 1.0 else x * self.scale

    def value(self, dtype: Any) -> Expr:
        """The product as one matrix."""
        return self.times(eye(self.size, dtype=dtype))

    def then(self, scale: float, factor: Factor | None, size: int) -> Product:
        """The product with one more factor; two diagonals side by side are one."""
        factors = self.factors
        if isinstance(factor, Diagonal) and factors and isinstance(factors[-1], Diagonal):
            v = factors[-1].v
            factors = (*factors[:-1], Diagonal(make(multiply.op, (v, reshape(factor.v, v.shape)))))
        elif factor is not None:
            factors = (*factors, factor)
        return Product(size, self.scale * scale, factors)

    def columns(self, first: int, end: int) -> Product:
        """Some of its columns."""
        if self.factors:
            *before, last = self.factors
            return replace(self, size=end - first, factors=(*before, last.columns(first, end)))
        unit = Matrix(eye(self.size), ("I", "I")).columns(first, end)
        return replace(self, size=end - first, factors=(unit,))


def joined(terms: Sequence[str]) -> str:
    """A sum of texts, with a minus where one begins with it.

    >>> joined(["a", "-b * c", "d"]), joined([])
    ('a - b * c + d', '0')
    """
    signed = [f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in terms[1:]]
    return terms[0] + "".join(signed) if terms else "0"
