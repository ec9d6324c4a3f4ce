"""What a model says: a linear function of the top layer's steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from lstm.errors import ConfigError
from lstm.layers.base import Context, Layer, Steps, masked
from lstm.params import Tree
from minigrad import Expr


class Answer(NamedTuple):
    """What a readout says."""

    output: Expr
    """(B, O), or (T, B, O) of every step; of a decoder (U, B, O), one for each token it says."""
    attention: Expr | None = None
    """(U, B, S): the weights of a decoder with attention, of each token over the S steps read."""


@dataclass(frozen=True)
class Readout(Layer):
    """y = h·W_y + b_y, with W_y (F, O) and b_y (O,).

    read: "last" for what a sequence comes to, (B, O), or "every" for one output a step, (T, B, O).
    Raises ConfigError for another `read`.
    """

    read: str = "last"

    name: ClassVar[str] = "readout"
    reads: ClassVar[tuple[str, ...]] = ("last", "every")
    """What `read` can be."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.read not in self.reads:
            ways = " or ".join(map(repr, self.reads))
            raise ConfigError(f"a {self.name} reads {ways}, not {self.read!r:.40}")

    @property
    def draws(self) -> bool:
        """Whether, in training, some of what it says depends on draws."""
        return False

    @property
    def attends(self) -> bool:
        """Whether it says of what steps each output is made, `Answer.attention`."""
        return False

    def shapes(self) -> Tree:
        return {"W_y": (self.input_size, self.output_size), "b_y": (self.output_size,)}

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        return xs.map(lambda h: h @ params["W_y"] + params["b_y"]), {}

    def answer(self, params: Tree, xs: Steps, context: Context, targets: Any = None) -> Answer:
        """The output, 0 where a step that is asked for is padding. Raises ConfigError for targets,
        which a decoder takes."""
        if targets is not None:
            raise ConfigError(
                f"targets= tell a decoder what it said before; a readout that reads {self.read!r} "
                "takes none"
            )
        read, _ = self.run(params, xs, {}, context)
        if self.read == "last":
            return Answer(read.end)
        return Answer(read.stacked if context.mask is None else masked(context.mask, read.stacked))
