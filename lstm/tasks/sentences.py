"""What tasks of words share: they are read as tokens, and answers are labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lstm.arguments import array_within
from lstm.errors import ConfigError, check_texts
from lstm.tasks.labels import Labels

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Words(Labels):
    """Words are read one a step, as tokens: each is its place among `words`."""

    words: ClassVar[tuple[str, ...]]
    """All words, each once."""
    answers: ClassVar[tuple[str, ...]]
    """Those that are asked for."""

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return cls.words

    @classmethod
    def tokens(cls, words: Iterable[str]) -> Tokens:
        """The token of each word. Raises ConfigError for a word that there is not.

        >>> from lstm.tasks.sky import Sky
        >>> Sky.spelled(Sky.tokens(["the", "fish"]))
        ['the', 'fish']
        """
        known = {word: k for k, word in enumerate(cls.words)}
        asked = check_texts("words", words)
        for word in asked:
            if word not in known:
                raise ConfigError(f"{cls.name} has no word {word!r:.40}; see its `words`")
        return np.array([known[word] for word in asked], np.int64)

    @classmethod
    def spelled(cls, tokens: ArrayLike) -> list[str]:
        """The word of each token. Raises ConfigError for a token that there is not."""
        return [cls.words[k] for k in cls._checked(tokens, 1)]

    @classmethod
    def _checked(cls, tokens: ArrayLike, axes: int) -> Tokens:
        """Tokens as an array of so many axes. Raises ConfigError for what are none."""
        checked: Tokens = array_within(tokens, 0, len(cls.words) - 1, "token")
        if checked.ndim != axes:
            sizes = "(N,)" if axes == 1 else "(T, B)"
            raise ConfigError(f"{cls.name} takes tokens {sizes}, not {checked.shape}")
        return checked


@dataclass(frozen=True)
class Sentences(Words):
    """After the last word that is read, the next is asked for, of all words; it is one of
    `answers`, each as often."""

    example: ClassVar[tuple[str, str]]
    """A word that decides, and the answer that it decides, of the sentence that pictures show."""
    baseline_words: ClassVar[str] = "each answer as often"
    criterion: ClassVar[str] = "99 % of 2000 test sentences end with the right word"

    @property
    def baseline(self) -> float:
        return log(len(self.answers))

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch,)
