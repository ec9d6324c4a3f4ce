"""A picture seen through a veil, several times over: it shines through where shares are large."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike

from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.looks import Floats
from minigrad.drawing.charts.marks import Pieces
from minigrad.drawing.charts.sheet import own_axes, points_of, set_title
from minigrad.drawing.escape import WIDEST, plain
from minigrad.errors import ShapeError
from minigrad.types import as_integer, as_items

_ROW, _NARROW = 4, 110.0  # panels side by side at most, and points that each has at least
_GAP, _WORDS = 0.12, 0.34  # in sides of a picture: what is between two, and the words beneath
_POINTS = 132.0  # a picture's side
_VEIL = 0.88  # how much hides what has no share: a picture is there to be seen, too
Place = tuple[float, float]


@checked
def veiled(
    picture: ArrayLike,
    sizes: ArrayLike,
    rows: Sequence[str],
    ax: Axes | None = None,
    *,
    boxes: Sequence[Sequence[int] | None] = (),
    title: str = "",
) -> Axes:
    """Draw a picture, and then the same for each row of shares (R, S), beneath a veil that hides
    each of S patches the more the less its share is of the row's largest; returns the axes.

    picture: (H, W, 3), of red, green and blue from 0 to 1. sizes: each from 0 to 1; patches are in
    rows from the upper left one, as many in a row as there are rows. rows: what stands beneath each
    picture. boxes: for each row patches that are framed, or None; their shares' sum is written
    below. ax: axes that hold nothing else; new ones unless given. Raises ShapeError for sizes of
    another shape than the labels say, and for what is no picture and no share.

    >>> ax = veiled(np.zeros((4, 4, 3)), [[0.9, 0.1, 0, 0]], ["red"], boxes=[[0]])
    >>> [text.get_text() for text in ax.texts]
    ['the picture', 'red', '90 % in its box']
    """
    pixels, shares = np.asarray(picture, np.float64), np.asarray(sizes, np.float64)
    _check(pixels, shares, len(rows))
    framed = _patches(boxes, shares)
    count = len(rows) + 1
    columns = _columns(count, inf if ax is None else points_of(ax)[0])
    wide, high = _size(count, columns)
    ax = own_axes(_POINTS * wide, _POINTS * high + 30.0) if ax is None else ax
    places = [_place(k, columns) for k in range(count)]
    _show(ax, pixels, places[0])
    _write(ax, places[0], "the picture", weight="normal")
    for word, row, box, place in zip(rows, shares, framed, places[1:], strict=True):
        _show(ax, pixels, place)
        _veil(ax, row, plain(word, WIDEST), place)
        _frame(ax, box, isqrt(len(row)), place)
        mass = f"{100 * row[box].sum():.0f} % in its box" if box else ""
        _write(ax, place, plain(word, WIDEST), mass)
    ax.set_axis_off()
    ax.set_aspect("equal", anchor="NW")
    ax.set_xlim(-0.02, wide + 0.02)
    ax.set_ylim(high, -0.04)
    set_title(ax, title)
    return ax


def veiled_height(rows: int, width: float) -> float:
    """The height in points that so many rows of shares take where there is so much width."""
    columns = _columns(rows + 1, width)
    wide, high = _size(rows + 1, columns)
    return min(width / wide, _POINTS) * high


def _columns(panels: int, width: float) -> int:
    """How many stand side by side in so many points."""
    return max(1, min(panels, _ROW, int(min(width / _NARROW, _ROW))))


def _size(panels: int, columns: int) -> tuple[float, float]:
    """The width and the height of all, in sides of a picture."""
    rows = -(-panels // columns)
    return columns * (1 + _GAP) - _GAP, rows * (1 + _WORDS)


def _check(pixels: Floats, shares: Floats, rows: int) -> None:
    """Raise ShapeError for what is no picture, and no shares of its patches."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not ((pixels >= 0) & (pixels <= 1)).all():
        raise ShapeError(
            f"a picture is (H, W, 3), of red, green and blue from 0 to 1, not {pixels.shape}"
        )
    patches = shares.shape[-1] if shares.ndim == 2 else 0
    if not rows or not patches or len(shares) != rows or isqrt(patches) ** 2 != patches:
        raise ShapeError(
            f"{rows} rows need ({rows}, S) shares of as many rows of patches as columns, and one "
            f"row at least; not {shares.shape}"
        )
    if not ((shares >= 0) & (shares <= 1 + 1e-6)).all():
        raise ShapeError("a share is a number from 0 to 1")


def _patches(boxes: Any, shares: Floats) -> list[list[int]]:
    """The patches that are framed in each row, maybe none. Raises ShapeError."""
    framed = [
        [] if box is None else [as_integer(k, "a patch of a box") for k in as_items(box, "a box")]
        for box in as_items(boxes, "boxes")
    ]
    rows, patches = shares.shape
    if framed and len(framed) != rows:
        raise ShapeError(f"boxes= has one, or None, for each of {rows} rows, not {len(framed)}")
    if any(not 0 <= k < patches for box in framed for k in box):
        raise ShapeError(f"a box is a list of patches from 0 to {patches - 1}")
    return framed or [[]] * rows


def _place(k: int, columns: int) -> Place:
    """The upper left corner of a panel, in sides of a picture."""
    row, column = divmod(k, columns)
    return column * (1 + _GAP), row * (1 + _WORDS)


def _show(ax: Axes, pixels: Floats, place: Place) -> None:
    left, top = place
    extent = (left, left + 1, top + 1, top)
    ax.imshow(pixels, extent=extent, interpolation="none", aspect="auto")


def _veil(ax: Axes, row: Floats, word: str, place: Place) -> None:
    """What hides each patch."""
    grid, page = isqrt(len(row)), to_rgb(ax.get_facecolor())
    hidden = _VEIL * (1 - row / max(row.max(), 1e-12))
    veil = Pieces(
        [_corners(k, grid, place) for k in range(len(row))],
        facecolors=[(*page, alpha) for alpha in hidden],
        edgecolors="none",
        linewidths=0,
    )
    veil.hints = tuple(
        f"{word}: {share:.3f} of row {k // grid + 1}, column {k % grid + 1}"
        for k, share in enumerate(row)
    )
    ax.add_collection(veil, autolim=False)


def _corners(k: int, grid: int, place: Place) -> Floats:
    """Those of a patch, (4, 2)."""
    row, column = divmod(k, grid)
    corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
    return np.array(corners) / grid + place


def _frame(ax: Axes, box: Sequence[int], grid: int, place: Place) -> None:
    """A line around patches."""
    if box:
        corners = np.concatenate([_corners(k, grid, place) for k in box])
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        xs, ys = [left, right, right, left, left], [top, top, bottom, bottom, top]
        ax.plot(xs, ys, color=ax.title.get_color(), lw=1.6, solid_joinstyle="miter")


def _write(ax: Axes, place: Place, word: str, more: str = "", weight: str = "bold") -> None:
    """A word below its picture, and what else there is to say beneath."""
    x, y = place[0] + 0.5, place[1] + 1
    look: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False}
    ax.text(x, y + 0.09, word, fontsize=11, fontweight=weight, **look)
    if more:
        ax.text(x, y + 0.21, more, fontsize=9, color=ax.xaxis.label.get_color(), **look)
