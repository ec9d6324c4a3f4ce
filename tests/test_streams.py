"""What is trained on, what is tested on and what is shown: three streams that never mix, and
results told of the right model at the right moment."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells import LSTM, RNN
from lstm.cli import main
from lstm.model import Model
from lstm.tasks import Adding
from lstm.training import TEST_SEQUENCES, Settings, evaluate, random_streams, train

pytestmark = pytest.mark.usefixtures("by_numpy")

SEED = 5


def _stream(which: int, seed: int = SEED) -> np.random.Generator:
    """0: parameters, 1: training batches, 2: test batches."""
    return np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[which])


@dataclass(frozen=True)
class Recording(Adding):
    """The adding problem, which remembers its batches."""

    batches: list = field(default_factory=list)

    def batch(self, rng, size):
        batch = super().batch(rng, size)
        self.batches.append(batch)
        return batch


def _model(task, seed=0) -> Model:
    return Model.create(LSTM(2, 4), 1, seed, Adding(task.length).config())


def test_training_draws_from_the_second_stream() -> None:
    task = Recording(length=6)
    list(train(_model(task), task, Settings(steps=3, batch=7, seed=SEED)))
    rng, plain = _stream(1), Adding(6)
    assert len(task.batches) == 3
    for batch in task.batches:
        expected = plain.batch(rng, 7)
        np.testing.assert_array_equal(batch.xs, expected.xs)
        np.testing.assert_array_equal(batch.ys, expected.ys)


def test_evaluation_draws_from_the_third_and_meets_no_sequence_of_training() -> None:
    task = Recording(length=6)
    model = _model(task)
    list(train(model, task, Settings(steps=40, batch=50, seed=SEED)))
    seen = {seq.tobytes() for b in task.batches for seq in b.xs.swapaxes(0, 1)}
    assert len(seen) == 2000
    task.batches.clear()
    score = evaluate(model, task, SEED)
    xs = np.concatenate([b.xs for b in task.batches], axis=1)
    ys = np.concatenate([b.ys for b in task.batches])
    assert xs.shape[1] == TEST_SEQUENCES == 2000
    assert not seen & {seq.tobytes() for seq in xs.swapaxes(0, 1)}
    first = Adding(6).batch(_stream(2), 500)
    np.testing.assert_array_equal(xs[:, :500], first.xs)

    outputs = model.output(mg.const(xs)).eval()
    errors = np.abs(outputs - ys)[:, 0]
    assert score.loss == pytest.approx(float(np.mean(errors.astype(np.float64) ** 2)), rel=1e-5)
    assert score.correct == pytest.approx(float((errors < 0.08).mean()), abs=1e-9)
    assert 0.0 < score.correct < 1.0
    assert not score.solved


def test_a_score_is_that_of_the_trained_model_and_of_its_seed() -> None:
    task = Adding(6)
    model = _model(task)
    before = evaluate(model, task, SEED)
    list(train(model, task, Settings(steps=30, seed=SEED)))
    assert evaluate(model, task, SEED).loss < before.loss
    assert evaluate(model, task, SEED) != evaluate(model, task, SEED + 1)


def test_the_rate_falls_along_the_cosine_of_its_own_steps() -> None:
    """The last of n steps moves by rate · ½ (1 + cos(π (n-1)/n)) at most, as Adam's first does."""
    model = _model(Adding(6))
    names = list(model.flat_params)
    moves = []
    for _ in train(model, Adding(6), Settings(steps=8, rate=0.05, clip=None)):
        now = np.concatenate([model.flat_params[n].value.ravel() for n in names]).copy()
        moves.append(now)
    sizes = [np.abs(b - a).max() for a, b in pairwise(moves)]
    assert sizes[-1] < 0.05 * 0.5 * (1 + np.cos(np.pi * 7 / 8)) * 3
    assert sizes[-1] < 0.2 * sizes[0]


def test_settings_clip_the_gradient() -> None:
    """A tiny limit and plain reports: the norm told is the one before clipping."""
    runs = {}
    for clip in (None, 1e-12):
        model = _model(Adding(6))
        start = model.values()
        reports = list(train(model, Adding(6), Settings(steps=1, clip=clip)))
        moved = max(np.abs(model.values()[n] - start[n]).max() for n in start)
        runs[clip] = reports[0].grad_norm, moved
    assert runs[None][0] == pytest.approx(runs[1e-12][0])
    assert runs[1e-12][0] > 1e-3
    assert runs[1e-12][1] < 0.1 * runs[None][1]  # Adam's eps shows at a gradient of 1e-12


# --- the commands ---------------------------------------------------------------------------------


def _json(capsys, *args) -> dict:
    assert main([str(a) for a in args] + ["--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_the_demo_tells_gradients_of_the_untrained_and_of_the_trained_model(capsys, tmp_path):
    args = ["--steps", 4, "--length", 6, "--seed", SEED, "--out", tmp_path]
    told = _json(capsys, "demo", *args)
    task = Adding(6)
    xs, ys = task.batch(_stream(2), 32)
    for cell in (RNN(2, 16), LSTM(2, 16, memory=6)):
        model = Model.create(cell, 1, random_streams(SEED)[0], task.config())
        found = told["models"][cell.name]
        for when in ("before", "after"):
            flow = lstm.flow(model, xs, ys)
            for symbol, series in flow.series.items():
                norm = found[f"gradient_{when}"][symbol]["norm"]
                assert norm == pytest.approx(series.first, rel=1e-4)
            if when == "before":
                reports = list(train(model, task, Settings(steps=4, seed=SEED)))
        assert found["curve"] == [r.loss for r in reports]
        assert found["test_loss"] == evaluate(model, task, SEED).loss
        assert found["gradient_before"] != found["gradient_after"]


@pytest.mark.usefixtures("undrawn")
def test_flow_shows_the_first_test_sequences(capsys, tmp_path) -> None:
    model = _model(Adding(6), 3)
    model.save(tmp_path / "m")
    told = _json(capsys, "flow", tmp_path / "m", "--seed", SEED, "--out", tmp_path / "out")["flow"]
    flow = lstm.flow(model, *Adding(6).batch(_stream(2), 32))
    assert told["batch"] == 32
    assert told["loss"] == flow.loss
    assert told["series"]["C"]["norms"] == flow.series["C"].norms


def test_the_commands_options_reach_training(capsys, tmp_path) -> None:
    args = ["--steps", 2, "--batch", 9, "--rate", 0.125, "--seed", 7, "--length", 6, "--hidden", 3]
    args += ["--validate", 0, "--out", tmp_path / "m"]  # the last model, not the best
    told = _json(capsys, "train", "adding", *args)
    options = {"steps": 2, "batch": 9, "rate": 0.125, "seed": 7}
    assert told["training"] == asdict(Settings(**options))
    model = Model.create(LSTM(2, 3, memory=6), 1, random_streams(7)[0])
    reports = list(train(model, Adding(6), Settings(2, 9, 0.125, seed=7)))
    assert told["train_loss"] == reports[-1].loss
    saved = Model.load(tmp_path / "m").values()
    assert all(np.array_equal(saved[n], value) for n, value in model.values().items())
