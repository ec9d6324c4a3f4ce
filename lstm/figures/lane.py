"""A lane of a model that is written out: the steps of one cell beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lstm.cells import Cell, Place
from lstm.errors import ConfigError
from lstm.figures.cell_places import CellPlaces, places_of
from lstm.layers import Written
from minigrad import Expr

_LEFT = -150.0  # where what stands before the first step ends


@dataclass(eq=False)
class Lane:
    """A recurrent layer: where the ops of a step stand, from the left of the step and from above;
    base: how far down its line is."""

    written: Written
    reverse: bool
    is_decoder: bool
    cell: CellPlaces
    output: Place
    base: float = 0.0

    @staticmethod
    def of(
        cell: Cell[Any], written: Written, reverse: bool = False, is_decoder: bool = False
    ) -> Lane:
        places = places_of(cell)
        output = places.ops.get(cell.output, (0.0, 0.0))
        return Lane(written, reverse, is_decoder, places, output)

    @property
    def count(self) -> int:
        return len(self.written.xs)

    @property
    def left(self) -> float:
        """Where what stands before the first step ends: values of a decoder have long names."""
        return _LEFT - 50.0 * self.is_decoder

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
            yield node_spelled(named, spelled), place


def node_spelled(values: Mapping[str, Expr], spelled: str) -> Expr:
    """The op that "C.0" spells: the first argument of C."""
    symbol, *down = spelled.split(".")
    try:
        node = values[symbol]
        for position in down:
            node = node.args[int(position)]
    except (LookupError, ValueError):
        raise ConfigError(f"the cell has a place for {spelled!r}, but no such op") from None
    return node
