"""What the long time lags of Hochreiter & Schmidhuber 1997 share: how long sequences are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.tasks.base import Task


@dataclass(frozen=True)
class LongLag(Task):
    """Sequences have T to T + T/10 steps, each number as often.

    length: T.
    """

    length: int = 100

    padding: ClassVar[str | None] = "lengths"

    @property
    def steps(self) -> int:
        return self.length + self.length // 10

    def draw_lengths(self, rng: np.random.Generator, size: int) -> NDArray[np.int64]:
        """How many steps each of that many sequences has."""
        return rng.integers(self.length, self.steps + 1, size)

    def is_padding(self, lengths: NDArray[Any]) -> NDArray[np.bool_]:
        """(T, B): which steps come after the last one of a sequence."""
        after: NDArray[np.bool_] = np.arange(self.steps)[:, None] >= lengths
        return after
