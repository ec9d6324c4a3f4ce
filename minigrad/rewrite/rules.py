"""The tables of rules, and the functions that apply them.

`simplify` applies all; a compiled function applies EXACT and STABILITY; a derivative is taken of
what STABILITY makes, so that it is stable too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, overload

from minigrad.errors import GraphError
from minigrad.graph.node import Expr
from minigrad.graph.walk import Packed, roots_of
from minigrad.names import public
from minigrad.rewrite.driver import Fired, Rewriter, Rule
from minigrad.rewrite.exact import ARITHMETIC, EXACT
from minigrad.rewrite.real import REAL
from minigrad.rewrite.stable import STABILITY
from minigrad.rewrite.views import VIEWS
from minigrad.types import as_items

RULES: Mapping[str, tuple[Rule, ...]] = {"exact": EXACT, "stability": STABILITY, "real": REAL}

_all = Rewriter(EXACT + STABILITY + REAL)
_safe = Rewriter(EXACT + STABILITY)
_stable = Rewriter((*STABILITY, *VIEWS))
_differentiable = Rewriter((*ARITHMETIC, *STABILITY, *VIEWS))


@overload
def simplify(y: Expr, rules: Iterable[Rule] | None = None) -> Expr: ...
@overload
def simplify(y: Sequence[Expr], rules: Iterable[Rule] | None = None) -> list[Expr]: ...
@public
def simplify(y: Any, rules: Iterable[Rule] | None = None) -> Any:
    """Expressions rewritten until no rule fits: all tables, or the rules given.

    The result has the same type and, where the mathematics is finite, the same value.
    `minigrad.RULES` lists the rules by table. Raises RewriteLoopError when given rules
    do not end.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> simplify(x * 1 + 0) is x, str(simplify(mg.log(mg.sigmoid(x))))
    (True, '-softplus(-x)')
    """
    if rules is not None and not isinstance(rules, Iterable):
        raise GraphError(f"rules are a list, such as minigrad.RULES['exact'], not {rules!r:.60}")
    driver = _all if rules is None else Rewriter(as_items(rules, "rules"))
    results = driver(roots_of(y))
    return results[0] if isinstance(y, Expr) else results


def simplified(y: Expr) -> tuple[Expr, Sequence[Fired]]:
    """`simplify(y)`, and the rewrites that made it."""
    (result,), fired = _all.traced([y])
    return result, fired


def stabilised(y: Expr) -> tuple[Expr, Sequence[Fired]]:
    """The STABILITY rules, and slices moved, of one expression, and the rewrites that made it:
    what is told of a derivative, signs and all."""
    (result,), fired = _stable.traced([y])
    return result, fired


def simplify_safely(outputs: Sequence[Expr], done: Collection[Expr] = ()) -> list[Expr]:
    """What a compiled function runs: EXACT and STABILITY rules only.

    done: nodes of which this has made what it can.
    """
    return _safe.traced(outputs, done)[0]


def may_be_unstable(graph: Packed) -> bool:
    """Whether `stabilise` may change a graph."""
    return _differentiable.may_fit(graph)


def stabilise(outputs: Sequence[Expr]) -> list[Expr]:
    """What a derivative is taken of: STABILITY rules, and slices moved to the parts they read.

    Numbers and signs too: what a compiled function would rewrite there, it would have to rewrite in
    all of a gradient, 77,000 nodes of a net's 112,000 for 50 factors of 1.
    """
    return _differentiable(outputs)
