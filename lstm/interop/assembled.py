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
    cell = net.cell
    layers: list[tuple[Layer, list[dict[str, Array]]]] = []
    for ways in net.layers:
        forward = Recurrent(cell)
        layer: Layer = Bidirectional(forward) if len(ways) == 2 else forward
        layers.append((layer, [joined(type(cell), gates) for gates in ways]))
        cell = replace(cell, input_size=layer.output_size)
    return model_of_layers(layers, net.embedding, net.readout, read)


def model_of_layers(
    layers: Sequence[tuple[Layer, Sequence[Mapping[str, Array]]]],
    embedding: Array | None,
    readout: tuple[Array, Array] | None,
    read: str,
) -> Model:
    """The model of recurrent layers, each with its parameters for each way that it reads, and of
    what stands around them in a `Net`; of float64 where an array is, else of float32.

    Raises ConfigError for what does not fit.
    """
    stack: dict[str, Layer] = {}
    values: dict[str, Array] = {}
    if embedding is not None:
        stack["embedding"] = Embedding(*embedding.shape)
        values["embedding.E"] = embedding
    for k, (layer, params) in enumerate(layers, 1):
        place = f"layer{k}"
        stack[place] = layer
        for way, named in zip(layer.recurrent(), params, strict=True):
            values |= {join(join(place, way), name): value for name, value in named.items()}
    width = layers[-1][0].output_size
    W, b = readout or (np.eye(width, dtype="float32"), np.zeros(width, "float32"))
    values |= {"readout.W_y": W, "readout.b_y": b}
    dtype = str(np.result_type(*{value.dtype for value in values.values()}))
    as_typed = {name: np.ascontiguousarray(v, dtype) for name, v in values.items()}
    top = Readout(width, len(b), read, dtype=dtype)
    return Model.of(Stack(stack).with_dtype(dtype), top, as_typed)


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
