"""How vectors run between boxes: along a grid, round no box, with few corners and crossings.

One rule for all wires: the cheapest way, where a corner and a crossing cost so many steps more.
Wires of one vector share their way until they fork, and no other may lie on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from lstm.cells import Place
from lstm.figures.textbook.placing import Plan
from lstm.figures.textbook.wiring import Wiring

PITCHES = 0.25, 0.125  # of the grid, in columns and rows; the finer where wires would overlap
# What a quarter of a row costs; across, it costs a little more the higher it lies.
_QUARTER = 200
_CORNER, _CROSSING, _SIDE, _OVERLAP = 6 * _QUARTER, 4 * _QUARTER, 2 * _QUARTER, 200 * _QUARTER
Point = tuple[int, int]
_RIGHT, _LEFT, _UP, _DOWN = (1, 0), (-1, 0), (0, 1), (0, -1)
_ALL = (_RIGHT, _UP, _LEFT, _DOWN)


def routes_of(wiring: Wiring, plan: Plan) -> dict[tuple[str, str], list[Place]]:
    """The corners of each wire from the middle of one box to that of the other, both included.

    >>> import lstm
    >>> from lstm.figures.textbook.placing import plan_of
    >>> from lstm.figures.textbook.wiring import wiring_of
    >>> cell = lstm.RNN(2, 3)
    >>> wiring = wiring_of(cell)
    >>> routes_of(wiring, plan_of(cell, wiring))["h.0.0.0", "h"]  # along, then up
    [(1.0, 0.0), (1.5, 0.0), (1.5, 1.0)]
    """
    line = set(zip(wiring.line, wiring.line[1:], strict=False))

    def order(wire: tuple[str, str]) -> tuple[bool, bool, float]:
        (a, b), (c, d) = (plan.at[name] for name in wire)
        into_merge = wiring.boxes[wire[1]].kind == "merge"  # trunks, from which others fork
        return wire not in line, not into_merge, abs(a - c) + abs(b - d)

    for pitch in PITCHES:
        router = _Router(wiring, plan, pitch)
        for wire in sorted(wiring.wires, key=order):
            router.route(*wire)
        if not router.overlaps:
            break
    return {wire: _corners(router.ways[wire], router.pitch) for wire in wiring.wires}


def _corners(way: Sequence[Point], pitch: float) -> list[Place]:
    """The ends of a way and where it turns."""
    inner = [
        q for p, q, r in zip(way, way[1:], way[2:], strict=False) if _toward(p, q) != _toward(q, r)
    ]
    return [(x * pitch, y * pitch) for x, y in (way[0], *inner, way[-1])]


def _toward(p: Point, q: Point) -> Point:
    """The direction from one point to another on the same row or column."""
    x, y = q[0] - p[0], q[1] - p[1]
    return (x > 0) - (x < 0), (y > 0) - (y < 0)


class _Router:
    """The grid, what lies on it, and the ways that are laid so far."""

    def __init__(self, wiring: Wiring, plan: Plan, pitch: float) -> None:
        self.pitch, self.each = pitch, round(0.25 / pitch)
        """each: steps in a quarter of a row."""
        self.overlaps = False
        self.kinds = {name: box.kind for name, box in wiring.boxes.items()}
        self.at = {name: (round(x / pitch), round(y / pitch)) for name, (x, y) in plan.at.items()}
        self.right = round(plan.width / pitch)
        self.bottom, self.top = round(plan.bottom / pitch), round(plan.top / pitch)
        self.blocked = {p for name in self.at for p in self._inside(name)}
        self.used: dict[str, set[Point]] = {name: set() for name in self.at}
        """Sides of each box at which something enters or leaves."""
        self.trees: dict[str, dict[Point, list[Point]]] = {}
        """Of each vector: the points that it passes, and the way to each."""
        self.lies: dict[Point, dict[str, set[Point]]] = {}
        """Directions in which vectors pass a point."""
        self.ways: dict[tuple[str, str], list[Point]] = {}

    def _half(self, name: str) -> int:
        kind = self.kinds[name]
        return self.each * (2 if kind in ("layer", "pointwise") else 1)

    def _inside(self, name: str) -> Iterable[Point]:
        (x, y), n = self.at[name], self._half(name) - 1
        return [(x + i, y + j) for i in range(-n, n + 1) for j in range(-n, n + 1)]

    def _sides(self, name: str, *, leaving: bool) -> dict[Point, int]:
        """At which sides of a box a vector may leave, or enter, and what it costs more."""
        kind = self.kinds[name]
        sides: dict[Point, int] = dict.fromkeys(_ALL, 0)
        if kind == "layer":
            ahead, behind = (_UP, _DOWN) if leaving else (_DOWN, _UP)
            sides = {ahead: 0, behind: 3 * _SIDE}
            if not leaving:
                sides |= {_LEFT: _SIDE, _RIGHT: _SIDE}
        elif kind == "merge":
            sides = {_RIGHT: 0} if leaving else {_LEFT: 0, _DOWN: 0, _UP: 0}
        elif kind in ("before", "after"):
            sides = {_RIGHT if leaving else _LEFT: 0}
        elif kind in ("input", "output"):
            sides = {_UP if leaving else _DOWN: 0}
        return {side: cost for side, cost in sides.items() if side not in self.used[name]} or sides

    def route(self, source: str, target: str) -> None:
        """Lay the wire from one box to another."""
        starts = self._starts(source)
        x, y = self.at[target]
        n = self._half(target)
        ends = {
            ((x + n * side[0], y + n * side[1]), (-side[0], -side[1])): cost
            for side, cost in self._sides(target, leaving=False).items()
        }
        way = self._cheapest(source, starts, ends)
        first = self._way_to(source, way[0])
        whole = [*first, *way[1:], (x, y)]
        self.used[target].add(_toward((x, y), whole[-2]))
        self._lay(source, whole)
        self.ways[source, target] = whole

    def _starts(self, source: str) -> dict[tuple[Point, Point], int]:
        """Where a wire may begin, and in which direction: where its vector passes already, or at
        the sides of the box that it comes from."""
        if source in self.trees:
            starts = {}
            for point, way in self.trees[source].items():
                came = _toward(way[-2], point)
                for d in _ALL:
                    if d != (-came[0], -came[1]):
                        starts[point, d] = _CORNER * (d != came)
            return starts
        (x, y), n = self.at[source], self._half(source)
        sides = self._sides(source, leaving=True)
        return {((x + n * d[0], y + n * d[1]), d): cost for d, cost in sides.items()}

    def _way_to(self, source: str, point: Point) -> list[Point]:
        if source in self.trees:
            return self.trees[source][point]
        return [self.at[source], point]

    def _cheapest(
        self,
        source: str,
        starts: Mapping[tuple[Point, Point], int],
        ends: Mapping[tuple[Point, Point], int],
    ) -> list[Point]:
        """Dijkstra's algorithm over points and directions."""
        queue = [(cost, k, state) for k, (state, cost) in enumerate(starts.items())]
        queue.sort()
        forks = source in self.trees
        came: dict[tuple[Point, Point], tuple[Point, Point] | None] = dict.fromkeys(starts)
        best = dict(starts)
        count = len(queue)
        finish: tuple[int, tuple[Point, Point]] | None = None
        while queue:
            cost, _, state = heappop(queue)
            if finish is not None and cost >= finish[0]:
                break
            if cost > best[state]:
                continue
            if state in ends and (finish is None or cost + ends[state] < finish[0]):
                finish = cost + ends[state], state
            for following, more in self._steps(source, *state, forks and state in starts):
                total = cost + more
                if total < best.get(following, 1 << 30):
                    best[following], came[following] = total, state
                    count += 1
                    heappush(queue, (total, count, following))
        self.overlaps |= finish is None or finish[0] >= _OVERLAP
        assert finish is not None  # overlaps are dear, not forbidden: there is always a way
        way: list[Point] = []
        step: tuple[Point, Point] | None = finish[1]
        while step is not None:
            if not way or way[-1] != step[0]:
                way.append(step[0])
            step = came[step]
        return way[::-1]

    def _steps(
        self, source: str, point: Point, d: Point, is_fork: bool
    ) -> Iterable[tuple[tuple[Point, Point], int]]:
        """One step on, and turns where one stands."""
        q = (point[0] + d[0], point[1] + d[1])
        within = 0 < q[0] < self.right and self.bottom < q[1] < self.top
        if within and q not in self.blocked:
            yield (q, d), _QUARTER // self.each + q[1] * (d[1] == 0) + self._meets(source, q, d)
        if not is_fork:  # which has its turns among the starts, but the way back
            cost = _CORNER + (_OVERLAP if self._others(source, point) else 0)
            for turned in ((d[1], d[0]), (-d[1], -d[0])):
                yield (point, turned), cost

    def _others(self, source: str, point: Point) -> dict[str, set[Point]]:
        lies = self.lies.get(point, {})
        return {name: ds for name, ds in lies.items() if name != source}

    def _meets(self, source: str, point: Point, d: Point) -> int:
        """What it costs to pass a point at which other vectors lie."""
        cost = 0
        for ds in self._others(source, point).values():
            crosses = all(other[0] * d[0] + other[1] * d[1] == 0 for other in ds)
            cost += _CROSSING if crosses else _OVERLAP
        return cost

    def _lay(self, source: str, way: list[Point]) -> None:
        tree = self.trees.setdefault(source, {})
        self.used[source].add(_toward(way[0], way[1]))
        for k, (p, q) in enumerate(pairwise(way[:-1])):  # the last lies within what it leads to
            for point in (p, q):
                self.lies.setdefault(point, {}).setdefault(source, set()).add(_toward(p, q))
            tree.setdefault(q, way[: k + 2])
