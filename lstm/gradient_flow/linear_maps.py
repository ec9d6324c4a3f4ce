"""A step as a linear map of the gradient: its Jacobian and singular values, and the waterfall of
each route through it, derivative by derivative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

import minigrad as mg
from lstm.cells import Line
from lstm.gradient_flow.equations import Link, StepGraph, links, over_steps, routes
from lstm.gradient_flow.steps import Floats, Stacks, by_unit, norm, quiet, variables_of
from minigrad import Expr
from minigrad.display import in_a_line

LINE = "line"
"""The route along a cell's line."""
_CHUNK = 2**22
"""So many elements of Jacobians are there at a time."""


def jacobians(graph: StepGraph, stacks: Stacks) -> Floats:
    """∂(state after) / ∂(state before) of each step and sequence, (T, B, S, S), where S counts the
    units of all parts of the state side by side."""
    variables, arrays = variables_of(graph, stacks)
    parts = list(graph.before)
    whole = mg.concat([graph.nodes[graph.made[p]] for p in parts], axis=1)
    seed = mg.var("the seed", whole.shape, whole.dtype)
    rows = mg.vjp(whole, [graph.before[p] for p in parts], seed)
    units = np.repeat(np.eye(whole.shape[1], dtype=whole.dtype)[:, None], whole.shape[0], axis=1)

    def of_unit(unit: Expr) -> Any:
        return mg.substitute(mg.concat(rows, axis=1), {seed: unit})

    every = mg.vmap(of_unit, out_axes=1)(mg.const(units))  # (B, S, S)
    (every,) = graph.values_of([every])
    size = min(stacks.steps, max(1, _CHUNK // every.size))
    inputs = [mg.var(f"{k}", (size, *a.shape[1:]), a.dtype) for k, a in enumerate(arrays)]
    run = mg.function(inputs, over_steps([every], dict(zip(variables, inputs, strict=True))))
    result = np.empty((stacks.steps, *every.shape), every.dtype)
    for k in range(0, stacks.steps, size):
        first = min(k, stacks.steps - size)  # the last ones overlap
        part = slice(first, first + size)
        (result[part],) = quiet(run, *[a[part] for a in arrays])
    return result


def singular(graph: StepGraph, stacks: Stacks) -> Floats:
    """The least and the largest singular value of each step's Jacobian, over all sequences, (T, 2);
    NaN where all is padding, or a Jacobian is not finite."""
    every = jacobians(graph, stacks)
    result = np.full((len(every), 2), np.nan)
    sound = stacks.counted & np.isfinite(every).all(axis=(2, 3))
    for t in range(len(every)):
        if sound[t].any() and sound[t][stacks.counted[t]].all():
            sizes = np.linalg.svd(every[t][sound[t]], compute_uv=False)
            result[t] = sizes.min(), sizes.max()
    return result


# --- waterfalls ----------------------------------------------------------------------------------


class Waterfall(NamedTuple):
    """What each local derivative of one route wins or loses, in powers of ten."""

    route: str
    """The value that it leads through, or "line"."""
    part: str
    """The part of the state that it leads back to."""
    start: float
    """log10 ‖∂L/∂part‖ at t = T, where the route starts."""
    links: tuple[str, ...]
    decades: Floats
    """(T - 1, links): of the step from t + 1 to t at index t - 1. Of padded batches there are two
    more: "leaves", for sequences of which t + 1 is the first step, and "enters", for those of which
    t is the last."""

    def __repr__(self) -> str:
        return in_a_line(self)

    @property
    def end(self) -> float:
        """log10 of the norm at t = 1 of what came by this route alone."""
        return self.start + float(self.decades.sum())


def waterfalls(
    graph: StepGraph,
    stacks: Stacks,
    line: Line | None = None,
    along: Floats | None = None,
    *,
    only: str = "",
) -> dict[str, Waterfall]:
    """The waterfall of each route of a step, and of the line; along: what that brought from later
    steps.

    only: "line", where no other is wanted: each route takes a tenth of a second to compile.
    """
    falls: dict[str, _Fall] = {}
    if line is not None and along is not None:
        whole, *_ = graph.line_factors(line.symbol).values()
        (inside,) = graph.values_of([whole])
        chain = [Link(line.factor, lambda cotangent: cotangent * inside)]
        falls[LINE] = _Fall(line.symbol, _line_start(stacks, graph.made[line.symbol], along), chain)
    for route in () if only == LINE else routes(graph).values():
        if not {*route.stations} <= {*stacks.factors}:
            enters = _ending(stacks, route.stations[0])
            falls[route.name] = _Fall(route.part, enters, links(graph, route))
    variables, arrays = variables_of(graph, stacks)
    counted = stacks.counted
    begun = np.cumsum(counted, axis=0) > counted  # whether a step before counts
    rows, earlier = (mg.var(name, counted.shape, bool) for name in ("rows", "earlier"))
    entering = [
        mg.var(f"enters {name}", f.enters.shape, f.enters.dtype) for name, f in falls.items()
    ]
    sizes = [
        _sizes(fall.chain, variables, (rows, earlier), enters)
        for fall, enters in zip(falls.values(), entering, strict=True)
    ]
    run = mg.function([*variables.values(), rows, earlier, *entering], sizes)
    numbers = quiet(run, *arrays, counted, begun, *[fall.enters for fall in falls.values()])
    padded = stacks.counts is not None
    return {
        name: _waterfall(name, fall, size, padded)
        for (name, fall), size in zip(falls.items(), numbers, strict=True)
    }


def _ending(stacks: Stacks, name: str) -> Floats:
    """What comes to a value at the end of each sequence, and 0 elsewhere, (T, B, H)."""
    whole = stacks.adjoints[name]
    return np.where(stacks.ends[:, :, None], whole, 0.0).astype(whole.dtype)


def _line_start(stacks: Stacks, made: str, along: Floats) -> Floats:
    """What a line starts with. With zoneout nothing comes to the last C: then what, times the
    factor of the last step, is what is there a step before."""
    there = _ending(stacks, made)
    if there.any():
        return there
    with np.errstate(all="ignore"):
        before = np.concatenate([along[:1], along[:-1]]) / stacks.factors[made]
    return np.where(stacks.ends[:, :, None], before, 0.0).astype(there.dtype)


class _Fall(NamedTuple):
    part: str
    enters: Floats
    """What enters at each step, (T, B, H)."""
    chain: Sequence[Link]


def _sizes(
    chain: Sequence[Link], variables: Mapping[Expr, Expr], rows: tuple[Expr, Expr], enters: Expr
) -> Expr:
    """(T, 2 + links): of what goes back along a chain ln of what entering multiplies its norm by,
    and then, of the norm 1, its norm after each link, and after what leaves.

    rows: (T, B) each, whether a step counts, and whether one before it does.
    """

    def step(carry: tuple[Expr, Expr], now: list[Expr]) -> tuple[tuple[Expr, Expr], Expr]:
        running, level = carry
        *values, counts, earlier, entering = now
        running, entered = _joined(running, level, entering)
        here, stays = by_unit(counts, running), by_unit(earlier, running)
        none = mg.zeros_like(running)
        at, waits = mg.where(here, running, none), mg.where(here, none, running)  # past padding
        rest, sizes = _norm(waits), []
        for link in chain:
            at = mg.substitute(link.back(at), dict(zip(variables, values, strict=True)))
            size = _norm(at)
            both = mg.sqrt(mg.square(size) + mg.square(rest))
            sizes.append(mg.where(rest == 0, size, both))  # the square of a small one is 0
        running, last = _unit(mg.where(stays, at + waits, none))
        sizes.append(last)
        gained = entered - mg.where(level == -np.inf, mg.zeros_like(level), level)
        return (running, entered + mg.log(last)), mg.stack([gained, *sizes])

    start = (mg.zeros(enters.shape[1:], enters.dtype), mg.const(-np.inf))
    _, sizes = mg.scan(step, start, [*variables.values(), *rows, enters], reverse=True)
    return cast(Expr, sizes)


def _joined(running: Expr, level: Expr, entering: Expr) -> tuple[Expr, Expr]:
    """What is there, of norm 1 times exp(level), and what enters: of norm 1, and its level.

    Each is taken on the scale of the larger, as either may be far beyond what exp holds.
    """
    fresh, size = _unit(entering)
    top = mg.maximum(level, mg.log(size))
    top = mg.where(top == -np.inf, mg.zeros_like(top), top)
    shares = [mg.astype(mg.exp(x - top), running.dtype) for x in (level, mg.log(size))]
    joined, size = _unit(running * shares[0] + fresh * shares[1])
    return joined, top + mg.log(size)


def _waterfall(name: str, fall: _Fall, sizes: Floats, padded: bool) -> Waterfall:
    with np.errstate(all="ignore"):
        entered = sizes[:, 0] / np.log(10.0)
        logs = np.column_stack([np.zeros(len(sizes)), np.log10(sizes[:, 1:])])
        decades = np.diff(logs, axis=1)[1:]
    decades[np.isneginf(logs[1:, :-1])] = 0.0  # what is 0 stays 0
    labels = [link.label for link in fall.chain]
    if padded:
        decades = np.column_stack([decades, entered[:-1]])
        labels += ["leaves", "enters"]
    else:
        decades = decades[:, :-1]
    return Waterfall(name, fall.part, float(entered[-1]), tuple(labels), decades)


def _unit(x: Expr) -> tuple[Expr, Expr]:
    """x of norm 1, and its norm, float64; 0 stays 0."""
    size = norm(x)
    return x / mg.where(size == 0, mg.ones_like(size), size), mg.astype(size, "float64")


def _norm(x: Expr) -> Expr:
    return mg.astype(norm(x), "float64")
