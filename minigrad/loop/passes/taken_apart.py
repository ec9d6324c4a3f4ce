"""A loop node taken apart and put together again, and questions that the passes ask of graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from minigrad.graph.node import Expr
from minigrad.graph.walk import map_graph, substitute, toposort
from minigrad.loop.body import Body, Loop, close
from minigrad.loop.node import SCAN, run_loop
from minigrad.ops.arithmetic import add
from minigrad.ops.core import broadcast_to
from minigrad.ops.tuples import ITEM, item, tuple_of

Pass: TypeAlias = Callable[[Sequence[Expr]], list[Expr]]


class TakenApart(NamedTuple):
    """A loop node taken apart: the loop, and what it runs on."""

    loop: Loop
    init: list[Expr]
    xs: list[Expr]
    constants: list[Expr]

    @classmethod
    def of(cls, node: Expr, args: Sequence[Expr] | None = None) -> TakenApart:
        """The parts of a node, of other arguments if given."""
        (loop,) = node.attrs
        return cls(loop, *loop.body.split(node.args if args is None else args))

    @property
    def body(self) -> Body:
        """What a step computes."""
        return self.loop.body

    @property
    def length(self) -> int:
        """The number of steps."""
        return self.loop.length

    def with_outputs(
        self,
        outputs: Sequence[Expr],
        carries: Mapping[Expr, Expr] | None = None,
        xs: Mapping[Expr, Expr] | None = None,
    ) -> list[Expr]:
        """The results of the loop with another body, of expressions over this one's variables.

        carries: {variable: initial value}, xs: {variable: stacked input}; this loop's by default.
        """
        starts = (
            dict(zip(self.body.carries, self.init, strict=True)) if carries is None else carries
        )
        inputs = dict(zip(self.body.xs, self.xs, strict=True)) if xs is None else xs
        body, outside = close(list(starts), list(inputs), outputs)
        constants = substitute(outside, self.surroundings())
        if not starts and not inputs and not constants:  # nothing to loop over but numbers
            return [broadcast_to(y, (self.length, *y.shape)) for y in outputs]
        loop = replace(self.loop, body=body)
        return run_loop(loop, [*starts.values()], [*inputs.values()], constants)

    def surroundings(self) -> dict[Expr, Expr]:
        """What the body's constants are outside."""
        return dict(zip(self.body.constants, self.constants, strict=True))


def change_loops(
    outputs: Sequence[Expr], change: Callable[[TakenApart, Expr], Sequence[Expr] | None]
) -> list[Expr]:
    """The graph with change(loop, old node) as the results of every loop; None leaves it."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is ITEM:
            return item(new[node.args[0]], node.attrs[0])
        if node.op is not SCAN:
            return None
        results = change(TakenApart.of(node, [new[a] for a in node.args]), node)
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
