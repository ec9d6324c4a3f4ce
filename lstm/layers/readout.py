"""What a model says: a linear function of the top layer's steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lstm.errors import ConfigError
from lstm.layers.base import Context, Layer, Rng, Steps
from lstm.params import Tree

READS = ("last", "every")


@dataclass(frozen=True)
class Readout(Layer):
    """y = h·W_y + b_y, with W_y (F, O) and b_y (O,).

    read: "last" for what a sequence comes to, (B, O), or "every" for one output a step, (T, B, O).
    W_y starts as U(-1/√F, 1/√F), b_y at 0. Raises ConfigError for another `read`.
    """

    read: str = "last"

    name: ClassVar[str] = "readout"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.read not in READS:
            raise ConfigError(f"a readout reads 'last' or 'every', not {self.read!r:.40}")

    def shapes(self) -> Tree:
        return {"W_y": (self.input_size, self.output_size), "b_y": (self.output_size,)}

    def init(self, rng: Rng) -> Tree:
        bound = self.input_size**-0.5
        weights = rng.uniform(-bound, bound, (self.input_size, self.output_size))
        return {"W_y": weights.astype(self.dtype), "b_y": np.zeros(self.output_size, self.dtype)}

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        return xs.map(lambda h: h @ params["W_y"] + params["b_y"]), {}
