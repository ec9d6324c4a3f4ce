"""A model: a cell with values for its parameters and a readout; unrolled over time, saved, loaded.

Nothing here trains or draws. Time comes first everywhere: xs is (T, B, I).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells import CELLS, Cell, S, Seed, Values
from lstm.errors import ConfigError, check_count
from lstm.store.model_file import OwnCells, read_model, readout_shapes, write_model
from minigrad import Expr

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def subscript(symbol: str, t: int) -> str:
    """A symbol with the time step below it.

    >>> subscript("C̃", 12)
    'C̃₁₂'
    """
    return symbol + str(t).translate(_SUBSCRIPTS)


@dataclass(frozen=True)
class Unrolled(Generic[S]):
    """A model written out over T steps, as plain expressions."""

    states: list[S]
    """The T + 1 states, the initial one first."""
    values: list[Values]
    """What each of the T steps computes, by symbol, as the cell's `equations` give it."""
    xs: list[Expr]
    """The T inputs, each (B, I)."""
    output: Expr
    """The readout of the last step's output, (B, O)."""


@dataclass(frozen=True, eq=False)
class Model(Generic[S]):
    """A cell, a linear readout y = h·W_y + b_y of the cell's last output, and their parameters.

    `params` maps names to `minigrad.param` leaves, those of the cell first. `task` notes what the
    model was trained for; it travels with the file.

    >>> from lstm.cells import LSTM
    >>> model = Model.create(LSTM(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> xs = mg.var("xs", (3, 5, 2), "float32")
    >>> unrolled = model.unroll(xs)
    >>> unrolled.output.shape, unrolled.states[3].C.name, list(unrolled.values[0])
    ((5, 1), 'C₃', ['f', 'i', 'C̃', 'C', 'o', 'h'])
    """

    cell: Cell[S]
    output_size: int
    params: dict[str, Expr]
    task: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(
        cls, cell: Cell[S], output_size: int, seed: Seed, task: Mapping[str, Any] | None = None
    ) -> Model[S]:
        """A model with new parameters; those of the readout start as the cell's do.

        Raises ConfigError for an output size below one.
        """
        output_size = check_count("output_size", output_size)
        rng = np.random.default_rng(seed)
        values = cell.init(rng)
        bound = cell.hidden_size**-0.5
        shapes = readout_shapes(cell.hidden_size, output_size)
        values["W_y"] = rng.uniform(-bound, bound, shapes["W_y"]).astype(cell.dtype)
        values["b_y"] = np.zeros(shapes["b_y"], cell.dtype)
        return cls.of(cell, output_size, values, task)

    @classmethod
    def of(
        cls,
        cell: Cell[S],
        output_size: int,
        values: Mapping[str, NDArray[Any]],
        task: Mapping[str, Any] | None = None,
    ) -> Model[S]:
        """A model with the given parameters, which are copied."""
        params = {name: mg.param(name, value) for name, value in values.items()}
        return cls(cell, output_size, params, dict(task or {}))

    def values(self) -> dict[str, NDArray[Any]]:
        """A copy of what the parameters hold now."""
        return {name: p.value.copy() for name, p in self.params.items()}

    def config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain values."""
        cell = {"name": self.cell.name} | asdict(self.cell)
        if type(self.cell) is not CELLS.get(self.cell.name):
            cell["class"] = type(self.cell).__name__
        return {"cell": cell, "output_size": self.output_size, "task": self.task}

    def copy(self) -> Model[S]:
        """A model of its own with the same values: what training does to one, the other keeps."""
        return Model.of(self.cell, self.output_size, self.values(), self.task)

    def output(self, xs: Expr, state: S | None = None) -> Expr:
        """The readout (B, O) after xs (T, B, I), as one loop: what trains and runs.

        Its mathematics is that of `unroll`, whose every value has a name, for pictures.
        Raises ConfigError as `unroll` does.
        """
        start = self._start(xs) if state is None else state
        last, _ = mg.scan(lambda s, x: (self.cell.step(self.params, s, x), None), start, xs)
        return self._read(last)

    def _start(self, xs: Expr) -> S:
        if xs.ndim != 3 or xs.shape[2] != self.cell.input_size:
            raise ConfigError(
                f"xs must be (T, B, {self.cell.input_size}), time first, not {xs.shape}"
            )
        check_count("T, the number of steps of xs,", xs.shape[0])
        return self.cell.initial_state(xs.shape[1])

    def _read(self, state: S) -> Expr:
        return self.cell.output_of(state) @ self.params["W_y"] + self.params["b_y"]

    def unroll(self, xs: Expr, state: S | None = None) -> Unrolled[S]:
        """Write the model out over xs (T, B, I); each value is named with its step, as in f₁.

        Raises ConfigError when xs has another number of axes, or an input size that is not the
        cell's.
        """
        start = self._start(xs)
        states = [start if state is None else state]
        values: list[Values] = []
        inputs = [xs[t].named(subscript("x", t + 1)) for t in range(xs.shape[0])]
        for t, x in enumerate(inputs, 1):
            step = self.cell.compute(self.params, states[-1], x)
            for symbol, value in step.items():
                value.named(subscript(symbol, t))
            values.append(step)
            states.append(self.cell.state_of(step))
        return Unrolled(states, values, inputs, self._read(states[-1]).named("y"))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whose header says everything but the numbers.

        The file is there whole or not at all. Of a cell of your own it keeps the settings and the
        class's name; the code is not in the file. Raises OutputError when it cannot be written.
        """
        write_model(path, self.config(), self.values())

    @staticmethod
    def load(path: str | Path, cells: OwnCells = ()) -> Model[Any]:
        """Read what `save` wrote.

        cells: classes of your own that the file may name, or one. No code is ever taken from a
        file, so a model of an own cell loads only where its class is given. Raises ModelFileError,
        which says what is wrong with the file, or what it is if it is none of ours, and ConfigError
        for `cells` that are no classes of cells.
        """
        return Model.of(*read_model(path, cells))
