"""How well a model does on sequences that it never saw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import minigrad as mg
from lstm.model import Model
from lstm.tasks import Task
from lstm.training.streams import (
    check_fits,
    inputs_of,
    padding_of,
    random_streams,
)
from minigrad.display import in_a_line

TEST_SEQUENCES = 2000  # as many as the adding problem's criterion asks for
TEST_BATCH = 500


class Score(NamedTuple):
    """How a model does on test sequences that it never saw."""

    loss: float
    correct: float
    """The fraction of sequences that the task counts as processed correctly."""
    solved: bool
    """Whether the task's own criterion is met."""

    def __repr__(self) -> str:
        return in_a_line(self)


class Evaluation:
    """A model's predictions for a task, compiled once and asked often."""

    def __init__(self, model: Model, task: Task) -> None:
        inputs = xs, ys, *_ = inputs_of(task, TEST_BATCH, model.dtype)
        output = model.output(xs, **padding_of(task, inputs))
        self._task = task
        self._run = mg.function(inputs, [output, task.loss(output, ys)])

    def score(self, rng: np.random.Generator, batches: int) -> Score:
        """With what the parameters hold now, on so many batches of 500 sequences each."""
        predictions, targets, losses = [], [], []
        for _ in range(batches):
            batch = self._task.batch(rng, TEST_BATCH)
            prediction, loss = self._run(*batch)
            predictions.append(prediction)
            targets.append(batch[1])  # also of a plain tuple
            losses.append(float(loss))
        axis = 0 if self._task.readout == "last" else 1  # (T, B, ...) of every step
        prediction, target = np.concatenate(predictions, axis), np.concatenate(targets, axis)
        return Score(
            float(np.mean(losses)),
            float(self._task.correct(prediction, target).mean()),
            bool(self._task.solved(prediction, target)),
        )


def evaluate(model: Model, task: Task, seed: int) -> Score:
    """Test a model on 2000 new sequences, the same for every model of one seed.

    They come from a stream of their own, which training never draws from. Raises ConfigError as
    `train` does.
    """
    check_fits(model, task)
    return Evaluation(model, task).score(random_streams(seed).test, TEST_SEQUENCES // TEST_BATCH)
