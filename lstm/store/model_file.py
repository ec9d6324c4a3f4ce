"""A model's file: safetensors, whose header says everything but the numbers.

The reader takes nothing on trust: a file may come from anywhere. No code is ever taken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from safetensors.numpy import save

from lstm.cells import Shape, cell_class
from lstm.errors import ConfigError, ModelFileError
from lstm.files import write_atomically
from lstm.layers import Layer, Readout
from lstm.params import check_names, flatten
from lstm.store.checkpoint import FORMAT as CHECKPOINT
from lstm.store.parts import as_text, build, describe
from lstm.store.reading import MalformedError, json_object, opened

FORMAT = "minigrad-lstm"
VERSION = 2


class Contents(NamedTuple):
    """What the file of a model holds."""

    layers: Layer
    readout: Readout
    values: dict[str, NDArray[Any]]
    """Parameters by their dotted names."""
    task: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain values."""
        parts = {"layers": describe(self.layers), "readout": describe(self.readout)}
        return parts | {"task": self.task}


def shapes_of(layers: Layer, readout: Readout) -> dict[str, Any]:
    """The shapes of a model's parameters, as a tree.

    Raises ConfigError for a readout that does not fit, and for layers that have its name.
    """
    if (layers.output_size, layers.dtype) != (readout.input_size, readout.dtype):
        raise ConfigError(
            f"the readout reads {readout.input_size} units of {readout.dtype}, but the layers give "
            f"{layers.output_size} of {layers.dtype}"
        )
    tree: dict[str, Any] = layers.shapes()
    if "readout" in tree:
        raise ConfigError("no layer can be called 'readout', as the readout's parameters are")
    return tree | {"readout": readout.shapes()}


def write_model(path: str | Path, contents: Contents) -> None:
    """Write a model's configuration and its numbers, whole or not at all.

    Raises OutputError, and ConfigError for settings that a file cannot keep.
    """
    text = as_text({"version": VERSION, **contents.config})
    write_atomically(path, save(contents.values, metadata={FORMAT: text}))


OwnPart = type[Any] | Callable[..., Any]
Own = Iterable[OwnPart] | OwnPart
"""Classes of cells and layers, step functions of cells, or one of these."""


def read_model(path: str | Path, own: Own = ()) -> Contents:
    """Read what `write_model` wrote. Raises ModelFileError and ConfigError; see `Model.load`."""
    classes = _classes(own)
    with opened(path, ModelFileError, "cannot load the model") as file:
        return _read(file, classes)


def _classes(own: Own) -> list[type[Any]]:
    return [_class(kind) for kind in (own if isinstance(own, Iterable) else [own])]


def _class(own: Any) -> type[Any]:
    is_layer = isinstance(own, type) and issubclass(own, Layer)
    kind = own if is_layer else cell_class(own)
    if kind is None:
        raise ConfigError(
            f"own= takes classes of cells and layers, as own=[MyCell], not {own!r:.40}"
        )
    return kind


def _read(file: Any, own: list[type[Any]]) -> Contents:
    header = _header(file.metadata())
    layers = _part(header, "layers", Layer, own)
    readout = _part(header, "readout", Readout, own)
    expected = flatten(shapes_of(layers, readout))
    in_file = {_dotted(name, header["version"]): name for name in file.keys()}  # noqa: SIM118
    check_names(set(in_file), set(expected))
    values = {
        name: _tensor(file, in_file[name], shape, layers.dtype) for name, shape in expected.items()
    }
    return Contents(layers, readout, values, header["task"])


def _part(header: dict[str, Any], key: str, base: type[Any], own: list[type[Any]]) -> Any:
    part = build(header[key], own)
    if not isinstance(part, base):
        raise MalformedError(f"its {key!r} is of the kind {part.name!r}, which is another thing")
    return part


def _header(metadata: dict[str, str] | None) -> dict[str, Any]:
    if metadata and CHECKPOINT in metadata:
        raise MalformedError(
            "it is a checkpoint of a training: lstm.fit(model, task, out=path, resume=True) goes "
            "on from it, and its `best` is the model where validation went best"
        )
    if not metadata or FORMAT not in metadata:
        raise MalformedError(
            "it is a safetensors file, but not one of a model of lstm; lstm.from_torch reads the "
            "state dict of a net of torch, and lstm.Model.of(cell, output_size, values) takes any "
            "arrays, as safetensors.numpy.load_file gives them"
        )
    header = json_object(metadata[FORMAT])
    version = header.get("version")
    if type(version) is not int or version not in (1, VERSION):
        raise MalformedError(f"format version {version!r:.40}; this is {VERSION}")
    if version == 1:
        header = _of_version_1(header)
    for key in ("layers", "readout", "task"):
        if not isinstance(header.get(key), dict):
            raise MalformedError(f"its header has no proper {key!r}")
    task = header["task"]
    if task and not (isinstance(task.get("name"), str) and isinstance(task.get("settings"), dict)):
        raise MalformedError("its header has no proper 'task'")
    return header


def _of_version_1(header: dict[str, Any]) -> dict[str, Any]:
    """The header of a file from when a model was one cell and a readout of its last h."""
    cell = header.get("cell")
    if not isinstance(cell, dict):
        raise MalformedError("its header has no proper 'cell'")
    cell = {"kind": cell.get("name")} | {k: v for k, v in cell.items() if k != "name"}
    readout = {
        "kind": "readout",
        "input_size": cell.get("hidden_size"),
        "output_size": header.get("output_size"),
        "dtype": cell.get("dtype"),
    }
    layers = {"layer1": {"kind": "recurrent", "cell": cell}}
    return {
        "version": 1,
        "layers": {"kind": "stack", "layers": layers},
        "readout": readout,
        "task": header.get("task"),
    }


def _dotted(name: str, version: int) -> str:
    """What the tensor of a file is called in a model."""
    if version == VERSION:
        return name
    return f"readout.{name}" if name in ("W_y", "b_y") else f"layer1.{name}"


def _tensor(file: Any, name: str, shape: Shape, dtype: str) -> NDArray[Any]:
    # The header's word is checked before the numbers are read.
    stored = tuple(file.get_slice(name).get_shape())
    if stored != shape:
        raise MalformedError(f"tensor {name} has shape {stored}, not {shape}")
    value: NDArray[Any] = file.get_tensor(name)
    if value.dtype != dtype:
        raise MalformedError(f"tensor {name} is {value.dtype}, not {dtype}")
    return value
