"""Passes that make loops fewer and smaller: merged, without what nobody reads or differentiates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, make
from minigrad.graph.walk import map_graph, substitute, toposort
from minigrad.loop.body import Call
from minigrad.loop.node import SCAN
from minigrad.loop.passes.frame import change_loops
from minigrad.ops.batch import batched, has_leading_axis
from minigrad.ops.core import full
from minigrad.ops.custom import SCALE, STOP
from minigrad.ops.index import GETITEM
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.rewrite.rules import simplify_safely
from minigrad.types import TupleType


def merge_loops(outputs: Sequence[Expr]) -> list[Expr]:
    """Loops that carry the same become one: forward pass and residuals, a derivative and what is
    asked of its steps. What they read and give out besides may differ."""
    variables: dict[Any, Expr] = {}
    aligned: dict[Expr, _Aligned] = {}
    outputs = list(outputs)
    while group := _mergeable(outputs, aligned, variables):
        loops = [aligned[node] for node in group]
        first, n = loops[0], len(loops[0].call.init)
        ys = list(dict.fromkeys(y for loop in loops for y in loop.outputs[n:]))
        whole = replace(
            first.call,
            xs={v: x for loop in loops for v, x in loop.call.xs.items()},
            constants={v: x for loop in loops for v, x in loop.call.constants.items()},
        )
        results = whole.giving([*first.outputs[:n], *ys])
        stacks = dict(zip(ys, results[n:], strict=True))
        start = {
            node: tuple_of([*results[:n], *(stacks[y] for y in loop.outputs[n:])])
            for node, loop in zip(group, loops, strict=True)
        }
        outputs = map_graph(outputs, _read_anew, start)
    return outputs


@dataclass(frozen=True, slots=True)
class _Aligned:
    """A loop in variables that it shares with others: one for each operand, and each carry."""

    call: Call
    outputs: Sequence[Expr]

    @classmethod
    def of(cls, node: Expr, variables: dict[Any, Expr]) -> _Aligned:
        call = Call.of(node)

        def shared(kind: str, key: int, v: Expr) -> Expr:
            return variables.setdefault((kind, key, v.type), placeholder(kind, v.type))

        init = {v: shared("carry", k, v) for k, v in enumerate(call.init)}
        xs = {v: shared("x", id(x), v) for v, x in call.xs.items()}
        constants = {v: shared("const", id(x), v) for v, x in call.constants.items()}
        outputs = substitute(call.body.outputs, {**init, **xs, **constants})
        call = replace(
            call,
            init={new: call.init[v] for v, new in init.items()},
            xs={new: call.xs[v] for v, new in xs.items()},
            constants={new: call.constants[v] for v, new in constants.items()},
        )
        return cls(call, outputs)

    @property
    def same(self) -> Any:
        """What loops that become one have in common."""
        init, loop = self.call.init.values(), self.call.loop
        carried = self.outputs[: len(init)]
        return (*map(id, init), *map(id, carried), loop.length, loop.reverse, loop.segments)


def _mergeable(
    outputs: Sequence[Expr], aligned: dict[Expr, _Aligned], variables: dict[Any, Expr]
) -> list[Expr]:
    """The first loops of a graph that can become one; none of them reads another."""
    groups: dict[Any, list[Expr]] = {}
    nodes = [node for node in toposort(outputs) if node.op is SCAN]
    for node in nodes if len(nodes) > 1 else ():
        if node not in aligned:
            aligned[node] = _Aligned.of(node, variables)
        groups.setdefault(aligned[node].same, []).append(node)
    for group in groups.values():
        apart: list[Expr] = []
        for node in group:
            if not apart or not set(apart) & set(toposort(node.args)):
                apart.append(node)
        if len(apart) > 1:
            return apart
    return []


def _read_anew(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
    return item(new[node.args[0]], node.attrs[0]) if node.op is ITEM else None


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


def read_inputs(outputs: Sequence[Expr]) -> list[Expr]:
    """What a loop gives out as it took it in is read from there: masks of steps, by their shape."""

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body = call.body
        views = dict.fromkeys(y for y in body.ys if _viewed(y) in call.xs)
        if not views:
            return None
        ys = [y for y in body.ys if y not in views]
        results = call.giving([*body.next_carries, *ys])
        stacks = dict(zip(ys, results[body.n_carry :], strict=True))
        stacks |= zip(views, batched([*views], call.xs, call.loop.length), strict=True)
        return [*results[: body.n_carry], *(stacks[y] for y in body.ys)]

    return change_loops(outputs, change)


def _viewed(node: Expr) -> Expr:
    """What a node is the view of."""
    while node.op.view and len(node.args) == 1 and has_leading_axis(node.op):
        (node,) = node.args
    return node


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
