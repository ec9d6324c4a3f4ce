"""Keras's LSTM, GRU and SimpleRNN: the weights of their layers in. Keras is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lstm.cells import GRU, LSTM, RNN, Cell, GRUAfter
from lstm.errors import ConfigError, check_flag
from lstm.interop.assembled import Net, model_of_net
from lstm.interop.gates import Array, Weights
from lstm.interop.tensors import float_array
from lstm.model import Model

_ORDERS: dict[int, str] = {4: "ifCo", 3: "zrh", 1: "h"}
"""By how many gates and candidates have their columns in one matrix: their letters."""


def from_keras(
    weights: Sequence[Any],
    *,
    readout: Sequence[Any] | None = None,
    embedding: Sequence[Any] | None = None,
    read: str = "last",
    reset_after: bool = True,
    activation: str = "tanh",
) -> Model:
    """The model that layers of Keras are: LSTM, GRU or SimpleRNN, or Bidirectional ones of them.

    weights: the list that a layer's `get_weights()` gives, or a list of such lists of layers above
        each other. readout, embedding: the same of a Dense layer that reads them, without an
        activation, and of an Embedding before them. Without a Dense the output is what the top
        layer gives.
    read: "last" for an output (B, O), "every" for one of every step, (T, B, O); here time comes
        first.
    reset_after: of a GRU without biases; with biases their shape says it. A GRU whose reset gate
        acts after the product is a `GRUAfter`, else a `GRU`.
    activation: of a SimpleRNN, "tanh" or "relu", which weights do not say.

    Other activations than Keras's usual ones cannot be told from weights, and are not there.
    Raises ConfigError for what is no such list.

    >>> import lstm
    >>> rng = np.random.default_rng(0)
    >>> model = from_keras([rng.standard_normal(shape) for shape in [(2, 9), (3, 9), (2, 9)]])
    >>> type(model.cell).__name__, model.run(rng.standard_normal((7, 5, 2))).output.shape
    ('GRUAfter', (5, 3))
    """
    check_flag("reset_after", reset_after)
    stack = [_arrays(one, f"layer {k}") for k, one in enumerate(_layers_of(weights), 1)]
    cell = _cell_of(stack, reset_after, activation)
    net, width = [], cell.input_size
    for k, arrays in enumerate(stack, 1):
        net.append(_ways(arrays, cell, width, f"layer {k}"))
        width = len(net[-1]) * cell.hidden_size
    rows = None if embedding is None else _arrays(embedding, "the embedding")
    dense = None if readout is None else _arrays(readout, "the readout")
    if rows is not None:
        _check(rows, [(None, cell.input_size)], "the embedding")
    if dense is not None:
        _check(dense, [(width, None), (None,)][: len(dense)], "the readout")
        outputs = dense[0].shape[1]
        dense = [*dense, np.zeros(outputs, dense[0].dtype)][:2]
        _check(dense, [(width, outputs), (outputs,)], "the readout")
    return model_of_net(
        Net(
            cell,
            net,
            None if rows is None else rows[0],
            None if dense is None else (dense[0], dense[1]),
        ),
        read,
    )


def _layers_of(weights: Any) -> list[Any]:
    """The lists of layers, of one list or of several."""
    if not isinstance(weights, Sequence) or isinstance(weights, (str, bytes)) or not len(weights):
        raise ConfigError(
            "weights are the list that a layer's get_weights() gives, or a list of such lists, not "
            f"{weights!r:.40}"
        )
    return list(weights) if isinstance(weights[0], (list, tuple)) else [weights]


def _arrays(weights: Any, what: str) -> list[Array]:
    if not isinstance(weights, (list, tuple)) or not weights:
        raise ConfigError(f"of {what} the list is needed that get_weights() gives")
    return [float_array(w, f"{k} of {what}") for k, w in enumerate(weights)]


def _cell_of(stack: list[list[Array]], reset_after: bool, activation: str) -> Cell[Any]:
    """The cell of the first layer, as the shapes of its arrays tell."""
    first = stack[0]
    if len(first) not in (2, 3, 4, 6) or first[0].ndim != 2 or first[1].ndim != 2:
        raise ConfigError(
            "a layer of Keras has a kernel (I, G·H), a recurrent kernel (H, G·H) and a bias, or no "
            f"bias, and of both ways twice as many; here are {_shapes(first)}"
        )
    (size, columns), inputs = first[1].shape, first[0].shape[0]
    count = columns // size if size else 0
    if count not in _ORDERS or columns % size:
        raise ConfigError(
            f"the recurrent kernel is {first[1].shape}: columns of {count} gates of {size} units; "
            "an LSTM has 4, a GRU 3, a SimpleRNN 1"
        )
    if len(first) in (3, 6):
        reset_after = first[2].ndim == 2
    kinds = {4: LSTM, 3: GRUAfter if reset_after else GRU, 1: RNN}
    cell: Cell[Any] = kinds[count](inputs, size)
    if activation == "relu" and isinstance(cell, RNN):
        return replace(cell, rectified=True)
    if activation != "tanh":
        raise ConfigError(
            f"activation= is 'tanh' or 'relu', of a SimpleRNN, not {activation!r:.40} of a "
            f"{'SimpleRNN' if isinstance(cell, RNN) else 'gated layer'}"
        )
    return cell


def _ways(arrays: list[Array], cell: Cell[Any], width: int, what: str) -> list[dict[str, Weights]]:
    """The gates of a layer, for each way that it reads."""
    size = cell.hidden_size
    order = _ORDERS[{LSTM: 4, RNN: 1}.get(type(cell), 3)]
    columns = len(order) * size
    ways = 2 if len(arrays) in (4, 6) else 1
    bias = (2, columns) if isinstance(cell, GRUAfter) else (columns,)
    each = [(width, columns), (size, columns), bias][: len(arrays) // ways]
    _check(arrays, each * ways, what)
    made: list[dict[str, Weights]] = []
    for k in range(0, len(arrays), len(each)):
        x, h, *rest = arrays[k : k + len(each)]
        b = rest[0] if rest else np.zeros(bias, x.dtype)
        two = b if b.ndim == 2 else np.stack([b, np.zeros_like(b)])
        parts = [np.split(array, len(order), axis=-1) for array in (x, h, two[0], two[1])]
        made.append({g: Weights(*of_gate) for g, *of_gate in zip(order, *parts, strict=True)})
    return made


def _check(arrays: list[Array], shapes: Sequence[tuple[int | None, ...]], what: str) -> None:
    """Raise ConfigError unless the arrays have these shapes; None is any size."""
    fits = len(arrays) == len(shapes) and all(
        array.ndim == len(shape)
        and all(n in (None, size) for n, size in zip(shape, array.shape, strict=True))
        for array, shape in zip(arrays, shapes, strict=True)
    )
    if not fits:
        spelled = ", ".join(str(shape).replace("None", "…") for shape in shapes)
        raise ConfigError(f"the weights of {what} are {_shapes(arrays)}, and not {spelled}")


def _shapes(arrays: list[Array]) -> str:
    return ", ".join(str(array.shape) for array in arrays[:6]) or "none"
