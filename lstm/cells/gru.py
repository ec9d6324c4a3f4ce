"""The gated recurrent unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, Params, Places, RNNState, Values
from lstm.cells.gated import Gated
from minigrad import Expr, concat, sigmoid, tanh

TAKING_PLAN = {
    "h̃": (3.25, 1.0),
    "h̃.0.0.0.0": (1.0, 2.0),
    "h.0.0": (2.0, 3.0),
    "h.0": (2.0, 4.0),
    "h.1": (3.25, 2.5),
    "h": (3.25, 4.0),
}
"""Of h = (1 - z) * h + z * h̃, where the candidate reads what a gate shows of h."""


@dataclass(frozen=True)
class GRU(Gated[RNNState]):
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
    plan: ClassVar[Places | None] = {
        "r": (1.0, 1.0),
        "z": (2.0, 1.0),
        **TAKING_PLAN,
    }

    def _starts(self) -> dict[str, float]:
        return {"b_z": -self.gate_bias}

    def equations(self, params: Params, state: RNNState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        z = sigmoid(hx @ params["W_z"] + params["b_z"])
        r = sigmoid(hx @ params["W_r"] + params["b_r"])
        h_tilde = tanh(concat([r * state.h, x], -1) @ params["W_h"] + params["b_h"])
        h = (1 - z) * state.h + z * h_tilde
        return {"z": z, "r": r, "h̃": h_tilde, "h": h}
