"""What every contender of models.py is given: a model of lstm, its weights, and a batch.

Contenders beside minigrad have a layer's gates side by side: W_x (I, 4H), W_h (H, 4H), b (4H,), in
the order i, f, C̃, o, which is torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm import Model
from lstm.cells import LSTM

Array = NDArray[Any]
GATES = "ifCo"
DROPOUT = 0.2


@dataclass(frozen=True)
class Case:
    """One model and one batch, float32, time first."""

    name: str
    model: Model
    xs: Array
    """(T, B, I), or tokens (T, B)."""
    targets: Array
    """(B, 1) of a readout of the last step, or labels (T, B) of one of every step."""
    lengths: Array | None = None
    """(B,), falling, the first one T."""
    dropout: float = 0.0

    @property
    def every(self) -> bool:
        """Whether each step has a target: then the loss is cross-entropy, else squares."""
        return self.model.readout.read == "every"

    def weights(self) -> dict[str, list[dict[str, Array]]]:
        """Of each recurrent layer, below its number from 0, those of each direction."""
        values = self.model.values()
        layers: dict[str, list[dict[str, Array]]] = {}
        for place in self.model.recurrent():
            gates = {g: (values[f"{place}.W_{g}"], values[f"{place}.b_{g}"]) for g in GATES}
            H = gates["i"][1].size
            layers.setdefault(place.split(".")[0], []).append(
                {
                    "W_h": np.concatenate([w[:H] for w, _ in gates.values()], 1),
                    "W_x": np.concatenate([w[H:] for w, _ in gates.values()], 1),
                    "b": np.concatenate([b for _, b in gates.values()]),
                }
            )
        return layers


def stacked(rng: np.random.Generator, dropout: float) -> dict[str, Any]:
    """Two bidirectional layers of an LSTM, read at the end: squares."""
    T, B, I, H = 50, 16, 8, 32  # noqa: E741
    return {
        "model": Model.create(LSTM(I, H), 1, layers=2, bidirectional=True, dropout=dropout),
        "xs": rng.standard_normal((T, B, I), dtype=np.float32),
        "targets": rng.standard_normal((B, 1), dtype=np.float32),
    }


def character(rng: np.random.Generator, dropout: float) -> dict[str, Any]:
    """Characters through an embedding and an LSTM, the next one told at every step."""
    T, B, F, H, V = 64, 32, 64, 128, 64
    text = rng.integers(0, V, (T + 1, B))
    return {
        "model": Model.create(LSTM(F, H), V, vocabulary=V, readout="every", input_dropout=dropout),
        "xs": text[:-1],
        "targets": text[1:],
    }


KINDS: dict[str, Callable[..., dict[str, Any]]] = {"stacked": stacked, "char": character}
VARIANTS = ("plain", "lengths", "dropout")


def make_case(kind: str, variant: str) -> Case:
    """The same numbers in every run."""
    rng = np.random.default_rng(0)
    dropout = DROPOUT if variant == "dropout" else 0.0
    parts = KINDS[kind](rng, dropout)
    lengths = None
    if variant == "lengths":
        steps, batch = parts["xs"].shape[:2]
        lengths = np.sort(rng.integers(steps // 2, steps + 1, batch))[::-1].copy()
        lengths[0] = steps
    return Case(f"{kind}, {variant}", lengths=lengths, dropout=dropout, **parts)


@dataclass
class Contender:
    """One way to run a step: loss, gradient, and Adam's update."""

    run: Callable[[], float]
    """One step, computed to its end; its loss before the update."""
