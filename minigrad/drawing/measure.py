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
from minigrad.compile.compiled import function
from minigrad.derivatives.adjoints import Adjoints
from minigrad.derivatives.sweep import edge_terms
from minigrad.drawing.amount import UNCONNECTED, Amount
from minigrad.drawing.theme import Scale
from minigrad.graph.leaves import const
from minigrad.graph.node import Expr
from minigrad.graph.walk import free_variables, toposort
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.types import Array, TupleType

EdgeKey = tuple[Expr, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one picture; adjoints and terms are empty when no gradient was asked for.

    A node or an edge that no derivative passes is `UNCONNECTED`. A node with several results is in
    neither map; the edge from it to an item has that item's adjoint for its term.
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
    term is carried back through them to that source. What has several results, such as a loop, has
    no number of its own: its items have.
    """
    # Names mean variables of the graph that is drawn.
    at = resolve(free_variables(roots), at, "pass at={x: value, ...}")
    nodes = toposort(roots)
    tensors = [n for n in nodes if not _has_items(n)]
    around: dict[Expr, list[Expr]] = {}
    terms: dict[EdgeKey, Expr] = {}
    if adjoints is not None:
        around = {n: _items(a) for n in nodes if (a := adjoints.get(n)) is not None}
        known = adjoints.terms()
        for key, between in edges.items():
            term = None if key[0].op is ITEM else _carried(known.get(key), between)
            if term is not None:
                terms[key] = term
    cotangents = [a for items in around.values() for a in items]
    arrays = iter(_evaluate([*tensors, *cotangents, *terms.values()], at))
    values = {n: Amount.of(next(arrays)) for n in tensors}
    if adjoints is None:
        return Measured(values, {}, {})
    arrived = {n: [next(arrays) for _ in items] for n, items in around.items()}
    told = _Told(
        dict.fromkeys(nodes, UNCONNECTED) | {n: _amount(a) for n, a in arrived.items()},
        dict.fromkeys(edges, UNCONNECTED) | {k: Amount.of(next(arrays)) for k in terms},
    )
    told.tell_underflow(nodes, edges, _passing(told.terms, arrived, edges, at))
    return Measured(values, {n: told.adjoints[n] for n in tensors}, told.terms)


def _has_items(node: Expr) -> bool:
    return isinstance(node.type, TupleType)


def _items(whole: Expr) -> list[Expr]:
    """A tensor, or all tensors of a tuple."""
    if not isinstance(whole.type, TupleType):
        return [whole]
    return [item(whole, k) for k in range(len(whole.type.items))]


def _amount(arrays: Sequence[Array]) -> Amount:
    """Of a tensor, or of all items of a tuple in a row."""
    if len(arrays) == 1:
        return Amount.of(arrays[0])
    return Amount.of(np.concatenate([np.ravel(a) for a in arrays]))


def _carried(term: Expr | None, between: Sequence[Expr]) -> Expr | None:
    # By linearity the terms so carried back sum to the adjoint of the source.
    for op in between:
        term = None if term is None else edge_terms(term, op)[0]
    return term


def _evaluate(outputs: Sequence[Expr], at: Mapping[Any, Any]) -> list[Array]:
    # On NumPy, where loops keep numbers below the smallest normal one, and which needs no compiler.
    variables = free_variables(outputs)
    bound = resolve(variables, at)
    with np.errstate(all="ignore"):
        run = function(variables, list(outputs), simplify=False, backend="numpy")
        return [np.asarray(x) for x in run(*[bound[v] for v in variables])]


# --- zero or underflow? --------------------------------------------------------------------------


def _passing(
    terms: Mapping[EdgeKey, Amount],
    cotangents: Mapping[Expr, Sequence[Array]],
    edges: Mapping[EdgeKey, Sequence[Expr]],
    at: Mapping[Any, Any],
) -> set[EdgeKey]:
    """The edges with a zero term whose rule gives more for more cotangent."""
    zeros = [k for k, a in terms.items() if a.kind == "zero" and a.size]
    rules = {user: edge_terms(_probe(user, cotangents[user]), user) for user, _ in zeros}
    probes = {
        (user, i): probe
        for user, i in zeros
        if (probe := _carried(rules[user][i], edges[user, i])) is not None
    }
    arrays = _evaluate([*probes.values()], at)
    return {key for key, array in zip(probes, arrays, strict=True) if array.any()}


def _probe(user: Expr, cotangents: Sequence[Array]) -> Expr:
    """The cotangent scaled up to 1, or ones where it is zero throughout."""
    top = max(float(np.abs(c).max(initial=0.0)) for c in cotangents)
    scaled = []
    for array, like in zip(cotangents, _items(user), strict=True):
        if not np.isfinite(top):
            probe = np.zeros_like(array)
        elif top == 0.0:
            probe = np.ones_like(array)
        else:
            probe = array / array.dtype.type(top)
        scaled.append(const(probe, like.dtype))
    return tuple_of(scaled) if _has_items(user) else scaled[0]


@dataclass(frozen=True, slots=True)
class _Told:
    """Amounts on their way to a `Measured`; a tuple's adjoint is that of all its items."""

    adjoints: dict[Expr, Amount]
    terms: dict[EdgeKey, Amount]

    def tell_underflow(
        self,
        nodes: Sequence[Expr],
        edges: Mapping[EdgeKey, Sequence[Expr]],
        passing: set[EdgeKey],
    ) -> None:
        """Rename the zeros that are too small products, and give the edges of items their terms."""
        drawn: dict[Expr, list[EdgeKey]] = {}
        for key in edges:
            drawn.setdefault(key[0], []).append(key)
        # Users come before what they use, so that each zero can be called by its cause.
        for user in reversed(nodes):
            own = self.adjoints[user]
            for key in drawn.get(user, ()):
                if user.op is ITEM:
                    self.terms[key] = own
                elif key in passing and own.kind != "zero":
                    self.terms[key] = replace(self.terms[key], kind="underflow")
                if self.terms[key].kind == "underflow":
                    source = source_of(user, key[1], edges[key])
                    if self.adjoints[source].kind == "zero":
                        self.adjoints[source] = replace(self.adjoints[source], kind="underflow")


def source_of(user: Expr, position: int, between: Sequence[Expr]) -> Expr:
    """The node from which a drawn edge starts."""
    return between[-1].args[0] if between else user.args[position]
