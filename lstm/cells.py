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
from math import isfinite, log
from numbers import Real
from sys import float_info
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.anatomy import Gate, Places
from lstm.errors import ConfigError, check_count
from minigrad import Expr, concat, sigmoid, tanh

Params = Mapping[str, Expr]
Values = dict[str, Expr]
Shape = tuple[int, ...]
Seed = int | np.random.Generator


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


def _memory_bias(memory: float) -> float:
    # Tallec & Ollivier 2018, section 3.1: a gate at σ(b) forgets with a time scale of 1 + e^b
    # steps, so ln(T-1) remembers for T. They draw T at random up to a maximum; here it is that.
    if not isinstance(memory, Real) or not 2 < memory <= float_info.max:
        raise ConfigError(f"memory must be more than 2 steps, and finite, not {memory!r:.40}")
    return log(memory - 1)


@dataclass(frozen=True)
class RNN(Cell[RNNState]):
    """The simple recurrent network (Elman, "Finding structure in time", 1990), with tanh.

    >>> cell = RNN(input_size=2, hidden_size=3)
    >>> params = {name: mg.param(name, value) for name, value in cell.init(seed=0).items()}
    >>> state = cell.step(params, cell.initial_state(batch=5), mg.zeros((5, 2), "float32"))
    >>> state.h.shape
    (5, 3)
    """

    name: ClassVar[str] = "rnn"
    title: ClassVar[str | None] = "RNN"
    weights: ClassVar[str] = "h"
    state_type: ClassVar[Any] = RNNState

    def equations(self, params: Params, state: RNNState, x: Expr) -> Values:
        h = tanh(concat([state.h, x], -1) @ params["W_h"] + params["b_h"])
        return {"h": h}


@dataclass(frozen=True)
class _Gated(Cell[S]):
    """A cell whose gates start open or closed on purpose.

    forget_bias: where b_f starts; 1 keeps the gate open at first (Jozefowicz, Zaremba & Sutskever,
        "An empirical exploration of recurrent network architectures", 2015).
    memory: start with a memory of that many steps instead: b_f = ln(T-1) and b_i = -ln(T-1)
        (Tallec & Ollivier, "Can recurrent neural networks warp time?", 2018, at the upper end).
    """

    forget_bias: float = 1.0
    memory: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isfinite(self.forget_bias):
            raise ConfigError(f"forget_bias must be finite, not {self.forget_bias!r}")
        self._biases()  # raises now for a memory that cannot be

    def _biases(self) -> dict[str, float]:
        if self.memory is None:
            return {"b_f": self.forget_bias}
        b = _memory_bias(self.memory)
        return {"b_f": b, "b_i": -b}


_LSTM_GATES = (
    Gate("f", "forget gate", one="keeps C", zero="drops C"),
    Gate("i", "input gate", one="takes the candidate", zero="leaves the candidate out"),
    Gate("o", "output gate", one="shows C in h", zero="hides C from h"),
)


def _lstm_places() -> dict[str, tuple[float, float]]:
    """As the textbook draws an LSTM: the line on top, four layers below, and h beside the input."""
    line, product, layer, bias, weight, joined, below = 0.0, 80.0, 160.0, 236.0, 322.0, 420.0, 494.0
    column, middle, right = 106.0, 159.0, 498.2
    places = {"C": (middle, line), "C.0": (0.0, line), "C.1": (middle, product)}
    places |= {"f.0.0.0": (middle, joined), "x": (middle, below)}
    places |= {"h": (right, joined), "h.1": (right, product)}
    for k, symbol in enumerate(("f", "i", "C̃", "o")):
        x = k * column
        places |= {symbol: (x, layer), f"{symbol}.0": (x, bias), f"{symbol}.0.0": (x, weight)}
    return places


_LSTM_PLACES = _lstm_places()


@dataclass(frozen=True)
class LSTM(_Gated[LSTMState]):
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers,
    Schmidhuber & Cummins, "Learning to forget", 2000.

    >>> cell = LSTM(input_size=2, hidden_size=3)
    >>> params = {name: mg.param(name, value) for name, value in cell.init(seed=0).items()}
    >>> state = cell.step(params, cell.initial_state(batch=5), mg.zeros((5, 2), "float32"))
    >>> state.h.shape, state.C.shape
    ((5, 3), (5, 3))
    """

    name: ClassVar[str] = "lstm"
    title: ClassVar[str | None] = "LSTM"
    weights: ClassVar[str] = "fiCo"
    state_type: ClassVar[Any] = LSTMState
    gates: ClassVar[tuple[Gate, ...] | None] = _LSTM_GATES
    places: ClassVar[Places | None] = _LSTM_PLACES

    def equations(self, params: Params, state: LSTMState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        f = sigmoid(hx @ params["W_f"] + params["b_f"])
        i = sigmoid(hx @ params["W_i"] + params["b_i"])
        C_tilde = tanh(hx @ params["W_C"] + params["b_C"])
        C = f * state.C + i * C_tilde
        o = sigmoid(hx @ params["W_o"] + params["b_o"])
        h = o * tanh(C)
        return {"f": f, "i": i, "C̃": C_tilde, "C": C, "o": o, "h": h}


@dataclass(frozen=True)
class PeepholeLSTM(_Gated[LSTMState]):
    """An LSTM whose gates see the cell state too, each unit through one weight of its own (Gers &
    Schmidhuber, "Recurrent nets that time and count", 2000)."""

    name: ClassVar[str] = "peephole"
    title: ClassVar[str | None] = "LSTM with peepholes"
    weights: ClassVar[str] = "fiCo"
    state_type: ClassVar[Any] = LSTMState
    gates: ClassVar[tuple[Gate, ...] | None] = _LSTM_GATES

    def shapes(self) -> dict[str, Shape]:
        """Those of the LSTM, and the peepholes p (H,)."""
        return super().shapes() | {f"p_{gate}": (self.hidden_size,) for gate in "fio"}

    def equations(self, params: Params, state: LSTMState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        f = sigmoid(hx @ params["W_f"] + params["p_f"] * state.C + params["b_f"])
        i = sigmoid(hx @ params["W_i"] + params["p_i"] * state.C + params["b_i"])
        C_tilde = tanh(hx @ params["W_C"] + params["b_C"])
        C = f * state.C + i * C_tilde
        o = sigmoid(hx @ params["W_o"] + params["p_o"] * C + params["b_o"])
        h = o * tanh(C)
        return {"f": f, "i": i, "C̃": C_tilde, "C": C, "o": o, "h": h}


@dataclass(frozen=True)
class CoupledLSTM(_Gated[LSTMState]):
    """An LSTM that writes exactly as much as it forgets, i = 1 - f (Greff et al., "LSTM: a search
    space odyssey", 2017: CIFG)."""

    name: ClassVar[str] = "coupled"
    title: ClassVar[str | None] = "LSTM with i = 1 − f"
    weights: ClassVar[str] = "fCo"
    state_type: ClassVar[Any] = LSTMState
    gates: ClassVar[tuple[Gate, ...] | None] = _LSTM_GATES
    places: ClassVar[Places | None] = {
        at: place for at, place in _LSTM_PLACES.items() if not at.startswith("i.")
    }

    def equations(self, params: Params, state: LSTMState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        f = sigmoid(hx @ params["W_f"] + params["b_f"])
        i = 1 - f
        C_tilde = tanh(hx @ params["W_C"] + params["b_C"])
        C = f * state.C + i * C_tilde
        o = sigmoid(hx @ params["W_o"] + params["b_o"])
        h = o * tanh(C)
        return {"f": f, "i": i, "C̃": C_tilde, "C": C, "o": o, "h": h}


@dataclass(frozen=True)
class GRU(_Gated[RNNState]):
    """Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, in the
    textbook's form: z = 1 takes the candidate (in the paper it keeps h), r acts on h before W_h.

    1 - z is what it forgets by: b_z starts at -forget_bias, or at -ln(T-1) for a memory of T.
    """

    name: ClassVar[str] = "gru"
    title: ClassVar[str | None] = "GRU"
    weights: ClassVar[str] = "zrh"
    state_type: ClassVar[Any] = RNNState
    gates: ClassVar[tuple[Gate, ...] | None] = (
        Gate("z", "update gate", one="takes the candidate", zero="keeps h"),
        Gate("r", "reset gate", one="shows h to the candidate", zero="hides h from the candidate"),
    )

    def _biases(self) -> dict[str, float]:
        return {"b_z": -super()._biases()["b_f"]}

    def equations(self, params: Params, state: RNNState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        z = sigmoid(hx @ params["W_z"] + params["b_z"])
        r = sigmoid(hx @ params["W_r"] + params["b_r"])
        h_tilde = tanh(concat([r * state.h, x], -1) @ params["W_h"] + params["b_h"])
        h = (1 - z) * state.h + z * h_tilde
        return {"z": z, "r": r, "h̃": h_tilde, "h": h}


AnyCell = Cell[RNNState] | Cell[LSTMState]
CELLS: dict[str, type[AnyCell]] = {
    cell.name: cell for cell in (RNN, LSTM, GRU, PeepholeLSTM, CoupledLSTM)
}
