"""Sets of shapes that are drawn together: groups nest, lanes stay apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from minigrad.drawing.outline import Vertex
from minigrad.errors import GraphError
from minigrad.graph.node import describe


@dataclass(frozen=True, slots=True)
class Groups:
    """Which nodes are in which group, and which group lies in which.

    `names` has each group that is drawn, after all groups around it; `around` has the group in
    which another one lies directly; `innermost` has the group in which a node lies directly.
    """

    names: list[str]
    around: dict[str, str]
    innermost: dict[Vertex, str]


def nested(sets: Mapping[str, Iterable[Vertex]], drawn: Collection[Vertex]) -> Groups:
    """The groups of the drawn nodes; a group whose nodes are all in a larger one lies in it.

    Raises GraphError for two groups that share a drawn node where neither lies in the other.
    """
    whole = {title: dict.fromkeys(nodes) for title, nodes in sets.items()}
    members = {name: [n for n in nodes if n in drawn] for name, nodes in whole.items()}
    for a, b in combinations(members, 2):
        if whole[a].keys() < whole[b].keys() or whole[b].keys() < whole[a].keys():
            continue
        if (shared := next((n for n in members[a] if n in whole[b]), None)) is not None:
            raise GraphError(
                f"the groups {a!r} and {b!r} share {describe(shared.node)}, and neither lies in "
                "the other. A group lies in another one whose nodes are all of its own and more; "
                "give one of them more nodes, or the shared ones to one group only"
            )
    # Larger sets come first: what lies around is known before what lies in it.
    names = sorted((n for n in members if members[n]), key=lambda n: -len(whole[n]))
    around: dict[str, str] = {}
    innermost: dict[Vertex, str] = {}
    for name in names:
        if (outer := innermost.get(members[name][0])) is not None:
            around[name] = outer
        innermost |= dict.fromkeys(members[name], name)
    return Groups(_in_order([n for n in whole if n in names], around), around, innermost)


def apart(sets: Mapping[str, Iterable[Vertex]], drawn: Collection[Vertex]) -> dict[Vertex, str]:
    """The lane of each drawn node. Raises GraphError for a node in two of them."""
    lane: dict[Vertex, str] = {}
    for name, nodes in sets.items():
        for node in nodes:
            if node in drawn and lane.setdefault(node, name) != name:
                raise GraphError(
                    f"the lanes {lane[node]!r} and {name!r} share {describe(node.node)}, which can "
                    "lie on one straight line only: take it out of one of them"
                )
    return lane


def _in_order(names: Iterable[str], around: Mapping[str, str]) -> list[str]:
    """The same names, each after those around it."""
    placed: dict[str, None] = {}
    for name in names:
        chain = [name]
        while chain[-1] in around:
            chain.append(around[chain[-1]])
        placed |= dict.fromkeys(reversed(chain))
    return list(placed)
