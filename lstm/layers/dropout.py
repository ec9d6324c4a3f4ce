"""Dropout between layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import minigrad as mg
from lstm.layers.base import Context, Layer, Steps, check_probability
from lstm.params import Tree
from minigrad import Expr


@dataclass(frozen=True)
class Dropout(Layer):
    """Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014:
    in training each element is 0 with probability p, and else divided by 1 - p, so that its
    expectation stays and evaluation changes nothing.

    Each element of a batch (T, B, F) has its own number of the key's, in row-major order. So the
    numbers of a step do not depend on how many steps or how much padding come after it; they do
    depend on where in the batch, and in a batch of how many, the sequence is. What is at the
    sequences' ends has numbers of its own, whatever step the end is at: read both ways, an end is
    of two steps at once. So where this layer is the last one, what a readout of the end sees is
    dropped by another mask than the last step of `outputs`. Raises ConfigError unless 0 ≤ p < 1.

    >>> steps = Steps.of(mg.ones((1, 1, 8), "float32"))
    >>> context = Context(key=mg.key(3), place="dropout1")
    >>> Dropout(8, 0.5).run({}, steps, {}, context)[0].each.eval()
    array([[[0., 2., 2., 0., 2., 0., 0., 2.]]], dtype=float32)
    """

    output_size: int = field(init=False, repr=False)
    p: float

    name: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        self._set("output_size", self.input_size)
        super().__post_init__()
        self._set("p", check_probability("p", self.p))

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        if context.key is None or not self.p:
            return xs, {}
        return xs.map(self._dropped, context.noise(xs)), {}

    def _dropped(self, x: Expr, noise: Expr) -> Expr:
        return mg.where(noise < self.p, 0.0, x / (1 - self.p))
