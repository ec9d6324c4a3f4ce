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

    Each step of each sequence has its own mask. Raises ConfigError unless 0 ≤ p < 1.

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
