"""A model's file: safetensors, whose header says everything but the numbers.

The reader takes nothing on trust: a file may come from anywhere. No code is ever taken from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lstm.cells import CELLS, Cell, Shape
from lstm.errors import ConfigError, ModelFileError
from lstm.files import write_atomically
from lstm.store.foreign import what_it_is

FORMAT = "minigrad-lstm"
VERSION = 1


OwnCells = Iterable[type[Cell[Any]]] | type[Cell[Any]]


class Contents(NamedTuple):
    """What the file of a model holds."""

    cell: Cell[Any]
    output_size: int
    values: dict[str, NDArray[Any]]
    task: dict[str, Any]


def write_model(
    path: str | Path, config: Mapping[str, Any], values: Mapping[str, NDArray[Any]]
) -> None:
    """Write a model's configuration and its numbers, whole or not at all. Raises OutputError."""
    text = json.dumps({"version": VERSION, **config}, ensure_ascii=False)
    write_atomically(path, save(dict(values), metadata={FORMAT: text}))


def read_model(path: str | Path, cells: OwnCells = ()) -> Contents:
    """Read what `write_model` wrote. Raises ModelFileError and ConfigError; see `Model.load`."""
    own = _classes(cells)
    try:
        return _read(Path(path), own)
    except SafetensorError as error:
        reason = _what_is_wrong(Path(path), error)
    except OSError as error:
        reason = error.strerror or str(error)
    except (ConfigError, _MalformedError) as error:
        reason = str(error)
    raise ModelFileError(f"cannot load the model {path}: {reason}")


def _classes(cells: OwnCells) -> list[type[Cell[Any]]]:
    own = [cells] if isinstance(cells, (type, Cell)) else list(cells)
    for kind in own:
        if not (isinstance(kind, type) and issubclass(kind, Cell)):
            raise ConfigError(f"cells= takes classes of cells, as cells=[MyCell], not {kind!r:.40}")
    return own


def readout_shapes(hidden_size: int, output_size: int) -> dict[str, Shape]:
    """Names and shapes of the parameters of a linear readout."""
    return {"W_y": (hidden_size, output_size), "b_y": (output_size,)}


class _MalformedError(Exception):
    """What is wrong with a file, in words that follow a colon."""


def _what_is_wrong(path: Path, error: SafetensorError) -> str:
    try:
        return what_it_is(path) or f"it is no sound safetensors file ({error})"
    except OSError as problem:
        return problem.strerror or str(problem)


def _read(path: Path, cells: list[type[Cell[Any]]]) -> Contents:
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
        expected = cell.shapes() | readout_shapes(cell.hidden_size, output_size)
        _check_names(set(file.keys()), set(expected))
        values = {name: _tensor(file, name, expected[name], cell.dtype) for name in expected}
    return Contents(cell, output_size, values, header["task"])


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
