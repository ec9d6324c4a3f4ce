"""The linear program of a graph: steps in order, slots for values, buffers shared by liveness.

No backend is named here. A slot holds one value of a call; a buffer is memory kept between calls,
taken by one value after another while none of them is needed any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from minigrad.errors import ShapeError
from minigrad.graph import CONST, PARAM, Expr, ParamCell, gc_paused
from minigrad.ops.core import BROADCAST
from minigrad.types import Array, TensorType, TupleType, broadcast_shapes
from minigrad.walk import walk

# Values under this many bytes get no buffer: NumPy's own small-block cache hands them out faster
# than passing out= costs (0.1 µs a call).
BUFFER_BYTES = 1024


@dataclass(slots=True)
class Step:
    """One op applied: slots it reads, the slot it fills, the buffer it may write into."""

    node: Expr
    args: tuple[int, ...]
    slot: int
    buffer: int | tuple[int, ...] | None = None
    """A number, or one for each result of a node that has several."""
    frees: tuple[int, ...] = ()
    """Slots without buffer whose value nobody needs after this step."""


@dataclass(slots=True)
class Plan:
    """A whole program; slots are numbered in the order of `nodes`."""

    nodes: list[Expr]
    inputs: list[int]
    constants: list[tuple[int, Array]]
    params: list[tuple[int, ParamCell]]
    steps: list[Step]
    outputs: list[int]
    copied: frozenset[int]
    """Output slots that may share memory with something else."""
    buffers: list[TensorType] = field(default_factory=list)


def make_plan(inputs: Sequence[Expr], outputs: Sequence[Expr]) -> Plan:
    """Order the graph, drop broadcasts that ops do by themselves, and assign buffers."""
    with gc_paused():
        return _make_plan(inputs, outputs)


def _make_plan(inputs: Sequence[Expr], outputs: Sequence[Expr]) -> Plan:
    reads = walk(outputs, _reads)
    nodes = [*reads, *(v for v in dict.fromkeys(inputs) if v not in reads)]
    slot = {n: k for k, n in enumerate(nodes)}
    steps = [Step(n, tuple([slot[a] for a in reads[n]]), slot[n]) for n in nodes if n.args]
    output_slots = [slot[n] for n in outputs]
    plan = Plan(
        nodes,
        [slot[v] for v in inputs],
        [(slot[n], n.value) for n in nodes if n.op is CONST],
        [(slot[n], n.attrs[1]) for n in nodes if n.op is PARAM],
        steps,
        output_slots,
        frozenset(s for s, n in Counter(output_slots).items() if n > 1 or _may_alias(nodes[s])),
    )
    _assign_buffers(plan)
    return plan


def _may_alias(node: Expr) -> bool:
    return not node.args or node.op.view


def _reads(node: Expr) -> tuple[Expr, ...]:
    """What a step reads: the node's arguments, or what they broadcast where that serves."""
    return _without_broadcasts(node) if node.op.pointwise else node.args


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


def _assign_buffers(plan: Plan) -> None:
    root = list(range(len(plan.nodes)))  # the slot whose memory a slot may share
    last_use = [-1] * len(plan.nodes)
    for k, step in enumerate(plan.steps):
        if step.node.op.view:
            root[step.slot] = root[step.args[0]]
        for s in step.args:
            last_use[root[s]] = k
    for s in plan.outputs:
        last_use[root[s]] = len(plan.steps)
    kept = {root[s] for s in plan.outputs}
    free: dict[TensorType, list[int]] = {}
    held: dict[int, int] = {}  # root slot -> its buffer
    for k, step in enumerate(plan.steps):
        dead = {r for s in step.args if last_use[r := root[s]] == k}
        node = step.node
        # A pointwise op reads each element before it writes it: it may write over an operand.
        if node.op.pointwise:
            _release(dead, held, free, plan)
        if isinstance(node.type, TupleType):
            # Several results are read through views of one slot; each keeps a buffer to itself.
            if node.op.out:
                step.buffer = tuple(
                    range(len(plan.buffers), len(plan.buffers) + len(node.type.items))
                )
                plan.buffers.extend(node.type.items)
            continue
        large = node.op.out and node.size * node.dtype.itemsize >= BUFFER_BYTES
        if large and step.slot not in kept:
            waiting = free.get(node.type)
            if waiting:
                step.buffer = waiting.pop()
            else:
                step.buffer = len(plan.buffers)
                plan.buffers.append(node.type)
            held[step.slot] = step.buffer
        _release(dead, held, free, plan)
        step.frees = tuple(
            s for s in dead if plan.nodes[s].args and s not in kept and s not in held
        )
        if last_use[root[step.slot]] < k:
            last_use[root[step.slot]] = k


def _release(
    dead: set[int], held: dict[int, int], free: dict[TensorType, list[int]], plan: Plan
) -> None:
    for s in list(dead):
        if s in held:
            free.setdefault(plan.nodes[s].type, []).append(held.pop(s))
            dead.discard(s)
