"""The Lorenz system: where will x be, so many steps from now, seen x alone?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.tasks.forecasts import COUNT, LONG, SeriesForecast

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
STEP = 0.01  # of the integration, in units of time
EVERY = 5  # of these between two numbers of a sequence
SETTLED = 2000  # of these until a series is on the attractor, from wherever it began
SCALE = 10.0  # what 1 stands for in a sequence


@dataclass(frozen=True)
class Lorenz(SeriesForecast):
    """Lorenz, "Deterministic nonperiodic flow", 1963: dx/dt = 10 (y - x), dy/dt = x (28 - z) - y,
    dz/dt = x y - 8/3 z, of which x alone is shown, a tenth of it, every 0.05 units of time. What is
    not shown has to be made out of the past of x (Takens 1981). Errors grow e-fold in some 1.1
    units of time: 0.4 ahead, past which lobe x will turn to, no linear forecast sees.

    Sequences are windows of series from starts of their own; others of these are held out. At each
    step, the number of `horizon` steps later is asked for, where eight have been seen. The loss to
    beat is that of the linear forecast from the last eight, fitted to what is trained on.

    length: T; horizon: steps. Raises ConfigError for fewer than 9 steps, and where a series, of 200
    numbers, is not as long.

    >>> xs, ys = Lorenz(length=20, horizon=3).batch(np.random.default_rng(0), size=2)
    >>> xs.shape, bool((xs[3:] == ys[:-3]).all())
    ((20, 2, 1), True)
    """

    horizon: int = 8

    name: ClassVar[str] = "lorenz"
    title: ClassVar[str | None] = "Lorenz system"
    summary: ClassVar[str] = "one coordinate of a chaotic system, 0.4 units of time ahead"
    paper: ClassVar[str | None] = "Lorenz 1963"

    @classmethod
    def series(cls) -> NDArray[np.float64]:
        return _series() / SCALE


@lru_cache
def _series() -> NDArray[np.float64]:
    """(200, 256) numbers of series from starts at random."""
    state = np.random.default_rng(0).normal(0, 10, (3, COUNT))
    state[2] += 25
    xs = np.empty((LONG, COUNT))
    for k in range(SETTLED + LONG * EVERY):
        if k >= SETTLED and (k - SETTLED) % EVERY == 0:
            xs[(k - SETTLED) // EVERY] = state[0]
        state = _advanced(state)
    return xs


def _advanced(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """States (3, N) a step later, by Runge & Kutta's method of fourth order."""
    a = _slope(state)
    b = _slope(state + STEP / 2 * a)
    c = _slope(state + STEP / 2 * b)
    later: NDArray[np.float64] = state + STEP / 6 * (a + 2 * b + 2 * c + _slope(state + STEP * c))
    return later


def _slope(state: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = state
    return np.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z])
