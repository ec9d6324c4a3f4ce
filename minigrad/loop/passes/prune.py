"""Passes that make loops fewer and smaller: merged, without what nobody reads or differentiates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from minigrad.graph.node import Expr, make
from minigrad.graph.walk import map_graph, toposort
from minigrad.loop.body import Call, Loop
from minigrad.loop.node import SCAN
from minigrad.loop.passes.frame import change_loops
from minigrad.ops.core import full
from minigrad.ops.custom import SCALE, STOP
from minigrad.ops.index import GETITEM
from minigrad.ops.tuples import ITEM, item
from minigrad.rewrite.rules import simplify_safely
from minigrad.types import TupleType


def merge_loops(outputs: Sequence[Expr]) -> list[Expr]:
    """Loops that differ only in what they give out become one: forward pass and residuals."""
    groups: dict[Any, list[Expr]] = {}
    for node in toposort(outputs):
        if node.op is SCAN:
            loop = cast(Loop, node.attrs[0])
            same = (*map(id, node.args), *map(id, loop.body.next_carries))
            how = (loop.body.n_carry, loop.body.n_x, loop.length, loop.reverse)
            groups.setdefault((same, how), []).append(node)
    shared = {node: group for group in groups.values() if len(group) > 1 for node in group}

    def change(call: Call, node: Expr) -> list[Expr] | None:
        if node not in shared:
            return None
        body, n = call.body, call.body.n_carry
        ys = list(dict.fromkeys(y for n in shared[node] for y in n.attrs[0].body.ys))
        results = call.giving([*body.next_carries, *ys])
        stacks = dict(zip(ys, results[n:], strict=True))
        return [*results[:n], *(stacks[y] for y in body.ys)]

    return change_loops(outputs, change) if shared else list(outputs)


def drop_unused(outputs: Sequence[Expr]) -> list[Expr]:
    """Outputs, carries and inputs of loops that nothing reads are left out."""
    used: dict[Expr, set[int]] = {}
    for n in toposort(outputs):
        if n.op is ITEM:
            used.setdefault(n.args[0], set()).add(n.attrs[0])

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body, live = call.body, set(used.get(node, ()))
        while True:  # what is live reads carries, which are live too
            places = sorted(live)
            roots = [body.outputs[k] for k in places]
            read = set(toposort(roots))
            live |= {k for k, c in enumerate(body.carries) if c in read}
            if len(live) == len(places):
                break
        xs = {v: x for v, x in call.xs.items() if v in read}
        if len(places) == len(body.outputs) and len(xs) == body.n_x:
            return None
        init = {v: x for k, (v, x) in enumerate(call.init.items()) if k in live}
        results = dict(zip(places, replace(call, init=init, xs=xs).giving(roots), strict=True))
        types = cast(TupleType, node.type).items
        return [results[k] if k in live else full(0, t) for k, t in enumerate(types)]

    return change_loops(outputs, change)


def drop_stops(outputs: Sequence[Expr]) -> list[Expr]:
    """Nothing stops or scales a gradient any more: what is compiled is differentiated already."""
    if not any(n.op in (STOP, SCALE) for n in toposort(outputs)):
        return list(outputs)
    through = map_graph(outputs, lambda n, new: new[n.args[0]] if n.op in (STOP, SCALE) else None)
    return simplify_safely(through)


def take_last_carry(outputs: Sequence[Expr]) -> list[Expr]:
    """Reading only the last of a stacked output that is also carried reads the carry."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is not GETITEM or len(node.args) > 1:
            return None
        (spec,), stack = node.attrs, new[node.args[0]]
        if stack.op is not ITEM or stack.args[0].op is not SCAN:
            return None
        (loop,), (k,) = stack.args[0].attrs, stack.attrs
        last = 0 if loop.reverse else loop.length - 1
        places = {c: j for j, c in enumerate(loop.body.next_carries)}
        y = loop.body.outputs[k]
        if k < loop.body.n_carry or spec[0] != ("i", last) or y not in places:
            return None
        carry = item(stack.args[0], places[y])
        return carry if len(spec) == 1 else make(GETITEM, (carry,), (spec[1:],))

    return map_graph(outputs, of_node)
