"""One cell, open: its wiring drawn where its plan and its routes say, some of it lit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import minigrad as mg
from lstm.cells import Cell, Place
from lstm.figures.textbook.lit import Lit
from lstm.figures.textbook.notation import COLUMN, END, LAYER, OP, ROUND, ROW, Paper
from lstm.figures.textbook.placing import Plan, plan_of
from lstm.figures.textbook.routing import routes_of
from lstm.figures.textbook.wiring import Box, Wire, Wiring, X, wiring_of
from minigrad.drawing import EdgeStyle

WIDE = 2.6  # of a column that has room for numbers
_HEIGHTS = 1.12, 3.1, 4.95, 6.25, 8.4  # of the rows there
NUMBER = 0.49  # the height of their letters
STUB = 0.9  # how far wires go on outside the frame
NOW, BEFORE = "ₜ", "ₜ₋₁"
_REACH = {"layer": LAYER[1] / 2, "pointwise": OP}


class Module:
    """A cell laid out: what it is made of, and the corners of all its wires, in units."""

    def __init__(self, cell: Cell[Any], *, has_numbers: bool = False) -> None:
        self.cell, self.has_numbers = cell, has_numbers
        self.wiring: Wiring = wiring_of(cell)
        self.plan: Plan = plan_of(cell, self.wiring, beside=1.75 if has_numbers else 1.25)

    @cached_property
    def routes(self) -> dict[Wire, list[Place]]:
        """The corners of each wire."""
        routes = routes_of(self.wiring, self.plan)
        return {wire: [self.place(at) for at in way] for wire, way in routes.items()}

    def place(self, at: Place) -> Place:
        """A place of the plan, in units; there is more between its rows where numbers stand."""
        (x, y), rows = at, (0.0, *_HEIGHTS)
        if not self.has_numbers:
            return x * COLUMN, y * ROW
        k = min(max(int(y), 0), len(rows) - 1)
        more = rows[k + 1] - rows[k] if k + 1 < len(rows) else ROW
        return x * WIDE, rows[k] + (y - k) * (ROW if y < 0 else more)

    @property
    def width(self) -> float:
        """Of the frame."""
        return self.place((self.plan.width, 0.0))[0]

    @property
    def low(self) -> float:
        """The lower edge of the frame."""
        return self.place((0.0, self.plan.bottom))[1]

    @property
    def high(self) -> float:
        """The upper edge of the frame."""
        return self.place((0.0, self.plan.top))[1]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle that a cell takes with what stands outside: (left, bottom, right, top)."""
        circle = STUB + 2.0 * END + 0.1
        left, right = (2.9, 0.7) if self.has_numbers else (1.3, 0.7)
        return -STUB - left, self.low - circle, self.width + STUB + right, self.high + circle

    @property
    def key_left(self) -> float:
        """How far a key below the frame must stay from the left edge of `box`."""
        beside = 5.2 * NUMBER if self.has_numbers else 0.5
        return self.place(self.plan.at[X])[0] - self.box[0] + END + beside

    def draw(
        self,
        paper: Paper,
        *,
        left: float = 0.0,
        lit: Lit | None = None,
        in_row: bool = False,
        looks: Mapping[Wire, EdgeStyle] | None = None,
    ) -> None:
        """The cell, its frame's left edge there. lit: what is drawn in full; all, unless given.
        in_row: between others, whose state it shares. looks: of each wire the look of what it sends
        back."""
        whole = lit or Lit.of(self.wiring)
        paper.cell((left, self.low, left + self.width, self.high), lit=lit is None)
        self._wires(paper, left, whole, "cell" if lit is None else "group", looks or {})
        for name, box in self.wiring.boxes.items():
            self._box(paper, left, box, name in whole.boxes, in_row)
        if lit is not None:
            self._symbols(paper, left, lit)

    def _wires(
        self, paper: Paper, left: float, lit: Lit, ground: str, looks: Mapping[Wire, EdgeStyle]
    ) -> None:
        """The line last, so that it runs on where others cross it; before it, the widest."""
        line = set(zip(self.wiring.line, self.wiring.line[1:], strict=False))
        drawn: list[Wire] = []

        def order(wire: Wire) -> tuple[bool, bool, float]:
            return wire in lit.wires, wire in line, looks[wire].width if wire in looks else 0.0

        for wire in sorted(self.wiring.wires, key=order):
            for (x, y), across in self._crossings(wire, drawn):
                paper.gap((left + x, y), across, ground)
            kind = self.wiring.boxes[wire[1]].kind
            way = [(left + x, y) for x, y in self.outside(wire)]
            arrow = None if kind == "merge" else _REACH.get(kind, 0.0)
            look = looks.get(wire) if wire in lit.wires else None
            label = " → ".join(wire)
            paper.wire(way, lit=wire in lit.wires, arrow=arrow, label=label, look=look)
            drawn.append(wire)

    def _crossings(self, wire: Wire, others: Iterable[Wire]) -> Iterator[tuple[Place, bool]]:
        """Where a wire crosses those of other vectors, and whether it runs across there."""
        for other in others:
            if other[0] == wire[0]:
                continue
            for p, q in pairwise(self.routes[wire]):
                for r, s in pairwise(self.routes[other]):
                    across = p[1] == q[1]
                    (a, b), (c, d) = ((p, q), (r, s)) if across else ((r, s), (p, q))
                    low, high = sorted((c[1], d[1]))
                    first, last = sorted((a[0], b[0]))
                    if a[1] == b[1] and low < a[1] < high and first < c[0] < last:
                        yield (c[0], a[1]), across

    def outside(self, wire: Wire) -> list[Place]:
        """The corners of a wire, with what of it lies outside the frame, and round where it joins
        others at a merge."""
        way = [*self.routes[wire]]
        source, target = (self.wiring.boxes[name] for name in wire)
        if source.kind in ("before", "input"):
            way[0] = _beyond(way[1], way[0], STUB)
        if source.kind == "merge":  # where those that it joins have come together
            way[0] = way[0][0] + ROUND, way[0][1]
        if target.kind in ("after", "output"):
            way[-1] = _beyond(way[-2], way[-1], STUB)
        if target.kind == "merge":
            way.append((way[-1][0] + 1.01 * ROUND, way[-1][1]))
        return way

    def _box(self, paper: Paper, left: float, box: Box, lit: bool, in_row: bool) -> None:
        x, y = self.place(self.plan.at[box.name])
        at = left + x, y
        outside = STUB + END
        if box.kind == "layer":
            paper.layer(at, box.words, lit=lit, label=f"layer {box.name}")
        elif box.kind == "pointwise":
            paper.pointwise(at, box.words, lit=lit, label=f"pointwise {box.name}")
        elif box.kind == "input":
            paper.end((at[0], y - outside), tex(box.words + NOW), "reads", lit=lit)
        elif box.kind == "output":
            paper.end((at[0], y + outside), tex(box.words + NOW), "gives", lit=lit)
        elif box.kind == "before" and not in_row:
            paper.words((at[0] - STUB - 0.1, y), tex(box.words + BEFORE), lit=lit, ha="right")
        elif box.kind == "after" and not in_row:
            paper.words((at[0] + STUB + 0.1, y), tex(box.words + NOW), lit=lit, ha="left")

    def _symbols(self, paper: Paper, left: float, lit: Lit) -> None:
        """The symbols of values beside lit wires that lead upwards from where they are made."""
        written: set[str] = set()
        for wire in self.wiring.wires:
            name, _ = wire
            p, q, *_ = self.routes[wire]
            is_upwards = p[0] == q[0] and q[1] > p[1]
            reach = _REACH.get(self.wiring.boxes[name].kind)
            if wire in lit.wires and name in self.symbols and reach and is_upwards:
                if name not in written:
                    is_long = q[1] - p[1] > 2.0
                    bottom = (p[1] + q[1]) / 2 if is_long else p[1] + reach + 0.06
                    at = left + p[0] + 0.15, bottom
                    paper.words(at, tex(name + NOW), ha="left", va="bottom")
                written.add(name)

    def numbers(self, paper: Paper, words: Mapping[str, str]) -> None:
        """Words on the values of boxes, beside where these leave them; what leaves the step has
        them where it was made."""
        for name, text in words.items():
            if self.wiring.boxes[name].kind not in ("merge", "after", "output"):
                x, y, ha, va = self._beside(name)
                ground = "page" if self.wiring.boxes[name].kind in ("before", "input") else "cell"
                paper.number((x, y), text, NUMBER, ground, ha=ha, va=va)

    def _beside(self, name: str) -> tuple[float, float, str, str]:
        """Where words on a box stand, and how they are aligned there."""
        x, y = self.place(self.plan.at[name])
        kind = self.wiring.boxes[name].kind
        if kind in ("input", "output"):
            return (
                x + END + 0.12,
                y + (STUB + END) * (1 if kind == "output" else -1),
                "left",
                "center",
            )
        if kind in ("before", "after"):
            way = 1 if kind == "after" else -1
            return x + way * (STUB + 0.1), y - 0.4, "left" if way == 1 else "right", "top"
        reach = _REACH[kind] + 0.1
        if name in self.wiring.line:
            return x, y + reach, "center", "bottom"
        p, q, *_ = self.routes[name, self.wiring.outputs[name][0]]
        if q[1] == p[1]:
            return x + reach + 0.2, y + 0.1, "left", "bottom"
        is_up = q[1] > p[1]
        if kind == "pointwise" and abs(q[1] - p[1]) - 2 * reach < 2.2 * NUMBER:
            return x + reach + 0.3, y, "left", "center"
        return x + 0.12, y + (reach if is_up else -reach), "left", "bottom" if is_up else "top"

    @cached_property
    def symbols(self) -> list[str]:
        """The symbols that the equations give to values."""
        return [*self.cell.check()]


def tex(name: str) -> str:
    """A symbol as mathematics."""
    return f"${mg.var(name).latex()}$"


def _beyond(p: Place, q: Place, length: float) -> Place:
    """The point so far beyond q as seen from p, on one axis."""
    x, y = q[0] - p[0], q[1] - p[1]
    return q[0] + length * ((x > 0) - (x < 0)), q[1] + length * ((y > 0) - (y < 0))
