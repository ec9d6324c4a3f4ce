"""The derivatives of a loop: a loop the other way round, and one that carries tangents.

The body of the reverse loop is the derivative of the body; what that reads of the forward pass, the
forward loop gives out as extra outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from minigrad.derivatives.adjoints import Adjoints, sum_or_none
from minigrad.derivatives.conditions import masked_by, widened
from minigrad.derivatives.support import Support
from minigrad.derivatives.tangents import push_forward
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr
from minigrad.loop.body import Body, Call
from minigrad.loop.residuals import gather_factors, residuals
from minigrad.ops.core import full, is_zero, sum
from minigrad.ops.tuples import item, tuple_of
from minigrad.rewrite.rules import stabilise
from minigrad.types import BOOL, Shape, TensorType, TupleType

# --- reverse mode ------------------------------------------------------------------------------


_ABSENT = "absent"
_Y: TypeAlias = "str | Shape | None"
"""What is known of the cotangent of a y: that there is none, or the shape of its mask in a step."""


class _Backward:
    """The derivative of a body: what a step of the reverse loop computes, and what it reads.

    cotangents: placeholders for those of the outputs, None for what has none.
    masks: {cotangent of an output of the steps: a placeholder for where it may be other than 0},
        where that is known.
    terms: {input of the body: what a reverse step makes of the cotangents for it}, without those
        that nothing depends on.
    live: {input of a step: where its term may be other than 0}, where that is known.
    residuals: the values of the forward step that the terms read.
    """

    def __init__(self, body: Body, ys: Sequence[_Y]) -> None:
        outputs = stabilise(body.outputs)
        absent = [*(False for _ in body.carries), *(y == _ABSENT for y in ys)]
        self.cotangents = [
            placeholder("cotangent", o.type) if o.type.is_float and not a else None
            for o, a in zip(outputs, absent, strict=True)
        ]
        self.masks = {
            u: placeholder("mask", TensorType(y, BOOL))
            for u, y in zip(self.cotangents[body.n_carry :], ys, strict=True)
            if u is not None and isinstance(y, tuple)
        }
        pairs = zip(outputs, self.cotangents, strict=True)
        total = sum_or_none(sum(o * self._masked(u)) for o, u in pairs if u is not None)
        wrt = [v for v in body.inputs if v.type.is_float]
        by_input: dict[Expr, Expr] = {}
        if total is not None:
            adjoint = Adjoints(total, wrt=wrt)
            by_input = {v: adjoint[v] for v in body.inputs if v in adjoint}
        support = Support()
        conditions = {v: support.condition(by_input[v]) for v in body.xs if v in by_input}
        live = {v: c for v, c in conditions.items() if c is not None}
        seeds = [*(u for u in self.cotangents if u is not None), *self.masks.values()]
        terms = gather_factors([*by_input.values(), *live.values()], seeds)
        self.terms = dict(zip(by_input, terms, strict=False))
        self.live = dict(zip(live, terms[len(by_input) :], strict=True))
        self.residuals = residuals(body, outputs, terms, seeds)

    def _masked(self, cotangent: Expr) -> Expr:
        mask = self.masks.get(cotangent)
        return cotangent if mask is None else masked_by([mask], cotangent)


def _backward(body: Body, ys: tuple[_Y, ...]) -> _Backward:
    key = ("backward", ys)
    if key not in body.derived:
        body.derived[key] = _Backward(body, ys)
    return cast(_Backward, body.derived[key])


def scan_vjp(cotangent: Expr, out: Expr) -> list[Expr | None]:
    """The adjoint terms of all arguments, by one loop the other way round."""
    call = Call.of(out)
    body, n = call.body, call.body.n_carry
    outputs = [item(cotangent, k) for k in range(len(body.outputs))]
    masks = [None if is_zero(ct) else Support().condition(ct) for ct in outputs[n:]]
    ys = [
        _ABSENT if is_zero(ct) else None if m is None else m.shape[1:]
        for ct, m in zip(outputs[n:], masks, strict=True)
    ]
    back = _backward(body, tuple(ys))
    if not back.terms:
        return [None] * len(out.args)
    pairs = list(zip(back.cotangents, outputs, strict=True))

    # The forward loop once more, giving out the residuals too. Loops that differ in their outputs
    # only are merged when the graph is compiled.
    wide = Body(body.inputs, (*body.outputs, *back.residuals), n, body.n_x)
    stacks = replace(call.loop, body=wide).of(out.op, out.args)[len(body.outputs) :]

    # A step of the reverse loop: cotangents and sums for the constants are carried.
    carried = [v for v in body.carries if v.type.is_float]
    sums = {v: placeholder("sum", v.type) for v in body.constants if v in back.terms}
    emitted = [v for v in body.xs if v in back.terms]
    reverse = replace(
        call,
        loop=replace(call.loop, reverse=not call.loop.reverse),
        init={u: ct for u, ct in pairs[:n] if u is not None}
        | {total: full(0, total.type) for total in sums.values()},
        xs={u: ct for u, ct in pairs[n:] if u is not None}
        | {
            back.masks[u]: widened(m, (call.loop.length, *m.shape[1:]))
            for u, m in zip(back.cotangents[n:], masks, strict=True)
            if u is not None and m is not None
        }
        | dict(zip(back.residuals, stacks, strict=True))
        | dict(call.xs),
    )
    results = reverse.giving(
        [
            *(back.terms.get(v, full(0, v.type)) for v in carried),
            *(total + back.terms[v] for v, total in sums.items()),
            *(back.terms[v] for v in emitted),
            *back.live.values(),
        ]
    )
    by_input = dict(zip((*carried, *sums, *emitted), results, strict=False))
    # What a step left out, nothing before the loop takes in again.
    for v, mask in zip(back.live, results[len(by_input) :], strict=True):
        by_input[v] = masked_by([mask], by_input[v])
    return [by_input.get(v) for v in body.inputs]


# --- forward mode ------------------------------------------------------------------------------


def scan_jvp(out: Expr, tangents: Sequence[Expr | None]) -> Expr:
    """One loop that carries the tangents beside the values."""
    call = Call.of(out)
    body, n = call.body, call.body.n_carry
    by_input = {v: t for v, t in zip(body.inputs, tangents, strict=True) if t is not None}
    # A carry may get a tangent from an input later on: all float carries carry one.
    carried = [v for v in body.carries if v.type.is_float]
    seeds = {v: placeholder("tangent", v.type) for v in (*carried, *by_input)}

    def beside(operands: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
        """What variables stand for, and after it what their tangents do."""
        moving = [v for v in operands if v in seeds]
        return {**operands, **{seeds[v]: by_input.get(v, full(0, v.type)) for v in moving}}

    values = stabilise(body.outputs)
    pushed = push_forward(values, seeds)
    next_tangents = [
        full(0, v.type) if p is None else p
        for p, v in zip(pushed, body.carries, strict=False)
        if v in seeds
    ]
    y_tangents = [p for p in pushed[n:] if p is not None]
    wide = replace(
        call,
        init=beside(call.init),
        xs=beside(call.xs),
        constants=beside(call.constants),
    )
    results = iter(wide.giving([*values[:n], *next_tangents, *y_tangents])[n:])
    moved = [*(v in seeds for v in body.carries), *(p is not None for p in pushed[n:])]
    types = cast(TupleType, out.type).items
    return tuple_of([next(results) if m else full(0, t) for m, t in zip(moved, types, strict=True)])
