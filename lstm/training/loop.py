"""Training, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lstm.errors import ConfigError
from lstm.model import Model
from lstm.optim import adam, cosine
from lstm.tasks import Task
from lstm.training.settings import Settings
from lstm.training.streams import check_fits, inputs_of, random_streams
from lstm.training.trainer import Report, Trainer


def train(model: Model[Any], task: Task, settings: Settings | None = None) -> Iterator[Report]:
    """Train in place on fresh batches; yields a report after each step, and trains as it is asked
    for them: `for report in train(model, task): ...`

    Raises ConfigError, at once, for what is no task and for a task that does not fit the model.

    >>> from lstm.cells import RNN
    >>> from lstm.tasks import Adding
    >>> model = Model.create(RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> reports = list(train(model, Adding(length=5), Settings(steps=3)))
    >>> [report.step for report in reports]
    [1, 2, 3]
    """
    check_fits(model, task)
    if settings is not None and not isinstance(settings, Settings):
        raise ConfigError(f"settings must be lstm.Settings(...), not {settings!r:.40}")
    return _train(model, task, settings or Settings())


def _train(model: Model[Any], task: Task, settings: Settings) -> Iterator[Report]:
    xs, ys = inputs_of(task, settings.batch, model.cell.dtype)
    loss = task.loss(model.output(xs), ys)
    optimizer = adam(cosine(settings.rate, settings.steps))
    trainer = Trainer(loss, [xs, ys], model.params, optimizer, settings.clip)
    _, batches, _ = random_streams(settings.seed)
    for _ in range(settings.steps):
        yield trainer.step(*task.batch(batches, settings.batch))
