"""Spoken digits: which of ten words a wave is, made by rule and read as cepstra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.tasks.base import PaddedBatch
from lstm.tasks.labels import Labels
from lstm.tasks.speech import COEFFICIENTS, DIGITS, LONGEST, cepstra, said


@dataclass(frozen=True)
class Spoken(Labels):
    """A word, zero to nine, is heard as 100 frames a second, and told when it has ended.

    Words are synthesised by rule (`lstm.tasks.speech`): each by a speaker of another pitch, another
    size of the vocal tract and another speed, with hiss. A frame is 13 mel-frequency cepstral
    coefficients (Davis & Mermelstein 1980), each with mean 0 and standard deviation 1 over words.
    Targets are digits.

    >>> xs, ys, lengths = Spoken().batch(np.random.default_rng(0), size=2)
    >>> xs.shape[1:], ys.tolist()
    ((2, 13), [8, 6])
    """

    close_up: ClassVar[str] = "speech"
    name: ClassVar[str] = "spoken"
    title: ClassVar[str | None] = "Spoken digits"
    summary: ClassVar[str] = "which digit a word is, of cepstra of its sound"
    input_size: ClassVar[int] = COEFFICIENTS
    output_size: ClassVar[int] = len(DIGITS)
    hidden_size: ClassVar[int | None] = 32
    padding: ClassVar[str | None] = "lengths"
    baseline_words: ClassVar[str] = "each digit as often"
    criterion: ClassVar[str] = "99 % of 2000 test words are told"
    usual: ClassVar[Mapping[str, Any]] = {"steps": 1000, "rate": 0.01}

    @property
    def baseline(self) -> float:
        return log(len(DIGITS))

    @property
    def steps(self) -> int:
        return LONGEST

    @property
    def guesses(self) -> dict[str, float]:
        """The share of words that one tells who only knows their averages: who says the digit
        whose mean frame, over 1,000 words, is nearest to that of the word; of 1,000 others."""
        return {"nearest mean of averaged frames": nearest_mean(1000)}

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (batch,)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        digits = rng.integers(len(DIGITS), size=size)
        names = [*DIGITS]
        waves, lengths, _ = said([names[k] for k in digits], rng)
        return PaddedBatch(scaled(cepstra(waves)), digits, lengths)


def scaled(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cepstra (B, K, I) as the task has them, (K, B, I), on the scale of all words."""
    mean, spread = _usual()
    return ((frames - mean) / spread).swapaxes(0, 1).astype(np.float32)


@lru_cache(1)
def _usual() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and the standard deviation of each coefficient, of 50 words."""
    waves, lengths, _ = said([*DIGITS] * 5, np.random.default_rng(0))
    frames = cepstra(waves)
    inside = frames[np.arange(LONGEST) < lengths[:, None]]
    usual = inside.mean(0), inside.std(0)
    for values in usual:
        values.setflags(write=False)  # they are kept
    return usual


@lru_cache(1)
def nearest_mean(words: int) -> float:
    """How many of so many words are nearest to the mean of their digit, of as many others, by the
    average of their frames."""
    averages, digits = [], []
    for seed in (1, 2):
        xs, ys, lengths = Spoken().batch(np.random.default_rng(seed), words)
        inside = np.arange(LONGEST)[:, None] < lengths
        averages.append((xs * inside[:, :, None]).sum(0) / lengths[:, None])
        digits.append(ys)
    means = np.stack([averages[0][digits[0] == k].mean(0) for k in range(len(DIGITS))])
    nearest = np.square(averages[1][:, None] - means).sum(-1).argmin(1)
    return float((nearest == digits[1]).mean())
