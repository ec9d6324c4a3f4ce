"""Gender and number: pronouns agree with the gender of the subject, verbs with its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import check_count
from lstm.tasks.base import Batch
from lstm.tasks.labels import NO_LABEL
from lstm.tasks.sentences import Words

NOUNS = {
    ("he", "one"): ("king", "uncle", "actor"),
    ("he", "many"): ("kings", "uncles", "actors"),
    ("she", "one"): ("queen", "aunt", "actress"),
    ("she", "many"): ("queens", "aunts", "actresses"),
}
VERBS = {"one": ("sees", "calls", "likes"), "many": ("see", "call", "like")}
ADVERBS = ("today", "again", "here", "soon")
FEATURES = {"gender": ("he", "she"), "number": ("one", "many")}
"""What a subject has of each."""
ASKED = ("he", "she", "sees", "see")
"""What stands for each answer: a pronoun, or any verb in the singular or in the plural."""
_WORDS = (
    *("some", "and", "often", ".", "he", "she"),
    *(word for group in (*NOUNS.values(), *VERBS.values()) for word in group),
    *ADVERBS,
)
_SUBJECT = {noun: kinds for kinds, nouns in NOUNS.items() for noun in nouns}


@dataclass(frozen=True)
class Agreement(Words):
    """A text of a subject ("queens"), and what is said of it: adverbs, verbs with an object ("often
    see some king"), and pronouns ("and she"), in any order, with full stops anywhere; and then of
    the next subject.

    A pronoun has the gender of the subject and a verb its number; what an object has is of no use.
    Nothing but its noun tells of a new subject, so it is there that the old one is to be forgotten.
    "He" and "she" stand for many, too, so that gender counts there. At each "and" the pronoun is
    asked for, and at each "often" whether the verb is that of one or of many: labels 0 to 3 as in
    ASKED, and -1 at all other steps.

    length: words of a text, which is cut there. Raises ConfigError for less than 4.

    >>> task = Agreement(length=13)
    >>> xs, ys = task.batch(np.random.default_rng(0), size=1)
    >>> print(*task.spelled(xs[:, 0]))
    aunts often see some queens and she and she here soon here aunt
    >>> ys[:, 0].tolist()
    [-1, 3, -1, -1, -1, 1, -1, 1, -1, -1, -1, -1, -1]
    """

    length: int = 40

    words: ClassVar[tuple[str, ...]] = _WORDS
    answers: ClassVar[tuple[str, ...]] = ASKED
    close_up: ClassVar[str] = "agreement"
    name: ClassVar[str] = "agreement"
    title: ClassVar[str | None] = "Gender and number"
    summary: ClassVar[str] = "pronouns and verbs that agree with the subject of their sentence"
    readout: ClassVar[str] = "every"
    baseline_words: ClassVar[str] = "either pronoun, either verb"
    criterion: ClassVar[str] = "in 99 % of 2000 test texts all pronouns and verbs agree"
    input_size: ClassVar[int] = len(_WORDS)
    vocabulary: ClassVar[int | None] = len(_WORDS)
    output_size: ClassVar[int] = len(ASKED)
    hidden_size: ClassVar[int | None] = 8
    usual: ClassVar[Mapping[str, Any]] = {"steps": 1000, "rate": 0.02}

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", check_count("length", self.length, 4))

    @property
    def baseline(self) -> float:
        return log(2)

    @property
    def steps(self) -> int:
        return self.length

    @property
    def memory(self) -> int:
        return 10  # words of a sentence

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.length, batch)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        size = check_count("size", size)
        texts = [[*islice(_text(rng), self.length)] for _ in range(size)]
        xs: Any = np.stack([self.tokens(words) for words in texts], axis=1)
        return Batch(xs, self.labels(xs))

    @classmethod
    def subjects(cls, xs: NDArray[Any]) -> NDArray[np.bool_]:
        """At which steps of tokens (T, B) there is a new subject: a noun, and no object, (T, B)."""
        xs = cls._checked(xs, 2)
        is_noun: NDArray[np.bool_] = np.array([word in _SUBJECT for word in cls.words])[xs]
        is_noun[1:] &= xs[:-1] != cls.words.index("some")
        return is_noun

    @classmethod
    def features(cls, xs: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
        """{feature: 0 or 1 of the subject at each step, from its noun on, -1 before, (T, B)}.

        >>> Agreement.features(Agreement.tokens(["today", "kings", "often"])[:, None])["number"].T
        array([[-1,  1,  1]])
        """
        xs = cls._checked(xs, 2)
        known = {feature: np.full(xs.shape, NO_LABEL) for feature in FEATURES}
        is_subject = cls.subjects(xs)
        for k, (feature, values) in enumerate(FEATURES.items()):
            of_word = [values.index(_SUBJECT[w][k]) if w in _SUBJECT else 0 for w in cls.words]
            for t in range(len(xs)):
                before = known[feature][t - 1] if t else known[feature][0]
                known[feature][t] = np.where(is_subject[t], np.array(of_word)[xs[t]], before)
        return known

    @classmethod
    def labels(cls, xs: NDArray[Any]) -> NDArray[np.int64]:
        """The answer at each step of a text, -1 where nothing is asked, (T, B)."""
        xs = cls._checked(xs, 2)
        known = cls.features(xs)
        pronoun, verb = (xs == cls.words.index(cue) for cue in ("and", "often"))
        told = np.where(verb & (known["number"] >= 0), 2 + known["number"], NO_LABEL)
        labels: NDArray[np.int64] = np.where(pronoun, known["gender"], told)
        return labels


def _text(rng: np.random.Generator) -> Iterator[str]:
    """Words without an end."""
    nouns = [noun for group in NOUNS.values() for noun in group]
    while True:
        subject = nouns[rng.integers(len(nouns))]
        gender, number = _SUBJECT[subject]
        yield subject
        for kind in rng.integers(4, size=rng.integers(3, 8)):
            if kind == 3:
                yield "."
            elif kind == 0:
                yield ADVERBS[rng.integers(len(ADVERBS))]
            elif kind == 1:
                yield from ("and", gender)
            else:
                verbs = VERBS[number]
                yield from ("often", verbs[rng.integers(len(verbs))], "some")
                yield nouns[rng.integers(len(nouns))]
