"""Passes that make loops fewer and smaller: merged, and without what nobody reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from minigrad.graph.node import Expr, make
from minigrad.graph.walk import map_graph, toposort
from minigrad.loop.body import Call, Loop
from minigrad.loop.node import SCAN
from minigrad.loop.passes.taken_apart import change_loops, loops_in, used_items
from minigrad.ops.core import full
from minigrad.ops.index import GETITEM, Spec
from minigrad.ops.tuples import ITEM, item
from minigrad.types import TupleType


def merge_loops(outputs: Sequence[Expr]) -> list[Expr]:
    """Loops that differ only in what they give out become one: forward pass and residuals."""
    groups: dict[Any, list[Expr]] = {}
    for node in loops_in(outputs):
        loop = cast(Loop, node.attrs[0])
        body = loop.body
        same = (*map(id, node.args), *map(id, body.next_carries))
        how = (body.n_carry, body.n_x, loop.length, loop.reverse)
        groups.setdefault((same, how), []).append(node)
    shared = {node: group for group in groups.values() if len(group) > 1 for node in group}

    def change(call: Call, node: Expr) -> list[Expr] | None:
        if node not in shared:
            return None
        ys = list(dict.fromkeys(y for n in shared[node] for y in n.attrs[0].body.ys))
        body, n = call.body, call.body.n_carry
        results = call.giving([*body.next_carries, *ys])
        place = {y: k + n for k, y in enumerate(ys)}
        return results[:n] + [results[place[y]] for y in body.ys]

    return change_loops(outputs, change) if shared else list(outputs)


def drop_unused(outputs: Sequence[Expr]) -> list[Expr]:
    """Outputs, carries and inputs of loops that nothing reads are left out."""
    used = used_items(outputs)

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body = call.body
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
        order = sorted(carries)
        xs = {v: x for v, x in call.xs.items() if v in read}
        if len(order) == body.n_carry and len(roots) == len(body.outputs) and len(xs) == body.n_x:
            return None
        init = {body.carries[k]: call.init[body.carries[k]] for k in order}
        results = replace(call, init=init, xs=xs).giving(roots)
        there = dict(zip((*order, *ys), results, strict=True))
        types = cast(TupleType, node.type).items
        return [there[k] if k in there else full(0, t) for k, t in enumerate(types)]

    return change_loops(outputs, change)


def take_last_carry(outputs: Sequence[Expr]) -> list[Expr]:
    """Reading only the last of a stacked output that is also carried reads the carry."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is not GETITEM or len(node.args) > 1:
            return None
        return _last_carry(new[node.args[0]], node.attrs[0])

    return map_graph(outputs, of_node)


def _last_carry(stacked: Expr, spec: Spec) -> Expr | None:
    """The carry that a slice of a loop's output is, where it is one."""
    if stacked.op is not ITEM or stacked.args[0].op is not SCAN:
        return None
    (loop,), (k,) = stacked.args[0].attrs, stacked.attrs
    last = 0 if loop.reverse else loop.length - 1
    if k < loop.body.n_carry or spec[0] != ("i", last):
        return None
    place = {c: j for j, c in enumerate(loop.body.next_carries)}.get(loop.body.outputs[k])
    if place is None:
        return None
    carry = item(stacked.args[0], place)
    return carry if len(spec) == 1 else make(GETITEM, (carry,), (spec[1:],))
