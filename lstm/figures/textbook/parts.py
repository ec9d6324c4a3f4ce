"""Which part of a cell does what: the boxes that forget, that write, that update the line, and that
show it. They are found by how they stand to the line, and not by their letters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import minigrad as mg
from lstm.cells import Cell
from lstm.errors import ConfigError
from lstm.figures.textbook.wiring import INNER, OUT, Wire, Wiring

_SCALES = {mg.multiply.op, mg.divide.op}
"""What scales the line; all else on it adds to it, or chooses."""


class Part(NamedTuple):
    """A part of a cell, as it is lit: all of its equations, and how it goes on from there.

    >>> import lstm
    >>> from lstm.figures.textbook.wiring import wiring_of
    >>> cell = lstm.LSTM(2, 3)
    >>> Parts(cell, wiring_of(cell), "forget gate").forgetting
    Part(equations=['f'], onward=[('f', 'C.0')])
    """

    equations: list[str]
    """The boxes whose equations it is, in order."""
    onward: list[Wire]
    """The wires from it to what reads it."""


class Parts:
    """The parts of a cell with a line. Raises ConfigError, which says what is shown, for others."""

    def __init__(self, cell: Cell[Any], wiring: Wiring, shown: str) -> None:
        if not wiring.line:
            raise ConfigError(
                f"cell {cell.name} has no {shown}: no part of its state comes back multiplied "
                "elementwise, so it has no line; an LSTM has one"
            )
        self.cell, self.wiring = cell, wiring
        self.line = list(wiring.line)
        ops = self.line[1:-1]
        self.scaling = [op for op in ops if wiring.boxes[op].node.op in _SCALES]
        """The ops on the line by which it is kept."""
        self.adding = [op for op in ops if op not in self.scaling]
        """The others."""
        beside = [a for op in self.adding for a in wiring.inputs[op] if a not in self.line]
        self.products = [
            a for a in beside if self._kind(a) == "pointwise" and a not in wiring.symbols
        ]
        """What makes, in the line's own equation, what is added to it."""

    @property
    def wires(self) -> Part:
        """The line alone, from each of it to the next."""
        return Part([], [*pairwise(self.line)])

    @property
    def forgetting(self) -> Part:
        """What decides how much of the line goes on: all that scales it."""
        return self._part(self._before(self.scaling), self.scaling)

    @property
    def writing(self) -> Part:
        """What decides what is added: all that leads to it, the last products left out."""
        before = self._before(self.adding).difference(self.products)
        return self._part(before, [*self.products, *self.adding])

    @property
    def updating(self) -> Part:
        """The equations of the line, and its end."""
        return Part(self._in_order(self.line, self.wiring.symbols), [*pairwise(self.line[-2:])])

    @property
    def showing(self) -> Part:
        """What makes of the line what leaves the cell; nothing where the line itself does."""
        (last,) = self.wiring.inputs[OUT]
        if last in self.line:
            return Part([], [])
        return self._part({*self._before([last]), last}, self.wiring.outputs[last])

    def gate(self) -> list[str]:
        """The layer that scales the line first, and what its values pass up to the op there."""
        before = self._before(self.scaling[:1])
        layers = [n for n in self.wiring.boxes if n in before and self._kind(n) == "layer"]
        if not layers:
            raise ConfigError(f"no layer of cell {self.cell.name} gates its line")
        return self.wiring.way(layers[-1], self.scaling[0])

    def _kind(self, name: str) -> str:
        return self.wiring.boxes[name].kind

    def _part(self, boxes: Collection[str], readers: Collection[str]) -> Part:
        """Boxes that lead to others: of each that has a symbol its equation, and of what has none
        and is read there what it computes."""
        onward = [(a, b) for a, b in self.wiring.wires if a in boxes and b in readers]
        onward = [wire for wire in onward if wire[1] not in boxes]
        return Part(self._in_order(boxes, {*self.wiring.symbols, *(a for a, _ in onward)}), onward)

    def _in_order(self, boxes: Collection[str], wanted: Collection[str]) -> list[str]:
        return [name for name in self.wiring.boxes if name in boxes and name in wanted]

    def _before(self, ops: Sequence[str]) -> set[str]:
        """What leads to ops, what is on the line left out."""
        reached: set[str] = set()
        stack = [a for op in ops for a in self.wiring.inputs[op]]
        while stack:
            name = stack.pop()
            if name not in reached and name not in self.line and self._kind(name) in INNER:
                reached.add(name)
                stack += self.wiring.inputs[name]
        return reached
