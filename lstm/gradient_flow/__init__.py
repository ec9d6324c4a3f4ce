"""How the gradient of one batch flows back through a model: numbers, and what they mean in words.

Nothing here draws. `tensors` has the numbers, `summary` what they come to, `words` what they mean.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lstm.cells import CELLS
from lstm.cells.anatomy import anatomy
from lstm.gradient_flow.summary import (
    Flow,
    GateValues,
    Jump,
    Series,
    Split,
    gate_of,
    series_of,
    split_of,
)
from lstm.gradient_flow.tensors import Loss, Place, Trace, loss_of, trace
from lstm.gradient_flow.words import compare, describe, diagnose, path_words
from lstm.model import Model

__all__ = [
    "Flow",
    "GateValues",
    "Jump",
    "Loss",
    "Place",
    "Series",
    "Split",
    "Trace",
    "compare",
    "describe",
    "diagnose",
    "loss_of",
    "measure",
    "path_words",
    "trace",
]


def measure(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None = None,
    *,
    layer: int | str | None = None,
    direction: str | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> Flow:
    """Measure how the gradient of the loss flows back over the steps of one batch.

    xs is (T, B, I), time first, and ys (B, ...) what the model's task has for targets. loss is that
    of the task that the model notes, unless given; for a task of your own, give `task.loss`.
    layer, direction: the recurrent layer that is measured, as of `Model.place`: the last, forward,
    unless given; steps are counted in the order in which it reads. lengths, mask: see `Model.run`.
    Work and memory grow linearly with T. Raises ConfigError for data of a wrong shape, and for a
    task that `lstm.TASKS` does not have.

    >>> import numpy as np
    >>> from lstm.cells import RNN
    >>> model = Model.create(RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> flow = measure(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> flow.steps, list(flow.series), len(flow.series["h"].norms)
    (6, ['h'], 6)
    """
    cell = model.recurrent()[model.place(layer, direction)].cell
    line, gates = anatomy(cell)
    traced = trace(model, xs, ys, loss, Place(layer, direction, lengths, mask))
    steps, batch = next(iter(traced.adjoints.values())).shape[:2]
    kind, name = type(cell), cell.name
    flow = Flow(
        name if CELLS.get(name, kind) is kind else kind.__name__,  # no other cell under our names
        steps,
        batch,
        model.dtype,
        traced.loss,
        series_of(traced),
        split_of(line, traced),
        {
            name: gate_of(gates[name], traced.counted(values))
            for name, values in traced.gates.items()
        },
        [],
        cell.heading,
        cell.output,
        model.readout.read,
    )
    return replace(flow, diagnosis=diagnose(flow))
