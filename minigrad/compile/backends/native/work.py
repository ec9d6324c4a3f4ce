"""How much work a node is, about, before any code is made for it."""

from __future__ import annotations

from minigrad.compile.backends.native.pointwise import ELEMENTARY
from minigrad.graph.node import Expr
from minigrad.graph.walk import toposort
from minigrad.loop.node import SCAN
from minigrad.ops.linalg import MATMUL

FUNCTION_WORK = 20  # exp takes 0.5 ns an element, an addition of what is in cache 0.03


def work_of(node: Expr) -> int:
    """About how many operations a node takes; an elementary function counts for many."""
    total, waiting = 0, [(node, 1)]
    while waiting:
        node, times = waiting.pop()
        if node.op is MATMUL:
            total += times * 2 * node.size * node.args[0].shape[-1]
        elif node.op.pointwise:
            total += times * node.size * (FUNCTION_WORK if node.op in ELEMENTARY else 1)
        elif node.op is SCAN:
            (loop,) = node.attrs
            waiting += [(n, times * loop.length) for n in toposort(loop.body.outputs)]
    return total
