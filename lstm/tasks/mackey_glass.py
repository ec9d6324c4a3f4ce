"""The Mackey-Glass series: what will it be, so many steps from now?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.tasks.base import Batch
from lstm.tasks.forecasts import Forecast

TAU, GROWTH, DECAY, POWER = 17, 0.2, 0.1, 10
PER_UNIT = 5  # steps of the integration in a unit of time
EVERY = 6  # units of time between two numbers of a sequence
SETTLED = 300  # units of time until a series is where it stays, from wherever it began
LONG = 200  # numbers of a series
WINDOW = 8  # numbers that the linear forecast reads
SERIES = {"training": (0, 192), "validation": (192, 32), "test": (224, 32)}  # first, and how many


@dataclass(frozen=True)
class MackeyGlass(Forecast):
    """Mackey & Glass, "Oscillation and chaos in physiological control systems", 1977: the number of
    blood cells x follows dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)¹⁰) - 0.1 x, which is chaotic.
    Shown every six units of time, as by Gers, Eck & Schmidhuber, "Applying LSTM to time series
    predictable through time-window approaches", 2001, who find that a window of the last few
    numbers serves well here.

    Sequences are windows of series from starts of their own; others of these are held out. At each
    step, the number of `horizon` steps later is asked for, where eight have been seen. The loss to
    beat is that of the linear forecast from the last eight, fitted to what is trained on.

    length: T; horizon: steps. Raises ConfigError for fewer than 9 steps, and where a series, of 200
    numbers, is not as long.

    >>> xs, ys = MackeyGlass(length=20, horizon=3).batch(np.random.default_rng(0), size=2)
    >>> xs.shape, bool((xs[3:] == ys[:-3]).all())
    ((20, 2, 1), True)
    """

    length: int = 60
    horizon: int = 14

    name: ClassVar[str] = "mackey-glass"
    title: ClassVar[str | None] = "Mackey-Glass series"
    summary: ClassVar[str] = "a chaotic series, 84 units of time ahead"
    paper: ClassVar[str | None] = "Mackey & Glass 1977; Gers, Eck & Schmidhuber 2001"
    times_better: ClassVar[int] = 10
    baseline_words: ClassVar[str] = "linear in the last eight"
    criterion: ClassVar[str] = "a mean squared error below a tenth of the linear forecast's"

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizon", check_count("horizon", self.horizon))
        object.__setattr__(self, "length", check_count("length", self.length, WINDOW + 1))
        if self._span > LONG:
            raise ConfigError(
                f"length + horizon is {self._span}, and a series has {LONG} numbers: choose less"
            )

    @property
    def _span(self) -> int:
        return self.length + self.horizon

    @property
    def baseline(self) -> float:
        return _linear(self.horizon)

    @property
    def unasked(self) -> int:
        return WINDOW - 1

    @property
    def steps(self) -> int:
        return self.length

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        return self._windows("training", rng, size)

    def held_out(
        self, part: str, rng: np.random.Generator, sequences: int, size: int
    ) -> Iterator[Batch]:
        """Windows of series that are not trained on."""
        for _ in range(-(-sequences // size)):
            yield self._windows(part, rng, size)

    def _windows(self, part: str, rng: np.random.Generator, size: int) -> Batch:
        first, count = SERIES[part]
        series = rng.integers(first, first + count, size)
        starts = rng.integers(0, LONG - self._span + 1, size)
        whole = _series()[starts + np.arange(self._span)[:, None], series]
        values = (whole[:, :, None] - 1).astype(np.float32)  # about the point where it would rest
        return Batch(values[: self.length], values[self.horizon :])


@lru_cache
def _series() -> NDArray[np.float64]:
    """(200, 256) numbers of series that start at constants of 0.5 to 1.5: by Runge & Kutta's method
    of fourth order, with the past between two of its steps as their mean."""
    count = sum(many for _, many in SERIES.values())
    lag, h = TAU * PER_UNIT, 1 / PER_UNIT
    total = (SETTLED + LONG * EVERY) * PER_UNIT
    x = np.empty((lag + 1 + total, count))
    x[: lag + 1] = np.linspace(0.5, 1.5, count)
    x[: lag + 1] = x[: lag + 1, np.random.default_rng(0).permutation(count)]
    for k in range(lag, lag + total):
        now, past, next_past = x[k], x[k - lag], x[k - lag + 1]
        fed = [GROWTH * p / (1 + p**POWER) for p in (past, (past + next_past) / 2, next_past)]
        a = fed[0] - DECAY * now
        b = fed[1] - DECAY * (now + h / 2 * a)
        c = fed[1] - DECAY * (now + h / 2 * b)
        d = fed[2] - DECAY * (now + h * c)
        x[k + 1] = now + h / 6 * (a + 2 * b + 2 * c + d)
    return x[lag + SETTLED * PER_UNIT :: EVERY * PER_UNIT][:LONG]


@lru_cache
def _linear(horizon: int) -> float:
    """The mean squared error, on what is held out for the test, of the forecast that is linear in
    the last eight numbers, fitted to what is trained on."""

    def pairs(part: str) -> tuple[NDArray[Any], NDArray[Any]]:
        first, count = SERIES[part]
        series = _series()[:, first : first + count] - 1
        last = LONG - horizon - WINDOW + 1
        seen = [series[k : k + last] for k in range(WINDOW)]
        ones = np.ones_like(seen[0])
        targets = series[WINDOW - 1 + horizon :]
        return np.stack([*seen, ones], -1).reshape(-1, WINDOW + 1), targets[:last].ravel()

    weights = np.linalg.lstsq(*pairs("training"))[0]
    seen, targets = pairs("test")
    return float(((seen @ weights - targets) ** 2).mean())
