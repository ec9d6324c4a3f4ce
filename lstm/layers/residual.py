"""A layer whose input is added to what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lstm.errors import ConfigError
from lstm.layers.base import Context, Derived, Layer, Rng, Steps, check_layer
from lstm.params import Tree

if TYPE_CHECKING:
    from typing import Self

    from lstm.layers.recurrent import Recurrent


@dataclass(frozen=True)
class Residual(Derived):
    """xs + layer(xs): He et al., "Deep residual learning for image recognition", 2016; between LSTM
    layers in Wu et al., "Google's neural machine translation system", 2016.

    Its parameters and its state are the layer's. Raises ConfigError for a layer that gives another
    size than it reads, or that reads tokens.
    """

    layer: Layer

    name: ClassVar[str] = "residual"

    def __post_init__(self) -> None:
        layer = check_layer(self.layer)
        self._derive(layer.input_size, layer.output_size, layer.dtype)
        if layer.tokens or self.input_size != self.output_size:
            reads = "tokens" if layer.tokens else f"{self.input_size} units"
            raise ConfigError(
                f"a residual layer adds its input to its output, so that both have one size; it "
                f"reads {reads}, and gives {self.output_size} units"
            )

    def shapes(self) -> Tree:
        return self.layer.shapes()

    def init(self, rng: Rng) -> Tree:
        return self.layer.init(rng)

    def initial_state(self, batch: int) -> Tree:
        return self.layer.initial_state(batch)

    def recurrent(self) -> dict[str, Recurrent]:
        return self.layer.recurrent()

    def with_dtype(self, dtype: str) -> Self:
        return type(self)(self.layer.with_dtype(dtype))

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        steps, last = self.layer.run(params, xs, state, context)
        return steps.map(lambda new, old: new + old, xs), last
