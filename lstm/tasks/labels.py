"""What tasks share that ask for labels: of a sequence, or of some of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.losses import cross_entropy
from lstm.tasks.base import Task
from minigrad import Expr

NO_LABEL = -1
"""The target of a step at which nothing is asked, such as one beyond a sequence's end."""


@dataclass(frozen=True)
class Labels(Task):
    """Targets are labels, (B,) of sequences or (T, B) of steps, with NO_LABEL where nothing is
    asked; a sequence is right where all that is asked of it is said."""

    target_dtype: ClassVar[str] = "int64"

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return cross_entropy(prediction, target, ignore_index=NO_LABEL)

    def elements(self, target: NDArray[Any]) -> int:
        return int(np.count_nonzero(target != NO_LABEL))

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right = (prediction.argmax(-1) == target) | (target == NO_LABEL)
        sequences: NDArray[np.bool_] = np.all(np.atleast_2d(right), axis=0)
        return sequences

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).mean() >= 0.99)
