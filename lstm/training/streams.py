"""Where data comes from: generators of random numbers, and variables for a batch."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

import minigrad as mg
from lstm.errors import ConfigError, check_count
from lstm.layers import mask_given
from lstm.model import Model, check_model
from lstm.params import Tree, flatten, rebuild
from lstm.tasks import TASKS, Task
from minigrad import Expr

_T = TypeVar("_T")


class Streams(NamedTuple):
    """Independent generators of random numbers, one for each thing that draws."""

    params: np.random.Generator
    batches: np.random.Generator
    test: np.random.Generator
    validation: np.random.Generator


def random_streams(seed: int) -> Streams:
    """The generators of a seed.

    Two models with one seed see the same batches, whatever else they draw.
    """
    seeds = np.random.SeedSequence(check_count("seed", seed, 0)).spawn(len(Streams._fields))
    return Streams(*map(np.random.default_rng, seeds))


def inputs_of(task: Task, batch: int, dtype: str) -> list[Expr]:
    """Variables for one batch of a task: xs (T, B, I), or tokens (T, B); ys; and what says where
    sequences end, where the task's `padding` names it."""
    batch = check_count("batch", batch)
    if task.vocabulary is None:
        xs = mg.var("xs", (task.steps, batch, task.input_size), dtype)
    else:
        xs = mg.var("xs", (task.steps, batch), "int64")
    target_dtype = dtype if task.target_dtype.startswith("float") else task.target_dtype
    ys = mg.var("ys", task.target_shape(batch), target_dtype)
    if task.padding is None:
        return [xs, ys]
    if task.padding == "lengths":
        return [xs, ys, mg.var("lengths", (batch,), "int64")]
    return [xs, ys, mg.var("mask", (task.steps, batch), "bool")]


def check_batch(task: Task, values: Any, batch: int | None = None) -> int:
    """How many sequences a batch has. Raises ConfigError, which names the task, unless it has those
    that were asked for, in the shapes that the task states."""
    names = ["xs", "ys", *([] if task.padding is None else [task.padding])]
    if not isinstance(values, (tuple, list)) or len(values) != len(names):
        raise ConfigError(
            f"the task {task.name} must give a batch as ({', '.join(names)}), not {values!r:.40}"
        )
    shapes = [np.shape(value) for value in values]
    size = shapes[0][1] if len(shapes[0]) > 1 else 0
    if shapes != _stated(task, size):
        wrong = zip(names, shapes, _stated(task, batch or size), strict=True)
        name, shape, stated = next(w for w in wrong if w[1] != w[2])
        raise ConfigError(
            f"the task {task.name} gave {name} of shape {shape}; by its steps, sizes and "
            f"target_shape it is {stated}, time first"
        )
    if batch not in (None, size):
        raise ConfigError(
            f"the task {task.name} gave a batch of {size} sequences, but each step trains on "
            f"batch={batch}: give as many in the last batch of a pass, too, by beginning the next "
            "pass in it or by leaving the rest out"
        )
    return size


def _stated(task: Task, batch: int) -> list[tuple[int, ...]]:
    """The shapes of a batch, as the task states them."""
    steps = (task.steps, batch)
    xs: tuple[int, ...] = steps if task.vocabulary is not None else (*steps, task.input_size)
    ends: dict[str | None, list[tuple[int, ...]]] = {"lengths": [(batch,)], "mask": [steps]}
    return [xs, tuple(task.target_shape(batch)), *ends.get(task.padding, [])]


def padding_of(task: Task, inputs: Sequence[_T]) -> dict[str, _T]:
    """What a model is told of where sequences end, by name; of variables, or of a batch."""
    return {} if task.padding is None else {task.padding: inputs[2]}


def told_of(task: Task, inputs: Sequence[_T]) -> dict[str, _T]:
    """What a model is told beside xs: where sequences end, and what a decoder shall have said."""
    targets = {"targets": inputs[1]} if task.readout == "decoder" else {}
    return padding_of(task, inputs) | targets


def counting_of(task: Task, inputs: Sequence[Expr]) -> dict[Expr, Expr]:
    """Of inputs of which padding is a part, the mask (T, B) of what is none: of targets, too, where
    there is one a step."""
    xs, ys = inputs[:2]
    ends: dict[str, Any] = padding_of(task, inputs)
    mask = mask_given(xs.shape, **ends)
    if mask is None:
        return {}
    timed = task.readout == "every" and ys.shape[:2] == mask.shape
    return {xs: mask} | ({ys: mask} if timed else {})


def carried_state(model: Model, batch: int) -> Tree:
    """A model's first state, as leaves that the next one is written into. Raises ConfigError for a
    model that also reads backward."""
    backward = [place for place in model.recurrent() if place.endswith(".backward")]
    if backward:
        raise ConfigError(f"stateful= needs layers that read forward only, and not {backward[0]}")
    zeros = model.initial_state(batch)
    leaves = {name: mg.param(name, zero.eval()) for name, zero in flatten(zeros).items()}
    return rebuild(zeros, leaves, "parts of the state")


def carried_to(start: Tree, batch: int) -> Tree:
    """Of a state that is carried on, what the first so many sequences of a smaller batch start
    from. Raises ConfigError for a larger one."""
    leaves = flatten(start)
    most = min((leaf.shape[0] for leaf in leaves.values()), default=batch)
    if batch > most:
        raise ConfigError(
            f"a batch of the task has {batch} sequences, where only {most} go on side by side"
        )
    return start if batch == most else rebuild(start, {n: x[:batch] for n, x in leaves.items()})


def carried_on(start: Tree, last: Tree) -> dict[Expr, Expr]:
    """What is written into the leaves of a state: that at the end of the run; of sequences that a
    smaller batch does not have, it stays."""
    pairs = zip(flatten(start).values(), flatten(last).values(), strict=True)
    return {
        leaf: end if end.shape == leaf.shape else leaf.at[: end.shape[0]].set(end)
        for leaf, end in pairs
    }


def check_named(models: Mapping[str, Model]) -> None:
    """Raise ConfigError unless these are models by their names."""
    if not isinstance(models, Mapping) or not models:
        raise ConfigError(f"models are a dict of them by name, not {models!r:.60}")


def _way_to_a_task(value: Any) -> str:
    """What to write instead of what is none."""
    if isinstance(value, str) and value in TASKS:
        return f"lstm.make_task({value!r})"
    if isinstance(value, (np.ndarray, list, tuple)):
        return "lstm.ArrayTask(xs, ys), which is made of data of your own"
    return "lstm.Adding(length=100)" + ", after the model" * isinstance(value, Model)


def check_fits(model: Model, task: Task) -> None:
    """Raise ConfigError unless this is a task, with the inputs and the outputs of the model, and
    that a model."""
    if not isinstance(task, Task):
        raise ConfigError(f"a task is needed, such as {_way_to_a_task(task)}, not {task!r:.40}")
    check_model(model)
    if task.padding not in (None, "lengths", "mask"):
        raise ConfigError(
            f"a task's padding is 'lengths', 'mask' or None, not {task.padding!r:.40}"
        )
    sizes = model.input_size, model.output_size
    asked = task.input_size if task.vocabulary is None else task.vocabulary, task.output_size
    if sizes != asked or model.layers.tokens != (task.vocabulary is not None):
        kinds = ["tokens" if yes else "inputs" for yes in (model.layers.tokens, task.vocabulary)]
        other = "" if kinds[0] == kinds[1] else f" {kinds[1]}"
        raise ConfigError(
            f"the model has {sizes[0]} {kinds[0]} and {sizes[1]} outputs, but the task {task.name} "
            f"has {asked[0]}{other} and {asked[1]}"
        )
    if model.readout.read != task.readout:
        raise ConfigError(
            f"the model's readout reads {model.readout.read!r}, but the task {task.name} predicts "
            f"from {task.readout!r}: Model.create(..., readout={task.readout!r})"
        )


# The fields of NumPy's PCG64, which `default_rng` makes, and how many bits each has.
_PCG64 = {"state": 128, "inc": 128}
_HALVES = {"has_uint32": 1, "uinteger": 32}


def stream_values(rng: np.random.Generator) -> dict[str, Any]:
    """What a generator will draw next, as plain values that JSON keeps.

    >>> rng = np.random.default_rng(0)
    >>> values = stream_values(rng)
    >>> first = rng.random()
    >>> put_stream(rng, values)
    >>> rng.random() == first
    True
    """
    state = rng.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise ConfigError(
            f"a stream of {state['bit_generator']} cannot be saved; use numpy.random.default_rng"
        )
    inner = {name: int(state["state"][name]) for name in _PCG64}
    return {"bit_generator": "PCG64", "state": inner} | {n: int(state[n]) for n in _HALVES}


def put_stream(rng: np.random.Generator, values: Any) -> None:
    """Let a generator go on where `stream_values` was asked. Raises what `check_stream` raises."""
    check_stream(values)
    rng.bit_generator.state = values


def check_stream(values: Any) -> None:
    """Raise ConfigError unless this is the state of a generator: a file may say anything."""
    inner = values.get("state") if isinstance(values, dict) else None
    sound = (
        isinstance(inner, dict)
        and set(values) == {"bit_generator", "state", *_HALVES}
        and values["bit_generator"] == "PCG64"
        and set(inner) == set(_PCG64)
        and all(_has_bits(inner[name], bits) for name, bits in _PCG64.items())
        and all(_has_bits(values[name], bits) for name, bits in _HALVES.items())
        and inner["inc"] % 2 == 1  # its steps do not repeat early only then
    )
    if not sound:
        raise ConfigError(f"{reprlib.repr(values)} is no state of a random generator")


def _has_bits(value: Any, bits: int) -> bool:
    return type(value) is int and 0 <= value < 1 << bits
