"""What passes are made of: how one changes loops or their bodies, and the sums in a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import is_
from typing import TypeAlias

from minigrad.graph.node import Expr
from minigrad.graph.walk import depend_on, map_graph, packed
from minigrad.loop.body import Body, Call
from minigrad.loop.node import SCAN
from minigrad.ops.arithmetic import add
from minigrad.ops.tuples import ITEM, item, tuple_of

Pass: TypeAlias = Callable[[Sequence[Expr]], list[Expr]]


def change_loops(
    outputs: Sequence[Expr], change: Callable[[Call, Expr], Sequence[Expr] | None]
) -> list[Expr]:
    """The graph with change(call, old node) as the results of every loop; None leaves it."""
    if SCAN not in packed(outputs).ops:
        return list(outputs)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is ITEM:
            return item(new[node.args[0]], node.attrs[0])
        if node.op is not SCAN:
            return None
        results = change(Call.of(node, [new[a] for a in node.args]), node)
        return None if results is None else tuple_of(results)

    return map_graph(outputs, of_node)


def in_bodies(change: Callable[[Sequence[Expr], Collection[Expr]], list[Expr]]) -> Pass:
    """A pass that changes the bodies of loops: change(outputs, what moves with the loop).

    The graph around them is made anew only where a body changes.
    """

    def run(outputs: Sequence[Expr]) -> list[Expr]:
        steps: dict[Body, list[Expr]] = {}
        for body in dict.fromkeys(node.attrs[0].body for node in packed(outputs).of([SCAN])):
            after = change(body.outputs, depend_on(body.carries, body.outputs))
            if not all(map(is_, after, body.outputs)):
                steps[body] = after
        if not steps:
            return list(outputs)
        return change_loops(
            outputs, lambda call, _: call.giving(steps[call.body]) if call.body in steps else None
        )

    return run


def everywhere(change: Pass) -> Pass:
    """A pass that changes a graph and the bodies of its loops alike."""
    within = in_bodies(lambda body, _: change(body))
    return lambda outputs: within(change(outputs))


def sums_in(outputs: Sequence[Expr], among: Iterable[Expr] | None = None) -> dict[Expr, list[Expr]]:
    """The terms of each sum as large as it gets: of adds whose parts nothing else reads.

    among: what a sum is wanted of, and all that reads it; None for all nodes.
    """
    graph, given_out = packed(outputs), Counter(outputs)
    adds = [n for n in (graph.nodes if among is None else among) if n.op is add.op]
    inner = {
        a for n in adds for a in n.args
        if a.op is add.op and len(graph.readers(graph.place[a])) + given_out[a] == 1
    }  # fmt: skip
    return {n: _terms(n, inner) for n in adds if n not in inner}


def _terms(node: Expr, inner: Collection[Expr]) -> list[Expr]:
    terms: list[Expr] = []
    stack = [node]
    while stack:
        n = stack.pop()
        if n is node or n in inner:
            stack.extend(reversed(n.args))
        else:
            terms.append(n)
    return terms
