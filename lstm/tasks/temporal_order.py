"""The temporal order problem: in which order did the few symbols come that matter?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.losses import cross_entropy
from lstm.tasks.base import PaddedBatch
from lstm.tasks.long_lags import LongLag
from minigrad import Expr

SYMBOLS = "EBabcdXY"
START, TRIGGER, X = SYMBOLS.index("E"), SYMBOLS.index("B"), SYMBOLS.index("X")
NOISE = SYMBOLS.index("a"), SYMBOLS.index("d") + 1


@dataclass(frozen=True)
class TemporalOrder(LongLag):
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, experiments 6a and 6b.

    A sequence starts with E and ends with B, after T to T + T/10 steps. Between them are symbols
    of a, b, c and d, but for the two or three that matter, each an X or a Y: of 100 steps, at one
    of 10 to 20 and one of 50 to 60 (6a); or of 10 to 20, 33 to 43, and 66 to 76 (6b). Their order
    is one of four classes, XX, XY, YX, YY, or of eight. Positions are counted from 0, and stand in
    the same proportion to other lengths.

    length: T; relevant: 2 or 3. Raises ConfigError for less than 10 steps, or another number.

    >>> task = TemporalOrder(length=20, relevant=3)
    >>> xs, ys, lengths = task.batch(np.random.default_rng(0), size=1)
    >>> "".join(SYMBOLS[k] for k in xs[: lengths[0], 0]), ys
    ('EcbXaaaYdcdccdcXccdbdB', array([2]))
    """

    relevant: int = 2

    name: ClassVar[str] = "temporal-order"
    title: ClassVar[str | None] = "Temporal order problem"
    summary: ClassVar[str] = "the order of the two or three symbols that matter, of a hundred"
    paper: ClassVar[str | None] = (
        "Hochreiter & Schmidhuber 1997, experiment 6: 31,390 sequences, of three 571,100"
    )
    input_size: ClassVar[int] = len(SYMBOLS)
    vocabulary: ClassVar[int | None] = len(SYMBOLS)
    output_size: ClassVar[int] = 4
    target_dtype: ClassVar[str] = "int64"
    baseline_words: ClassVar[str] = "any order alike"
    criterion: ClassVar[str] = (
        "in each of 2000 test sequences no class's probability off by 0.3, and below 0.1 on average"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", check_count("length", self.length, 10))
        if self.relevant not in (2, 3) or isinstance(self.relevant, float):
            raise ConfigError(f"relevant must be 2 or 3, not {self.relevant!r:.40}")
        object.__setattr__(self, "output_size", 2**self.relevant)

    @property
    def baseline(self) -> float:
        return self.relevant * log(2)

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return SYMBOLS

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch,)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        lengths = self.draw_lengths(rng, size)
        row = np.arange(size)
        xs = rng.integers(*NOISE, (self.steps, size))
        ys = np.zeros(size, np.int64)
        for share in (10, 50) if self.relevant == 2 else (10, 33, 66):
            first = self.length * share // 100
            symbol = rng.integers(0, 2, size)
            xs[rng.integers(first, first + self.length // 10 + 1, size), row] = X + symbol
            ys = 2 * ys + symbol
        xs[0] = START
        xs[lengths - 1, row] = TRIGGER
        xs[self.is_padding(lengths)] = START
        return PaddedBatch(xs, ys, lengths)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return cross_entropy(prediction, target)

    def _errors(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """How far each class's probability is from that of who knows, (B, classes)."""
        odds = np.exp(prediction - prediction.max(1, keepdims=True))
        errors: NDArray[Any] = np.abs(
            odds / odds.sum(1, keepdims=True) - np.eye(self.output_size)[target]
        )
        return errors

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self._errors(prediction, target).max(1) < 0.3
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        errors = self._errors(prediction, target)
        return bool(errors.max() < 0.3 and errors.mean() < 0.1)
