"""The tensors of a flow: every number evaluated from the unrolled graph, in one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells.anatomy import Anatomy, anatomy, line_over_time
from lstm.errors import ConfigError
from lstm.layers import Written
from lstm.losses import mse
from lstm.model import Model
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


class Place(NamedTuple):
    """Which recurrent layer is measured, as `Model.place` takes it, and what of a batch counts."""

    layer: int | str | None = None
    direction: str | None = None
    lengths: Any = None
    mask: Any = None


def trace(
    model: Model, xs: Any, ys: Any, loss: Loss | None = None, at: Place | None = None
) -> Trace:
    """The tensors behind `measure`, which says what it takes and raises."""
    xs_array, ys_array = np.asarray(xs), np.asarray(ys)
    check_batch(model, xs_array, ys_array)
    loss, at = loss or loss_of(model), at or Place()
    traced = _trace(model, xs_array, ys_array, loss, at, 1.0)
    if not traced.has_zeros:
        return traced
    # What is zero in float64 too, and of so large a seed, has a factor of zero.
    enlarged = _trace(model.with_dtype("float64"), xs_array, ys_array, loss, at, LARGE_SEED)
    return replace(traced, enlarged=enlarged)


def variables(model: Model, xs: NDArray[Any], ys: NDArray[Any], target: str) -> tuple[Expr, Expr]:
    """Variables for a batch, of the model's dtype where they are floats."""
    xs_var = mg.var("xs", xs.shape, xs.dtype if model.layers.tokens else model.dtype)
    return xs_var, mg.var(target, ys.shape, model.dtype if ys.dtype.kind == "f" else ys.dtype)


def _trace(
    model: Model, xs: NDArray[Any], ys: NDArray[Any], loss: Loss, at: Place, seed: float
) -> Trace:
    """Everything of one batch from one compiled function; `seed` is ∂L/∂L."""
    xs_var, ys_var = variables(model, xs, ys, "ys")
    unrolled = model.unroll(xs_var, lengths=at.lengths, mask=at.mask)
    value = loss(unrolled.output, ys_var)
    seed_var = mg.var("∂L/∂L", (), value.dtype)
    place = model.place(at.layer, at.direction)
    cell, adjoints = model.recurrent()[place].cell, mg.Adjoints(value, seed_var)
    outputs = _outputs(anatomy(cell), unrolled.layers[place], adjoints, value)
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


def check_batch(model: Model, xs: NDArray[Any], ys: NDArray[Any]) -> None:
    """Raise ConfigError unless xs is (T, B, I), time first, or (T, B) of tokens, and ys has a
    target for each of B, or for each of T and B where every step is read."""
    tokens = model.layers.tokens
    rest = () if tokens else (model.input_size,)
    if xs.ndim < 2 or xs.shape[0] < 1 or xs.shape[1] < 1 or xs.shape[2:] != rest:
        wanted = "(T, B)" if tokens else f"(T, B, {model.input_size})"
        raise ConfigError(
            f"xs must be {wanted}, time first, with T and B of at least 1, not {xs.shape}"
        )
    if model.readout.read == "every" and ys.shape[:2] == xs.shape[:2]:
        return
    if model.readout.read == "last" and ys.shape[:1] == xs.shape[1:2]:
        return
    text = f"xs {xs.shape} has a batch of {xs.shape[1]} (time comes first), but ys is {ys.shape}"
    if ys.ndim and ys.shape[0] == xs.shape[0]:
        text += "; if xs is batch first, give xs.transpose(1, 0, 2)"
    raise ConfigError(text)


def loss_of(model: Model) -> Loss:
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


def _outputs(cell: Anatomy, written: Written, adjoints: mg.Adjoints, loss: Expr) -> dict[str, Any]:
    states = written.states[1:]
    outputs: dict[str, Any] = {
        "loss": loss,
        "adjoints": {p: [adjoints[getattr(s, p)] for s in states] for p in states[0]._fields},
        "split": [],
        "factor": [],
        "gates": {name: [values[name] for values in written.values] for name in cell.gates},
    }
    if cell.line is not None:
        nodes = [getattr(s, cell.line.symbol) for s in written.states]
        over_time = line_over_time(nodes, loss)
        parts = adjoints.splits(nodes[1:], over_time.detours)
        # Around the detours is along the line.
        outputs["split"] = [parts[n][::-1] for n in nodes[1:]]
        outputs["factor"] = over_time.factors
    return outputs
