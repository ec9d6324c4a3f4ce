"""A short dependency: what the last word is, a word a few steps back tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lstm.errors import check_count
from lstm.tasks.base import Batch
from lstm.tasks.sentences import Sentences

PLACES = {
    "sky": ("clouds", "birds", "stars", "planes"),
    "sea": ("fish", "whales", "waves", "ships"),
    "woods": ("trees", "foxes", "owls", "ferns"),
    "town": ("houses", "streets", "shops", "cars"),
}
"""Who is where."""
VERBS = ("are", "stay", "rest", "wait")
_SUBJECTS = tuple(subject for those in PLACES.values() for subject in those)
_WORDS = ("the", "in", ".", *VERBS, *_SUBJECTS, *PLACES)
_LENGTH = 7  # "the clouds are in the sky ."


@dataclass(frozen=True)
class Sky(Sentences):
    """The clouds are in the …: sentences of who is where; the subject, four steps before the last
    word, decides it, and nothing before does.

    sentences: how many there are; the last word of the last one is asked for. What the others say
    is of no use. Raises ConfigError for less than 1.

    >>> task = Sky()
    >>> xs, ys = task.batch(np.random.default_rng(1), size=1)
    >>> print(*task.spelled(xs[:, 0]), "→", *task.spelled(ys))
    the ships wait in the sea . the trees wait in the → woods
    """

    sentences: int = 2

    words: ClassVar[tuple[str, ...]] = _WORDS
    answers: ClassVar[tuple[str, ...]] = tuple(PLACES)
    example: ClassVar[tuple[str, str]] = ("clouds", "sky")
    name: ClassVar[str] = "sky"
    title: ClassVar[str | None] = "The clouds are in the sky"
    summary: ClassVar[str] = "the last word of a sentence, which its subject decides, 4 steps back"
    input_size: ClassVar[int] = len(_WORDS)
    vocabulary: ClassVar[int | None] = len(_WORDS)
    output_size: ClassVar[int] = len(_WORDS)
    hidden_size: ClassVar[int | None] = 32
    usual: ClassVar[Mapping[str, Any]] = {"steps": 600, "rate": 0.01}

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentences", check_count("sentences", self.sentences))

    @property
    def steps(self) -> int:
        return _LENGTH * self.sentences - 2

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        shape = (self.sentences, check_count("size", size))
        subjects = rng.integers(len(_SUBJECTS), size=shape)
        verbs = rng.integers(len(VERBS), size=shape)
        the, within, end = (np.full(shape, token) for token in self.tokens(["the", "in", "."]))
        each = len(_SUBJECTS) // len(PLACES)
        places = self.tokens(PLACES)[subjects // each]
        columns = [the, self.tokens(_SUBJECTS)[subjects], self.tokens(VERBS)[verbs]]
        text = np.stack([*columns, within, the, places, end], axis=1)  # (sentences, 7, B)
        xs = text.reshape(-1, shape[1])[: self.steps]
        return Batch(xs, places[-1])
