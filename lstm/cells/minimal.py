"""The gated cell with a single gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, Params, Places, RNNState, Values
from lstm.cells.gated import Gated
from lstm.cells.gru import TAKING_PLAN
from minigrad import Expr, concat, sigmoid, tanh


@dataclass(frozen=True)
class MGU(Gated[RNNState]):
    """Zhou, Wu, Zhang & Zhou, "Minimal gated unit for recurrent neural networks", 2016.

    Its gate is both of the GRU's: f = 1 takes the candidate, and shows h to it; so 1 - f is what
    a step keeps, and b_f starts at -forget_bias, or at -ln(T-1) for a memory of T.
    """

    name: ClassVar[str] = "mgu"
    title: ClassVar[str | None] = "MGU"
    weights: ClassVar[str] = "fh"
    state_type: ClassVar[Any] = RNNState
    gates: ClassVar[tuple[Gate, ...] | None] = (
        Gate("f", "gate", one="takes the candidate", zero="keeps h"),
    )
    plan: ClassVar[Places | None] = {"f": (2.0, 1.0), **TAKING_PLAN}

    def _starts(self) -> dict[str, float]:
        return {"b_f": -self.gate_bias}

    def equations(self, params: Params, state: RNNState, x: Expr) -> Values:
        f = sigmoid(concat([state.h, x], -1) @ params["W_f"] + params["b_f"])
        h_tilde = tanh(concat([f * state.h, x], -1) @ params["W_h"] + params["b_h"])
        h = (1 - f) * state.h + f * h_tilde
        return {"f": f, "h̃": h_tilde, "h": h}
