"""The two-sequence problem: which of two classes did the first numbers tell, before the noise?"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.losses import binary_cross_entropy
from lstm.tasks.base import PaddedBatch
from lstm.tasks.long_lags import LongLag
from minigrad import Expr

VARIANCE = 0.2  # of the noise


@dataclass(frozen=True)
class TwoSequences(LongLag):
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, experiment 3a; first Bengio, Simard
    & Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.

    One number a step, of T to T + T/10 steps. The first N are 1 in class 1 and -1 in class 2; all
    others are Gaussian noise of mean 0 and variance 0.2. The target at the end is 1 or 0. The paper
    notes that guessing weights at random solves it faster than any training.

    length: T; informative: N. Raises ConfigError for an N of more than T.

    >>> task = TwoSequences(length=4, informative=2)
    >>> xs, ys, lengths = task.batch(np.random.default_rng(0), size=3)
    >>> xs[:2, :, 0].tolist(), ys[:, 0].tolist()
    ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [1.0, 1.0, 1.0])
    """

    informative: int = 3

    name: ClassVar[str] = "two-sequences"
    title: ClassVar[str | None] = "Two-sequence problem"
    summary: ClassVar[str] = "which of two signs the first numbers had, after a hundred of noise"
    paper: ClassVar[str | None] = "Hochreiter & Schmidhuber 1997, experiment 3a: 39,850 sequences"
    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    target_dtype: ClassVar[str] = "float32"
    baseline_words: ClassVar[str] = "either alike"
    criterion: ClassVar[str] = (
        "each of 2000 test sequences within 0.2 of its class, and a mean error below 0.01"
    )

    def __post_init__(self) -> None:
        for setting in ("length", "informative"):
            object.__setattr__(self, setting, check_count(setting, getattr(self, setting)))
        if self.informative > self.length:
            raise ConfigError(f"informative is {self.informative}, of {self.length} steps")

    @property
    def baseline(self) -> float:
        return log(2)

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch, 1)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        lengths = self.draw_lengths(rng, size)
        ys = rng.integers(0, 2, (size, 1)).astype(np.float32)
        xs = rng.normal(0, VARIANCE**0.5, (self.steps, size, 1)).astype(np.float32)
        xs[: self.informative] = 2 * ys - 1
        xs[self.is_padding(lengths)] = 0
        return PaddedBatch(xs, ys, lengths)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return binary_cross_entropy(prediction, target)

    def _errors(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """How far the probability of class 1 is from 1 or 0, (B,)."""
        errors: NDArray[Any] = np.abs((1 + np.tanh(prediction / 2)) / 2 - target)[:, 0]
        return errors

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self._errors(prediction, target) < 0.2
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        errors = self._errors(prediction, target)
        return bool(errors.max() < 0.2 and errors.mean() < 0.01)
