"""Text whose words are coloured by a number each, such as what a unit of the state holds there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lstm.arguments import array
from lstm.errors import ConfigError
from minigrad.drawing import charts
from minigrad.drawing.charts import points_of
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import RAMP

_WIDTH, _LINE, _LETTER, _AIR = 620.0, 30.0, 6.6, 10.0  # points: a text, a line, a letter, a gap
_BOX, _BAR = 19.0, 2.5  # heights: of a word's box, of the bar that says its sign
_STRONGEST = 0.72  # of the colour, so that letters stay legible on it
Spot = tuple[float, float, float]


def plot_text(
    tokens: Sequence[str],
    values: Any,
    ax: Axes | None = None,
    *,
    largest: float | None = None,
    title: str = "",
) -> Axes:
    """Write tokens in lines, each on the colour of its value; returns the axes (Karpathy, Johnson &
    Li, "Visualizing and understanding recurrent networks", 2015).

    values: (T,) of either sign: below 0 blue with a bar beneath the word, above 0 gold with a bar
    over it, the stronger and the longer the larger; NaN has neither. largest: the size that has the
    strongest colour; the largest there is unless given. ax: axes that hold nothing else; new ones
    unless given. Raises ConfigError for values that are not one a token.

    >>> ax = plot_text(["the", "kings", "see"], [0.0, 0.5, -1.0])
    >>> [text.get_text() for text in ax.texts]
    ['the', 'kings', 'see']
    """
    sizes = array(values, "values", np.dtype(np.float64))
    if isinstance(tokens, str) or sizes.shape != (len(tokens),) or not len(tokens):
        raise ConfigError(
            f"tokens are a list of texts, and values one number for each, not {sizes.shape}"
        )
    words = [plain(token, 24) or " " for token in tokens]
    if ax is None:
        lines = [*_spots(words, _WIDTH - 2 * _AIR)][-1][1] / _LINE + 1
        ax = charts.own_axes(_WIDTH, _LINE * lines + (24.0 if title else 6.0))
        width = _WIDTH - 2 * _AIR
    else:
        width = max(points_of(ax)[0], 120.0)
    spots = [*_spots(words, width)]
    ax.set_axis_off()
    ax.set_xlim(0.0, width)
    ax.set_ylim(max(spots[-1][1] + _LINE, points_of(ax)[1]), 0.0)
    charts.set_title(ax, title)
    shares = _shares(sizes, largest)
    for word, share, (left, top, wide) in zip(words, shares.tolist(), spots, strict=True):
        _draw_word(ax, word, share, left, top, wide)
    return ax


def _shares(sizes: NDArray[np.float64], largest: float | None) -> NDArray[np.float64]:
    """Values as shares of the largest, from -1 to 1; NaN is 0."""
    sound = np.nan_to_num(sizes, nan=0.0, posinf=0.0, neginf=0.0)
    most = float(np.abs(sound).max()) if largest is None else float(largest)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(np.isnan(sizes), 0.0, np.where(np.isinf(sizes), sizes, sound / most))
    clipped: NDArray[np.float64] = np.clip(np.nan_to_num(shares), -1.0, 1.0)
    return clipped


def _spots(words: Sequence[str], width: float) -> Iterator[Spot]:
    """Left end, top and width of each word, in lines of so many points."""
    x, y = 0.0, 0.0
    for word in words:
        wide = _LETTER * len(word) + _AIR
        if x > 0.0 and x + wide > width:
            x, y = 0.0, y + _LINE
        yield x, y, wide
        x += wide


def _draw_word(ax: Axes, word: str, share: float, left: float, top: float, wide: float) -> None:
    color, size, middle = RAMP[-1 if share > 0 else 0], abs(share), left + wide / 2
    box = Rectangle((left, top + 5), wide, _BOX, color=color, alpha=_STRONGEST * size, lw=0)
    ax.add_patch(box)
    edge = top + 5 - _BAR if share > 0 else top + 5 + _BOX
    ax.add_patch(Rectangle((middle - wide * size / 2, edge), wide * size, _BAR, color=color, lw=0))
    y = top + 5 + _BOX / 2
    ax.text(middle, y, word, fontsize=10, ha="center", va="center", parse_math=False)
