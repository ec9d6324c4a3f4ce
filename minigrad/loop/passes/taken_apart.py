"""How passes change loops, and questions that they ask of graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from minigrad.graph.node import Expr
from minigrad.graph.walk import map_graph, toposort
from minigrad.loop.body import Call
from minigrad.loop.node import SCAN
from minigrad.ops.arithmetic import add
from minigrad.ops.tuples import ITEM, item, tuple_of

Pass: TypeAlias = Callable[[Sequence[Expr]], list[Expr]]


def change_loops(
    outputs: Sequence[Expr], change: Callable[[Call, Expr], Sequence[Expr] | None]
) -> list[Expr]:
    """The graph with change(loop, old node) as the results of every loop; None leaves it."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is ITEM:
            return item(new[node.args[0]], node.attrs[0])
        if node.op is not SCAN:
            return None
        results = change(Call.of(node, [new[a] for a in node.args]), node)
        return None if results is None else tuple_of(results)

    return map_graph(outputs, of_node)


def loops_in(outputs: Sequence[Expr]) -> list[Expr]:
    return [n for n in toposort(outputs) if n.op is SCAN]


def used_items(outputs: Sequence[Expr]) -> dict[Expr, set[int]]:
    used: dict[Expr, set[int]] = {}
    for node in toposort(outputs):
        if node.op is ITEM:
            used.setdefault(node.args[0], set()).add(node.attrs[0])
    return used


def count_uses(order: Iterable[Expr], outputs: Iterable[Expr]) -> Counter[Expr]:
    """How often each node of a graph is read; being an output counts."""
    uses = Counter(a for n in order for a in n.args)
    uses.update(outputs)
    return uses


def sums_in(order: Sequence[Expr], outputs: Iterable[Expr]) -> dict[Expr, list[Expr]]:
    """The terms of each sum as large as it gets: of adds whose parts nothing else reads."""
    uses = count_uses(order, outputs)
    adds = [n for n in order if n.op is add.op]
    inner = {a for n in adds for a in n.args if a.op is add.op and uses[a] == 1}
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
