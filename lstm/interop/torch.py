"""PyTorch's nn.LSTM, nn.GRU and nn.RNN: their state dicts in, and out. torch is not imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lstm.cells import LSTM, RNN, Cell, GRUAfter
from lstm.errors import ConfigError
from lstm.interop.around import Asked, with_ends
from lstm.interop.assembled import Net, model_of_net, net_of_model
from lstm.interop.gates import Array, Weights
from lstm.interop.tensors import named_tensors
from lstm.model import Model
from lstm.params import join, listed

_KINDS: dict[int, tuple[type[Cell[Any]], str]] = {
    4: (LSTM, "ifCo"),
    3: (GRUAfter, "rzh"),
    1: (RNN, "h"),
}
"""By how many gates and candidates have their rows in one matrix: the cell, and the letters."""
_NAME = re.compile(r"(?:(.*)\.)?((?:weight|bias)_(?:ih|hh|hr))_l([0-9]{1,4})(_reverse)?", re.DOTALL)
_ORDERS = dict(_KINDS.values())

Ends: TypeAlias = dict[tuple[int, bool], dict[str, str]]
"""For each layer, from 0, and direction, True where it reads backward: the names of its tensors, by
what they are, such as "weight_ih"."""


def from_torch(
    weights: Mapping[str, Any] | str | Path,
    *,
    prefix: str | None = None,
    readout: str | None = None,
    embedding: str | None = None,
    read: str = "every",
    nonlinearity: str = "tanh",
) -> Model:
    """The model that a net of torch is: an nn.LSTM, nn.GRU or nn.RNN, all layers and directions,
    with the Linear that reads it and the Embedding before it, where there are.

    weights: the state dict, names to tensors (or arrays), or the path of a .safetensors file.
    prefix: the name of the recurrent module in the net, as "encoder.rnn"; None: the only one.
    readout, embedding: the names of the Linear and of the Embedding. None: what shapes leave no
        choice about, if all that is there is of these three; with a prefix, none. A map that could
        be either of them by its shape, or a Linear before the layers, is asked for: without a bias
        and with I = H, or of I outputs. Without a Linear the output is what the top layer gives.
    read: "every" for an output of every step, (T, B, O), "last" for one of h_n, (B, O).
    nonlinearity: of an nn.RNN, "tanh" or "relu", which a state dict does not say.

    An nn.GRU is a `GRUAfter`. Two biases come in as their sum, but for those of a GRU's candidate;
    without biases they are 0. The model is of float64 where a tensor is that it takes, else of
    float32.
    Raises ConfigError for what is no such net, and ModelFileError for a file that is missing,
    damaged, or no safetensors; a .pt file is a pickle, and is never opened.

    >>> rng = np.random.default_rng(0)
    >>> shapes = {"weight_ih_l0": (12, 2), "weight_hh_l0": (12, 3)}
    >>> model = from_torch({name: rng.standard_normal(shape) for name, shape in shapes.items()})
    >>> model.cell, model.run(rng.standard_normal((7, 5, 2))).output.shape
    (LSTM(input_size=2, hidden_size=3, dtype='float64', forget_bias=1.0), (7, 5, 3))
    """
    with named_tensors(weights) as tensors:
        modules = _modules(tensors)
        place = _place(modules, prefix, tensors)
        net = _recurrent(tensors, modules[place])
        if nonlinearity != "tanh":
            net = net._replace(cell=_of_relu(net.cell, nonlinearity))
        used = {name for names in modules[place].values() for name in names.values()}
        asked = Asked(readout, embedding, whole=prefix is None)
        return model_of_net(with_ends(net, tensors, set(tensors) - used, asked), read)


def to_torch(
    model: Model, *, prefix: str = "", readout: str | None = None, embedding: str | None = None
) -> dict[str, Array]:
    """The state dict of the nn.LSTM, nn.GRU or nn.RNN that a model's recurrent layers are, as
    arrays by torch's names; `module.load_state_dict` takes it, as tensors.

    prefix: the name of that module in a net. readout, embedding: the names of the Linear and the
    Embedding that shall be there as well; None: they are left out.

    Each bias goes out as (b, 0), but for those of a GRU's candidate, of which there are two here
    too. A state dict does not say that an RNN is rectified: its module is made with
    nonlinearity="relu". Raises ConfigError where torch has no such layers: of other cells, `GRU`
    among them, whose reset gate acts before the product; of sizes that differ; with zoneout, norms
    and the like.

    >>> import lstm
    >>> model = Model.create(lstm.LSTM(2, 3), output_size=1)
    >>> {name: array.shape for name, array in to_torch(model, readout="fc").items()}["fc.weight"]
    (1, 3)
    """
    net = net_of_model(model, "torch")
    order = _ORDERS.get(type(net.cell))
    if order is None:
        way = "; its reset gate acts after the product, as in GRUAfter" * (net.cell.name == "gru")
        raise ConfigError(f"torch has no module for the cell {type(net.cell).__name__}{way}")
    arrays: dict[str, Array] = {}
    if embedding is not None:
        if net.embedding is None:
            raise ConfigError("embedding= names an Embedding, and the model has none")
        arrays[join(embedding, "weight")] = net.embedding
    for layer, ways in enumerate(net.layers):
        for gates, suffix in zip(ways, ("", "_reverse"), strict=False):
            rows = [gates[letter] for letter in order]
            for what, parts in {
                "weight_ih": [w.x.T for w in rows],
                "weight_hh": [w.h.T for w in rows],
                "bias_ih": [w.b for w in rows],
                "bias_hh": [w.b_h for w in rows],
            }.items():
                arrays[join(prefix, f"{what}_l{layer}{suffix}")] = np.concatenate(parts)
    if readout is not None and net.readout is not None:
        W, b = net.readout
        arrays |= {join(readout, "weight"): np.ascontiguousarray(W.T), join(readout, "bias"): b}
    return arrays


def _of_relu(cell: Cell[Any], nonlinearity: str) -> Cell[Any]:
    if nonlinearity != "relu" or not isinstance(cell, RNN):
        raise ConfigError(
            f"nonlinearity= is 'tanh' or 'relu', of an nn.RNN, not {nonlinearity!r:.40} of an "
            f"{type(cell).__name__}"
        )
    return replace(cell, rectified=True)


# --- the recurrent module --------------------------------------------------------------------


def _modules(names: Mapping[str, Any]) -> dict[str, Ends]:
    """The recurrent modules among names, by their own."""
    modules: dict[str, Ends] = {}
    for name in names:
        if match := _NAME.fullmatch(name):
            end = int(match[3]), match[4] is not None
            modules.setdefault(match[1] or "", {}).setdefault(end, {})[match[2]] = name
    return modules


def _place(modules: Mapping[str, Ends], prefix: str | None, names: Mapping[str, Any]) -> str:
    """The name of the one that is meant, or else of the only one."""
    if not modules:
        raise ConfigError(
            "there are no weights of an nn.LSTM, nn.GRU or nn.RNN, such as weight_ih_l0; there are "
            f"{listed(set(names)) or 'none at all'}"
        )
    names_there = listed({name or "'' (no name)" for name in modules})
    if prefix is None:
        if len(modules) > 1:
            raise ConfigError(f"prefix= says which recurrent module is meant: {names_there}")
        return next(iter(modules))
    place = prefix.removesuffix(".")
    if place not in modules:
        raise ConfigError(f"no recurrent module is called {place!r:.60}; there are {names_there}")
    return place


def _recurrent(tensors: Mapping[str, Array], ends: Ends) -> Net:
    """The layers of a module. Raises ConfigError for what is missing or does not fit."""
    layers = range(1 + max(layer for layer, _ in ends))
    ways = [False, True] if any(backward for _, backward in ends) else [False]
    if len(ends) < len(layers) * len(ways):
        raise ConfigError(
            f"of {len(layers)} layers that read {len(ways)} way(s) only {len(ends)} have weights"
        )
    cell = _cell_of(tensors, ends[0, False])
    order, width, net = _ORDERS[type(cell)], cell.input_size, []
    for layer in layers:
        net.append([_gates(tensors, ends[layer, way], order, width) for way in ways])
        width = len(ways) * cell.hidden_size
    return Net(cell, net)


def _cell_of(tensors: Mapping[str, Array], names: Mapping[str, str]) -> Cell[Any]:
    """The cell of the first layer, as its matrices' shapes tell."""
    if "weight_hr" in names:
        raise ConfigError(
            f"{listed({names['weight_hr']})} projects h (proj_size), which no cell of lstm does; "
            "one of your own may, and lstm.Model.of takes its values"
        )
    x, h = (_tensor(tensors, names, what) for what in ("weight_ih", "weight_hh"))
    if x.ndim != 2 or h.ndim != 2 or not h.size or h.shape[0] % h.shape[1]:
        raise ConfigError(
            f"{listed({*names.values()})} must be (G·H, I), (G·H, H) and biases, of G gates; here "
            f"weight_ih is {x.shape}, and weight_hh {h.shape}"
        )
    count, size = h.shape[0] // h.shape[1], h.shape[1]
    if count not in _KINDS:
        raise ConfigError(
            f"{listed({names['weight_hh']})} is {h.shape}: rows of {count} gates of {size} units; "
            "an nn.LSTM has 4, an nn.GRU 3, an nn.RNN 1"
        )
    return _KINDS[count][0](x.shape[1], size)


def _gates(
    tensors: Mapping[str, Array], names: Mapping[str, str], order: str, width: int
) -> dict[str, Weights]:
    """The gates of one layer and direction that reads so many units."""
    h = _tensor(tensors, names, "weight_hh")
    rows, size = len(h), len(h) // len(order)
    shapes = {"weight_ih": (rows, width), "weight_hh": (rows, size)}
    parts: list[list[Array]] = []
    for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        shape = shapes.get(what, (rows,))
        has_none = what not in shapes and not {"bias_ih", "bias_hh"} & set(names)
        array = np.zeros(rows, h.dtype) if has_none else _tensor(tensors, names, what)
        if array.shape != shape:
            raise ConfigError(f"{listed({names[what]})} is {array.shape}, and not {shape}")
        parts.append(np.split(array, len(order)))
    return {
        letter: Weights(x.T, h.T, b, b_h)
        for letter, x, h, b, b_h in zip(order, *parts, strict=True)
    }


def _tensor(tensors: Mapping[str, Array], names: Mapping[str, str], what: str) -> Array:
    if what not in names:
        beside = next(iter(names.values()))
        raise ConfigError(f"beside {listed({beside})} its {what} is missing")
    return tensors[names[what]]
