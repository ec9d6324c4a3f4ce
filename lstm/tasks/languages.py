"""What tasks of formal languages share: strings, and at each step which symbols may come next."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.losses import binary_cross_entropy
from lstm.tasks.base import PaddedBatch, Task
from minigrad import Expr

END = "$"  # among what may come next
_PADDING = -1.0


@dataclass(frozen=True)
class Language(Task):
    """A string is read letter by letter, from a start symbol on; at each step it is asked of every
    letter, and of the end, whether it may come next: 1 or 0, which the signs of the outputs say.

    Token 0 is the start where it is read, and the end where it may come; then come the letters, in
    their order. A string is right where all is, at each of its steps.
    """

    letters: ClassVar[str]
    readout: ClassVar[str] = "every"
    padding: ClassVar[str | None] = "lengths"
    target_dtype: ClassVar[str] = "float32"
    by_sign: ClassVar[bool] = True
    baseline_words: ClassVar[str] = "always the same shares"
    criterion: ClassVar[str] = (
        "in each of 2000 test strings, at each step, exactly what may come next is said"
    )

    @property
    @abstractmethod
    def longest(self) -> int:
        """Letters of the longest string."""

    @abstractmethod
    def strings(self, rng: np.random.Generator, size: int) -> list[str]:
        """That many strings of the language."""

    @abstractmethod
    def may_follow(self, text: str) -> list[str]:
        """What may come after nothing, after the first letter, and so on: letters, and END."""

    @property
    @abstractmethod
    def shares(self) -> Sequence[float]:
        """At which share of the steps the end and each letter may come."""

    @property
    def baseline(self) -> float:
        p = np.clip(self.shares, 1e-300, 1 - 1e-16)
        return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return "start", *cls.letters

    @property
    def steps(self) -> int:
        return self.longest + 1

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch, len(self.letters) + 1)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        return self.of_strings(self.strings(rng, size))

    def of_strings(self, texts: Sequence[str]) -> PaddedBatch:
        """Strings of the language as a batch."""
        symbols, size = END + self.letters, len(texts)
        xs = np.zeros((self.steps, size), np.int64)
        ys = np.full((*xs.shape, len(symbols)), _PADDING, np.float32)
        lengths = np.zeros(size, np.int64)
        for k, text in enumerate(texts):
            lengths[k] = len(text) + 1
            xs[1 : lengths[k], k] = [symbols.index(letter) for letter in text]
            ys[: lengths[k], k] = [[s in may for s in symbols] for may in self.may_follow(text)]
        return PaddedBatch(xs, ys, lengths)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return binary_cross_entropy(prediction, target, mask=target[..., 0] != _PADDING)

    def elements(self, target: NDArray[Any]) -> int:
        return int((target[..., 0] != _PADDING).sum())

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right = ((prediction > 0) == (target == 1)) | (target == _PADDING)
        strings: NDArray[np.bool_] = right.all((0, 2))
        return strings

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).all())
