"""What users call: `derive`, and the derivation that it gives, which shows and checks itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from minigrad.derivations.checking import checked
from minigrad.derivations.coefficients import Adjoint, Coefficients, Gradients, Jacobians
from minigrad.derivations.lines import Lines, Step, Steps
from minigrad.derivations.rules import RuleName
from minigrad.derivations.shown import Told, as_html, as_latex, as_text
from minigrad.derivations.steps import Move, Term, rewritten, swept
from minigrad.derivatives.api import jacobian
from minigrad.derivatives.sweep import active_nodes
from minigrad.display import bundle
from minigrad.errors import DTypeError
from minigrad.graph.leaves import PARAM, VAR, placeholder
from minigrad.graph.node import Expr, describe, require_expr
from minigrad.graph.walk import substitute, toposort
from minigrad.names import public
from minigrad.ops.creation import zeros_like
from minigrad.rewrite.rules import simplified, simplify, stabilised
from minigrad.text import to_str

_NAMED_BY = 6  # ops of what stands for the name of a node that has none


class Derivation:
    """How a derivative is found, step by step; see `derive`.

    y, x: what is differentiated, and what by.
    steps: a sequence of `Step`.
    """

    def __init__(self, y: Expr, x: Expr) -> None:
        for part in (y, x):
            require_expr(part, "derive")
            if not part.type.is_float:
                raise DTypeError(f"cannot derive with {describe(part)}: it is not of a float dtype")
        self.y, self.x = y, x
        self._inner = (
            x
            if x.op in (VAR, PARAM)
            else placeholder(x.name or f"[{to_str(x, _NAMED_BY)}]", x.type)
        )
        self._outer = y if self._inner is x else substitute(y, {x: self._inner})
        stable, fired = stabilised(self._outer)
        active = active_nodes(toposort(stable), [self._inner])
        self._kind: Coefficients[Any] = Jacobians(active, y.dtype) if y.shape else Gradients(active)
        self._start = Term(self._kind.first(self._outer), self._outer)
        self._moves: list[Move] = []
        now = self._start
        for rule, at, new in rewritten(self._outer, fired, stable):
            now = self._rewrite(rule, at, now, Term(self._kind.first(new), new))
        moves, last = swept(now, self._inner, self._kind)
        self._moves += moves
        self._result: Expr | None = None
        if isinstance(self._kind, Gradients) and last is not None:
            self._result = self._simplify(last, self._kind)
        lines = Lines(self._start, self._moves, self._outer, self._inner, self._kind)
        self.steps: Sequence[Step] = Steps(self._moves, lines)
        self._told = Told(self._outer, self._inner, self.steps)

    def _rewrite(self, words: str, at: Expr, gone: Term, come: Term) -> Term:
        self._moves.append(Move(RuleName(words), at, (gone,), (come,)))
        return come

    def _simplify(self, last: Term, kind: Gradients) -> Expr:
        """From the sweep's last term to the result by rewrites, one at a time."""
        x, now = self._inner, last
        paper = kind.shown(last.coefficient)
        simple, fired = simplified(paper)
        for rule, at, new in rewritten(paper, fired, simple):
            now = self._rewrite(rule, at, now, Term(Adjoint(new), x))
        value = last.coefficient.value
        computed = simple if value is paper else simplify(value)
        if computed is not simple:
            self._rewrite("as minigrad computes it", x, now, Term(Adjoint(computed, True), x))
        return computed

    @cached_property
    def result(self) -> Expr:
        """The derivative: `simplify(grad(y, x))` of a scalar y, else `simplify(jacobian(y, x))`."""
        if self._result is None:
            whole: Expr = simplify(jacobian(self.y, self.x) if self.y.shape else zeros_like(self.x))
            return whole
        back: Expr = substitute(self._result, {self._inner: self.x})
        return back

    def check(
        self, at: Mapping[Any, Any] | None = None, *, seed: int = 0, rtol: float = 1e-6
    ) -> float:
        """Compare what each step makes with what was there, and all with differences of y.

        at: values of the variables; without it they are drawn between 0.2 and 0.8.
        Returns the largest relative error. Raises GradientError, which names the step, when it is
        above rtol; DTypeError unless y and x are float64.
        """
        return checked(self._moves, self._outer, self._inner, self._kind, at, seed, rtol)

    def latex(self) -> str:
        """The derivation in LaTeX, an `aligned` block without dollars around it."""
        return as_latex(self._told)

    def __repr__(self) -> str:
        return as_text(self._told)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: a table of formulas and rules, LaTeX, and `repr`."""
        kinds = {
            "text/html": lambda: as_html(self._told),
            "text/latex": lambda: rf"$\displaystyle {self.latex()}$",
        }
        return bundle(self, kinds)

    def _repr_html_(self) -> str | None:
        """The table alone; None where it cannot be made."""
        return self._repr_mimebundle_().get("text/html")

    def _repr_latex_(self) -> str | None:
        """The LaTeX alone, between dollars; None where it cannot be made."""
        return self._repr_mimebundle_().get("text/latex")


@public
def derive(y: Expr, x: Expr) -> Derivation:
    """How ∂y/∂x is found, in steps that each have the name of a rule.

    y: a float expression; x: one that it may depend on, a leaf or within y. Of a scalar y the steps
    are those of the reverse sweep that `grad` makes; of a tensor they multiply Jacobians, in matrix
    notation. Raises DTypeError for other than float expressions, GraphError for a loop on the way.

    >>> import minigrad as mg
    >>> w, x, b = mg.var("w"), mg.var("x"), mg.var("b")
    >>> d = derive(mg.tanh(w * x + b) ** 2, w)
    >>> d
    y = tanh(w * x + b) ^ 2
    <BLANKLINE>
    ∂y/∂w
        power rule
      = 2 * tanh(w * x + b) * ∂[tanh(w * x + b)]/∂w
        chain rule: tanh′(u) = 1 - tanh(u) ^ 2
      = 2 * tanh(w * x + b) * (1 - tanh(w * x + b) ^ 2) * ∂[w * x + b]/∂w
        sum rule; b does not depend on w
      = 2 * tanh(w * x + b) * (1 - tanh(w * x + b) ^ 2) * ∂[w * x]/∂w
        product rule; x does not depend on w
      = 2 * tanh(w * x + b) * (1 - tanh(w * x + b) ^ 2) * x
        as minigrad computes it
      = 2 * tanh(w * x + b) * tanh_slope(w * x + b) * x
    >>> d.check() < 1e-6  # each step beside differences of values
    True
    """
    return Derivation(y, x)
