"""Where the ops of a model stand when it is written out: layer upon layer, step beside step.

Each recurrent layer has a lane, the first one lowest; what reads backwards has one of its own above
what reads forward, its cells mirrored. What is between layers stands below the layer that reads it.
All of it is told by the model, nothing by names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import minigrad as mg
from lstm.cells import Place
from lstm.errors import ConfigError
from lstm.figures.cell_places import COLUMN, CellPlaces, places_of
from lstm.layers import Recurrent, Written
from minigrad import Expr

_READOUT = 1.5 * COLUMN  # from op to op of the readout, with room for the number between
_LEFT = -150.0  # where the initial states stand
_TALL = 100.0  # from row to row of what is between layers, and after them
_CHANNEL, _APART = 95.0, 16.0  # from a step to its first channel, and to the next
_RISE = 60.0  # how far an arrow rises on its way into a channel
_BETWEEN = 110.0  # from a step's channels to the next step


@dataclass
class Sheet:
    """places, bends: as `minigrad.draw` takes them; steps: what stands in each step."""

    places: Mapping[Expr, Place]
    bends: Mapping[tuple[Expr, Expr], Sequence[Place]]
    steps: Sequence[Sequence[Expr]]


def sheet_of(
    layers: Mapping[str, Recurrent], written: Mapping[str, Written], loss: Expr, every: bool
) -> Sheet | None:
    """The sheet of a model's layers, written out, under a loss; every: it reads every step. None
    where a cell has no place for an op that it reads by.

    Raises ConfigError where a cell has a place for what is not there.
    """
    lanes = [_Lane.of(layer, written[place]) for place, layer in layers.items()]
    return _Layout(lanes, loss, every).sheet()


@dataclass(eq=False)
class _Lane:
    """A recurrent layer: where the ops of a step stand, from the left of the step and from above;
    base: how far down its line is."""

    written: Written
    reverse: bool
    cell: CellPlaces
    output: Place
    base: float = 0.0

    @staticmethod
    def of(layer: Recurrent, written: Written) -> _Lane:
        places = places_of(layer.cell)
        return _Lane(written, layer.reverse, places, places.ops.get(layer.cell.output, (0.0, 0.0)))

    @property
    def top(self) -> float:
        return min(y for _, y in self.cell.ops.values())

    @property
    def bottom(self) -> float:
        """Where what it reads comes in."""
        return max(y for _, y in self.cell.ops.values())

    @property
    def width(self) -> float:
        return max(x for x, _ in self.cell.ops.values())

    def of_step(self, k: int) -> Iterator[tuple[Expr, Place]]:
        """The ops of the step that it reads k-th."""
        named = {"x": self.written.xs[k], **self.written.values[k]}
        for spelled, place in self.cell.ops.items():
            yield _node(named, spelled), place


@dataclass
class _At:
    """A place of a node: its step and how far it is from the left of it, how far down; level: an
    odd number in a lane, an even one between two; outer: whether it is part of no step."""

    step: int
    x: float
    y: float
    level: int
    outer: bool = False


@dataclass
class _Layout:
    lanes: Sequence[_Lane]
    loss: Expr
    every: bool
    at: dict[Expr, _At] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = [n for n in mg.toposort(self.loss) if n.op is not mg.broadcast_to.op]
        self.inside = {*self.order}
        self.count = len(self.lanes[0].written.xs)
        self.width = max(lane.width for lane in self.lanes)
        self.channels: dict[tuple[int, bool], count[int]] = {}
        self.highest = 0

    def sheet(self) -> Sheet | None:
        cells = {n for lane in self.lanes for k in range(self.count) for n, _ in lane.of_step(k)}
        given = {n for lane in self.lanes for v in lane.written.values for n in v.values()}
        cells -= {x for lane in self.lanes for x in lane.written.xs} - given
        for k, lane in enumerate(self.lanes):
            self._lane(k, lane, cells)
        if any(source not in self.at for node in self.at for source in self._drawn(node)):
            return None
        self._after()
        corners = {ends: way for ends in self._uses() if (way := self._way(*ends))}
        stride = self._stride()
        places = {n: (a.step * stride + a.x, a.y) for n, a in self.at.items()}
        bends = {
            ends: [(step * stride + x, y) for step, x, y in way] for ends, way in corners.items()
        }
        steps: list[list[Expr]] = [[] for _ in range(self.count)]
        for node in self.order:
            if node in self.at and not self.at[node].outer:
                steps[self.at[node].step].append(node)
        return Sheet(places, bends, steps)

    def _put(self, node: Expr, at: _At) -> None:
        if node in self.inside:
            self.at.setdefault(node, at)

    def _stride(self) -> float:
        """From one step to the next: as the cell says, or with room for what goes past it."""
        used = [next(k) for k in self.channels.values()]
        if not used and len(self.lanes) == 1:
            return self.lanes[0].cell.step
        sides = 1 + any(left for _, left in self.channels)
        return self.width + sides * (_CHANNEL + _APART * max(used, default=0)) + _BETWEEN

    # --- lanes, and what they read ---------------------------------------------------------------

    def _lane(self, k: int, lane: _Lane, cells: set[Expr]) -> None:
        between = [self._between(x, cells) for x in lane.written.xs]
        owners: dict[Expr, set[int]] = {}
        for step, nodes in enumerate(between):
            for node in nodes:
                owners.setdefault(node, set()).add(step)
        shared = {n for n, steps in owners.items() if len(steps) > 1}
        rows = max((depth for nodes in between for depth in nodes.values()), default=0)
        if k:
            below = self.lanes[k - 1]
            lane.base = below.base + below.top - lane.bottom - _TALL * (rows + 1)
        for read in range(self.count):
            step = self.count - 1 - read if lane.reverse else read
            beside: dict[int, count[int]] = {}
            for node, depth in between[read].items():
                if node not in shared:
                    x = self._x(lane, lane.cell.ops["x"][0])
                    x += COLUMN * next(beside.setdefault(depth, count()))
                    y = lane.base + lane.bottom + depth * _TALL
                    self._put(node, _At(step, x, y, 2 * k))
            for node, (x, y) in lane.of_step(read):
                if node in cells:
                    self._put(node, _At(step, self._x(lane, x), lane.base + y, 2 * k + 1))
        self._shared(k, lane, shared, between)
        self._start(k, lane)
        self.highest = 2 * k + 2

    def _x(self, lane: _Lane, x: float) -> float:
        return self.width - x if lane.reverse else x

    def _between(self, x: Expr, cells: set[Expr]) -> dict[Expr, int]:
        """What a step's input is made of that is part of no lane, and how far each is from it."""
        depth = {x: 0} if x not in cells and x in self.inside else {}
        for node in reversed(mg.toposort(x)):
            if node in depth:
                for source in self._drawn(node):
                    if source not in cells and source not in self.at:
                        depth[source] = max(depth.get(source, 0), depth[node] + 1)
        return depth

    def _shared(
        self, k: int, lane: _Lane, shared: set[Expr], between: Sequence[Mapping[Expr, int]]
    ) -> None:
        """What several steps read: before the first."""
        ordered = [n for n in self.order if n in shared]
        deepest = max((d for nodes in between for d in nodes.values()), default=0)
        for back, node in enumerate(reversed(ordered)):
            y = lane.base + lane.bottom + deepest * _TALL
            self._put(node, _At(0, _LEFT - back * _READOUT, y, 2 * k, outer=True))

    def _start(self, k: int, lane: _Lane) -> None:
        """The initial state: on the side from which the lane is read."""
        for part, node in lane.written.states[0]._asdict().items():
            if part in lane.cell.start:
                y = lane.base + lane.cell.start[part]
                step, x = (self.count - 1, self.width - _LEFT) if lane.reverse else (0, _LEFT)
                self._put(node, _At(step, x, y, 2 * k + 1, outer=True))

    def _drawn(self, node: Expr) -> Iterator[Expr]:
        """The ops that a node reads, without broadcasts, which are not drawn."""
        for source in node.args:
            while source.op is mg.broadcast_to.op:
                source = source.args[0]
            if source.args:
                yield source

    # --- what reads the lanes --------------------------------------------------------------------

    def _after(self) -> None:
        """The readout: of every step above it, and else after the last, from left to right."""
        top = self.lanes[-1].base + self.lanes[-1].top
        steps: dict[Expr, set[int]] = {n: {a.step} for n, a in self.at.items() if a.level % 2}
        rank: dict[Expr, int] = {}
        rest = []
        for node in self.order:
            if node in self.at or not node.args:
                continue
            sources = [*self._drawn(node)]
            steps[node] = set().union(*(steps.get(a, set()) for a in sources))
            if self.every and len(steps[node]) == 1 and self.count > 1:
                rank[node] = 1 + max(rank.get(a, 0) for a in sources)
                y = top - _TALL * rank[node]
                (step,) = steps[node]
                self.at[node] = _At(step, self.width + _CHANNEL, y, self.highest)
            else:
                rest.append(node)
        ahead = (lane for lane in reversed(self.lanes) if not lane.reverse)
        last = next(ahead, self.lanes[-1])
        y = top - _TALL * max(rank.values()) if rank else last.base + last.output[1]
        beyond = self._beyond()
        for k, node in enumerate(rest):
            self.at[node] = _At(self.count, beyond + k * _READOUT, y, self.highest + 2, outer=True)
        self.roof = min(a.y for a in self.at.values()) - _TALL

    def _beyond(self) -> float:
        """How far after the last step the readout begins: after what is read backwards starts."""
        return COLUMN if any(lane.reverse for lane in self.lanes) else 0.0

    # --- arrows that go past lanes ---------------------------------------------------------------

    def _uses(self) -> Iterator[tuple[Expr, Expr]]:
        for user in self.order:
            for source in dict.fromkeys(self._drawn(user)):
                if source in self.at and user in self.at:
                    yield source, user

    def _way(self, source: Expr, user: Expr) -> list[tuple[int, float, float]]:
        """The corners of an arrow: none where nothing is in its way."""
        a, b = self.at[source], self.at[user]
        if a.level == b.level and a.step == b.step and not a.outer | b.outer:
            return []
        if a.outer or b.level < a.level or (b.level == a.level and not b.outer):
            return []
        if b.outer and b.level > self.highest:
            return self._way_out(a, b)
        if b.level - a.level < 2 and a.level % 2 == 0:
            return []
        x = self._channel(a)
        rise = 0.0 if a.level % 2 == 0 else _RISE
        corners = [(a.step, x, a.y - rise)]
        lane = self.lanes[b.level // 2] if b.level % 2 else None
        enters = b.y if lane is None else lane.base + lane.bottom
        return corners if (b.step, b.x) == (a.step, x) else [*corners, (a.step, x, enters)]

    def _way_out(self, a: _At, b: _At) -> list[tuple[int, float, float]]:
        """To the readout: over all that stands between."""
        reads_back = a.level % 2 == 1 and self.lanes[a.level // 2].reverse
        if a.step == self.count - 1 and not reads_back:
            return []
        y = self.roof - _APART * (self.count - a.step)
        if a.level == self.highest:
            return [(a.step, a.x, y), (b.step, b.x, y)]
        x = self._channel(a)
        return [(a.step, x, a.y - _RISE), (a.step, x, y), (b.step, b.x, y)]

    def _channel(self, a: _At) -> float:
        """How far from the left of a step an arrow goes up beside it."""
        left = a.level % 2 == 1 and self.lanes[a.level // 2].reverse
        offset = _CHANNEL + _APART * next(self.channels.setdefault((a.step, left), count()))
        return -offset if left else self.width + offset


def _node(values: Mapping[str, Expr], spelled: str) -> Expr:
    """The op that "C.0" spells: the first argument of C."""
    symbol, *down = spelled.split(".")
    try:
        node = values[symbol]
        for position in down:
            node = node.args[int(position)]
    except (LookupError, ValueError):
        raise ConfigError(f"the cell has a place for {spelled!r}, but no such op") from None
    return node
