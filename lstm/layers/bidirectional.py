"""A layer that reads sequences both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import minigrad as mg
from lstm.errors import ConfigError
from lstm.layers.base import Context, Derived, Rng, Steps, check_layer
from lstm.layers.recurrent import Recurrent
from lstm.params import Tree

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Bidirectional(Derived):
    """Schuster & Paliwal, "Bidirectional recurrent neural networks", 1997: two recurrent layers of
    one kind, of which one reads from the last step to the first; each step gives what both have
    there side by side, 2H units.

    layer: the one that reads forward. Parameters and state are below "forward" and "backward". The
    end is what each has read last: of the one backward, at the first step.
    """

    layer: Recurrent

    name: ClassVar[str] = "bidirectional"

    def __post_init__(self) -> None:
        layer = check_layer(self.layer, Recurrent)
        if layer.reverse:
            raise ConfigError("the layer of a bidirectional one is that which reads forward")
        self._derive(layer.input_size, 2 * layer.output_size, layer.dtype)

    def recurrent(self) -> dict[str, Recurrent]:
        return {"forward": self.layer, "backward": replace(self.layer, reverse=True)}

    def shapes(self) -> Tree:
        return {way: layer.shapes() for way, layer in self.recurrent().items()}

    def init(self, rng: Rng) -> Tree:
        return {way: layer.init(rng) for way, layer in self.recurrent().items()}

    def initial_state(self, batch: int) -> Tree:
        return {way: layer.initial_state(batch) for way, layer in self.recurrent().items()}

    def with_dtype(self, dtype: str) -> Self:
        return type(self)(self.layer.with_dtype(dtype))

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        both = {
            way: layer.run(params[way], xs, state[way], context.split(way))
            for way, layer in self.recurrent().items()
        }
        (forward, _), (backward, _) = both.values()
        steps = forward.map(lambda a, b: mg.concat([a, b], axis=-1), backward)
        return steps, {way: last for way, (_, last) in both.items()}
