"""The copying problem: what is shown and asked for, its baseline, and that a net trains on it."""

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.figures import cell_unrolled
from lstm.tasks.copying import BLANK, COPIED, CUE, SYMBOLS, Copying


@pytest.mark.parametrize("lag", [1, 7])
def test_ten_symbols_a_silence_a_cue_and_the_same_ten(lag):
    xs, ys = Copying(lag).batch(np.random.default_rng(0), 400)
    assert xs.shape == ys.shape == (lag + 20, 400)
    assert set(np.unique(xs[:10])) == set(range(SYMBOLS))
    assert (xs[10 : lag + 9] == BLANK).all()
    assert (xs[lag + 9] == CUE).all()
    assert (xs[lag + 10 :] == BLANK).all()
    assert (ys[: lag + 10] == BLANK).all()
    np.testing.assert_array_equal(ys[lag + 10 :], xs[:10])


def test_the_baseline_is_the_loss_of_one_who_remembers_nothing():
    task = Copying(length=5)
    _, ys = task.batch(np.random.default_rng(0), 50)
    logits = np.full((*ys.shape, SYMBOLS + 1), -1e3)
    logits[:-COPIED, :, BLANK] = 0.0
    logits[-COPIED:, :, :SYMBOLS] = 0.0
    assert float(task.loss(mg.const(logits), mg.const(ys))) == pytest.approx(task.baseline)
    assert task.baseline == pytest.approx(10 * np.log(8) / 25)


def test_a_sequence_is_right_when_its_last_ten_are_and_solved_is_99_of_100():
    task = Copying(length=3)
    _, ys = task.batch(np.random.default_rng(0), 100)
    logits = np.eye(SYMBOLS + 1)[ys]
    logits[0] = 0.0  # what is said before the cue does not count
    assert task.correct(logits, ys).all()
    for wrong in range(2):
        assert task.solved(logits, ys)
        last = -COPIED if wrong else -1
        logits[last, wrong] = np.roll(logits[last, wrong], 1)
        assert task.correct(logits, ys).sum() == 99 - wrong
    assert not task.solved(logits, ys)


def test_a_model_of_tokens_is_made_for_it_trains_and_is_found_by_name(tmp_path):
    task = lstm.make_task("copying", {"length": 2})
    model = lstm.Model.create(lstm.GRU, task=task, hidden_size=8)
    assert list(model.params) == ["embedding", "layer1", "readout"]
    fitted = lstm.fit(model, task, lstm.Settings(steps=60, rate=0.03))
    assert fitted.reports[-1].loss < 0.8 * fitted.reports[0].loss
    assert 0 <= fitted.score.correct <= 1
    model.save(tmp_path / "copying.safetensors")
    loaded = lstm.Model.load(tmp_path / "copying.safetensors")
    assert loaded.task == {"name": "copying", "settings": {"length": 2}}
    np.testing.assert_array_equal(
        *[m.output(task.batch(np.random.default_rng(1), 2).xs).eval() for m in (model, loaded)]
    )


def test_no_length_is_refused():
    with pytest.raises(ConfigError, match="length must be a whole number of at least 1, not 0"):
        Copying(length=0)


def test_its_first_steps_are_drawn_with_the_targets_of_these_steps():
    task = Copying(length=2)
    model = lstm.Model.create(lstm.GRU, task=task, hidden_size=3)
    xs, ys = task.batch(np.random.default_rng(0), 2)
    figure = cell_unrolled(model, xs, ys, steps=2, loss=task.loss)
    assert figure.picture.groups == ["step t = 1", "step t = 2"]
    flow = lstm.flow(model, xs, ys)
    expected = float(task.loss(model.output(xs), mg.const(ys)))
    assert flow.loss == pytest.approx(expected, rel=1e-6)
