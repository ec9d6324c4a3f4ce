"""Which parts of a graph are interpreted, and the node that stands for such a part.

Machine code of its own costs an op of a graph milliseconds, and runs in a nanosecond; an
interpreter's is made once in a process, and takes two. So small tensors by the hundred are
interpreted: scalar graphs, and nets written out neuron by neuron.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.compile.backends.native.arrays import OTHER_KINDS, PLAIN, Frame, Kinds
from minigrad.compile.backends.native.elements import is_known, stream_of
from minigrad.compile.backends.native.instructions import BEGIN, functions
from minigrad.compile.backends.native.jit import address_of
from minigrad.compile.backends.native.memory import aligned
from minigrad.compile.backends.native.stages import is_view, source
from minigrad.compile.backends.registry import LARGEST, MANY, SMALL
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr, Op, make, rebuild
from minigrad.graph.walk import Packed, packed, walk
from minigrad.ops.core import uniform_value
from minigrad.ops.linalg import MATMUL
from minigrad.ops.tuples import item
from minigrad.types import Array, TupleType

# Elements of what an op reads a view of: each is brought into the interpreter's memory.
SOURCE = 1 << 16


class Interpreted:
    """A part of a graph, ready to run; see program.Program, which calls it."""

    threads = 1
    calls_back = False

    def __init__(
        self, graph: Packed, places: Array, inputs: Sequence[Expr], results: Sequence[Expr]
    ) -> None:
        self.ops = len(places)
        self.type = TupleType([r.type for r in results])
        self.results = [(r.shape, r.dtype) for r in results]
        self.kinds = Kinds([n.type for n in (*inputs, *results)], PLAIN)
        stream = stream_of(graph, places, inputs, results)
        self._numbers, self._memory = stream.numbers, stream.memory
        self.scratch = len(self._memory)
        self._begin, *code = functions([BEGIN, *stream.instructions])
        self._code = code  # of an address alone the code would not live
        self._table = np.array([address_of(f) for f in code], np.uintp)
        self._fixed = self._numbers.ctypes.data, self._table.ctypes.data

    def function(self, places: int, memory: int) -> None:
        """Run on a table of addresses and on memory of its own."""
        numbers, table = self._fixed
        self._begin(numbers, memory, table, places)

    def run(self, frame: Frame, objects: tuple[Any, ...]) -> int:
        """Run on objects, if they are arrays of its kinds; how that went."""
        return frame.run(self.function) if frame.take(objects) else OTHER_KINDS

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
    graph = packed(outputs)
    parts = _parts(graph, outputs)
    made: dict[Expr, tuple[tuple[Expr, ...], Interpreted, int]] = {}
    for part in parts:
        inputs = [n for n in part.reads if uniform_value(n) is None and n.op is not CONST]
        inputs = inputs or [*part.reads][:1]  # a step of a plan reads something
        code = Interpreted(graph, np.array(part.places), inputs, [*part.results])
        made |= {n: (tuple(inputs), code, k) for k, n in enumerate(part.results)}
    return _replaced(outputs, made) if made else list(outputs)


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


@dataclass(slots=True)
class _Part:
    """Small ops, what they read of other nodes, and what others read of them."""

    places: list[int] = field(default_factory=list)
    reads: dict[Expr, None] = field(default_factory=dict)
    results: dict[Expr, None] = field(default_factory=dict)
    work: int = 0


def _parts(graph: Packed, outputs: Sequence[Expr]) -> list[_Part]:
    """Small ops, where these are many, apart by what they wait for."""
    some, kind = graph.kinds
    # of leaves and views -1
    work = np.array([-1 if is_view(n) or not n.args else _work(n) for n in some])[kind]
    if np.count_nonzero(work > 0) < MANY:
        return []
    views = [graph.nodes[k] for k in np.flatnonzero((work < 0) & (graph.counts > 0)).tolist()]
    wide = {v for v in views if source(v).size > SOURCE}  # that small ops cannot read
    apart = bool(wide) or not work.all()
    if apart:
        parts = _by_turns(graph, outputs, work.tolist(), wide)
    else:
        parts = [_whole(graph, outputs, work)]
    return [p for p in parts if len(p.places) >= MANY and p.work <= SMALL * len(p.places)]


def _whole(graph: Packed, outputs: Sequence[Expr], work: Array) -> _Part:
    """All ops of a graph in which nothing comes between small ones: as most of these graphs are."""
    small = work > 0
    read = np.zeros_like(small)
    read[graph.reads[small[graph.users]]] = True
    reads = [source(graph.nodes[k]) for k in np.flatnonzero(read & ~small).tolist()]
    return _Part(
        np.flatnonzero(small).tolist(),
        dict.fromkeys([n for n in reads if not _is_computed(n)]),
        dict.fromkeys([n for n in map(source, outputs) if _is_computed(n)]),
        int(work[small].sum()),
    )


def _is_computed(node: Expr) -> bool:
    return bool(node.args) and not is_view(node)


def _by_turns(
    graph: Packed, outputs: Sequence[Expr], work: Sequence[int], wide: Collection[Expr]
) -> list[_Part]:
    """Small ops apart by what they wait for.

    A node's turn says what it waits for: -1 is nothing, even numbers are small ops, odd ones what
    comes between. A view is where its source is.
    """
    turn: dict[Expr, int] = {}
    crossed: set[tuple[Expr, int]] = set()  # what was noted, by who read it: a number, often
    parts: defaultdict[int, _Part] = defaultdict(_Part)
    for k, (node, size) in enumerate(zip(graph.nodes, work, strict=True)):
        args = node.args
        if not args:
            turn[node] = -1
            continue
        turns = [turn[a] for a in args]
        at = max(turns)
        if size < 0:
            turn[node] = at
            continue
        if size and not (wide and any(a in wide for a in args)):
            at += at & 1
            parts[at].places.append(k)
            parts[at].work += size
        else:
            at += not at & 1
        turn[node] = at
        if min(turns) == at:
            continue
        for a in args:
            if turn[a] != at and (a, at) not in crossed:
                crossed.add((a, at))
                _cross(parts, source(a), turn[a], at)
    for o in outputs:
        _cross(parts, source(o), turn[o], -1)
    return [part for at, part in parts.items() if not at & 1]


def _cross(parts: dict[int, _Part], node: Expr, turn: int, reader: int) -> None:
    """Note that a node of one turn is read in another; what is at -1 is a leaf, or no part's."""
    parts[turn].results[node] = None
    parts[reader].reads[node] = None


def _work(node: Expr) -> int:
    """How many elements a node is computed of; 0 of what is not interpreted."""
    work = max([node.size, *[a.size for a in node.args]])
    if node.op is MATMUL:
        work = node.size * node.args[0].shape[-1]
    return work if work <= LARGEST and node.size and is_known(node) else 0
