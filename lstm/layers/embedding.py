"""Integer tokens in, a vector for each out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import minigrad as mg
from lstm.arguments import within
from lstm.layers.base import Context, Layer, Rng, Steps
from lstm.params import Tree
from minigrad import Expr


@dataclass(frozen=True)
class Embedding(Layer):
    """A row of E (V, F) for each token 0 … V-1: what a linear layer does to one-hot vectors.

    input_size is V, and a sequence is of integers, (T, B). Rows start normal, of variance 1. A
    token out of range is a ConfigError that names it, wherever it becomes known.

    >>> steps = Steps.of(mg.const([[0, 2]]))
    >>> E = mg.const([[1.0], [2.0], [4.0]])
    >>> Embedding(3, 1).run({"E": E}, steps, {}, Context())[0].each.eval().tolist()
    [[[1.0], [4.0]]]
    """

    name: ClassVar[str] = "embedding"
    tokens: ClassVar[bool] = True

    def shapes(self) -> Tree:
        return {"E": (self.input_size, self.output_size)}

    def init(self, rng: Rng) -> Tree:
        return {"E": rng.standard_normal((self.input_size, self.output_size)).astype(self.dtype)}

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        def rows(tokens: Expr) -> Expr:
            return mg.take(params["E"], within(tokens, 0, self.input_size - 1, "token"), axis=0)

        return xs.map(rows), {}
