"""Shares of wholes, from 0 to 1, as a matrix: which part of each row is in which column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, sqrt

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.key import Key, axes_with_key
from minigrad.drawing.charts.looks import Floats
from minigrad.drawing.charts.marks import add_boxes
from minigrad.drawing.charts.sheet import set_title
from minigrad.drawing.escape import WIDEST, plain
from minigrad.drawing.palette import RAMP
from minigrad.drawing.theme import EdgeStyle, special_style
from minigrad.errors import ShapeError

SHARE_CAPTION = "Share: the size and the colour of a box; none below 0.01"
_LEAST = 0.01
_LINE = 1.55  # the height of a line of labels, in the size of its letters
_CELL, _MOST = 24.0, 560.0  # points: of a cell, and of axes of their own at most
_SHOWN = (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)  # in the key
_THINNEST, _THICKEST = 1.0, 6.0  # points: lines of shares
_BOX, _APART = 18.0, 58.0  # points: the box of a whole there, and from one to the next


@dataclass(frozen=True)
class _Boxes(Key):
    """A key of some shares."""

    caption: str = SHARE_CAPTION

    def height(self, width: float) -> float:
        return 40.0

    def draw(self, ax: Axes, width: float) -> None:
        ax.set_axis_off()
        ax.set_xlim(0.0, width)
        ax.set_ylim(40.0, 0.0)
        muted = ax.xaxis.label.get_color()
        ax.text(0.0, 5.0, self.caption, fontsize=9, color=muted, va="center", parse_math=False)
        apart = min(_APART, width / len(_SHOWN))
        lefts = [k * apart for k in range(len(_SHOWN))]
        corners = [
            _box(x + _BOX / 2, 26.0, share, _BOX) for x, share in zip(lefts, _SHOWN, strict=True)
        ]
        add_boxes(ax, corners, [share_style(share) for share in _SHOWN])
        for x, share in zip(lefts, _SHOWN, strict=True):
            ax.text(x + _BOX + 4.0, 26.0, f"{share:g}", fontsize=8.5, color=muted, va="center")


@checked
def shares(
    sizes: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    ax: Axes | None = None,
    *,
    names: tuple[str, str] = ("", ""),
    title: str = "",
    legend: bool = True,
) -> Axes:
    """Draw shares (R, K), each from 0 to 1, as boxes of that area in the cells of a grid; returns
    the axes.

    rows, columns: what stands at each row, from the top, and above each column; names: what rows
    and columns are. ax: axes to draw on; new ones unless given. legend: draw beneath, in the place
    of the axes, what sizes and colours mean. Raises ShapeError for sizes of another shape than the
    labels say, and for what is no share.

    >>> ax = shares([[0.75, 0.25]], ["b"], ["x", "y"])
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['x', 'y']
    """
    array = np.asarray(sizes, np.float64)
    if array.shape != (len(rows), len(columns)) or not array.size:
        raise ShapeError(
            f"{len(rows)} rows and {len(columns)} columns need ({len(rows)}, {len(columns)}) "
            f"shares, not {array.shape}"
        )
    if not ((array >= 0.0) & (array <= 1.0 + 1e-6)).all():
        wrong = float(array[~((array >= 0.0) & (array <= 1.0 + 1e-6))][0])
        raise ShapeError(f"a share is a number from 0 to 1, not {wrong:g}")
    high, wide = (min(_CELL * n + 60.0, _MOST) for n in array.shape)
    ax = axes_with_key(ax, max(wide, 360.0), high, _Boxes() if legend else None)
    _lay_out(ax, rows, columns, names)
    lines = 2 if names[1] else 1  # of labels above the grid
    set_title(ax, title, above=_LINE * lines * float(ax.xaxis.label.get_fontsize()))
    _draw(ax, array, rows, columns)
    return ax


def _lay_out(ax: Axes, rows: Sequence[str], columns: Sequence[str], names: tuple[str, str]) -> None:
    """A grid of square cells; what is read stands above it."""
    ax.set_xlim(0.5, len(columns) + 0.5)
    ax.set_ylim(len(rows) + 0.5, 0.5)
    ax.set_aspect("equal")
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    for axis, labels, name in ((ax.yaxis, rows, names[0]), (ax.xaxis, columns, names[1])):
        axis.set_ticks(
            range(1, len(labels) + 1), [plain(x, WIDEST) for x in labels], parse_math=False
        )
        axis.set_ticks(np.arange(len(labels) + 1) + 0.5, minor=True)
        axis.set_label_text(plain(name, WIDEST), parse_math=False)
    ax.tick_params(which="both", length=0)
    ax.grid(True, which="minor")
    ax.set_axisbelow(True)


def _draw(ax: Axes, array: Floats, rows: Sequence[str], columns: Sequence[str]) -> None:
    places = [(int(r), int(k)) for r, k in np.argwhere(array >= _LEAST)]
    corners = [_box(k + 1.0, r + 1.0, array[r, k], 0.96) for r, k in places]
    hints = [f"{plain(rows[r])}: {array[r, k]:.3f} of {plain(columns[k])}" for r, k in places]
    add_boxes(ax, corners, [share_style(array[r, k]) for r, k in places], hints)


def _box(x: float, y: float, share: float, whole: float) -> tuple[float, float, float, float]:
    """A square around a point, of a share of the area of one with sides `whole`."""
    half = sqrt(min(share, 1.0)) * whole / 2
    return x - half, x + half, y - half, y + half


def share_style(share: float) -> EdgeStyle:
    """The look of a share: its colour is that of one of equal classes of shares, and the width of a
    line grows with it; that of NaN is its own.

    >>> share_style(1.0).color == RAMP[-1], [share_style(x).width for x in (0.0, 0.5, 1.0)]
    (True, [1.0, 3.5, 6.0])
    """
    if isnan(share):
        return special_style("nan")
    color = RAMP[min(int(share * len(RAMP)), len(RAMP) - 1)]
    width = round(_THINNEST + min(share, 1.0) * (_THICKEST - _THINNEST), 2)
    return EdgeStyle(color, width, "solid", "normal")
