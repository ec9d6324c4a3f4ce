"""The derivatives of a loop: a loop the other way round, and one that carries tangents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from minigrad.derivatives.tangents import push_forward
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, Terms
from minigrad.loop.body import Call
from minigrad.loop.reverse import Arriving, Channel, plain_step_back, run_back
from minigrad.ops.core import full
from minigrad.ops.tuples import tuple_of
from minigrad.rewrite.rules import stabilise
from minigrad.types import TupleType


def scan_vjp(cotangent: Expr, out: Expr) -> Terms:
    """The adjoint terms of all arguments, by one loop the other way round."""
    call = Call.of(out)
    arriving = Arriving(call.body, cotangent)
    back = plain_step_back(call.body, arriving.ys)
    if not back.terms:
        return [None] * len(out.args)
    (terms,), _ = run_back(call, [Channel(call, back, arriving)])
    return terms


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
