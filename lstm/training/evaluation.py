"""How well a model does on sequences that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError, check_count
from lstm.model import Model
from lstm.params import flatten
from lstm.tasks import Task
from lstm.training.streams import (
    carried_on,
    carried_state,
    carried_to,
    check_batch,
    check_fits,
    inputs_of,
    padding_of,
    random_streams,
    told_of,
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
    """A model's predictions for a task, compiled once and asked often.

    carried: of a training that is stateful, how many sequences a batch of it has; the state goes on
    from batch to batch here, too, from one that is zero.
    """

    def __init__(self, model: Model, task: Task, carried: int | None = None) -> None:
        self._model, self._task = model, task
        self._size = TEST_BATCH if carried is None else carried
        self._start = None if carried is None else carried_state(model, carried)
        self._compiled: dict[int, Callable[..., Any]] = {}

    def score(self, part: str, seed: int, sequences: int) -> Score:
        """With what the parameters hold now, on so many sequences of that stream of the seed, or on
        all that the task holds out. part: "validation" or "test"."""
        predictions, targets, losses, weights = [], [], [], []
        for leaf in flatten(self._start or {}).values():
            leaf.value = np.zeros_like(leaf.value)
        rng = getattr(random_streams(seed), part)
        for batch in self._task.held_out(part, rng, sequences, self._size):
            prediction, loss = self.run(batch)
            predictions.append(prediction)
            targets.append(batch[1])  # also of a plain tuple
            losses.append(float(loss))
            weights.append(self._task.elements(batch[1]))
        axis = 0 if self._task.readout == "last" else 1  # (T, B, ...) of every step
        prediction, target = np.concatenate(predictions, axis), np.concatenate(targets, axis)
        return Score(
            float(np.average(losses, weights=weights)),
            float(_right(self._task, prediction, target).mean()),
            bool(self._task.solved(prediction, target)),
        )

    def run(self, batch: Any) -> Any:
        """What the model says of a batch, and the loss."""
        return self._run(check_batch(self._task, batch))(*batch)

    def _run(self, size: int) -> Callable[..., Any]:
        """What a batch of so many sequences comes to: answers and loss."""
        if size not in self._compiled:
            inputs = xs, ys, *_ = inputs_of(self._task, size, self._model.dtype)
            told: dict[str, Any] = told_of(self._task, inputs)
            start = None if self._start is None else carried_to(self._start, size)
            run = self._model.run(xs, state=start, **told)
            updates = {} if self._start is None else carried_on(self._start, run.last)
            results = [self._task.judged(run.output), self._task.loss(run.output, ys)]
            self._compiled[size] = mg.function(inputs, results, updates=updates)
        return self._compiled[size]


def _right(task: Task, prediction: Any, target: Any) -> NDArray[Any]:
    """Which sequences, or steps, are processed correctly. Raises ConfigError for a task of one's
    own that does not say it of each."""
    right = task.correct(prediction, target)
    if not isinstance(right, np.ndarray) or not right.ndim or right.dtype.kind not in "biuf":
        raise ConfigError(
            f"{type(task).__name__}.correct must give a bool for each sequence, as an array (B,), "
            f"or for each step, (T, B), not {right!r:.60}"
        )
    return right


def correct_by_length(
    model: Model, task: Task, *, seed: int = 0, sequences: int = TEST_SEQUENCES
) -> dict[int, float]:
    """{length: the share of new sequences of that length that the task counts as correct}.

    task: one whose sequences are of unequal length, with "lengths" for its padding, and each either
    correct or not. Raises ConfigError for another, and as `train` does.

    >>> import lstm
    >>> task = lstm.Reverse(longest=3)
    >>> model = lstm.Model.create(lstm.RNN, task=task, hidden_size=4)
    >>> list(correct_by_length(model, task, sequences=100))
    [1, 2, 3]
    """
    check_fits(model, task)
    if task.padding != "lengths":
        raise ConfigError(f"the sequences of the task {task.name} are of one length")
    predict, rights, counts = Evaluation(model, task), [], []
    rng = random_streams(seed).test
    for batch in task.held_out("test", rng, check_count("sequences", sequences), TEST_BATCH):
        prediction, _ = predict.run(batch)
        rights.append(_right(task, prediction, batch[1]))
        counts.append(padding_of(task, batch)["lengths"])
    right, lengths = np.concatenate(rights), np.concatenate(counts)
    if right.shape != lengths.shape:
        raise ConfigError(f"the task {task.name} counts steps as correct, and not sequences")
    return {int(n): float(right[lengths == n].mean()) for n in np.unique(lengths)}


def evaluate(model: Model, task: Task, seed: int, *, carried: int | None = None) -> Score:
    """Test a model on 2000 new sequences, the same for every model of one seed; or on those that
    the task holds out.

    They come from a stream of their own, which training never draws from. carried: for a stateful
    task, how many sequences go on side by side from batch to batch, as `Settings.batch`. Raises
    ConfigError as `train` does.
    """
    check_fits(model, task)
    if carried is not None:
        check_count("carried", carried)
    return Evaluation(model, task, carried).score("test", seed, TEST_SEQUENCES)
