"""Languages that a counter tells: aⁿbⁿ, and aⁿbⁿcⁿ, which no grammar without context makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lstm.errors import check_count
from lstm.tasks.languages import END, Language

_PAPER = "Gers & Schmidhuber 2001, IEEE Transactions on Neural Networks 12(6)"


@dataclass(frozen=True)
class AnBn(Language):
    """Gers & Schmidhuber, "LSTM recurrent networks learn simple context-free and context-sensitive
    languages", 2001: strings of n a's and then n b's.

    After a's there may be one more or a first b; after the first b, b's until there are n, and then
    the end. most: n is 1 to so many, each as often. How far a net has learnt to count is seen on
    longer ones, `AnBn(most=100)`. Raises ConfigError for less than 1.

    >>> AnBn().may_follow("aabb")
    ['a', 'ab', 'ab', 'b', '$']
    """

    most: int = 10

    letters: ClassVar[str] = "ab"
    name: ClassVar[str] = "anbn"
    title: ClassVar[str | None] = "aⁿbⁿ"
    summary: ClassVar[str] = "which letters may come next, in strings of n a's and then n b's"
    paper: ClassVar[str | None] = _PAPER
    input_size: ClassVar[int] = 3
    vocabulary: ClassVar[int | None] = 3
    output_size: ClassVar[int] = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "most", check_count("most", self.most))

    @property
    def longest(self) -> int:
        return len(self.letters) * self.most

    def strings(self, rng: np.random.Generator, size: int) -> list[str]:
        counts = rng.integers(1, self.most + 1, size).tolist()
        return ["".join(letter * n for letter in self.letters) for n in counts]

    def may_follow(self, text: str) -> list[str]:
        n, first, second = len(text) // len(self.letters), *self.letters[:2]
        rest = "".join(letter * n for letter in self.letters[2:])
        return [first, *[first + second] * n, *second * (n - 1), *rest, END]

    @property
    def shares(self) -> list[float]:
        # n of 1 to M have n + 1 steps with an a to come, n + (n - 1) with a b, n with a c, one end.
        of_all = self.most + 1  # twice the mean of n
        steps = len(self.letters) * of_all / 2 + 1
        often = [1, of_all / 2 + 1, of_all - 1, *[of_all / 2] * (len(self.letters) - 2)]
        return [count / steps for count in often]


@dataclass(frozen=True)
class AnBnCn(AnBn):
    """Gers & Schmidhuber, "LSTM recurrent networks learn simple context-free and context-sensitive
    languages", 2001: strings of n a's, n b's and n c's.

    As aⁿbⁿ; after the last b, c's until there are n, and then the end.

    >>> AnBnCn().may_follow("aabbcc")
    ['a', 'ab', 'ab', 'b', 'c', 'c', '$']
    """

    letters: ClassVar[str] = "abc"
    name: ClassVar[str] = "anbncn"
    title: ClassVar[str | None] = "aⁿbⁿcⁿ"
    summary: ClassVar[str] = "which letters may come next, in strings of n a's, n b's and n c's"
    input_size: ClassVar[int] = 4
    vocabulary: ClassVar[int | None] = 4
    output_size: ClassVar[int] = 4
