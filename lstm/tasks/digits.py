"""Pictures of digits, read as sequences: row by row, or pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, MissingPackageError
from lstm.losses import cross_entropy
from lstm.tasks.base import Batch, Task
from minigrad import Expr

SIZE = 8
"""Pixels of a picture, each way."""
HELD = {"test": 400, "validation": 200}
"""So many of the 1,797 pictures are set aside, and trained on by none."""
READ = {"row": SIZE, "pixel": 1}
"""How many pixels a step has."""


@dataclass(frozen=True)
class Digits(Task):
    """Which digit a picture of 8 × 8 pixels is, from 0 to 9, told when all of it has been read: a
    row a step, or a pixel a step, from the top left (Le, Jaitly & Hinton, "A simple way to
    initialize recurrent networks of rectified linear units", 2015, for larger ones).

    The pictures, handwritten, are those that scikit-learn ships (Alpaydin & Kaynak 1998); the extra
    `data` installs it. They are read when they are first drawn from. 400 of them are the test and
    200 the validation, drawn once for all; training draws of the others. A pixel is 0 to 1.

    by: "row" or "pixel". Raises ConfigError for another, and, where pictures are drawn, without
    scikit-learn.

    >>> Digits().steps, Digits("pixel").steps
    (8, 64)
    """

    by: str = "row"

    name: ClassVar[str] = "digits"
    title: ClassVar[str | None] = "Digits, read step by step"
    summary: ClassVar[str] = "which digit a picture is, read by rows or by pixels"
    input_size: ClassVar[int] = SIZE
    output_size: ClassVar[int] = 10
    hidden_size: ClassVar[int | None] = 64
    target_dtype: ClassVar[str] = "int64"
    baseline_words: ClassVar[str] = "each digit as often"
    criterion: ClassVar[str] = "95 % of the 400 test pictures are told"
    usual: ClassVar[Mapping[str, Any]] = {"steps": 3000, "rate": 0.01}

    def __post_init__(self) -> None:
        if not isinstance(self.by, str) or self.by not in READ:
            raise ConfigError(f"by must be one of {', '.join(READ)}, not {self.by!r:.40}")
        object.__setattr__(self, "input_size", READ[self.by])

    @property
    def baseline(self) -> float:
        return log(self.output_size)

    @property
    def guesses(self) -> dict[str, float]:
        """The share of test pictures that one tells who says the digit whose mean picture, of those
        trained on, is nearest. Raises MissingPackageError without scikit-learn."""
        (own, digits), (others, right) = _part("training"), _part("test")
        means = np.stack([own[digits == k].mean(0) for k in range(self.output_size)])
        nearest = np.square(others[:, None] - means).sum((2, 3)).argmin(1)
        return {"nearest mean picture": float((nearest == right).mean())}

    @property
    def steps(self) -> int:
        return SIZE * SIZE // self.input_size

    @property
    def memory(self) -> int:
        # With as many steps as there are pixels, the gates start all but shut to what is read, and
        # 64 units tell 94 % of the test pictures after 4,000 steps of training; with 0, 97 %.
        return 0

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch,)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        pictures, digits = _part("training")
        which = rng.integers(len(digits), size=size)
        return self._read(pictures[which], digits[which])

    def held_out(
        self, part: str, rng: np.random.Generator, sequences: int, size: int
    ) -> Iterator[Batch]:
        """All that are set aside, however many are asked for; the last batch may be smaller."""
        pictures, digits = _part(part)
        for k in range(0, len(digits), size):
            yield self._read(pictures[k : k + size], digits[k : k + size])

    @property
    def tested_on(self) -> str:
        return "test pictures"

    def _read(self, pictures: NDArray[np.float32], digits: NDArray[np.int64]) -> Batch:
        steps = pictures.reshape(len(digits), self.steps, self.input_size)
        return Batch(np.ascontiguousarray(steps.swapaxes(0, 1)), digits)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return cross_entropy(prediction, target)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = prediction.argmax(-1) == target
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).mean() >= 0.95)


def _part(part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pictures (N, 8, 8) of a part, and their digits."""
    pictures, digits = all_pictures()
    order = np.random.default_rng(0).permutation(len(digits))
    test, both = HELD["test"], sum(HELD.values())
    own = {"test": order[:test], "validation": order[test:both], "training": order[both:]}[part]
    return pictures[own], digits[own]


@lru_cache(1)
def all_pictures() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    try:
        data = import_module("sklearn.datasets").load_digits()
    except ImportError:
        raise MissingPackageError(
            "the task digits reads pictures that scikit-learn ships, and it is not installed: "
            "pip install 'minigrad-lstm[data]'",
            name="sklearn",
        ) from None
    return (data.images / 16).astype(np.float32), data.target.astype(np.int64)
