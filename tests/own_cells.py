"""Cells that a user might write; none of them says more of itself than is seen here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.cells import LSTM, Cell, CoupledLSTM, Gate, LSTMState, RNNState


def _layer(function: Any, params: Any, letter: str, *parts: Any) -> Any:
    return function(mg.concat(list(parts), -1) @ params[f"W_{letter}"] + params[f"b_{letter}"])


class Blend(Cell):
    """C = g C + (1 − g) c, with letters that no other cell has."""

    name = "blend"
    weights = "gC"
    state_type = LSTMState

    def equations(self, params, state, x):
        g = _layer(mg.sigmoid, params, "g", state.h, x)
        c = _layer(mg.tanh, params, "C", state.h, x)
        C = g * state.C + (1 - g) * c
        return {"g": g, "c": c, "C": C, "h": mg.tanh(C)}


class MinimalGated(Cell):
    """Zhou et al. 2016: the gate is called f, and keeps h where it is 0."""

    name = "mgu"
    weights = "fh"
    state_type = RNNState

    def equations(self, params, state, x):
        f = _layer(mg.sigmoid, params, "f", state.h, x)
        candidate = _layer(mg.tanh, params, "h", f * state.h, x)
        return {"f": f, "h̃": candidate, "h": (1 - f) * state.h + f * candidate}


class Leaky(Cell):
    """A leaky integrator: an eighth of the way to the candidate at each step."""

    name = "leaky"
    weights = "h"
    state_type = RNNState

    def equations(self, params, state, x):
        candidate = _layer(mg.tanh, params, "h", state.h, x)
        return {"h": state.h - 0.125 * (state.h - candidate)}


class Original(Cell):
    """The LSTM of 1997, which forgets nothing."""

    name = "original"
    weights = "iCo"
    state_type = LSTMState

    def equations(self, params, state, x):
        i = _layer(mg.sigmoid, params, "i", state.h, x)
        C = state.C + i * _layer(mg.tanh, params, "C", state.h, x)
        o = _layer(mg.sigmoid, params, "o", state.h, x)
        return {"i": i, "C": C, "o": o, "h": o * mg.tanh(C)}


class NoOut(LSTM):
    """An LSTM without an output gate, under the LSTM's name."""

    name = "lstm"

    def equations(self, params, state, x):
        f = _layer(mg.sigmoid, params, "f", state.h, x)
        i = _layer(mg.sigmoid, params, "i", state.h, x)
        C = f * state.C + i * _layer(mg.tanh, params, "C", state.h, x)
        return {"f": f, "i": i, "C": C, "h": mg.tanh(C)}


class Silent(CoupledLSTM):
    """A coupled LSTM that says nothing."""

    name = "silent"

    def equations(self, params, state, x):
        return super().equations(params, state, x)


class Renamed(LSTM):
    """An LSTM under another name, with the LSTM's equations."""

    name = "renamed"


class Halting(Cell):
    """Steps with x ≤ ½ leave h as it is."""

    name = "halting"
    weights = "gh"
    state_type = RNNState

    def equations(self, params, state, x):
        g = _layer(mg.sigmoid, params, "g", state.h, x)
        new = g * state.h + _layer(mg.tanh, params, "h", state.h, x)
        runs = mg.broadcast_to(x[:, :1] > 0.5, new.shape)
        return {"g": g, "h": mg.where(runs, new, state.h)}


class Squared(Cell):
    """h comes back multiplied by itself, which is no line."""

    name = "squared"
    weights = "h"
    state_type = RNNState

    def equations(self, params, state, x):
        return {"h": state.h * state.h * 0.5 + _layer(mg.tanh, params, "h", state.h, x)}


class TwoState(NamedTuple):
    h: Any
    m: Any


class TwoLines(Cell):
    name = "two"
    weights = "h"
    state_type = TwoState

    def equations(self, params, state, x):
        new = _layer(mg.tanh, params, "h", state.m, x)
        return {"h": 0.5 * state.h + new, "m": 0.25 * state.m + state.h}


class SecondLine(TwoLines):
    name = "second"
    line = "m"


class WrongLine(LSTM):
    name = "wrong"
    line = "h"


class WrongGate(LSTM):
    name = "wrong"
    gates = (Gate("q", "queue gate"),)


class WrongPlace(LSTM):
    name = "wrong"
    places = {"f.7": (0.0, 0.0)}  # noqa: RUF012


@dataclass(frozen=True)
class Projected(LSTM):
    """An LSTM whose h is projected to P units (Sak, Senior & Beaufays 2014): torch's proj_size."""

    projection: int = 2

    name = "projected"

    @property
    def output_size(self):
        return self.projection

    def shapes(self):
        H, P, F = self.hidden_size, self.projection, self.input_size
        weights = {f"W_{w}": (P + F, H) for w in self.weights} | {"W_p": (H, P)}
        return weights | {f"b_{w}": (H,) for w in self.weights}

    def initial_state(self, batch):
        h, C = (np.zeros((batch, n), self.dtype) for n in (self.projection, self.hidden_size))
        return LSTMState(mg.const(h), mg.const(C))

    def equations(self, params, state, x):
        values = super().equations(params, state, x)
        return values | {"h": values["h"] @ params["W_p"]}
