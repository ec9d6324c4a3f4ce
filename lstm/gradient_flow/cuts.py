"""Knock-outs: what is left of the gradient where one route through a step is cut, computed anew.

The gradient's way back through a layer is run once more for each cut, from what comes to the layer
from above, which no cut in it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import minigrad as mg
from lstm.gradient_flow.equations import Read, StepGraph, Term
from lstm.gradient_flow.steps import Floats, by_unit, wide_norm
from lstm.gradient_flow.way_back import Row, WayBack
from minigrad import Expr
from minigrad.display import in_a_line


class Knockout(NamedTuple):
    """What a cut changes of ∂L/∂state at one step."""

    route: str
    """What is cut, at every step: "h → f", what comes back to h from f, which reads it; "all → f",
    what comes back through f to all that it reads; "h", all that comes back to the h that a step
    reads, as `routes={"h": 0}` cuts it."""
    change: float
    """‖gradient with the cut - gradient‖."""
    left: float
    """‖gradient with the cut‖."""
    share: float
    """change / ‖gradient‖."""

    def __repr__(self) -> str:
        return in_a_line(self)


@dataclass(frozen=True)
class Cuts:
    """For each route and each step what `Knockout` says of it."""

    routes: tuple[str, ...]
    change: Floats
    """(routes, T)"""
    left: Floats
    """(routes, T)"""
    whole: Floats
    """(T,): ‖gradient‖."""

    def __repr__(self) -> str:
        return in_a_line(self)

    def at(self, t: int) -> list[Knockout]:
        """The routes at step t, 1 … T, the one that changes most first."""
        change, left, whole = self.change[:, t - 1], self.left[:, t - 1], self.whole[t - 1]
        with np.errstate(all="ignore"):
            numbers = zip(self.routes, change, left, change / whole, strict=True)
        made = [Knockout(name, float(c), float(n), float(s)) for name, c, n, s in numbers]
        return sorted(made, key=lambda k: -np.nan_to_num(k.change, nan=np.inf))


def cuttable(graph: StepGraph, terms: Sequence[Term]) -> dict[str, list[Term]]:
    """What can be cut: all that comes back through a value, each way from a value to the state
    before, and all ways to a part of that; {route: the terms that it makes 0}.

    A value alone is no name: in a waterfall f is a factor of the line.
    """
    routes: dict[str, list[Term]] = {}
    states = {*graph.made.values()}
    for name in graph.nodes:
        if name not in states:
            routes[f"all → {name}"] = [term for term in terms if term.reader == name]
    for term in terms:
        if term.read.before or routes.get(f"all → {term.reader}") == [term]:
            routes[f"{term.read.name} → {term.reader}"] = [term]
    for part in graph.before:
        routes[part] = [term for term in terms if term.read == Read(part, before=True)]
    same: dict[frozenset[Term], str] = {}
    for name in sorted(routes, key=len):  # cuts of the same terms are one: the shortest name
        if routes[name]:
            same.setdefault(frozenset(routes[name]), name)
    return {name: routes[name] for name in same.values()}


class Routes:
    """Tells of each step what is left of the gradient towards the main part of the state where each
    route of a layer is cut by itself: the gradient goes back once more for each, beside the loop.

    Work and memory grow linearly with T, and with the number of routes.
    """

    def __init__(self, way: WayBack) -> None:
        self._way, graph = way, way.graph
        self._terms = [
            Term(name, read)
            for name, of in graph.equations.items()
            for read in of.reads
            if name not in graph.unread
        ]
        cut = cuttable(graph, self._terms)
        self.names = tuple(cut)
        keeps = np.array([[t not in of for t in self._terms] for of in cut.values()], graph.x.dtype)
        self._keeps = mg.const(keeps)

    def start(self) -> dict[str, Expr]:
        """{part of the state: what comes back to it after the last step, by routes (R, B, H)}"""
        last, many = self._way.stacks["last"], len(self.names)
        return {p: mg.broadcast_to(last[p], (many, *last[p].shape)) for p in self._way.graph.before}

    def step(self, after: dict[str, Expr], row: Row) -> tuple[dict[str, Expr], dict[str, Expr]]:
        """ "norms": (R, 2), how far the gradient is from what it is without cuts, and its norm."""
        parts = list(after)
        whole = row.adjoints[self._way.graph.made[self._way.main]]

        def one(keeps: Expr, *comes: Expr) -> tuple[list[Expr], Expr]:
            on, got = self._back(keeps, dict(zip(parts, comes, strict=True)), row)
            return [on[p] for p in parts], mg.stack([wide_norm(got - whole), wide_norm(got)])

        on, norms = mg.vmap(one)(self._keeps, *after.values())
        return dict(zip(parts, on, strict=True)), {"norms": norms}

    def _back(self, keeps: Expr, comes: dict[str, Expr], row: Row) -> tuple[dict[str, Expr], Expr]:
        """One step back: what comes to the parts of the state before, and to the main one."""
        way, graph = self._way, self._way.graph
        keep = {term: keeps[k] for k, term in enumerate(self._terms)}
        comes = comes | {way.output: comes[way.output] + row.leaving}
        here = {p: None if row.counts is None else by_unit(row.counts, c) for p, c in comes.items()}
        sums: dict[Read, Expr] = {}
        for p, c in comes.items():
            made = Read(graph.made[p], before=False)
            arrives = _where(here[p], c, mg.zeros_like(c))
            sums[made] = sums[made] + arrives if made in sums else arrives
        for name in reversed(graph.nodes):
            if (cotangent := sums.get(Read(name, before=False))) is None:
                continue
            for read in graph.equations[name].reads:
                share = mg.astype(keep[Term(name, read)], cotangent.dtype)
                # what is let through is chosen before it is multiplied by matrices: those are one
                term = graph.terms(name, cotangent * share, [read])[read]
                sums[read] = sums[read] + term if read in sums else term
        past = {p: sums.get(Read(p, before=True), mg.zeros_like(c)) for p, c in comes.items()}
        got = sums[Read(graph.made[way.main], before=False)]
        *on, got = mg.substitute([*past.values(), got], dict(row.rows))
        both = zip(past, on, strict=True)
        return {p: _where(here[p], new, comes[p]) for p, new in both}, got

    def cuts(self, norms: Floats, whole: Sequence[float]) -> Cuts:
        """Of what was told, (T, R, 2), and the norms of the gradient, (T,)."""
        return Cuts(self.names, norms[..., 0].T, norms[..., 1].T, np.array(whole))


def _where(here: Expr | None, x: Expr, otherwise: Expr) -> Expr:
    return x if here is None else mg.where(here, x, otherwise)
