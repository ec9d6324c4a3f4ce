"""Digits as sequences: which pictures are in which part, how they are read, and what one may guess;
of made-up pictures, so that scikit-learn need not be there."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import minigrad as mg
from lstm.errors import ConfigError, MissingPackageError
from lstm.tasks import digits
from lstm.tasks.digits import Digits

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("by", "shape"), [("row", (8, 8)), ("pixel", (64, 1))])
def test_pictures_are_read_from_the_top_left(by, shape, made_up_pictures):
    task = Digits(by)
    assert (task.steps, task.input_size) == shape
    xs, ys = task.batch(np.random.default_rng(0), 50)
    assert xs.shape == (shape[0], 50, shape[1])
    assert xs.dtype == np.float32
    known = {image.tobytes(): k for k, image in enumerate(made_up_pictures.images)}
    for k, digit in enumerate(ys):
        picture = np.array([x for step in xs[:, k] for x in step], float).reshape(8, 8) * 16
        assert made_up_pictures.target[known[picture.tobytes()]] == digit


def test_no_picture_is_in_two_parts(made_up_pictures):
    task, seen = Digits(), {}
    for part, count in (("test", 400), ("validation", 200)):
        batches = [*task.held_out(part, RNG, 1, 150)]
        assert {len(batch.ys) for batch in batches[:-1]} == {150}
        rows = np.concatenate([batch.xs.swapaxes(0, 1) for batch in batches])
        seen[part] = {row.tobytes() for row in rows}
        assert len(seen[part]) == len(rows) == count
    xs, _ = task.batch(np.random.default_rng(1), 20_000)
    seen["training"] = {row.tobytes() for row in xs.swapaxes(0, 1).copy()}
    assert len(seen["training"]) == 1197
    assert not seen["test"] & seen["validation"]
    assert not seen["training"] & (seen["test"] | seen["validation"])
    again = next(task.held_out("test", np.random.default_rng(9), 1, 150))
    assert {row.tobytes() for row in again.xs.swapaxes(0, 1)} <= seen["test"]


def test_the_nearest_mean_is_counted_on_the_test(made_up_pictures):
    task = Digits()
    right, totals = 0, np.zeros((10, 8, 8))
    xs, ys = digits._part("training")
    for x, y in zip(xs, ys, strict=True):
        totals[y] += x / (ys == y).sum()
    for batch in task.held_out("test", RNG, 1, 500):
        for k, digit in enumerate(batch.ys):
            distances = [((batch.xs[:, k] - mean) ** 2).sum() for mean in totals]
            right += int(np.argmin(distances) == digit)
    assert task.guesses == {"nearest mean picture": pytest.approx(right / 400)}
    assert 0.5 < right / 400 <= 1


def test_95_of_100_pictures_are_enough_and_the_baseline_says_each_as_often():
    task, ys = Digits(), np.arange(400) % 10
    said = np.eye(10)[ys]
    said[:20] = np.roll(said[:20], 1, axis=1)
    assert task.solved(said, ys)
    said[20] = np.roll(said[20], 1)
    assert not task.solved(said, ys)
    even = task.loss(mg.const(np.zeros((400, 10))), mg.const(ys))
    assert float(even.eval()) == pytest.approx(task.baseline)


def test_without_scikit_learn_one_line_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    digits.all_pictures.cache_clear()
    task = Digits("pixel")  # the task can be listed
    assert task.baseline > 2
    with pytest.raises(
        MissingPackageError, match=r"not installed: pip install 'minigrad-lstm\[data\]'$"
    ):
        task.batch(RNG, 1)
    with pytest.raises(mg.MissingPackageError, match="scikit-learn ships"):
        next(task.held_out("test", RNG, 1, 1))


@pytest.mark.parametrize("by", ["column", 3, None, ["row"]])
def test_pictures_are_read_by_rows_or_pixels(by):
    with pytest.raises(ConfigError, match="by must be one of row, pixel, not"):
        Digits(by)
