"""A body cut into stages: groups of pointwise ops that run as one loop, and single other ops.

No code is generated here. A stage reads memory and values of its own group; everything else that
somebody reads later has to be in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.graph.leaves import CONST, PLACEHOLDER
from minigrad.graph.node import Expr
from minigrad.graph.walk import count_uses, toposort
from minigrad.loop.node import BLOCK, SCAN
from minigrad.ops.core import ASTYPE, BROADCAST, RESHAPE, SUM, uniform_value
from minigrad.ops.custom import BARRIER, STOP
from minigrad.ops.index import GETITEM
from minigrad.ops.reduce import ALL, ANY, MAX, MIN
from minigrad.ops.shape import PERMUTE
from minigrad.ops.tuples import ITEM
from minigrad.types import FLOAT32, FLOAT64

REDUCTIONS = frozenset({SUM, MAX, MIN, ALL, ANY})
VIEWS = frozenset({BROADCAST, RESHAPE, PERMUTE, GETITEM, STOP, BARRIER})
"""What reads the memory of its first operand, where it is the only one."""


@dataclass(slots=True)
class Stage:
    """Ops of one loop over one shape; or one op that is not pointwise, before its items if it has
    several results, and before the pointwise ops whose results it alone reads, as it joins them."""

    nodes: list[Expr] = field(default_factory=list)
    pointwise: bool = False
    dtype: np.dtype[Any] = FLOAT64


@dataclass(slots=True)
class Schedule:
    """Stages in order, and the nodes whose value must lie in memory."""

    stages: list[Stage]
    in_memory: set[Expr]
    together: dict[int, int] = field(default_factory=dict)
    """Where stages begin that may run side by side, and how many they are."""

    def runs(self) -> Iterator[tuple[int, int]]:
        """The first stage, and the one after the last, of what is run before anything else is."""
        first = 0
        while first < len(self.stages):
            end = first + self.together.get(first, 1)
            yield first, end
            first = end


def is_leaf(node: Expr) -> bool:
    """Whether no stage computes the node: an input, a number, or a constant array."""
    return node.op is PLACEHOLDER or node.op is CONST or uniform_value(node) is not None


def is_view(node: Expr) -> bool:
    """Whether the node reads the memory of another; indexing with arrays does not."""
    return node.op in VIEWS and len(node.args) == 1


def computed(nodes: Iterable[Expr]) -> Iterator[Expr]:
    """The nodes that are no leaves and no views, and those of blocks and loops' bodies."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if not (is_leaf(node) or is_view(node)):
            yield node
        if node.op is SCAN:
            waiting += toposort(node.attrs[0].body.outputs)
        elif node.op is BLOCK:
            waiting += toposort(node.attrs[0].outputs)


def is_elementwise(node: Expr) -> bool:
    """Whether each element depends on the operands' elements at the same place."""
    return node.op.pointwise or node.op is ASTYPE


def source(node: Expr) -> Expr:
    """What a chain of views is a view of."""
    while is_view(node) and uniform_value(node) is None:
        node = node.args[0]
    return node


def schedule(outputs: Sequence[Expr]) -> Schedule:
    """Stages for the outputs: each op as early as what it reads allows, joined to its like."""
    stages: list[Stage] = []
    place: dict[Expr, int] = {}  # the stage that computes a node
    in_memory = {source(o) for o in outputs}
    dtypes: dict[Expr, np.dtype[Any]] = {}  # of tests, the dtype of what they compare
    inner = _read_once(outputs)
    apart = {n for nodes in inner.values() for n in nodes}
    for node in toposort(outputs):
        if is_leaf(node) or is_view(node) or node in apart:
            continue
        if node.op is ITEM:
            place[node] = place[node.args[0]]
            stages[place[node]].nodes.append(node)
            in_memory.add(node)
            continue
        if not is_elementwise(node):
            group = [node, *inner.get(node, ())]
            in_memory.update(source(a) for n in group for a in n.args if a not in apart)
            place |= dict.fromkeys(group, len(stages))
            stages.append(Stage(group))
            continue
        # A value of the same group is at hand as it is, not as a view of it.
        earliest = 0
        for a in node.args:
            at = place.get(source(a), -1)
            earliest = max(earliest, at if source(a) is a else at + 1)
        dtypes[node] = dtype = _float_dtype(node, dtypes)
        k = _joinable(stages, node, dtype, earliest)
        if k == len(stages):
            stages.append(Stage(pointwise=True, dtype=dtype))
        stages[k].nodes.append(node)
        place[node] = k
    for node, k in place.items():
        if stages[k].pointwise:
            in_memory.update(
                source(a)
                for a in node.args
                if place.get(source(a), k) != k or (source(a) is not a and source(a) in place)
            )
    return Schedule(stages, {n for n in in_memory if not is_leaf(n)})


def _read_once(outputs: Sequence[Expr]) -> dict[Expr, list[Expr]]:
    """{reduction: the pointwise ops of its floats whose results nothing else reads, in order}"""
    uses, made, outs = count_uses(outputs), {}, {source(o) for o in outputs}
    for node in uses:
        if node.op not in REDUCTIONS or not node.type.is_float:
            continue
        chain: dict[Expr, None] = {}
        waiting = list(node.args)
        while waiting:
            n = waiting.pop()
            numbers = [a for a in n.args if uniform_value(a) is None]
            floats = n.op is ASTYPE or {a.dtype for a in numbers} == {node.dtype}
            if is_leaf(n) or not is_elementwise(n) or uses[n] > 1 or n.dtype != node.dtype:
                continue
            if floats and all(a.shape == n.shape for a in n.args):
                chain[n] = None
                waiting += n.args
        # Where more than one of what it reads lay in memory for this alone, the operand does.
        lying = {source(a) for n in chain for a in n.args} - {*chain} - outs
        if len([a for a in lying if is_elementwise(a) and not is_leaf(a)]) > 1:
            continue
        made[node] = [*reversed(chain)]  # a tree: what is read was met later
    return made


def _float_dtype(node: Expr, known: dict[Expr, np.dtype[Any]]) -> np.dtype[Any]:
    if node.type.is_float:
        return node.dtype
    floats = (known.get(a, a.dtype) for a in node.args if a in known or a.type.is_float)
    wide = any(n.dtype.itemsize > 4 for n in (node, *node.args))
    return next(floats, FLOAT64 if wide else FLOAT32)  # of integers and booleans alone


def _joinable(stages: Sequence[Stage], node: Expr, dtype: np.dtype[Any], earliest: int) -> int:
    for k in range(earliest, len(stages)):
        stage = stages[k]
        if stage.pointwise and stage.dtype == dtype and stage.nodes[0].shape == node.shape:
            return k
    return len(stages)
