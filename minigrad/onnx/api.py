"""What users call to write a graph as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from minigrad import atomic
from minigrad.compile.binding import check_bound, check_inputs
from minigrad.errors import GraphError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.graph.walk import free_variables
from minigrad.loop.passes import optimise_loops
from minigrad.names import public
from minigrad.onnx.rules import RULES
from minigrad.onnx.writer import IR, OPSET, Writer
from minigrad.rewrite.rules import simplify_safely
from minigrad.tree import flatten, paths


@public
def to_onnx(
    outputs: Any, path: str | os.PathLike[str], *, inputs: Sequence[Expr] | None = None
) -> None:
    """Write a graph as an ONNX file, which other engines run: what a compiled function computes of
    its inputs. The file appears whole or not at all.

    outputs: an expression, or a nesting of them; an output of the graph is called as its
        expression, if that has a name, else by its place: output, output[0].
    inputs: the variables, in order; None: those that the outputs read. They have their names.

    Params are initializers by their names, with the values that they have now; loops are Scan. It
    takes the package onnx (`pip install 'minigrad-lstm[onnx]'`). Raises MissingPackageError without
    it, GraphError for an op that ONNX cannot say, with the line that made it, and for variables
    that are no inputs, ShapeError for a node of several results, and OSError where nothing can be
    written.
    """
    if isinstance(path, Expr) or not isinstance(path, (str, os.PathLike)):
        raise GraphError(f"to_onnx(outputs, path) takes a path second, not {path!r:.60}")
    leaves, _ = flatten(outputs)
    roots = [as_expr(leaf) for leaf in leaves]
    given = check_inputs(free_variables(roots) if inputs is None else inputs)
    check_bound(roots, given)
    simple, _ = optimise_loops(simplify_safely(roots), simplified=True)
    wanted = [y.label or place for y, place in zip(roots, paths(outputs, "output"), strict=True)]
    atomic.write(path, _data(given, simple, wanted))


def _data(inputs: Sequence[Expr], outputs: Sequence[Expr], wanted: Sequence[str]) -> bytes:
    writer = Writer(RULES)
    helper = writer.onnx.helper
    known = {v: writer.name(str(v.name)) for v in inputs}
    names = [writer.name(name) for name in wanted]
    values = writer.values_of(outputs, known)
    for value, name in zip(values, names, strict=True):
        assert isinstance(value, str)  # as_expr takes no node of several results
        writer.op("Identity", value, gives=name)
    read = [writer.info(name, v.type) for v, name in known.items()]
    given = [writer.info(name, y.type) for name, y in zip(names, outputs, strict=True)]
    graph = helper.make_graph(writer.nodes, "minigrad", read, given, writer.initializers)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="minigrad",
    )
    data: bytes = model.SerializeToString()
    return data
