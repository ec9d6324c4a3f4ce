"""ONNX's nodes LSTM, GRU and RNN: a layer with its parameters of one, and one of a layer.

Gates stand below each other in matrices, (G·H, I) and (G·H, H), one for each way:
https://onnx.ai/onnx/operators/onnx__LSTM.html, and of GRU and RNN likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm.cells import GRU, LSTM, RNN, Cell, CoupledLSTM, GRUAfter, PeepholeLSTM
from lstm.errors import ConfigError
from lstm.interop.gates import Array, Weights, joined, parted
from lstm.interop.tensors import float_array
from lstm.layers import Bidirectional, Layer, Recurrent

ORDERS = {"LSTM": "iofC", "GRU": "zrh", "RNN": "h"}
"""The letters of the gates and candidates, as their rows stand."""
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
PEEPHOLES = "iof"
_USUAL = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}
_WAYS = {"forward": 1, "reverse": 1, "bidirectional": 2}


class RecurrentNode(NamedTuple):
    """A node, as a layer."""

    layer: Layer
    params: list[dict[str, Array]]
    """For each way, forward first."""
    batch_first: bool


def layer_of_node(node: Any, attributes: Mapping[str, Any], arrays: list[Array | None]) -> Any:
    """The layer that a node is, by its attributes and its arrays W, R, B and P.

    Raises ConfigError for what no cell expresses, and for sizes that do not fit.
    """
    kind = node.op_type
    if "clip" in attributes:
        raise ConfigError(
            f"it clips what activations read to ±{attributes['clip']:g}, which no cell does"
        )
    direction = attributes.get("direction", "forward")
    if direction not in _WAYS:
        raise ConfigError(f"its direction is {direction!r:.40}, and must be one of {[*_WAYS]}")
    ways, order = _WAYS[direction], ORDERS[kind]
    W, R, B, P = _checked(arrays, ways, order, attributes)
    cell = _cell_of(kind, attributes, ways, W.shape[2], R.shape[2], P is not None)
    params = [_params(type(cell), order, W[k], R[k], B[k]) for k in range(ways)]
    if P is not None:
        for of_way, rows in zip(params, P, strict=True):
            parts = zip(PEEPHOLES, np.split(rows, len(PEEPHOLES)), strict=True)
            of_way |= {f"p_{gate}": part for gate, part in parts}
    one = Recurrent(cell, reverse=direction == "reverse")
    layer = Bidirectional(one) if ways == 2 else one
    return RecurrentNode(layer, params, bool(attributes.get("layout", 0)))


def _checked(
    arrays: list[Array | None], ways: int, order: str, attributes: Mapping[str, Any]
) -> list[Any]:
    """W, R, B and P. Raises ConfigError for shapes that do not fit."""
    W, R, *others = [
        None if array is None else float_array(array, name)
        for name, array in zip("WRBP", arrays, strict=True)
    ]
    if W is None or R is None or W.ndim != 3 or R.ndim != 3 or not W.size or not R.size:
        shapes = [None if array is None else array.shape for array in (W, R)]
        raise ConfigError(f"its W and R are {shapes[0]} and {shapes[1]}, and not of three axes")
    I, H = W.shape[2], R.shape[2]  # noqa: E741
    rows = len(order) * H
    said = attributes.get("hidden_size", H)
    if said != H:
        raise ConfigError(f"its hidden_size is {said}, and its R is {R.shape}: of {H} units")
    sizes = {"W": (rows, I), "R": (rows, H), "B": (2 * rows,), "P": (3 * H,)}
    B, P = others
    B = np.zeros((ways, 2 * rows), R.dtype) if B is None else B
    for name, array in {"W": W, "R": R, "B": B, "P": P}.items():
        if array is not None and array.shape != (ways, *sizes[name]):
            raise ConfigError(f"its {name} is {array.shape}, and not {(ways, *sizes[name])}")
    return [W, R, B, P]


def _cell_of(
    kind: str, attributes: Mapping[str, Any], ways: int, inputs: int, size: int, peepholes: bool
) -> Cell[Any]:
    activations = [str(name).lower() for name in attributes.get("activations", [])]
    usual = _USUAL[kind] * ways
    if kind == "RNN" and activations == ["relu"] * ways:
        return RNN(inputs, size, rectified=True)
    if activations and activations != usual:
        beside = " (of an RNN Relu, too)" if kind == "RNN" else ""
        raise ConfigError(
            f"its activations are {', '.join(activations):.120}, which no cell has: those of "
            f"{kind} are {', '.join(usual)}{beside}"
        )
    if kind == "GRU":
        return (GRUAfter if attributes.get("linear_before_reset", 0) else GRU)(inputs, size)
    if kind == "RNN":
        return RNN(inputs, size)
    coupled = attributes.get("input_forget", 0)
    if coupled and peepholes:
        raise ConfigError(
            "it has peepholes, and gates that are coupled (input_forget), which no cell has both"
        )
    return (CoupledLSTM if coupled else PeepholeLSTM if peepholes else LSTM)(inputs, size)


def _params(kind: type[Cell[Any]], order: str, W: Array, R: Array, B: Array) -> dict[str, Array]:
    """The parameters of one way of a layer."""
    count = len(order)
    x, h = np.split(W, count), np.split(R, count)
    b, b_h = (np.split(half, count) for half in np.split(B, 2))
    gates = {letter: Weights(x[k].T, h[k].T, b[k], b_h[k]) for k, letter in enumerate(order)}
    if kind is CoupledLSTM:  # f = 1 - i there, i = 1 - f here; the file's own f is not read
        gates["f"] = _negated(gates.pop("i"))
    return joined(kind, gates)


def _negated(weights: Weights) -> Weights:
    """Of 1 - σ(a), which is σ(-a)."""
    return Weights(*[-array for array in weights])


# --- out -----------------------------------------------------------------------------------------

_NODES: dict[type[Cell[Any]], tuple[str, dict[str, Any]]] = {
    LSTM: ("LSTM", {}),
    PeepholeLSTM: ("LSTM", {}),
    CoupledLSTM: ("LSTM", {"input_forget": 1}),
    GRU: ("GRU", {"linear_before_reset": 0}),
    GRUAfter: ("GRU", {"linear_before_reset": 1}),
    RNN: ("RNN", {}),
}


def node_of_layer(
    cell: Cell[Any], params: Sequence[Mapping[str, Array]]
) -> tuple[str, dict[str, Any], dict[str, Array]] | None:
    """The op, the attributes and the arrays of a layer of cells, with its parameters for each way;
    None where there is no such node."""
    if type(cell) not in _NODES:
        return None
    op, attributes = _NODES[type(cell)]
    if getattr(cell, "rectified", False):
        attributes = {"activations": ["Relu"] * len(params)}
    order = ORDERS[op]
    ways = [parted(cell, of_way) for of_way in params]
    for gates in ways:
        if isinstance(cell, CoupledLSTM):  # with f, too, for who does not know coupled gates
            gates["i"] = _negated(gates["f"])
    arrays = {
        "W": np.stack([np.concatenate([gates[g].x.T for g in order]) for gates in ways]),
        "R": np.stack([np.concatenate([gates[g].h.T for g in order]) for gates in ways]),
        "B": np.stack(
            [
                np.concatenate([*(gates[g].b for g in order), *(gates[g].b_h for g in order)])
                for gates in ways
            ]
        ),
    }
    if isinstance(cell, PeepholeLSTM):
        rows = [np.concatenate([of_way[f"p_{g}"] for g in PEEPHOLES]) for of_way in params]
        arrays["P"] = np.stack(rows)
    return op, attributes, arrays
