"""Batches that are smaller than was asked for: a test takes them, with the state that is carried
on; a step of training refuses them by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import lstm
from lstm.training import random_streams

SIDE = 4
SIZES = (4, 4, 3, 2, 4)


@dataclass(frozen=True)
class Uneven(lstm.Adding):
    """Parts of long streams, of which some end before the others."""

    most: int = SIDE

    def held_out(self, part, rng, sequences, size):
        for count in SIZES:
            xs = rng.random((self.length, min(count, self.most), 2)).astype(np.float32)
            yield lstm.Batch(xs, xs[0, :, :1])


@pytest.mark.parametrize("kind", [lstm.GRU, lstm.LSTM])
def test_the_state_of_those_that_are_there_goes_on(kind):
    """Against each stream run by itself."""
    task, model = Uneven(3), lstm.Model.create(kind(2, 3), 1, 0).with_dtype("float64")
    batches = list(task.held_out("test", random_streams(5).test, 20, SIDE))
    read = {name: p.value for name, p in model.params["readout"].items()}
    errors = []
    for row in range(SIDE):
        own = [b for b in batches if b.xs.shape[1] > row]
        xs = np.concatenate([b.xs[:, row : row + 1] for b in own])
        ends = model.run(xs).outputs.eval()[2::3, 0]
        said = ends @ read["W_y"] + read["b_y"]
        errors.extend((said - np.stack([b.ys[row] for b in own])) ** 2)
    assert len(errors) == sum(SIZES)
    for _ in range(2):  # another time it is the same
        score = lstm.evaluate(model, task, 5, carried=SIDE)
        assert score.loss == pytest.approx(np.mean(errors), rel=1e-12)


def test_a_larger_batch_than_are_carried_on_is_refused():
    model = lstm.Model.create(lstm.GRU(2, 3), 1, 0)
    with pytest.raises(lstm.ConfigError, match="has 4 sequences, where only 3 go on side by side"):
        lstm.evaluate(model, Uneven(3), 5, carried=3)


@pytest.mark.parametrize("stateful", [False, True])
def test_a_step_of_training_says_that_a_batch_is_too_small(tmp_path, stateful):
    @dataclass(frozen=True)
    class Rest(lstm.Adding):
        def batch_at(self, position, rng, size):
            return self.batch(rng, size if position != 2 else 3)

    model = lstm.Model.create(lstm.GRU(2, 3), 1, 0)
    settings, path = lstm.Settings(steps=5, batch=SIDE, stateful=stateful), tmp_path / "c"
    with pytest.raises(lstm.ConfigError, match=r"adding gave a batch of 3 sequences, but .*=4: "):
        lstm.fit(model, Rest(3), settings, validate=0, out=path)
    assert path.exists()  # what the steps before came to
