"""The Mackey-Glass series: what will it be, so many steps from now?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.tasks.forecasts import COUNT, LONG, SeriesForecast

TAU, GROWTH, DECAY, POWER = 17, 0.2, 0.1, 10
PER_UNIT = 5  # steps of the integration in a unit of time
EVERY = 6  # units of time between two numbers of a sequence
SETTLED = 300  # units of time until a series is where it stays, from wherever it began


@dataclass(frozen=True)
class MackeyGlass(SeriesForecast):
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

    name: ClassVar[str] = "mackey-glass"
    title: ClassVar[str | None] = "Mackey-Glass series"
    summary: ClassVar[str] = "a chaotic series, 84 units of time ahead"
    paper: ClassVar[str | None] = "Mackey & Glass 1977; Gers, Eck & Schmidhuber 2001"

    @classmethod
    def series(cls) -> NDArray[np.float64]:
        return _series() - 1  # about the point where it would rest


@lru_cache
def _series() -> NDArray[np.float64]:
    """(200, 256) numbers of series that start at constants of 0.5 to 1.5: by Runge & Kutta's method
    of fourth order, with the past between two of its steps as their mean."""
    lag, h = TAU * PER_UNIT, 1 / PER_UNIT
    total = (SETTLED + LONG * EVERY) * PER_UNIT
    x = np.empty((lag + 1 + total, COUNT))
    x[: lag + 1] = np.linspace(0.5, 1.5, COUNT)
    x[: lag + 1] = x[: lag + 1, np.random.default_rng(0).permutation(COUNT)]
    for k in range(lag, lag + total):
        now, past, next_past = x[k], x[k - lag], x[k - lag + 1]
        fed = [GROWTH * p / (1 + p**POWER) for p in (past, (past + next_past) / 2, next_past)]
        a = fed[0] - DECAY * now
        b = fed[1] - DECAY * (now + h / 2 * a)
        c = fed[1] - DECAY * (now + h / 2 * b)
        d = fed[2] - DECAY * (now + h * c)
        x[k + 1] = now + h / 6 * (a + 2 * b + 2 * c + d)
    return x[lag + SETTLED * PER_UNIT :: EVERY * PER_UNIT][:LONG]
