"""Parity, latching, the delayed sine and chaotic series (Mackey & Glass, Lorenz): their sequences
against their definitions, computed another way; their baselines; and when they count as solved."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.tasks.delayed_sine import DelayedSine
from lstm.tasks.forecasts import LONG, SERIES
from lstm.tasks.latching import Latching
from lstm.tasks.lorenz import Lorenz, _advanced
from lstm.tasks.mackey_glass import MackeyGlass, _series
from lstm.tasks.parity import Parity


def batch(task, size, seed=0):
    return task.batch(np.random.default_rng(seed), size)


def value(task, prediction, target):
    return float(task.loss(mg.const(prediction), mg.const(target)).eval())


# --- parity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "shortest"), [(7, 1), (12, 9), (5, 5)])
def test_one_where_the_number_of_ones_is_odd(length, shortest):
    task = Parity(length, shortest)
    xs, ys, lengths = batch(task, 2000)
    assert set(lengths) == set(range(shortest, length + 1))
    for k, n in enumerate(lengths):
        own = xs[:n, k, 0].tolist()
        assert set(own) <= {1.0, -1.0}
        assert not xs[n:, k].any()
        assert np.prod(own) == (-1) ** n * (1 - 2 * ys[k, 0])  # (-1)^(n - ones)
    assert ys.mean() == pytest.approx(0.5, abs=0.06)
    assert value(task, np.zeros((2000, 1)), ys) == pytest.approx(task.baseline)
    said = np.where(ys == 1, 0.1, -0.1)
    assert task.solved(said, ys)
    said[7] *= -1
    assert task.correct(said, ys).tolist() == [k != 7 for k in range(2000)]
    assert not task.solved(said, ys)


# --- latching ------------------------------------------------------------------------------------


def test_a_bit_of_three_steps_and_then_noise():
    task = Latching(length=9)
    xs, ys = batch(task, 4000)
    signs = np.sign(ys[:, 0])
    np.testing.assert_allclose(np.abs(ys), 0.8, rtol=1e-6)
    assert abs(signs.mean()) < 0.06
    np.testing.assert_array_equal(xs[:3, :, 0], np.tile(signs, (3, 1)))
    noise = xs[3:, :, 0].astype(float)
    assert noise.var() == pytest.approx(0.2, abs=0.01)
    assert abs(noise.mean()) < 0.02
    assert abs((noise * signs).mean()) < 0.02  # it tells nothing of the class
    assert value(task, np.zeros(ys.shape), ys) == pytest.approx(task.baseline)
    said = ys / 100
    said[:40] *= -1
    assert task.correct(said, ys).tolist() == [k >= 40 for k in range(4000)]
    assert task.solved(said, ys)
    said[40:41] *= -1
    assert not task.solved(said, ys)


# --- the delayed sine ----------------------------------------------------------------------------


def test_what_is_asked_for_is_the_wave_of_so_many_steps_ago():
    task = DelayedSine(delay=5, length=40)
    xs, ys = batch(task, 400)
    np.testing.assert_array_equal(ys[5:], xs[:-5])
    whole = np.concatenate([ys[:5], xs]).astype(float)[:, :, 0]
    turn = (whole[2:] * whole[1:-1] + whole[:-2] * whole[1:-1]).sum(0) / (whole[1:-1] ** 2).sum(0)
    np.testing.assert_allclose(whole[2:] + whole[:-2], turn * whole[1:-1], atol=1e-5)  # 2 cos w
    periods = 2 * np.pi / np.arccos(turn / 2)
    assert (periods.min() > 7.99, periods.max() < 32.01) == (True, True)
    assert periods.mean() == pytest.approx(20, abs=1.8)
    assert np.abs(whole).max() <= 1
    assert value(task, np.zeros(ys.shape), ys) == pytest.approx(task.baseline, abs=0.02)


def test_the_first_steps_have_no_target():
    task = DelayedSine(delay=5, length=12)
    _, ys = batch(task, 3)
    said = ys + np.sqrt(0.0049)
    said[:5] = 99
    assert value(task, said, ys) == pytest.approx(0.0049, rel=1e-5)
    assert task.solved(said, ys)
    said[5:, 1] = ys[5:, 1] + np.sqrt(0.0051)
    assert task.correct(said, ys).tolist() == [True, False, True]
    assert task.solved(said, ys)  # on average
    said[5:, 1] += 0.1
    assert not task.solved(said, ys)


# --- chaotic series ------------------------------------------------------------------------------


def test_the_series_solves_its_equation():
    """By Heun's method with steps a quarter as long, of four series, from their start."""
    starts = np.linspace(0.5, 1.5, 256)[np.random.default_rng(0).permutation(256)][:4]
    h, lag = 0.05, 340
    x = np.tile(starts, (lag + 1, 1))
    for _ in range(6000 + 5 * 120):
        slopes = []
        for now, past in ((x[-1], x[-1 - lag]), (None, x[-lag])):
            now = x[-1] + h * slopes[0] if now is None else now
            slopes.append(0.2 * past / (1 + past**10) - 0.1 * now)
        x = np.concatenate([x, [x[-1] + h / 2 * (slopes[0] + slopes[1])]])[-6700:]
    last = x[-600 - 1 :: 120]
    np.testing.assert_allclose(_series()[: len(last), :4], last, atol=2e-3)


def test_lorenz_moves_as_his_equations_say():
    """By Heun's method with steps a tenth as long, for half a unit of time."""

    def slopes(s):
        x, y, z = s
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 * z / 3])

    state = np.random.default_rng(0).normal(0, 5, (3, 4))
    state[2] += 20
    expected, made, h = state, state, 0.01 / 10
    for _ in range(500):
        a = slopes(expected)
        expected = expected + h / 2 * (a + slopes(expected + h * a))
    for _ in range(50):
        made = _advanced(made)
    np.testing.assert_allclose(made, expected, atol=2e-3)
    xs = Lorenz.series() * 10
    assert xs.std() == pytest.approx(7.92, abs=0.1)  # on the attractor
    assert np.abs(xs).max() < 20


@pytest.mark.parametrize("kind", [MackeyGlass, Lorenz])
def test_windows_are_of_series_and_what_is_held_out_is_of_others(kind):
    task = kind(length=20, horizon=5)
    assert task.series().shape == (LONG, 256)
    windows = {part: [] for part in SERIES}
    for part in SERIES:
        rng = np.random.default_rng(0)
        batches = [task.batch(rng, 40)] if part == "training" else task.held_out(part, rng, 40, 20)
        for xs, ys in batches:
            np.testing.assert_array_equal(xs[5:], ys[:-5])
            windows[part] += [*np.concatenate([xs, ys[-5:]])[:, :, 0].T]
        assert len(windows[part]) == 40
        first, count = SERIES[part]
        own = task.series()[:, first : first + count].astype(np.float32)
        starts = np.lib.stride_tricks.sliding_window_view(own, 25, 0).reshape(-1, 25)
        known = {row.tobytes() for row in starts}
        assert {np.ascontiguousarray(w).tobytes() for w in windows[part]} <= known
    assert not {w.tobytes() for w in windows["training"]} & {w.tobytes() for w in windows["test"]}


def test_blood_cells_stay_within_bounds():
    values = _series()
    np.testing.assert_array_equal(MackeyGlass.series(), values - 1)
    assert (values.min() > 0.2, values.max() < 1.45) == (True, True)
    assert values.mean() == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(("kind", "horizon"), [(MackeyGlass, 1), (MackeyGlass, 14), (Lorenz, 8)])
def test_the_loss_to_beat_is_that_of_a_linear_forecast(kind, horizon):
    task = kind(horizon=horizon)
    rows = {}
    for part in ("training", "test"):
        first, count = SERIES[part]
        own = np.lib.stride_tricks.sliding_window_view(
            task.series()[:, first : first + count], 8 + horizon, 0
        ).reshape(-1, 8 + horizon)
        rows[part] = np.column_stack([own[:, :8], np.ones(len(own))]), own[:, -1]
    seen, said = rows["training"]
    weights = np.linalg.solve(seen.T @ seen, seen.T @ said)
    seen, said = rows["test"]
    assert task.baseline == pytest.approx(((seen @ weights - said) ** 2).mean(), rel=1e-5)
    assert task.baseline < said.var()
    stays = ((seen[:, 7] - said) ** 2).mean()
    assert [*task.baselines.values()] == pytest.approx([stays, task.baseline])
    assert task.baseline < stays
    xs, ys = batch(task, 4)
    said = ys + np.sqrt(task.baseline / 11)
    said[:7] = 99  # eight have to be seen
    assert value(task, said, ys) == pytest.approx(task.baseline / 11, rel=1e-4)
    assert task.solved(said, ys)
    said[7:, 2] += 1
    assert task.correct(said, ys).tolist() == [True, True, False, True]
    assert not task.solved(said, ys)
    assert xs.shape == (60, 4, 1)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Parity, {"length": 3, "shortest": 4}, "shortest is 4, and length 3"),
        (DelayedSine, {"delay": 60}, "length must be a whole number of at least 61"),
        (MackeyGlass, {"length": 190}, "length . horizon is 204, and a series has 200 numbers"),
        (Lorenz, {"length": 8}, "length must be a whole number of at least 9"),
        (Latching, {"length": 3}, "length must be a whole number of at least 4"),
    ],
)
def test_settings_that_cannot_be(kind, settings, words):
    with pytest.raises(lstm.ConfigError, match=words):
        kind(**settings)
