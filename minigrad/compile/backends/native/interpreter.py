"""Which parts of a graph are interpreted, and the node that stands for such a part.

Machine code of its own costs an op of a graph milliseconds, and runs in a nanosecond; an
interpreter's is made once in a process, and takes two. So small tensors by the hundred are
interpreted: scalar graphs, and nets written out neuron by neuron.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.backends.native.arrays import PLAIN, Kinds
from minigrad.compile.backends.native.elements import stream_of
from minigrad.compile.backends.native.instructions import functions
from minigrad.compile.backends.native.memory import aligned
from minigrad.compile.backends.native.pointwise import check
from minigrad.compile.backends.native.stages import is_elementwise, is_view, source
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.graph.node import Expr, Op, make, rebuild
from minigrad.graph.walk import toposort, walk
from minigrad.ops.core import uniform_value
from minigrad.ops.tuples import item
from minigrad.types import Array, TupleType

# Elements of an op that is interpreted. More of them side by side are faster as vectors.
SMALL = 16
# Elements of what such an op reads a view of: each is brought into the interpreter's memory.
SOURCE = 1 << 16
# Ops from which a part of a graph is interpreted.
MANY = 200


class Interpreted:
    """A part of a graph, ready to run; see program.Program, which calls it."""

    threads = 1

    def __init__(
        self, nodes: Sequence[Expr], inputs: Sequence[Expr], results: Sequence[Expr]
    ) -> None:
        self.ops = len(nodes)
        self.type = TupleType([r.type for r in results])
        self.results = [(r.shape, r.dtype) for r in results]
        self.kinds = Kinds([n.type for n in (*inputs, *results)], PLAIN)
        stream = stream_of(nodes, inputs, results)
        self._numbers, self._memory = stream.numbers, stream.memory
        self.scratch = len(self._memory)
        code: list[Any] = functions(stream.instructions)
        self._begin = code[self._numbers[0]]
        addresses = [ctypes.cast(f, ctypes.c_void_p).value for f in code]
        self._table = np.array(addresses, np.uintp)
        self._fixed = self._numbers.ctypes.data, self._table.ctypes.data

    def run(self, places: Any, memory: int) -> None:
        """Run on a table of addresses and on memory of its own."""
        numbers, table = self._fixed
        self._begin(numbers, memory, table, places)

    def room(self) -> tuple[Array, int]:
        """Memory for a call, with the constants in it, and its address."""
        block, start = aligned(self.scratch)
        offset = start - block.ctypes.data
        block[offset : offset + self.scratch] = self._memory
        return block, start


def _type(*rest: Any) -> Any:
    return rest[-1].type


def _no_numpy(*rest: Any, out: Any = None) -> Any:
    raise AssertionError("what is interpreted is not NumPy's")


INTERPRETED = Op("interpreted", _type, _no_numpy, no_gradient=True, out=True)
"""A part of a graph as one node; its attribute is an Interpreted. No file knows it."""


def with_interpreted(outputs: Sequence[Expr]) -> list[Expr]:
    """The outputs with nodes that are interpreted in the place of small ops, where these are many.

    Ops are cut into parts by what comes between: what waits for something else that waits for small
    ops is another part.
    """
    order = toposort(outputs)
    parts = _parts(order)
    if not parts:
        return list(outputs)
    where = {n: at for at, nodes in parts.items() for n in nodes}
    results: dict[int, dict[Expr, None]] = {at: {} for at in parts}
    reads: dict[int, dict[Expr, None]] = {at: {} for at in parts}
    for node in order:
        if is_view(node):
            continue
        here = where.get(node)
        for a in node.args:
            if where.get(a) != here or here is None:
                s = source(a)
                there = where.get(s)
                if there != here:
                    if there is not None:
                        results[there][s] = None
                    if here is not None and uniform_value(s) is None:
                        reads[here][s] = None
    for o in outputs:
        if (s := source(o)) in where:
            results[where[s]][s] = None
    made: dict[Expr, tuple[tuple[Expr, ...], Interpreted, int]] = {}
    for at, nodes in parts.items():
        code = Interpreted(nodes, [*reads[at]], [*results[at]])
        made |= {n: (tuple(reads[at]), code, k) for k, n in enumerate(results[at])}
    return _replaced(outputs, made)


def _replaced(
    outputs: Sequence[Expr], made: Mapping[Expr, tuple[tuple[Expr, ...], Interpreted, int]]
) -> list[Expr]:
    needs = walk(outputs, lambda n: made[n][0] if n in made else n.args)
    new: dict[Expr, Expr] = {}
    for node, read in needs.items():
        args = tuple([new[a] for a in read])
        if node in made:
            _, code, k = made[node]
            new[node] = item(make(INTERPRETED, args, (code,)), k)
        else:
            new[node] = rebuild(node, args)
    return [new[o] for o in outputs]


def _parts(order: Sequence[Expr]) -> dict[int, list[Expr]]:
    """Small ops, where these are many, by what they wait for: even numbers; odd ones between."""
    known: dict[tuple[Any, ...], bool] = {}
    turn: dict[Expr, int] = {}
    parts: dict[int, list[Expr]] = {}
    for node in order:
        if not node.args:
            turn[node] = -1
            continue
        at = max([turn[a] for a in node.args])
        if not is_view(node):
            key = (node.op, node.type, node.args[-1].type)
            small = known.get(key)
            if small is None:
                small = known[key] = _is_small(node)
            if small and all(not is_view(a) or source(a).size <= SOURCE for a in node.args):
                at += at % 2
                parts.setdefault(at, []).append(node)
            elif at % 2 == 0:
                at += 1
        turn[node] = at
    return {at: nodes for at, nodes in parts.items() if len(nodes) >= MANY}


def _is_small(node: Expr) -> bool:
    if not is_elementwise(node) or not 0 < node.size <= SMALL:
        return False
    try:
        check(node)
    except UnsupportedError:
        return False
    return True
