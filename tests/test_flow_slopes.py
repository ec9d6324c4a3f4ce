"""Whether the nonlinearity of a state or its weights make a gradient vanish: the slope against the
one that NumPy has of the same values, and what is said of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from own_cells import Blend, Leaky

import lstm
import minigrad as mg
from lstm.gradient_flow import Flow, Slope, advice
from lstm.gradient_flow.summary import FLAT, TOLD

pytestmark = pytest.mark.usefixtures("by_numpy")

T, B, H = 24, 4, 8
RNG = np.random.default_rng(0)
XS, YS = RNG.standard_normal((T, B, 2)), RNG.standard_normal((B, 1))
SHAPES = {"W": ("H", "H"), "U": ("I", "H"), "b": ("H",)}


def _sum(p: Any, h: Any, x: Any) -> Any:
    return h @ p["W"] + x @ p["U"] + p["b"]


@lstm.cell(params=SHAPES)
def softsign(p: Any, h: Any, x: Any) -> Any:
    """Of several ops, and halved."""
    a = _sum(p, h, x)
    return 0.5 * (a / (1.0 + mg.abs(a)))


@lstm.cell(params=SHAPES)
def chosen(p: Any, h: Any, x: Any) -> Any:
    """A relu that is written as a choice."""
    a = _sum(p, h, x)
    return mg.where(a > 0.0, a, mg.zeros_like(a))


@lstm.cell(params={"u": ("H",), "U": ("I", "H"), "b": ("H",)})
def independent(p: Any, h: Any, x: Any) -> Any:
    """The IndRNN of Li et al. 2018: its weight is no part of the slope."""
    return mg.tanh(3.0 * h * p["u"] + x @ p["U"] + p["b"])


@lstm.cell(params=SHAPES)
def linear(p: Any, h: Any, x: Any) -> Any:
    return _sum(p, h, x)


@lstm.cell(params=SHAPES | {"V": ("H", "H")})
def gated(p: Any, h: Any, x: Any) -> Any:
    """Two ways in: it comes out of no one function."""
    return mg.sigmoid(h @ p["V"]) * mg.tanh(_sum(p, h, x))


def _flow(
    cell: Any, scale: float = 1.0, bias: float = 0.0, dtype: str = "float64", **given: Any
) -> Flow:
    model = lstm.Model.create(cell(2, H, dtype, **given.pop("of", {})), 1, 0)
    for name, leaf in model.flat_params.items():
        if name.rpartition(".")[2] in ("W_h", "W"):
            leaf.value = leaf.value * scale
        if name.rpartition(".")[2] in ("b_h", "b"):
            leaf.value = leaf.value + bias
    return lstm.flow(model, XS, YS, lstm.mse, **given)


def _slope(flow: Flow) -> Slope:
    assert flow.slope is not None
    return flow.slope


def _said(flow: Flow) -> list[str]:
    return [s for s in flow.diagnosis if "the slope of" in s]


# --- the numbers ----------------------------------------------------------------------------------

SLOPES: dict[str, Any] = {
    "tanh": (lstm.RNN, {}, lambda h: 1.0 - h**2),
    "relu": (lstm.RNN, {"of": {"rectified": True}}, lambda h: np.where(h > 0.0, 1.0, 0.0)),
    "": (softsign, {}, lambda h: (1.0 - np.abs(2.0 * h)) ** 2),
    " ": (chosen, {}, lambda h: np.where(h > 0.0, 1.0, 0.0)),
    "tanh ": (independent, {}, lambda h: 1.0 - h**2),
}


@pytest.mark.parametrize("name", SLOPES)
def test_the_slope_is_that_of_the_values(name) -> None:
    cell, given, slope_of = SLOPES[name]
    flow = _flow(cell, 1.5, 0.3, **given)
    slope, g = _slope(flow), flow.adjoints["h"]
    assert (slope.symbol, slope.name, slope.units) == ("h", name.strip(), H)
    s = slope_of(flow.values["h"])
    assert slope.flat == pytest.approx(np.mean(s < FLAT), abs=1e-12)
    assert slope.dead == np.sum((s < FLAT).all(axis=(0, 1)))
    ratio = np.linalg.norm(s * g, axis=(1, 2)) / np.linalg.norm(g, axis=(1, 2))
    assert slope.by_slope == pytest.approx(np.log10(ratio).tolist(), rel=1e-6)
    # The two together are all that a step does: the loss enters at the end alone.
    both = np.cumsum((np.array(slope.by_slope) + slope.by_weights)[::-1])[::-1]
    assert both[1] == pytest.approx(math.log10(flow.main.first / flow.main.last), rel=1e-6)
    assert sum(slope.lost) == pytest.approx(both[1], rel=1e-6)


def test_padding_and_the_order_of_a_layer_are_told_apart() -> None:
    lengths = [T, T, 3, 5]
    flow = _flow(lstm.RNN, 3.0, lengths=lengths)
    counts = np.arange(T)[:, None] < np.array(lengths)
    flat = (1.0 - flow.values["h"] ** 2 < FLAT)[counts]
    assert 0.0 < _slope(flow).flat == pytest.approx(flat.mean(), abs=1e-12)
    model = lstm.Model.create(lstm.RNN(2, H, "float64"), 1, 0, bidirectional=True)
    back = lstm.flow(model, XS, YS, lstm.mse, direction="backward")
    s, g = 1.0 - back.values["h"] ** 2, back.adjoints["h"]
    ratio = np.linalg.norm(s * g, axis=(1, 2)) / np.linalg.norm(g, axis=(1, 2))
    np.testing.assert_allclose(_slope(back).by_slope, np.log10(ratio), rtol=1e-6)


@pytest.mark.parametrize("cell", [lstm.LSTM, lstm.GRU, Blend, Leaky, linear, gated])
def test_a_line_comes_out_of_no_nonlinearity(cell) -> None:
    flow = _flow(cell, 0.1)
    assert flow.slope is None and not _said(flow)


# --- the words ------------------------------------------------------------------------------------


def test_saturated_units_are_named_as_the_cause() -> None:
    flow = _flow(lstm.RNN, 3.0, 3.0)
    slope, (said,) = _slope(flow), _said(flow)
    by_slope, by_weights = slope.lost
    assert by_slope < -6.0 < 0.0 < by_weights and slope.flat > 0.7
    assert f"the slope of tanh takes {-by_slope:.1f} decades" in said
    assert f"the product with the weights adds {by_weights:.1f} decades" in said
    assert f"{100 * slope.flat:.0f}% of the values of h are saturated" in said
    assert f"{slope.dead} of 8 units at every step" in said and "smaller weights" in said
    assert flow.diagnosis.index(said) == 1  # right after that it vanishes


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e-3), ("float64", 0.05)])
def test_small_weights_are_named_and_no_saturation(dtype, scale) -> None:
    flow = _flow(lstm.RNN, scale, dtype=dtype)
    assert ("underflow" in flow.main.kinds) == (dtype == "float32")
    (said,) = _said(flow)
    taken = -_slope(flow).lost[1]
    assert taken == pytest.approx(-math.log10(scale) * (T - 1), rel=0.5) or dtype == "float32"
    assert math.isfinite(taken)  # float32 underflows on the way, which says nothing of the weights
    assert f"the product with the weights takes {taken:.1f} decades" in said
    assert "the slope of tanh changes nothing: try larger weights" in said
    assert "saturated" not in " ".join(flow.diagnosis)
    (said,) = _said(_flow(lstm.RNN, 0.0))
    assert "the weights leaves nothing of it" in said and "larger weights" in said


@pytest.mark.parametrize(
    ("cell", "of", "name"),
    [(lstm.RNN, {"rectified": True}, "relu"), (chosen, {}, "the nonlinearity")],
)
def test_dead_units_are_named_with_the_step_that_ends_it(cell, of, name) -> None:
    (said,) = _said(_flow(cell, 1.0, -9.0, of=of))
    assert said.startswith(f"At t={T} the slope of {name} is 0 for all that comes back: 100%")
    assert "8 of 8 units at every step" in said
    flow = _flow(cell, 1.0, -0.3, of=of)
    end = max(t for t, x in enumerate(flow.main.norms, 1) if x == 0.0)
    (said,) = _said(flow)
    assert 1 < end < T - 1 and f"At t={end + 1} the slope of {name} is 0" in said


def test_what_arrives_or_explodes_has_no_cause() -> None:
    assert not _said(_flow(lstm.RNN, 1.6))
    assert not _said(_flow(lstm.RNN, 6.0))


def _told(by_slope: float, by_weights: float, flat: float = 0.5, dead: int = 0) -> list[str]:
    flow = _flow(lstm.RNN, 0.05)
    ways = [0.0, by_slope, *[math.nan] * (T - 2)], [9.0, by_weights, *[math.nan] * (T - 2)]
    slope = Slope("h", "tanh", flat, dead, H, *ways)
    return [a.sentence for a in advice(replace(flow, slope=slope, source=None))]


def test_the_larger_loss_is_the_cause() -> None:
    assert TOLD == 0.1 == FLAT
    (said,) = _told(-3.0, -3.0)
    assert said == (
        "On its way back the slope of tanh takes 3.0 decades, the product with the weights takes "
        "3.0 decades: 50% of the values of h are saturated, where that slope is below 0.1: try "
        "smaller weights and inputs, or other biases, that leave it larger."
    )
    (said,) = _told(-2.9, -3.0)
    assert "try larger weights of the state" in said and "saturated" not in said
    assert "saturated" in _told(-3.0, 1.0, 0.1)[0]
    assert "saturated" not in _told(-3.0, 1.0, math.nextafter(0.1, 0))[0]
    assert "5 of 8 units" in _told(-3.0, 1.0, 1.0, 5)[0]
    assert _told(0.0, 1.0) == []


def test_a_watch_and_a_file_have_it() -> None:
    watch, model = lstm.FlowWatch(every=1), lstm.Model.create(lstm.RNN(2, H), 1, 0)
    list(lstm.train(model, lstm.Adding(length=T + 24), lstm.Settings(steps=1), watch=watch))
    assert watch.flows[0].slope is not None and _said(watch.flows[0])
    flow = _flow(lstm.RNN, 0.0)
    plain = json.loads(json.dumps(flow.to_json()))["slope"]
    assert plain["name"] == "tanh" and plain["by_weights"][-1] == "-inf"
    assert plain["by_slope"] == pytest.approx(
        [x if x == x else "nan" for x in _slope(flow).by_slope]
    )
