"""Recurrent cells: the textbook's equations, and what a cell says of itself. No training, no files.

A cell maps (parameters, state, input) to the next state. x is (B, I), every part of a state is
(B, H), and a weight matrix stands to the right of the row [h, x], so W is (H + I, H).
`equations` returns every value of a step by its symbol, in the order of the equations: the next
state is among them, and so is what a picture wants to name.

What is said beside the equations (title, gates, line, places) is for words and pictures only; no
number depends on it. A subclass with equations of its own says nothing until it says it anew, so
that no word of one cell is told of another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError, check_count
from minigrad import Expr

Params = Mapping[str, Expr]
Values = dict[str, Expr]
Shape = tuple[int, ...]
Seed = int | np.random.Generator
Place = tuple[float, float]
Places = Mapping[str, Place]


class Gate(NamedTuple):
    """A gate in words: what it is called, and what it does where it is 1 and where it is 0.

    >>> Gate("f", "forget gate", one="keeps C", zero="drops C").name
    'forget gate'
    """

    symbol: str
    name: str = ""
    one: str = ""
    zero: str = ""


class Line(NamedTuple):
    """The part of the state that comes back multiplied elementwise, and what by: f, or 1 − z."""

    symbol: str
    factor: str


class RNNState(NamedTuple):
    """What a cell without a cell line carries from step to step."""

    h: Expr


class LSTMState(NamedTuple):
    """Hidden state h and cell state C."""

    h: Expr
    C: Expr


State = RNNState | LSTMState
S = TypeVar("S", RNNState, LSTMState)


@dataclass(frozen=True)
class Cell(ABC, Generic[S]):
    """What all cells share: sizes, initial values, and `step` on top of `equations`.

    dtype is "float32" or "float64". Raises ConfigError for a size below one or another dtype.
    """

    input_size: int
    hidden_size: int
    dtype: str = "float32"

    name: ClassVar[str]
    weights: ClassVar[str]
    """A letter for each weight matrix."""
    state_type: ClassVar[Any]
    """A NamedTuple of what is carried; one part is h, which the readout reads."""

    title: ClassVar[str | None] = None
    """What headings call the cell, such as "LSTM with peepholes"; its name where None."""
    line: ClassVar[str | None] = None
    """The part of the state that lasts, where the equations have several that could be it."""
    gates: ClassVar[tuple[Gate, ...] | None] = None
    """Its gates in words; None: what can be told from the equations."""
    places: ClassVar[Places | None] = None
    """Where the ops of a step stand on paper, in points, y downwards: {"C": (159.0, 0.0)}. An op
    without a symbol is named by its way down from one: "C.0" is the first argument of C. "x" is
    the input. None, or an op without a place, leaves all to Graphviz."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "equations" in cls.__dict__:
            for said in ("title", "line", "gates", "places"):
                if said not in cls.__dict__:
                    setattr(cls, said, None)

    def __post_init__(self) -> None:
        for field in ("input_size", "hidden_size"):
            # As an int, since a file keeps it as JSON.
            object.__setattr__(self, field, check_count(field, getattr(self, field)))
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype must be 'float32' or 'float64', not {self.dtype!r}")

    @abstractmethod
    def equations(self, params: Params, state: S, x: Expr) -> Values:
        """Every value of one step by its symbol, in order; the new state's parts are among them."""

    def step(self, params: Params, state: S, x: Expr) -> S:
        """The state after reading x (B, I)."""
        return self.state_of(self.equations(params, state, x))

    def state_of(self, values: Values) -> S:
        """The state among the values of a step."""
        return cast(S, self.state_type(*[values[part] for part in self.state_type._fields]))

    def shapes(self) -> dict[str, Shape]:
        """Names and shapes of the parameters: W (H + I, H) and b (H,) for each of `weights`."""
        H, I = self.hidden_size, self.input_size  # noqa: E741
        weights: dict[str, Shape] = {f"W_{w}": (H + I, H) for w in self.weights}
        return weights | {f"b_{w}": (H,) for w in self.weights}

    def init(self, seed: Seed) -> dict[str, NDArray[Any]]:
        """New parameters: U(-1/√H, 1/√H) for weights, zero for biases but those that a gate needs.

        The same integer gives the same values; a Generator is drawn from. Random biases were tried:
        one of 16 seeds then learned the adding problem late, and none with these.

        >>> from lstm.cells import RNN
        >>> {name: value.shape for name, value in RNN(2, 3).init(seed=0).items()}
        {'W_h': (5, 3), 'b_h': (3,)}
        """
        rng = np.random.default_rng(seed)
        bound = self.hidden_size**-0.5
        biases = self._biases()
        return {
            name: np.full(shape, biases.get(name, 0.0), self.dtype)
            if name.startswith("b_")
            else rng.uniform(-bound, bound, shape).astype(self.dtype)
            for name, shape in self.shapes().items()
        }

    def _biases(self) -> dict[str, float]:
        """The biases that do not start at zero."""
        return {}

    def initial_state(self, batch: int) -> S:
        """A state of zeros, each part (batch, H)."""
        shape = (check_count("batch", batch), self.hidden_size)
        zero = mg.const(np.zeros(shape, self.dtype))
        return cast(S, self.state_type(*[zero for _ in self.state_type._fields]))
