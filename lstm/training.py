"""Training: loss, gradients, clipping and the optimiser's update as one compiled function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.errors import ConfigError, TrainingError, check_count
from lstm.model import Model
from lstm.optim import Optimizer, adam, clip_by_global_norm, cosine, global_norm
from lstm.tasks import TASKS, Task
from minigrad import Expr, NonFiniteError

TEST_SEQUENCES = 2000  # as many as the adding problem's criterion asks for
TEST_BATCH = 500


class Report(NamedTuple):
    """What one training step saw, before it changed anything."""

    step: int
    """Counted from one."""
    loss: float
    grad_norm: float
    """The global norm of the gradient, before clipping."""


class Trainer:
    """One compiled training step over `inputs`, which writes `params` in place.

    loss: a scalar expression. clip: the largest global norm of the gradient, or None.
    The step count and what the optimiser remembers are parameters too, so that nothing of the
    arithmetic is outside the graph. One step that meets a loss or a gradient that is not finite
    changes nothing, and raises TrainingError.

    >>> from lstm.optim import sgd
    >>> w, x = mg.param("w", 1.0), mg.var("x")
    >>> trainer = Trainer(mg.square(w * x), [x], {"w": w}, sgd(0.125))
    >>> trainer.step(2.0), float(w.value)  # w - 0.125 · 2 w x²
    (Report(step=1, loss=4.0, grad_norm=8.0), 0.0)
    """

    def __init__(
        self,
        loss: Expr,
        inputs: Sequence[Expr],
        params: Mapping[str, Expr],
        optimizer: Optimizer,
        clip: float | None = None,
        backend: str = "auto",
    ) -> None:
        self._count = mg.param("step", 0.0)
        grads = mg.grad(loss, params)
        norm = global_norm(grads)
        clipped = grads if clip is None else clip_by_global_norm(grads, clip)
        state = {name: mg.param(name, value) for name, value in optimizer.init(params).items()}
        steps, new_state = optimizer.update(clipped, state, params, self._count)
        updates = {p: p + steps[name] for name, p in params.items()}
        updates |= {p: new_state[name] for name, p in state.items()}
        updates[self._count] = self._count + 1
        sound = mg.isfinite(loss) & mg.isfinite(norm)
        guarded = {p: mg.where(sound, new, p) for p, new in updates.items()}
        self._inputs, self._watched = list(inputs), [loss, norm]
        self._run = mg.function(self._inputs, self._watched, updates=guarded, backend=backend)

    def step(self, *values: Any) -> Report:
        """One step on one batch. Raises TrainingError, which names the op where a NaN was born."""
        loss, norm = (float(x) for x in self._run(*values))
        report = Report(int(self._count.value), loss, norm)
        if not np.isfinite([loss, norm]).all():
            raise TrainingError(self._diagnosis(report, values))
        return report

    def _diagnosis(self, report: Report, values: Sequence[Any]) -> str:
        what = "loss" if not np.isfinite(report.loss) else "gradient"
        head = f"the {what} is not finite in step {report.step + 1} of training"
        try:  # the same once more, slowly; the parameters are still those of the bad step
            mg.function(self._inputs, self._watched, check_finite=True)(*values)
        except NonFiniteError as error:
            return f"{head}: {error}"
        return head


@dataclass(frozen=True)
class Settings:
    """How to train: Adam with a rate that falls to zero along a cosine, and clipped gradients."""

    steps: int = 500
    batch: int = 32
    rate: float = 0.03
    clip: float | None = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0)):
            object.__setattr__(self, name, check_count(name, getattr(self, name), least))
        if not (self.rate > 0 and np.isfinite(self.rate)):
            raise ConfigError(f"the learning rate must be positive, not {self.rate}")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"the clipping norm must be positive, not {self.clip}")


def random_streams(seed: int) -> tuple[np.random.Generator, ...]:
    """Independent generators for (parameters, training batches, test batches).

    Two models with one seed see the same batches, whatever else they draw.
    """
    return tuple(np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))


def inputs_of(task: Task, batch: int, dtype: str) -> tuple[Expr, Expr]:
    """Variables for one batch of a task: xs (T, B, I) and ys."""
    batch = check_count("batch", batch)
    xs = mg.var("xs", (task.steps, batch, task.input_size), dtype)
    target_dtype = dtype if task.target_dtype.startswith("float") else task.target_dtype
    return xs, mg.var("ys", task.target_shape(batch), target_dtype)


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


def check_fits(model: Model[Any], task: Task) -> None:
    """Raise ConfigError unless this is a task, with the inputs and the outputs of the model."""
    if not isinstance(task, Task):
        way = (
            f"lstm.make_task({task!r})"
            if isinstance(task, str) and task in TASKS
            else "lstm.Adding(length=100)"
        )
        raise ConfigError(f"a task is needed, such as {way}, not {task!r:.40}")
    sizes = model.cell.input_size, model.output_size
    if sizes != (task.input_size, task.output_size):
        raise ConfigError(
            f"the model has {sizes[0]} inputs and {sizes[1]} outputs, but the task {task.name} "
            f"has {task.input_size} and {task.output_size}"
        )


def _train(model: Model[Any], task: Task, settings: Settings) -> Iterator[Report]:
    xs, ys = inputs_of(task, settings.batch, model.cell.dtype)
    loss = task.loss(model.output(xs), ys)
    optimizer = adam(cosine(settings.rate, settings.steps))
    trainer = Trainer(loss, [xs, ys], model.params, optimizer, settings.clip)
    _, batches, _ = random_streams(settings.seed)
    for _ in range(settings.steps):
        yield trainer.step(*task.batch(batches, settings.batch))


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
