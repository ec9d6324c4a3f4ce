"""The copying problem: ten symbols, a long silence, and then the same ten again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import check_count
from lstm.losses import cross_entropy
from lstm.tasks.base import Batch, Task
from minigrad import Expr

SYMBOLS = 8
BLANK, CUE = SYMBOLS, SYMBOLS + 1
COPIED = 10


@dataclass(frozen=True)
class Copying(Task):
    """Hochreiter & Schmidhuber 1997 pose it first; here as Arjovsky, Shah & Bengio, "Unitary
    evolution recurrent neural networks", 2016, section 4.1, do.

    Ten symbols of eight come first, then length - 1 blanks, a cue, and ten blanks more. What is
    asked for is blanks until the cue has been seen, from then on the ten symbols in order. Who
    remembers nothing says blanks, and then any of eight: a loss of 10 ln 8 / (length + 20) a step.

    length: steps from the last symbol to the cue. Raises ConfigError for less than one.

    >>> task = Copying(length=3)
    >>> xs, ys, *_ = task.batch(np.random.default_rng(0), size=1)
    >>> xs[:, 0].tolist()
    [6, 5, 4, 2, 2, 0, 0, 0, 1, 6, 8, 8, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]
    >>> ys[:, 0].tolist()
    [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 6, 5, 4, 2, 2, 0, 0, 0, 1, 6]
    """

    length: int = 30

    name: ClassVar[str] = "copying"
    title: ClassVar[str | None] = "Copying problem"
    summary: ClassVar[str] = "ten symbols of long ago, again in their order"
    paper: ClassVar[str | None] = "Arjovsky, Shah & Bengio 2016, section 4.1"
    input_size: ClassVar[int] = SYMBOLS + 2
    vocabulary: ClassVar[int | None] = SYMBOLS + 2
    output_size: ClassVar[int] = SYMBOLS + 1
    readout: ClassVar[str] = "every"
    target_dtype: ClassVar[str] = "int64"
    baseline_words: ClassVar[str] = "no memory"
    criterion: ClassVar[str] = "all ten symbols right in 99 % of 2000 test sequences"
    tried: ClassVar[str] = (
        "an LSTM of 128 units with gates that remember all steps: over 10 blanks 77 % of sequences "
        "have all ten symbols right after 128,000 of them at a rate of 0.004, over 30 blanks 84 % "
        "after 384,000, in 124 s; 64 units over 100 blanks none after 96,000, at a loss of 0.147 "
        "where who remembers nothing has 0.173. Arjovsky, Shah & Bengio find LSTMs at that loss, "
        "too. Over 30 blanks gates that remember 15 steps, 50 or 500 come to losses of 0.212, "
        "0.240 and 0.237 after 32,000 sequences, the first two to 0.082 after 96,000; batches of "
        "16 come to the same in the same time, and rates of 0.005 and 0.01 are no better"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", check_count("length", self.length))

    @property
    def baseline(self) -> float:
        return COPIED * log(SYMBOLS) / self.steps

    @property
    def steps(self) -> int:
        return self.length + 2 * COPIED

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return *map(str, range(SYMBOLS)), "blank", "cue"

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        symbols = rng.integers(0, SYMBOLS, (COPIED, size))
        xs = np.full((self.steps, size), BLANK)
        xs[:COPIED] = symbols
        xs[-COPIED - 1] = CUE
        ys = np.full((self.steps, size), BLANK)
        ys[-COPIED:] = symbols
        return Batch(xs, ys)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return cross_entropy(prediction, target)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        said = prediction.argmax(-1)[-COPIED:]
        right: NDArray[np.bool_] = np.all(said == target[-COPIED:], axis=0)
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).mean() >= 0.99)
