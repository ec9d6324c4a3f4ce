"""What the steps of a training came to, as far as it is needed to tell whether it goes astray."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError

LATEST = 100  # so many steps are remembered, and the first one


class Taken(NamedTuple):
    """A step that was taken."""

    step: int
    """Counted from one."""
    loss: float
    grad_norm: float


class History:
    """The first step of a training, and the latest ones.

    >>> history = History()
    >>> for step in range(1, 121):
    ...     history.add(Taken(step, 1 / step, 0.5))
    >>> history.first.step, history.latest[0].step, len(history.latest), history.array().shape
    (1, 21, 100, (101, 3))
    """

    def __init__(self) -> None:
        self.first: Taken | None = None
        self.latest: deque[Taken] = deque(maxlen=LATEST)

    def add(self, taken: Taken) -> None:
        """One step more."""
        self.first = self.first or taken
        self.latest.append(taken)

    def array(self) -> NDArray[np.float64]:
        """All of it, a row a step: (n, 3), n at most 101; the first step stands first."""
        rows = [] if self.first is None else [self.first, *self.latest]
        return np.array(rows, np.float64).reshape(len(rows), len(Taken._fields))

    @staticmethod
    def of(array: NDArray[np.float64]) -> History:
        """What `array` gave, as a history. Raises ConfigError for what it did not: a file may say
        anything."""
        rows = array.shape[0] if array.ndim == 2 else 0
        sound = (
            array.shape == (rows, len(Taken._fields))
            and array.dtype == np.float64
            and rows <= LATEST + 1
            and bool(np.isfinite(array).all())
        )
        if not sound:
            raise ConfigError("its history is no steps, losses and norms of gradients")
        taken = [Taken(int(step), loss, norm) for step, loss, norm in array.tolist()]
        history = History()
        history.first = taken[0] if taken else None
        history.latest.extend(taken[1:])
        return history
