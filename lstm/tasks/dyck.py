"""Dyck-2: strings of two kinds of brackets that close in the order in which they were opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import ClassVar

import numpy as np

from lstm.errors import check_count
from lstm.tasks.base import PaddedBatch
from lstm.tasks.languages import END, Language

NEST, JOIN = 0.5, 0.25  # the rest of the probability is of nothing
CLOSES = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Dyck2(Language):
    """Suzgun, Gehrmann, Belinkov & Shieber, "Memory-augmented recurrent neural networks can learn
    generalized Dyck languages", 2019.

    Strings come of the grammar S → (S) or [S], each with probability 1/4, S S with 1/4, or nothing
    with 1/4; those without a letter or with too many are drawn again. Any bracket may be opened at
    each step; the last one that is open may be closed; where none is, the string may end.

    Half of the strings have six letters at most, and one of fifty nests deeper than twelve
    brackets. What a net is validated on and tested are strings as they come. For training a string
    is taken with a probability of its letters by `longest`, and else another one is drawn: twice as
    much of a batch is then no padding, and a net of 128 units has learnt as much after 3,000 steps
    (97 % of strings as they come) as otherwise after 10,000.

    longest: letters of a string, an even number. Raises ConfigError for less than 2.

    >>> Dyck2().may_follow("[()]")
    ['$([', '([]', '([)', '([]', '$([']
    """

    longest: int = 50

    letters: ClassVar[str] = "()[]"
    name: ClassVar[str] = "dyck2"
    title: ClassVar[str | None] = "Dyck-2"
    summary: ClassVar[str] = "which brackets may come next, where each closes the last one open"
    tried: ClassVar[str] = (
        "LSTMs of 32 units, of which 93.4 % of strings are right throughout after 128,000 of them; "
        "of 64, with gates at their usual bias, 99.0 % after 768,000, in 134 s; of 128 units at a "
        "rate of 0.01, 99.55 % after 640,000, in 230 s, and, taken by length, 99.80 % after "
        "512,000, in 259 s: 4 of 2000 strings are not"
    )
    paper: ClassVar[str | None] = "Suzgun, Gehrmann, Belinkov & Shieber 2019"
    input_size: ClassVar[int] = 5
    vocabulary: ClassVar[int | None] = 5
    output_size: ClassVar[int] = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", check_count("longest", self.longest, 2) // 2 * 2)

    def strings(self, rng: np.random.Generator, size: int) -> list[str]:
        texts: list[str] = []
        while len(texts) < size:
            text = self._string(rng)
            if text:
                texts.append(text)
        return texts

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        texts: list[str] = []
        while len(texts) < size:
            drawn = self.strings(rng, size)
            taken = rng.random(size) * self.longest < [len(text) for text in drawn]
            texts += [text for text, yes in zip(drawn, taken, strict=True) if yes]
        return self.of_strings(texts[:size])

    def held_out_at(self, position: int, rng: np.random.Generator, size: int) -> PaddedBatch:
        return self.of_strings(self.strings(rng, size))

    def _string(self, rng: np.random.Generator) -> str:
        """A string of the grammar; "" for one that is too long."""
        text, rest, letters = [], ["S"], 0
        while rest and letters <= self.longest:
            symbol = rest.pop()
            if symbol != "S":
                text.append(symbol)
                continue
            draw = rng.random()
            if draw < NEST:
                opened = "(" if draw < NEST / 2 else "["
                rest += [CLOSES[opened], "S", opened]
                letters += 2
            elif draw < NEST + JOIN:
                rest += ["S", "S"]
        return "" if rest else "".join(text)

    def may_follow(self, text: str) -> list[str]:
        openers, waiting = "".join(CLOSES), [END]
        may = [END + openers]
        for letter in text:
            if letter in CLOSES:
                waiting.append(CLOSES[letter])
            else:
                waiting.pop()
            may.append(END + openers if waiting[-1] == END else openers + waiting[-1])
        return may

    @property
    def memory(self) -> int:
        return 0  # what a closed bracket was has to be forgotten

    @property
    def shares(self) -> list[float]:
        end = _nothing_open(self.longest)
        closing = (1 - end) / 2
        return [end, 1, closing, 1, closing]


@lru_cache
def _nothing_open(longest: int) -> float:
    """At which share of all steps no bracket is open.

    With G(x) = Σ xᵐ · (the probability of a string of m pairs) the grammar says G = NOTHING + NEST
    x G + JOIN G². How often a bracket that none is around closes is counted by u in F = NOTHING +
    NEST u x G + JOIN F², whose derivative by u at 1, where F is G, is NEST x G / (1 - 2 JOIN G).
    """
    nothing, count = 1 - NEST - JOIN, longest // 2
    lengths = np.zeros(count + 1)
    lengths[0] = (1 - sqrt(1 - 4 * JOIN * nothing)) / (2 * JOIN)
    closed = np.zeros(count + 1)
    for m in range(1, count + 1):
        products = lengths[1:m] @ lengths[1:m][::-1]
        unfolded = 1 - 2 * JOIN * lengths[0]
        lengths[m] = (NEST * lengths[m - 1] + JOIN * products) / unfolded
        nested = 2 * JOIN * (lengths[1 : m + 1] @ closed[:m][::-1])
        closed[m] = (NEST * lengths[m - 1] + nested) / unfolded
    drawn = lengths[1:].sum()
    steps = (2 * np.arange(1, count + 1) + 1) @ lengths[1:]
    return float((drawn + closed[1:].sum()) / steps)
