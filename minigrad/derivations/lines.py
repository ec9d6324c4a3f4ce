"""What a derivation says after each step, as text, as LaTeX and as an expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

from minigrad.derivations.coefficients import Adjoint, Coefficients
from minigrad.derivations.mathml import mathml
from minigrad.derivations.matrices import Style, called, joined
from minigrad.derivations.rules import bare
from minigrad.derivations.steps import Move, Term
from minigrad.errors import GraphError
from minigrad.graph.node import Expr
from minigrad.ops.core import reshape
from minigrad.ops.creation import zeros
from minigrad.text import LIMIT, formula

_LEAST = 10  # ops shown of a coefficient at least, and of what is still to be differentiated
_TERMS = 6  # terms shown


class Path(NamedTuple):
    """One summand of a Jacobian: the product of matrices along one path, y first."""

    text: str
    latex: str
    value: Expr
    """The product as one matrix, (y.size, x.size)."""
    nodes: tuple[Expr, ...]
    """The nodes that the path passes, from y on, without x."""

    @property
    def mathml(self) -> str:
        """The product for a page, as a `math` element."""
        return mathml(self.latex)


@dataclass(frozen=True, eq=False, repr=False)
class Line:
    """A sum of terms, each a coefficient times ∂node/∂x; one of x itself is the coefficient alone.

    A coefficient is the adjoint of its node where y is a scalar, and else a product of matrices.
    """

    terms: tuple[Term, ...]
    y: Expr
    x: Expr
    kind: Coefficients[Any]

    def __repr__(self) -> str:
        return self._written(latex=False)

    def latex(self) -> str:
        """The line in LaTeX."""
        return self._written(latex=True)

    def _written(self, latex: bool) -> str:
        told = self.terms if len(self.terms) <= _TERMS + 1 else self.terms[:_TERMS]
        style = Style(latex, max(_LEAST, LIMIT // max(len(told), 1)))
        shown = [
            self.kind.text(t.coefficient, fraction(t.node, self.x, style), style) for t in told
        ]
        more = len(self.terms) - len(told)
        if more:
            words = f"{more:,} more terms"
            shown.append(rf"\text{{{words}}}" if latex else f"({words})")
        return joined(shown)

    @property
    def paths(self) -> list[Path]:
        """The summands of the derivative of a tensor where all brackets are opened, when nothing is
        left to be taken. Raises GraphError for another line."""
        if any(t.node is not self.x or isinstance(t.coefficient, Adjoint) for t in self.terms):
            raise GraphError("only the last line of the derivation of a tensor has paths")
        return [
            Path(
                p.text(Style()) or "I",
                p.text(Style(latex=True)) or "I",
                p.value(self.x.dtype),
                tuple(p.nodes),
            )
            for t in self.terms
            for p in t.coefficient.expanded()
        ]

    @property
    def value(self) -> Expr:
        """The line as an expression, in which the derivatives that are still to be taken are.

        Of a scalar y it has the shape of x, else y.shape + x.shape.
        """
        shape = self.y.shape + self.x.shape
        total = zeros(shape, self.x.dtype)
        for k, t in enumerate(self.terms):
            term = reshape(self.kind.whole(t.coefficient, t.node, self.x), shape)
            total = total + term if k else term
        return total


def fraction(node: Expr, x: Expr, style: Style) -> str:
    """∂node/∂x as it is written; '' for ∂x/∂x."""
    node = bare(node)
    if node is x:
        return ""
    by = formula(x, latex=style.latex)[0]
    if not style.latex:
        above = node.name or f"[{formula(node, limit=_LEAST)[0]}]"
        return f"∂{above}/∂{by}"
    if node.name:
        return rf"\frac{{\partial {called(node, style)[0]}}}{{\partial {by}}}"
    inside = formula(node, latex=True, limit=_LEAST)[0]
    return rf"\frac{{\partial}}{{\partial {by}}}\left[{inside}\right]"


class Lines:
    """The lines of a derivation by number, the first before any step.

    They are made from what the steps change, and the last that was asked for is kept, so that
    reading all of them in order takes a change each.
    """

    def __init__(
        self, start: Term, moves: Sequence[Move], y: Expr, x: Expr, kind: Coefficients[Any]
    ) -> None:
        self._start, self._moves = start, moves
        self._of = (y, x, kind)
        self._place, self._terms = 0, [start]

    def __getitem__(self, k: int) -> Line:
        if k < self._place:
            self._place, self._terms = 0, [self._start]
        while self._place < k:
            self._change(self._moves[self._place])
            self._place += 1
        return Line(tuple(self._terms), *self._of)

    def _change(self, move: Move) -> None:
        first = self._terms.index(move.gone[0])
        for term in move.gone:
            self._terms.remove(term)
        self._terms[first:first] = move.come


# --- steps ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """One step of a derivation.

    rule: its name, as a textbook has it: "product rule", "chain rule: tanh′(u) = 1 - tanh(u) ^ 2",
        "sum of paths", or that of a rewrite.
    at: the node that it is applied to.
    still: the node's arguments that do not depend on what the derivative is taken by.
    """

    number: int
    rule: str
    at: Expr
    still: tuple[Expr, ...]
    move: Move
    lines: Lines

    @property
    def before(self) -> Line:
        """What the whole derivation says before this step."""
        return self.lines[self.number - 1]

    @property
    def after(self) -> Line:
        """What the whole derivation says after this step."""
        return self.lines[self.number]

    def __repr__(self) -> str:
        return f"<step {self.number}, {self.rule}: {self.after}>"


class Steps(Sequence[Step]):
    """The steps of a derivation, made when they are asked for."""

    def __init__(self, moves: Sequence[Move], lines: Lines) -> None:
        self._moves, self._lines = moves, lines

    def __len__(self) -> int:
        return len(self._moves)

    @overload
    def __getitem__(self, k: int) -> Step: ...
    @overload
    def __getitem__(self, k: slice) -> list[Step]: ...
    def __getitem__(self, k: int | slice) -> Step | list[Step]:
        if isinstance(k, slice):
            return [self[i] for i in range(len(self))[k]]
        number = range(1, len(self) + 1)[k]
        move = self._moves[number - 1]
        return Step(number, move.rule.text(), move.at, move.still, move, self._lines)

    def __repr__(self) -> str:
        return f"<{len(self):,} steps>"
