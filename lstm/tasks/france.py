"""A long dependency: what the last word is, a word far back tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lstm.errors import check_count
from lstm.tasks.base import Batch
from lstm.tasks.sentences import Sentences

LANGUAGES = {
    "France": "French",
    "Spain": "Spanish",
    "Japan": "Japanese",
    "Poland": "Polish",
    "Greece": "Greek",
}
"""What people speak who grew up there."""
_FIRST, _LAST = ("I", "grew", "up", "in"), ("I", "speak", "fluent")
FILLER = (
    *("my", "the", "a", "old", "small", "green", "uncle", "dog", "garden", "house", "winter"),
    *("had", "saw", "was", "sold", "and", "with", "near", "often"),
)
"""What is told in between."""
_SENTENCE = 8  # a full stop so often
_WORDS = tuple(dict.fromkeys([*_FIRST, ".", *LANGUAGES, *FILLER, *_LAST, *LANGUAGES.values()]))


@dataclass(frozen=True)
class France(Sentences):
    """I grew up in France … I speak fluent …: the country decides the last word, and sentences of
    random words lie between.

    distance: how many steps the last word comes after the country. Raises ConfigError for less
    than 4.

    >>> task = France(distance=8)
    >>> xs, ys = task.batch(np.random.default_rng(0), size=1)
    >>> print(*task.spelled(xs[:, 0]), "→", *task.spelled(ys))
    I grew up in Greece . house green . I speak fluent → Greek
    """

    distance: int = 50

    words: ClassVar[tuple[str, ...]] = _WORDS
    answers: ClassVar[tuple[str, ...]] = tuple(LANGUAGES.values())
    example: ClassVar[tuple[str, str]] = ("France", "French")
    name: ClassVar[str] = "france"
    title: ClassVar[str | None] = "I grew up in France"
    summary: ClassVar[str] = "the last word of a text, which a country far back decides"
    input_size: ClassVar[int] = len(_WORDS)
    vocabulary: ClassVar[int | None] = len(_WORDS)
    output_size: ClassVar[int] = len(_WORDS)
    hidden_size: ClassVar[int | None] = 32
    usual: ClassVar[Mapping[str, Any]] = {"steps": 1000, "rate": 0.02, "clip": 0.1}

    def __post_init__(self) -> None:
        least = len(_LAST) + 1
        object.__setattr__(self, "distance", check_count("distance", self.distance, least))

    @property
    def steps(self) -> int:
        return len(_FIRST) + self.distance

    @property
    def memory(self) -> int:
        # Gates that remember T steps keep 1/e of the country and of every word since. With 10 T
        # more of 5 seeds meet the criterion at distance 50 in the same steps than with T.
        return 10 * self.steps

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        xs: Any = np.empty((self.steps, check_count("size", size)), np.int64)
        first, last = len(_FIRST), len(_LAST)
        homes = rng.integers(len(LANGUAGES), size=size)
        xs[:first] = self.tokens(_FIRST)[:, None]
        xs[first] = self.tokens(LANGUAGES)[homes]
        between = xs[first + 1 : -last]
        between[...] = rng.choice(self.tokens(FILLER), size=between.shape)
        between[:-2:_SENTENCE] = between[-1:] = self.tokens(["."])
        xs[-last:] = self.tokens(_LAST)[:, None]
        return Batch(xs, self.tokens(self.answers)[homes])
