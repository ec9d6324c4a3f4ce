"""Magnitudes over time: curves on an axis of decades, and heat strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.key import MAP_CAPTION, Key, axes_with_key, kinds_in, marks_in
from minigrad.drawing.charts.looks import (
    BINS,
    Curve,
    Rows,
    codes,
    curves_of,
    decades,
    edges,
    extremes,
    hint,
    marked,
    number,
    runs,
    scale_of,
    styles,
)
from minigrad.drawing.charts.marks import add_lines, add_marks
from minigrad.drawing.charts.names import Frame, are_clear, name_spots
from minigrad.drawing.charts.rows import Row, draw_rows, halves
from minigrad.drawing.charts.sheet import points_of, set_time, set_title
from minigrad.drawing.escape import WIDEST, plain
from minigrad.drawing.theme import EdgeStyle, Scale

ROW = 32.0
"""The height of a strip with its label, in points."""
_STRIP, _BELOW = 0.56, 0.08  # of it: from the top of a strip down, and the air below a strip
Point = tuple[float, float]
_LEAST, _LARGEST = 5e-324, float(np.finfo(np.float64).max)
_HIGHEST = 307  # the exponent of a decade above which there is one more
_AIR = 0.012  # of the decades, above and below, so that lines at the ends keep their width


@checked
def curves(
    rows: Rows,
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    limits: tuple[int, int] | None = None,
    title: str = "",
    legend: bool = True,
) -> Axes:
    """Draw magnitudes over t = 1 … T on an axis of decades; returns the axes.

    rows: {label: (T,) magnitudes}, or curves, which know kinds and marks too. Each stretch of one
    class of the scale has its colour and width, and each curve its name beside it, unless it has a
    mark and no place is clear of all curves; a single step is a dot. What is 0 or below the axis
    stands on its floor. Of a long row the least and the largest of each of 256 bins are drawn. ax:
    axes to draw on, new ones unless given. scale: shared by what is compared. limits: the exponents
    between which the axis runs. legend: draw beneath, in the place that the axes have, what
    colours, dashes and marks mean. Raises ShapeError for rows that differ in length.

    >>> ax = curves({"|∂L/∂h|": [1e-3, 1e-2, 1e-1]})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['1e-3', '1e-2', '1e-1', '1']
    """
    drawn = curves_of(rows)
    locked = scale or scale_of(drawn)
    ax = axes_with_key(ax, 460.0, 260.0, _key(drawn, locked) if legend else None)
    set_title(ax, title)
    lo, hi = limits or _roomy(ax, drawn, *decades(drawn))
    steps = len(drawn[0].norms)
    _set_decades(ax, lo, hi)
    set_time(ax, steps)
    for curve in drawn:
        _draw_curve(ax, curve, locked, _power(lo), _power(hi))
    _write_names(ax, drawn, lo, hi)
    return ax


def _key(drawn: Sequence[Curve], scale: Scale) -> Key:
    return Key(scale, kinds_in(drawn, scale), notes=marks_in(drawn))


def _roomy(ax: Axes, drawn: Sequence[Curve], lo: int, hi: int) -> tuple[int, int]:
    """The decades between which curves lie, and one more where a name has no clear place else."""
    thin = [_thinned(curve) for curve in drawn]
    frames = [Frame(*points_of(ax), lo, top, len(thin[0].norms)) for top in (hi, hi + 1)]
    is_better = [are_clear(frame, thin) for frame in frames] == [False, True]
    return lo, hi + (is_better and hi < _HIGHEST)


def _set_decades(ax: Axes, lo: int, hi: int) -> None:
    every = next(n for n in (1, 2, 4, 5, 10, 20, 50, 100) if (hi - lo) / n <= 9)
    exponents = [e for e in range(lo, hi + 1) if not e % every or e == hi]
    ax.set_yscale("log")
    air = _AIR * (hi - lo)
    ax.set_ylim(_power(lo - air), _power(hi + air))
    words = ["" if e % every else f"1e{e}" if e else "1" for e in exponents]
    ax.set_yticks([_power(e) for e in exponents], words)
    ax.set_yticks([], minor=True)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="y")
    ax.set_axisbelow(True)


def _power(exponent: float) -> float:
    """10**exponent within float64; a whole one through its literal, which is exact."""
    power = float(f"1e{exponent:.0f}") if exponent == round(exponent) else np.power(10.0, exponent)
    return float(np.clip(power, _LEAST, _LARGEST))


def _draw_curve(ax: Axes, curve: Curve, scale: Scale, lo: float, hi: float) -> None:
    steps = np.unique(np.concatenate([e[0] for e in extremes(curve.norms[None])]))
    sizes = curve.norms[steps]
    heights = np.clip(np.nan_to_num(sizes, nan=lo, posinf=hi), lo, hi)
    looks, at = codes(sizes, curve.kinds[steps], scale), styles(scale)
    # Neighbours of two looks meet half-way, on an axis of decades.
    x = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]]) + 1.0
    logs = np.log10(heights)
    between = np.concatenate([logs[:1], (logs[1:] + logs[:-1]) / 2, logs[-1:]])
    paths, drawn, hints = [], [], []
    for a, b in runs(looks):
        xs = [x[a], *(steps[a:b] + 1.0), x[b]]
        ys = np.clip(10.0 ** np.array([between[a], *logs[a:b], between[b]]), lo, hi)
        paths.append(np.column_stack([xs, ys]))
        drawn.append(at[looks[a]])
        hints.append(hint(plain(curve.label), steps[a:b].tolist(), sizes[a:b].tolist(), drawn[-1]))
    add_lines(ax, paths, drawn, hints)
    if curve.mark or len(steps) == 1:  # a line of one point shows nothing
        some = marked(len(steps))
        points = np.column_stack([steps[some] + 1.0, heights[some]])
        add_marks(ax, points, [at[k] for k in looks[some]], curve.mark)


def _write_names(ax: Axes, drawn: Sequence[Curve], lo: int, hi: int) -> None:
    thin = [_thinned(curve) for curve in drawn]
    frame = Frame(*points_of(ax), lo, hi, len(thin[0].norms))
    for words, spot in name_spots(frame, thin):
        ax.text(
            spot.left / frame.width,
            1.0 - spot.y / frame.height,
            plain(words, WIDEST),
            transform=ax.transAxes,
            va="center",
            fontsize=8.5,
            color=ax.xaxis.label.get_color(),
            bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1.0},
            zorder=1.0,  # above the grid, and beneath all curves
            parse_math=False,
        )


def _thinned(curve: Curve) -> Curve:
    """A long curve by the extremes of its bins, which names keep clear of."""
    if len(curve.norms) <= BINS:
        return curve
    which = np.stack(extremes(curve.norms[None]), axis=-1).ravel()
    return Curve(curve.label, curve.norms[which], curve.kinds[which], curve.mark)


# --- heat strips ---------------------------------------------------------------------------------


@checked
def strips(
    rows: Rows,
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    title: str = "",
    legend: bool = True,
) -> Axes:
    """Draw rows of colours over t = 1 … T, with the first and the last number at their ends.

    rows, ax, scale, legend: as in `curves`. Above each row stands its label. Of a long row each of
    256 bins keeps its largest magnitude (above) and its least (below). What has no place on the
    scale is a line, no fill: nothing is there, and the line says what kind of nothing.

    >>> ax = strips({"h": [1e-3, 1e-2], "C": [0.1, 0.2]})
    >>> [text.get_text() for text in ax.texts[::3]]
    ['h', 'C']
    """
    drawn = curves_of(rows)
    locked = scale or scale_of(drawn)
    key = Key(locked, kinds_in(drawn, locked), MAP_CAPTION) if legend else None
    ax = axes_with_key(ax, 520.0, 44.0 + ROW * len(drawn), key)
    set_title(ax, title)
    set_time(ax, len(drawn[0].norms))
    ax.set_ylim(len(drawn), 0.0)
    ax.set_yticks([])
    for spine in ("left", "top", "right", "bottom"):
        ax.spines[spine].set_visible(False)
    places = [(k + 1.0 - _STRIP, k + 1.0 - _BELOW) for k in range(len(drawn))]
    rows_drawn = [row for c, at in zip(drawn, places, strict=True) for row in _strip(c, *at)]
    draw_rows(ax, rows_drawn, edges(len(drawn[0].norms)) + 0.5, locked)
    for (top, bottom), curve in zip(places, drawn, strict=True):
        _write(ax, plain(curve.label, WIDEST), (0.0, top), (0, 2), "left", "bottom")
        for t, x, away, align in ((0, 0.0, -5, "right"), (-1, 1.0, 5, "left")):
            _write(ax, number(curve, t), (x, (top + bottom) / 2), (away, 0), align, "center")
    return ax


def _write(
    ax: Axes, words: str, place: Point, away: tuple[int, int], across: str, upwards: str
) -> None:
    """Words at a share of the axes' width and a height of theirs, so many points away."""
    ax.annotate(
        words,
        place,
        xycoords=("axes fraction", "data"),
        xytext=away,
        textcoords="offset points",
        ha=across,
        va=upwards,
        fontsize=9,
        annotation_clip=False,
        parse_math=False,
    )


@checked
def strip(
    norms: ArrayLike,
    ax: Axes | None = None,
    *,
    kinds: Any = None,
    label: str = "",
    scale: Scale | None = None,
    title: str = "",
    legend: bool = True,
) -> Axes:
    """Draw one row of colours over (T,) magnitudes; see `strips`.

    >>> [text.get_text() for text in strip([1e-3, 1e-2], label="h").texts]
    ['h', '1.0e-03', '1.0e-02']
    """
    row = Curve.of(label, norms, kinds)
    return strips([row], ax, scale=scale, title=title, legend=legend)


def _strip(curve: Curve, top: float, bottom: float) -> Iterator[Row]:
    which = [steps for (steps,) in extremes(curve.norms[None])]
    for steps, part in zip(which, halves(top, bottom, len(which)), strict=True):
        sizes = curve.norms[steps]

        def tell(a: int, b: int, look: EdgeStyle, steps: Any = steps, sizes: Any = sizes) -> str:
            return hint(plain(curve.label), steps[a:b].tolist(), sizes[a:b].tolist(), look)

        yield Row(*part, sizes, curve.kinds[steps], tell)
