"""The adding problem's batches and their statistics, and the registry of tasks."""

import numpy as np
import pytest

from lstm.errors import ConfigError
from lstm.tasks import TASKS, Adding, make_task


def sample(task, size=4000, seed=0):
    return task.batch(np.random.default_rng(seed), size)


@pytest.mark.parametrize("variant", ["halves", "paper"])
@pytest.mark.parametrize("length", [10, 11, 100])
def test_two_markers_and_their_sum(variant, length):
    xs, ys = sample(Adding(length, variant))
    assert xs.shape == (length, 4000, 2)
    assert ys.shape == (4000, 1)
    assert xs.dtype == ys.dtype == np.float32
    values, marks = xs[..., 0], xs[..., 1]
    assert set(np.unique(marks)) == {0.0, 1.0}
    assert (marks.sum(0) == 2).all()
    assert values.min() >= 0
    assert values.max() < 1
    np.testing.assert_allclose((values * marks).sum(0), ys[:, 0], rtol=1e-6)


def test_halves_marks_one_step_of_each_half_evenly():
    xs, _ = sample(Adding(10), 20000)
    often = xs[..., 1].mean(1)
    np.testing.assert_allclose(often, 0.2, atol=0.02)
    assert (xs[:5, :, 1].sum(0) == 1).all()


def test_paper_marks_one_of_the_first_ten_and_one_of_the_first_half():
    xs, _ = sample(Adding(100, "paper"), 20000)
    marks = xs[..., 1]
    assert (marks[50:] == 0).all()
    assert marks[49].sum() > 0  # T/2 - 1 = 49 unmarked steps end at the 50th
    assert (marks[:10].sum(0) >= 1).all()


def test_the_baseline_is_one_sixth():
    _, ys = sample(Adding(10), 200_000)
    assert abs(float(ys.mean()) - 1) < 0.005
    assert abs(float(((ys - 1) ** 2).mean()) - Adding().baseline) < 0.002


def test_batches_are_seeded_and_fresh():
    task = Adding(20)
    rng = np.random.default_rng(3)
    first, second = task.batch(rng, 5), task.batch(rng, 5)
    again = sample(task, 5, seed=3)
    np.testing.assert_array_equal(first.xs, again.xs)
    assert not np.array_equal(first.xs, second.xs)


def test_the_criterion():
    task = Adding()
    target = np.ones((2000, 1))
    assert task.solved(target + 0.019, target)
    assert not task.solved(target + 0.021, target)  # each is close enough, the mean is not
    one_off = target.copy()
    one_off[7] += 0.081
    assert not task.solved(one_off, target)
    assert task.correct(one_off, target).sum() == 1999


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("adder", {}, "there is no task 'adder'; there are: adding, agreement, caption, "),
        (None, {}, "there is no task None"),
        ("adding", {"size": 3}, "task adding has no setting 'size'; it has length, variant"),
        ("adding", {"length": 1}, "length must be a whole number of at least 2, not 1"),
        ("adding", {"length": "9"}, "length must be a whole number of at least 2, not '9'"),
        (
            "adding",
            {"length": 9, "variant": "paper"},
            "a whole number of at least 10",
        ),
        ("adding", {"variant": "thirds"}, "variant must be one of halves, paper"),
    ],
)
def test_what_cannot_be_made(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_task(name, settings)


def test_a_task_is_remade_from_its_config():
    for kind in TASKS.values():
        task = kind()
        assert make_task(**task.config()) == task
