"""The native backend: which parts of a graph run as machine code, and what runs on NumPy instead.

Loops whose bodies it knows are one piece of code each; so are blocks: everything between two ops
that are NumPy's. Large matrix products are: OpenBLAS is at the machine's limit there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.body import Body, body_var
from minigrad.compile.native.pointwise import check
from minigrad.compile.native.scans import NativeLoop, check_body
from minigrad.compile.native.stages import is_view, source
from minigrad.compile.native.vecmath import FUNCTIONS
from minigrad.compile.native.views import UnsupportedError
from minigrad.errors import GraphError
from minigrad.graph import Expr, make, rebuild
from minigrad.loop_op import BLOCK, SCAN
from minigrad.ops.core import uniform_value
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT
from minigrad.ops.tuples import item
from minigrad.types import FLOAT32, FLOAT64, TupleType
from minigrad.walk import substitute, toposort, walk

# A call of a block costs about this many calls of NumPy, or elements of a NumPy call.
CALL_OPS, CALL_ELEMENTS = 8, 8_000
# Multiplications from which a product outside a loop is left to BLAS.
BLAS = 1 << 18

# Work of a call from which a second thread is worth waking (some 20 µs): about 0.2 ms alone.
SHARED_WORK = 10_000_000
FUNCTION_WORK = 20


class Native:
    """One function's use of the backend; `notes` says what did not qualify, and why."""

    name = "native"

    def __init__(self, threads: int | None = None) -> None:
        self.notes: list[str] = []
        self.threads = _threads() if threads is None else threads

    def prepare(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The graph with blocks in the place of what they compute."""
        return make_blocks(outputs)

    def call(self, node: Expr) -> Callable[..., Any]:
        """What computes a node of a prepared graph."""
        if node.op is SCAN:
            body, length, reverse, _ = node.attrs
            return self._compiled(body, length, reverse) or node.op.numpy
        if node.op is BLOCK:
            run = self._compiled(node.attrs[0], None, False)
            return run or node.op.numpy
        return node.op.numpy

    def _compiled(self, body: Body, length: int | None, reverse: bool) -> NativeLoop | None:
        # Kept with the body, which is interned: the same loop is compiled once in a process.
        threads = self.threads if length and length * _work(body) > SHARED_WORK else 1
        key = ("native", length, reverse, threads)
        if key not in body.derived:
            try:
                body.derived[key] = NativeLoop(body, length, reverse, threads)
            except UnsupportedError as reason:
                body.derived[key] = str(reason)
        found = body.derived[key]
        if isinstance(found, NativeLoop):
            return found
        self.notes.append(f"a loop runs on numpy: {found} has no native code")
        return None


def _threads() -> int:
    """MINIGRAD_THREADS, or as many as there are CPUs for this process."""
    given = os.environ.get("MINIGRAD_THREADS", "")
    if given:
        if not given.isdigit() or not int(given):
            raise GraphError(f"MINIGRAD_THREADS must be a positive number, not {given!r}")
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _work(body: Body) -> int:
    """About how many operations a step takes; an elementary function counts for many."""
    total = 0
    for node in toposort(body.outputs):
        if node.op is MATMUL:
            total += 2 * node.size * node.args[0].shape[-1]
        elif node.op.pointwise:
            total += node.size * (FUNCTION_WORK if node.op.name in FUNCTIONS else 1)
    return total


# --- blocks ------------------------------------------------------------------------------------


def _qualifies(node: Expr) -> bool:
    if isinstance(node.type, TupleType) or node.size == 0:
        return False
    if node.op.pointwise:
        try:
            check(node)
        except UnsupportedError:
            return False
        return True
    if node.op is MATMUL:
        a, b = (source(x) for x in node.args)
        depth = node.args[0].shape[-1]
        small = node.size * depth < BLAS or depth < 16
        return node.ndim == 2 and small and node.dtype in (FLOAT32, FLOAT64) and a.size * b.size > 0
    return node.op is CONCAT and node.dtype in (FLOAT32, FLOAT64)


def make_blocks(outputs: Sequence[Expr]) -> list[Expr]:
    """Cut the graph into levels: what can be one block once the blocks before it have run."""
    levels: dict[Expr, int] = {}
    native: dict[Expr, bool] = {}
    members: dict[int, list[Expr]] = {}
    order = toposort(outputs)
    for node in order:
        if not node.args or uniform_value(node) is not None:
            levels[node], native[node] = 0, True
            continue
        if is_view(node):
            levels[node], native[node] = levels[node.args[0]], native[node.args[0]]
            continue
        native[node] = _qualifies(node)
        levels[node] = max(levels[a] + (native[node] and not native[a]) for a in node.args)
        if native[node]:
            members.setdefault(levels[node], []).append(node)
    blocks: dict[Expr, tuple[tuple[Expr, ...], Body, int]] = {}
    for nodes in members.values():
        if len(nodes) / CALL_OPS + sum(n.size for n in nodes) / CALL_ELEMENTS > 1 < len(nodes):
            blocks |= _block(nodes, order, outputs)
    reads = walk(outputs, lambda n: blocks[n][0] if n in blocks else n.args)
    new: dict[Expr, Expr] = {}
    for node, needs in reads.items():
        args = tuple([new[a] for a in needs])
        if node in blocks:
            _, body, k = blocks[node]
            new[node] = item(make(BLOCK, args, (body,)), k)
        else:
            new[node] = rebuild(node, args)
    return [new[o] for o in outputs]


def _block(
    nodes: Sequence[Expr], order: Sequence[Expr], outputs: Sequence[Expr]
) -> dict[Expr, tuple[tuple[Expr, ...], Body, int]]:
    """For each node that others read: what its block reads, the block's body, and its place."""
    inside = set(nodes)
    readers = [n for n in order if n not in inside and not is_view(n)]
    seen = [source(o) for o in outputs] + [source(a) for n in readers for a in n.args]
    results = [n for n in dict.fromkeys(seen) if n in inside]
    sources = dict.fromkeys(source(a) for n in nodes for a in n.args)
    inputs = [s for s in sources if s not in inside and uniform_value(s) is None]
    variables = [body_var(k, "const", s.type) for k, s in enumerate(inputs)]
    body = Body(variables, substitute(results, dict(zip(inputs, variables, strict=True))), 0, 0)
    try:
        check_body(body)
    except UnsupportedError:
        return {}
    return {n: (tuple(inputs), body, k) for k, n in enumerate(results)}
