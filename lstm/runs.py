"""What comes of running a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from lstm.cells import Values
from lstm.layers import Written
from lstm.params import Tree
from minigrad import Expr
from minigrad.display import ShownAsTable, Table, in_a_line


class Run(NamedTuple):
    """What comes of a run."""

    output: Expr
    """The readout: (B, O), or (T, B, O) of a model that reads every step, or (U, B, O) of one with
    a decoder, for each token that it says."""
    outputs: Expr
    """What the top layer gives at each step, (T, B, H), or 2H where it reads both ways. Here and
    in an output of every step, padding is 0."""
    last: Tree
    """The state of each layer at each sequence's own end, to start the next run from."""
    attention: Expr | None = None
    """(U, B, S): of a decoder with attention, how much of each of the S steps each token is made
    of; rows add up to 1, and padding has 0."""

    def __repr__(self) -> str:
        return in_a_line(self)


@dataclass(frozen=True, repr=False)
class Unrolled(ShownAsTable):
    """A model written out over T steps, as plain expressions. `states`, `values` and `xs` are those
    of the last recurrent layer, the one that reads forward; `layers` has all, by their places."""

    run: Run
    """What `Model.run` gives."""
    layers: dict[str, Written]
    main: Written

    def _table(self) -> Table:
        rows = [("output", repr(self.output.type))]
        rows += [(place, ", ".join(part.values[0])) for place, part in self.layers.items()]
        return Table(f"Model written out over {len(self.xs)} steps", rows)

    @property
    def output(self) -> Expr:
        """The readout, (B, O) or (T, B, O)."""
        return self.run.output

    @property
    def states(self) -> list[Any]:
        """The T + 1 states, the initial one first."""
        return self.main.states

    @property
    def values(self) -> list[Values]:
        """What each of the T steps computes, by symbol, as the cell's `equations` give it."""
        return self.main.values

    @property
    def xs(self) -> list[Expr]:
        """The T inputs, each (B, I)."""
        return self.main.xs
