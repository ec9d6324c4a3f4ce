"""The multiplication problem: two numbers of a long sequence are marked; what is their product?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import check_count
from lstm.losses import mse
from lstm.tasks.base import PaddedBatch
from lstm.tasks.long_lags import LongLag
from minigrad import Expr


@dataclass(frozen=True)
class Multiplication(LongLag):
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, experiment 5.

    Each step shows a number in U[0, 1] and a marker. Sequences have T to T + T/10 steps. One of
    the first ten is marked by 1, and one of the first T/2 - 1 that are then unmarked; the first and
    the last step carry -1, all others 0. Where the first step is one of the two, it has the number
    1 and the marker 1, so that the product is the other number. The target is the product.

    length: T. Raises ConfigError for less than 10.

    >>> xs, ys, lengths = Multiplication(length=20).batch(np.random.default_rng(0), size=3)
    >>> xs.shape, ys.shape, lengths
    ((22, 3, 2), (3, 1), array([22, 21, 21]))
    """

    name: ClassVar[str] = "multiplication"
    title: ClassVar[str | None] = "Multiplication problem"
    summary: ClassVar[str] = "the product of the two marked numbers of a long sequence"
    paper: ClassVar[str | None] = "Hochreiter & Schmidhuber 1997, experiment 5: 482,000 sequences"
    input_size: ClassVar[int] = 2
    output_size: ClassVar[int] = 1
    target_dtype: ClassVar[str] = "float32"
    baseline_words: ClassVar[str] = "always their mean"
    criterion: ClassVar[str] = "fewer than 7 % of 2000 test sequences off by more than 0.04 (140)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", check_count("length", self.length, 10))

    @property
    def baseline(self) -> float:
        one = 1 / 10 + 9 / 10 / (self.length // 2 - 1)  # how often the first step is marked
        return one / 3 + (1 - one) / 9 - (one / 2 + (1 - one) / 4) ** 2

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch, 1)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        lengths = self.draw_lengths(rng, size)
        row = np.arange(size)
        first = rng.integers(0, 10, size)
        second = rng.integers(0, self.length // 2 - 1, size)
        second += second >= first  # the step that is marked already is not one of them
        xs = np.zeros((self.steps, size, 2), np.float32)
        xs[:, :, 0] = rng.random((self.steps, size), np.float32)
        xs[lengths - 1, row, 1] = -1
        xs[0, :, 1] = -1
        xs[first, row, 1] = 1
        xs[second, row, 1] = 1
        xs[0, xs[0, :, 1] == 1, 0] = 1
        xs[self.is_padding(lengths)] = 0
        return PaddedBatch(xs, xs[first, row, :1] * xs[second, row, :1], lengths)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return mse(prediction, target)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        close: NDArray[np.bool_] = np.abs(prediction - target)[:, 0] <= 0.04
        return close

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool((~self.correct(prediction, target)).mean() < 140 / 2000)
