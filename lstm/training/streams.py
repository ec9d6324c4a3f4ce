"""Where data comes from: generators of random numbers, and variables for a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from lstm.errors import ConfigError, check_count
from lstm.model import Model
from lstm.tasks import TASKS, Task
from minigrad import Expr


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
