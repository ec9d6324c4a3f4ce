"""A model of layers that another engine had, and the layers of a model that another may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lstm.cells import Cell
from lstm.errors import ConfigError
from lstm.interop.gates import Array, Weights, joined, parted
from lstm.layers import Bidirectional, Dropout, Embedding, Layer, Readout, Recurrent, Stack
from lstm.model import Model, check_model
from lstm.params import join


class Net(NamedTuple):
    """Recurrent layers of one kind of cell, and what stands before and after them."""

    cell: Cell[Any]
    """Of the first layer; of its dtype only in the net of a model."""
    layers: Sequence[Sequence[Mapping[str, Weights]]]
    """For each layer, and each way that it reads, forward first, the gates by their letters."""
    embedding: Array | None = None
    """(V, I): a row for each token."""
    readout: tuple[Array, Array] | None = None
    """W_y (F, O) and b_y (O,); None: what the top layer gives is the output."""


def model_of_net(net: Net, read: str) -> Model:
    """The net as a model, of float64 where an array is, else of float32. read: what the readout
    reads, "last" or "every". Raises ConfigError for what does not fit."""
    cell, values = replace(net.cell, dtype=_dtype(net)), {}
    stack: dict[str, Layer] = {}
    if net.embedding is not None:
        stack["embedding"] = Embedding(*net.embedding.shape, dtype=cell.dtype)
        values["embedding.E"] = net.embedding
    for k, ways in enumerate(net.layers, 1):
        place = f"layer{k}"
        forward = Recurrent(cell)
        layer: Layer = Bidirectional(forward) if len(ways) == 2 else forward
        stack[place] = layer
        for way, gates in zip(layer.recurrent(), ways, strict=True):
            where = f"{place}.{way}" if way else place
            params = joined(type(cell), gates).items()
            values |= {f"{where}.{name}": value for name, value in params}
        cell = replace(cell, input_size=layer.output_size)
    width = cell.input_size
    W, b = net.readout or (np.eye(width), np.zeros(width))
    values |= {"readout.W_y": W, "readout.b_y": b}
    readout = Readout(width, len(b), read, dtype=cell.dtype)
    as_typed = {name: np.ascontiguousarray(v, cell.dtype) for name, v in values.items()}
    return Model.of(Stack(stack), readout, as_typed)


def _dtype(net: Net) -> str:
    gates = [array for ways in net.layers for way in ways for w in way.values() for array in w]
    ends = [array for array in (net.embedding, *(net.readout or ())) if array is not None]
    return str(np.result_type(*{array.dtype for array in [*gates, *ends]}))


def net_of_model(model: Model, engine: str) -> Net:
    """The layers of a model, where they are those that engines have: cells of one kind and size,
    one way or both, with dropout between them, after an embedding or none, and a linear readout.

    Raises ConfigError, which says what `engine` lacks.
    """
    check_model(model)
    stack = model.layers.layers if isinstance(model.layers, Stack) else {"": model.layers}
    values, embedding = model.values(), None
    layers: dict[str, Layer] = {}
    for name, layer in stack.items():
        if isinstance(layer, Embedding) and not layers:
            embedding = values[join(name, "E")]
        elif not isinstance(layer, Dropout):
            layers[name] = _usual(layer, name, engine)
    if not layers or type(model.readout) is not Readout:
        raise ConfigError(f"a net of {engine} is layers of cells, with a linear readout")
    if len({_kind(layer) for layer in layers.values()}) > 1:
        raise ConfigError(
            f"the layers of a net of {engine} are alike: one kind of cell, one size, and all read "
            "one way, or both"
        )
    gates = [
        [
            parted(one.cell, {n: values[join(join(name, way), n)] for n in one.shapes()})
            for way, one in layer.recurrent().items()
        ]
        for name, layer in layers.items()
    ]
    first = next(iter(layers.values())).recurrent().values()
    readout = values["readout.W_y"], values["readout.b_y"]
    return Net(next(iter(first)).cell, gates, embedding, readout)


def _usual(layer: Layer, name: str, engine: str) -> Layer:
    """The layer. Raises ConfigError unless its steps are a cell's alone, one way or both."""
    one = layer.layer if isinstance(layer, Bidirectional) else layer
    if not isinstance(one, Recurrent):
        raise ConfigError(f"{name or 'the layer'} is a {type(layer).__name__}; {engine} has none")
    if one.reverse or one.zoneout:
        what = "zoneout" if one.zoneout else "a layer that reads backward alone"
        raise ConfigError(f"{name or 'the layer'} has what {engine} has not: {what}")
    return layer


def _kind(layer: Layer) -> tuple[Any, ...]:
    cell = next(iter(layer.recurrent().values())).cell
    return type(layer), type(cell), cell.hidden_size, getattr(cell, "rectified", False)
