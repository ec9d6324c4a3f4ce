"""A reverse sweep in two channels along a chain of nodes: what came by every one of them from there
on, and what left one of them out; within loops, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from minigrad.derivatives.sweep import Crossing, Seeding, TwoChannels, add_term
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, describe
from minigrad.graph.places import Spot, inside_of


@dataclass(frozen=True, eq=False, slots=True)
class Link:
    """A link of a chain, as one graph has it: a node, or a loop with links within its step.

    within: {node: the links in it}; of several nodes where loops are one, which differ in their
        results only.
    """

    within: Mapping[Expr, Sequence[Link]]


@dataclass(frozen=True, eq=False, slots=True)
class _Way:
    """The way to a node: the loops down to it, and which part of its steps each of them runs."""

    loops: tuple[Expr, ...]
    turns: tuple[int, ...]
    node: Expr

    def down(self) -> _Way:
        """Within the first loop; a loop over segments and those that it runs are one."""
        cut = inside_of(self.loops[0]).segments
        return replace(self, loops=self.loops[1:], turns=self.turns if cut else self.turns[1:])


def links_of(spots: Sequence[Spot]) -> list[Link]:
    """A chain of nodes, the one nearest the input first. Those that follow one another in one loop
    are passed in each of its steps."""
    return _links(
        [
            [_Way(p.loops, turns, p.node) for turns, places in spot.parts.items() for p in places]
            for spot in spots
        ]
    )


def _links(chain: Sequence[Sequence[_Way]]) -> list[Link]:
    links: list[Link] = []
    for nodes in _by_loops(chain):
        if not nodes[0][0].loops:
            links += [Link({way.node: () for way in ways}) for ways in nodes]
            continue
        reverse = inside_of(nodes[0][0].loops[0]).reverse
        for turn in sorted({way.turns[0] for way in nodes[0]}, reverse=reverse):
            now = [[way for way in ways if way.turns[0] == turn] for ways in nodes]
            loops = dict.fromkeys([way.loops[0] for way in now[0]])
            links.append(Link({loop: _links(_within(loop, now)) for loop in loops}))
    return links


def _by_loops(chain: Sequence[Sequence[_Way]]) -> list[list[Sequence[_Way]]]:
    """Nodes that follow one another in the same loops, together."""
    groups: list[list[Sequence[_Way]]] = []
    before: set[Expr] = set()
    for ways in chain:
        heads = {way.loops[0] for way in ways if way.loops}
        if groups and heads and heads == before:
            groups[-1].append(ways)
        else:
            groups.append([ways])
        before = heads
    return groups


def _within(loop: Expr, nodes: Sequence[Sequence[_Way]]) -> list[list[_Way]]:
    return [[way.down() for way in ways if way.loops[0] is loop] for ways in nodes]


class Chained(TwoChannels):
    """A sweep in two channels: what came by each link of a chain so far, and the rest.

    first, second: seeds of the two. Where no path comes by the next link any more, all goes over to
    the second. Raises GraphError for a link that does not depend on the one before it.
    """

    def __init__(
        self, order: Sequence[Expr], first: Seeding, second: Seeding, links: Sequence[Link]
    ) -> None:
        self._links = {node: inner for link in links for node, inner in link.within.items()}
        self._next = _next_links(order, links)
        self._count = len(links)
        super().__init__(order, first, second)

    def _run(self, mark: Callable[[Expr], None]) -> None:
        for node, cotangent in self._first_seeds:
            if cotangent is not None and node in self._active:
                waits = self._next[node] == self._count
                add_term(self._first if waits else self._second, node, cotangent)
        for node in reversed(self.order):
            if not node.args or not (node in self._first or node in self._second):
                continue
            mark(node)
            left = self._next[node] - (node in self._links)
            first, second = self._terms_of(node)
            for i, term in self._flowing(node, first):
                arg = node.args[i]
                add_term(self._first if self._next[arg] == left else self._second, arg, term)
            for i, term in self._flowing(node, second):
                add_term(self._second, node.args[i], term)

    def _is_crossed(self, node: Expr) -> bool:
        return bool(self._links.get(node))

    def _crossing(self, node: Expr) -> Crossing:
        links = self._links.get(node, ())
        return Crossing(
            lambda order, first, second: Chained(order, first, second, links),
            in_turn=bool(links),
        )


def _next_links(order: Sequence[Expr], links: Sequence[Link]) -> dict[Expr, int]:
    """For each node, which link comes next on the way back from it, counted from 1: the last that
    it depends on, or is; 0 where there is none."""
    numbers = {node: k for k, link in enumerate(links, 1) for node in link.within}
    following: dict[Expr, int] = {}
    for node in order:
        before = max([following[a] for a in node.args], default=0)
        number = numbers.get(node, before)
        if number != before and number != before + 1:
            earlier = next(iter(links[number - 2].within))
            raise GraphError(f"{describe(node)} does not depend on {describe(earlier)}")
        following[node] = number
    return following
