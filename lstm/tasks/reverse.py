"""Reversing: a string, and then the same backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstm.tasks.rewriting import OfLetters


@dataclass(frozen=True)
class Reverse(OfLetters):
    """A string of letters is answered with its letters from the last to the first.

    Without attention all letters have to fit into the one state that the decoder starts from
    (Sutskever, Vinyals & Le 2014); with it (Bahdanau, Cho & Bengio 2015) the decoder looks at the
    letter that it says, one further to the left at each step.

    >>> import numpy as np
    >>> task = Reverse(longest=5)
    >>> task.pairs(np.random.default_rng(3), size=1)
    [('abbbg', 'gbbba')]
    """

    name: ClassVar[str] = "reverse"
    title: ClassVar[str | None] = "Reversing a string"
    summary: ClassVar[str] = "the letters of a string from the last to the first"
    paper: ClassVar[str | None] = "Bahdanau, Cho & Bengio 2015 (the attention)"

    def rewritten(self, text: str) -> str:
        return text[::-1]
