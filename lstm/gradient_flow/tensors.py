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
from lstm.layers import Written, mask_of
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
    counts: NDArray[np.bool_] | None = None
    """(T, B): which steps are no padding; None: all."""
    enlarged: Trace | None = None
    """Where something is zero, the same in float64 and of a much larger ∂L/∂L."""

    def counted(self, values: Floats) -> list[Floats]:
        """Of each step, the values (B, H) that are no padding's, side by side."""
        if self.counts is None:
            return list(values.reshape(len(values), -1))
        return [step[here].ravel() for step, here in zip(values, self.counts, strict=True)]

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
    xs_array, ys_array, mask = without_padding(model, xs_array, ys_array, at)
    at = at._replace(lengths=None, mask=mask)
    traced = _trace(model, xs_array, ys_array, loss, at, 1.0)
    if not traced.has_zeros:
        return traced
    # What is zero in float64 too, and of so large a seed, has a factor of zero.
    enlarged = _trace(model.with_dtype("float64"), xs_array, ys_array, loss, at, LARGE_SEED)
    return replace(traced, enlarged=enlarged)


def without_padding(
    model: Model, xs: NDArray[Any], ys: NDArray[Any], at: Place
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """A batch without the steps at which all is padding, and the mask of what stays, or None.

    Raises ConfigError for lengths and a mask that do not fit.
    """
    if at.lengths is None and at.mask is None:
        return xs, ys, None
    model.run(xs, lengths=at.lengths, mask=at.mask)  # says what is wrong with them
    mask = np.asarray(mask_of(at.lengths, len(xs)).eval() if at.mask is None else at.mask)
    counted = mask.any(axis=1)
    return xs[counted], ys[counted] if model.readout.read == "every" else ys, mask[counted]


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
    layer, adjoints = model.recurrent()[place], mg.Adjoints(value, seed_var)
    line, _ = known = anatomy(layer.cell)
    outputs = _outputs(known, unrolled.layers[place], adjoints, value)
    run = mg.function([xs_var, ys_var, seed_var], outputs, simplify=False)
    with np.errstate(all="ignore"):
        numbers = run(xs, ys, seed)
    counts = None if at.mask is None else np.asarray(at.mask)[:: -1 if layer.reverse else 1]
    split, all_adjoints = numbers["split"], _stacked(numbers["adjoints"])
    along, rest = (np.stack(part) for part in zip(*split, strict=True)) if split else (None, None)
    factor = np.stack(numbers["factor"]) if split else None
    if line is not None and factor is not None and (counts is not None or len(unrolled.layers) > 1):
        # What leaves the line may come by again in another layer, so that the graph has no cut.
        along = _along(whole := all_adjoints[line.symbol], factor, counts)
        rest = whole - along
    gates = _stacked(numbers["gates"])
    return Trace(float(numbers["loss"]), all_adjoints, along, rest, factor, gates, counts)


def _along(whole: Floats, factor: Floats, counts: NDArray[np.bool_] | None) -> Floats:
    """What came along the line where sequences end at steps of their own: all that there is at the
    end of each, times the factors of the steps after."""
    counts = np.ones(whole.shape[:2], bool) if counts is None else counts
    along, running = np.zeros_like(whole), np.zeros_like(whole[0])
    ended = np.zeros_like(counts[0])
    for t in reversed(range(len(whole))):
        here = counts[t][:, None]
        step = np.where(ended[:, None], running, whole[t])
        along[t] = np.where(here, step, 0.0)
        running = np.where(here, step * factor[t], running)
        ended = ended | counts[t]
    return along


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
    states = written.made
    outputs: dict[str, Any] = {
        "loss": loss,
        "adjoints": {p: [adjoints[getattr(s, p)] for s in states] for p in states[0]._fields},
        "split": [],
        "factor": [],
        "gates": {name: [values[name] for values in written.values] for name in cell.gates},
    }
    if cell.line is not None:
        nodes = [getattr(s, cell.line.symbol) for s in (written.states[0], *states)]
        over_time = line_over_time(nodes, loss)
        parts = adjoints.splits(nodes[1:], over_time.detours)
        # Around the detours is along the line.
        outputs["split"] = [parts[n][::-1] for n in nodes[1:]]
        outputs["factor"] = over_time.factors
    return outputs
