"""Passes that make loops fewer and smaller: merged, and without what nobody reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from minigrad.graph import Expr, make, rebuild
from minigrad.loop_op import SCAN
from minigrad.loops.loop import Loop, change_loops, loops_in, used_items
from minigrad.ops.core import full
from minigrad.ops.index import GETITEM
from minigrad.ops.tuples import ITEM, item
from minigrad.types import TupleType
from minigrad.walk import toposort


def merge_loops(outputs: Sequence[Expr]) -> list[Expr]:
    """Loops that differ only in what they give out become one: forward pass and residuals."""
    groups: dict[Any, list[Expr]] = {}
    for node in loops_in(outputs):
        body = node.attrs[0]
        same = (*map(id, node.args), *map(id, body.next_carries), node.attrs[1:])
        groups.setdefault((same, body.n_carry, body.n_x), []).append(node)
    shared = {node: group for group in groups.values() if len(group) > 1 for node in group}

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        if node not in shared:
            return None
        ys = list(dict.fromkeys(y for n in shared[node] for y in n.attrs[0].ys))
        found = loop.with_outputs([*loop.body.next_carries, *ys])
        place = {y: k + loop.body.n_carry for k, y in enumerate(ys)}
        return found[: loop.body.n_carry] + [found[place[y]] for y in loop.body.ys]

    return change_loops(outputs, change) if shared else list(outputs)


def drop_unused(outputs: Sequence[Expr]) -> list[Expr]:
    """Outputs, carries and inputs of loops that nothing reads are left out."""
    used = used_items(outputs)

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        body = loop.body
        wanted = used.get(node, set())
        carries = {k for k in wanted if k < body.n_carry}
        ys = sorted(wanted - carries)
        while True:
            roots = [body.outputs[k] for k in (*sorted(carries), *ys)]
            read = set(toposort(roots))
            more = {k for k, c in enumerate(body.carries) if c in read} - carries
            if not more:
                break
            carries |= more
        kept = sorted(carries)
        xs = {v: x for v, x in zip(body.xs, loop.xs, strict=True) if v in read}
        if len(kept) == body.n_carry and len(roots) == len(body.outputs) and len(xs) == body.n_x:
            return None
        found = loop.with_outputs(roots, {body.carries[k]: loop.init[k] for k in kept}, xs)
        there = dict(zip((*kept, *ys), found, strict=True))
        types = cast(TupleType, node.type).items
        return [there[k] if k in there else full(0, t) for k, t in enumerate(types)]

    return change_loops(outputs, change)


def take_last_carry(outputs: Sequence[Expr]) -> list[Expr]:
    """Reading only the last of a stacked output that is also carried reads the carry."""
    new: dict[Expr, Expr] = {}
    for node in toposort(outputs):
        changed = rebuild(node, tuple([new[a] for a in node.args]))
        carry = _last_carry(changed)
        new[node] = changed if carry is None else carry
    return [new[o] for o in outputs]


def _last_carry(node: Expr) -> Expr | None:
    stacked = node.args[0] if node.op is GETITEM and len(node.args) == 1 else None
    if stacked is None or stacked.op is not ITEM or stacked.args[0].op is not SCAN:
        return None
    loop = Loop.of(stacked.args[0])
    last = 0 if loop.reverse else loop.length - 1
    spec, k = node.attrs[0], stacked.attrs[0]
    if k < loop.body.n_carry or spec[0] != ("i", last):
        return None
    place = {c: j for j, c in enumerate(loop.body.next_carries)}.get(loop.body.outputs[k])
    if place is None:
        return None
    carry = item(stacked.args[0], place)
    return carry if len(spec) == 1 else make(GETITEM, (carry,), (spec[1:],))
