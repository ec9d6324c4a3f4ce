"""Where the ops of a model stand when it is written out: layer upon layer, step beside step.

Each recurrent layer has a lane, the first one lowest; what reads backwards has one of its own above
what reads forward, its cells mirrored, and a decoder has the highest. What is between layers stands
below the layer that reads it, attention below the decoder's step that looks. All of it is told by
the model, nothing by names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import minigrad as mg
from lstm.cells import Place
from lstm.figures.cell_places import COLUMN
from lstm.figures.lane import Lane
from lstm.layers import Decoder, Written
from lstm.model import Model
from minigrad import Expr

_READOUT = 1.5 * COLUMN  # from op to op of the readout, with room for the number between
_TITLE = 170.0  # before an initial state, where its lane has its title
_TALL = 100.0  # from row to row of what is between layers, and after them
_CHANNEL, _APART = 95.0, 16.0  # from a step to its first channel, and to the next
_RISE = 60.0  # how far an arrow rises on its way into a channel
_BETWEEN = 110.0  # from a step's channels to the next step


@dataclass
class Sheet:
    """places, bends: as `minigrad.draw` takes them; steps: what stands in each step, of those that
    are read and of those that a decoder says."""

    places: Mapping[Expr, Place]
    bends: Mapping[tuple[Expr, Expr], Sequence[Place]]
    steps: Mapping[str, Sequence[Expr]]


def sheet_of(model: Model, written: Mapping[str, Written], loss: Expr) -> Sheet | None:
    """The sheet of a model that is written out, under a loss. None where a cell has no place for an
    op that it reads by.

    Raises ConfigError where a cell has a place for what is not there.
    """
    layers = model.recurrent().items()
    lanes = [Lane.of(layer.cell, written[place], layer.reverse) for place, layer in layers]
    if isinstance(model.readout, Decoder):
        lanes.append(Lane.of(model.readout.cell, written["readout"], is_decoder=True))
    return _Layout(lanes, loss, model.readout.read != "last").sheet()


@dataclass
class _At:
    """A place of a node: its step and how far it is from the left of it, how far down; level: an
    odd number in a lane, an even one between two; outer: whether it is part of no step; said:
    whether its step is a decoder's."""

    step: int
    x: float
    y: float
    level: int
    outer: bool = False
    said: bool = False


@dataclass
class _Layout:
    lanes: Sequence[Lane]
    loss: Expr
    every: bool
    at: dict[Expr, _At] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = [n for n in mg.toposort(self.loss) if n.op is not mg.broadcast_to.op]
        self.inside = {*self.order}
        self.position = {n: k for k, n in enumerate(self.order)}
        self.count = max(lane.count for lane in self.lanes)
        self.width = max(lane.width for lane in self.lanes)
        self.channels: dict[tuple[int, bool], count[int]] = {}
        self.corridors = count()
        self.corridor = 0.0
        self.highest = 0

    def sheet(self) -> Sheet | None:
        cells = {n for lane in self.lanes for k in range(lane.count) for n, _ in lane.of_step(k)}
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
        return Sheet(places, bends, self._steps())

    def _steps(self) -> dict[str, list[Expr]]:
        """What stands in each step, those that are read first."""
        members: dict[tuple[bool, int], list[Expr]] = {}
        for node in self.order:
            if node in self.at and not self.at[node].outer:
                members.setdefault((self.at[node].said, self.at[node].step), []).append(node)
        return {
            f"{'token u' if said else 'step t'} = {k + 1}": members[said, k]
            for said, k in sorted(members)
        }

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

    def _lane(self, k: int, lane: Lane, cells: set[Expr]) -> None:
        start = self._before(lane) if lane.is_decoder else {}
        between = [self._between(x, cells | start.keys()) for x in lane.written.xs]
        owners: dict[Expr, set[int]] = {}
        for step, nodes in enumerate(between):
            for node in nodes:
                owners.setdefault(node, set()).add(step)
        shared = {n for n, steps in owners.items() if len(steps) > 1}
        own = [d for nodes in between for n, d in nodes.items() if n not in shared]
        annotated = self._annotations(shared) if lane.is_decoder else {}
        rows = self._rows(shared - annotated.keys(), between)
        deepest = max(*own, *[row for row, _ in rows.values()], 0, 0)
        if k:
            below = self.lanes[k - 1]
            spare = _TALL * max((row for _, row in annotated.values()), default=0)
            spare += _TALL * lane.is_decoder
            lane.base = below.base + below.top - lane.bottom - _TALL * (deepest + 1) - spare
            self.corridor = below.base + below.top - spare
            for node, (step, row) in annotated.items():
                at = below.output[0], below.base + below.top - _TALL * row
                self._put(node, _At(step, *at, 2 * k))
        for read in range(lane.count):
            step = lane.count - 1 - read if lane.reverse else read
            beside: dict[int, count[int]] = {}
            for node, depth in between[read].items():
                if node not in shared:
                    x = self._x(lane, lane.cell.ops["x"][0])
                    x += COLUMN * next(beside.setdefault(depth, count()))
                    y = lane.base + lane.bottom + depth * _TALL
                    self._put(node, _At(step, x, y, 2 * k, said=lane.is_decoder))
            for node, (x, y) in lane.of_step(read):
                if node in cells:
                    at = self._x(lane, x), lane.base + y
                    self._put(node, _At(step, *at, 2 * k + 1, said=lane.is_decoder))
        for node, (row, back) in rows.items():
            y = lane.base + lane.bottom + row * _TALL
            self._put(node, _At(0, lane.left - back * _READOUT, y, 2 * k, outer=True))
        self._start(k, lane, start)
        self.highest = 2 * k + 2

    def _x(self, lane: Lane, x: float) -> float:
        return self.width - x if lane.reverse else x

    def _before(self, lane: Lane) -> dict[Expr, tuple[str, int]]:
        """What a decoder's first state is made of, the part that it is for, and how far before."""
        before: dict[Expr, tuple[str, int]] = {}
        for part, node in lane.written.states[0]._asdict().items():
            way = [node] if part in lane.cell.start else []
            while way and way[-1] not in self.at and way[-1] not in before:
                before[way[-1]] = part, len(way) - 1
                way += [source for source in self._drawn(way[-1]) if self._leads(source)][:1]
                if way[-1] in before:
                    break
        return before

    def _leads(self, node: Expr) -> bool:
        """Whether a node is of one other, or joins what stands in lanes."""
        sources = [*self._drawn(node)]
        return len(sources) < 2 or all(source in self.at for source in sources)

    def _annotations(self, shared: set[Expr]) -> dict[Expr, tuple[int, int]]:
        """Of what a decoder reads that comes of one step alone: the step, and the row above it."""
        at: dict[Expr, tuple[int, int]] = {}
        for node in self.order:
            sources = [*self._drawn(node)] if node in shared else []
            steps = {at[a][0] if a in at else self._step_of(a) for a in sources}
            if len(steps) == 1 and None not in steps:
                at[node] = steps.pop() or 0, 1 + max(at[a][1] if a in at else 0 for a in sources)
        return at

    def _step_of(self, node: Expr) -> int | None:
        """The step of what stands in a lane."""
        at = self.at.get(node)
        return None if at is None or at.outer else at.step

    def _between(self, x: Expr, cells: Collection[Expr]) -> dict[Expr, int]:
        """What a step's input is made of that is part of no lane, and how far each is from it."""
        depth = {x: 0} if x not in cells and x in self.inside else {}
        for node in reversed(mg.toposort(x)):
            if node in depth:
                for source in self._drawn(node):
                    if source not in cells and source not in self.at:
                        depth[source] = max(depth.get(source, 0), depth[node] + 1)
        return depth

    def _rows(
        self, shared: set[Expr], between: Sequence[Mapping[Expr, int]]
    ) -> dict[Expr, tuple[int, int]]:
        """What several steps read stands before the first, all that belongs together in a row: how
        far down that is, and how far before."""
        at: dict[Expr, tuple[int, int]] = {}
        taken: set[int] = set()
        for members in self._together(shared):
            row = min(nodes[n] for n in members for nodes in between if n in nodes)
            while row in taken:
                row += 1
            taken.add(row)
            at |= {node: (row, back) for back, node in enumerate(reversed(members))}
        return at

    def _together(self, nodes: set[Expr]) -> list[list[Expr]]:
        """The nodes in order, those in one list that read each other."""
        owner: dict[Expr, list[Expr]] = {}
        for node in self.order:
            if node in nodes:
                owner[node] = members = [node]
                for source in self._drawn(node):
                    if (others := owner.get(source, members)) is not members:
                        members[:0] = others
                        owner |= dict.fromkeys(others, members)
        unique = {id(members): members for members in owner.values()}
        return [sorted(members, key=self.position.__getitem__) for members in unique.values()]

    def _start(self, k: int, lane: Lane, before: Mapping[Expr, tuple[str, int]]) -> None:
        """The initial state: on the side from which the lane is read; of a decoder with what it is
        made of."""
        ends = {n: (part, 0) for part, n in lane.written.states[0]._asdict().items()}
        for node, (part, back) in {**ends, **before}.items():
            if part in lane.cell.start:
                y = lane.base + lane.cell.start[part]
                step, x = (
                    (lane.count - 1, self.width - lane.left) if lane.reverse else (0, lane.left)
                )
                x -= back * _READOUT + (_TITLE if back else 0.0)
                said = lane.is_decoder
                self._put(node, _At(step, x, y, 2 * k + 1, outer=True, said=said))

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
        said = self.lanes[-1].is_decoder
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
                at = self.width + _CHANNEL, y
                self.at[node] = _At(step, *at, self.highest, said=said)
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
        if b.outer and b.said:
            return self._way_back(a, b)
        if b.level - a.level < 2 and a.level % 2 == 0:
            return []
        x = self._channel(a)
        rise = 0.0 if a.level % 2 == 0 else _RISE
        corners = [(a.step, x, a.y - rise)]
        lane = self.lanes[b.level // 2] if b.level % 2 else None
        enters = b.y if lane is None else lane.base + lane.bottom
        return corners if (b.step, b.x) == (a.step, x) else [*corners, (a.step, x, enters)]

    def _way_back(self, a: _At, b: _At) -> list[tuple[int, float, float]]:
        """From the last step to what a decoder starts from: below all that it reads."""
        lane, x = _APART * next(self.corridors), self._channel(a)
        left = min(at.x for at in self.at.values() if at.outer and at.step == 0) - _READOUT / 2
        y = self.corridor - lane
        return [
            (a.step, x, a.y - _RISE),
            (a.step, x, y),
            (0, left - lane, y),
            (0, left - lane, b.y),
        ]

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
