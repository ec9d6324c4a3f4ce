"""The line of a loop: the carry that comes back by the fewest ops, which is drawn straight."""

from __future__ import annotations

from minigrad.graph.node import Expr
from minigrad.loop.body import Body


def line_of(body: Body) -> list[Expr]:
    """What the line passes in one step, from the carry to what it becomes; none where there is no
    way from any carry to its next, or none but the carry itself.

    Of several with as few ops, that of the last: cells list their memory after their output.
    """
    ways = [way for k in range(body.n_carry) if len(way := _way(body, k)) > 1]
    return min(ways[::-1], key=len, default=[])


def _way(body: Body, k: int) -> list[Expr]:
    """The shortest way from a carry to what it becomes, both ends included."""
    before: dict[Expr, Expr | None] = {body.carries[k]: None}
    length = {body.carries[k]: 0}
    for node in body.nodes:
        known = [a for a in node.args if a in length]
        if known:
            nearest = min(known, key=length.__getitem__)
            before[node], length[node] = nearest, length[nearest] + 1
    way: list[Expr] = []
    end: Expr | None = body.next_carries[k]
    while end is not None and end in before:
        way.append(end)
        end = before[end]
    return way[::-1]
