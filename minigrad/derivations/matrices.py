"""Jacobians in matrix notation: products of what single ops contribute, diag(v), W.T, I[2:5].

A Jacobian has a row for each element of what is differentiated and a column for each element of
what it is by, both in row-major order. So a layer h @ W contributes W.T, and W @ h contributes W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, make
from minigrad.ops.arithmetic import multiply
from minigrad.ops.core import reshape
from minigrad.ops.creation import eye
from minigrad.ops.index_syntax import getitem
from minigrad.ops.linalg import matmul
from minigrad.rewrite.rules import simplify
from minigrad.rewrite.views import VIEWS
from minigrad.text import LIMIT, formula

_LEAST = 10  # ops shown of a factor at least
_TOLD = 8  # factors shown of a product
_MOST_PATHS = 256  # of a derivation of more, brackets stay
Trail: TypeAlias = "Expr | tuple[Trail, Trail] | None"


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
        shown = called(self.v, style)[0]
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
        shown, strength = called(self.value, style)
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
        return rf"\left({self.inside(style)}\right)" if style.latex else f"({self.inside(style)})"

    def inside(self, style: Style) -> str:
        """The notation without the brackets."""
        return joined([p.text(style) or "I" for p in self.products])

    def times(self, x: Expr) -> Expr:
        """The product with a matrix (n, k)."""
        first, *rest = [p.times(x) for p in self.products]
        for term in rest:
            first = first + term
        return first

    def columns(self, first: int, end: int) -> Sum:
        """Some of its columns."""
        return Sum(tuple([p.columns(first, end) for p in self.products]))

    def opened(self, path: Trail) -> list[Product]:
        """The products without the brackets, of paths that go on with one from where they met."""
        return [replace(p, path=(p.path, path)) for p in self.products]

    @property
    def depth(self) -> int:
        """How many sums stand within each other."""
        return 1 + max(p.depth for p in self.products)


Factor: TypeAlias = Diagonal | Matrix | Sum


@dataclass(frozen=True, eq=False, slots=True)
class Product:
    """A number times a product of matrices; with none it is a multiple of the identity.

    size: of that identity. path: the nodes whose derivatives it is of, a pair of those before the
    last and the last.
    """

    size: int
    scale: float = 1.0
    factors: tuple[Factor, ...] = ()
    path: Trail = None

    def text(self, style: Style) -> str:
        """The notation; '' for the identity."""
        times, between = (r" \, ", r" \, ") if style.latex else (" * ", " @ ")
        number = {1.0: "", -1.0: "-"}.get(self.scale, f"{self.scale:.6g}{times}")
        inside = style._replace(limit=max(_LEAST, style.limit // max(len(self.factors), 1)))
        told = [f.text(inside) for f in self.factors]
        if len(told) > _TOLD:
            told[_TOLD // 2 : -_TOLD // 2] = [r"\cdots" if style.latex else "..."]
        shown = number + between.join(told)
        return shown + "I" if shown and not self.factors else shown

    @property
    def is_a_sum(self) -> bool:
        """Whether it is a sum and nothing else, which needs no brackets by itself."""
        return len(self.factors) == 1 and isinstance(self.factors[0], Sum) and self.scale == 1.0

    def times(self, x: Expr) -> Expr:
        """The product with a matrix (n, k)."""
        for factor in reversed(self.factors):
            x = factor.times(x)
        return x if self.scale == 1.0 else x * self.scale

    def value(self, dtype: Any) -> Expr:
        """The product as one matrix."""
        return self.times(eye(self.size, dtype=dtype))

    @property
    def depth(self) -> int:
        """How many sums stand within each other."""
        return max([f.depth for f in self.factors if isinstance(f, Sum)], default=0)

    def closed(self, dtype: Any) -> Product:
        """The same, as one matrix that is not told in parts."""
        return replace(
            self, scale=1.0, factors=(Matrix(self.value(dtype), ("(...)", r"(\cdots)")),)
        )

    def passed(self, node: Expr) -> Product:
        """The same, of a path that has passed one more node."""
        return replace(self, path=(self.path, node))

    def then(self, scale: float, factor: Factor | None, size: int) -> Product:
        """The product with one more factor; two diagonals side by side are one."""
        factors = self.factors
        if isinstance(factor, Diagonal) and factors and isinstance(factors[-1], Diagonal):
            v = _times(factors[-1].v, reshape(factor.v, factors[-1].v.shape))
            factors = (*factors[:-1], Diagonal(v))
        elif factor is not None:
            factors = (*factors, factor)
        return Product(size, self.scale * scale, factors, self.path)

    def expanded(self) -> list[Product]:
        """The same as a sum of products of which none has a sum in it: one for each path."""
        made = [Product(self.size, self.scale)]
        for factor in self.factors:
            parts = [Product(self.size, factors=(factor,))]
            if isinstance(factor, Sum):
                opened = [p for whole in factor.products for p in whole.expanded()]
                parts = opened if len(made) * len(opened) <= _MOST_PATHS else parts
            made = [a.joined(b) for a in made for b in parts]
        return [replace(p, size=self.size, path=(p.path, self.path)) for p in made]

    def joined(self, other: Product) -> Product:
        """The product of both, one after the other."""
        first, *rest = other.factors or (None,)
        both = self.then(other.scale, first, other.size)
        path = self.path if other.path is None else (self.path, other.path)
        return replace(both, factors=(*both.factors, *rest), path=path)

    @property
    def nodes(self) -> list[Expr]:
        """The nodes of its path, from y on."""
        listed: list[Expr] = []
        waiting: list[Trail] = [self.path]
        while waiting:
            path = waiting.pop()
            if isinstance(path, Expr):
                listed.append(path)
            elif path is not None:
                waiting += path
        return listed[::-1]

    def columns(self, first: int, end: int) -> Product:
        """Some of its columns."""
        if self.factors:
            *before, last = self.factors
            return replace(self, size=end - first, factors=(*before, last.columns(first, end)))
        unit = Matrix(eye(self.size), ("I", "I")).columns(first, end)
        return replace(self, size=end - first, factors=(unit,))


def _times(a: Expr, b: Expr) -> Expr:
    """a * b; of a product b its factors one after the other, so that no brackets are needed."""
    parts = [b]
    while parts[0].op is multiply.op and parts[0].label is None:
        parts[0:1] = parts[0].args
    for part in parts:
        a = make(multiply.op, (a, part))
    return a


def called(node: Expr, style: Style) -> tuple[str, int]:
    """What a node is called, or else its formula; and how strongly that binds."""
    shown = node if node.label is None else placeholder(node.label, node.type)
    return formula(shown, latex=style.latex, limit=style.limit)


def joined(terms: Sequence[str]) -> str:
    """A sum of texts, with a minus where one begins with it.

    >>> joined(["a", "-b * c", "d"]), joined([])
    ('a - b * c + d', '0')
    """
    signed = [f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in terms[1:]]
    return terms[0] + "".join(signed) if terms else "0"
