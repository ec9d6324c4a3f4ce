"""Loops the other way round: what comes back through the steps of a loop, in one channel or two.

The body of the reverse loop is the derivative of the body; what that reads of the forward pass, the
forward loop gives out as extra outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

import numpy as np

from minigrad.derivatives.conditions import masked_by, widened
from minigrad.derivatives.support import Support
from minigrad.derivatives.sweep import Crossing, Sweep, sum_or_none
from minigrad.graph.leaves import const, placeholder
from minigrad.graph.node import Expr, Terms
from minigrad.graph.walk import toposort
from minigrad.loop.body import Body, Call
from minigrad.loop.residuals import gather_factors, residuals
from minigrad.ops.batch import stacked
from minigrad.ops.choice import where
from minigrad.ops.core import broadcast_to, full, is_zero, reshape
from minigrad.ops.tuples import items_of, tuple_of
from minigrad.rewrite.rules import stabilise
from minigrad.types import BOOL, Shape, TensorType

_ABSENT = "absent"
_Y: TypeAlias = "str | Shape | None"
"""What is known of the cotangent of a y: that there is none, or the shape of its mask in a step."""


class Arriving:
    """The cotangents of a loop's results, stacked, and where they may be other than 0.

    ys: what is known of those of the outputs of the steps.
    """

    def __init__(self, body: Body, cotangent: Expr) -> None:
        self.cotangents = items_of(cotangent)
        stacks = self.cotangents[body.n_carry :]
        self.masks = [None if is_zero(ct) else Support().condition(ct) for ct in stacks]
        self.ys: tuple[_Y, ...] = tuple(
            [
                _ABSENT if is_zero(ct) else None if m is None else m.shape[1:]
                for ct, m in zip(stacks, self.masks, strict=True)
            ]
        )


class StepSeeds:
    """What stands in a step for the cotangents of its outputs.

    cotangents: placeholders for those of the outputs, None for what has none.
    masks: {cotangent of an output of the steps: a placeholder for where it may be other than 0},
        where that is known.
    """

    def __init__(self, body: Body, ys: Sequence[_Y]) -> None:
        absent = [*(False for _ in body.carries), *(y == _ABSENT for y in ys)]
        self.cotangents = [
            placeholder("cotangent", o.type) if o.type.is_float and not a else None
            for o, a in zip(body.outputs, absent, strict=True)
        ]
        self.masks = {
            u: placeholder("mask", TensorType(y, BOOL))
            for u, y in zip(self.cotangents[body.n_carry :], ys, strict=True)
            if u is not None and isinstance(y, tuple)
        }

    @property
    def variables(self) -> list[Expr]:
        """All of them."""
        return [*(u for u in self.cotangents if u is not None), *self.masks.values()]

    def of(self, outputs: Sequence[Expr]) -> list[tuple[Expr, Expr | None]]:
        """The outputs of a step, each with what comes to it from outside."""
        return list(zip(outputs, map(self._masked, self.cotangents), strict=True))

    def _masked(self, u: Expr | None) -> Expr | None:
        return masked_by([self.masks[u]], u) if u is not None and u in self.masks else u


class StepBack:
    """What one step passes back of the cotangents of its outputs.

    terms: {input of the body: what a reverse step makes of the cotangents for it}, without those
        that nothing depends on.
    live: {input of a step: where its term may be other than 0}, where that is known.
    residuals: the values of the forward step that the terms read.

    cotangents: the variables of a reverse step that stand for them, of all channels.
    """

    def __init__(
        self,
        body: Body,
        outputs: Sequence[Expr],
        seeds: StepSeeds,
        by_input: Mapping[Expr, Expr],
        cotangents: Sequence[Expr],
    ) -> None:
        self.seeds = seeds
        support = Support()
        conditions = {v: support.condition(by_input[v]) for v in body.xs if v in by_input}
        live = {v: c for v, c in conditions.items() if c is not None}
        terms = gather_factors([*by_input.values(), *live.values()], cotangents)
        self.terms = dict(zip(by_input, terms, strict=False))
        self.live = dict(zip(live, terms[len(by_input) :], strict=True))
        self.residuals = residuals(body, outputs, terms, cotangents)


def plain_step_back(body: Body, ys: tuple[_Y, ...]) -> StepBack:
    """The derivative of a body, kept with it."""
    key = ("backward", ys)
    if key not in body.derived:
        seeds, outputs = StepSeeds(body, ys), stabilise(body.outputs)
        wrt = [v for v in body.inputs if v.type.is_float]
        sweep = Sweep(toposort(outputs), seeds.of(outputs), wrt)
        by_input = {v: ct for v in body.inputs if (ct := sweep.get(v)) is not None}
        body.derived[key] = StepBack(body, outputs, seeds, by_input, seeds.variables)
    return cast(StepBack, body.derived[key])


# --- the loop back -------------------------------------------------------------------------------


class Channel:
    """One cotangent on its way back through all steps, and what it does in the reverse loop.

    init, xs: what the variables of the reverse step stand for outside.
    carried, stacked: what a reverse step makes: cotangents of the carries and sums for the
        constants; terms of the inputs of the step, and where these may be other than 0.
    """

    def __init__(self, call: Call, back: StepBack, arriving: Arriving) -> None:
        body, n, terms = call.body, call.body.n_carry, back.terms
        self.back, self.body = back, body
        pairs = list(zip(back.seeds.cotangents, arriving.cotangents, strict=True))
        self._moving = [v for v in body.carries if v.type.is_float]
        self._sums = {v: placeholder("sum", v.type) for v in body.constants if v in terms}
        self._emitted = [v for v in body.xs if v in terms]
        self._never = [v for v in self._moving if v not in terms and call.loop.length]
        self.init = {u: ct for u, ct in pairs[:n] if u is not None}
        self.init |= {total: full(0, total.type) for total in self._sums.values()}
        self.xs = {u: ct for u, ct in pairs[n:] if u is not None}
        for (u, _), mask in zip(pairs[n:], arriving.masks, strict=True):
            if u is not None and mask is not None:
                whole = (call.loop.length, *mask.shape[1:])
                self.xs[back.seeds.masks[u]] = widened(mask, whole)
        self.carried = [terms.get(v, full(0, v.type)) for v in self._moving]
        self.carried += [total + terms[v] for v, total in self._sums.items()]
        self.stacked = [*(terms[v] for v in self._emitted), *back.live.values()]

    def terms(self, ends: Iterator[Expr], stacks: Iterator[Expr]) -> list[Expr | None]:
        """What the arguments of the loop get, of the results of the reverse loop."""
        by_input = {v: next(ends) for v in (*self._moving, *self._sums)}
        by_input |= {v: next(stacks) for v in self._emitted}
        # What a step left out, nothing before the loop takes in again.
        by_input |= {v: masked_by([next(stacks)], by_input[v]) for v in self.back.live}
        for v in self._never:
            del by_input[v]
        return [by_input.get(v) for v in self.body.inputs]

    def hand_over(self, other: Channel) -> None:
        """Keep, of what the constants get, that of the step back that is run last; the rest is the
        other channel's."""
        place = {v: len(other._moving) + k for k, v in enumerate(other._sums)}
        for k, (v, total) in enumerate(self._sums.items(), len(self._moving)):
            self.carried[k] = self.back.terms[v]
            other.carried[place[v]] = other.carried[place[v]] + total


def run_back(
    call: Call, channels: Sequence[Channel], asked: Sequence[Expr] = ()
) -> tuple[list[Terms], list[Expr]]:
    """One loop back through all steps, for all channels.

    asked: expressions of what a step has, and of the cotangents of its outputs.
    Returns what the arguments of the loop get, by channels, and stacks of what was asked.
    """
    reads = dict.fromkeys([r for channel in channels for r in channel.back.residuals])
    if asked:
        variables = [u for channel in channels for u in channel.back.seeds.variables]
        reads |= dict.fromkeys(residuals(call.body, call.body.outputs, asked, variables))
    xs = dict(zip(reads, beside(call, [*reads]), strict=True)) | dict(call.xs)
    reverse = replace(
        call,
        loop=replace(call.loop, reverse=not call.loop.reverse),
        init={v: x for channel in channels for v, x in channel.init.items()},
        xs={v: x for channel in channels for v, x in channel.xs.items()} | xs,
    )
    carried = [e for channel in channels for e in channel.carried]
    stacked = [e for channel in channels for e in channel.stacked]
    results = reverse.giving([*carried, *stacked, *asked])
    ends, stacks = iter(results[: len(carried)]), iter(results[len(carried) :])
    terms: list[Terms] = [channel.terms(ends, stacks) for channel in channels]
    return terms, list(stacks)


def _types(call: Call) -> list[TensorType]:
    body = call.body
    ys = [stacked(y.type, call.loop.length) for y in body.ys]
    return [*(c.type for c in body.carries), *ys]


def beside(call: Call, exprs: Sequence[Expr]) -> list[Expr]:
    """Stacks of what the steps of a loop compute, by the loop once more.

    Loops that differ in their outputs only are merged when the graph is compiled.
    """
    body = call.body
    wide = Body(body.inputs, (*body.outputs, *exprs), body.n_carry, body.n_x)
    operands = [*call.init.values(), *call.xs.values(), *call.constants.values()]
    return replace(call.loop, body=wide).of(call.op, operands)[len(body.outputs) :]


# --- step by step, in turn -----------------------------------------------------------------------


def _entering(call: Call, first: list[Expr], second: list[Expr]) -> tuple[list[Expr], list[Expr]]:
    """Cotangents of a loop's results, of which the first channel's enter at the step that is run
    last; what enters elsewhere is the second's."""
    last = 0 if call.loop.reverse else call.loop.length - 1
    for k in range(call.body.n_carry, len(first)):
        if not is_zero(first[k]):
            first[k], rest = _row_of(first[k], last)
            second[k] = second[k] + rest
    return first, second


def _leaving(call: Call, first: Terms, second: Terms) -> list[Terms]:
    """What a loop's arguments get, of which the first channel's leave at the step that is run
    first; what leaves elsewhere is the second's."""
    at = call.loop.length - 1 if call.loop.reverse else 0
    both = list(first), list(second)
    for k in range(call.body.n_carry, call.body.n_carry + call.body.n_x):
        if (stack := first[k]) is not None:
            both[0][k], rest = _row_of(stack, at)
            both[1][k] = sum_or_none([second[k], rest])
    return [*both]


def _row_of(stack: Expr, t: int) -> tuple[Expr, Expr]:
    """A stack with all rows but one set to 0, and the rest of it."""
    here = const(np.arange(stack.shape[0]) == t)
    here = broadcast_to(reshape(here, (-1, *[1] * (stack.ndim - 1))), stack.shape)
    none = full(0, stack.type)
    return where(here, stack, none), where(here, none, stack)


# --- looking inside ------------------------------------------------------------------------------


class LoopReverse:
    """What comes back through the steps of one loop, and what can be asked of a step.

    A plain derivative carries what it always does; of two channels, and of what is asked, the terms
    are those of the step as it was written, so that every node is there.
    """

    def __init__(
        self, call: Call, cotangents: Sequence[Expr | None], crossing: Crossing | None
    ) -> None:
        self._call = call
        self._in_turn = crossing is not None and crossing.in_turn
        body, nodes = call.body, call.body.nodes
        none = tuple_of([full(0, t) for t in _types(call)])
        entering = [none if ct is None else ct for ct in cotangents]
        if self._in_turn:
            entering = [tuple_of(c) for c in _entering(call, *map(items_of, entering))]
        arriving = [Arriving(body, ct) for ct in entering]
        if crossing is None:
            backs = [plain_step_back(body, arriving[0].ys)]
            self.sweep = Sweep(nodes, backs[0].seeds.of(body.outputs))
        else:
            both = [StepSeeds(body, a.ys) for a in arriving]
            self.sweep = crossing.sweep(nodes, *[seeds.of(body.outputs) for seeds in both])
            variables = [u for seeds in both for u in seeds.variables]
            backs = [
                StepBack(body, body.outputs, seeds, terms, variables)
                for seeds, terms in zip(both, self._terms_of_step(body), strict=True)
            ]
        pairs = zip(backs, arriving, strict=True)
        self._channels = [Channel(call, back, a) for back, a in pairs]
        if self._in_turn:
            first, second = self._channels
            first.hand_over(second)

    def _terms_of_step(self, body: Body) -> list[dict[Expr, Expr]]:
        """For each of two channels, what the inputs of a step get."""
        parts = {v: self.sweep.parts(v) for v in body.inputs}
        first, second = (
            {v: part for v, both in parts.items() if (part := both[k]) is not None} for k in (0, 1)
        )
        if self._in_turn:  # what of a constant's goes over has a place to go to
            second = {v: full(0, v.type) for v in body.constants if v in first} | second
        return [first, second]

    def terms(self) -> list[Terms]:
        """For each channel, what the arguments of the loop get."""
        terms, _ = run_back(self._call, self._channels)
        if not self._in_turn:
            return terms
        return _leaving(self._call, *terms)

    def stacks(self, exprs: Sequence[Expr]) -> list[Expr]:
        """Expressions of a step's values and cotangents, for all steps."""
        return run_back(self._call, self._channels, exprs)[1]
