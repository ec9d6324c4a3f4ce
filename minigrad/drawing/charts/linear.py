"""Charts on an even axis: bands of gates, ranked bars, waterfalls and differences of decades."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.key import Key, axes_with_key, kinds_among
from minigrad.drawing.charts.looks import Floats, bins, codes, edges, extremes, kinds_of, styles
from minigrad.drawing.charts.marks import add_boxes, add_lines
from minigrad.drawing.charts.sheet import points_of, set_name, set_time, set_title
from minigrad.drawing.escape import WIDEST, plain
from minigrad.drawing.theme import KIND_WORDS, Kind, Ratios, Scale, fmt
from minigrad.errors import ShapeError

_BAR = 0.62  # of a row's height
_ROW, _LETTER = 24.0, 5.6  # points: a row, and the width of a letter
BAND = "A line is the mean; it is filled from the least to the largest."
WON = "Filled bars lose powers of ten, hollow bars win them."
"""What is said beneath bands and waterfalls."""
END_CAPTION = "Norm at both ends: colour"
_LEAST = 3  # rows there is room for, so that few bars are not fat


@checked
def band(
    middle: ArrayLike,
    ax: Axes | None = None,
    *,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    label: str = "",
    title: str = "",
    color: Any = None,
    legend: bool = True,
) -> Axes:
    """Draw a line of (T,) values over t = 1 … T, such as a gate's mean; returns the axes.

    low, high: (T,) each; between them the band is filled. Of long rows each of 256 bins has the
    mean of the middle, the least of `low` and the largest of `high`. limits: of the axis of values.
    color: any of matplotlib's; that of labels unless given. legend: say beneath what is filled.
    Raises ShapeError for rows of other lengths.

    >>> ax = band([0.2, 0.9], low=[0.1, 0.8], high=[0.4, 1.0], label="f")
    >>> ax.lines[0].get_ydata().tolist()
    [0.2, 0.9]
    """
    rows = [np.asarray(middle if row is None else row, np.float64) for row in (middle, low, high)]
    if rows[0].ndim != 1 or not rows[0].size or {row.shape for row in rows} != {rows[0].shape}:
        raise ShapeError(f"a band needs (T,) values each, not {[row.shape for row in rows]}")
    is_filled = legend and (low is not None or high is not None)
    ax = axes_with_key(ax, 460.0, 120.0, Key(notes=(BAND,)) if is_filled else None)
    spans = bins(len(rows[0]))
    picks: tuple[Callable[..., Any], ...] = np.mean, np.min, np.max
    line, least, most = (
        np.array([pick(row[a:b]) for a, b in spans]) for row, pick in zip(rows, picks, strict=True)
    )
    steps = np.array([(a + b + 1) / 2 for a, b in spans])
    look: Any = {"marker": "o"} if len(steps) == 1 else {}  # a line of one point shows nothing
    (drawn,) = ax.plot(steps, line, lw=1.4, color=color or ax.xaxis.label.get_color(), **look)
    ax.fill_between(steps, least, most, color=drawn.get_color(), alpha=0.25, lw=0)
    set_time(ax, len(rows[0]), "time step t")
    air = 0.03 * (limits[1] - limits[0])  # so that a line at an end keeps its width
    ax.set_ylim(limits[0] - air, limits[1] + air)
    ax.set_ylabel(plain(label, WIDEST), parse_math=False)
    set_title(ax, title)
    return ax


@checked
def bars(
    labels: Sequence[str],
    sizes: ArrayLike,
    ax: Axes | None = None,
    *,
    words: Sequence[str] | None = None,
    name: str = "",
    title: str = "",
) -> Axes:
    """Draw one bar for each label, the first on top; returns the axes.

    sizes: (N,) lengths, in the order of the labels. words: at the bars' ends; the numbers unless
    given. What is not finite has words and no bar. name: what the axis counts. Raises ShapeError
    for sizes that are no row or not as many as labels.

    >>> ax = bars(["f", "i"], [0.9, 0.25])
    >>> [text.get_text() for text in ax.texts]
    ['0.9', '0.25']
    """
    lengths = np.asarray(sizes, np.float64)
    if lengths.shape != (len(labels),) or not labels:
        raise ShapeError(f"{len(labels)} labels need as many sizes, not {lengths.shape}")
    said = [fmt(x) for x in lengths] if words is None else list(words)
    if len(said) != len(labels):
        raise ShapeError(f"{len(labels)} labels need as many words, not {len(said)}")
    ax = axes_with_key(ax, 460.0, 50.0 + _ROW * len(labels), None)
    sound = np.where(np.isfinite(lengths), lengths, 0.0)
    _lay_rows(ax, labels, title, name)
    ax.barh(range(len(labels)), sound, height=_BAR, color=ax.xaxis.label.get_color())
    room = 1.0 + _room(ax, said)
    ax.set_xlim(min(0.0, room * sound.min()), max(room * sound.max(), 0.0) if sound.any() else 1.0)
    for k, (length, word) in enumerate(zip(sound, said, strict=True)):
        _write(ax, float(length), k, word)
    return ax


@checked
def waterfall(
    start: float,
    links: Sequence[str],
    decades: ArrayLike,
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    ends: tuple[str, str] = ("at t=T", "at t=1"),
    title: str = "",
    notes: Sequence[str] = (),
    legend: bool = True,
) -> Axes:
    """Draw how many powers of ten each link wins or loses, from `start` to the sum of all.

    start: log10 of the norm where the route begins. decades: (links,), or (steps, links), whose
    steps are summed; lost ones are filled, won ones hollow. scale: of the colours of both ends.
    From a link that is not finite on there is no bar, and it says why. legend: say beneath what
    colours and bars mean; notes: what else there is to say. Raises ShapeError for other shapes.

    >>> ax = waterfall(0.0, ["f", "tanh′"], [[-1.0, -0.5], [-1.0, 0.25]])
    >>> [text.get_text() for text in ax.texts]
    ['1', '−2.00', '−0.25', '0.00562']
    """
    each = np.asarray(decades, np.float64)
    if each.ndim not in (1, 2) or each.shape[-1:] != (len(links),) or not links:
        raise ShapeError(f"{len(links)} links need (links,) or (steps, links), not {each.shape}")
    sums = each.sum(axis=0) if each.ndim == 2 else each
    levels = start + np.concatenate([[0.0], np.cumsum(sums)])
    norms = _powers([x for x in (levels[0], levels[-1]) if math.isfinite(x)])
    locked = scale or Scale.of(norms.tolist())
    present = kinds_among(norms, kinds_of(norms), locked)
    key = Key(locked, present, END_CAPTION, (WON, *notes)) if legend else None
    ax = axes_with_key(ax, 460.0, 56.0 + _ROW * (len(links) + 2), key)
    _lay_rows(ax, [ends[0], *links, ends[1]], title, "norm of what comes by this route")
    said = [_power_words(levels[0]), *map(_signed, sums.tolist()), _power_words(levels[-1])]
    _set_log_axis(ax, levels, _room(ax, said))
    _draw_level(ax, float(levels[0]), 0, locked)
    _draw_links(ax, levels, sums)
    _draw_level(ax, float(levels[-1]), len(links) + 1, locked)
    return ax


@checked
def difference(
    decades: ArrayLike,
    ax: Axes | None = None,
    *,
    names: tuple[str, str] = ("the first", "the second"),
    scale: Scale | None = None,
    title: str = "",
    legend: bool = True,
) -> Axes:
    """Draw by how many powers of ten one of two magnitudes is larger than the other, over
    t = 1 … T; returns the axes.

    decades: (T,), above 0 where the first is larger. From 0 there is a bar to each, and a line at 0
    where they are equal; of long rows to the least and to the largest of each of 256 bins. What is
    not finite has none. names: of the two. scale: `Ratios`, whose colours say the same. legend: say
    beneath what both mean. Raises ShapeError for other than one row.

    >>> ax = difference([0.5, -1.0, -4.0], names=("RNN", "LSTM"))
    >>> ax.get_ylabel(), [round(float(y), 2) for y in ax.get_ylim()]
    ('decades', [-4.18, 0.68])
    """
    row = np.asarray(decades, np.float64)
    if row.ndim != 1 or not row.size:
        raise ShapeError(f"a difference needs (T,) decades, not {row.shape}")
    sound = row[np.isfinite(row)]
    locked = scale or Ratios.between(_powers(sound).tolist())
    present = difference_kinds(row, locked)
    key = Key(locked, present, difference_caption(*names)) if legend else None
    ax = axes_with_key(ax, 460.0, 180.0, key)
    _draw_sides(ax, row, locked)
    low, high = float(sound.min(initial=0.0)), float(sound.max(initial=0.0))
    air = 0.04 * (high - low) or 0.5
    ax.set_ylim(low - air, high + air)
    ax.axhline(0.0, color=ax.xaxis.label.get_color(), lw=0.8)
    ax.set_ylabel("decades")
    set_time(ax, len(row))
    set_title(ax, title)
    return ax


@checked
def difference_caption(first: str, second: str) -> str:
    """What the colours of a difference in decades are."""
    more, less = plain(first, WIDEST), plain(second, WIDEST)
    return f"Decades that {more} holds more (+) or {less} (−): colour"


@checked
def difference_kinds(decades: ArrayLike, scale: Scale) -> frozenset[Kind]:
    """What the bars of a difference in decades, (T,), look like: "normal", "even" or both.

    >>> sorted(difference_kinds([0.0, 1.0, math.nan], Ratios(-2.0, 2.0)))
    ['even', 'normal']
    """
    row = np.asarray(decades, np.float64)
    ratios = _powers([row[t] for _, t in _ends(row)])
    return kinds_among(ratios, np.full(ratios.shape, "normal"), scale)


def _ends(row: Floats) -> list[tuple[int, int]]:
    """The bin and the step of all that is drawn: of each bin both ends, of which one that is 0
    stands for the bin only where both are."""
    which = [steps[0].tolist() for steps in extremes(row[None])]
    flat = {k for k, steps in enumerate(zip(*which, strict=True)) if not row[[*steps]].any()}
    ends = dict.fromkeys((k, t) for steps in which for k, t in enumerate(steps))
    return [(k, t) for k, t in ends if math.isfinite(row[t]) and (row[t] or k in flat)]


def _draw_sides(ax: Axes, row: Floats, scale: Scale) -> None:
    """A bar from 0 to the ends of each bin, in the colour of each; a line for those that are 0."""
    looks, edge = styles(scale), (edges(len(row)) + 0.5).tolist()
    ends = _ends(row)
    values = row[[t for _, t in ends]]
    known = codes(_powers(values), np.full(values.shape, "normal"), scale)
    bars: list[Any] = []
    lines: list[Any] = []
    for (k, t), value, hue in zip(ends, values.tolist(), known, strict=True):
        left, right, look = edge[k], edge[k + 1], looks[hue]
        if value:
            told = f"t={t + 1}: {_signed(value)} decades"
            bars.append(((left, right, value, 0.0), look, told))
        else:
            told = f"t={t + 1}: {KIND_WORDS[look.kind]}"
            lines.append((np.array([(left, 0.0), (right, 0.0)]), look, told))
    if bars:
        add_boxes(ax, *map(list, zip(*bars, strict=True)))
    if lines:
        paths, hues, hints = zip(*lines, strict=True)
        add_lines(ax, paths, hues, hints)


def _powers(levels: ArrayLike) -> Floats:
    """10 to the power of them, as near as a float can be."""
    powers: Floats = np.power(10.0, np.clip(levels, -323.0, 308.0))
    return powers


def _draw_level(ax: Axes, level: float, row: int, scale: Scale) -> None:
    """A norm at an end of the route, in its colour."""
    if math.isfinite(level):
        color = scale.style(float(_powers(level))).color
        ax.plot([level] * 2, [row - _BAR / 2, row + _BAR / 2], color=color, lw=6.0)
    _write(ax, level, row, _power_words(level))


def _draw_links(ax: Axes, levels: Floats, sums: Floats) -> None:
    muted = ax.xaxis.label.get_color()
    for row, ((a, b), change) in enumerate(zip(pairwise(levels.tolist()), sums, strict=True), 1):
        if math.isfinite(a) and math.isfinite(b):
            fill = muted if b < a else "none"
            ax.barh(row, b - a, left=a, height=_BAR, facecolor=fill, edgecolor=muted, lw=1.0)
            ax.plot([b, b], [row + _BAR / 2, row + 1 - _BAR / 2], color=muted, lw=0.8)
        _write(ax, max(a, b), row, _signed(float(change)))


def _lay_rows(ax: Axes, labels: Sequence[str], title: str, name: str) -> None:
    """A row for each label, from the top, and room for words at the right."""
    ax.set_ylim(max(len(labels), _LEAST) - 0.4, -0.6)
    ax.set_yticks(range(len(labels)), [plain(x, WIDEST) for x in labels], parse_math=False)
    ax.tick_params(axis="y", length=0)
    set_name(ax, name)
    set_title(ax, title)


def _set_log_axis(ax: Axes, levels: Floats, room: float) -> None:
    """An axis of exponents, which may lie far beyond what a float holds."""
    sound = levels[np.isfinite(levels)]
    lo, hi = (float(sound.min()), float(sound.max())) if sound.size else (-1.0, 0.0)
    first, last = math.floor(lo), max(math.ceil(hi), math.floor(lo) + 1)
    span = last - first
    every = next(n * 10**m for m in range(9) for n in (1, 2, 5) if span / (n * 10**m) <= 6)
    exponents = range(math.ceil(first / every) * every, last + 1, every)
    ax.set_xlim(first - 0.05 * span, last + room * span)
    ax.set_xticks(list(exponents), [f"1e{e}" if e else "1" for e in exponents])
    ax.grid(True, axis="x")
    ax.set_axisbelow(True)


def _room(ax: Axes, words: Sequence[str]) -> float:
    """What words at the ends of bars take of the axes, as a share of what is left to the bars."""
    wide = points_of(ax)[0]
    taken = min(_LETTER * max(len(plain(word, WIDEST)) for word in words) + 10.0, 0.7 * wide)
    return taken / (wide - taken)


def _write(ax: Axes, x: float, row: int, words: str) -> None:
    place = x if math.isfinite(x) else ax.get_xlim()[0]
    ax.annotate(
        plain(words, WIDEST),
        (place, row),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        parse_math=False,
    )


def _signed(decades: float) -> str:
    if not math.isfinite(decades):
        return "NaN" if decades != decades else "times 0" if decades < 0 else "infinite"
    return f"{decades:+.2f}".replace("-", "−")


def _power_words(level: float) -> str:
    """10**level in three digits, of any exponent.

    >>> _power_words(-2.25), _power_words(-1000.5), _power_words(-math.inf)
    ('0.00562', '3.16e-1001', '0')
    """
    if not math.isfinite(level):
        return "NaN" if level != level else "0" if level < 0 else "infinite"
    if abs(level) < 300:
        return fmt(10.0**level)
    whole = math.floor(level)
    return f"{10.0 ** (level - whole):.2f}e{whole:+d}"
