"""Layers, each of which reads what the one before it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from lstm.errors import ConfigError
from lstm.layers.base import Context, Derived, Layer, Rng, Steps, check_layer
from lstm.params import Tree, check_name, join

if TYPE_CHECKING:
    from typing import Self

    from lstm.layers.recurrent import Recurrent


@dataclass(frozen=True)
class Stack(Derived):
    """Layers by their names, in order; the parameters and the state of each are below its name.

    Raises ConfigError where there is none, where one does not fit the one before it, and for a name
    that is empty or has a dot in it.

    >>> import lstm
    >>> first = lstm.Recurrent(lstm.LSTM(2, 3))
    >>> stack = lstm.Stack({"first": first, "dropout": lstm.Dropout(3, 0.5)})
    >>> stack.input_size, stack.output_size, list(stack.shapes()["first"])[:2]
    (2, 3, ['W_f', 'W_i'])
    """

    layers: Mapping[str, Layer]

    name: ClassVar[str] = "stack"

    def __post_init__(self) -> None:
        if not isinstance(self.layers, Mapping) or not self.layers:
            raise ConfigError(f"a stack is of one or more layers by name, not {self.layers!r:.60}")
        self._set("layers", {check_name(k): check_layer(v) for k, v in self.layers.items()})
        for (below, first), (name, layer) in pairwise(self.layers.items()):
            fits = (layer.input_size, layer.dtype) == (first.output_size, first.dtype)
            if layer.tokens or not fits:
                units = f"{layer.input_size} units of {layer.dtype}"
                reads = "tokens" if layer.tokens else units
                raise ConfigError(
                    f"layer {name!r} reads {reads}, but {below!r} before it gives "
                    f"{first.output_size} units of {first.dtype}"
                )
        *_, last = self.layers.values()
        self._derive(self._first.input_size, last.output_size, last.dtype)

    @property
    def _first(self) -> Layer:
        return next(iter(self.layers.values()))

    @property
    def tokens(self) -> bool:  # type: ignore[override]
        """Whether the first layer reads tokens."""
        return self._first.tokens

    def shapes(self) -> Tree:
        return {name: s for name, layer in self.layers.items() if (s := layer.shapes())}

    def init(self, rng: Rng) -> Tree:
        return {name: v for name, layer in self.layers.items() if (v := layer.init(rng))}

    def initial_state(self, batch: int) -> Tree:
        return {name: s for name, layer in self.layers.items() if (s := layer.initial_state(batch))}

    def recurrent(self) -> dict[str, Recurrent]:
        return {
            join(name, place): inner
            for name, layer in self.layers.items()
            for place, inner in layer.recurrent().items()
        }

    def with_dtype(self, dtype: str) -> Self:
        return type(self)({name: layer.with_dtype(dtype) for name, layer in self.layers.items()})

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        last = {}
        for name, layer in self.layers.items():
            xs, end = layer.run(params.get(name, {}), xs, state.get(name, {}), context.split(name))
            if name in state:
                last[name] = end
        return xs, last
