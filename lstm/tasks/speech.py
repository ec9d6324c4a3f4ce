"""Words made by rule: waves from formants, and of waves the cepstra that recognisers read.

A source of pulses and noise is filtered by resonances that move from phone to phone (Klatt,
"Software for a cascade/parallel formant synthesizer", 1980). Cepstra are those of Davis &
Mermelstein ("Comparison of parametric representations for monosyllabic word recognition in
continuously spoken sentences", 1980).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RATE = 8000
"""Samples a second."""
HOP, WINDOW, _POINTS = 80, 200, 256  # samples: from frame to frame, of a frame, of a transform
FRAMES_A_SECOND = RATE // HOP
COEFFICIENTS, BANDS = 13, 20
_VOICED = 30.0  # of a pulse, where hiss has 0.3: vowels are louder than consonants
_WIDTHS = (60.0, 90.0, 150.0)  # Hz, of the resonances


class Phone(NamedTuple):
    """A sound: where its resonances are, how loud its source is, and how long it lasts."""

    formants: tuple[float, float, float]
    """Hz."""
    voice: float
    noise: float
    band: float
    """Hz, around which the noise is."""
    milliseconds: float


# Vowels: the mean of 33 men (Peterson & Barney, "Control methods used in a study of the vowels",
# 1952). Consonants: Klatt 1980, tables II and III.
PHONES = {
    "i": Phone((270, 2290, 3010), 1, 0, 2000, 130),
    "I": Phone((390, 1990, 2550), 1, 0, 2000, 90),
    "E": Phone((530, 1840, 2480), 1, 0, 2000, 100),
    "a": Phone((730, 1090, 2440), 1, 0, 2000, 120),
    "V": Phone((640, 1190, 2390), 1, 0, 2000, 110),
    "O": Phone((570, 840, 2410), 1, 0, 2000, 120),
    "U": Phone((440, 1020, 2240), 1, 0, 2000, 80),
    "u": Phone((300, 870, 2240), 1, 0, 2000, 160),
    "w": Phone((290, 610, 2150), 0.6, 0, 2000, 70),
    "r": Phone((310, 1060, 1380), 0.6, 0, 2000, 80),
    "n": Phone((480, 1340, 2470), 0.4, 0, 2000, 80),
    "v": Phone((220, 1100, 2080), 0.3, 0.1, 3000, 60),
    "f": Phone((340, 1100, 2080), 0, 0.2, 3000, 100),
    "T": Phone((320, 1290, 2540), 0, 0.15, 3400, 90),
    "s": Phone((320, 1390, 2530), 0, 0.6, 3600, 110),
    "z": Phone((240, 1390, 2530), 0.3, 0.4, 3600, 90),
    "t": Phone((400, 1600, 2600), 0, 0.5, 3200, 30),
    "k": Phone((300, 1990, 2850), 0, 0.5, 1900, 30),
    "-": Phone((400, 1500, 2500), 0, 0, 2000, 50),
}
DIGITS = {
    "zero": "zIrOU",
    "one": "wVn",
    "two": "tu",
    "three": "Tri",
    "four": "fOr",
    "five": "faIv",
    "six": "sI-ks",
    "seven": "sEvVn",
    "eight": "EI-t",
    "nine": "naIn",
}
"""Words, and the phones that they are said with."""
_VOICES = {"pitch": (90.0, 240.0), "tract": (0.85, 1.2), "speed": (0.7, 1.4), "noise": (0.01, 0.06)}
"""What differs from speaker to speaker: Hz; factors of formants and of speed; hiss, of the peak."""
_SILENCE = 0.1  # seconds at most before a word and after it
LONGEST = int(
    FRAMES_A_SECOND
    * (
        max(sum(PHONES[p].milliseconds for p in word) for word in DIGITS.values())
        / 1000
        / _VOICES["speed"][0]
        + 2 * _SILENCE
    )
)
"""Frames of the longest word that there is."""


class Utterances(NamedTuple):
    """Words as they were said, each by another speaker."""

    waves: Floats
    """(B, N): the largest sample is 1 before hiss is added; beyond a word's end is hiss."""
    frames: NDArray[np.int64]
    """(B,): how many of HOP samples each word has."""
    ends: list[Floats]
    """Of each word the seconds at which the silence before it, each phone and the silence after it
    end."""


def said(words: Sequence[str], rng: np.random.Generator) -> Utterances:
    """Words, said by speakers that are drawn.

    >>> waves, frames, ends = said(["one", "seven"], np.random.default_rng(0))
    >>> waves.shape == (2, LONGEST * HOP), (frames <= LONGEST).all(), len(ends[0])
    (True, np.True_, 5)
    """
    size = len(words)
    voice = {name: rng.uniform(*ends, size) for name, ends in _VOICES.items()}
    silence = rng.uniform(0.02, _SILENCE, (2, size))
    tracks = np.zeros((size, LONGEST, 6))
    frames = np.zeros(size, np.int64)
    ends = [_ends(word, voice["speed"][k], silence[:, k]) for k, word in enumerate(words)]
    for k, word in enumerate(words):
        track = _track(word, ends[k])
        frames[k] = len(track)
        tracks[k, : len(track)], tracks[k, len(track) :] = track, track[-1]
    formants = tracks[..., :3] * voice["tract"][:, None, None] * rng.normal(1, 0.03, (size, 1, 3))
    spectra = _transformed(_pulses(voice["pitch"], frames, rng), 2 * HOP)
    gains = _VOICED * tracks[..., 3:4] * _vowel_gains(formants)
    hiss = _transformed(rng.normal(0, 0.3, (size, LONGEST * HOP)), 2 * HOP)
    noise = tracks[..., 4:5] * resonance(tracks[..., 5:6], 600.0)
    waves = _added(spectra * gains + hiss * noise)
    waves /= np.abs(waves).max(1, keepdims=True)
    waves += voice["noise"][:, None] * rng.normal(0, 1, waves.shape)
    return Utterances(waves, frames, ends)


def _ends(word: str, speed: float, silence: Floats) -> Floats:
    """The seconds at which the silence before a word, its phones and the silence after it end."""
    lasts = [PHONES[p].milliseconds / 1000 / speed for p in DIGITS[word]]
    ends: Floats = np.cumsum([silence[0], *lasts, silence[1]])
    return ends


def _track(word: str, ends: Floats) -> Floats:
    """Formants, voice, noise and its band at each frame of a word, (K, 6): each phone holds for
    half its time, and moves on to the next in the rest."""
    phones = [PHONES[p] for p in DIGITS[word]]
    values = np.array([(*p.formants, p.voice, p.noise, p.band) for p in phones], np.float64)
    silent = [row * (1, 1, 1, 0, 0, 1) for row in (values[0], values[-1])]
    values = np.stack([silent[0], *values, silent[1]])
    lasts = np.diff(ends, prepend=0.0)
    knots = np.stack([ends - 0.75 * lasts, ends - 0.25 * lasts], 1).ravel()
    times = np.arange(int(ends[-1] * FRAMES_A_SECOND)) / FRAMES_A_SECOND
    return np.stack([np.interp(times, knots, np.repeat(row, 2)) for row in values.T], 1)


def _pulses(pitch: Floats, frames: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """A pulse each time that the folds of a throat close, (B, N): at a pitch that falls by a sixth
    and wavers."""
    steps = LONGEST * HOP
    fall = 1 - np.arange(steps) / (frames[:, None] * HOP) / 6
    wavering = np.repeat(1 + rng.normal(0, 0.01, (len(pitch), LONGEST)), HOP, axis=1)
    turns: Floats = np.cumsum(pitch[:, None] * fall * wavering / RATE, axis=1)
    closes: Floats = np.diff(np.floor(turns), axis=1, prepend=0.0)
    return closes


@lru_cache(1)
def _frequencies() -> Floats:
    """Hz, of what a transform has."""
    return np.linspace(0.0, RATE / 2, _POINTS // 2 + 1)


def resonance(frequency: Any, width: float) -> Floats:
    """By how much a resonance of so many Hz, and of a width, multiplies each frequency of a
    transform: Klatt's resonator, y[n] = A x[n] + B y[n - 1] + C y[n - 2], equations 1 and 2."""
    radius = np.exp(-np.pi * width / RATE)
    c, b = -(radius**2), 2 * radius * np.cos(2 * np.pi * np.asarray(frequency) / RATE)
    turn = 2 * np.pi * _frequencies() / RATE
    square = 1 + b**2 + c**2 - 2 * b * (1 - c) * np.cos(turn) - 2 * c * np.cos(2 * turn)
    gains: Floats = (1 - b - c) / np.sqrt(square)
    return gains


def _vowel_gains(formants: Floats) -> Floats:
    """Of resonances one after the other, (..., 3) Hz, at each frequency; and the source's fall of 6
    decibels an octave, where lips have raised it."""
    gains: Floats = 1 / np.sqrt(1 + (_frequencies() / 200.0) ** 2)
    for k, width in enumerate(_WIDTHS):
        gains = gains * resonance(formants[..., k : k + 1], width)
    return gains


def _transformed(waves: Floats, window: int) -> Any:
    """Spectra of a window around each frame, (B, K, frequencies)."""
    before = np.pad(waves, ((0, 0), (window // 2, window)))
    parts = np.lib.stride_tricks.sliding_window_view(before, window, axis=1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.fft.rfft(parts[:, : waves.shape[1] : HOP] * hann, _POINTS)


def _added(spectra: Any) -> Floats:
    """Waves of spectra of windows that lie half over each other, (B, N)."""
    rings = (_POINTS - 2 * HOP) // 2  # what a filter adds before a window, and behind it
    parts = np.roll(np.fft.irfft(spectra, _POINTS), rings, axis=-1)
    size, frames, _ = parts.shape
    whole = np.zeros((size, frames * HOP + _POINTS))
    for k in range(frames):
        whole[:, k * HOP : k * HOP + _POINTS] += parts[:, k]
    waves: Floats = whole[:, rings + HOP :][:, : frames * HOP]
    return waves


# --- what is read ---------------------------------------------------------------------------------


def mel(hertz: float) -> float:
    """The pitch of a frequency on the scale of mel.

    >>> round(mel(1000.0))
    1000
    """
    return float(2595 * np.log10(1 + hertz / 700))


@lru_cache(1)
def mel_filters() -> Floats:
    """Triangles of equal width on the scale of mel, each from the middle of the one before to that
    of the next, (BANDS, frequencies)."""
    mels = np.linspace(0, mel(RATE / 2), BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    f = _frequencies()
    return np.clip(np.minimum((f - left) / (middle - left), (right - f) / (right - middle)), 0, 1)


def log_mel(waves: Floats) -> Floats:
    """The logarithm of the power in each band of each frame, (B, K, BANDS)."""
    power = np.abs(_transformed(waves, WINDOW)) ** 2
    logarithms: Floats = np.log(power @ mel_filters().T + 1e-6)
    return logarithms


def cepstra(waves: Floats) -> Floats:
    """(B, K, COEFFICIENTS): the cosine transform of the logarithms, Davis & Mermelstein's equation
    1, and before it their mean.

    >>> cepstra(np.ones((1, 160))).shape
    (1, 2, 13)
    """
    k, i = np.arange(BANDS), np.arange(COEFFICIENTS)[:, None]
    made: Floats = log_mel(waves) @ np.cos(np.pi * i * (k + 0.5) / BANDS).T / BANDS
    return made
