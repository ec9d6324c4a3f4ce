"""A derivation step by step: the reverse sweep, one node at a time, and the rewrites after it.

What a derivation says at any moment is a line: a sum of terms, each a coefficient times a
derivative that is still to be taken. A step takes one of these by the rule of its op, adds up the
paths that meet at a node, or rewrites. Steps keep only what changes; lines are made when they are
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.derivations.coefficients import Coefficients
from minigrad.derivations.rules import RuleName, rule_of
from minigrad.derivatives.sweep import active_nodes
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, describe, gc_paused
from minigrad.graph.walk import substitute, toposort
from minigrad.ops.core import uniform_value
from minigrad.rewrite.driver import Fired
from minigrad.types import TupleType


@dataclass(frozen=True, eq=False, slots=True)
class Term:
    """A coefficient times ∂node/∂x."""

    coefficient: Any
    node: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Move:
    """What one step changes: terms that go, and those that come in their place."""

    rule: RuleName
    at: Expr
    gone: tuple[Term, ...]
    come: tuple[Term, ...]
    still: tuple[Expr, ...] = ()
    """Arguments that do not depend on x."""


def swept(start: Term, x: Expr, kind: Coefficients[Any]) -> tuple[list[Move], Term | None]:
    """The moves from ∂y/∂x, a term, down to that of ∂x/∂x, which is the last; None if it is 0."""
    order = toposort(start.node)
    active = active_nodes(order, [x])
    for node in order:
        if node in active and isinstance(node.type, TupleType):
            raise _no_plain_op(node)
    waiting: dict[Expr, list[Term]] = {start.node: [start]}
    moves: list[Move] = []
    last: Term | None = None
    if start.node is x:
        last = Term(kind.first(x), x)
        return [Move(RuleName("a variable by itself has derivative 1"), x, (start,), (last,))], last
    if start.node not in active:
        return [Move(RuleName("a constant has derivative 0"), start.node, (start,), ())], None
    with gc_paused():
        for node in reversed(order):
            terms = waiting.pop(node, [])
            if not terms:
                continue
            if len(terms) > 1:
                terms = [_all_paths(terms, node, kind, moves)]
            if node is x:
                last = terms[0]
            else:
                _taken(terms[0], active, kind, waiting, moves)
    return moves, last


def _no_plain_op(node: Expr) -> GraphError:
    if node.op.inside is not None:
        why = "is a loop; write it out over its steps first: minigrad.derive(minigrad.unroll(y), x)"
    else:
        why = "has several results; derive by one of them, or see minigrad.adjoints(y)"
    return GraphError(f"a derivation is of ops of one result, and {describe(node)} {why}")


def _all_paths(
    terms: Sequence[Term], node: Expr, kind: Coefficients[Any], moves: list[Move]
) -> Term:
    """One term for a node that several paths lead to."""
    total = terms[0].coefficient
    for term in terms[1:]:
        total = kind.added(total, term.coefficient)
    whole = Term(total, node)
    moves.append(Move(RuleName("sum of paths"), node, tuple(terms), (whole,)))
    return whole


def _taken(
    term: Term,
    active: set[Expr],
    kind: Coefficients[Any],
    waiting: dict[Expr, list[Term]],
    moves: list[Move],
) -> None:
    """A node's derivative by the rule of its op: terms of its arguments instead."""
    node = term.node
    come = []
    for arg, back in zip(node.args, kind.back(term.coefficient, node), strict=True):
        if back is not None and arg in active:
            come.append(Term(back, arg))
            waiting.setdefault(arg, []).append(come[-1])
    still = dict.fromkeys(a for a in node.args if a not in active and uniform_value(a) is None)
    moves.append(Move(rule_of(node), node, (term,), tuple(come), tuple(still)))


# --- rewrites ------------------------------------------------------------------------------------

_MOST = 200  # rewrites that are told one by one


def rewritten(y: Expr, fired: Sequence[Fired], result: Expr) -> Iterator[tuple[str, Expr, Expr]]:
    """What an expression becomes by each of its rewrites: the rule, the node, all of it after.

    What did not change it, since it was rewritten within what another rule left out, is not told.
    """
    now = y
    if len(fired) <= _MOST:
        for before, after, rule in fired:
            new = substitute(now, {before: after})
            if new is not now:
                yield f"rewrite: {rule.name}", before, new
            now = new
    if now is not result:
        yield f"rewrite: {len(fired):,} times", y, result
