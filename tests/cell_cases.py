"""Every cell of `lstm`, once more in plain NumPy, straight from its paper: what tests hold it to.

Nothing here comes from `minigrad` or `lstm`. Formulas are analytic in their parameters, so they
take complex numbers, and a step into the imaginary gives their derivatives to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Params = dict[str, Array]
Step = Callable[[Params, dict[str, Array], Array], dict[str, Array]]


@dataclass(frozen=True)
class Case:
    """What is true of one cell; a size is written with H units and F inputs."""

    shapes: Callable[[int, int], dict[str, tuple[int, ...]]]
    step: Step
    """Every value of a step, by symbol, of (parameters, state by its parts, x)."""
    state: str = "h"
    """A letter for each part."""
    gates: str = ""
    line: tuple[str, str] | None = None
    """The part that lasts, and what one step multiplies it by."""
    keep: Callable[[dict[str, Array]], Array] | None = None
    """That factor, of the values of a step."""
    starts: dict[str, float] = field(default_factory=dict)
    """Where parameters start that are not drawn; 0 for the other biases."""
    remembers: dict[str, float] = field(default_factory=dict)
    """The same of a memory of 100 steps, in multiples of ln 99."""


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def _dense(letters: str) -> Callable[[int, int], dict[str, tuple[int, ...]]]:
    def shapes(H: int, F: int) -> dict[str, tuple[int, ...]]:
        weights = {f"W_{w}": (H + F, H) for w in letters}
        return weights | {f"b_{w}": (H,) for w in letters}

    return shapes


def _layer(function: Callable[[Array], Array], p: Params, w: str, *parts: Array) -> Array:
    return function(np.concatenate(parts, 1) @ p[f"W_{w}"] + p[f"b_{w}"])


def rnn(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    return {"h": _layer(np.tanh, p, "h", s["h"], x)}


def lstm(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    f, i, o = (_layer(sigmoid, p, w, s["h"], x) for w in "fio")
    c = _layer(np.tanh, p, "C", s["h"], x)
    C = f * s["C"] + i * c
    return {"f": f, "i": i, "C̃": c, "C": C, "o": o, "h": o * np.tanh(C)}


def coupled(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    f, o = (_layer(sigmoid, p, w, s["h"], x) for w in "fo")
    c = _layer(np.tanh, p, "C", s["h"], x)
    C = f * s["C"] + (1 - f) * c
    return {"f": f, "i": 1 - f, "C̃": c, "C": C, "o": o, "h": o * np.tanh(C)}


def peephole(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    def gate(w: str, C: Array) -> Array:
        return sigmoid(np.concatenate([s["h"], x], 1) @ p[f"W_{w}"] + p[f"p_{w}"] * C + p[f"b_{w}"])

    f, i = gate("f", s["C"]), gate("i", s["C"])
    c = _layer(np.tanh, p, "C", s["h"], x)
    C = f * s["C"] + i * c
    o = gate("o", C)
    return {"f": f, "i": i, "C̃": c, "C": C, "o": o, "h": o * np.tanh(C)}


def gru(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    z, r = (_layer(sigmoid, p, w, s["h"], x) for w in "zr")
    c = _layer(np.tanh, p, "h", r * s["h"], x)
    return {"z": z, "r": r, "h̃": c, "h": (1 - z) * s["h"] + z * c}


def gru_after(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    """As the documentation of torch.nn.GRU has it, whose b_ir + b_hr is b_r, and so for z."""
    z, r = (_layer(sigmoid, p, w, s["h"], x) for w in "zr")
    n = np.tanh(x @ p["W_h"] + p["b_h"] + r * (s["h"] @ p["U_h"] + p["b_U"]))
    return {"z": z, "r": r, "h̃": n, "h": (1 - z) * n + z * s["h"]}


def mgu(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    """Equations 12 to 14 of the paper."""
    f = _layer(sigmoid, p, "f", s["h"], x)
    c = _layer(np.tanh, p, "h", f * s["h"], x)
    return {"f": f, "h̃": c, "h": (1 - f) * s["h"] + f * c}


def _normed(a: Array) -> Array:
    """Without np.var, which is of absolute values and not analytic."""
    mean = a.sum(1, keepdims=True) / a.shape[1]
    return (a - mean) / np.sqrt(((a - mean) ** 2).sum(1, keepdims=True) / a.shape[1] + 1e-5)


def layer_norm(p: Params, s: dict[str, Array], x: Array) -> dict[str, Array]:
    """LN(h U) g + LN(x W) g + b, four layers wide; h = o tanh(LN(C) g + b)."""
    a = _normed(s["h"] @ p["U"]) * p["g_U"] + _normed(x @ p["W"]) * p["g_W"]
    a = a + np.concatenate([p["b_f"], p["b_i"], p["b_C"], p["b_o"]])
    f, i, c, o = np.split(a, 4, 1)
    f, i, c, o = sigmoid(f), sigmoid(i), np.tanh(c), sigmoid(o)
    C = f * s["C"] + i * c
    h = o * np.tanh(_normed(C) * p["g_N"] + p["b_N"])
    return {"f": f, "i": i, "C̃": c, "C": C, "o": o, "h": h}


LINE = {"state": "hC", "gates": "fio", "line": ("C", "f"), "keep": lambda v: v["f"]}

CASES: dict[str, Case] = {
    "rnn": Case(_dense("h"), rnn),
    "lstm": Case(
        _dense("fiCo"),
        lstm,
        **LINE,
        starts={"b_f": 1.0},
        remembers={"b_f": 1, "b_i": -1},
    ),
    "coupled": Case(_dense("fCo"), coupled, **LINE, starts={"b_f": 1.0}, remembers={"b_f": 1}),
    "peephole": Case(
        lambda H, F: _dense("fiCo")(H, F) | {f"p_{w}": (H,) for w in "fio"},
        peephole,
        **LINE,
        starts={"b_f": 1.0},
        remembers={"b_f": 1, "b_i": -1},
    ),
    "gru": Case(
        _dense("zrh"),
        gru,
        gates="zr",
        line=("h", "1 − z"),
        keep=lambda v: 1 - v["z"],
        starts={"b_z": -1.0},
        remembers={"b_z": -1},
    ),
    "gru-after": Case(
        lambda H, F: _dense("zr")(H, F) | {"W_h": (F, H), "b_h": (H,), "U_h": (H, H), "b_U": (H,)},
        gru_after,
        gates="zr",
        line=("h", "z"),
        keep=lambda v: v["z"],
        starts={"b_z": 1.0},
        remembers={"b_z": 1},
    ),
    "mgu": Case(
        _dense("fh"),
        mgu,
        gates="f",
        line=("h", "1 − f"),
        keep=lambda v: 1 - v["f"],
        starts={"b_f": -1.0},
        remembers={"b_f": -1},
    ),
    "layernorm-lstm": Case(
        lambda H, F: {
            "U": (H, 4 * H),
            "W": (F, 4 * H),
            "g_U": (4 * H,),
            "g_W": (4 * H,),
            "g_N": (H,),
            "b_N": (H,),
            **{f"b_{w}": (H,) for w in "fiCo"},
        },
        layer_norm,
        **LINE,
        starts={"b_f": 1.0, "g_U": 1.0, "g_W": 1.0, "g_N": 1.0},
        remembers={"b_f": 1, "b_i": -1, "g_U": 0, "g_W": 0, "g_N": 0},
    ),
}


def start(case: Case, batch: int, hidden: int) -> dict[str, Array]:
    return {part: np.zeros((batch, hidden)) for part in case.state}


def run(case: Case, p: Params, xs: Array, hidden: int) -> list[dict[str, Array]]:
    """All values of all steps, from a state of zeros."""
    state = start(case, xs.shape[1], hidden)
    values: list[dict[str, Array]] = []
    for x in xs:
        values.append(case.step(p, state, x))
        state = {part: values[-1][part] for part in case.state}
    return values


def derivative(function: Callable[[Params], Array], p: Params, name: str) -> Array:
    """d function / d p[name], a number's, by a step of 1e-30 into the imaginary."""
    out = np.zeros(p[name].shape)
    for at in np.ndindex(*out.shape):
        moved = p[name].astype(complex)
        moved[at] += 1e-30j
        out[at] = np.imag(function(p | {name: moved})) / 1e-30
    return out
