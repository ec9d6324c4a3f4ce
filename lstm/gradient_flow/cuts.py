"""Knock-outs: what is left of the gradient where one route through a step is cut, computed anew.

The gradient's way back through a layer is run once more for each cut, from what comes to the layer
from above, which no cut in it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

import minigrad as mg
from lstm.gradient_flow.equations import Read, StepGraph, Term
from lstm.gradient_flow.steps import Floats, Stacks, by_unit, norm, quiet
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


def cuts(graph: StepGraph, stacks: Stacks, part: str, output: str) -> Cuts:
    """Cut each route of a layer by itself; what is left of the gradient towards a part.

    Work and memory grow linearly with T, and with the number of routes.
    """
    terms = [Term(name, read) for name, of in graph.equations.items() for read in of.reads]
    routes = cuttable(graph, terms)
    keeps = np.array([[t not in cut for t in terms] for cut in routes.values()], graph.x.dtype)
    arrays = [
        *(stacks.values[name] for name in graph.nodes),
        *(stacks.before[p] for p in graph.before),
        stacks.x,
        *(stacks.above(p, output) for p in graph.before),
        stacks.counted,
        stacks.adjoints[graph.made[part]],
    ]
    inputs = [mg.var(f"stack {k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
    weights = mg.var("weights", keeps.shape, keeps.dtype)
    norms = mg.vmap(lambda w: _gone_back(graph, terms, part, w, inputs))(weights)
    (numbers,) = quiet(mg.function([*inputs, weights], [norms]), *arrays, keeps)
    whole = np.linalg.norm(arrays[-1].reshape(stacks.steps, -1).astype(np.float64), axis=1)
    return Cuts(tuple(routes), numbers[..., 0], numbers[..., 1], whole)


def _gone_back(
    graph: StepGraph, terms: Sequence[Term], part: str, weights: Expr, inputs: Sequence[Expr]
) -> Expr:
    """(T, 2): at each step how far the gradient is from what it is without weights, and its norm;
    weights: what of each term is let through."""
    variables = [*graph.variables.values(), *graph.before.values(), graph.x]
    weight = {term: weights[k] for k, term in enumerate(terms)}
    parts = list(graph.before)

    def step(after: list[Expr], now: list[Expr]) -> tuple[list[Expr], Expr]:
        values, rest = now[: len(variables)], now[len(variables) :]
        *above, counts, whole = rest
        comes = [a + u for a, u in zip(after, above, strict=True)]
        here = [by_unit(counts, c) for c in comes]
        sums: dict[Read, Expr] = {
            Read(graph.made[p], before=False): mg.where(h, c, mg.zeros_like(c))
            for p, c, h in zip(parts, comes, here, strict=True)
        }
        for name in reversed(graph.nodes):
            cotangent = sums.get(Read(name, before=False))
            if cotangent is None:
                continue
            for read, term in graph.terms(name, cotangent).items():
                passed = term * mg.astype(weight[Term(name, read)], term.dtype)
                sums[read] = sums[read] + passed if read in sums else passed
        got = sums[Read(graph.made[part], before=False)]
        past = [
            mg.where(h, sums.get(Read(p, before=True), mg.zeros_like(c)), c)
            for p, c, h in zip(parts, comes, here, strict=True)
        ]
        back = mg.substitute([*past, got], dict(zip(variables, values, strict=True)))
        got = back.pop()
        return back, mg.stack([norm(got - whole), norm(got)])

    states = [graph.nodes[graph.made[p]] for p in parts]
    start = [mg.zeros(state.shape, state.dtype) for state in states]
    _, norms = mg.scan(step, start, list(inputs), reverse=True)
    return cast(Expr, norms)
