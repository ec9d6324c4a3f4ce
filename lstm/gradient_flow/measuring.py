"""The measurement: one batch through one model, and what came of it as a flow."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm.arguments import array
from lstm.errors import ConfigError
from lstm.gradient_flow.across import influence_on
from lstm.gradient_flow.glance import Glance
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.tensors import (
    Loss,
    Meter,
    Place,
    check_batch,
    loss_of,
    of_what_counts,
    without_padding,
)
from lstm.model import Model, check_model
from minigrad.chains import Series


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
    steps at which all is padding are left out, and of a model that is read at every step no loss of
    `lstm.losses` counts padding; one of your own sees its targets. line: the part of the state that
    is the line; the one that comes back multiplied elementwise, unless given.

    All is computed by the loops that train, of the parameters and the batch as they are now, also
    what is read later; work and memory grow linearly with T. Raises
    ConfigError for data of a wrong shape, for a line that is none, and for a task that `lstm.TASKS`
    does not have.

    >>> import lstm, numpy as np
    >>> model = lstm.Model.create(lstm.RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> measured = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> measured.steps, list(measured.series), measured.adjoints["h"].shape
    (6, ['h'], (6, 3, 4))
    """
    return _measured(model, xs, ys, loss, Place(layer, direction, lengths, mask), line)


def flow_to_draw(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None,
    *,
    layer: int | str | None = None,
    direction: str | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> Flow:
    """`flow`, and what `lstm.figures.flow_details` draws of it, computed in the same loop."""
    place = Place(layer, direction, lengths, mask)
    return _measured(model, xs, ys, loss, place, drawn=True)


def influence_at(model: Model, xs: Any, ys: Any, loss: Loss, step: int) -> Series:
    """`flow(model, xs, ys, loss).influence_on(step)`, without what else a flow measures, which
    takes two thirds of the time; of steps that there are, from 1."""
    meter, *batch = _metered(model, xs, ys, loss, Place(None, None, None, None))
    return influence_on(meter, meter.batch(*batch), step)


def _measured(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None,
    place: Place,
    line: str | None = None,
    drawn: bool = False,
) -> Flow:
    meter, *batch = _metered(model, xs, ys, loss, place, line)
    return Glance(meter, drawn=drawn).measure(*batch)


def _metered(
    model: Model, xs: Any, ys: Any, loss: Loss | None, place: Place, line: str | None = None
) -> tuple[Meter, Any, Any, Any]:
    """What measures a batch, its arrays without steps of padding alone, and what of them counts."""
    if loss is not None and not callable(loss):
        raise ConfigError(
            "loss= is a function of a prediction and a target, such as task.loss; where a batch "
            "says how its sequences end, that is lengths= or mask=: xs, ys, lengths = task.batch(…)"
        )
    xs_array, ys_array = np.array(array(xs, "xs")), np.array(array(ys, "ys"))
    check_batch(check_model(model), xs_array, ys_array)
    xs_array, ys_array, counts = without_padding(model, xs_array, ys_array, place)
    loss = loss or loss_of(model)
    if counts is not None and model.readout.read == "every":
        loss, ys_array = of_what_counts(loss, ys_array, counts)
    meter = Meter(model.copy(), xs_array, ys_array, loss, place, counts is not None, line)
    return meter, xs_array, ys_array, counts
