"""Recurrent cells: the textbook's equations, and nothing else. No training, no time, no files.

A cell maps (parameters, state, input) to the next state. x is (B, I), every part of a state is
(B, H), and a weight matrix stands to the right of the row [h, x], so W is (H + I, H).
`equations` returns every value of a step by its symbol, in the order of the equations: the next
state is among them, and so is what a picture wants to name.
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
from lstm.errors import ConfigError
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
    gates: ClassVar[str]
    """A letter for each weight matrix."""
    state_type: ClassVar[Any]

    def __post_init__(self) -> None:
        for field in ("input_size", "hidden_size"):
            size = getattr(self, field)
            if type(size) is not int or size < 1:
                raise ConfigError(f"{field} must be a whole number of at least 1, not {size!r}")
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
        """Names and shapes of the parameters: W (H + I, H) and b (H,) for each gate."""
        H, I = self.hidden_size, self.input_size  # noqa: E741
        weights: dict[str, Shape] = {f"W_{gate}": (H + I, H) for gate in self.gates}
        return weights | {f"b_{gate}": (H,) for gate in self.gates}

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
        zero = mg.const(np.zeros((batch, self.hidden_size), self.dtype))
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
    gates: ClassVar[str] = "h"
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
    gates: ClassVar[str] = "fiCo"
    state_type: ClassVar[Any] = LSTMState

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
    gates: ClassVar[str] = "fiCo"
    state_type: ClassVar[Any] = LSTMState

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
    gates: ClassVar[str] = "fCo"
    state_type: ClassVar[Any] = LSTMState

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
    gates: ClassVar[str] = "zrh"
    state_type: ClassVar[Any] = RNNState

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
