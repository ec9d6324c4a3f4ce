"""Own tasks and own data that are not what they say: one line that names the task, and what to
write; no internals of ours, and no number that nobody meant."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

import lstm
from lstm.cli.own_code import class_named

XS = np.random.default_rng(0).normal(size=(12, 4, 2))
LABELS = np.array([0, 1] * 6)


@dataclass(frozen=True)
class Given(lstm.Adding):
    """Whatever is given, as a batch."""

    values: object = None

    def batch(self, rng, size):
        return self.values


def zeros(*shapes):
    return tuple(np.zeros(shape, np.float32) for shape in shapes)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, r"adding must give a batch as \(xs, ys\), not None"),
        (zeros((3, 4, 2)), r"must give a batch as \(xs, ys\)"),
        (
            zeros((4, 3, 2), (4, 1)),
            r"gave xs of shape \(4, 3, 2\); .* it is \(3, 4, 2\), time first",
        ),
        (zeros((3, 4, 2), (4,)), r"gave ys of shape \(4,\); .* it is \(4, 1\)"),
        (zeros((3, 5, 2), (5, 1)), "a batch of 5 sequences, but each step trains on batch=4"),
    ],
)
def test_a_batch_that_is_not_what_the_task_states(values, words):
    model = lstm.Model.create(lstm.RNN(2, 2), 1, 0)
    with pytest.raises(lstm.ConfigError, match=words):
        next(lstm.train(model, Given(3, values=values), lstm.Settings(steps=1, batch=4)))


@dataclass(frozen=True)
class Twice(lstm.Adding):
    """A task of one's own that looks at nothing that it is given."""

    def batch(self, rng, size):
        return super().batch(rng, size)


@pytest.mark.parametrize("kind", [*lstm.tasks.TASKS.values(), Twice])
def test_what_draws_is_given_a_generator_and_counts(kind, made_up_pictures):
    rng, task = np.random.default_rng(0), kind()
    for draw in (task.batch, task.batch_at, task.held_out):
        given = {"position": 1, "part": "test", "rng": rng, "sequences": 1, "size": 1}
        given = {name: given[name] for name in signature(draw).parameters}
        draw(**given)
        for wrong in (3, None, "0", np.random.RandomState(0), np.random):
            with pytest.raises(lstm.ConfigError, match=r"rng is NumPy's generator .*default_rng"):
                draw(**given | {"rng": wrong})
        for name in {"position", "sequences", "size"} & {*given}:
            least = 0 if name == "position" else 1
            draw(*(given | {name: least}).values())
            for wrong in (least - 1, 2.0, True, None, "1"):
                with pytest.raises(lstm.ConfigError, match=f"{name} must be a whole number"):
                    draw(*(given | {name: wrong}).values())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size'"):
        task.batch(rng)


def test_a_model_that_is_none():
    with pytest.raises(lstm.ConfigError, match=r"a model is needed, such as .*, not 'net'"):
        lstm.fit("net", lstm.Adding(3))


@pytest.mark.parametrize(
    ("xs", "ys", "words"),
    [
        (np.ma.masked_greater(XS, 1), LABELS, "a masked array has elements that are missing"),
        ([*np.ma.masked_greater(XS, 1)], LABELS, "a masked array has elements that are missing"),
        (XS, np.ma.masked_equal(LABELS, 1), "a masked array has elements that are missing"),
        ([[0, 10**9], [1, 1]], [0, 1], "xs have a token 1000000000: .* floats are numbers"),
        (XS, LABELS * 10**12, "ys have a label 1000000000000: .* floats are numbers to predict"),
        (XS, LABELS[:, None], r"for a label of each sequence give ys\[:, 0\]"),
        (XS, np.eye(2, dtype=int)[LABELS], r"one 1, labels are ys.argmax\(-1\)"),
    ],
)
def test_data_that_mean_something_else(xs, ys, words):
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.ArrayTask(xs, ys)


def test_a_masked_array_of_which_nothing_is_masked_is_an_array():
    assert lstm.ArrayTask(np.ma.masked_array(XS), LABELS) == lstm.ArrayTask(XS, LABELS)


OWN = """
import lstm
from lstm import Task

class Half(lstm.Adding):
    pass

class Bare(lstm.Task):
    summary = "of nothing"
"""


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        ("own.py:Bare", "own.py:Bare lacks baseline, .*, target_shape, name, input_size, "),
        ("own.py:Task", "own.py:Task lacks baseline"),
        ("quits.py:Half", "cannot run quits.py: SystemExit: 0"),
    ],
)
def test_files_of_ones_own_that_are_not_whole(tmp_path, monkeypatch, spelled, words):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    Path("quits.py").write_text("import sys; sys.exit(0)")
    with pytest.raises(lstm.ConfigError, match=words):
        class_named(spelled, lstm.Task)
    assert class_named("own.py:Half", lstm.Task).name == "adding"


def test_a_file_for_a_task_is_told_how_to_name_what_is_in_it():
    with pytest.raises(lstm.ConfigError, match=r"a task of your own is data\.py:NAME"):
        lstm.make_task("data.py")
