"""How the gradient flows back: numbers against independent ones, words against numbers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells import CELLS, GRU, LSTM, RNN, CoupledLSTM, PeepholeLSTM
from lstm.cells.anatomy import line_over_time
from lstm.gradient_flow import Series, compare, describe
from lstm.model import Model
from lstm.tasks import Adding

LINED = [LSTM, CoupledLSTM, PeepholeLSTM, GRU]


def _data(steps: int = 7, batch: int = 3):
    return Adding(length=max(steps, 2)).batch(np.random.default_rng(5), batch)


def _model(kind, hidden: int = 4, **options) -> Model:
    return Model.create(kind(2, hidden, "float64", **options), 1, 3, Adding(length=7).config())


def _graph(model, xs, ys):
    xs_var, ys_var = mg.var("xs", xs.shape), mg.var("ys", ys.shape)
    unrolled = model.unroll(xs_var)
    return unrolled, lstm.mse(unrolled.output, ys_var), {xs_var: xs, ys_var: ys}


@pytest.mark.parametrize("kind", CELLS.values())
def test_norms_are_those_of_grad(kind) -> None:
    xs, ys = _data()
    model = _model(kind)
    flow = lstm.flow(model, xs, ys)
    unrolled, loss, at = _graph(model, xs, ys)
    assert flow.loss == pytest.approx(float(loss.eval(at)), rel=1e-12)
    for symbol, series in flow.series.items():
        states = [getattr(state, symbol) for state in unrolled.states[1:]]
        gradients = mg.eval(mg.grad(loss, states), at)
        assert series.norms == pytest.approx([np.linalg.norm(g) for g in gradients], rel=1e-9)


@pytest.mark.parametrize("kind", LINED)
def test_the_parts_sum_to_the_whole_and_are_those_of_split(kind) -> None:
    xs, ys = _data()
    model = _model(kind)
    found = lstm.flow(model, xs, ys)
    symbol = "h" if kind is GRU else "C"
    np.testing.assert_allclose(
        found.line + found.around, found.adjoints[symbol], rtol=1e-9, atol=1e-15
    )
    unrolled, loss, at = _graph(model, xs, ys)
    adjoints = mg.adjoints(loss)
    off = line_over_time([getattr(s, symbol) for s in unrolled.states], loss).detours
    steps = (1, 4, 7)
    splits = [adjoints.split(getattr(unrolled.states[t], symbol), off) for t in steps]
    for t, (through, around) in zip(steps, mg.eval(splits, at), strict=True):
        np.testing.assert_allclose(found.around[t - 1], through, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.line[t - 1], around, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", [LSTM, CoupledLSTM, PeepholeLSTM])
def test_the_line_is_the_product_of_the_forget_gates(kind) -> None:
    xs, ys = _data()
    found = lstm.flow(_model(kind), xs, ys)
    f = found.values["f"]
    expected = found.adjoints["C"][-1]
    for t in range(len(xs) - 1, 0, -1):
        expected = expected * f[t]
        np.testing.assert_allclose(found.line[t - 1], expected, rtol=1e-12)


def test_an_rnn_has_no_line() -> None:
    assert lstm.flow(_model(RNN), *_data()).split is None


def test_work_grows_linearly_with_the_steps() -> None:
    def nodes(steps: int) -> int:
        model = _model(LSTM)
        xs = mg.var("xs", (steps, 3, 2))
        unrolled = model.unroll(xs)
        loss = mg.sum(unrolled.output)
        cells = [s.C for s in unrolled.states]
        over_time = line_over_time(cells, loss)
        parts = mg.adjoints(loss).splits(cells[1:], over_time.detours)
        ends = [e for pair in parts.values() for e in pair]
        return len(mg.toposort(ends + over_time.factors))

    few, some, many = nodes(10), nodes(20), nodes(40)
    assert many - some == 2 * (some - few)


def test_underflow_is_told_from_zero() -> None:
    xs, ys = _data(steps=400, batch=2)
    model = Model.create(RNN(2, 4, "float32"), 1, 0)
    for value in (model.params["layer1"]["W_h"],):
        value.value = value.value * 0.3
    series = lstm.flow(model, xs, ys).series["h"]
    assert series.first == 0.0
    assert series.kinds[0] == "underflow"
    assert "underflows to 0" in describe(series)
    model.params["layer1"]["W_h"].value = model.params["layer1"]["W_h"].value * 0.0
    series = lstm.flow(model, xs, ys).series["h"]
    assert series.kinds[:-1] == ["zero"] * 399
    assert series.kinds[-1] == "normal"
    assert "a factor of 0 ends it from t=399 down" in describe(series)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saturated_gate_and_float64s_own_end_are_underflow_too(dtype) -> None:
    """A factor that float32 takes for 0 is none in float64; a product too small for float64 is
    none with a larger ∂L/∂L."""
    xs, ys = _data(steps=260, batch=2)
    model = Model.create(RNN(2, 4, dtype), 1, 0)
    model.params["layer1"]["W_h"].value = model.params["layer1"]["W_h"].value * 0.05
    series = lstm.flow(model, xs, ys).series["h"]
    assert 0.0 in series.norms
    assert "zero" not in series.kinds
    shut = Model.create(LSTM(2, 4, dtype, forget_bias=-200.0), 1, 0)
    split = lstm.flow(shut, xs[:9], ys).split
    assert set(split.line.kinds[:4]) == {"underflow"}


def test_a_part_that_alone_underflows_is_told_from_zero() -> None:
    """All is sound along the line, and what goes through the gates is too small for float32."""
    xs, ys = _data()
    model = Model.create(GRU(2, 4), 1, 0)
    for name in ("W_z", "W_r", "W_h"):
        model.params["layer1"][name].value = np.full((6, 4), 2e-45, np.float32)
    split = lstm.flow(model, xs, ys).split
    assert set(split.line.kinds) == {"normal"}
    assert split.gates.kinds == ["underflow"] * 6 + ["zero"]


def test_exploding_and_not_finite() -> None:
    xs, ys = _data(steps=30)
    model = Model.create(RNN(2, 4, "float64"), 1, 0)
    model.params["layer1"]["W_h"].value = np.eye(6, 4) * 3.0
    model.params["layer1"]["b_h"].value = np.zeros(4)
    flow = lstm.flow(model, xs * 0.0, ys)
    assert "explodes" in flow.diagnosis[0]
    model.params["layer1"]["W_h"].value = np.full((6, 4), np.nan)
    flow = lstm.flow(model, xs, ys)
    assert flow.diagnosis[0].startswith("Going forward, h is NaN at t=1, in sequence 1 of the")
    assert describe(flow.main) == "∂L/∂h is not finite from t=30 down."
    assert (
        json.loads(json.dumps(flow.to_json(), allow_nan=False))["series"]["h"]["norms"][0] == "nan"
    )


def _series(norms) -> Series:
    return Series("C", list(norms), ["normal" if x else "underflow" for x in norms])


@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ([2.3e-3, 2.3e-3], "∂L/∂C reaches t=1 at 2.3e-03 (median step ×1.000)."),
        ([1e-8, 1e-7, 1e-5, 1.0], "below 1e-06 of its start from t=2 down, 1.0e-08 at t=1."),
        ([1e9, 1e5, 1.0], "explodes"),
        ([0.0, 0.0, 1e-30, 1.0], "underflows to 0 from t=2 down"),
        ([math.nan, 1.0], "not finite from t=1 down"),
        ([math.inf, math.inf, 1.0], "not finite from t=2 down"),
        ([0.0, 0.0], "0 at every step"),
        ([0.5], "reaches t=1 at 5.0e-01."),
    ],
)
def test_words_follow_the_numbers(norms, words) -> None:
    assert words in describe(_series(norms))


def test_factors() -> None:
    series = _series([0.125, 0.25, 1.0])
    assert series.factors == [0.5, 0.25]
    assert series.factor == pytest.approx(8**-0.5)  # the middle of two
    assert _series([0.05, 0.5, 1.0, 2.0]).factor == pytest.approx(0.5)  # .1, .5, .5
    assert math.isnan(_series([1.0]).factor)


def test_saturated_gates_are_counted() -> None:
    flow = lstm.flow(_model(LSTM, memory=1000), *_data())
    assert flow.gates["f"].open == 1.0
    assert flow.gates["i"].closed == 1.0
    assert "Of the forget gates, 100% are saturated open (f > 0.9: keeps C)." in flow.diagnosis


def test_two_models_are_compared_in_decades() -> None:
    xs, ys = _data(steps=60)
    rnn, cell = lstm.flow(_model(RNN), xs, ys), lstm.flow(_model(LSTM, memory=60), xs, ys)
    decades = math.log10(cell.main.first / rnn.main.first)
    assert f"{decades:.1f} decades larger" in compare(rnn, cell).sentences[0]


def test_table_and_json_hold_every_step() -> None:
    flow = lstm.flow(_model(LSTM), *_data())
    columns = flow.table()
    assert {len(column) for column in columns.values()} == {7}
    assert list(columns)[:3] == ["t", "|dL/dh|", "|dL/dC|"]
    assert json.loads(json.dumps(flow.to_json(), allow_nan=False))["steps"] == 7


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(lstm.ConfigError, match=r"T, B, 2\), time first, .* not \(3, 2\)"):
        lstm.flow(_model(RNN), np.ones((3, 2)), np.ones((3, 1)))
