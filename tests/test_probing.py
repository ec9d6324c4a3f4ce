"""What a state knows: linear probes against least squares, and units whose memory is taken away."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.probing import probe, without_units


def latch():
    """An LSTM by hand: unit 0 keeps the sign of the first input, unit 1 that of the last; both
    are read."""
    cell = lstm.LSTM(2, 2)
    zeros = {name: np.zeros(shape, "float32") for name, shape in cell.shapes().items()}
    zeros["b_f"][:] = [12.0, -12.0]
    zeros["b_o"][:] = 12.0
    zeros["W_i"][3] = [-24.0, 0.0]  # input 2 says that a step is not the first
    zeros["b_i"][:] = [12.0, 12.0]
    zeros["W_C"][2] = [4.0, 4.0]
    return lstm.Model.of(cell, 2, {f"layer1.{n}": v for n, v in zeros.items()} | READOUT)


READOUT = {"readout.W_y": np.eye(2, dtype="float32"), "readout.b_y": np.zeros(2, "float32")}


def signs(count=40, steps=6):
    xs = np.zeros((steps, count, 2))
    xs[..., 0] = np.random.default_rng(0).choice([-1.0, 1.0], (steps, count))
    xs[1:, :, 1] = 1.0
    return xs


def test_each_unit_is_found_that_knows():
    model, xs = latch(), signs()
    first = np.broadcast_to(xs[:1, :, 0] > 0, xs.shape[:2])
    for label, unit in ((first, 0), (xs[..., 0] > 0, 1)):
        found = probe(model, xs, label)
        assert found.part == "C"
        assert found.ranked[0] == unit
        assert found.by_unit[unit] == found.accuracy == 1.0
        assert found.by_unit[1 - unit] < 0.85
        assert 0.3 < found.chance < 0.7
        assert np.abs(found.weights[unit]).min() > 10 * np.abs(found.weights[1 - unit]).max()


def test_a_probe_is_least_squares_on_half_and_its_accuracy_that_of_the_other():
    rng = np.random.default_rng(1)
    model = lstm.Model.create(lstm.GRU(3, 4), output_size=1)
    xs, labels = rng.normal(size=(5, 30, 3)), rng.integers(-1, 3, (5, 30))
    found = probe(model, xs, labels, part="h")
    h = model.run(xs.astype("float32")).outputs.eval().astype(float)
    own, other = labels[:, :15] >= 0, labels[:, 15:] >= 0
    x, y = h[:, :15][own], np.eye(3)[labels[:, :15][own]]
    centred = x - x.mean(0)
    # of the sums of squares of a ridge the intercept is not one
    weights = np.linalg.solve(centred.T @ centred + 1e-3 * len(x) * np.eye(4), centred.T @ y)
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)
    scores = (h[:, 15:][other] - x.mean(0)) @ weights + y.mean(0)
    truth = labels[:, 15:][other]
    assert found.accuracy == pytest.approx((scores.argmax(1) == truth).mean())
    assert found.chance == pytest.approx((truth == y.sum(0).argmax()).mean())


def test_a_unit_whose_memory_is_taken_away_forgets_and_no_other():
    model, xs = latch(), signs()
    said = model.output(xs).eval()
    assert (np.sign(said) == np.sign(np.stack([xs[0, :, 0], xs[-1, :, 0]], 1))).all()
    without = without_units(model, xs, [0])
    assert np.ptp(without[:, 0]) < 1e-3
    np.testing.assert_allclose(without[:, 1], said[:, 1], atol=1e-6)
    np.testing.assert_allclose(without_units(model, xs, [1]), said, atol=1e-3)  # it kept nothing
    np.testing.assert_allclose(without_units(model, xs, []), said, atol=1e-6)


@pytest.mark.parametrize("cell", [lstm.LSTM, lstm.GRU, lstm.RNN])
def test_what_is_clamped_is_what_each_step_reads(cell):
    """Against the equations, step by step in NumPy's order, of a state that is written into."""
    model = lstm.Model.create(cell(2, 3), output_size=2, layers=2)
    xs = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("float32")
    held = np.array([np.nan, 0.25, np.nan])
    run = model.run(xs, clamp={"layer1.h": held})
    first = model.layers.recurrent()["layer1"].cell
    state, rows = first.initial_state(5), []
    for x in xs:
        h = state.h.eval().copy()
        h[:, 1] = 0.25
        state = first.step(model.params["layer1"], state._replace(h=mg.const(h)), mg.const(x))
        state = type(state)(*[mg.const(part.eval()) for part in state])
        rows.append(state.h.eval())
    second = model.layers.recurrent()["layer2"].cell
    top = second.initial_state(5)
    for row in rows:
        top = second.step(model.params["layer2"], top, mg.const(row))
    np.testing.assert_allclose(run.outputs.eval()[-1], top.h.eval(), atol=1e-6)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m, xs: probe(m, xs, np.zeros((2, 2))), r"labels are \(T, B\), \(6, 40\), not"),
        (lambda m, xs: probe(m, xs, np.zeros((6, 40))), "labels of two classes"),
        (lambda m, xs: probe(m, xs, xs[..., 0] > 0, part="z"), "no part 'z' of the state"),
        (lambda m, xs: without_units(m, xs, [2]), "units are 0 to 1, not 2"),
        (lambda m, xs: m.run(xs, clamp={"q": [1.0, 2.0]}), "no state has a part 'q'"),
        (lambda m, xs: m.run(xs, clamp={"h": [1.0]}), r"clamp= has for layer1.h a number"),
    ],
)
def test_what_cannot_be_asked(ask, message):
    with pytest.raises(ConfigError, match=message):
        ask(latch(), signs())
