"""Numbers for a picture: values, adjoints and edge terms of a graph, from one compiled function.

The function is compiled without rewrites, from the very nodes that are drawn. Nothing here knows
of DOT, colours or layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.compile.binding import resolve
from minigrad.compile.function import function
from minigrad.drawing.amount import UNCONNECTED, Amount
from minigrad.drawing.theme import Scale
from minigrad.errors import GraphError
from minigrad.grad import Adjoints, edge_terms
from minigrad.graph import Expr, const
from minigrad.types import Array
from minigrad.walk import free_variables, toposort

EdgeKey = tuple[Expr, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one picture; adjoints and terms are empty when no gradient was asked for.

    A node or an edge that no derivative passes is `UNCONNECTED`.
    """

    values: Mapping[Expr, Amount]
    adjoints: Mapping[Expr, Amount]
    terms: Mapping[EdgeKey, Amount]

    def scale(self) -> Scale:
        """The colour scale that covers every gradient measured."""
        amounts = [*self.adjoints.values(), *self.terms.values()]
        return Scale.of(a.norm for a in amounts if a.kind != "disconnected")


def measure(
    roots: Sequence[Expr],
    at: Mapping[Any, Any],
    adjoints: Adjoints | None,
    edges: Mapping[EdgeKey, Sequence[Expr]],
) -> Measured:
    """Evaluate every node under the roots and, given the adjoints, every adjoint and edge term.

    `edges` says which edges to measure. It maps (user, position) to the ops without arithmetic,
    from the user outwards, that lie between the user and the source that the picture draws; the
    term is carried back through them to that source.
    """
    if not isinstance(at, Mapping):
        raise GraphError(f"at is a dict of values, as in at={{x: 1.0}}, not {at!r}")
    at = resolve(free_variables(roots), at)  # names mean variables of the graph that is drawn
    nodes = toposort(roots)
    around: dict[Expr, Expr] = {}
    terms: dict[EdgeKey, Expr] = {}
    if adjoints is not None:
        around = {n: a for n in nodes if (a := adjoints.get(n)) is not None}
        known = adjoints.terms()
        for key, between in edges.items():
            if (term := _carried(known.get(key), between)) is not None:
                terms[key] = term
    found = iter(_evaluate([*nodes, *around.values(), *terms.values()], at))
    values = {n: Amount.of(next(found)) for n in nodes}
    if adjoints is None:
        return Measured(values, {}, {})
    cotangents = {n: next(found) for n in around}
    adjoint = dict.fromkeys(nodes, UNCONNECTED)
    adjoint |= {n: Amount.of(x) for n, x in cotangents.items()}
    arrived = dict.fromkeys(edges, UNCONNECTED) | {k: Amount.of(next(found)) for k in terms}
    _tell_underflow(nodes, edges, cotangents, adjoint, arrived, at)
    return Measured(values, adjoint, arrived)


def _carried(term: Expr | None, between: Sequence[Expr]) -> Expr | None:
    # By linearity the terms so carried back sum to the adjoint of the source.
    for op in between:
        term = None if term is None else edge_terms(term, op)[0]
    return term


def _evaluate(outputs: Sequence[Expr], at: Mapping[Any, Any]) -> list[Array]:
    variables = free_variables(outputs)
    bound = resolve(variables, at)
    with np.errstate(all="ignore"):
        run = function(variables, list(outputs), simplify=False)
        return [np.asarray(x) for x in run(*[bound[v] for v in variables])]


# --- zero or underflow? --------------------------------------------------------------------------


def _tell_underflow(
    nodes: Sequence[Expr],
    edges: Mapping[EdgeKey, Sequence[Expr]],
    cotangents: Mapping[Expr, Array],
    adjoints: dict[Expr, Amount],
    terms: dict[EdgeKey, Amount],
    at: Mapping[Any, Any],
) -> None:
    """Rename the zeros that are too small products: their rule gives more for more cotangent."""
    zeros = [k for k, a in terms.items() if a.kind == "zero" and a.size]
    probes = [
        _carried(edge_terms(_probe(user, cotangents[user]), user)[i], edges[user, i])
        for user, i in zeros
    ]
    asked = {k: p for k, p in zip(zeros, probes, strict=True) if p is not None}
    passing = {k for k, x in zip(asked, _evaluate([*asked.values()], at), strict=True) if x.any()}
    if not passing:
        return
    # Users come before what they use, so that each zero can be called by its cause.
    drawn: dict[Expr, list[EdgeKey]] = {}
    for key in edges:
        drawn.setdefault(key[0], []).append(key)
    for user in reversed(nodes):
        lost = adjoints[user].kind != "zero"
        for key in drawn.get(user, ()):
            if key in passing and lost:
                terms[key] = replace(terms[key], kind="underflow")
                source = source_of(user, key[1], edges[key])
                if adjoints[source].kind == "zero":
                    adjoints[source] = replace(adjoints[source], kind="underflow")


def _probe(user: Expr, cotangent: Array) -> Expr:
    """The cotangent scaled up to 1, or ones where it is zero throughout."""
    top = float(np.abs(cotangent).max(initial=0.0))
    if not np.isfinite(top):
        return const(np.zeros_like(cotangent))
    scaled = np.ones_like(cotangent) if top == 0.0 else cotangent / cotangent.dtype.type(top)
    return const(scaled, user.dtype)


def source_of(user: Expr, position: int, between: Sequence[Expr]) -> Expr:
    """The node from which a drawn edge starts."""
    return between[-1].args[0] if between else user.args[position]
