"""What tasks share that ask for a number at each step, where enough has been seen to tell it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.losses import mse
from lstm.tasks.base import Task
from minigrad import Expr


class Forecast(Task):
    """One number a step is read, and one asked for; the loss is the mean squared error."""

    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    readout: ClassVar[str] = "every"
    target_dtype: ClassVar[str] = "float32"
    times_better: ClassVar[int]
    """It counts as solved where the error is less than the baseline divided by this."""

    @property
    @abstractmethod
    def unasked(self) -> int:
        """How many of the first steps have no target."""

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch, 1)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return mse(prediction[self.unasked :], target[self.unasked :])

    def _errors(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """The mean square of each sequence."""
        errors: NDArray[Any] = ((prediction - target)[self.unasked :, :, 0] ** 2).mean(0)
        return errors

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        most = self.baseline / self.times_better
        right: NDArray[np.bool_] = self._errors(prediction, target) < most
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        most = self.baseline / self.times_better
        return bool(self._errors(prediction, target).mean() < most)
