"""A model: a cell with values for its parameters and a readout; unrolled over time, saved, loaded.

Nothing here trains or draws. Time comes first everywhere: xs is (T, B, I).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import minigrad as mg
from lstm.cells import CELLS, Cell, S, Seed, Shape, Values
from lstm.errors import ConfigError, ModelFileError, check_count
from lstm.files import write_atomically
from lstm.foreign import what_it_is
from minigrad import Expr

FORMAT = "minigrad-lstm"
VERSION = 1
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
    """The readout of the last hidden state, (B, O)."""


@dataclass(frozen=True, eq=False)
class Model(Generic[S]):
    """A cell, a linear readout y = h·W_y + b_y of the last hidden state, and their parameters.

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
        shapes = _readout_shapes(cell.hidden_size, output_size)
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
        return state.h @ self.params["W_y"] + self.params["b_y"]

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
            step = self.cell.equations(self.params, states[-1], x)
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
        text = json.dumps({"version": VERSION} | self.config(), ensure_ascii=False)
        write_atomically(path, save(self.values(), metadata={FORMAT: text}))

    @staticmethod
    def load(path: str | Path, cells: Iterable[type[Cell[Any]]] = ()) -> Model[Any]:
        """Read what `save` wrote.

        cells: classes of your own that the file may name. No code is ever taken from a file, so a
        model of an own cell loads only where its class is given. Raises ModelFileError, which says
        what is wrong with the file, or what it is if it is none of ours.
        """
        try:
            return _load(Path(path), list(cells))
        except SafetensorError as error:
            reason = _what_is_wrong(Path(path), error)
        except OSError as error:
            reason = error.strerror or str(error)
        except (ConfigError, _MalformedError) as error:
            reason = str(error)
        raise ModelFileError(f"cannot load the model {path}: {reason}")


class _MalformedError(Exception):
    """What is wrong with a file, in words that follow a colon."""


def _readout_shapes(hidden_size: int, output_size: int) -> dict[str, Shape]:
    return {"W_y": (hidden_size, output_size), "b_y": (output_size,)}


def _what_is_wrong(path: Path, error: SafetensorError) -> str:
    try:
        return what_it_is(path) or f"it is no sound safetensors file ({error})"
    except OSError as problem:
        return problem.strerror or str(problem)


def _load(path: Path, cells: list[type[Cell[Any]]]) -> Model[Any]:
    try:
        with path.open("rb"):  # the operating system says it more clearly than the reader
            pass
    except ValueError:  # half a character, or a NUL
        raise _MalformedError("no file can be called so") from None
    with safe_open(path, framework="numpy") as file:
        header = _header(file.metadata())
        cell = _cell(header["cell"], cells)
        output_size = header["output_size"]
        if type(output_size) is not int or output_size < 1:
            raise _MalformedError(f"an output size of {output_size!r}")
        expected = cell.shapes() | _readout_shapes(cell.hidden_size, output_size)
        _check_names(set(file.keys()), set(expected))
        values = {name: _tensor(file, name, expected[name], cell.dtype) for name in expected}
    return Model.of(cell, output_size, values, header["task"])


def _header(metadata: dict[str, str] | None) -> dict[str, Any]:
    if not metadata or FORMAT not in metadata:
        raise _MalformedError(
            "it is a safetensors file, but not one of a model of lstm; read it with "
            "safetensors.numpy.load_file, and give the arrays to "
            "lstm.Model.of(cell, output_size, values)"
        )
    try:
        header = json.loads(metadata[FORMAT])
        json.dumps(header, ensure_ascii=False).encode()  # as saving it again will
    except UnicodeEncodeError:
        raise _MalformedError("its header has half a character in it, which is no text") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, too
        raise _MalformedError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise _MalformedError("its header is no JSON object")
    if header.get("version") != VERSION:
        raise _MalformedError(f"format version {header.get('version')!r}; this is {VERSION}")
    for key, kind in {"cell": dict, "output_size": int, "task": dict}.items():
        if not isinstance(header.get(key), kind):
            raise _MalformedError(f"its header has no proper {key!r}")
    task = header["task"]
    if task and not (isinstance(task.get("name"), str) and isinstance(task.get("settings"), dict)):
        raise _MalformedError("its header has no proper 'task'")
    return header


def _kind(config: dict[str, Any], cells: list[type[Cell[Any]]]) -> type[Cell[Any]]:
    """The class of a cell: one of ours, or that one of the caller's which the file names."""
    name, own = config.pop("name", None), config.pop("class", None)
    if own is None and isinstance(name, str) and name in CELLS:
        return CELLS[name]
    if own is None:
        raise _MalformedError(f"there is no cell {name!r}; there are {', '.join(CELLS)}")
    for kind in cells:
        if (kind.__name__, kind.name) == (own, name):
            return kind
    raise _MalformedError(
        f"its cell is of a class {own!r} that is not lstm's, and code is never taken from a file; "
        f"give the class: Model.load(path, cells=[{own}]), or --cell FILE.py:{own} in a command"
    )


def _cell(config: dict[str, Any], cells: list[type[Cell[Any]]]) -> Cell[Any]:
    kind = _kind(config, cells)
    unknown = set(config) - {f.name for f in fields(kind)}
    if unknown:
        raise _MalformedError(f"its cell has unknown settings: {', '.join(sorted(unknown))}")
    try:
        return kind(**config)
    except TypeError as error:
        raise _MalformedError(f"its cell's settings do not fit: {error}") from None


def _check_names(names: set[str], expected: set[str]) -> None:
    missing, unknown = expected - names, names - expected
    if missing:
        raise _MalformedError(f"tensors are missing: {', '.join(sorted(missing))}")
    if unknown:
        raise _MalformedError(f"tensors are unknown: {', '.join(sorted(unknown))}")


def _tensor(file: Any, name: str, shape: Shape, dtype: str) -> NDArray[Any]:
    # The header's word is checked before the numbers are read.
    stored = tuple(file.get_slice(name).get_shape())
    if stored != shape:
        raise _MalformedError(f"tensor {name} has shape {stored}, not {shape}")
    value: NDArray[Any] = file.get_tensor(name)
    if value.dtype != dtype:
        raise _MalformedError(f"tensor {name} is {value.dtype}, not {dtype}")
    return value
