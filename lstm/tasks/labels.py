"""What tasks share that ask for labels: of a sequence, or of some of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.arguments import array_within
from lstm.errors import ConfigError
from lstm.losses import cross_entropy
from lstm.tasks.base import Task
from minigrad import Expr

NO_LABEL = -1
"""The target of a step at which nothing is asked, such as one beyond a sequence's end."""
END = 0
"""The token that an answer of several tokens ends with."""


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


def up_to_end(tokens: Any, task: Task) -> Iterator[list[int]]:
    """Answers (U, B) to a task, one after the other, each up to its END or to padding. Raises
    ConfigError for another shape, and for a token that there is not."""
    answers = array_within(tokens, NO_LABEL, task.output_size - 1, "token")
    if answers.ndim != 2:
        raise ConfigError(f"{task.name} has answers (U, B), not {answers.shape}")
    for row in answers.T.tolist():
        yield [*takewhile(lambda token: token > END, row)]
