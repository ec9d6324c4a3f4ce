"""The LSTM that writes exactly as much as it forgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, LSTMState, Params, Places, Values
from lstm.cells.gated import Gated
from lstm.cells.lstm import LSTM_GATES, LSTM_PLACES, LSTM_PLAN
from minigrad import Expr, concat, sigmoid, tanh


@dataclass(frozen=True)
class CoupledLSTM(Gated[LSTMState]):
    """An LSTM that writes exactly as much as it forgets, i = 1 - f (Greff et al., "LSTM: a search
    space odyssey", 2017: CIFG)."""

    name: ClassVar[str] = "coupled"
    title: ClassVar[str | None] = "LSTM with i = 1 − f"
    weights: ClassVar[str] = "fCo"
    state_type: ClassVar[Any] = LSTMState
    gates: ClassVar[tuple[Gate, ...] | None] = LSTM_GATES
    places: ClassVar[Places | None] = {
        at: place for at, place in LSTM_PLACES.items() if not at.startswith("i.")
    }
    plan: ClassVar[Places | None] = LSTM_PLAN

    def equations(self, params: Params, state: LSTMState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        f = sigmoid(hx @ params["W_f"] + params["b_f"])
        i = 1 - f
        C_tilde = tanh(hx @ params["W_C"] + params["b_C"])
        C = f * state.C + i * C_tilde
        o = sigmoid(hx @ params["W_o"] + params["b_o"])
        h = o * tanh(C)
        return {"f": f, "i": i, "C̃": C_tilde, "C": C, "o": o, "h": h}
