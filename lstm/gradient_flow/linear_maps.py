"""A step as a linear map of the gradient: its Jacobian and singular values, and the waterfall of
each route through it, derivative by derivative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.cells import Line
from lstm.gradient_flow.equations import MIXED, Link, StepGraph, links, over_steps, routes
from lstm.gradient_flow.steps import (
    Floats,
    Stacks,
    alike,
    by_unit,
    each_of,
    norm_of_each,
    quiet,
    variables_of,
    wide_norms,
)
from lstm.gradient_flow.way_back import Row, WayBack
from minigrad import Expr
from minigrad.display import in_a_line

LINE, EVERY = "line", ""
"""The route along a cell's line, and all routes."""
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


class _Fall(NamedTuple):
    part: str
    """Where it starts, and ends a step before."""
    chain: Sequence[Link]


class _Back(NamedTuple):
    """A step back on a route."""

    links: list[Expr]
    """What each made of it."""
    waits: Expr | None
    """What is past padding, and so no link's."""
    end: Expr
    """What goes on."""


class Falls:
    """Tells what each link of the routes of a step, and of the line, makes of a norm.

    only: LINE, where no other is wanted, or EVERY one.
    """

    def __init__(self, way: WayBack, line: Line | None = None, only: str = EVERY) -> None:
        self._way, graph = way, way.graph
        self._falls: dict[str, _Fall] = {}
        factors: Mapping[str, Expr] = {}
        if line is not None:
            factors = graph.line_factors(line.symbol)
            (inside,) = graph.values_of([factors[graph.made[line.symbol]]])
            chain = [Link(line.factor, lambda cotangent: cotangent * inside)]
            self._falls[LINE] = _Fall(line.symbol, chain)
        for route in () if only == LINE else routes(graph).values():
            if not {*route.stations} <= {*factors}:
                self._falls[route.name] = _Fall(route.part, links(graph, route))

    def start(self) -> dict[str, tuple[Expr, Expr]]:
        """{route: what is on its way, of norm 1, and ln of what that is to be multiplied by}"""
        last = self._way.stacks["last"]
        none = mg.const(-np.inf)
        return {name: (mg.zeros_like(last[fall.part]), none) for name, fall in self._falls.items()}

    def step(self, carry: Any, row: Row) -> tuple[dict[str, tuple[Expr, Expr]], dict[str, Expr]]:
        """(2 + links,) by route: ln of what entering multiplies the norm by, and then, of the norm
        1, its norm after each link, and after what leaves."""
        begun = _joined(carry, {n: self._enters(n, f.part, row) for n, f in self._falls.items()})
        backs = {n: self._back(begun[n][0], f, row) for n, f in self._falls.items()}
        ends = _units({name: back.end for name, back in backs.items()})
        norms = wide_norms({(n, k): x for n, b in backs.items() for k, x in enumerate(b.links)})
        rests = wide_norms({n: b.waits for n, b in backs.items() if b.waits is not None})
        on, told = {}, {}
        for name, back in backs.items():
            level, entered, (end, last) = carry[name][1], begun[name][1], ends[name]
            gained = entered - mg.where(level == -np.inf, mg.zeros_like(level), level)
            sizes = [_beside(rests.get(name), norms[name, k]) for k in range(len(back.links))]
            on[name] = end, entered + mg.log(last)
            told[name] = mg.stack([gained, *sizes, last])
        return on, told

    def _enters(self, name: str, part: str, row: Row) -> Expr:
        """What comes to a part at the end of each sequence, and 0 elsewhere, (B, H).

        With zoneout nothing comes to the last state of a line that the loss does not read: then
        what, times the factor of the last step, is what is there a step before.
        """
        made = self._way.graph.made[part]
        whole = row.adjoints[made]
        end, none = by_unit(row.ends, whole), mg.zeros_like(whole)
        there = mg.where(end, whole, none)
        if name != LINE or not made.startswith(MIXED) or row.onward is None:
            return there
        before = mg.where(end, row.onward / row.factors[made], none)
        some = mg.broadcast_to(mg.max(mg.abs(there)) > 0, there.shape)
        return mg.where(some, there, before)

    def _back(self, running: Expr, fall: _Fall, row: Row) -> _Back:
        """One step back on one route."""
        at, waits = running, None
        if row.counts is not None:  # past padding it waits
            here, none = by_unit(row.counts, running), mg.zeros_like(running)
            at, waits = mg.where(here, running, none), mg.where(here, none, running)
        links = []
        for link in fall.chain:
            at = mg.substitute(link.back(at), dict(row.rows))
            links.append(at)
        if waits is not None:
            at = at + waits
        if row.earlier is not None:
            at = mg.where(by_unit(row.earlier, at), at, mg.zeros_like(at))
        return _Back(links, waits, at)

    def waterfalls(self, told: Mapping[str, Floats], padded: bool) -> dict[str, Waterfall]:
        """The waterfall of each route, of what was told, (T, 2 + links)."""
        return {
            name: _waterfall(name, fall, told[name], padded) for name, fall in self._falls.items()
        }


def _joined(
    carry: Mapping[str, tuple[Expr, Expr]], entering: Mapping[str, Expr]
) -> dict[str, tuple[Expr, Expr]]:
    """By route what is there, of norm 1 times exp(level), and what enters: of norm 1, and its
    level.

    Each is taken on the scale of the larger, as either may be far beyond what exp holds.
    """
    made: dict[str, tuple[Expr, Expr]] = {}
    for names, enters in alike(entering):
        running, level = (mg.stack([carry[name][k] for name in names]) for k in (0, 1))
        fresh, size = _unit(enters)
        top = mg.maximum(level, mg.log(size))
        top = mg.where(top == -np.inf, mg.zeros_like(top), top)
        shares = [mg.exp(x - top) for x in (level, mg.log(size))]
        own, new = (_over(mg.astype(share, running.dtype), running) for share in shares)
        joined, size = _unit(running * own + fresh * new)
        levels = each_of(top + mg.log(size))
        made |= zip(names, zip(each_of(joined), levels, strict=True), strict=True)
    return made


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


def _beside(rest: Expr | None, size: Expr) -> Expr:
    """The norm of what a link made with what waits past padding, of whose norm it is the rest."""
    if rest is None:
        return size
    both = mg.sqrt(mg.square(size) + mg.square(rest))
    return mg.where(rest == 0, size, both)  # the square of a small one is 0


def _units(arrays: Mapping[str, Expr]) -> dict[str, tuple[Expr, Expr]]:
    """Arrays of norm 1, each with its norm."""
    made: dict[str, tuple[Expr, Expr]] = {}
    for names, stack in alike(arrays):
        units, sizes = _unit(stack)
        made |= zip(names, zip(each_of(units), each_of(sizes), strict=True), strict=True)
    return made


def _unit(stack: Expr) -> tuple[Expr, Expr]:
    """The arrays in a stack, of norm 1, and their norms, float64; 0 stays 0."""
    sizes = mg.astype(norm_of_each(stack), stack.dtype)
    divisors = mg.where(sizes == 0, mg.ones_like(sizes), sizes)
    return stack / _over(divisors, stack), mg.astype(sizes, "float64")


def _over(numbers: Expr, stack: Expr) -> Expr:
    """A number for each array in a stack, for all of its elements."""
    return mg.expand_dims(numbers, tuple(range(1, stack.ndim)))
