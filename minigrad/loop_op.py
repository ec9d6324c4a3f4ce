"""The loop node: how it runs on NumPy, and its derivatives. See scan.py for what users call.

A loop is one node that holds a body (see body.py): carries, inputs, outputs, and nothing more. Its
derivative is a loop the other way round, whose body is the derivative of the body; what that reads
of the forward pass, the forward loop gives out as extra outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from minigrad.body import Body, close
from minigrad.compile.numpy import Runner, compile_plan
from minigrad.compile.plan import make_plan
from minigrad.errors import NonFiniteError, ShapeError
from minigrad.grad import Adjoints, push_forward
from minigrad.graph import Expr, Op, fresh_var, make, register
from minigrad.ops.core import full, sum
from minigrad.ops.tuples import item, tuple_of
from minigrad.simplify import simplify_safely, stabilise
from minigrad.types import Array, TensorType, TupleType
from minigrad.walk import substitute, toposort

# --- the op ------------------------------------------------------------------------------------


def _scan_type(*rest: Any) -> Any:
    *types, body, length, _reverse, _recompute = rest
    if len(types) != len(body.inputs):
        raise ShapeError(f"the body takes {len(body.inputs)} inputs; there are {len(types)}")
    for k, (given, v) in enumerate(zip(types, body.inputs, strict=True)):
        is_x = body.n_carry <= k < body.n_carry + body.n_x
        expected = stacked(v.type, length) if is_x else v.type
        if given is not expected:
            raise ShapeError(f"input {k} of the loop is {given!r}; its body takes {expected!r}")
    ys = [stacked(y.type, length) for y in body.ys]
    return TupleType([*(c.type for c in body.carries), *ys])


def stacked(type_: TensorType, length: int) -> TensorType:
    """The type of what a loop makes of a step's y."""
    return type_.with_shape((length, *type_.shape))


def _scan_numpy(*rest: Any, out: Sequence[Array | None] | None = None) -> tuple[Array, ...]:
    return _steps(_compiled(rest[-4]), *rest, out=out)


def checked(*rest: Any, out: Sequence[Array | None] | None = None) -> tuple[Array, ...]:
    """The loop on NumPy, stopped by NonFiniteError in the step and at the op of its first NaN."""
    return _steps(_compiled(rest[-4], check_finite=True), *rest, out=out)


def _steps(run: Runner, *rest: Any, out: Sequence[Array | None] | None) -> tuple[Array, ...]:
    *arrays, body, length, reverse, _recompute = rest
    carries, xs, constants = body.split(arrays)
    places = [None] * len(body.ys) if out is None else out[body.n_carry :]
    ys = [
        np.empty((length, *y.shape), y.dtype) if place is None else place
        for y, place in zip(body.ys, places, strict=True)
    ]
    if not length:
        carries = [np.array(c) for c in carries]  # results share no memory with operands
    for t in range(length - 1, -1, -1) if reverse else range(length):
        try:
            found = run([*carries, *[x[t] for x in xs], *constants])
        except NonFiniteError as error:
            raise NonFiniteError(f"in step {t} of a loop: {error}") from None
        carries = found[: body.n_carry]
        for y, value in zip(ys, found[body.n_carry :], strict=True):
            y[t] = value
    return (*carries, *ys)


def _compiled(body: Body, check_finite: bool = False) -> Runner:
    key = ("numpy", check_finite)
    if key not in body.derived:
        plan = make_plan(body.inputs, simplify_safely(body.outputs), reuse=not check_finite)
        body.derived[key] = compile_plan(plan, check_finite, checked_call if check_finite else call)
    return cast(Runner, body.derived[key])


def call(node: Expr) -> Callable[..., Any]:
    """What computes a node on NumPy."""
    return node.op.numpy


def checked_call(node: Expr) -> Callable[..., Any]:
    """What computes a node on NumPy when the first NaN is looked for: within loops too."""
    return checked if node.op is SCAN else node.op.numpy


def run_loop(
    body: Body,
    init: Sequence[Expr],
    xs: Sequence[Expr],
    constants: Sequence[Expr],
    length: int,
    reverse: bool,
    recompute: bool,
) -> list[Expr]:
    """The results of a loop: the last carries, then the stacked outputs."""
    whole = make(SCAN, (*init, *xs, *constants), (body, length, reverse, recompute))
    return [item(whole, k) for k in range(len(body.outputs))]


# A block is a graph as one node: what a backend compiles as one. Backends make them, of graphs that
# are differentiated already.


def _block_type(*rest: Any) -> Any:
    *types, body = rest
    if [v.type for v in body.inputs] != types:
        raise ShapeError(f"a block of {len(body.inputs)} inputs got {types}")
    return TupleType([o.type for o in body.outputs])


BLOCK = register(
    Op(
        "block",
        _block_type,
        lambda *rest, out=None: tuple(_compiled(rest[-1])(rest[:-1])),
        no_gradient=True,
        attrs=("body",),
        out=True,
    )
)


# --- reverse mode ------------------------------------------------------------------------------


class _Backward:
    """The derivative of a body: what a step of the reverse loop computes, and what it reads.

    Placeholders stand for the cotangents of the outputs; a reverse step maps those of the next
    carries and ys to those of the carries (`by_carry`), the inputs (`by_x`) and its summands for
    the constants (`by_const`); None where there is no dependence.
    """

    def __init__(self, body: Body, recompute: bool) -> None:
        self.body = body
        outputs = stabilise(body.outputs)
        self.cotangents = [
            fresh_var("cotangent", o.type) if o.type.is_float else None for o in outputs
        ]
        pairs = zip(outputs, self.cotangents, strict=True)
        terms = [sum(o * u) for o, u in pairs if u is not None]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        adjoint = Adjoints(total, wrt=[v for v in body.inputs if v.type.is_float])
        found = [adjoint.get(v) for v in body.inputs]
        split = body.n_carry + body.n_x
        self.by_carry = found[: body.n_carry]
        self.by_x = found[body.n_carry : split]
        self.by_const = found[split:]
        self.residuals = _residuals(body, [] if recompute else outputs, found)


def _residuals(body: Body, outputs: Sequence[Expr], found: Sequence[Expr | None]) -> list[Expr]:
    """The forward values that a reverse step reads and the reverse loop cannot have otherwise.

    Of no outputs given: the carries alone, from which all else is computed again.
    """
    moving = set(body.carries)
    for node in toposort(outputs):
        if any(a in moving for a in node.args):
            moving.add(node)
    kept: dict[Expr, None] = {}
    seen: set[Expr] = set()
    stack = [g for g in found if g is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        # What follows from the step's inputs and the constants alone is at hand there too, and a
        # view is read again from what it views.
        if node in moving and not node.op.view:
            kept[node] = None
        else:
            stack.extend(node.args)
    return list(kept)


def _backward(body: Body, recompute: bool) -> _Backward:
    key = ("backward", recompute)
    if key not in body.derived:
        body.derived[key] = _Backward(body, recompute)
    return cast(_Backward, body.derived[key])


def _scan_vjp(cotangent: Expr, out: Expr) -> list[Expr | None]:
    """The adjoint terms of all arguments, by one loop the other way round."""
    body, length, reverse, recompute = out.attrs
    back = _backward(body, recompute)
    init, xs, constants = body.split(out.args)
    outputs = [item(cotangent, k) for k in range(len(body.outputs))]

    # The forward loop once more, giving out the residuals too. Loops that differ in their outputs
    # only are merged when the graph is compiled.
    kept = back.residuals
    wide = Body(body.inputs, (*body.outputs, *kept), body.n_carry, body.n_x)
    before = run_loop(wide, init, xs, constants, length, reverse, recompute)[len(body.outputs) :]

    # A step of the reverse loop: cotangents and sums for the constants are carried.
    by_const = [(fresh_var("sum", g.type), g) for g in back.by_const if g is not None]
    carried = [
        (u, ct, full(0, u.type) if g is None else g)
        for u, ct, g in zip(back.cotangents, outputs, back.by_carry, strict=False)
        if u is not None
    ]
    ys = zip(back.cotangents[body.n_carry :], outputs[body.n_carry :], strict=True)
    step_xs = [(u, ct) for u, ct in ys if u is not None]
    reverse_body, outside = close(
        [*(u for u, _, _ in carried), *(total for total, _ in by_const)],
        [*(u for u, _ in step_xs), *kept, *body.xs],
        [
            *(g for _, _, g in carried),
            *(total + g for total, g in by_const),
            *(g for g in back.by_x if g is not None),
        ],
    )
    results = iter(
        run_loop(
            reverse_body,
            [*(ct for _, ct, _ in carried), *(full(0, total.type) for total, _ in by_const)],
            [*(ct for _, ct in step_xs), *before, *xs],
            substitute(outside, dict(zip(body.constants, constants, strict=True))),
            length,
            not reverse,
            False,
        )
    )
    towards_init = [None if u is None else next(results) for u in back.cotangents[: body.n_carry]]
    towards_const = [None if g is None else next(results) for g in back.by_const]
    towards_xs = [None if g is None else next(results) for g in back.by_x]
    return [*towards_init, *towards_xs, *towards_const]


# --- forward mode ------------------------------------------------------------------------------


def _scan_jvp(out: Expr, tangents: Sequence[Expr | None]) -> Expr:
    """One loop that carries the tangents beside the values."""
    body, length, reverse, recompute = out.attrs
    init, xs, constants = body.split(out.args)
    split = body.n_carry + body.n_x
    # A carry may get a tangent from an input later on: all float carries carry one.
    seeds = [
        fresh_var("tangent", v.type)
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
        run_loop(
            wide,
            [*init, *_started(seeds[: body.n_carry], tangents)],
            [*xs, *(t for t in tangents[body.n_carry : split] if t is not None)],
            substitute(outside, inside),
            length,
            reverse,
            recompute,
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


SCAN = register(
    Op(
        "scan",
        _scan_type,
        _scan_numpy,
        vjp=_scan_vjp,
        jvp=_scan_jvp,
        attrs=("body", "length", "reverse", "recompute"),
        symbol="↻",
        out=True,
    )
)
