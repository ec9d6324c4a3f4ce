"""Loops as ONNX's Scan, whose body is a graph; and blocks, which are written out."""

from __future__ import annotations

from typing import cast

import numpy as np

from minigrad.graph.node import Expr
from minigrad.loop.body import Body, Loop
from minigrad.onnx.writer import Named, Writer
from minigrad.types import TensorType


def scan(w: Writer, y: Expr, *args: str) -> list[str]:
    """The last carries and the stacked outputs of a loop. What is the same in each step is read by
    its name from the graph around."""
    loop = cast(Loop, y.attrs[0])
    body = loop.body
    starts, stacks, constants = body.split(args)
    if loop.length == 0:
        return [*starts, *(w.const(np.zeros((0, *out.shape), out.dtype)) for out in body.ys)]
    carries = [w.name("carry") for _ in body.carries]
    xs = [w.name("x") for _ in body.xs]
    read = [w.info(name, v.type) for name, v in zip([*carries, *xs], body.inputs, strict=False)]
    if not xs:  # Scan counts its steps by what they read
        stacks = [w.const(np.arange(loop.length))]
        read.append(w.info(w.name("step"), TensorType((), np.dtype(np.int64))))
    known: dict[Expr, Named] = dict(zip(body.inputs, [*carries, *xs, *constants], strict=True))
    with w.within() as nodes:
        made = [str(name) for name in w.values_of(body.outputs, known)]
        made = [w.op("Identity", name) for name in made]  # each output is a node's of the body
    given = [w.info(name, out.type) for name, out in zip(made, body.outputs, strict=True)]
    way = int(loop.reverse)
    out = {"scan_output_directions": [way] * len(body.ys)} if body.ys else {}
    return w.ops(
        "Scan",
        [*starts, *stacks],
        [w.name() for _ in made],
        body=w.onnx.helper.make_graph(nodes, w.name("body"), read, given),
        num_scan_inputs=len(stacks),
        scan_input_directions=[way] * len(stacks),
        **out,
    )


def block(w: Writer, y: Expr, *args: Named) -> list[str]:
    """The results of a graph that a backend made one node of."""
    body = cast(Body, y.attrs[0])
    known = dict(zip(body.inputs, args, strict=True))
    return [str(name) for name in w.values_of(body.outputs, known)]
