"""Where a decoder looks in a picture, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from lstm.arguments import array
from lstm.errors import ConfigError
from minigrad import Expr
from minigrad.drawing import charts
from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.marks import Pieces
from minigrad.drawing.escape import plain
from minigrad.types import as_items

_ROW = 4  # panels side by side
_SIDE, _GAP, _WORDS = 1.0, 0.12, 0.34  # of a picture: its side, what is between two, words beneath
_POINTS = 132.0  # a picture's side
_VEIL = 0.88  # how much hides what is not looked at: a picture is there to be seen, too
Panel = tuple[float, float]


@checked
def plot_caption(
    picture: Any,
    weights: Any,
    words: Sequence[str],
    ax: Axes | None = None,
    *,
    boxes: Sequence[Sequence[int] | None] = (),
    title: str = "Where the decoder looks for each word",
) -> Axes:
    """A picture, and then the same for each word that is said of it: it shines through where the
    decoder looks (Xu et al. 2015, figure 2); returns the axes.

    picture: (H, W, 3), of red, green and blue from 0 to 1. weights: (U, S) of one caption, as
    `run.attention.eval()[:, b]`, over S patches in rows from the upper left one, as many in a row
    as rows. What of a patch is hidden is its share of the largest weight less than 1. words: one a
    row; what weights have beyond them is left out. boxes: for each word the patches of the object
    that it names, or None: they are outlined, and how much of the weights they have is written
    beneath. ax: axes that hold nothing else; new ones unless given. Raises ConfigError for what
    does not fit.

    >>> ax = plot_caption(np.zeros((4, 4, 3)), [[0.9, 0.1, 0, 0]], ["red"], boxes=[[0]])
    >>> [text.get_text() for text in ax.texts]
    ['the picture', 'red', '90 % in its box']
    """
    pixels, shares = _looked_at(picture, weights, words)
    named = [*as_items(boxes, "boxes")] or [None] * len(words)
    if len(named) != len(words):
        raise ConfigError(f"boxes= has one, or None, for each word, {len(words)}, not {len(named)}")
    places = [_place(k) for k in range(len(words) + 1)]
    wide = min(len(places), _ROW) * (_SIDE + _GAP) - _GAP
    high = places[-1][1] + _SIDE + _WORDS
    if ax is None:
        ax = charts.own_axes(_POINTS * wide, _POINTS * high + 30.0)
    for place in places:
        _show(ax, pixels, place)
    _write(ax, places[0], "the picture", "")
    for word, row, box, place in zip(words, shares, named, places[1:], strict=True):
        mass = None if box is None else _mass(row, box)
        _veil(ax, row, plain(word), place)
        if box is not None:
            _outline(ax, box, isqrt(len(row)), place)
        _write(ax, place, plain(word), "" if mass is None else f"{100 * mass:.0f} % in its box")
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(-0.02, wide + 0.02)
    ax.set_ylim(high, -0.04)
    charts.set_title(ax, title)
    return ax


def _looked_at(
    picture: Any, weights: Any, words: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The picture, and the weights of the words. Raises ConfigError."""
    pixels = array(picture, "picture", np.dtype(np.float64))
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not ((pixels >= 0) & (pixels <= 1)).all():
        raise ConfigError(
            f"picture= is (H, W, 3), of red, green and blue from 0 to 1, not {pixels.shape}"
        )
    given = weights.eval() if isinstance(weights, Expr) else weights
    shares = array(given, "weights", np.dtype(np.float64))
    square = shares.ndim == 2 and isqrt(shares.shape[1]) ** 2 == shares.shape[1] > 0
    if not words or not square or len(shares) < len(words):
        raise ConfigError(
            "words are a list of one or more, and weights= (U, S) of one caption, a row for each "
            f"word over as many rows of patches as columns; not {words!r:.40} and {shares.shape}"
        )
    if not ((shares >= 0) & (shares <= 1 + 1e-6)).all():
        raise ConfigError("weights= are shares, from 0 to 1")
    return pixels, shares[: len(words)]


def _mass(row: NDArray[np.float64], box: Sequence[int]) -> float:
    """How much of the weights is within a box. Raises ConfigError for a patch that is not there."""
    patches = array(box, "a box")
    if patches.dtype.kind != "i" or not {*patches.ravel().tolist()} <= {*range(len(row))}:
        raise ConfigError(f"a box is a list of patches from 0 to {len(row) - 1}, not {box!r:.40}")
    return float(row[patches].sum())


def _place(k: int) -> Panel:
    """The upper left corner of a panel, in sides of a picture."""
    row, column = divmod(k, _ROW)
    return column * (_SIDE + _GAP), row * (_SIDE + _WORDS)


def _show(ax: Axes, pixels: NDArray[np.float64], place: Panel) -> None:
    left, top = place
    ax.imshow(
        pixels, extent=(left, left + _SIDE, top + _SIDE, top), interpolation="none", aspect="auto"
    )


def _veil(ax: Axes, row: NDArray[np.float64], word: str, place: Panel) -> None:
    """What hides each patch, the more the less it is looked at."""
    grid, page = isqrt(len(row)), to_rgb(ax.get_facecolor())
    side = _SIDE / grid
    corners = [_square(k, grid, place, side) for k in range(len(row))]
    hidden = _VEIL * (1 - row / max(row.max(), 1e-12))
    veil = Pieces(corners, facecolors=[(*page, a) for a in hidden], edgecolors="none", linewidths=0)
    veil.hints = tuple(
        f"{word}: {share:.3f} of row {k // grid + 1}, column {k % grid + 1}"
        for k, share in enumerate(row)
    )
    ax.add_collection(veil, autolim=False)


def _square(k: int, grid: int, place: Panel, side: float) -> NDArray[np.float64]:
    """The corners of a patch."""
    left, top = place[0] + side * (k % grid), place[1] + side * (k // grid)
    return np.array(
        [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
    )


def _outline(ax: Axes, box: Sequence[int], grid: int, place: Panel) -> None:
    """A frame around the patches of a box."""
    side = _SIDE / grid
    corners = np.concatenate([_square(k, grid, place, side) for k in box])
    low, high = corners.min(0), corners.max(0)
    xs, ys = zip(low, (high[0], low[1]), high, (low[0], high[1]), low, strict=True)
    ax.plot(xs, ys, color=ax.title.get_color(), lw=1.6, solid_joinstyle="miter")


def _write(ax: Axes, place: Panel, word: str, beneath: str) -> None:
    """The word below its picture, and a line beneath."""
    middle, below = place[0] + _SIDE / 2, place[1] + _SIDE
    look: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False}
    weight, muted = ("bold", None) if word != "the picture" else ("normal", None)
    ax.text(middle, below + 0.09, word, fontsize=11, fontweight=weight, color=muted, **look)
    if beneath:
        muted = ax.xaxis.label.get_color()
        ax.text(middle, below + 0.21, beneath, fontsize=9, color=muted, **look)
