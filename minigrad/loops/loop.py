"""A loop node taken apart and put together again, and questions that the passes ask of graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from minigrad.body import Body, close
from minigrad.graph import Expr, rebuild
from minigrad.loop_op import SCAN, run_loop
from minigrad.ops.core import broadcast_to
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.walk import substitute, toposort

Pass: TypeAlias = Callable[[Sequence[Expr]], list[Expr]]


class Loop(NamedTuple):
    """A loop node taken apart."""

    body: Body
    init: list[Expr]
    xs: list[Expr]
    constants: list[Expr]
    length: int
    reverse: bool
    recompute: bool

    @classmethod
    def of(cls, node: Expr, args: Sequence[Expr] | None = None) -> Loop:
        """The parts of a node, of other arguments if given."""
        body, length, reverse, recompute = node.attrs
        parts = body.split(node.args if args is None else args)
        return cls(body, parts[0], parts[1], parts[2], length, reverse, recompute)

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
        return run_loop(
            body,
            [*starts.values()],
            [*inputs.values()],
            constants,
            self.length,
            self.reverse,
            self.recompute,
        )

    def surroundings(self) -> dict[Expr, Expr]:
        """What the body's constants are outside."""
        return dict(zip(self.body.constants, self.constants, strict=True))


def change_loops(
    outputs: Sequence[Expr], change: Callable[[Loop, Expr], Sequence[Expr] | None]
) -> list[Expr]:
    """The graph with change(loop, old node) as the results of every loop; None leaves it."""
    new: dict[Expr, Expr] = {}
    for node in toposort(outputs):
        args = tuple([new[a] for a in node.args])
        if node.op is ITEM:
            new[node] = item(args[0], node.attrs[0])
            continue
        new[node] = rebuild(node, args)
        if node.op is SCAN:
            results = change(Loop.of(node, args), node)
            if results is not None:
                new[node] = tuple_of(results)
    return [new[o] for o in outputs]


def loops_in(outputs: Sequence[Expr]) -> list[Expr]:
    return [n for n in toposort(outputs) if n.op is SCAN]


def used_items(outputs: Sequence[Expr]) -> dict[Expr, set[int]]:
    used: dict[Expr, set[int]] = {}
    for node in toposort(outputs):
        if node.op is ITEM:
            used.setdefault(node.args[0], set()).add(node.attrs[0])
    return used


def depend_on(roots: Iterable[Expr], outputs: Sequence[Expr]) -> set[Expr]:
    """The nodes that depend on any of the roots, the roots among them."""
    found = set(roots)
    for node in toposort(outputs):
        if any(a in found for a in node.args):
            found.add(node)
    return found


def count_uses(order: Iterable[Expr], outputs: Iterable[Expr]) -> Counter[Expr]:
    """How often each node of a graph is read; being an output counts."""
    uses = Counter(a for n in order for a in n.args)
    uses.update(outputs)
    return uses


def sums_in(order: Sequence[Expr], outputs: Iterable[Expr]) -> dict[Expr, list[Expr]]:
    """The terms of each sum as large as it gets: of adds whose parts nothing else reads."""
    uses = count_uses(order, outputs)
    adds = [n for n in order if n.op.name == "add"]
    inner = {a for n in adds for a in n.args if a.op.name == "add" and uses[a] == 1}
    return {n: _terms(n, inner) for n in adds if n not in inner}


def _terms(node: Expr, inner: Collection[Expr]) -> list[Expr]:
    found: list[Expr] = []
    stack = [node]
    while stack:
        n = stack.pop()
        if n is node or n in inner:
            stack.extend(reversed(n.args))
        else:
            found.append(n)
    return found
