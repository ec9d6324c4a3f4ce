"""Numbers for a picture: values, adjoints and terms of what is drawn, from one compiled function.

The function is compiled without rewrites, from the very nodes that are drawn; what lies in loops is
computed by the loops. Nothing here knows of DOT, colours or layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from minigrad.compile.binding import resolve
from minigrad.compile.compiled import function
from minigrad.derivatives.sweep import Sweep, edge_terms, sum_or_none
from minigrad.drawing.amount import UNCONNECTED, Amount
from minigrad.drawing.inside import carried_back, carried_by, within
from minigrad.drawing.outline import Line, Outline, Term, Vertex
from minigrad.drawing.theme import Scale
from minigrad.drawing.underflow import Suspects
from minigrad.graph.leaves import const
from minigrad.graph.node import Expr
from minigrad.graph.walk import free_variables, toposort
from minigrad.loop.passes.prune import merge_loops
from minigrad.ops.creation import ones_like
from minigrad.ops.tuples import ITEM, items_of, tuple_of
from minigrad.types import Array, TupleType

Lines: TypeAlias = Mapping[Term, Line]


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one picture; adjoints and terms are empty when no gradient was asked for.

    A node or a use that no derivative passes is `UNCONNECTED`. A node with several results is in
    neither map; the use of it by an item has that item's adjoint for its term.
    """

    values: Mapping[Vertex, Amount]
    adjoints: Mapping[Vertex, Amount]
    terms: Mapping[Term, Amount]
    sums: Mapping[tuple[Term, ...], Amount]

    def total(self, terms: Sequence[Term]) -> Amount:
        """What a term is, or several together that were asked for so."""
        known = [self.terms[term] for term in terms if term in self.terms]
        if len(terms) == 1 or all(a.kind == "disconnected" for a in known):
            return known[0] if known else UNCONNECTED
        amount = self.sums[tuple(terms)]
        is_lost = amount.kind == "zero" and any(a.kind == "underflow" for a in known)
        return replace(amount, kind="underflow") if is_lost else amount

    def scale(self) -> Scale:
        """The colour scale that covers every gradient measured."""
        amounts = [*self.adjoints.values(), *self.terms.values()]
        return Scale.of(a.norm for a in amounts if a.kind != "disconnected")


def measure(
    roots: Sequence[Expr],
    at: Mapping[Any, Any],
    grad: bool,
    drawn: Outline,
    sums: Sequence[tuple[Term, ...]] = (),
) -> Measured:
    """Evaluate every node under the roots and, on request, every adjoint and every term.

    A term is carried back through the ops without arithmetic to the source that the picture draws.
    What has several results, such as a loop, has no number of its own: its items have. What lies
    within a loop has those of all its steps. sums: terms that are wanted together.
    """
    # Names mean variables of the graph that is drawn.
    at = resolve(free_variables(roots), at, "pass at={x: value, ...}")
    nodes = toposort(roots)
    sweep = Sweep(nodes, [(roots[0], ones_like(roots[0]))]) if grad else None
    around = _Around.of(nodes, drawn, sweep)
    insides = [within(level, drawn, sweep) for level in drawn.levels.values()]
    insides += [carried_by(level, sweep) for level in drawn.folded.values()]
    totals = {some: total for some in sums if (total := around.total(some)) is not None}
    asked = [*around.exprs, *(e for inside in insides for e in inside.exprs), *totals.values()]
    arrays = iter(_evaluate(asked, at))
    values, told, passing = around.read(arrays, at)
    adjoints, terms = around.adjoints(told), told.terms
    for inside in insides:
        inside.read(arrays, values, adjoints, terms)
    totalled = dict(zip(totals, _next(arrays, len(totals)), strict=True))
    if sweep is not None:
        lost = _lost_inside(drawn, sweep, at, adjoints, terms)
        told.tell_underflow(nodes, around.uses, passing, lost)
        adjoints |= around.adjoints(told)
    return Measured(values, adjoints, terms, totalled)


def _lost_inside(
    drawn: Outline,
    sweep: Sweep,
    at: Mapping[Any, Any],
    adjoints: dict[Vertex, Amount],
    terms: dict[Term, Amount],
) -> list[Line]:
    """Rename the zeros of loops' steps that are too small products, of outer loops first; the uses
    of what lies around them by which something was lost."""
    made = [Suspects.of(level, drawn, sweep, terms) for level in drawn.levels.values()]
    suspects = [suspect for suspect in made if suspect is not None]
    asked = [probe for suspect in suspects for probe in suspect.probes.values()]
    arrays = iter(_evaluate(asked, at))
    return [line for suspect in suspects for line in suspect.tell(arrays, adjoints, terms)]


@dataclass(frozen=True, eq=False, slots=True)
class _Around:
    """What is asked of the graph itself, around all loops.

    uses: those to tell of; cotangents: the items of each adjoint that there is; terms: likewise.
    """

    nodes: Sequence[Expr]
    has_gradients: bool
    uses: Lines
    cotangents: Mapping[Expr, Sequence[Expr]]
    terms: Mapping[Term, Expr]

    @classmethod
    def of(cls, nodes: Sequence[Expr], drawn: Outline, sweep: Sweep | None) -> _Around:
        all_uses = (*drawn.lines, *drawn.written.values())
        uses = {u.term: u for u in all_uses if not u.term.loops}
        if sweep is None:
            return cls(nodes, False, uses, {}, {})
        cotangents = {n: _items(a) for n in nodes if (a := sweep.get(n)) is not None}
        terms: dict[Term, Expr] = {}
        for term in uses:
            known = sweep.terms.get((term.user, term.position))
            carried = None if term.user.op is ITEM else carried_back(known, term.between)
            if carried is not None:
                terms[term] = carried
        return cls(nodes, True, uses, cotangents, terms)

    @property
    def tensors(self) -> list[Expr]:
        return [n for n in self.nodes if not isinstance(n.type, TupleType)]

    @property
    def exprs(self) -> list[Expr]:
        """All that is to be evaluated, in order."""
        cotangents = [ct for items in self.cotangents.values() for ct in items]
        return [*self.tensors, *cotangents, *self.terms.values()]

    def total(self, terms: Sequence[Term]) -> Expr | None:
        """What several terms come to."""
        return sum_or_none(self.terms.get(term) for term in terms)

    def read(
        self, arrays: Iterator[Array], at: Mapping[Any, Any]
    ) -> tuple[dict[Vertex, Amount], _Told, set[Term]]:
        """Values, adjoints and terms of the arrays, which come in the order of `exprs`, and the
        terms that are zero though their rules give something."""
        tensors = self.tensors
        values = dict(
            zip([Vertex((), n) for n in tensors], _next(arrays, len(tensors)), strict=True)
        )
        if not self.has_gradients:
            return values, _Told({}, {}), set()
        arrived = {n: [next(arrays) for _ in items] for n, items in self.cotangents.items()}
        told = _Told(
            dict.fromkeys(self.nodes, UNCONNECTED)
            | dict(zip(arrived, _amounts([*arrived.values()]), strict=True)),
            dict.fromkeys(self.uses, UNCONNECTED)
            | dict(zip(self.terms, _next(arrays, len(self.terms)), strict=True)),
        )
        passing = _passing(told.terms, arrived, at)
        told.tell_underflow(self.nodes, self.uses, passing)
        return values, told, passing

    def adjoints(self, told: _Told) -> dict[Vertex, Amount]:
        """What was told of tensors."""
        return {Vertex((), n): told.adjoints[n] for n in self.tensors if n in told.adjoints}


def _items(whole: Expr) -> list[Expr]:
    """A tensor, or all tensors of a tuple."""
    return items_of(whole) if isinstance(whole.type, TupleType) else [whole]


def _amounts(items: Sequence[Sequence[Array]]) -> list[Amount]:
    """Of tensors, or of all items of tuples in a row."""
    whole = [a[0] if len(a) == 1 else np.concatenate([np.ravel(x) for x in a]) for a in items]
    return Amount.of_each(whole)


def _next(arrays: Iterator[Array], count: int) -> list[Amount]:
    return Amount.of_each([*islice(arrays, count)])


def _evaluate(outputs: Sequence[Expr], at: Mapping[Any, Any]) -> list[Array]:
    # On NumPy, where loops keep numbers below the smallest normal one, and which needs no compiler.
    variables = free_variables(outputs)
    bound = resolve(variables, at)
    outputs = merge_loops(outputs)  # what is asked of a loop's steps goes with the loop: 8 are 2
    with np.errstate(all="ignore"):
        run = function(variables, outputs, simplify=False, backend="numpy")
        return [np.asarray(x) for x in run(*[bound[v] for v in variables])]


# --- zero or underflow? --------------------------------------------------------------------------


def _passing(
    terms: Mapping[Term, Amount],
    cotangents: Mapping[Expr, Sequence[Array]],
    at: Mapping[Any, Any],
) -> set[Term]:
    """The terms that are zero and whose rule gives more for more cotangent."""
    zeros = [k for k, a in terms.items() if a.kind == "zero" and a.size]
    users = dict.fromkeys([term.user for term in zeros])
    rules = {user: edge_terms(_probe(user, cotangents[user]), user) for user in users}
    probes = {
        term: probe
        for term in zeros
        if (probe := carried_back(rules[term.user][term.position], term.between)) is not None
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
    return tuple_of(scaled) if isinstance(user.type, TupleType) else scaled[0]


@dataclass(frozen=True, slots=True)
class _Told:
    """Amounts on their way to a `Measured`; a tuple's adjoint is that of all its items."""

    adjoints: dict[Expr, Amount]
    terms: dict[Term, Amount]

    def tell_underflow(
        self,
        nodes: Sequence[Expr],
        uses: Lines,
        passing: set[Term],
        lost: Sequence[Line] = (),
    ) -> None:
        """Rename the zeros that are too small products, and give the uses by items their terms.

        lost: uses by the steps of loops by which something was lost.
        """
        for line in lost:
            if line.term in self.terms and self.terms[line.term].kind == "zero":
                self.terms[line.term] = replace(self.terms[line.term], kind="underflow")
            self._pass_on(line.source)
        by_user: dict[Expr, list[Term]] = {}
        for term in uses:
            by_user.setdefault(term.user, []).append(term)
        # Users come before what they use, so that each zero can be called by its cause.
        for user in reversed(nodes):
            own = self.adjoints[user]
            for term in by_user.get(user, ()):
                if user.op is ITEM:
                    self.terms[term] = own
                elif term in passing and own.kind != "zero":
                    self.terms[term] = replace(self.terms[term], kind="underflow")
                if self.terms[term].kind == "underflow":
                    self._pass_on(uses[term].source)

    def _pass_on(self, source: Vertex) -> None:
        if not source.loops and self.adjoints[source.node].kind == "zero":
            self.adjoints[source.node] = replace(self.adjoints[source.node], kind="underflow")
