"""Why a flow is not finite: from which step on, forward or on the way back, and what helps."""

from __future__ import annotations

import math

import numpy as np

import minigrad as mg
from lstm.gradient_flow.advice import overflows
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.source import Source
from lstm.training.diagnosis import Bad, diagnosis

LONGEST = 200
"""So many steps are written out to find the op that is to blame; of more, the loops are asked."""


def not_finite(flow: Flow) -> list[str]:
    """What of a loss or of the main gradient is not finite, since when, and what to do; nothing
    where all is, and for a flow of numbers alone."""
    source = flow.source
    if source is None or all(map(math.isfinite, (flow.loss, *flow.main.norms))):
        return []
    start = overflows(flow)
    if start is not None:  # no op is to blame
        return [_beyond(flow, start)]
    cause = "; ".join(" ".join(line.split()) for line in diagnosis(_bad(source), LONGEST))
    return [_first(flow, source), *([f"The cause: {cause}."] if cause else [])]


def _beyond(flow: Flow, start: int) -> str:
    """From which step down a gradient is too large for its dtype."""
    series, size = flow.main, flow.decades[0]
    name, most = f"∂L/∂{series.symbol}", float(np.finfo(flow.dtype).max)
    end = f", 10^{size:.0f} at t=1" if math.isfinite(size) else ""
    beyond = f"beyond the range of {flow.dtype} ({most:.1e}) from t={start} down{end}"
    if start == flow.steps:
        return f"{name} starts {beyond}."
    pace = f"median step ×{series.factor:.3g}, " if series.factor == series.factor else ""
    return f"{name} explodes along the steps: {pace}{beyond}."


def _first(flow: Flow, source: Source) -> str:
    """What is not finite first, going forward and then back."""
    name, spot = f"∂L/∂{flow.main.symbol}", flow.unsound
    if spot is not None:
        value = source.reading.stacks.values[spot.name][spot.step - 1, spot.sequence - 1]
        kind = "NaN" if np.isnan(value).any() else "infinite"
        return (
            f"Going forward, {spot.name} is {kind} at t={spot.step}, in sequence {spot.sequence} "
            f"of the batch; the loss is {flow.loss:g}."
        )
    if not math.isfinite(flow.loss):
        return f"The loss is {flow.loss:g}, though all that the layer computes is finite."
    start = max(t for t, x in enumerate(flow.main.norms, 1) if not math.isfinite(x))
    bad = ~np.isfinite(flow.adjoints[flow.main.symbol][start - 1]).all(axis=1)
    return (
        f"Going back, {name} is not finite from t={start} down, first in sequence "
        f"{int(bad.argmax()) + 1} of the batch, though the loss is."
    )


def _bad(source: Source) -> Bad:
    """What `lstm.training` asks to find what is to blame."""
    meter = source.meter
    params, timed = meter.model.flat_params, ("step", "sequence")
    read = meter.model.readout.read
    axes = {meter.xs: timed, meter.ys: timed[1:] if read == "last" else timed}
    counts = {} if meter.mask is None else {meter.xs: meter.mask}
    if counts and read == "every":
        counts[meter.ys] = counts[meter.xs]
    back = meter.way.stacks["adjoints"][meter.graph.made[meter.main]]
    grads = mg.grad(meter.value, params)
    grads[meter.main] = mg.substitute(back, {meter.seed: mg.ones_like(meter.seed)})
    return Bad(meter.value, grads, params, meter.inputs, source.batch, [], counts, axes)
