"""Parity: is the number of ones odd?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.losses import binary_cross_entropy
from lstm.tasks.base import PaddedBatch, Task
from minigrad import Expr


@dataclass(frozen=True)
class Parity(Task):
    """Bengio, Simard & Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", 1994; Hochreiter & Schmidhuber, "Bridging long time lags by weight guessing and
    'long short-term memory'", 1996.

    Each step is 1 or -1; the target at the end is 1 where the number of ones is odd, else 0. Every
    step counts, so that nothing can be told before all are read. The papers have sequences of
    hundreds of steps; a net learns from short ones, which are among these.

    length, shortest: sequences have from `shortest` to `length` steps, each as often. Raises
    ConfigError where that cannot be.

    >>> xs, ys, lengths = Parity(length=4).batch(np.random.default_rng(0), size=1)
    >>> xs[: lengths[0], 0, 0].tolist(), ys[0].tolist()
    ([1.0, 1.0, -1.0, -1.0], [0.0])
    """

    length: int = 50
    shortest: int = 1

    name: ClassVar[str] = "parity"
    title: ClassVar[str | None] = "Parity"
    summary: ClassVar[str] = "whether the number of ones is odd"
    paper: ClassVar[str | None] = "Bengio, Simard & Frasconi 1994"
    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    padding: ClassVar[str | None] = "lengths"
    target_dtype: ClassVar[str] = "float32"
    by_sign: ClassVar[bool] = True
    baseline_words: ClassVar[str] = "either alike"
    criterion: ClassVar[str] = "each of 2000 test sequences right"
    usual: ClassVar[Mapping[str, Any]] = {"steps": 5000, "rate": 0.01}

    def __post_init__(self) -> None:
        for setting in ("length", "shortest"):
            object.__setattr__(self, setting, check_count(setting, getattr(self, setting)))
        if self.shortest > self.length:
            raise ConfigError(f"shortest is {self.shortest}, and length {self.length}")

    @property
    def baseline(self) -> float:
        return log(2)

    @property
    def steps(self) -> int:
        return self.length

    @property
    def memory(self) -> int:
        # What is remembered turns over at each one that is read, and gates that hold on to it do
        # not let it: with a memory of `length` steps none of 2 seeds learns it in 160,000
        # sequences, with the usual bias all of 10 do, in 64,000 at most.
        return 0

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch, 1)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        lengths = rng.integers(self.shortest, self.length + 1, size)
        ones = rng.integers(0, 2, (self.length, size))
        there = np.arange(self.length)[:, None] < lengths
        xs = np.where(there, 2 * ones - 1, 0).astype(np.float32)[:, :, None]
        ys = ((ones * there).sum(0) % 2).astype(np.float32)[:, None]
        return PaddedBatch(xs, ys, lengths)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return binary_cross_entropy(prediction, target)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = ((prediction > 0) == (target == 1))[:, 0]
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).all())
