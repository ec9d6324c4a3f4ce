"""Layer normalisation between layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from lstm.cells.layer_norm import standardised
from lstm.layers.base import Context, Layer, Rng, Steps
from lstm.params import Tree
from minigrad import Expr


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Ba, Kiros & Hinton, "Layer normalization", 2016: each step is shifted and scaled to mean 0
    and variance 1 over its units, then by a gain g (F,) and a bias b (F,), which start at 1 and 0.

    >>> import minigrad as mg
    >>> layer = LayerNorm(2)
    >>> steps = Steps.of(mg.const([[[1.0, 3.0]]], "float32"))
    >>> layer.run(layer.init(np.random.default_rng(0)), steps, {}, Context())[0].end.eval().round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    output_size: int = field(init=False, repr=False)

    name: ClassVar[str] = "norm"

    def __post_init__(self) -> None:
        self._set("output_size", self.input_size)
        super().__post_init__()

    def shapes(self) -> Tree:
        return {"g": (self.input_size,), "b": (self.input_size,)}

    def init(self, rng: Rng) -> Tree:
        return {
            "g": np.ones(self.input_size, self.dtype),
            "b": np.zeros(self.input_size, self.dtype),
        }

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        def normalised(x: Expr) -> Expr:
            y: Expr = standardised(x) * params["g"] + params["b"]
            return y

        return xs.map(normalised), {}
