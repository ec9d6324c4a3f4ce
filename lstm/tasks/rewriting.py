"""What tasks share in which a string is answered with a string."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count, check_texts
from lstm.tasks.base import PaddedBatch
from lstm.tasks.labels import END, NO_LABEL, Labels, up_to_end


@dataclass(frozen=True)
class Rewriting(Labels):
    """A string is read letter by letter, and answered letter by letter, up to an end.

    An answer is right where all of it is. Whether the letters before were told or said by the model
    itself makes no difference to that: up to its first wrong letter it has said what it is told.
    """

    letters: ClassVar[str]
    """Of strings that are read."""
    answers: ClassVar[str]
    """The letters of answers."""
    close_up: ClassVar[str] = "alignment"
    readout: ClassVar[str] = "decoder"
    padding: ClassVar[str | None] = "lengths"
    baseline_words: ClassVar[str] = "letters as often as they come"
    criterion: ClassVar[str] = "99 % of 2000 test strings are answered without a mistake"

    @abstractmethod
    def pairs(self, rng: np.random.Generator, size: int) -> list[tuple[str, str]]:
        """That many strings, each with its answer."""

    @property
    @abstractmethod
    def answer_steps(self) -> int:
        """The letters of the longest answer, and its end."""

    @property
    @abstractmethod
    def shares(self) -> Sequence[float]:
        """At which share of an answer's steps its end and each letter come."""

    @property
    def baseline(self) -> float:
        shares = np.array([p for p in self.shares if p])
        return float(-(shares * np.log(shares)).sum())

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.answer_steps, batch)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        texts, answers = zip(*self.pairs(rng, check_count("size", size)), strict=True)
        xs, lengths = self.tokens(texts)
        ys = np.full(self.target_shape(size), NO_LABEL)
        for k, answer in enumerate(answers):
            ys[: len(answer), k] = [self.answers.index(letter) + 1 for letter in answer]
            ys[len(answer), k] = END
        return PaddedBatch(xs, ys, lengths)

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return "", *cls.letters

    @classmethod
    def answer_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return "end", *cls.answers

    def tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Strings as a model reads them, (T, B), and their lengths (B,).

        Raises ConfigError for one that is empty or too long, and for a letter that is none.
        """
        texts = check_texts("texts", texts)
        xs = np.zeros((self.steps, len(texts)), np.int64)
        for k, text in enumerate(texts):
            wrong = [letter for letter in text if letter not in self.letters]
            if wrong or not 1 <= len(text) <= self.steps:
                problem = f"has {wrong[0]!r}" if wrong else f"is of {len(text)} letters"
                raise ConfigError(
                    f"{text!r:.60} {problem}; the task {self.name} has strings of 1 to "
                    f"{self.steps} of {self.letters}"
                )
            xs[: len(text), k] = [self.letters.index(letter) + 1 for letter in text]
        return xs, np.array([len(text) for text in texts])

    def said(self, tokens: Any) -> list[str]:
        """Answers (U, B) as strings, each up to its end or to padding. Raises ConfigError for a
        token that there is not."""
        return ["".join(self.answers[k - 1] for k in row) for row in up_to_end(tokens, self)]


@dataclass(frozen=True)
class OfLetters(Rewriting):
    """Strings of letters drawn evenly, of a length that is drawn evenly.

    shortest, longest: letters of a string. Raises ConfigError for less than 1, and where the
    shortest is longer than the longest.
    """

    longest: int = 10
    shortest: int = 1

    letters: ClassVar[str] = "abcdefgh"
    answers: ClassVar[str] = "abcdefgh"
    input_size: ClassVar[int] = 9
    vocabulary: ClassVar[int | None] = 9
    output_size: ClassVar[int] = 9

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", check_count("longest", self.longest))
        object.__setattr__(self, "shortest", check_count("shortest", self.shortest))
        if self.shortest > self.longest:
            raise ConfigError(
                f"shortest is {self.shortest}, and longest {self.longest}, which is less"
            )

    @abstractmethod
    def rewritten(self, text: str) -> str:
        """What a string is answered with; it has the same letters."""

    @property
    def steps(self) -> int:
        return self.longest

    @property
    def answer_steps(self) -> int:
        return self.longest + 1

    @property
    def shares(self) -> Sequence[float]:
        mean = (self.shortest + self.longest) / 2
        kinds = len(self.answers)
        return [1 / (mean + 1), *[mean / (mean + 1) / kinds] * kinds]

    def pairs(self, rng: np.random.Generator, size: int) -> list[tuple[str, str]]:
        lengths = rng.integers(self.shortest, self.longest + 1, size)
        drawn = rng.integers(0, len(self.letters), (size, self.longest))
        texts = [
            "".join(self.letters[k] for k in row[:length])
            for row, length in zip(drawn, lengths, strict=True)
        ]
        return [(text, self.rewritten(text)) for text in texts]
