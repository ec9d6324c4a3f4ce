"""By which ways the gradient of a decoder's loss comes back to the steps that were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg
from lstm.arguments import array
from lstm.errors import ConfigError
from lstm.gradient_flow.steps import Floats
from lstm.gradient_flow.tensors import Loss, Meter, Place, check_batch, loss_of, without_padding
from lstm.model import Model, check_model


@dataclass(frozen=True)
class Routes:
    """The gradient towards the part of the state that lasts, (T, B, H), in parts that add up to
    it, in the order of time."""

    symbol: str
    """That part: C, or h."""
    whole: Floats
    at_once: Floats
    """What the attention reads at that very step."""
    later: Floats
    """What came along the recurrence from later steps at which the attention reads."""
    start: Floats
    """What came along the recurrence from its end, where the decoder starts."""

    @property
    def norms(self) -> dict[str, Floats]:
        """Of each part, the norm at each step, (T,)."""
        parts = {name: getattr(self, name) for name in ("whole", "at_once", "later", "start")}
        return {
            name: np.sqrt(np.square(x.astype(np.float64)).sum((1, 2))) for name, x in parts.items()
        }


def attention_routes(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None = None,
    *,
    layer: int | str | None = None,
    direction: str | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> Routes:
    """Split the gradient by the ways that it comes back to each step of the last recurrent layer.

    Arguments are those of `lstm.flow`. What the attention reads is what the layer gives at each
    step; the recurrence is all that a step hands to the next. Without attention all comes by the
    decoder's start. Raises ConfigError for a model without a decoder, and as `lstm.flow` does.

    >>> import lstm, numpy as np
    >>> task = lstm.Reverse(longest=4)
    >>> model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, attention="dot")
    >>> xs, ys, lengths = task.batch(np.random.default_rng(0), 3)
    >>> routes = attention_routes(model, xs, ys, lengths=lengths)
    >>> np.allclose(routes.whole, routes.at_once + routes.later + routes.start)
    True
    """
    if check_model(model).readout.read != "decoder":
        raise ConfigError("the ways through attention are those of a model with a decoder")
    xs_array, ys_array = array(xs, "xs"), array(ys, "ys")
    check_batch(model, xs_array, ys_array)
    place = Place(layer, direction, lengths, mask)
    xs_array, ys_array, counts = without_padding(model, xs_array, ys_array, place)
    meter = Meter(model, xs_array, ys_array, loss or loss_of(model), place, counts is not None)
    return routes_of(meter, meter.batch(xs_array, ys_array, counts))


def weights_of(meter: Meter, batch: Sequence[Any]) -> Floats:
    """The weights of the attention of what measures a flow, on its batch: (B, U, S), of each token
    that is said over the steps in the order in which the layer reads them."""
    run = mg.function(meter.inputs, meter.attention, backend="numpy")  # it runs once
    weights: Floats = np.swapaxes(run(*batch), 0, 1)[..., meter.steps]
    return weights


def routes_of(meter: Meter, batch: Sequence[Any], seed: float = 1.0) -> Routes:
    """The same of what measures a flow, on its batch; seed: ∂L/∂L."""
    node, loop, adjoints = getattr(meter.loop.made, meter.main), meter.loop, meter.adjoints
    attention, start = adjoints.split(node, through=[loop.outputs])
    onwards = [*loop.before, *loop.last]
    _, at_once = adjoints.split(node, through=onwards)
    parts = [adjoints[node], at_once, attention - at_once, start]
    run = mg.function([*meter.inputs, meter.seed], parts, backend="numpy")  # it runs once
    return Routes(meter.main, *run(*batch, seed))
