"""Triangles: which zeros are none, and what is kept of pairs of runs of steps."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from test_chart_maps import color_at
from written_flows import Written

import lstm
import minigrad as mg
from lstm.gradient_flow import across
from lstm.gradient_flow.across import StepMap
from minigrad.drawing import Scale

pytestmark = pytest.mark.usefixtures("by_numpy")

T = 30


def _fading(factor: float) -> lstm.Flow:
    """An RNN at 0, each step of which multiplies the gradient by `factor`, in float32."""
    model = lstm.Model.create(lstm.RNN(1, 2), 1, 0)
    model.params["layer1"]["W_h"].value = np.float32([[factor, 0], [0, factor], [0, 0]])
    return lstm.flow(model, np.zeros((T, 1, 1)), np.ones((1, 1)))


def test_what_is_too_small_for_the_dtype_is_an_underflow() -> None:
    flow = _fading(0.01)
    table = flow.itemised
    steps = np.arange(T)
    back = steps[:, None] - steps[None]  # from t back to s
    last = table.high[T - 1, T - 1]
    with np.errstate(under="ignore"):
        true = np.where(back >= 0, last * 0.01 ** np.maximum(back, 0).astype(float), 0.0)
    np.testing.assert_allclose(table.high[true > 1e-37], true[true > 1e-37], rtol=1e-4)
    lost = (back >= 0) & (table.high == 0.0)
    assert true[lost].max() < np.finfo(np.float32).tiny and lost.sum() > 20
    np.testing.assert_array_equal(table.kinds, np.where(lost, "underflow", "normal"))
    np.testing.assert_array_equal(table.low_kinds, table.kinds)
    ax = lstm.plot_itemised(flow)
    assert ax.get_title("left") or ax.get_title()
    words = [hint for artist in ax.get_children() for hint in getattr(artist, "hints", ())]
    assert any("t=30, s=1 …" in hint and "underflow" in hint for hint in words)


def test_a_factor_of_zero_is_a_zero() -> None:
    table = _fading(0.0).itemised
    assert set(table.kinds.flat) == {"normal"} and table.high[5, 3] == 0.0 < table.high[5, 5]


def test_a_loss_too_small_for_its_own_step_underflows_there() -> None:
    model = lstm.Model.create(lstm.RNN(1, 2), 1, 0)

    def tiny(output, target):
        return lstm.mse(output, target) * 1e-30 * 1e-30

    table = lstm.flow(model, np.zeros((1, 1, 1)), np.ones((1, 1)), tiny).itemised
    assert table.high.tolist() == [[0.0]] and table.kinds.tolist() == [["underflow"]]


def test_of_a_run_of_steps_both_ends_have_their_kind() -> None:
    """Runs of two steps: what is lost, what is 0, and what is neither, in all pairs."""
    norms, larger = np.ones((512, 512)), np.ones((512, 512))
    for k, (a, b) in enumerate([("lost", "lost"), ("lost", "none"), ("none", "none"),
                                ("lost", "some"), ("none", "some")]):  # fmt: skip
        for place, what in ((2 * k, a), (2 * k + 1, b)):
            norms[510:, place] = float(what == "some")
            larger[510:, place] = float(what != "none")
    table = StepMap.of("n", norms, larger)
    assert table.columns[:2] == table.rows[:2] == ((1, 2), (3, 4))
    assert table.kinds[-1, :6].tolist() == ["underflow", "underflow", *["normal"] * 4]
    assert table.low_kinds[-1, :6].tolist() == [
        "underflow", "normal", "normal", "underflow", "normal", "normal",
    ]  # fmt: skip
    assert table.low[-1, :6].tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert set(table.kinds[:-1].flat) == set(table.low_kinds[:-1].flat) == {"normal"}


STEPS, RUNS = 7, ((1, 2), (3, 5), (6, 7))  # three runs: they end at 2.33 and 4.67, rounded
SAMPLES = (1, 4, 7)  # as many steps, evenly spaced


def _extremes(norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest of each pair of runs, of pairs of which s is not after t."""
    low, high = np.zeros((2, len(RUNS), len(RUNS)))
    for row, (a, b) in enumerate(RUNS):
        for column, (c, d) in enumerate(RUNS[: row + 1]):
            pairs = [
                norms[t - 1, s - 1] for t in range(a, b + 1) for s in range(c, d + 1) if s <= t
            ]
            low[row, column], high[row, column] = min(pairs), max(pairs)
    return low, high


@lru_cache
def _measured() -> tuple[lstm.Flow, np.ndarray, np.ndarray]:
    """A flow of a loss that is large at step 5 alone, and each pair of steps' norms, of losses from
    the unrolled graph and of outputs from `jacobian`."""
    rng, shape = np.random.default_rng(0), (STEPS, 2, 2)
    model = lstm.Model.create(lstm.LSTM(2, 3, dtype="float64"), 2, 4, readout="every")
    xs, ys = rng.normal(size=shape), rng.normal(size=shape)
    ys[4] *= 1e6
    losses = np.zeros((STEPS, STEPS))
    inner = model.unroll(mg.const(xs))
    for t in range(STEPS):
        adjoints = mg.adjoints(lstm.mse(inner.output[t], mg.const(ys[t])))
        nodes = [adjoints[state.C] for state in inner.main.made[: t + 1]]
        losses[t, : t + 1] = [np.linalg.norm(x) for x in mg.eval(nodes)]
    x = mg.var("x", shape)
    (jacobian,) = mg.function([x], [mg.jacobian(model.run(x).output, x)])(xs)
    return lstm.flow(model, xs, ys, lstm.mse), losses, np.sqrt((jacobian**2).sum(axis=(1, 2, 4, 5)))


def test_steps_of_a_layer_that_reads_backward_count_as_it_reads() -> None:
    options = {"bidirectional": True, "readout": "every"}
    it = Written((lstm.LSTM, options, {"direction": "backward"}), (5, 2, 3), seed=5)
    written = it.model.unroll(mg.const(it.xs))
    states = [state.C for state in written.layers["layer1.backward"].made]
    expected = np.zeros((5, 5))
    for t in range(5):
        adjoints = mg.adjoints(lstm.mse(written.output[4 - t], mg.const(it.ys[4 - t])))
        expected[t, : t + 1] = [np.linalg.norm(adjoints[c].eval()) for c in states[: t + 1]]
    np.testing.assert_allclose(it.flow.itemised.high, expected, rtol=1e-9, atol=1e-15)


# Sweeps at a time: less than a row of influence has, some rows that leave one over, all.
@pytest.mark.parametrize("many", [1, 4, 1000])
def test_every_row_enters_its_run(monkeypatch, many: int) -> None:
    monkeypatch.setattr(across, "MOST", len(RUNS))
    monkeypatch.setattr(across, "_CHUNK", STEPS * 2 * 3 * many)
    flow, losses, inputs = _measured()
    flow = replace(flow)  # without the maps that it keeps
    for table, norms in ((flow.itemised, losses), (flow.influence, inputs)):
        low, high = _extremes(norms)
        assert table.rows == table.columns == RUNS
        np.testing.assert_allclose(table.high, high, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(table.low, low, rtol=1e-9, atol=1e-15)
    sampled = max(losses[t - 1].max() for t in SAMPLES)
    assert flow.itemised.high.max() > 1e4 * sampled  # which samples of the rows would not tell


def test_both_ends_of_a_run_are_drawn_at_its_steps(monkeypatch) -> None:
    monkeypatch.setattr(across, "MOST", len(RUNS))
    flow = replace(_measured()[0])
    pairs, scale = flow.itemised, Scale(-4.0, 8.0)
    ax = lstm.plot_itemised(flow, scale=scale)
    assert ax.get_title() == "‖∂Lₜ/∂C_s‖"
    for row, (a, b) in enumerate(RUNS):
        quarter = (b - a + 1) / 4
        for column, (c, d) in enumerate(RUNS):
            for sizes, y in ((pairs.high, a - 0.5 + quarter), (pairs.low, b + 0.5 - quarter)):
                wanted = scale.style(float(sizes[row, column])).color if column <= row else None
                assert color_at(ax, (c + d) / 2, y) == wanted, (row, column)
    hints = [hint for artist in ax.collections for hint in getattr(artist, "hints", ())]
    assert any(hint.startswith("t=3 … 5, s=1 … 2: ") for hint in hints)


def test_a_chart_draws_the_kinds_that_it_is_told() -> None:
    sizes = np.tril(np.ones((3, 3)))
    sizes[2, 0] = sizes[1, 0] = 0.0
    kinds = np.full((3, 3), "normal", dtype="<U9")
    kinds[2, 0] = "underflow"
    ax = mg.charts.triangle(sizes, kinds=kinds)
    words = [hint for artist in ax.get_children() for hint in getattr(artist, "hints", ())]
    told = {hint.split(":")[0]: hint for hint in words}
    assert "underflow" in told["t=3, s=1 … 1"] and "underflow" not in told["t=2, s=1 … 1"]
    with pytest.raises(mg.ShapeError, match="as many kinds"):
        mg.charts.triangle(sizes, kinds=["normal"])
