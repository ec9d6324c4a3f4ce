"""The two nodes that hold a body: a loop over it, and a block, a graph as one node.

A loop is one node that holds a `Loop`: carries, inputs, outputs, and nothing more. See api.py for
what users call, derivatives.py for how it is differentiated, run.py for how NumPy runs it.
"""

from __future__ import annotations

from typing import Any

from minigrad.errors import ShapeError
from minigrad.graph.node import Attr, Op, register
from minigrad.loop.batch import scan_batch
from minigrad.loop.body import Body, Loop
from minigrad.loop.derivatives import scan_jvp, scan_vjp
from minigrad.loop.inside import LoopInside
from minigrad.loop.run import compiled, run_checked, run_on_numpy
from minigrad.ops.batch import stacked
from minigrad.types import TupleType, require_tensors


def _scan_type(*rest: Any) -> Any:
    *types, loop = rest
    if not isinstance(loop, Loop):
        raise ShapeError(f"a loop is a record of its body and steps, not {loop!r:.60}")
    body, length = loop.body, loop.length
    if len(types) != len(body.inputs):
        raise ShapeError(f"the body takes {len(body.inputs)} inputs; there are {len(types)}")
    for k, (operand, v) in enumerate(zip(types, body.inputs, strict=True)):
        is_x = body.n_carry <= k < body.n_carry + body.n_x
        expected = stacked(v.type, length) if is_x else v.type
        if operand is not expected:
            raise ShapeError(f"input {k} of the loop is {operand!r}; its body takes {expected!r}")
    if any(c.type is not v.type for c, v in zip(body.next_carries, body.carries, strict=True)):
        raise ShapeError("a carry of a loop's body changes its type")
    require_tensors(y.type for y in body.ys)
    ys = [stacked(y.type, length) for y in body.ys]
    return TupleType([*(c.type for c in body.carries), *ys])


SCAN = register(
    Op(
        "scan",
        _scan_type,
        run_on_numpy,
        numpy_checked=run_checked,
        vjp=scan_vjp,
        jvp=scan_jvp,
        batch=scan_batch,
        attrs=(Attr("loop"),),
        symbol="↻",
        inside=LoopInside,
        out=True,
    )
)


# What a backend compiles as one. Backends make them, of graphs that are differentiated already.


def _block_type(*rest: Any) -> Any:
    *types, body = rest
    if not isinstance(body, Body) or body.n_carry or body.n_x:
        raise ShapeError("a block has a body without carries and steps")
    if [v.type for v in body.inputs] != types:
        raise ShapeError(f"a block of {len(body.inputs)} inputs got {types}")
    return TupleType([o.type for o in body.outputs])


BLOCK = register(
    Op(
        "block",
        _block_type,
        lambda *rest, out=None: tuple(compiled(rest[-1])(rest[:-1])),
        no_gradient=True,
        attrs=(Attr("body"),),
        out=True,
    )
)
