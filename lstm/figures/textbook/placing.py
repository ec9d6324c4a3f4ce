"""Where the boxes of a step stand: in columns from the left and rows from the line of h upwards.

A cell may say so itself (`Cell.plan`). Whatever it does not say follows from the wiring: layers
stand side by side in the order of the equations, the lasting part of the state runs along the top,
and each pointwise op stands above the last of what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm.cells import Cell, Place
from lstm.errors import ConfigError
from lstm.figures.textbook.wiring import AFTER, BEFORE, OUT, Box, Wiring, X

LAYERS, PRODUCTS, ABOVE, LINE = 1.0, 2.0, 3.0, 4.0
"""The rows of the layers, of what meets their outputs, of what reads the line, and of the line."""
_PARTS = 0.5  # from one part of the state that runs along the bottom to the next
_UNDER = 0.75  # how far the frame goes on below the lowest
_OVER, _OVER_LAYERS = 0.75, 1.25  # how far it goes on over the highest row


@dataclass(frozen=True)
class Plan:
    """Where each box stands, (column, row), and how far the frame goes right, down and up."""

    at: Mapping[str, Place]
    width: float
    bottom: float
    top: float


def plan_of(cell: Cell[Any], wiring: Wiring, beside: float = 1.25) -> Plan:
    """The plan of a cell, whose frame goes on so far beyond its last column.

    Raises ConfigError where the cell has a place for what is not there.

    >>> import lstm
    >>> from lstm.figures.textbook.wiring import wiring_of
    >>> cell = lstm.RNN(2, 3)
    >>> plan_of(cell, wiring_of(cell)).at["h"]
    (1.5, 1.0)
    """
    said = cell.plan or {}
    if missing := [name for name in said if name not in wiring.boxes]:
        raise ConfigError(
            f"cell {cell.name} has a place in its plan for {missing[0]!r:.40}, but its figure has "
            f"no such box; it has {', '.join(wiring.boxes)}"
        )
    placed = _Placed(wiring, said)
    inner = {name: placed.at[name] for name in wiring.boxes if name in placed.at}
    width = max([x for x, _ in inner.values()], default=0.0) + beside
    highest = max([LINE * bool(wiring.line), *(y for _, y in inner.values())])
    top = highest + (_OVER if highest > LAYERS else _OVER_LAYERS)
    inner |= _merges(wiring, inner)
    states = _states(wiring, width)
    bottom = min([0.0, *(y for _, y in states.values())]) - _UNDER
    readers = [inner[name][0] for name in wiring.outputs.get(X, ()) if name in inner]
    ends = {X: (min(readers, default=0.5), bottom), OUT: (width - 0.5, top)} | states
    ends = {name: place for name, place in ends.items() if name in wiring.boxes}
    return Plan(inner | ends, width, bottom, top)


class _Placed:
    """Layers and pointwise ops placed one after the other."""

    def __init__(self, wiring: Wiring, said: Mapping[str, Place]) -> None:
        self.wiring, self.at = wiring, {name: (float(x), float(y)) for name, (x, y) in said.items()}
        self.on_line = set(wiring.line)
        self.next_layer = 1.0
        for name, box in wiring.boxes.items():
            if box.kind in ("layer", "pointwise") and name not in self.at:
                self.at[name] = self._place(box)

    def _place(self, box: Box) -> Place:
        reads = self._reads(box.name)
        columns = [self.at[name][0] for name in reads]
        of_line = [self.at[name][0] for name in reads if name in self.on_line]
        least = max([*columns, *(x + 1.0 for x in of_line), 1.0])
        if box.name in self.on_line:
            return least, LINE
        reads_line_alone = bool(of_line) and len(self.wiring.inputs[box.name]) == 1
        if box.kind == "layer" and not reads_line_alone:
            column = max(self.next_layer, *(x + 1.0 for x in columns), 1.0)
            self.next_layer = column + 1.0
            return column, LAYERS
        if len(reads) == 1 and self._feeds_line(reads[0]):  # the way up to the line stays free
            least += 1.0
            self.next_layer = max(self.next_layer, least + 1.0)
        row = ABOVE if of_line else PRODUCTS
        while (least, row) in self.at.values():
            least += 1.0
        return least, row

    def _feeds_line(self, name: str) -> bool:
        return name not in self.on_line and any(
            user in self.on_line for user in self.wiring.outputs[name]
        )

    def _reads(self, name: str) -> list[str]:
        """What a box reads that has a place, through merges."""
        reads, stack = [], [*self.wiring.inputs[name]]
        while stack:
            source = stack.pop()
            if source in self.at:
                reads.append(source)
            elif self.wiring.boxes[source].kind == "merge":
                stack += self.wiring.inputs[source]
        return reads


def _merges(wiring: Wiring, at: Mapping[str, Place]) -> dict[str, Place]:
    """A merge stands on the lowest row, before the first that reads it."""
    merges: dict[str, Place] = {}
    for name in [name for name, box in wiring.boxes.items() if box.kind == "merge"]:
        readers = [at[user][0] for user in wiring.outputs[name] if user in at]
        column = min(readers, default=1.0) - 0.5
        row = 0.0
        while (column, row) in merges.values():
            column -= 0.25
        merges[name] = column, row
    return merges


def _states(wiring: Wiring, width: float) -> dict[str, Place]:
    """The lasting part of the state enters and leaves at the top, all else at the bottom."""
    lasting = wiring.lasting if wiring.line else None
    low = [part for part in parts_of(wiring) if part != lasting]
    rows = {part: -_PARTS * k for k, part in enumerate(low)} | {lasting: LINE}
    ends: dict[str, Place] = {}
    for part in parts_of(wiring):
        ends |= {f"{part}{BEFORE}": (0.0, rows[part]), f"{part}{AFTER}": (width, rows[part])}
    return ends


def parts_of(wiring: Wiring) -> Sequence[str]:
    """The parts of the state."""
    return [box.words for box in wiring.boxes.values() if box.kind == "after"]
