"""Loops in whose bodies NumPy is called for what has no machine code.

A call takes a little less than a step of NumPy's own loop, so a loop of calls alone is no slower.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from minigrad.compile.backends.native.callbacks import called_back
from minigrad.compile.backends.native.stages import is_leaf, is_view
from minigrad.compile.backends.native.support import check_node
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.graph.node import Expr, Op, make
from minigrad.graph.walk import map_graph, packed
from minigrad.loop.body import Body
from minigrad.loop.node import SCAN
from minigrad.ops.random import UNIFORM
from minigrad.ops.tuples import ITEM

NEVER: Collection[Op] = {SCAN, UNIFORM}
"""What is not called back: loops, and random numbers, which are drawn for all steps before them."""


def with_callbacks(outputs: Sequence[Expr]) -> list[Expr]:
    """The same graph, whose loops call NumPy for single ops, rather than be NumPy's as wholes."""
    if SCAN not in packed(outputs).ops:
        return list(outputs)

    def change(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is not SCAN:
            return None
        return _calling(node, [new[a] for a in node.args])

    return map_graph(outputs, change)


def _calling(node: Expr, args: Sequence[Expr]) -> Expr:
    """A loop on these operands, whose body and the loops in it call back."""
    (loop,) = node.attrs
    body = loop.body

    def change(n: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if n.op is SCAN:
            return _calling(n, [new[a] for a in n.args])
        return None if _has_code(n) or n.op in NEVER else called_back(n, [new[a] for a in n.args])

    same = Body(body.inputs, map_graph(body.outputs, change), body.n_carry, body.n_x)
    return make(SCAN, tuple(args), (replace(loop, body=same),))


def _has_code(node: Expr) -> bool:
    if is_leaf(node) or is_view(node) or node.op is ITEM:
        return True
    try:
        check_node(node)
    except UnsupportedError:
        return False
    return True
