"""The measurement: one batch through one model, and what came of it as a flow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lstm.arguments import array
from lstm.cells import CELLS
from lstm.errors import ConfigError
from lstm.gradient_flow.measured import Flow, Source
from lstm.gradient_flow.parts import Parts
from lstm.gradient_flow.steps import Bools, Stacks
from lstm.gradient_flow.summary import GateValues, Split, gate_of, lost_units, split_of
from lstm.gradient_flow.tensors import (
    LARGE_SEED,
    Loss,
    Meter,
    Place,
    Reading,
    check_batch,
    loss_of,
    without_padding,
)
from lstm.gradient_flow.words import diagnose
from lstm.model import Model, check_model
from minigrad.chains import Series, norms_of, series_of


def flow(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None = None,
    *,
    layer: int | str | None = None,
    direction: str | None = None,
    lengths: Any = None,
    mask: Any = None,
    line: str | None = None,
) -> Flow:
    """Measure how the gradient of the loss flows back over the steps of one batch.

    xs is (T, B, I), time first, and ys (B, ...) what the model's task has for targets. loss is that
    of the task that the model notes, unless given; for a task of your own, give `task.loss`.
    layer, direction: the recurrent layer that is measured, as of `Model.place`: the last, forward,
    unless given; steps are counted in the order in which it reads. lengths, mask: see `Model.run`;
    steps at which all is padding are left out. line: the part of the state that is the line; the
    one that comes back multiplied elementwise, unless given.

    All is computed by the loops that train; work and memory grow linearly with T. Raises
    ConfigError for data of a wrong shape, for a line that is none, and for a task that `lstm.TASKS`
    does not have.

    >>> import lstm, numpy as np
    >>> model = lstm.Model.create(lstm.RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> measured = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> measured.steps, list(measured.series), measured.adjoints["h"].shape
    (6, ['h'], (6, 3, 4))
    """
    if loss is not None and not callable(loss):
        raise ConfigError(
            "loss= is a function of a prediction and a target, such as task.loss; where a batch "
            "says how its sequences end, that is lengths= or mask=: xs, ys, lengths = task.batch(…)"
        )
    xs_array, ys_array = array(xs, "xs"), array(ys, "ys")
    check_batch(check_model(model), xs_array, ys_array)
    place = Place(layer, direction, lengths, mask)
    xs_array, ys_array, counts = without_padding(model, xs_array, ys_array, place)
    meter = Meter(
        model, xs_array, ys_array, loss or loss_of(model), place, counts is not None, line
    )
    return measure(meter, xs_array, ys_array, counts)


def measure(meter: Meter, xs: Any, ys: Any, mask: Any = None) -> Flow:
    """A flow of one batch, of the shapes that the meter was made for."""
    read = meter.read(xs, ys, mask)
    value, stacks, parts, often = read
    line, gates = meter.line, meter.gates
    larger, larger_parts = _enlarged(meter, (xs, ys, mask), read)
    joined = {} if larger is None else _connected(meter, (xs, ys, mask))  # of no zeros all are
    series = {
        part: series_of(
            part,
            stacks.adjoints[name],
            None if larger is None else larger.adjoints[name],
            joined.get(part),
        )
        for part, name in stacks.made.items()
    }
    split = None
    if line is not None and parts is not None:
        factors = stacks.factors[stacks.made[line.symbol]]
        at = joined.get(line.symbol)
        split = split_of(line, parts, factors, stacks.counted, larger_parts, at, often=often)
    values = {
        symbol: gate_of(gate, stacks.values[symbol], stacks.counted)
        for symbol, gate in gates.items()
    }
    lost = {}
    if larger is not None:
        lost = {
            p: lost_units(stacks.adjoints[n], larger.adjoints[n]) for p, n in stacks.made.items()
        }
    source = Source(meter, meter.given(xs, ys, mask), stacks, line, parts, gates, lost)
    return flow_of(meter, value, series, split, values, source)


def flow_of(
    meter: Meter,
    loss: float,
    series: dict[str, Series],
    split: Split | None,
    gates: dict[str, GateValues],
    source: Source | None = None,
) -> Flow:
    """What was measured, with what it means in words."""
    cell = meter.layer.cell
    kind = type(cell)
    whole = Flow(
        cell.name if CELLS.get(cell.name, kind) is kind else kind.__name__,  # none other has ours
        len(next(iter(series.values())).norms),
        meter.xs.shape[1],
        meter.model.dtype,
        loss,
        series,
        split,
        gates,
        [],
        cell.heading,
        cell.output,
        meter.model.readout.read,
        meter.place.replace(".", " ") if len(meter.model.recurrent()) > 1 else "",
        source,
    )
    return replace(whole, diagnosis=diagnose(whole))


def _connected(meter: Meter, batch: tuple[Any, Any, Any]) -> dict[str, Bools]:
    _, stacks, *_ = meter.wide().read(*batch, seed=np.nan)
    return meter.connected({p: norms_of(stacks.adjoints[name]) for p, name in stacks.made.items()})


def _enlarged(
    meter: Meter, batch: tuple[Any, Any, Any], read: Reading
) -> tuple[Stacks | None, Parts | None]:
    """Where something is zero that need not be, the same in float64 and of a much larger ∂L/∂L:
    what is zero there too has a factor of zero."""
    _, stacks, parts, often = read
    units = all(stacks.adjoints[name].any(axis=1).all() for name in stacks.made.values())
    shown: list[Any] = []
    if parts is not None:  # at t = T nothing has left the line yet, and it has brought nothing
        shown += [parts.line, parts.around[:-1]]
        shown += [parts.entered, parts.carried[:-1]] if often else []
    if units and all(stack.any(axis=(1, 2)).all() for stack in shown):
        return None, None
    _, larger, larger_parts, _ = meter.wide().read(*batch, seed=LARGE_SEED)
    return larger, larger_parts
