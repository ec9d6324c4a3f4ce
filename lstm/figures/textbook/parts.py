"""Which part of a cell does what: the boxes that forget, that write, that update the line, and that
show it. They are found by how they stand to the line, and not by their letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from lstm.cells import Cell
from lstm.cells.anatomy import anatomy
from lstm.errors import ConfigError
from lstm.figures.textbook.wiring import OUT, Wiring

_INNER = ("layer", "pointwise", "merge")


class Parts:
    """The parts of a cell with a line. Raises ConfigError, which says what is shown, for another.

    >>> import lstm
    >>> from lstm.figures.textbook.wiring import wiring_of
    >>> cell = lstm.LSTM(2, 3)
    >>> parts = Parts(cell, wiring_of(cell), "forget gate")
    >>> parts.forgetting, parts.writing, parts.showing
    (['f'], ['i', 'C̃'], ['o', 'h.1', 'h'])
    """

    def __init__(self, cell: Cell[Any], wiring: Wiring, shown: str) -> None:
        if not wiring.line:
            raise ConfigError(
                f"cell {cell.name} has no {shown}: no part of its state comes back multiplied "
                "elementwise, so it has no line; an LSTM has one"
            )
        self.cell, self.wiring = cell, wiring
        self.line = list(wiring.line)

    @property
    def symbol(self) -> str:
        """The part of the state that lasts."""
        line = anatomy(self.cell).line
        assert line is not None
        return line.symbol

    @property
    def wires(self) -> list[tuple[str, str]]:
        """From each of the line to the next."""
        return [*pairwise(self.line)]

    @property
    def ops(self) -> list[str]:
        """The ops on the line."""
        return self.line[1:-1]

    @property
    def forgetting(self) -> list[str]:
        """What decides how much of the line goes on: all that the first op on it reads beside it.

        Nothing where there is but one op on the line.
        """
        return self._before(self.ops[:1]) if len(self.ops) > 1 else []

    @property
    def writing(self) -> list[str]:
        """What decides what is added: all that the later ops read, the last products left out."""
        before = self._before(self.ops[1:] or self.ops)
        return [name for name in before if name not in self._products]

    @property
    def updating(self) -> list[str]:
        """The ops on the line, those that make what is added, and the line's end."""
        return [*self._products, *self.ops, self.line[-1]]

    @property
    def showing(self) -> list[str]:
        """What makes of the line what leaves the cell; nothing where the line itself does."""
        (last,) = self.wiring.inputs[OUT]
        return [] if last in self.line else [*self._before([last]), last]

    def gate(self) -> tuple[str, str]:
        """The layer that meets the line first, and the op by which it does."""
        forgetting = [n for n in self.forgetting if self.wiring.boxes[n].kind == "layer"]
        if not forgetting:
            raise ConfigError(f"no layer of cell {self.cell.name} gates its line")
        return forgetting[-1], self.ops[0]

    @property
    def _products(self) -> list[str]:
        """The pointwise ops whose results are added to the line."""
        beside = self._beside(self.ops[1:] or self.ops)
        return [name for name in beside if self.wiring.boxes[name].kind == "pointwise"]

    def _beside(self, ops: Iterable[str]) -> list[str]:
        """What ops on the line read beside it."""
        return [a for op in ops for a in self.wiring.inputs[op] if a not in self.line]

    def _before(self, ops: Sequence[str]) -> list[str]:
        """Layers and pointwise ops that lead to ops, those on the line left out, in order."""
        reached: set[str] = set()
        stack = [a for op in ops for a in self.wiring.inputs[op]]
        while stack:
            name = stack.pop()
            inner = self.wiring.boxes[name].kind in _INNER
            if name not in reached and name not in self.line and inner:
                reached.add(name)
                stack += self.wiring.inputs[name]
        boxes = self.wiring.boxes
        return [name for name in boxes if name in reached and boxes[name].kind != "merge"]
