"""What tasks of words share: sentences are read as tokens, and the next word is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.losses import cross_entropy
from lstm.tasks.base import Task
from minigrad import Expr

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Sentences(Task):
    """Words are read one a step, as tokens: each is its place among `words`.

    After the last word that is read, the next is asked for, of all words; it is one of `answers`,
    each as often.
    """

    words: ClassVar[tuple[str, ...]]
    """All words, each once."""
    answers: ClassVar[tuple[str, ...]]
    """Those that are asked for."""
    example: ClassVar[tuple[str, str]]
    """A word that decides, and the answer that it decides, of the sentence that pictures show."""
    target_dtype: ClassVar[str] = "int64"
    baseline_words: ClassVar[str] = "each answer as often"
    criterion: ClassVar[str] = "99 % of 2000 test sentences end with the right word"

    @property
    def baseline(self) -> float:
        return log(len(self.answers))

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch,)

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        return cross_entropy(prediction, target)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = prediction.argmax(-1) == target
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).mean() >= 0.99)

    @classmethod
    def tokens(cls, words: Iterable[str]) -> Tokens:
        """The token of each word. Raises ConfigError for a word that there is not.

        >>> from lstm.tasks.sky import Sky
        >>> Sky.spelled(Sky.tokens(["the", "fish"]))
        ['the', 'fish']
        """
        known = {word: k for k, word in enumerate(cls.words)}
        asked = list(words)
        for word in asked:
            if word not in known:
                raise ConfigError(f"{cls.name} has no word {word!r:.40}; see its `words`")
        return np.array([known[word] for word in asked], np.int64)

    @classmethod
    def spelled(cls, tokens: Iterable[int]) -> list[str]:
        """The word of each token."""
        return [cls.words[k] for k in tokens]
