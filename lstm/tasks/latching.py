"""Latching: one bit at the start, to be held through noise until the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import check_count
from lstm.losses import mse
from lstm.tasks.base import Batch, Task
from minigrad import Expr

INFORMATIVE = 3  # steps that show the class
VARIANCE = 0.2  # of the noise after them
TARGET = 0.8


@dataclass(frozen=True)
class Latching(Task):
    """Bengio, Simard & Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", 1994, section 3: the minimal task, on which what is learnt as T grows is measured.

    One number a step: the first three are 1 in one class and -1 in the other, and all others
    Gaussian noise of mean 0 and variance 0.2; the target at the end is 0.8 or -0.8. Who holds
    nothing says 0, whose squared error is 0.64. In the paper what the first steps show is trained,
    too, by a net of one tanh unit; here it is given, as by Hochreiter & Schmidhuber, "Bridging long
    time lags by weight guessing and 'long short-term memory'", 1996, and a unit has gates where the
    cell has such. `TwoSequences` poses the same with lengths that vary.

    length: T. Raises ConfigError for less than 4 steps.

    >>> xs, ys = Latching(length=6).batch(np.random.default_rng(0), size=3)
    >>> xs[:3, :, 0].tolist(), ys[:, 0].round(3)
    ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], array([0.8, 0.8, 0.8], dtype=float32))
    """

    length: int = 20

    name: ClassVar[str] = "latching"
    title: ClassVar[str | None] = "Latching problem"
    summary: ClassVar[str] = "one bit of the first three steps, through noise, by one unit"
    paper: ClassVar[str | None] = "Bengio, Simard & Frasconi 1994, section 3"
    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    target_dtype: ClassVar[str] = "float32"
    hidden_size: ClassVar[int | None] = 1
    baseline_words: ClassVar[str] = "always 0"
    criterion: ClassVar[str] = "99 % of 2000 test sequences end on the side of 0 that is theirs"

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", check_count("length", self.length, INFORMATIVE + 1))

    @property
    def baseline(self) -> float:
        return TARGET**2

    @property
    def steps(self) -> int:
        return self.length

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch, 1)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        signs = (2 * rng.integers(0, 2, (size, 1)) - 1).astype(np.float32)
        xs = rng.standard_normal((self.length, size, 1), np.float32) * np.float32(VARIANCE**0.5)
        xs[:INFORMATIVE] = signs
        return Batch(xs, np.float32(TARGET) * signs)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return mse(prediction, target)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = (prediction * target)[:, 0] > 0
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).mean() >= 0.99)
