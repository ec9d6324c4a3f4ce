"""The tensors of a flow: every number evaluated from the unrolled graph, in one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells.anatomy import Anatomy, anatomy, line_over_time
from lstm.errors import ConfigError
from lstm.losses import mse
from lstm.model import Model, Unrolled
from lstm.tasks import TASKS
from minigrad import Expr

Loss = Callable[[Expr, Expr], Expr]
Floats = NDArray[np.floating[Any]]

LARGE_SEED = 2.0**512
"""∂L/∂L where a zero is told from an underflow; float64 reaches from 1e-308 to 1e308."""


@dataclass(frozen=True)
class Trace:
    """The tensors behind a flow, (T, B, H) each; one value is one unit of one sequence."""

    loss: float
    adjoints: dict[str, Floats]
    line: Floats | None
    gates_part: Floats | None
    factor: Floats | None
    """What each step multiplies the line by."""
    gates: dict[str, Floats]
    enlarged: Trace | None = None
    """Where something is zero, the same in float64 and of a much larger ∂L/∂L."""

    @property
    def has_zeros(self) -> bool:
        """Whether a gradient is zero at some step where it need not be."""
        parts = [] if self.line is None else [self.line]
        # At t = T nothing has left the line yet.
        parts += [] if self.gates_part is None else [self.gates_part[:-1]]
        return any(not step.any() for part in (*self.adjoints.values(), *parts) for step in part)


def trace(model: Model[Any], xs: Any, ys: Any, loss: Loss | None = None) -> Trace:
    """The tensors behind `measure`, which says what it takes and raises."""
    xs_array, ys_array = np.asarray(xs), np.asarray(ys)
    check_batch(model, xs_array, ys_array)
    loss = loss or loss_of(model)
    traced = _trace(model, xs_array, ys_array, loss, 1.0)
    if not traced.has_zeros:
        return traced
    # What is zero in float64 too, and of so large a seed, has a factor of zero.
    enlarged = _trace(_in_float64(model), xs_array, ys_array, loss, LARGE_SEED)
    return replace(traced, enlarged=enlarged)


def _trace(model: Model[Any], xs: NDArray[Any], ys: NDArray[Any], loss: Loss, seed: float) -> Trace:
    """Everything of one batch from one compiled function; `seed` is ∂L/∂L."""
    dtype = model.cell.dtype
    xs_var = mg.var("xs", xs.shape, dtype)
    ys_var = mg.var("ys", ys.shape, dtype if ys.dtype.kind == "f" else ys.dtype)
    unrolled = model.unroll(xs_var)
    value = loss(unrolled.output, ys_var)
    seed_var = mg.var("∂L/∂L", (), value.dtype)
    outputs = _outputs(anatomy(model.cell), unrolled, mg.Adjoints(value, seed_var), value)
    run = mg.function([xs_var, ys_var, seed_var], outputs, simplify=False)
    with np.errstate(all="ignore"):
        numbers = run(xs, ys, seed)
    split = numbers["split"]
    return Trace(
        float(numbers["loss"]),
        _stacked(numbers["adjoints"]),
        np.stack([along for along, _ in split]) if split else None,
        np.stack([rest for _, rest in split]) if split else None,
        np.stack(numbers["factor"]) if split else None,
        _stacked(numbers["gates"]),
    )


def _stacked(steps: Mapping[str, Sequence[Floats]]) -> dict[str, Floats]:
    return {name: np.stack(values) for name, values in steps.items()}


def check_batch(model: Model[Any], xs: NDArray[Any], ys: NDArray[Any]) -> None:
    """Raise ConfigError unless xs is (T, B, I), time first, and ys has a target for each of B."""
    inputs = model.cell.input_size
    if xs.ndim != 3 or xs.shape[0] < 1 or xs.shape[1] < 1 or xs.shape[2] != inputs:
        raise ConfigError(
            f"xs must be (T, B, {inputs}), time first, with T and B of at least 1, not {xs.shape}"
        )
    if ys.ndim and ys.shape[0] == xs.shape[1]:
        return
    text = f"xs {xs.shape} has a batch of {xs.shape[1]} (time comes first), but ys is {ys.shape}"
    if ys.ndim and ys.shape[0] == xs.shape[0]:
        text += "; if xs is batch first, give xs.transpose(1, 0, 2)"
    raise ConfigError(text)


def loss_of(model: Model[Any]) -> Loss:
    """The loss of the task that the model was made for; the squared error where it names none.

    Raises ConfigError for a task that `lstm.TASKS` does not have.
    """
    name = model.task.get("name")
    if name is None:
        return mse
    if name not in TASKS:
        raise ConfigError(
            f"the model was made for the task {name!r}, which is none of lstm's "
            f"({', '.join(TASKS)}); give its loss: loss=task.loss"
        )
    return TASKS[name](**model.task.get("settings", {})).loss


def _in_float64(model: Model[Any]) -> Model[Any]:
    values = {name: value.astype(np.float64) for name, value in model.values().items()}
    cell = replace(model.cell, dtype="float64")
    return Model.of(cell, model.output_size, values, model.task)


def _outputs(
    cell: Anatomy, unrolled: Unrolled[Any], adjoints: mg.Adjoints, loss: Expr
) -> dict[str, Any]:
    states = unrolled.states[1:]
    outputs: dict[str, Any] = {
        "loss": loss,
        "adjoints": {p: [adjoints[getattr(s, p)] for s in states] for p in states[0]._fields},
        "split": [],
        "factor": [],
        "gates": {name: [values[name] for values in unrolled.values] for name in cell.gates},
    }
    if cell.line is not None:
        nodes = [getattr(s, cell.line.symbol) for s in unrolled.states]
        over_time = line_over_time(nodes, loss)
        parts = adjoints.splits(nodes[1:], over_time.detours)
        # Around the detours is along the line.
        outputs["split"] = [parts[n][::-1] for n in nodes[1:]]
        outputs["factor"] = over_time.factors
    return outputs
