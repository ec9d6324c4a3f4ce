"""What every contender of lstm_step.py is given: sizes, weights, data, and how gates are packed.

Weights are the textbook's, W_g (H + I, H) and b_g (H,) for each gate g, rows [h, x]. Contenders
that are packed by hand keep W_x (I, n·H), W_h (H, n·H) and b (n·H,), the gates side by side;
`unpack` takes their gradients back, so that all can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm.cells import CELLS, AnyCell

Array = NDArray[Any]
Arrays = dict[str, Array]

RATE, BETA1, BETA2, EPS = 1e-4, 0.9, 0.999, 1e-8  # Adam's, where the update is included
ORDER = {"lstm": "fioC", "gru": "zrh", "rnn": "h"}  # gates as packed here


class Size(NamedTuple):
    """Steps, batch, inputs and hidden units."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int


SIZES = {
    "one": Size(100, 1, 2, 16),
    "tiny": Size(50, 16, 2, 32),
    "small": Size(100, 32, 2, 64),
    "long": Size(1000, 32, 2, 64),
    "medium": Size(200, 32, 64, 128),
    "large": Size(100, 64, 256, 256),
    "xl": Size(64, 64, 512, 512),
}


@dataclass(frozen=True)
class Case:
    """One training step's weights and data, float32."""

    size: Size
    cell: AnyCell
    params: Arrays
    xs: Array
    ys: Array


def make_case(cell_name: str, size: Size, remember: bool = False) -> Case:
    """The same numbers in every run.

    remember: gates start with a memory of T steps (a plain RNN has none, and stays as it is).
    Without, what flows back over hundreds of steps underflows, and denormal numbers slow down
    whoever does not flush them to zero.
    """
    rng = np.random.default_rng(0)
    kind: Any = CELLS[cell_name]
    gated = remember and cell_name != "rnn"
    cell = kind(size.I, size.H, memory=float(size.T)) if gated else kind(size.I, size.H)
    params = cell.init(rng)
    bound = size.H**-0.5
    params["W_y"] = rng.uniform(-bound, bound, (size.H, 1)).astype(np.float32)
    params["b_y"] = np.zeros(1, np.float32)
    xs = rng.standard_normal((size.T, size.B, size.I), dtype=np.float32)
    ys = rng.standard_normal((size.B, 1), dtype=np.float32)
    return Case(size, cell, params, xs, ys)


def flops(cell_name: str, size: Size) -> float:
    """Of the matrix products alone: forward, weight gradients, and back through h.

    The elementary functions of the gates come on top.
    """
    width = len(ORDER[cell_name]) * size.H
    forward = 2.0 * size.T * size.B * width * (size.I + size.H)
    return 2 * forward + 2.0 * size.T * size.B * width * size.H


def pack(params: Mapping[str, Array], order: str) -> Arrays:
    """The gates' weights side by side, in this order."""
    H = params[f"b_{order[0]}"].size
    weights = [params[f"W_{g}"] for g in order]
    return {
        "W_h": np.concatenate([w[:H] for w in weights], 1),
        "W_x": np.concatenate([w[H:] for w in weights], 1),
        "b": np.concatenate([params[f"b_{g}"] for g in order]),
        "W_y": params["W_y"].copy(),
        "b_y": params["b_y"].copy(),
    }


def unpack(packed: Mapping[str, Array], order: str) -> Arrays:
    """What `pack` was given."""
    pieces = {name: np.split(packed[name], len(order), -1) for name in ("W_h", "W_x", "b")}
    params = {}
    for k, g in enumerate(order):
        params[f"W_{g}"] = np.concatenate([pieces["W_h"][k], pieces["W_x"][k]])
        params[f"b_{g}"] = pieces["b"][k]
    return params | {"W_y": packed["W_y"], "b_y": packed["b_y"]}


@dataclass
class Contender:
    """One way to compute the step."""

    name: str
    run: Callable[[], Any]
    """One step, computed to its end."""
    read: Callable[[Any], tuple[float, Arrays]]
    """The loss and the gradients by the textbook's names (none with an update) of a run."""
    same: bool = True
    """Whether it computes the same function as the others."""
    notes: tuple[str, ...] = ()
