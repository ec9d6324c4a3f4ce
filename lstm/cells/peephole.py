"""The LSTM whose gates see the cell state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, LSTMState, Params, Places, Shape, Values
from lstm.cells.gated import Gated
from lstm.cells.lstm import LSTM_GATES, LSTM_PLAN
from minigrad import Expr, concat, sigmoid, tanh


@dataclass(frozen=True)
class PeepholeLSTM(Gated[LSTMState]):
    """An LSTM whose gates see the cell state too, each unit through one weight of its own (Gers &
    Schmidhuber, "Recurrent nets that time and count", 2000)."""

    name: ClassVar[str] = "peephole"
    title: ClassVar[str | None] = "LSTM with peepholes"
    weights: ClassVar[str] = "fiCo"
    state_type: ClassVar[Any] = LSTMState
    gates: ClassVar[tuple[Gate, ...] | None] = LSTM_GATES
    plan: ClassVar[Places | None] = LSTM_PLAN

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
