"""The LSTM whose sums are normalised before they meet a gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Gate, LSTMState, Params, Places, Shape, Values
from lstm.cells.gated import Gated
from lstm.cells.lstm import LSTM_GATES, LSTM_PLAN
from minigrad import Expr, mean, sigmoid, sqrt, square, tanh

EPS = 1e-5  # added to a variance, as the paper's own code and PyTorch's LayerNorm do


def standardised(x: Expr) -> Expr:
    """Shifted and scaled to mean 0 and variance 1 over the last axis.

    >>> import minigrad as mg
    >>> standardised(mg.const([[1.0, 3.0]])).eval().round(3)
    array([[-1.,  1.]])
    """
    apart = x - mean(x, axis=-1, keepdims=True)
    return apart / sqrt(mean(square(apart), axis=-1, keepdims=True) + EPS)


@dataclass(frozen=True)
class LayerNormLSTM(Gated[LSTMState]):
    """Ba, Kiros & Hinton, "Layer normalization", 2016, equations 20 to 22 of its supplement: what
    all layers get from h and from x is normalised together, 4 H wide, and so is C where h shows it.

    Each norm has gains g, which start at 1. Shifts of the first two would be added to the biases
    of the layers, so these stand for them.
    """

    name: ClassVar[str] = "layernorm-lstm"
    title: ClassVar[str | None] = "LSTM with layer norm"
    weights: ClassVar[str] = "fiCo"
    state_type: ClassVar[Any] = LSTMState
    gates: ClassVar[tuple[Gate, ...] | None] = LSTM_GATES
    plan: ClassVar[Places | None] = LSTM_PLAN

    def shapes(self) -> dict[str, Shape]:
        """U (H, 4 H) for h and W (I, 4 H) for x, of the layers f, i, C̃, o side by side, their gains
        and biases, and the gain and the shift of C."""
        H, I = self.hidden_size, self.input_size  # noqa: E741
        shapes: dict[str, Shape] = {"U": (H, 4 * H), "W": (I, 4 * H)}
        shapes |= {"g_U": (4 * H,), "g_W": (4 * H,), "g_N": (H,), "b_N": (H,)}
        return shapes | {f"b_{w}": (H,) for w in self.weights}

    def _starts(self) -> dict[str, float]:
        return super()._starts() | dict.fromkeys(("g_U", "g_W", "g_N"), 1.0)

    def equations(self, params: Params, state: LSTMState, x: Expr) -> Values:
        h_part = standardised(state.h @ params["U"]) * params["g_U"]
        both = h_part + standardised(x @ params["W"]) * params["g_W"]
        H = self.hidden_size
        a_f, a_i, a_C, a_o = (
            both[:, k * H : (k + 1) * H] + params[f"b_{w}"] for k, w in enumerate(self.weights)
        )
        f, i, C_tilde, o = sigmoid(a_f), sigmoid(a_i), tanh(a_C), sigmoid(a_o)
        C = f * state.C + i * C_tilde
        h = o * tanh(standardised(C) * params["g_N"] + params["b_N"])
        return {"f": f, "i": i, "C̃": C_tilde, "C": C, "o": o, "h": h}
