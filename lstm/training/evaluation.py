"""How well a model does on sequences that it never saw."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.model import Model
from lstm.tasks import Task
from lstm.training.streams import check_fits, inputs_of, random_streams

TEST_SEQUENCES = 2000  # as many as the adding problem's criterion asks for
TEST_BATCH = 500


class Score(NamedTuple):
    """How a model does on test sequences that it never saw."""

    loss: float
    correct: float
    """The fraction of sequences that the task counts as processed correctly."""
    solved: bool
    """Whether the task's own criterion is met."""


def evaluate(model: Model[Any], task: Task, seed: int) -> Score:
    """Test a model on 2000 new sequences, the same for every model of one seed.

    They come from a stream of their own, which training never draws from. Raises ConfigError as
    `train` does.
    """
    check_fits(model, task)
    xs, ys = inputs_of(task, TEST_BATCH, model.cell.dtype)
    output = model.output(xs)
    run = mg.function([xs, ys], [output, task.loss(output, ys)])
    _, _, rng = random_streams(seed)
    results = []
    for _ in range(TEST_SEQUENCES // TEST_BATCH):
        batch = task.batch(rng, TEST_BATCH)
        prediction, loss = run(*batch)
        results.append((prediction, batch.ys, float(loss)))
    predictions, targets, losses = zip(*results, strict=True)
    prediction, target = np.concatenate(predictions), np.concatenate(targets)
    return Score(
        float(np.mean(losses)),
        float(task.correct(prediction, target).mean()),
        task.solved(prediction, target),
    )
