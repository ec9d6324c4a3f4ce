"""What a flow says of what is not finite, of what is too large for its dtype, and of single units
that are too small for it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.figures.plots import units_of
from lstm.gradient_flow import Flow, Series, Split, advice, describe, diagnose
from lstm.gradient_flow.advice import EXPLODED, NEAR, overflows
from lstm.gradient_flow.nonfinite import LONGEST
from lstm.gradient_flow.summary import lost_units
from lstm.gradient_flow.words import NAMED
from minigrad.drawing.amount import kind_of

pytestmark = pytest.mark.usefixtures("by_numpy")

T, B = 60, 3
MOST = float(np.finfo(np.float32).max)


@lstm.cell(params={})
def doubles(p: Any, h: Any, x: Any) -> Any:
    """h is 8 h + x: its gradient is 8 times as large a step, exactly."""
    return 8.0 * h + mg.sum(x) * mg.ones_like(h)


def _xs(steps: int = T) -> np.ndarray:
    return np.zeros((steps, B, 2))


def _flow(model: lstm.Model, xs: Any = None, ys: Any = None, **options: Any) -> Flow:
    ys = np.ones((B, 1)) if ys is None else ys
    return lstm.flow(model, _xs() if xs is None else xs, ys, lstm.mse, **options)


def _model(cell: Any = lstm.RNN, dtype: str = "float32", **options: Any) -> lstm.Model:
    return lstm.Model.create(cell(2, 4, dtype), 1, 0, **options)


# --- too large for its dtype ----------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "steps"), [("float32", T), ("float64", 400)])
def test_an_explosion_is_told_from_the_step_at_which_it_leaves_the_dtype(dtype, steps) -> None:
    flow = _flow(_model(doubles, dtype), _xs(steps))
    (start, *_) = [t for t in range(steps, 0, -1) if not math.isfinite(flow.main.norms[t - 1])]
    # The powers of 8 are exact, so that the size at each step is that at t = T times 8 for each.
    sizes = math.log10(flow.main.last) + math.log10(8) * np.arange(steps)[::-1]
    assert flow.decades == pytest.approx(sizes, rel=1e-6)
    most = math.log10(float(np.finfo(dtype).max))
    root = math.log10(4 * B) / 2  # a norm is at most so many decades above its largest element
    assert sizes[start] - root < most < sizes[start - 1]
    assert overflows(flow) == start
    shown = f"{float(np.finfo(dtype).max):.1e}"
    assert flow.diagnosis[0] == (
        f"∂L/∂h explodes along the steps: median step ×8, beyond the range of {dtype} ({shown}) "
        f"from t={start} down, 10^{sizes[0]:.0f} at t=1."
    )
    (one,) = [one for one in advice(flow) if "smaller weights" in one.remedy]
    assert one.finding == f"∂L/∂h is 10^{sizes[start - 1]:.1f} at t={start}"
    assert one.sentence == flow.diagnosis[1]


def test_what_starts_too_large_is_the_losss() -> None:
    flow = lstm.flow(_model(), _xs(4), np.ones((B, 1)), lambda p, t: mg.sum(p) * 1e35 * 1e5)
    assert overflows(flow) == 4
    assert flow.diagnosis[0].startswith("∂L/∂h starts beyond the range of float32 (3.4e+38) from ")
    assert "try a smaller loss" in flow.diagnosis[1]


@pytest.mark.parametrize(
    ("size", "loss", "told"),
    [
        (math.log10(MOST) - NEAR, 0.0, 1),
        (math.nextafter(math.log10(MOST) - NEAR, 0), 0.0, None),
        (math.inf, 0.0, None),
        (math.nan, 0.0, None),
        (math.log10(MOST) + 1, math.inf, None),
    ],
)
def test_what_is_too_large_is_near_the_largest_number_or_above(size, loss, told) -> None:
    series = Series("h", [math.inf, 1.0], ["inf", "normal"])
    flow = Flow("rnn", 2, 1, "float32", loss, {"h": series}, None, {}, [])
    vars(flow).update(decades=np.array([size, 0.0]), unsound=None)
    assert overflows(flow) == told


@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ([math.inf, EXPLODED, 1.0], "∂L/∂h is not finite from t=1 down."),
        (
            [math.nan, math.nextafter(EXPLODED, 2e3), 1.0],
            "∂L/∂h explodes: median step ×1e+03, and is not finite from t=1 down.",
        ),
        ([math.inf, math.inf], "∂L/∂h is not finite from t=2 down."),
    ],
)
def test_numbers_alone_tell_an_explosion_by_its_finite_steps(norms, words) -> None:
    assert describe(Series("h", norms, [kind_of(x) for x in norms])) == words


# --- not finite -----------------------------------------------------------------------------------


def test_an_overflow_forward_is_told_with_its_step_and_op() -> None:
    flow = _flow(_model(doubles), np.ones((T, B, 2)))
    states = flow.values["h"]
    step = int(np.argwhere(~np.isfinite(states).all(axis=(1, 2)))[0, 0]) + 1
    assert flow.unsound == ("h", step, 1)
    assert overflows(flow) is None and not advice(flow)
    first, cause = flow.diagnosis[:2]
    assert first == (
        f"Going forward, h is infinite at t={step}, in sequence 1 of the batch; the loss is "
        f"{flow.loss:g}."
    )
    assert cause.startswith("The cause: infinity born at op multiply")
    assert "it overflows float32" in cause


def test_the_first_that_is_not_finite_is_of_the_earliest_step_and_no_padding() -> None:
    values = {name: np.zeros((6, 2, 3)) for name in "abc"}
    values["a"][4], values["b"][3, 1, 2], values["c"][3, 0] = np.nan, np.inf, np.nan
    values["c"][0] = np.nan
    counted = np.array([[False] * 2, *[[True] * 2] * 5])
    stacks = SimpleNamespace(values=values, counted=counted)
    source: Any = SimpleNamespace(reading=SimpleNamespace(stacks=stacks))
    series = {"a": Series("a", [1.0] * 6, ["normal"] * 6)}
    flow = Flow("own", 6, 2, "float64", 0.0, series, None, {}, [], source=source)
    assert flow.unsound == ("b", 4, 2)


@pytest.mark.parametrize(("where", "reverse"), [((5, 2, 1), False), ((5, 2, 1), True)])
def test_the_data_that_hold_a_nan_are_named_with_step_and_sequence(where, reverse) -> None:
    xs = _xs(9)
    xs[where], xs[7, 0, 0] = math.nan, math.nan
    model = _model(lstm.LSTM, bidirectional=True)
    flow = _flow(model, xs, direction="backward" if reverse else "forward")
    assert flow.diagnosis[1].startswith(
        "The cause: xs[5, 2, 1] is nan, in step 6 of sequence 3 (and 1 more are not finite): it "
        "came with the data; mend it, or leave it out by a mask"
    )
    spot = (8 - 7 + 1, 1) if reverse else (6, 3)  # in the order in which the layer reads
    assert flow.unsound[1:] == spot
    assert (
        f"at t={spot[0]}, in sequence {spot[1]} of the batch; the loss is nan."
        in (flow.diagnosis[0])
    )


def test_padding_is_not_blamed_and_what_a_mask_lets_through_is() -> None:
    xs = _xs(6)
    xs[4:, 1] = math.nan
    assert "reaches t=1" in _flow(_model(), xs, lengths=[6, 4, 6]).diagnosis[0]
    flow = _flow(_model(), xs, lengths=[6, 5, 6])
    assert "xs[4, 1, 0] is nan, in step 5 of sequence 2" in flow.diagnosis[1]
    assert flow.unsound == ("h", 5, 2)


def test_targets_and_parameters_are_named_too() -> None:
    ys = np.ones((B, 1))
    ys[2] = math.nan
    told = _flow(_model(), _xs(3), ys).diagnosis
    assert told[0] == "The loss is nan, though all that the layer computes is finite."
    assert told[1].startswith("The cause: ys[2, 0] is nan, in sequence 3: it came with the data")
    model = _model()
    weights = model.params["layer1"]["W_h"]
    weights.value = np.where(np.arange(24).reshape(6, 4) == 9, np.inf, weights.value)
    told = _flow(model, np.ones((3, B, 2))).diagnosis
    assert told[1] == "The cause: W_h[2, 1] is inf: the parameter was so already; set it anew."


def test_data_that_the_dtype_cannot_hold_are_told_as_they_were_given() -> None:
    xs = _xs(3)
    xs[1, 0] = 1e39  # with weights of two signs
    cause = _flow(_model(), xs).diagnosis[1]
    assert "xs[1, 0, 0] is 1e+39, more than float32 holds, in step 2 of sequence 1" in cause
    assert "reaches" in _flow(_model(dtype="float64"), xs).diagnosis[0]


@pytest.mark.parametrize("steps", [5, 230])
def test_a_nan_that_is_born_on_the_way_back_is_told_with_its_op(steps) -> None:
    @lstm.cell
    def root(p: Any, h: Any, x: Any) -> Any:
        return mg.sqrt(mg.abs(mg.concat([h, x], -1) @ p["W_a"] * 0.0))

    first, cause = _flow(_model(root), np.ones((steps, B, 2))).diagnosis[:2]
    assert first == (
        f"Going back, ∂L/∂h is not finite from t={steps - 1} down, first in sequence 1 of the "
        "batch, though the loss is."
    )
    assert "\n" not in cause
    assert re.search("infinity born (backward|at op divide)", cause)


@pytest.mark.parametrize("steps", [6, 230])
def test_one_that_reaches_no_parameter_is_too_with_its_step_and_sequence(steps) -> None:
    @lstm.cell(params={})
    def root(p: Any, h: Any, x: Any) -> Any:
        return mg.sqrt(h) + mg.sum(x, axis=1, keepdims=True) * mg.ones_like(h)

    xs = np.ones((steps, B, 2))
    xs[:4, 1] = 0.0  # h₄ is 0 in the second sequence, where a root has no slope
    flow = _flow(_model(root), xs)
    first, cause = flow.diagnosis[:2]
    assert first == (
        "Going back, ∂L/∂h is not finite from t=4 down, first in sequence 2 of the batch, though "
        "the loss is."
    )
    assert np.isfinite(flow.adjoints["h"][:, [0, 2]]).all()
    told = r"op sqrt, made at .*: the derivative of sqrt\(0\) meets"
    assert re.search(told if steps < LONGEST else "infinity born at op divide", cause)


def test_steps_are_counted_from_1_where_a_value_of_a_constant_is_not_finite() -> None:
    @lstm.cell(params={})
    def divided(p: Any, h: Any, x: Any) -> Any:
        return h / mg.sqrt(h * h) + mg.sum(x, axis=1, keepdims=True) * mg.ones_like(h)

    first, cause = _flow(_model(divided), np.ones((3, B, 2))).diagnosis[:2]
    assert first.startswith("Going forward, h is NaN at t=1, in sequence 1 of the batch")
    assert cause.startswith("The cause: in step 1 of a loop: NaN born at op divide")


# --- single units ---------------------------------------------------------------------------------


def _forgetting(biases: list[float], steps: int = 40) -> Flow:
    """An LSTM whose gates read nothing: unit k keeps σ(bias) of its C a step, and no more."""
    model = _model(lstm.LSTM)
    layer = model.params["layer1"]
    for name, leaf in layer.items():
        if name.startswith("W_"):
            leaf.value = np.zeros_like(leaf.value)
    layer["b_f"].value = np.array(biases, np.float32)
    return _flow(model, np.ones((steps, B, 2)))


def test_units_whose_product_is_too_small_are_told_from_those_with_a_factor_of_zero() -> None:
    flow = _forgetting([5.0, -5.0, 5.0, -6.0])
    first = flow.adjoints["C"][0]
    assert not first[:, [1, 3]].any() and first[:, [0, 2]].all() and flow.factor.all()
    assert flow.lost["C"][0].tolist() == [False, True, False, True]
    assert flow.main.kinds[0] == "normal"
    assert (
        "Of the 4 units of C, 2 underflow to 0 at t=1 (2, 4): no factor on the way is 0, but their "
        "product is too small for float32."
    ) in flow.diagnosis
    kinds = units_of(flow, "C")[1][:, 0].tolist()
    assert kinds[1] == kinds[3] == "underflow" and kinds[0] == kinds[2] == "normal"
    one = _forgetting([5.0, -5.0, 5.0, 5.0]).diagnosis
    assert any("Of the 4 units of C, one underflows to 0 at t=1 (2)" in said for said in one)
    none = _forgetting([5.0, 5.0, 5.0, 5.0])
    assert not none.lost["C"].any() and not any("units of C" in said for said in none.diagnosis)
    exact = _forgetting([5.0, -1e4, 5.0, 5.0])  # f is 0 itself
    assert not exact.lost["C"][0].any() and exact.factor[0, 0, 1] == 0.0
    assert not any("units of C" in said for said in exact.diagnosis)
    assert units_of(exact, "C")[1][1, 0] != "underflow"
    whole = _forgetting([-5.0, -5.0, -5.0, -5.0])  # told of the whole gradient
    assert whole.lost["C"][0].all() and not any("units of C" in said for said in whole.diagnosis)


def test_only_some_units_are_named() -> None:
    series = {"C": Series("C", [1.0, 1.0], ["normal"] * 2)}
    for count, words in ((NAMED, "(1, 2, 3, 4)"), (NAMED + 1, "(1, 2, 3, 4, …)")):
        split = Split("C", "f", [0.5] * 2, series["C"], Series("C", [0.0] * 2, ["zero"] * 2))
        source: Any = SimpleNamespace(lost={"C": np.arange(8) < np.array([[count], [0]])})
        flow = Flow("lstm", 2, 1, "float32", 0.0, series, split, {}, [], source=source)
        vars(flow).update(memory=None, main_cancellation=np.ones(2))
        (said,) = [words for words in diagnose(flow) if "units" in words]
        assert said.startswith(f"Of the 8 units of C, {count} underflow to 0 at t=1 {words}: ")
        assert not any("units" in words for words in diagnose(replace(flow, source=None)))


def test_a_unit_is_lost_from_where_it_underflows_on() -> None:
    """Of a much larger ∂L/∂L it may underflow too, later: the zeros below are the same."""
    small = np.array([0.0, 0.0, 0.0, 1.0])[:, None]
    large = np.array([0.0, 0.0, 1.0, 1.0])[:, None]
    assert lost_units(small, large)[:, 0].tolist() == [True, True, True, False]
    zero = np.array([0.0, 0.0, 0.0, 1.0])[:, None]
    assert not lost_units(small, zero).any()


def _chaotic(scale: float) -> tuple[lstm.Model, Any, Any]:
    """An RNN whose states in float64 are soon others than in float32."""
    model = lstm.Model.create(lstm.RNN(2, 16), output_size=1, seed=0)
    weights = model.flat_params["layer1.W_h"]
    values = np.array(weights.value)
    values[:16] *= scale
    values[16:] *= 1e-30
    weights.value = values
    xs = np.random.default_rng(1).normal(size=(300, 8, 2))
    return model, xs, np.random.default_rng(0).normal(size=(8, 1))


def test_decades_are_of_the_states_that_were_measured() -> None:
    flow = lstm.flow(*_chaotic(6.0))
    sound = next(t for t, norm in enumerate(flow.main.norms) if math.isfinite(norm))
    assert 0 < sound < 250
    weights = np.float64(flow.source.meter.model.flat_params["layer1.W_h"].value)[:16]
    back = flow.adjoints["h"][sound].astype(np.float64)
    for t in range(sound - 1, max(sound - 5, -1), -1):
        back = (back * (1 - flow.values["h"][t + 1].astype(np.float64) ** 2)) @ weights.T
        assert flow.decades[t] == pytest.approx(math.log10(np.linalg.norm(back)), abs=0.5)


def test_decades_of_what_underflows_have_their_digits() -> None:
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=(300, 8, 2)), rng.normal(size=(8, 1))
    model = lstm.Model.create(lstm.RNN(2, 16), output_size=1, seed=0)
    flow = lstm.flow(model, xs, ys)
    assert flow.main.kinds[0] == "underflow"
    wide = lstm.flow(model.with_dtype("float64"), xs, ys)
    np.testing.assert_allclose(flow.decades, np.log10(wide.main.norms), atol=1e-4)


def test_a_zero_that_is_a_choice_at_nan_is_no_underflow() -> None:
    model = lstm.Model.create(lstm.RNN(2, 16, rectified=True), output_size=1, seed=0)
    weights = model.flat_params["layer1.W_h"]
    weights.value = 30.0 * weights.value
    rng = np.random.default_rng(0)
    flow = lstm.flow(model, rng.normal(size=(60, 4, 2)), rng.normal(size=(4, 1)))
    assert not math.isfinite(flow.loss)
    assert "underflow" not in flow.main.kinds and "underflow" not in str(flow)


# --- pairs of steps -------------------------------------------------------------------------------


def _pairs(flow: Flow, name: str) -> np.ndarray:
    if name != "influence_on":
        return np.array(getattr(flow, name).high)
    return np.array([flow.influence_on(t).norms for t in range(1, flow.steps + 1)])


@pytest.mark.parametrize("name", ["itemised", "influence", "influence_on"])
@pytest.mark.parametrize("read", ["last", "every"])
def test_steps_before_one_that_is_not_finite_keep_their_numbers(name, read) -> None:
    rng, steps = np.random.default_rng(0), 6
    xs = rng.standard_normal((steps, B, 2))
    ys = rng.standard_normal((steps, B, 1) if read == "every" else (B, 1))
    bad = xs.copy()
    bad[3, 1, 0] = np.nan
    model = _model(lstm.LSTM, "float64", readout=read)
    expected, pairs = (_pairs(_flow(model, x, ys), name) for x in (xs, bad))
    np.testing.assert_allclose(pairs[:3], expected[:3], rtol=1e-12)
    after = np.tril(np.ones((steps, steps), bool))[3:]
    assert np.isnan(pairs[3:][after]).all()
    if name != "influence_on":
        assert not pairs[3:][~after].any()  # no loss reads what comes after it
    lengths = [6, 4, 3]
    padded = _flow(model, bad, ys, lengths=lengths)
    whole = _pairs(_flow(model, xs, ys, lengths=lengths), name)
    np.testing.assert_allclose(_pairs(padded, name)[:3], whole[:3], rtol=1e-12)


def test_where_all_read_what_is_not_finite_no_pair_has_a_number() -> None:
    bad = _xs(4)
    bad[2, 0] = np.inf
    both = _model(bidirectional=True)
    assert np.isnan(_flow(both, bad).influence.high).all()
    every, ys, mask = _model(readout="every"), np.ones((4, B, 1)), np.ones((4, B), bool)
    assert np.isfinite(_flow(every, bad, ys).influence.high[:2]).all()
    own = lstm.flow(every, bad, ys, lambda p, y: lstm.mse(p, y, mask=mask))  # there is none of two
    assert np.isnan(own.influence.high).all()
    bad[0] = np.nan
    assert np.isnan(_flow(_model(), bad).influence.high).all()
