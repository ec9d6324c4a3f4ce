"""Everything that a step of training changes, as one object: taken whole, and put back whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.params import check_names
from lstm.training.history import History
from lstm.training.settings import MOST
from lstm.training.streams import check_stream, put_stream, stream_values
from minigrad import Expr
from minigrad.display import ShownAsTable, Table

_HISTORY = "history"


@dataclass(frozen=True, eq=False, repr=False)
class TrainingState(ShownAsTable):
    """The parameters, what the optimiser remembers, what is carried on, how far it is.

    All that is a number lies in `minigrad.param` leaves, which the compiled step writes together,
    or not at all. The streams are the random generators that data come from.

    >>> import minigrad as mg
    >>> state = TrainingState({"w": mg.param("w", 1.0)}, {}, {}, mg.param("count", 3.0))
    >>> before = state.arrays()
    >>> state.params["w"].value = 2.0
    >>> state.put_back(before, {})
    >>> float(state.params["w"].value), state.steps
    (1.0, 3)
    """

    params: dict[str, Expr]
    """By dotted name."""
    optimizer: dict[str, Expr]
    carried: dict[str, Expr]
    """What one step hands to the next beside these: a net's state in a long stream, the key of
    dropout."""
    count: Expr
    """How many steps were taken, a float64 scalar. A step draws one batch, so this is the position
    in the data, too."""
    streams: dict[str, np.random.Generator] = field(default_factory=dict)
    history: History = field(default_factory=History)
    """What the steps so far came to, as far as it is needed to tell what goes wrong."""

    def _table(self) -> Table:
        """How many tensors and numbers there are of each kind."""
        groups = {"parameters": self.params, "optimiser": self.optimizer, "carried": self.carried}
        rows = [
            (kind, f"{len(group)} tensors", f"{sum(p.size for p in group.values()):,} numbers")
            for kind, group in groups.items()
        ]
        rows.append(("random streams", ", ".join(self.streams), ""))
        return Table(f"Training state after {self.steps:,} steps", rows)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return int(self.count.value)

    def leaves(self) -> dict[str, Expr]:
        """Every leaf by dotted name, such as "optimizer.m.W_f"."""
        groups = {"params": self.params, "optimizer": self.optimizer, "carried": self.carried}
        named = {f"{kind}.{name}": p for kind, group in groups.items() for name, p in group.items()}
        return named | {"count": self.count}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of what the leaves hold now, and of the history."""
        leaves = {name: p.value.copy() for name, p in self.leaves().items()}
        return leaves | {_HISTORY: self.history.array()}

    def streams_values(self) -> dict[str, Any]:
        """What the streams will draw next, as plain values."""
        return {name: stream_values(rng) for name, rng in self.streams.items()}

    def put_back(self, arrays: Mapping[str, NDArray[Any]], streams: Mapping[str, Any]) -> None:
        """Take on what `arrays` and `streams_values` gave: all of it or nothing.

        Raises ConfigError for other names, shapes or dtypes, and for what is no state of a stream.
        """
        leaves = self.leaves()
        check_names(set(arrays) - {_HISTORY}, set(leaves))
        none = History().array()  # in a file from before there was one
        history = History.of(arrays.get(_HISTORY, none))
        check_names(set(streams), set(self.streams), "streams")
        for name, p in leaves.items():
            value = arrays[name]
            if (value.shape, value.dtype) != (p.shape, p.dtype):
                raise ConfigError(
                    f"tensor {name} is {value.dtype}{value.shape}, not {p.dtype}{p.shape}"
                )
        count = float(arrays["count"])
        if not (0 <= count <= MOST and count.is_integer()):
            raise ConfigError(f"the step count is {count}, which is no count")
        for values in streams.values():
            check_stream(values)
        for name, rng in self.streams.items():
            put_stream(rng, streams[name])
        for name, p in leaves.items():
            p.value = arrays[name]
        self.history.first, self.history.latest = history.first, history.latest
