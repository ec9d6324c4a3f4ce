"""Where the ops of a step stand when a cell is written out: as it says, or as in the textbook.

A cell that says no places has those of its textbook's figure, with the ops of each layer below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from lstm.cells import Cell, Place
from lstm.figures.textbook.placing import LAYERS, LINE, plan_of
from lstm.figures.textbook.wiring import BEFORE, X, wiring_of
from minigrad import Expr

COLUMN = 106.0  # points
_ROW, _BELOW = 80.0, 75.0  # from row to row, and from the lowest to the input
_BETWEEN = 126.0  # from the last column of a step to the first of the next
_STEP = 624.0  # of cells that say their places: from one step to the next


@dataclass(frozen=True)
class CellPlaces:
    """ops: {the symbol of a value, or its way down from one: centre}; start: how far down each part
    of the initial state stands; step: how far it is from one step to the next."""

    ops: Mapping[str, Place]
    start: Mapping[str, float]
    step: float


def places_of(cell: Cell[Any]) -> CellPlaces:
    """The places of a cell, in points, y downwards.

    >>> import lstm
    >>> places = places_of(lstm.RNN(2, 3))
    >>> [places.ops[name] for name in ("h", "h.0", "h.0.0", "h.0.0.0", "x")]
    [(159.0, 240.0), (159.0, 320.0), (159.0, 400.0), (106.0, 480.0), (106.0, 555.0)]
    """
    if cell.places is not None:
        parts = [part for part in cell.state_type._fields if part in cell.places]
        return CellPlaces(cell.places, {part: cell.places[part][1] for part in parts}, _STEP)
    wiring = wiring_of(cell)
    plan = plan_of(cell, wiring)
    boxes = {box.node for box in wiring.boxes.values()}
    ops: dict[str, Place] = {}
    deepest = 0
    for name, box in wiring.boxes.items():
        if box.kind in ("layer", "pointwise"):
            x, row = plan.at[name]
            y = (LINE - row) * _ROW
            ops[box.spelled] = x * COLUMN, y
            for inner, depth, beside in _inside(box.spelled, box.node, boxes):
                ops[inner] = (x + beside / 2) * COLUMN, y + depth * _ROW
                deepest = max(deepest, depth)
    bottom = (LINE - LAYERS + deepest + 1) * _ROW
    for name, box in wiring.boxes.items():
        if box.kind == "merge" and box.node.op.name == "concat":
            ops[box.spelled] = plan.at[name][0] * COLUMN, bottom
    ops[X] = plan.at[X][0] * COLUMN, bottom + _BELOW
    lasting = wiring.line[0] if wiring.line else None
    parts = cell.state_type._fields
    start = {part: 0.0 if f"{part}{BEFORE}" == lasting else bottom for part in parts}
    return CellPlaces(ops, start, plan.width * COLUMN + _BETWEEN)


def _inside(name: str, node: Expr, boxes: set[Expr]) -> Iterator[tuple[str, int, int]]:
    """The ops of a layer: their ways down, how far they are below it, and beside one another."""
    beside: dict[int, count[int]] = {}
    waiting = [(name, node, 0)]
    for way, at, depth in waiting:
        if depth:
            yield way, depth, next(beside.setdefault(depth, count()))
        for k, argument in enumerate(at.args):
            if argument.args and argument not in boxes and argument.op.name != "broadcast_to":
                waiting.append((f"{way}.{k}", argument, depth + 1))
