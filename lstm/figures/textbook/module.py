"""One cell, open: its wiring drawn where its plan and its routes say, some of it lit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import minigrad as mg
from lstm.cells import Cell, Place
from lstm.figures.textbook.labels import Choice, Label, along, around, placed
from lstm.figures.textbook.lit import Lit
from lstm.figures.textbook.notation import (
    COLUMN,
    END,
    LAYER,
    OP,
    ROUND,
    ROW,
    WORDS,
    Paper,
    extent,
    op_width,
)
from lstm.figures.textbook.notation import Box as Rect
from lstm.figures.textbook.placing import Plan, plan_of
from lstm.figures.textbook.routing import routes_of
from lstm.figures.textbook.wiring import INNER, Box, Wire, Wiring, X, wiring_of
from minigrad.drawing import EdgeStyle

NUMBER = 0.49  # the height of the letters of numbers
_ROWS = tuple(ROW * k for k in range(6))
_NUMBER_COLUMN, _NUMBER_ROWS = 2.6, (0.0, 1.12, 3.1, 4.95, 6.25, 8.42)
"""The width of columns and the heights of rows, where numbers stand between them."""
_COLUMN_WITH_ARROWS = LAYER[0] + 0.4
"""Where arrows lead into layers from beside them, half a column away."""
_WIDER = 1.0, 1.05, 1.1, 1.15, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0
"""How much more of them is tried, across and upwards, until all words have a place."""
_SLIDE = 960.0, 540.0  # in points
_OUTSIDE, _WRITTEN = (5.3, 5.9), 8.0
"""Units beside and above a frame, and of equations beside it."""
_PAD = 0.09  # of half a wire
STUB = 0.8  # how far wires go on outside the frame
NOW, BEFORE = "ₜ", "ₜ₋₁"


class Module:
    """A cell laid out: what it is made of, and the corners of all its wires, in units."""

    def __init__(self, cell: Cell[Any], numbers: Mapping[str, str] | None = None) -> None:
        """numbers: words on the values of boxes, in the place of symbols."""
        self.cell, self.has_numbers = cell, numbers is not None
        self.wiring: Wiring = wiring_of(cell)
        self.plan: Plan = plan_of(cell, self.wiring, beside=1.25 if numbers is None else 1.75)
        self._grid = routes_of(self.wiring, self.plan)
        self.words = self._words(numbers)
        """Of each box that has words beside it: these."""
        self.size = WORDS if numbers is None else NUMBER
        self.labels = self._laid_out()
        """Where they stand."""

    def _words(self, numbers: Mapping[str, str] | None) -> dict[str, str]:
        """What leaves the step has its number where it was made; a symbol stands where something of
        this step reads the value."""
        boxes = self.wiring.boxes
        if numbers is not None:
            without = "merge", "after", "output"
            return {n: words for n, words in numbers.items() if boxes[n].kind not in without}
        return {
            name: tex(symbol + NOW)
            for name, symbol in self.wiring.symbols.items()
            if boxes[name].kind != "merge" and self._wires_within(name)
        }

    def _laid_out(self) -> dict[str, Label]:
        """Words in their places, with columns and rows as wide as it takes: what leaves letters
        largest on a slide is tried first."""
        column, rows = (_NUMBER_COLUMN, _NUMBER_ROWS) if self.has_numbers else (COLUMN, _ROWS)
        if any(self._enters_beside(wire) for wire in self._grid):
            column = max(column, _COLUMN_WITH_ARROWS)
        self._stretch(column, rows)
        wide, high = self.width, self.high - self.low
        beside = _OUTSIDE[0] + (0.0 if self.has_numbers else _WRITTEN)

        def unit(more: tuple[float, float]) -> tuple[float, float]:
            sizes = wide * more[0] + beside, high * more[1] + _OUTSIDE[1]
            return -min(_SLIDE[0] / sizes[0], _SLIDE[1] / sizes[1]), sum(more)

        for across, up in sorted(product(_WIDER, _WIDER), key=unit):
            self._stretch(column * across, [y * up for y in rows])
            labels = placed({name: self._choices(name) for name in self.words}, [*self._taken()])
            if labels is not None:
                return labels
        raise AssertionError("words have no place, however wide the columns are")

    def _enters_beside(self, wire: Wire) -> bool:
        """Whether a wire leads into a layer from its left or right."""
        p, q = self._grid[wire][-2:]
        return self.wiring.boxes[wire[1]].kind == "layer" and p[1] == q[1]

    def _stretch(self, column: float, rows: Sequence[float]) -> None:
        """Set the width of columns and the heights of rows, and with them all places."""
        self.column, self.rows = column, rows
        self.routes = {wire: [self.place(at) for at in way] for wire, way in self._grid.items()}
        """The corners of each wire."""

    def place(self, at: Place) -> Place:
        """A place of the plan, in units."""
        (x, y), rows = at, self.rows
        k = min(max(int(y), 0), len(rows) - 1)
        more = rows[k + 1] - rows[k] if k + 1 < len(rows) else ROW
        return x * self.column, rows[k] + (y - k) * (rows[1] if y < 0 else more)

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
        left = min([-STUB - 1.3, *(label.rect[0] - 0.1 for label in self.labels.values())])
        return left, self.low - circle, self.width + STUB + 0.65, self.high + circle

    @property
    def key_left(self) -> float:
        """How far a key below the frame must stay from the left edge of `box`."""
        right = self.place(self.plan.at[X])[0] + END if X in self.plan.at else 0.0
        if X in self.labels:
            right = max(right, self.labels[X].rect[2])
        return right - self.box[0] + 0.5

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
        elif self.has_numbers:
            self._label(paper, left, self.labels)

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
            target = self.wiring.boxes[wire[1]]
            way = [(left + x, y) for x, y in self.outside(wire)]
            is_level = way[-1][1] == way[-2][1]
            arrow = None if target.kind == "merge" else self._half(target)[0 if is_level else 1]
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
        """The words of what is lit: numbers of boxes, or symbols of values that lit wires bring to
        what reads them, unless they stand where these leave the step."""
        if self.has_numbers:
            self._label(paper, left, lit.boxes)
            return
        ends = {
            f"{box.words}"
            for n, box in self.wiring.boxes.items()
            if n in lit.boxes and box.kind == "after"
        }
        lit_from = {a for a, _ in lit.wires}
        self._label(paper, left, [n for n in lit_from if self.wiring.symbols.get(n) not in ends])

    def _label(self, paper: Paper, left: float, names: Collection[str]) -> None:
        for name, (rect, align) in self.labels.items():
            if name in names:
                x = {"left": rect[0], "center": (rect[0] + rect[2]) / 2, "right": rect[2]}[align]
                at = left + x, rect[1]
                paper.words(at, self.words[name], size=self.size, ha=align, va="bottom")

    # --- where words stand ------------------------------------------------------------------------

    def _choices(self, name: str) -> Iterator[Choice]:
        """Where the words of a box may stand."""
        box, (x, y) = self.wiring.boxes[name], self.place(self.plan.at[name])
        wide, high = extent(self.words[name], self.size)
        if box.kind == "before":
            left = self._end_words(box)[0]
            for cost, (right, middle) in enumerate(
                [
                    (x - STUB - 0.1, y - 0.45 - high / 2),
                    (left - 0.1, y),
                    (x - STUB - 0.1, y + 0.45 + high / 2),
                ]
            ):
                rect = right - wide, middle - high / 2, right, middle + high / 2
                yield Choice(float(cost), Label(rect, "right"))
        elif box.kind == "input":
            yield from around((x, y - STUB - END), (END, END), wide, high, first=False)
        else:
            first = self.has_numbers and name in self.wiring.line
            yield from along(map(self.outside, self._wires_within(name)), wide, high)
            yield from around((x, y), self._half(box), wide, high, first=first)

    def _wires_within(self, name: str) -> list[Wire]:
        """The wires from a box to what reads it in this step."""
        of = [(a, b) for a, b in self.wiring.wires if a == name]
        return [wire for wire in of if self.wiring.boxes[wire[1]].kind in INNER]

    def _half(self, box: Box) -> Place:
        """Half the width and the height of a box."""
        if box.kind == "layer":
            return LAYER[0] / 2, LAYER[1] / 2
        return (op_width(box.words) / 2, OP) if box.kind == "pointwise" else (0.0, 0.0)

    def _end_words(self, box: Box) -> Rect:
        """The rectangle of the symbol of a state outside the frame."""
        (x, y), before = self.place(self.plan.at[box.name]), box.kind == "before"
        wide, _ = extent(tex(box.words + (BEFORE if before else NOW)), WORDS)
        left = x - STUB - 0.1 - wide if before else x + STUB + 0.1
        return left, y - 0.38, left + wide, y + 0.38  # a subscript hangs below

    def _taken(self) -> Iterator[Rect]:
        """All that words must be clear of."""
        for wire in self.wiring.wires:
            for (a, b), (c, d) in pairwise(self.outside(wire)):
                yield min(a, c) - _PAD, min(b, d) - _PAD, max(a, c) + _PAD, max(b, d) + _PAD
        for name, box in self.wiring.boxes.items():
            x, y = self.place(self.plan.at[name])
            if box.kind in ("before", "after"):
                yield self._end_words(box)
                continue
            wide, high = self._half(box)
            if box.kind in ("input", "output"):
                wide, high = END, END
                y += (STUB + END) * (1 if box.kind == "output" else -1)
            yield x - wide, y - high, x + wide, y + high
        right, low, high = self.width, self.low, self.high
        yield from [(0.0, low, 0.0, high), (right, low, right, high)]
        yield from [(0.0, low, right, low), (0.0, high, right, high)]

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
