"""Seeds, keys and places that are none are refused by name; padded targets are not blamed."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import ClassVar

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.layers import place_of
from lstm.layers.usual import OPTIONS, usual_stack


@pytest.mark.parametrize("seed", [-1, 1.5, None, "a", True])
@pytest.mark.parametrize("kind", [lstm.LSTM, lstm.GRU])
def test_a_seed_that_is_none(kind, seed):
    with pytest.raises(lstm.ConfigError, match="seed must be a whole number of at least 0, not"):
        kind(2, 3).init(seed)


def test_seeds_draw_as_before():
    first, second = lstm.RNN(2, 3).init(5), lstm.RNN(2, 3).init(np.random.default_rng(5))
    assert (first["W_h"] == second["W_h"]).all()
    assert (first["W_h"] == lstm.RNN(2, 3).init(np.int64(5))["W_h"]).all()


@pytest.mark.parametrize("options", [{}, {"input_dropout": 0.5}])
@pytest.mark.parametrize("key", [3, [0, 1], np.zeros(2), np.zeros(3, "uint64"), mg.var("k")])
def test_a_key_that_is_none_is_refused_also_where_nothing_is_drawn(options, key):
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0, **options)
    xs = np.zeros((4, 2, 2))
    for run in (model.run, model.unroll, model.output):
        with pytest.raises(lstm.ConfigError, match=r"key= is a key to draw from, minigrad.key\(s"):
            run(xs, key=key)


def test_a_key_is_welcome_where_nothing_is_drawn():
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    xs = np.ones((4, 2, 2))
    same = [model.output(xs, key=key).eval() for key in (None, mg.key(3), mg.key(3).eval())]
    assert (same[0] == same[1]).all()
    assert (same[0] == same[2]).all()


def test_options_are_those_of_the_usual_stack():
    names = list(signature(usual_stack).parameters)
    assert list(OPTIONS) == [n for n in names if n not in ("cell", "vocabulary")]
    with pytest.raises(lstm.ConfigError, match="no option 'zoneoot'; did you mean zoneout"):
        lstm.Model.create(lstm.LSTM(2, 3), 1, zoneoot=0.1)


def test_true_is_no_number_of_a_layer():
    layers = lstm.Model.create(lstm.LSTM(2, 3), 1, 0, layers=2).recurrent()
    assert place_of(layers, 1) == "layer1"
    for wrong in (True, False, 0, 3):
        with pytest.raises(lstm.ConfigError, match=f"no recurrent layer {wrong}; there are"):
            place_of(layers, wrong)


# --- targets in padding --------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps(lstm.Adding):
    """A number a step, NaN where there is none; `hole` puts one where there should be one."""

    bad: float = 1.0
    readout: ClassVar[str] = "every"
    padding: ClassVar[str | None] = "lengths"

    def target_shape(self, batch):
        return (self.length, batch, 1)

    def batch(self, rng, size):
        xs = rng.normal(size=(self.length, size, 2)).astype("float32")
        lengths = rng.integers(1, self.length, size)
        ys = np.where(np.arange(self.length)[:, None] < lengths, 1.0, np.nan)[..., None]
        ys[0, 1] = self.bad
        return lstm.PaddedBatch(xs, ys, lengths)

    def loss(self, prediction, target):
        mask = ~mg.isnan(target[..., 0]) | (mg.arange(self.length) < 1)[:, None]
        return lstm.mse(prediction, target, mask=mask) + mg.log(mg.min(prediction) - 1e6)


def test_padded_targets_are_not_blamed():
    """The loss takes a logarithm of a negative number; or there is a NaN among what counts."""
    settings = lstm.Settings(steps=1, batch=4)

    def failure(bad):
        task = Steps(5, bad=bad)
        model = lstm.Model.create(lstm.RNN(2, 3), 1, 0, readout="every")
        with pytest.raises(lstm.TrainingError) as error:
            lstm.fit(model, task, settings, validate=0)
        return str(error.value)

    assert "born at op log" in failure(1.0)
    assert "ys" not in failure(1.0)
    assert "ys[0, 1, 0] is nan" in failure(np.nan)
    assert "and" not in failure(np.nan).partition("ys[0, 1, 0] is nan")[2].partition(":")[0]
