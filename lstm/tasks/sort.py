"""Sorting: a string, and then its letters in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstm.tasks.rewriting import OfLetters


@dataclass(frozen=True)
class Sort(OfLetters):
    """A string of letters is answered with the same letters in the order of the alphabet.

    How often each letter comes says all of it, and fits into one state; there is no place of the
    string at which the next letter of the answer would be known to stand.

    >>> import numpy as np
    >>> Sort(longest=5).pairs(np.random.default_rng(4), size=1)
    [('hheh', 'ehhh')]
    """

    name: ClassVar[str] = "sort"
    title: ClassVar[str | None] = "Sorting a string"
    summary: ClassVar[str] = "the letters of a string in the order of the alphabet"
    paper: ClassVar[str | None] = "Vinyals, Bengio & Kudlur 2016 (sets)"

    def rewritten(self, text: str) -> str:
        return "".join(sorted(text))
