"""What a model is validated and tested on: a stream of its own, with the state carried on where
training carries it; and a validation that fails is made when training is resumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import lstm
from lstm.training import random_streams

pytestmark = pytest.mark.usefixtures("by_numpy")

SIDE = 5  # sequences side by side


@dataclass(frozen=True)
class Sums(lstm.Adding):
    """Parts of a long stream, each of which asks for what the one before it began with."""

    def batch_at(self, position, rng, size):
        xs = rng.random((self.length, size, 2)).astype(np.float32)
        return lstm.Batch(xs, xs[0, :, :1])


def test_the_state_goes_on_from_batch_to_batch_where_it_is_tested():
    """Against the whole stream, run at once."""
    task = Sums(4)
    model = lstm.Model.create(lstm.GRU(2, 3), 1, 0).with_dtype("float64")
    for k in range(3):  # another time it is the same
        if k == 1:
            model.params["layer1"]["b_h"].value += 0.5
        parts = 2000 // SIDE
        rng = random_streams(7).test
        batches = [task.batch_at(k, rng, SIDE) for k in range(parts)]
        outputs = model.run(np.concatenate([b.xs for b in batches])).outputs.eval()[3::4]
        readout = {name: p.value for name, p in model.params["readout"].items()}
        said = outputs @ readout["W_y"] + readout["b_y"]
        error = said - np.stack([b.ys for b in batches])
        score = lstm.evaluate(model, task, 7, carried=SIDE)
        assert score.loss == pytest.approx((error**2).mean(), rel=1e-12)
        assert score.correct == (abs(error) < 0.08).mean()
    assert lstm.evaluate(model, task, 7).loss != score.loss  # where each part starts anew


def test_a_stateful_training_is_validated_and_scored_so():
    task, model = Sums(4), lstm.Model.create(lstm.GRU(2, 3), 1, 0)
    told = []
    settings = lstm.Settings(steps=4, batch=SIDE, stateful=True)
    fitted = lstm.fit(model, task, settings, validate=4, callback=lambda p: told.append(p.score))
    assert fitted.score == lstm.evaluate(fitted.best, task, 0, carried=SIDE)
    assert fitted.score.loss != lstm.evaluate(fitted.best, task, 0).loss
    rng = random_streams(0).validation
    part = [task.batch_at(k, rng, SIDE) for k in range(500 // SIDE)]
    said = model.run(np.concatenate([b.xs for b in part])).outputs.eval()[3::4]
    said = said @ model.params["readout"]["W_y"].value + model.params["readout"]["b_y"].value
    assert told[-1].loss == pytest.approx(
        ((said - np.stack([b.ys for b in part])) ** 2).mean(), rel=1e-5
    )


def test_each_validation_starts_from_a_state_of_zeros():
    scores = []
    settings = lstm.Settings(steps=3, batch=SIDE, stateful=True, rate=1e-30)  # nothing is learnt
    model = lstm.Model.create(lstm.GRU(2, 3), 1, 0)
    lstm.fit(model, Sums(4), settings, validate=1, callback=lambda p: scores.append(p.score))
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.slow
def test_validation_leaves_the_carried_state_of_training_alone():
    def reports(validate):
        model = lstm.Model.create(lstm.GRU(2, 3), 1, 0)
        settings = lstm.Settings(steps=6, batch=SIDE, stateful=True)
        return lstm.fit(model, Sums(4), settings, validate=validate).reports

    assert reports(2) == reports(0)


@pytest.mark.parametrize("at", [4, 6])
def test_a_validation_that_failed_is_made_when_training_is_resumed(tmp_path, at):
    """At a step where it is due, and after the last one."""

    @dataclass(frozen=True)
    class Failing(lstm.Adding):
        def held_out(self, part, rng, sequences, size):
            if part == "validation" and log and log[-1] == at - 1 and not failed:
                failed.append(at)
                raise MemoryError("no room for these")
            return super().held_out(part, rng, sequences, size)

    def fit(**options):
        model = lstm.Model.create(lstm.GRU(2, 3, dtype="float64"), 1, 0)
        settings = lstm.Settings(steps=6)
        scores = []

        def note(progress):
            log.append(progress.step)
            scores.append((progress.step, progress.score))

        return lstm.fit(model, Failing(5), settings, validate=4, callback=note, **options), scores

    log, failed = [], [0]
    whole, scores = fit()
    log, failed = [], []
    path, metrics = tmp_path / "c", tmp_path / "m"
    with pytest.raises(MemoryError, match="no room"):
        fit(out=path, metrics=metrics)
    rest, later = fit(out=path, metrics=metrics, resume=True)
    assert [r.step for r in rest.reports] == list(range(at, 7))
    assert rest.reports == whole.reports[at - 1 :]
    assert later == scores[at - 1 :]
    assert rest.score == whole.score
    assert len(metrics.read_text().splitlines()) == 6
