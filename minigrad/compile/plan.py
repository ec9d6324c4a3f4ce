"""The linear program of a graph: steps in order, slots for values, buffers shared by liveness.

No backend is named here. A slot holds one value of a call; a buffer is memory kept between calls,
taken by one value after another while none of them is needed any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from minigrad.errors import ShapeError
from minigrad.graph.leaves import CONST, PARAM, ParamCell
from minigrad.graph.node import Expr, gc_paused
from minigrad.graph.walk import walk
from minigrad.ops.core import BROADCAST
from minigrad.ops.index import GETITEM
from minigrad.ops.tuples import ITEM
from minigrad.types import Array, TensorType, TupleType, broadcast_shapes

# Values under this many bytes get no buffer: NumPy's own small-block cache hands them out faster
# than passing out= costs (0.1 µs a call).
BUFFER_BYTES = 1024


@dataclass(slots=True)
class Step:
    """One op applied: slots it reads, the slot it fills, the buffer it may write into."""

    node: Expr
    args: tuple[int, ...]
    slot: int
    items: tuple[tuple[int, int], ...] = ()
    """(which, slot) of the results that are read, of a node that has several."""
    buffer: int | tuple[int | None, ...] | None = None
    """A number, or one for each result of a node that has several; None for memory of its own."""
    frees: tuple[int, ...] = ()
    """Computed slots whose value, or what they view, nobody needs after this step."""


@dataclass(slots=True)
class Plan:
    """A whole program; slots are numbered in the order of `nodes`."""

    nodes: list[Expr]
    inputs: list[int]
    constants: list[tuple[int, Array]]
    params: list[tuple[int, ParamCell]]
    steps: list[Step]
    outputs: list[int]
    updates: list[tuple[int, str, ParamCell]]
    """The slot of each param's next value, the param's name, and its cell."""
    copied: frozenset[int]
    """Slots of outputs and updates that may share memory with something else."""
    buffers: list[TensorType] = field(default_factory=list)


def make_plan(
    inputs: Sequence[Expr],
    outputs: Sequence[Expr],
    written: Sequence[tuple[str, ParamCell]] = (),
    *,
    reuse: bool = True,
) -> Plan:
    """Order the graph, drop broadcasts that ops do by themselves, and assign buffers.

    written: the params, by name and cell, whose next values the last outputs are.
    reuse: let an op write over an operand; without it, operands are still there after their step.
    """
    with gc_paused():
        return _make_plan(inputs, outputs, written, reuse)


def _make_plan(
    inputs: Sequence[Expr],
    outputs: Sequence[Expr],
    written: Sequence[tuple[str, ParamCell]],
    reuse: bool,
) -> Plan:
    reads = walk(outputs, _reads)
    nodes = [*reads, *(v for v in dict.fromkeys(inputs) if v not in reads)]
    slot = {n: k for k, n in enumerate(nodes)}
    items: dict[Expr, list[tuple[int, int]]] = {}
    for n in nodes:
        if n.op is ITEM:
            items.setdefault(n.args[0], []).append((n.attrs[0], slot[n]))
    steps = [
        Step(n, tuple([slot[a] for a in reads[n]]), slot[n], tuple(items.get(n, ())))
        for n in nodes
        if n.args and n.op is not ITEM
    ]
    slots = [slot[n] for n in outputs]
    count = len(slots) - len(written)
    plan = Plan(
        nodes,
        [slot[v] for v in inputs],
        [(slot[n], n.value) for n in nodes if n.op is CONST],
        [(slot[n], n.attrs[1]) for n in nodes if n.op is PARAM],
        steps,
        slots[:count],
        [(s, *to) for s, to in zip(slots[count:], written, strict=True)],
        frozenset(s for s, n in Counter(slots).items() if n > 1 or _may_alias(nodes[s])),
    )
    _assign_buffers(plan, reuse)
    return plan


def _may_alias(node: Expr) -> bool:
    return not node.args or is_view(node)


def is_view(node: Expr) -> bool:
    """Whether the node's array may share memory with its first argument's."""
    # Index arrays pick elements one by one, into an array of their own.
    return node.op.view and not (node.op is GETITEM and len(node.args) > 1)


def _reads(node: Expr) -> tuple[Expr, ...]:
    """What a step reads: the node's arguments, or what they broadcast where that serves."""
    # What is only handed on is not broadcast by handing it on.
    by_itself = node.op.pointwise and not node.op.view
    return _without_broadcasts(node) if by_itself else node.args


def _without_broadcasts(node: Expr) -> tuple[Expr, ...]:
    # NumPy broadcasts operands itself, at no cost, as long as one of them has the full shape.
    args = list(node.args)
    for k, arg in enumerate(args):
        if arg.op is BROADCAST:
            tried = [*args[:k], arg.args[0], *args[k + 1 :]]
            if _meet(tried) == node.shape:
                args = tried
    return tuple(args)


def _meet(args: Sequence[Expr]) -> tuple[int, ...] | None:
    try:
        return broadcast_shapes(*[a.shape for a in args])
    except ShapeError:
        return None


def _takes_buffer(node: Expr) -> bool:
    return node.op.out and node.size * node.dtype.itemsize >= BUFFER_BYTES


def _assign_buffers(plan: Plan, reuse: bool) -> None:
    root = list(range(len(plan.nodes)))  # the slot whose memory a slot may share
    members = [[s] for s in root]  # a root and its views
    last_use = [-1] * len(plan.nodes)
    for k, step in enumerate(plan.steps):
        if is_view(step.node):
            root[step.slot] = root[step.args[0]]
            members[root[step.slot]].append(step.slot)
        for s in step.args:
            last_use[root[s]] = k
    for s in [*plan.outputs, *(s for s, *_ in plan.updates)]:
        last_use[root[s]] = len(plan.steps)
    output_roots = {root[s] for s in plan.outputs}
    memory = _Buffers(plan.buffers)
    for k, step in enumerate(plan.steps):
        dead = {r for s in step.args if last_use[r := root[s]] == k}
        node = step.node
        # A pointwise op reads each element before it writes it: it may write over an operand.
        if reuse and node.op.pointwise:
            memory.release(dead)
        if isinstance(node.type, TupleType):
            if node.op.out:
                # Results that nobody reads are held by the whole, which nobody reads either.
                slots = {
                    **dict.fromkeys(range(len(node.type.items)), step.slot),
                    **dict(step.items),
                }
                step.buffer = tuple(
                    None if s in output_roots else memory.take(s, node.type.items[i])
                    for i, s in slots.items()
                )
            dead |= {s for s in (step.slot, *(s for _, s in step.items)) if last_use[s] < 0}
        elif _takes_buffer(node) and step.slot not in output_roots:
            step.buffer = memory.take(step.slot, node.type)
        memory.release(dead)
        # A loop that NumPy runs makes arrays besides its buffers: those are let go of always.
        step.frees = tuple([s for r in dead for s in members[r] if plan.nodes[s].args])


class _Buffers:
    """Which buffers are held by which root slot, and which wait for another value of their type."""

    def __init__(self, types: list[TensorType]) -> None:
        self._types = types
        self._waiting: dict[TensorType, list[int]] = {}
        self._held: dict[int, list[int]] = {}

    def take(self, slot: int, type_: TensorType) -> int:
        """A buffer of a type, held by a slot."""
        waiting = self._waiting.get(type_)
        if not waiting:
            self._types.append(type_)
        taken = waiting.pop() if waiting else len(self._types) - 1
        self._held.setdefault(slot, []).append(taken)
        return taken

    def release(self, dead: Iterable[int]) -> None:
        """Nobody needs the values of these slots."""
        for s in dead:
            for buffer in self._held.pop(s, ()):
                self._waiting.setdefault(self._types[buffer], []).append(buffer)
