"""A cell's parameters gate by gate, in which all engines agree, and as the cell has them.

Engines have one matrix for x and one for h, and mostly a bias for each; the textbook has one matrix
for [h, x] and one bias. So two biases come in as their sum, and go out as (b, 0), but for the
candidate of `GRUAfter`, in which one of them is under the reset gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm.cells import GRU, Cell, GRUAfter

Array: TypeAlias = NDArray[Any]


class Weights(NamedTuple):
    """What makes the sum that a gate, or a candidate, is a function of."""

    x: Array
    """(I, H)"""
    h: Array
    """(H, H)"""
    b: Array
    """(H,)"""
    b_h: Array
    """(H,), beside what comes of h."""


def joined(kind: type[Cell[Any]], gates: Mapping[str, Weights]) -> dict[str, Array]:
    """The parameters of a cell of that kind, of its gates by the letters of its weights ("h" is a
    GRU's candidate). z is 1 where h stays, as engines have it.

    >>> from lstm.cells import RNN
    >>> one = Weights(np.ones((2, 3)), np.zeros((3, 3)), np.ones(3), np.ones(3))
    >>> params = joined(RNN, {"h": one})
    >>> params["W_h"].shape, params["b_h"].tolist()
    ((5, 3), [2.0, 2.0, 2.0])
    """
    params: dict[str, Array] = {}
    for letter, (x, h, b, b_h) in gates.items():
        if kind is GRUAfter and letter == "h":
            params |= {"W_h": x, "b_h": b, "U_h": h, "b_U": b_h}
            continue
        W, bias = np.concatenate([h, x]), b + b_h
        if kind is GRU and letter == "z":  # here 1 takes the candidate: 1 - σ(a) is σ(-a)
            W, bias = -W, -bias
        params |= {f"W_{letter}": W, f"b_{letter}": bias}
    return params


def parted(cell: Cell[Any], params: Mapping[str, Array]) -> dict[str, Weights]:
    """The opposite of `joined`, for the letters of the cell's weights in its order."""
    H = cell.hidden_size
    gates: dict[str, Weights] = {}
    for letter in cell.weights:
        W, bias = params[f"W_{letter}"], params[f"b_{letter}"]
        if type(cell) is GRU and letter == "z":
            W, bias = -W, -bias
        gates[letter] = Weights(W[H:], W[:H], bias, np.zeros_like(bias))
    if type(cell) is GRUAfter:
        gates["h"] = Weights(*[params[name] for name in ("W_h", "U_h", "b_h", "b_U")])
    return gates
