"""Magnitudes over time: curves on an axis of decades, and heat strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from minigrad.drawing.charts.key import axes_with_key
from minigrad.drawing.charts.looks import (
    BINS,
    Curve,
    Floats,
    Rows,
    Words,
    codes,
    curves_of,
    decades,
    edges,
    extremes,
    hint,
    number,
    runs,
    scale_of,
    styles,
)
from minigrad.drawing.charts.marks import add_lines
from minigrad.drawing.charts.names import Frame, name_spots
from minigrad.drawing.charts.rows import Row, draw_rows, halves
from minigrad.drawing.charts.sheet import set_time
from minigrad.drawing.escape import WIDEST, plain
from minigrad.drawing.theme import EdgeStyle, Scale

_STRIP = 0.72  # of a row's height
_LEAST, _LARGEST = 5e-324, float(np.finfo(np.float64).max)
_AIR = 0.012  # of the decades, above and below, so that lines at the ends keep their width


def curves(
    rows: Rows,
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    limits: tuple[int, int] | None = None,
) -> Axes:
    """Draw magnitudes over t = 1 … T on an axis of decades; returns the axes.

    rows: {label: (T,) magnitudes}, or curves, which know kinds and dashes too. Each stretch of one
    class of the scale has its colour and width, and each curve its name beside it; what is 0 or
    below the axis stands on its floor. Of a long row the least and the largest of each of 256 bins
    are drawn. ax: axes to draw on, new ones unless given. scale: shared by what is compared.
    limits: the exponents between which the axis runs. Raises ShapeError for rows that differ in
    length.

    >>> ax = curves({"|∂L/∂h|": [1e-3, 1e-2, 1e-1]})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['1e-3', '1e-2', '1e-1', '1']
    """
    drawn = curves_of(rows)
    locked = scale or scale_of(drawn)
    ax = axes_with_key(460.0, 260.0, locked, *_all(drawn)) if ax is None else ax
    lo, hi = limits or decades(drawn)
    steps = len(drawn[0].norms)
    _set_decades(ax, lo, hi)
    set_time(ax, steps)
    for curve in drawn:
        _draw_curve(ax, curve, locked, _power(lo), _power(hi))
    _write_names(ax, drawn, lo, hi)
    return ax


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
    add_lines(ax, paths, drawn, hints, curve.dash)


def _write_names(ax: Axes, drawn: Sequence[Curve], lo: int, hi: int) -> None:
    window = ax.get_window_extent()
    points = 72.0 / ax.figure.dpi
    thin = [_thinned(curve) for curve in drawn]
    frame = Frame(window.width * points, window.height * points, lo, hi, len(thin[0].norms))
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
            parse_math=False,
        )


def _all(drawn: Sequence[Curve]) -> tuple[Floats, Words]:
    """The magnitudes and kinds of all curves in a row."""
    sizes, kinds = zip(*((curve.norms, curve.kinds) for curve in drawn), strict=True)
    return np.concatenate(sizes), np.concatenate(kinds)


def _thinned(curve: Curve) -> Curve:
    """A long curve by the extremes of its bins, which names keep clear of."""
    if len(curve.norms) <= BINS:
        return curve
    which = np.stack(extremes(curve.norms[None]), axis=-1).ravel()
    return Curve(curve.label, curve.norms[which], curve.kinds[which], curve.dash)


# --- heat strips ---------------------------------------------------------------------------------


def strips(
    rows: Rows, ax: Axes | None = None, *, scale: Scale | None = None, labels: bool = True
) -> Axes:
    """Draw rows of colours over t = 1 … T, with the first and the last number at their ends.

    rows, ax, scale: as in `curves`. Of a long row each of 256 bins keeps its largest magnitude
    (above) and its least (below). What has no place on the scale is a line, no fill: nothing is
    there, and the line says what kind of nothing. labels: write the rows' labels.

    >>> ax = strips({"h": [1e-3, 1e-2], "C": [0.1, 0.2]})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['h', 'C']
    """
    drawn = curves_of(rows)
    locked = scale or scale_of(drawn)
    high = 44.0 + 21.0 * len(drawn)
    ax = axes_with_key(520.0, high, locked, *_all(drawn)) if ax is None else ax
    set_time(ax, len(drawn[0].norms))
    ax.set_ylim(len(drawn), 0.0)
    middles = [k + 0.5 for k in range(len(drawn))]
    ax.set_yticks(middles, [plain(c.label, WIDEST) for c in drawn], parse_math=False)
    ink = mpl.rcParams["text.color"]
    ax.tick_params(axis="y", length=0, pad=52.0, labelleft=labels, labelcolor=ink)
    for spine in ("left", "top", "right", "bottom"):
        ax.spines[spine].set_visible(False)
    places = [(k + 0.5 - _STRIP / 2, k + 0.5 + _STRIP / 2) for k in range(len(drawn))]
    rows_drawn = [row for c, at in zip(drawn, places, strict=True) for row in _strip(c, *at)]
    draw_rows(ax, rows_drawn, edges(len(drawn[0].norms)) + 0.5, locked)
    for k, curve in enumerate(drawn):
        for t, x, away, align in ((0, 0.0, -5, "right"), (-1, 1.0, 5, "left")):
            ax.annotate(
                number(curve, t),
                (x, k + 0.5),
                xycoords=("axes fraction", "data"),
                xytext=(away, 0),
                textcoords="offset points",
                ha=align,
                va="center",
                fontsize=9,
                annotation_clip=False,
                parse_math=False,
            )
    return ax


def strip(
    norms: Any,
    ax: Axes | None = None,
    *,
    kinds: Any = None,
    label: str = "",
    scale: Scale | None = None,
) -> Axes:
    """Draw one row of colours over (T,) magnitudes; see `strips`.

    >>> [text.get_text() for text in strip([1e-3, 1e-2], label="h").texts]
    ['1.0e-03', '1.0e-02']
    """
    return strips([Curve.of(label, norms, kinds)], ax, scale=scale)


def _strip(curve: Curve, top: float, bottom: float) -> Iterator[Row]:
    which = [steps for (steps,) in extremes(curve.norms[None])]
    for steps, part in zip(which, halves(top, bottom, len(which)), strict=True):
        sizes = curve.norms[steps]

        def tell(a: int, b: int, look: EdgeStyle, steps: Any = steps, sizes: Any = sizes) -> str:
            return hint(plain(curve.label), steps[a:b].tolist(), sizes[a:b].tolist(), look)

        yield Row(*part, sizes, curve.kinds[steps], tell)
