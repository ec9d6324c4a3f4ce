"""The derivatives of a loop: a loop the other way round, and one that carries tangents.

The body of the reverse loop is the derivative of the body; what that reads of the forward pass, the
forward loop gives out as extra outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from minigrad.derivatives.adjoints import Adjoints
from minigrad.derivatives.tangents import push_forward
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr
from minigrad.graph.walk import substitute
from minigrad.loop.body import Body, Loop, close
from minigrad.loop.residuals import carries_read, gather_factors, residuals
from minigrad.ops.core import full, sum
from minigrad.ops.tuples import item, tuple_of
from minigrad.rewrite.rules import stabilise
from minigrad.types import TupleType

# --- reverse mode ------------------------------------------------------------------------------


class _Backward:
    """The derivative of a body: what a step of the reverse loop computes, and what it reads.

    Placeholders stand for the cotangents of the outputs; a reverse step maps those of the next
    carries and ys to those of the carries (`by_carry`), the inputs (`by_x`) and its summands for
    the constants (`by_const`); None where there is no dependence.
    """

    def __init__(self, body: Body, recompute: bool) -> None:
        outputs = stabilise(body.outputs)
        self.cotangents = [
            placeholder("cotangent", o.type) if o.type.is_float else None for o in outputs
        ]
        pairs = zip(outputs, self.cotangents, strict=True)
        terms = [sum(o * u) for o, u in pairs if u is not None]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        adjoint = Adjoints(total, wrt=[v for v in body.inputs if v.type.is_float])
        by_input = [adjoint.get(v) for v in body.inputs]
        # Masks move to where they are needed here: the products that follow leave the loop.
        seeds = [u for u in self.cotangents if u is not None]
        terms = gather_factors(stabilise([g for g in by_input if g is not None]), seeds)
        self.residuals = (
            carries_read(body, terms) if recompute else residuals(body, outputs, terms, seeds)
        )
        settled = iter(terms)
        by_input = [None if g is None else next(settled) for g in by_input]
        split = body.n_carry + body.n_x
        self.by_carry = by_input[: body.n_carry]
        self.by_x = by_input[body.n_carry : split]
        self.by_const = by_input[split:]


def _backward(body: Body, recompute: bool) -> _Backward:
    key = ("backward", recompute)
    if key not in body.derived:
        body.derived[key] = _Backward(body, recompute)
    return cast(_Backward, body.derived[key])


def scan_vjp(cotangent: Expr, out: Expr) -> list[Expr | None]:
    """The adjoint terms of all arguments, by one loop the other way round."""
    loop = cast(Loop, out.attrs[0])
    body = loop.body
    back = _backward(body, loop.recompute)
    init, xs, constants = body.split(out.args)
    outputs = [item(cotangent, k) for k in range(len(body.outputs))]

    # The forward loop once more, giving out the residuals too. Loops that differ in their outputs
    # only are merged when the graph is compiled.
    residual_ys = back.residuals
    wide = Body(body.inputs, (*body.outputs, *residual_ys), body.n_carry, body.n_x)
    wide_loop = replace(loop, body=wide)
    before = wide_loop.of(out.op, init, xs, constants)[len(body.outputs) :]

    # A step of the reverse loop: cotangents and sums for the constants are carried.
    by_const = [(placeholder("sum", g.type), g) for g in back.by_const if g is not None]
    carried = [
        (u, ct, full(0, u.type) if g is None else g)
        for u, ct, g in zip(back.cotangents, outputs, back.by_carry, strict=False)
        if u is not None
    ]
    ys = zip(back.cotangents[body.n_carry :], outputs[body.n_carry :], strict=True)
    step_xs = [(u, ct) for u, ct in ys if u is not None]
    reverse_body, outside = close(
        [*(u for u, _, _ in carried), *(total for total, _ in by_const)],
        [*(u for u, _ in step_xs), *residual_ys, *body.xs],
        [
            *(g for _, _, g in carried),
            *(total + g for total, g in by_const),
            *(g for g in back.by_x if g is not None),
        ],
    )
    results = iter(
        Loop(reverse_body, loop.length, not loop.reverse).of(
            out.op,
            [*(ct for _, ct, _ in carried), *(full(0, total.type) for total, _ in by_const)],
            [*(ct for _, ct in step_xs), *before, *xs],
            substitute(outside, dict(zip(body.constants, constants, strict=True))),
        )
    )
    towards_init = [None if u is None else next(results) for u in back.cotangents[: body.n_carry]]
    towards_const = [None if g is None else next(results) for g in back.by_const]
    towards_xs = [None if g is None else next(results) for g in back.by_x]
    return [*towards_init, *towards_xs, *towards_const]


# --- forward mode ------------------------------------------------------------------------------


def scan_jvp(out: Expr, tangents: Sequence[Expr | None]) -> Expr:
    """One loop that carries the tangents beside the values."""
    loop = cast(Loop, out.attrs[0])
    body = loop.body
    init, xs, constants = body.split(out.args)
    split = body.n_carry + body.n_x
    # A carry may get a tangent from an input later on: all float carries carry one.
    seeds = [
        placeholder("tangent", v.type)
        if v.type.is_float and (k < body.n_carry or tangents[k] is not None)
        else None
        for k, v in enumerate(body.inputs)
    ]
    values = stabilise(body.outputs)
    pushed = push_forward(
        values, {v: s for v, s in zip(body.inputs, seeds, strict=True) if s is not None}
    )
    next_tangents = [
        full(0, v.type) if p is None else p
        for p, v in zip(pushed, body.carries, strict=False)
        if v.type.is_float
    ]
    wide, outside = close(
        [*body.carries, *(s for s in seeds[: body.n_carry] if s is not None)],
        [*body.xs, *(s for s in seeds[body.n_carry : split] if s is not None)],
        [
            *values[: body.n_carry],
            *next_tangents,
            *(p for p in pushed[body.n_carry :] if p is not None),
        ],
    )
    inside = dict(zip(body.constants, constants, strict=True))
    pairs = zip(seeds[split:], tangents[split:], strict=True)
    inside |= {s: t for s, t in pairs if s is not None and t is not None}
    results = iter(
        replace(loop, body=wide).of(
            out.op,
            [*init, *_started(seeds[: body.n_carry], tangents)],
            [*xs, *(t for t in tangents[body.n_carry : split] if t is not None)],
            substitute(outside, inside),
        )[body.n_carry :]
    )
    items = cast(TupleType, out.type).items
    moved = [v.type.is_float for v in body.carries]
    moved += [p is not None for p in pushed[body.n_carry :]]
    return tuple_of([next(results) if m else full(0, t) for m, t in zip(moved, items, strict=True)])


def _started(seeds: Sequence[Expr | None], tangents: Sequence[Expr | None]) -> list[Expr]:
    """The tangents that carries start with; zeros where none is given."""
    pairs = zip(seeds, tangents, strict=False)
    return [full(0, s.type) if t is None else t for s, t in pairs if s is not None]
