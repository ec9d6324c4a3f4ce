"""What to try, with the measurement that suggests it. Every threshold is a constant here.

Advice is read from arrays that a flow has anyway. Nothing here knows one cell from another: what a
cell can be told is asked of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lstm.cells import Gated
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.summary import FLAT, TOLD
from lstm.percents import percent
from minigrad.chains import Series

TOO_SMALL, EXPLODED = 1e-6, 1e3
"""A gradient that is less at t = 1 than the first times what it starts with has vanished; one that
is more than the second times that explodes. How large a loss is, decides nothing."""
GROWN = 10.0
"""And so many times as large the median step alone would make it: where each step has a loss, that
of the last may be small by itself."""
CANCELS = 0.1
"""The terms of a fan-in cancel where their sum is less than this share of their sizes."""
NEAR = 2.0
"""A gradient that is not finite has overflown where it is no more than so many decades below the
largest number: terms of its sums are larger than they."""
DROWNED = 10.0
"""The line's part of a gradient drowns where the rest is more than so many times as large."""


class Advice(NamedTuple):
    """A measurement, and what it suggests."""

    finding: str
    """In words, with its number."""
    remedy: str
    """What to try, as one would write it."""

    @property
    def sentence(self) -> str:
        """Both.

        >>> Advice("It explodes", "clip=1.0").sentence
        'It explodes: try clip=1.0.'
        """
        return f"{self.finding}: try {self.remedy}."


def vanishes(series: Series) -> bool:
    """Whether a gradient is sound and does not arrive, or is too small there."""
    return all(map(math.isfinite, series.norms)) and series.first < TOO_SMALL * series.start


def explodes(series: Series) -> bool:
    """Whether a gradient grows on its way, and is much larger at t = 1 than where it starts."""
    if not math.isfinite(series.first) or not series.first > EXPLODED * series.start:
        return False
    return (len(series.norms) - 1) * math.log10(series.factor) > math.log10(GROWN)


def overflows(flow: Flow) -> int | None:
    """The step from which down the main gradient is too large for its dtype, but finite; None
    where none is, and where it is not finite for another reason."""
    bad = [t for t, x in enumerate(flow.main.norms, 1) if not math.isfinite(x)]
    if not bad or not math.isfinite(flow.loss) or flow.unsound is not None:
        return None
    size, most = flow.decades[bad[-1] - 1], math.log10(float(np.finfo(flow.dtype).max))
    return bad[-1] if most - NEAR <= size < math.inf else None


def advice(flow: Flow) -> list[Advice]:
    """What to try for the main gradient of a flow, the most pressing first; of a flow of numbers
    alone only what its norms tell, and none for a single step."""
    if flow.steps == 1:
        return []
    made = [_slope_or_weights(flow)]
    if flow.source is not None:
        made = [_explosion(flow), _overflow(flow), *made]
        made += [_no_line(flow), _short_memory(flow), _drowned(flow)]
    return [one for one in made if one is not None]


def _explosion(flow: Flow) -> Advice | None:
    series = flow.main
    if not explodes(series):
        return None
    grown = math.log10(series.first) - math.log10(series.start)
    return Advice(
        f"∂L/∂{series.symbol} grows by {grown:.1f} decades on its way back",
        "clip=1.0, which bounds the norm of the whole gradient",
    )


def _overflow(flow: Flow) -> Advice | None:
    start = overflows(flow)
    if start is None:
        return None
    finding = f"∂L/∂{flow.main.symbol} is 10^{flow.decades[start - 1]:.1f} at t={start}"
    if start == flow.steps:
        return Advice(finding, "a smaller loss: a mean in place of a sum, or targets of size 1")
    return Advice(
        finding,
        "smaller weights of the state, or a cell whose gates bound a step, lstm.LSTM or lstm.GRU; "
        "clip=1.0 bounds what is finite and comes too late here",
    )


def _slope_or_weights(flow: Flow) -> Advice | None:
    """Which of the two that a step of a state without a line consists of makes it vanish."""
    slope = flow.slope
    if slope is None or not vanishes(flow.main):
        return None
    by_slope, by_weights = slope.lost
    slopes, weights = (
        _changed(slope.called, by_slope),
        _changed("the product with the weights", by_weights),
    )
    if by_weights < min(by_slope, 0.0):
        return Advice(f"On its way back {weights}, {slopes}", "larger weights of the state")
    if not by_slope < 0.0:
        return None
    why = f"On its way back {slopes}, {weights}"
    if by_slope == -math.inf:
        t = max(t for t, x in enumerate(slope.by_slope, 1) if x == by_slope)
        why = f"At t={t} {slope.called} is 0 for all that comes back"
    if slope.flat >= TOLD:
        why += (
            f": {percent(slope.flat, 0)} of the values of {slope.symbol} are saturated, where that "
            f"slope is below {FLAT:g}"
        )
        why += f", {slope.dead} of {slope.units} units at every step" if slope.dead else ""
    return Advice(why, "smaller weights and inputs, or other biases, that leave it larger")


def _changed(what: str, decades: float) -> str:
    """By how many decades something changed a gradient, in words."""
    if decades == -math.inf:
        return f"{what} leaves nothing of it"
    if abs(decades) < 0.05:
        return f"{what} changes nothing"
    return f"{what} {'takes' if decades < 0.0 else 'adds'} {abs(decades):.1f} decades"


def _no_line(flow: Flow) -> Advice | None:
    if flow.split is not None or not vanishes(flow.main):
        return None
    return Advice(
        "No part of the state comes back multiplied elementwise, so every step goes through all of "
        "its weights",
        "a cell that has a line, lstm.LSTM or lstm.GRU",
    )


def _short_memory(flow: Flow) -> Advice | None:
    memory, split = flow.memory, flow.split
    if memory is None or split is None or not vanishes(flow.main):
        return None
    steps = float(np.median(memory.measured))
    if steps >= flow.steps:
        return None
    factor = f"({split.factor})" if " " in split.factor else split.factor
    finding = (
        f"A unit of {split.symbol} remembers {steps:.1f} steps (the median of 1 / (1 − "
        f"{factor}); its bias promises {float(np.median(memory.promised)):.1f}), and the "
        f"sequences have {flow.steps}"
    )
    cell = flow.source.meter.layer.cell if flow.source is not None else None
    if isinstance(cell, Gated):
        bias = math.log(max(flow.steps - 1, 2))
        return Advice(finding, f"memory={flow.steps}, a bias of {bias:.1f} that keeps the line")
    return Advice(finding, f"a bias by which a step keeps {1 - 1 / flow.steps:.3g} of it")


def _drowned(flow: Flow) -> Advice | None:
    split = flow.split
    others = [symbol for symbol in flow.series if split is None or symbol != split.symbol]
    if split is None or not others or not (0.0 < split.along.first < math.inf):
        return None
    ratio = split.gates.first / split.along.first
    if not DROWNED < ratio < math.inf:
        return None
    cut = ", ".join(f'"{symbol}": 0.25' for symbol in others)
    return Advice(
        f"At t=1, what comes through {flow.beside} has {ratio:.0f} times the norm of what comes "
        "along the line",
        f"detach={{{cut}}}, which cuts that way at a quarter of the steps (h-detach: Arpit et al. "
        "2019)",
    )


def cancelled(flow: Flow) -> str | None:
    """Where the terms of the main gradient's fan-in cancel most, if they do: what is small there
    has not vanished."""
    if flow.source is None:
        return None
    share = flow.main_cancellation
    if not np.isfinite(share).any() or not np.nanmin(share) < CANCELS:
        return None
    t, least = int(np.nanargmin(share)) + 1, float(np.nanmin(share))
    return (
        f"At t={t} the terms of ∂L/∂{flow.main.symbol} cancel: their sum is {percent(least)} of "
        "their sizes. What is small there has not vanished."
    )
