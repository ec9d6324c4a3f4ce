"""The LSTM, and what its kin share with it: gates in words, places on paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, LSTMState, Params, Places, Values
from lstm.cells.gated import Gated
from minigrad import Expr, concat, sigmoid, tanh

LSTM_GATES = (
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


LSTM_PLACES = _lstm_places()
LSTM_PLAN = {"h.1": (5.0, 3.0), "h": (5.0, 2.0)}
"""What reads the line stands to the right of the last layer."""


@dataclass(frozen=True)
class LSTM(Gated[LSTMState]):
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers,
    Schmidhuber & Cummins, "Learning to forget", 2000.

    >>> import minigrad as mg
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
    gates: ClassVar[tuple[Gate, ...] | None] = LSTM_GATES
    places: ClassVar[Places | None] = LSTM_PLACES
    plan: ClassVar[Places | None] = LSTM_PLAN

    def equations(self, params: Params, state: LSTMState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        f = sigmoid(hx @ params["W_f"] + params["b_f"])
        i = sigmoid(hx @ params["W_i"] + params["b_i"])
        C_tilde = tanh(hx @ params["W_C"] + params["b_C"])
        C = f * state.C + i * C_tilde
        o = sigmoid(hx @ params["W_o"] + params["b_o"])
        h = o * tanh(C)
        return {"f": f, "i": i, "C̃": C_tilde, "C": C, "o": o, "h": h}
