"""A spoken word: its wave, what of it is heard frame by frame, and which digit models take it for
at each moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.model import Model
from lstm.percents import percent
from lstm.tasks.speech import BANDS, DIGITS, FRAMES_A_SECOND, HOP, RATE, cepstra, log_mel, mel, said
from lstm.tasks.spoken import Spoken, scaled
from lstm.training import check_fits, check_named
from minigrad.drawing import charts
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import RAMP

Floats = NDArray[np.float64]
_WIDTH, _LEFT, _RIGHT = 640.0, 66.0, 10.0  # points: of all, and beside the panels
_WAVE, _BANDS, _DIGIT = 56.0, 104.0, 15.0  # heights: of the wave, of the bands, of a digit's row
_TITLE, _LINE, _AIR, _AXIS = 30.0, 14.0, 14.0, 40.0  # of words, above them, and below all
_LETTER = 5.6  # width of a letter of the words
_FRAME_MS = 1000 // FRAMES_A_SECOND
_DECIBELS = 50.0  # below the loudest, under which bands have one colour
_HERTZ = (500, 1000, 2000, 3000)
_BANDS_SAID = f"power of {BANDS} bands: gold the loudest, blue {_DECIBELS:g} decibels below it"
_TOP = 0.92  # of a digit's row, at which its probability is 1


@dataclass(frozen=True, eq=False)
class Heard:
    """A word of K frames, and what models said of it."""

    word: str
    wave: Floats
    """(K · HOP,)"""
    phones: Sequence[tuple[str, float, float]]
    """Each phone, and the milliseconds at which it begins and ends."""
    bands: Floats
    """(K, BANDS): decibels below the loudest."""
    answers: Mapping[str, Floats]
    """By model, (K, 10): the probability of each digit, were a frame the last one."""

    @property
    def said(self) -> dict[str, str]:
        """What came of it, a sentence for each model."""
        return {name: self._said(name) for name in self.answers}

    def settled(self, name: str) -> int | None:
        """The first frame, from 0, from which on a model always takes the word for what it is; None
        where it does not in the end."""
        wrong = np.flatnonzero(self.answers[name].argmax(-1) != [*DIGITS].index(self.word))
        first = int(wrong[-1]) + 1 if len(wrong) else 0
        return first if first < len(self.bands) else None

    def _said(self, name: str) -> str:
        first, end = self.settled(name), self.answers[name][-1]
        sure = f"at its end with a probability of {percent(end.max())}"
        if first is None:
            return f"“{self.word}” is taken for “{[*DIGITS][end.argmax()]}”, {sure}"
        lasts = len(self.bands) * _FRAME_MS
        return f"“{self.word}” is told from {first * _FRAME_MS} of {lasts} ms on, {sure}"


def hear(
    models: Mapping[str, Model],
    task: Spoken | None = None,
    *,
    word: str | None = None,
    seed: int = 0,
) -> Heard:
    """What models of spoken digits make of a word: arguments as of `plot_speech`."""
    check_named(models)
    task = Spoken() if task is None else task
    if not isinstance(task, Spoken):
        raise ConfigError(f"task= is of spoken digits, lstm.Spoken(), not {task!r:.60}")
    for model in models.values():
        check_fits(model, task)
    rng = np.random.default_rng(check_count("seed", seed, 0))
    if word is None:
        word = [*DIGITS][rng.integers(len(DIGITS))]
    if not isinstance(word, str) or word not in DIGITS:
        raise ConfigError(f"word= is one of {', '.join(DIGITS)}, not {word!r:.40}")
    waves, (count,), (ends,) = said([word], rng)
    ms = (1000 * ends).tolist()
    bands = 10 / np.log(10) * log_mel(waves)[0, :count]
    frames = scaled(cepstra(waves))
    return Heard(
        word,
        waves[0, : count * HOP],
        [*zip(DIGITS[word], ms[:-2], ms[1:-1], strict=True)],
        bands - bands.max(),
        {name: _answers(model, frames, count) for name, model in models.items()},
    )


def _answers(model: Model, frames: NDArray[Any], count: int) -> Floats:
    """(K, 10): what a model says of the word up to each frame, all of them as one batch."""
    copies = np.repeat(frames, count, axis=1)
    scores = np.asarray(model.run(copies, lengths=np.arange(count) + 1).output.eval(), np.float64)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def plot_speech(
    models: Mapping[str, Model],
    task: Spoken | None = None,
    ax: Axes | None = None,
    *,
    word: str | None = None,
    seed: int = 0,
    title: str = "A digit, heard",
) -> Axes:
    """A spoken digit over time: its wave under its phones, the power of 20 bands of frequency, of
    which the cepstra are made that models read, and for each model the probability of each digit,
    were that moment the word's last; a line marks from when on it takes the word for what it is.

    models: {name: a model of `Spoken`}. word: "zero" to "nine", drawn unless given. seed: of the
    speaker, who has a pitch, a size of the vocal tract and a speed. ax: axes that hold nothing
    else; new ones unless given. Raises ConfigError for a model that the task does not fit, and for
    another word.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM, task=lstm.Spoken(), hidden_size=4)
    >>> ax = plot_speech({"untrained": model}, word="two")
    >>> [panel.get_ylabel() for panel in ax.child_axes]
    ['wave', 'Hz', 'probability']
    """
    return plot_heard(hear(models, task, word=word, seed=seed), ax, title=title)


def plot_heard(
    heard: Heard, ax: Axes | None = None, *, title: str = "", width: float = _WIDTH
) -> Axes:
    """The chart of what models made of a word. width: of new axes, in points."""
    wide = width if ax is None else charts.points_of(ax)[0]
    room = int((wide - _LEFT - _RIGHT) / _LETTER)
    heads = {name: wrap(f"{plain(name)}: {text}", room) for name, text in heard.said.items()}
    over_bands = wrap(_BANDS_SAID, room)
    sizes = [(1, _WAVE), (len(over_bands), _BANDS)]
    sizes += [(len(lines), _DIGIT * len(DIGITS)) for lines in heads.values()]
    high = sum(_LINE * lines + _AIR + height for lines, height in sizes) + _AXIS
    ax = charts.own_axes(wide, high + _TITLE) if ax is None else ax
    ax.set_axis_off()
    charts.set_title(ax, title)
    wave, bands, *answers = _panels(ax, sizes, wide, high)
    for made in (wave, bands, *answers):
        made.set_xlim(0.0, len(heard.bands) * _FRAME_MS)
        made.tick_params(labelbottom=made is answers[-1])
    _draw_wave(wave, heard)
    _draw_bands(bands, heard)
    _write(bands, over_bands)
    for made, (name, lines) in zip(answers, heads.items(), strict=True):
        _draw_answers(made, heard, name)
        _write(made, lines)
    charts.set_name(answers[-1], "milliseconds")
    return ax


def _panels(
    ax: Axes, sizes: Sequence[tuple[int, float]], wide: float, high: float
) -> Iterator[Axes]:
    """Axes one below the other in the place of others; sizes: the lines above each, its height."""
    left, right, top = _LEFT / wide, 1.0 - _RIGHT / wide, 0.0
    for lines, height in sizes:
        top += _LINE * lines + _AIR + height
        yield ax.inset_axes((left, 1.0 - top / high, right - left, height / high))


def _draw_wave(ax: Axes, heard: Heard) -> None:
    """The wave, and where each phone is said."""
    ink = str(ax.title.get_color())
    ax.plot(np.arange(len(heard.wave)) * 1000 / RATE, heard.wave, lw=0.6, color=ink)
    for phone, start, end in heard.phones:
        place: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "parse_math": False}
        ax.text((start + end) / 2, 1.04, phone, ha="center", va="bottom", fontsize=9, **place)
        for edge in (start, end):
            ax.axvline(edge, color=ax.xaxis.label.get_color(), lw=0.6, ls=":")
    ax.set_ylabel("wave")
    ax.set_yticks([])


def _draw_bands(ax: Axes, heard: Heard) -> None:
    """The power of bands of equal width on the scale of mel, the highest above."""
    half, count = _FRAME_MS / 2, len(heard.bands)
    ax.imshow(
        heard.bands.T,
        cmap=ListedColormap(RAMP),
        vmin=-_DECIBELS,
        vmax=0.0,
        origin="lower",
        aspect="auto",
        interpolation="none",
        extent=(-half, count * _FRAME_MS - half, -0.5, BANDS - 0.5),
    )
    ax.set_xlim(0.0, count * _FRAME_MS)
    step = mel(RATE / 2) / (BANDS + 1)  # from the middle of a band to that of the next
    ax.set_yticks([mel(hertz) / step - 1 for hertz in _HERTZ], [f"{hertz:,}" for hertz in _HERTZ])
    ax.set_ylabel("Hz")


def _draw_answers(ax: Axes, heard: Heard, name: str) -> None:
    """A row for each digit, in which its probability is a height; that of the word stands out."""
    muted, focus = str(ax.xaxis.label.get_color()), charts.focus_color(ax)
    times = np.arange(len(heard.bands)) * _FRAME_MS
    for k, digit in enumerate(DIGITS):
        right = digit == heard.word
        floor = len(DIGITS) - 1 - k
        heights = floor + _TOP * heard.answers[name][:, k]
        color = focus if right else muted
        ax.fill_between(times, floor, heights, color=color, alpha=0.35, lw=0)
        ax.plot(times, heights, color=color, lw=1.6 if right else 0.9, label=digit)
    first = heard.settled(name)
    if first is not None:
        ax.axvline(first * _FRAME_MS, color=focus, lw=1.2, ls="--")
    ax.set_ylabel("probability")
    ax.set_ylim(-0.1, len(DIGITS))
    ax.set_yticks(np.arange(len(DIGITS))[::-1] + 0.3, [*DIGITS])
    for label, digit in zip(ax.get_yticklabels(), DIGITS, strict=True):
        label.set_fontweight("bold" if digit == heard.word else "normal")
    ax.tick_params(axis="y", length=0)


def _write(ax: Axes, lines: Sequence[str]) -> None:
    """Words above a panel."""
    place: dict[str, Any] = {"transform": ax.transAxes, "va": "bottom", "parse_math": False}
    ax.text(0.0, 1.0, "\n".join(lines), fontsize=9.5, **place)
