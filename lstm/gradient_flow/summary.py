"""What the numbers of a flow come to: norms, factors, shares and means over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstm.gradient_flow.steps import Bools, Floats
from minigrad.chains import Series
from minigrad.display import in_a_line

OPEN, CLOSED = 0.9, 0.1
"""A gate beyond these counts as saturated, as in Karpathy, Johnson & Fei-Fei, "Visualizing and
understanding recurrent networks", 2015, section 4.2."""
TOLD = 0.1
"""Saturation is told from this share of a gate's values on, or a state's."""
FLAT = 0.1
"""A unit is flat where the slope of its nonlinearity is less than this: of tanh beyond ±0.949, and
of a sigmoid where a gate would count as saturated, near enough."""


@dataclass(frozen=True)
class Split:
    """The gradient towards the line's state in two parts, which sum to the whole at every t.

    `line` came along the cell's line alone: since it entered, only times `factor` at each step.
    `gates` is all the rest: each of its paths left the line at least once, through a gate, a
    candidate or a hidden state. Where the loss enters at each step, by a loss of its own or a layer
    above, `line` is again the sum of two: `entered` at this very step, and `carried` here from
    later steps. Where it enters at the end of a sequence alone, these two are None.
    """

    symbol: str
    factor: str
    """What a step multiplies the line by, in the symbols of the equations: f, or 1 − z."""
    keep: list[float]
    """The mean of that factor over the batch and the units, at each step."""
    line: Series
    gates: Series
    entered: Series | None = None
    carried: Series | None = None

    def __repr__(self) -> str:
        return in_a_line(self)

    @property
    def along(self) -> Series:
        """What the line brought: `carried`, or all of `line` where the loss enters at the end
        alone."""
        return self.line if self.carried is None else self.carried

    @property
    def share(self) -> list[float]:
        """‖along‖ / (‖along‖ + ‖gates‖) at each t, of the norms of the two, which need not add up
        to that of their sum."""
        both = zip(self.along.norms, self.gates.norms, strict=True)
        return [a / (a + b) if 0.0 < a + b < math.inf else math.nan for a, b in both]

    @property
    def product(self) -> str:
        """The product over the steps, in symbols: ∏ f, or ∏ (1 − z)."""
        return f"∏ ({self.factor})" if " " in self.factor else f"∏ {self.factor}"


@dataclass(frozen=True)
class GateValues:
    """The values of one gate over the whole batch: at each step, and all steps together."""

    symbol: str
    name: str
    """As "forget gate"; empty where the cell does not say."""
    one: str
    """What it does where it is 1, as "keeps C"; empty where nobody can say."""
    zero: str
    mean: list[float]
    low: list[float]
    high: list[float]
    open: float
    """The fraction of all values above 0.9."""
    closed: float
    """The fraction of all values below 0.1."""

    def __repr__(self) -> str:
        return in_a_line(self)


@dataclass(frozen=True)
class Slope:
    """The nonlinearity that the main part of the state comes out of, and what it costs the
    gradient. A step brings what comes to the state of one step to that of the step before: first
    times the slope of each unit, then through the weights."""

    symbol: str
    name: str
    """As "tanh"; empty where it is of several ops."""
    flat: float
    """The fraction of all values where the slope is less than 0.1 in size."""
    dead: int
    """How many units are flat at every step of every sequence."""
    units: int
    by_slope: list[float]
    """By how many powers of ten each step changes the norm of the gradient by the slope; NaN where
    nothing comes, -inf where the slope is 0 for all that does."""
    by_weights: list[float]
    """The same of what is between there and the state before."""

    def __repr__(self) -> str:
        return in_a_line(self)

    @property
    def called(self) -> str:
        """What sentences call the slope."""
        return f"the slope of {self.name or 'the nonlinearity'}"

    @property
    def lost(self) -> tuple[float, float]:
        """The sums of both over the steps from T down to 2, as far as numbers tell them."""
        return _known(self.by_slope[1:]), _known(self.by_weights[1:])


def _known(decades: list[float]) -> float:
    return sum(x for x in decades if x == x)


class Spot(NamedTuple):
    """Where a value of a layer is."""

    name: str
    step: int
    """From 1, in the order in which the layer reads."""
    sequence: int
    """From 1, in the batch."""


class Memory(NamedTuple):
    """The memory of each unit of the line in steps, (H,) each; infinite where nothing is lost."""

    measured: Floats
    """1 / (1 - f), where f is the geometric mean of the line's factor over steps and sequences."""
    promised: Floats
    """The same of the factor where state and input are 0: for a forget gate 1 + eᵇ."""

    def __repr__(self) -> str:
        return in_a_line(self)


class Saturation(NamedTuple):
    """Of each unit of a gate, the share of its values over steps and sequences, (H,) each."""

    open: Floats
    """Above 0.9."""
    closed: Floats
    """Below 0.1."""

    def __repr__(self) -> str:
        return in_a_line(self)


def lost_units(units: Floats, larger: Floats) -> Bools:
    """Which units (T, H) of a gradient underflow over the whole batch, of their largest elements;
    larger: the same of a much larger ∂L/∂L, where a zero stays only if it has a factor of 0, or
    lost too much."""
    zero, lost = units == 0, np.asarray(larger != 0)
    lost[-1] &= zero[-1]
    for t in reversed(range(len(lost) - 1)):
        lost[t] = zero[t] & (lost[t] | lost[t + 1])
    return lost
