"""Dates as people write them, and the same as a machine does: 3 May 1979, 1979-05-03."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import ClassVar

import numpy as np

from lstm.tasks.rewriting import Rewriting

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WAYS = ("{d} {month} {y}", "{month} {d}, {y}", "{d} {short} {y}", "{d}.{m}.{y}", "{m}/{d}/{y}")
FIRST, LAST = date(1900, 1, 1).toordinal(), date(2099, 12, 31).toordinal()


@dataclass(frozen=True)
class Dates(Rewriting):
    """A date of 1900 to 2099, written in one of five ways, is answered in that of ISO 8601.

    Each day is as likely as any other, and so is each way: the day first, with the month's name or
    its first three letters, or with dots; the month first, with its name, or with slashes.

    >>> import numpy as np
    >>> Dates().pairs(np.random.default_rng(7), size=2)
    [('24.12.2088', '2088-12-24'), ('1/7/2025', '2025-01-07')]
    """

    letters: ClassVar[str] = "".join(sorted({*" ,./0123456789", *"".join(MONTHS)}))
    answers: ClassVar[str] = "-0123456789"
    name: ClassVar[str] = "dates"
    title: ClassVar[str | None] = "Dates"
    summary: ClassVar[str] = "a date as people write it, in the way of ISO 8601"
    input_size: ClassVar[int] = len(letters) + 1
    vocabulary: ClassVar[int | None] = len(letters) + 1
    output_size: ClassVar[int] = len(answers) + 1

    @property
    def steps(self) -> int:
        return len("September 30, 2099")

    @property
    def answer_steps(self) -> int:
        return len("2099-09-30") + 1

    @property
    def shares(self) -> Sequence[float]:
        return _shares()

    def pairs(self, rng: np.random.Generator, size: int) -> list[tuple[str, str]]:
        days = [date.fromordinal(int(k)) for k in rng.integers(FIRST, LAST + 1, size)]
        ways = rng.integers(0, len(WAYS), size)
        return [(_written(d, WAYS[k]), d.isoformat()) for d, k in zip(days, ways, strict=True)]


def _written(day: date, way: str) -> str:
    month = MONTHS[day.month - 1]
    return way.format(d=day.day, m=day.month, y=day.year, month=month, short=month[:3])


@lru_cache
def _shares() -> Sequence[float]:
    """Of all days that there are, the end and each letter of their answers."""
    often = Counter("".join(date.fromordinal(k).isoformat() for k in range(FIRST, LAST + 1)))
    whole = sum(often.values()) + LAST + 1 - FIRST
    return [(LAST + 1 - FIRST) / whole, *(often[letter] / whole for letter in Dates.answers)]
