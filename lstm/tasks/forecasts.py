"""What tasks share that ask for a number at each step, where enough has been seen to tell it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.losses import mse
from lstm.tasks.base import Batch, Task
from minigrad import Expr

LONG = 200  # numbers of a series
WINDOW = 8  # numbers that the linear forecast reads
SERIES = {"training": (0, 192), "validation": (192, 32), "test": (224, 32)}  # first, and how many
COUNT = sum(many for _, many in SERIES.values())


class Forecast(Task):
    """One number a step is read, and one asked for; the loss is the mean squared error."""

    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    readout: ClassVar[str] = "every"
    target_dtype: ClassVar[str] = "float32"
    times_better: ClassVar[int]
    """It counts as solved where the error is less than the baseline divided by this."""

    @property
    @abstractmethod
    def unasked(self) -> int:
        """How many of the first steps have no target."""

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch, 1)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return mse(prediction[self.unasked :], target[self.unasked :])

    def _errors(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """The mean square of each sequence."""
        errors: NDArray[Any] = ((prediction - target)[self.unasked :, :, 0] ** 2).mean(0)
        return errors

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        most = self.baseline / self.times_better
        right: NDArray[np.bool_] = self._errors(prediction, target) < most
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        most = self.baseline / self.times_better
        return bool(self._errors(prediction, target).mean() < most)


@dataclass(frozen=True)
class SeriesForecast(Forecast):
    """Sequences are windows of series from starts of their own; others of these are held out. At
    each step, the number of `horizon` steps later is asked for, where eight have been seen. The
    loss to beat is that of the linear forecast from the last eight, fitted to what is trained on.

    length: T; horizon: steps. Raises ConfigError for fewer than 9 steps, and where a series, of 200
    numbers, is not as long.
    """

    length: int = 60
    horizon: int = 14

    times_better: ClassVar[int] = 10
    hidden_size: ClassVar[int | None] = 32
    usual: ClassVar[Mapping[str, Any]] = {"steps": 1000, "rate": 0.01}
    baseline_words: ClassVar[str] = "linear in the last eight"
    criterion: ClassVar[str] = "a mean squared error below a tenth of the linear forecast's"

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizon", check_count("horizon", self.horizon))
        object.__setattr__(self, "length", check_count("length", self.length, WINDOW + 1))
        if self._span > LONG:
            raise ConfigError(
                f"length + horizon is {self._span}, and a series has {LONG} numbers: choose less"
            )

    @classmethod
    @abstractmethod
    def series(cls) -> NDArray[np.float64]:
        """(200, 256): the numbers of all series, about 0."""

    @property
    def _span(self) -> int:
        return self.length + self.horizon

    @property
    def baseline(self) -> float:
        return _linear(type(self), self.horizon)

    @property
    def baselines(self) -> Mapping[str, float]:
        return {"it stays as it is": _staying(type(self), self.horizon), **super().baselines}

    @property
    def unasked(self) -> int:
        return WINDOW - 1

    @property
    def steps(self) -> int:
        return self.length

    @property
    def memory(self) -> int:
        return 0  # the last few numbers tell most: gates that remember all of T learn more slowly

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
        whole = self.series()[starts + np.arange(self._span)[:, None], series]
        values = whole[:, :, None].astype(np.float32)
        return Batch(values[: self.length], values[self.horizon :])


def _pairs(kind: type[SeriesForecast], horizon: int, part: str) -> tuple[Any, Any]:
    """All eights of numbers in the series of a part, (N, 8), and what is asked for of each."""
    first, count = SERIES[part]
    series = kind.series()[:, first : first + count]
    last = LONG - horizon - WINDOW + 1
    seen = np.stack([series[k : k + last] for k in range(WINDOW)], -1)
    return seen.reshape(-1, WINDOW), series[WINDOW - 1 + horizon :][:last].ravel()


@lru_cache
def _linear(kind: type[SeriesForecast], horizon: int) -> float:
    """The mean squared error, on what is held out for the test, of the forecast that is linear in
    the last eight numbers, fitted to what is trained on."""
    (seen, targets), (unseen, asked) = (_pairs(kind, horizon, p) for p in ("training", "test"))
    weights = np.linalg.lstsq(np.column_stack([seen, np.ones(len(seen))]), targets)[0]
    return float(((unseen @ weights[:-1] + weights[-1] - asked) ** 2).mean())


@lru_cache
def _staying(kind: type[SeriesForecast], horizon: int) -> float:
    """That of the forecast that the last number stays."""
    seen, asked = _pairs(kind, horizon, "test")
    return float(((seen[:, -1] - asked) ** 2).mean())
