"""The GRU as cuDNN has it, and so PyTorch and Keras: the reset gate acts after the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, Params, RNNState, Shape, Values
from lstm.cells.gated import Gated
from minigrad import Expr, concat, sigmoid, tanh


@dataclass(frozen=True)
class GRUAfter(Gated[RNNState]):
    """Cho et al. 2014's GRU with r on h·U_h + b_U instead of on h, which leaves one product of h a
    step: torch.nn.GRU, and tf.keras.layers.GRU with reset_after=True.

    As there, z = 1 keeps h (in `GRU` it takes the candidate), and the candidate has two biases, one
    of them under r. b_z starts at forget_bias, or at ln(T-1) for a memory of T.
    """

    name: ClassVar[str] = "gru-after"
    title: ClassVar[str | None] = "GRU (reset after)"
    weights: ClassVar[str] = "zr"
    state_type: ClassVar[Any] = RNNState
    gates: ClassVar[tuple[Gate, ...] | None] = (
        Gate("z", "update gate", one="keeps h", zero="takes the candidate"),
        Gate("r", "reset gate", one="shows h to the candidate", zero="hides h from the candidate"),
    )

    def shapes(self) -> dict[str, Shape]:
        """W (H + I, H) and b (H,) of the gates; of the candidate W_h (I, H), b_h (H,) for x and U_h
        (H, H), b_U (H,) for h."""
        H, I = self.hidden_size, self.input_size  # noqa: E741
        return super().shapes() | {"W_h": (I, H), "b_h": (H,), "U_h": (H, H), "b_U": (H,)}

    def _starts(self) -> dict[str, float]:
        return {"b_z": self.gate_bias}

    def equations(self, params: Params, state: RNNState, x: Expr) -> Values:
        hx = concat([state.h, x], -1)
        z = sigmoid(hx @ params["W_z"] + params["b_z"])
        r = sigmoid(hx @ params["W_r"] + params["b_r"])
        past = state.h @ params["U_h"] + params["b_U"]
        h_tilde = tanh(x @ params["W_h"] + params["b_h"] + r * past)
        h = z * state.h + (1 - z) * h_tilde
        return {"z": z, "r": r, "h̃": h_tilde, "h": h}
