"""Training, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import minigrad as mg
from lstm.errors import ConfigError
from lstm.losses import cross_entropy, drawn_loss
from lstm.model import Model
from lstm.optim import Optimizer
from lstm.store.parts import keeps
from lstm.tasks import ArrayTask, Task
from lstm.tasks.labels import NO_LABEL
from lstm.training.hosts import Hosts
from lstm.training.settings import Settings
from lstm.training.streams import (
    carried_on,
    carried_state,
    check_batch,
    check_fits,
    counting_of,
    inputs_of,
    put_stream,
    random_streams,
    stream_values,
    told_of,
)
from lstm.training.trainer import Report, Trainer
from minigrad import Expr

Watch: TypeAlias = Callable[[int, Model, Task, Sequence[Any]], None]
"""What is called before a training step: with the number of steps before it, the model, the task
and the batch that the step trains on."""
Seen: TypeAlias = Callable[[int, Sequence[Any]], None]


def train(
    model: Model, task: Task, settings: Settings | None = None, *, watch: Watch | None = None
) -> Iterator[Report]:
    """Train in place on fresh batches; yields a report after each step, and trains as it is asked
    for them: `for report in train(model, task): ...`; `lstm.fit` does all that goes with it.
    watch: is called before each step, such as `lstm.FlowWatch(every=50)`.

    Raises ConfigError, at once, for what is no task and for a task that does not fit the model.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> reports = list(lstm.train(model, lstm.Adding(length=5), lstm.Settings(steps=3)))
    >>> [report.step for report in reports]
    [1, 2, 3]
    """
    check_fits(model, task)
    settings, seen = checked(settings, task), seen_by(watch, model, task)

    def steps() -> Iterator[Report]:
        trainer = trainer_of(model, task, settings)
        for _ in range(settings.steps):
            yield next_step(trainer, task, settings.batch, seen)

    return steps()


def checked(settings: Settings | None, task: Task) -> Settings:
    """The settings, or those that suit the task. Raises ConfigError for what is none."""
    if settings is not None and not isinstance(settings, Settings):
        raise ConfigError(f"settings must be lstm.Settings(...), not {settings!r:.40}")
    return settings or Settings(**task.usual)


def trainer_of(
    model: Model,
    task: Task,
    settings: Settings,
    optimizer: Optimizer | None = None,
    backend: str = "auto",
    hosts: Hosts | None = None,
) -> Trainer:
    """What trains a model on a task, with the stream of its batches, before the first step. A model
    that was made for no task notes this one. hosts: the processes and devices, if several."""
    inputs = xs, ys, *_ = inputs_of(task, settings.batch, model.dtype)
    if settings.stateful and isinstance(task, ArrayTask):
        raise ConfigError(
            "stateful= is for batches that follow one another, and those of ArrayTask are shuffled"
        )
    key = mg.param("dropout", mg.key(settings.seed).eval())
    start = carried_state(model, settings.batch) if settings.stateful else None
    told: dict[str, Any] = told_of(task, inputs)
    run = model.run(
        xs,
        state=start,
        key=mg.fold_in(key, 1),
        truncate=settings.truncate,
        routes=settings.routes,
        detach=settings.detach,
        **told,
    )
    loss = task.loss(run.output, ys)
    if model.readout.draws:
        loss = loss + _taught(task, loss, run.output, ys, run.attention)
    updates = {key: mg.fold_in(key, 0)} if any(n is key for n in mg.toposort(loss)) else {}
    if start is not None:
        updates |= carried_on(start, run.last)
    chosen = settings.make_optimizer() if optimizer is None else optimizer
    counts = counting_of(task, inputs)
    more: Any = {"updates": updates, "counts": counts}
    if hosts is not None:
        inputs = [*inputs, *hosts.signals()]
        more |= {"outputs": [mg.max(sent) for sent in hosts.signals()]}
        more |= hosts.placing(task, inputs)
    trainer = Trainer(loss, inputs, model.params, chosen, settings.clip, backend, **more)
    if not model.task and keeps(task.config()):
        model.task.update(task.config())
    trainer.state.streams["batches"] = random_streams(settings.seed).batches
    return trainer


def _taught(task: Task, loss: Expr, output: Expr, ys: Expr, weights: Any) -> Expr:
    """What teaches a model that draws the loss of a task. Raises ConfigError for one that is
    another than `drawn_loss` is of: the gradient would be of what no report tells."""
    if loss is not cross_entropy(output, ys, ignore_index=NO_LABEL):
        raise ConfigError(
            f"hard attention learns by the mean cross entropy of tokens alone, and {task.name} has "
            f"another loss: its loss has to be cross_entropy(prediction, target, "
            f"ignore_index={NO_LABEL}), or the attention another, such as 'additive'"
        )
    return drawn_loss(output, ys, weights)


def seen_by(watch: Watch | None, model: Model, task: Task) -> Seen | None:
    """What `next_step` calls with a step's number and its batch."""
    if watch is None:
        return None
    if not callable(watch):
        raise ConfigError(f"watch= is such as lstm.FlowWatch(every=50), not {watch!r:.40}")
    return lambda step, batch: watch(step, model, task, batch)


def next_step(
    trainer: Trainer,
    task: Task,
    batch: int,
    seen: Seen | None = None,
    more: Sequence[Any] = (),
    within: AbstractContextManager[None] | None = None,
) -> Report:
    """A step on the next batch of the trainer's stream; a step that fails draws none. seen: is
    called before it. more: values of inputs beside the batch. within: what the step alone is
    computed in."""
    stream = trainer.state.streams["batches"]
    before = stream_values(stream)
    try:
        values = task.batch_at(trainer.state.steps, stream, batch)
        check_batch(task, values, batch)
        if seen is not None:
            seen(trainer.state.steps, values)
        with within or nullcontext():
            return trainer.step(*values, *more)
    except Exception:
        put_stream(stream, before)
        raise
