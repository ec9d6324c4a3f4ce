"""The legend of the locked scale: its classes by colour and width, and the kinds that occur."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from minigrad.drawing.charts.looks import Curve, Floats, Words, codes, styles
from minigrad.drawing.charts.marks import add_boxes, add_lines
from minigrad.drawing.charts.sheet import own_axes
from minigrad.drawing.theme import EdgeStyle, Kind, Scale, fmt, legend_rows

_WIDE, _LEFT = 43.0, 18.0  # of a class's swatch, in points; room for half of the first number
_CLASSES, _ROW = 46.0, 16.0  # heights
_LETTER = 5.3  # width of a letter of the numbers
CAPTION = "Norm of the gradient: colour and width"
MAP_CAPTION = "Norm of the gradient: colour"
"""Of what is drawn as cells, which have no width."""


def legend_height(scale: Scale, kinds: Iterable[Kind], width: float) -> float:
    """How many points a legend needs downwards where it is so many points wide.

    >>> legend_height(Scale(-6.0, 0.0), ["normal"], 400), legend_height(Scale(-6, 0), ["nan"], 400)
    (46.0, 62.0)
    """
    return max((y + _ROW / 2 for *_, y in _others(scale, kinds, width)), default=_CLASSES)


def kinds_in(curves: Iterable[Curve], scale: Scale) -> set[Kind]:
    """The kinds that occur in what is drawn on a scale.

    >>> sorted(kinds_in([Curve.of("h", [0.0, 1e-9, 0.5])], Scale(-6.0, 0.0)))
    ['below', 'normal', 'zero']
    """
    return {kind for curve in curves for kind in _occurring(curve.norms, curve.kinds, scale)}


def _occurring(sizes: Floats, kinds: Words, scale: Scale) -> set[Kind]:
    looks = styles(scale)
    return {looks[k].kind for k in np.unique(codes(sizes, kinds, scale)) if k >= 0}


def axes_with_key(
    width: float,
    height: float,
    scale: Scale,
    sizes: Floats,
    kinds: Words,
    caption: str = CAPTION,
) -> Axes:
    """Axes of their own, with the legend of what is drawn on them beneath."""
    present, within = _occurring(sizes, kinds, scale), width - 40.0  # labels take some of it
    ax, below = own_axes(width, height, legend_height(scale, present, within))
    assert below is not None
    legend(scale, present, below, caption=caption, width=within)
    return ax


def legend(
    scale: Scale,
    kinds: Iterable[Kind] = (),
    ax: Axes | None = None,
    *,
    caption: str = CAPTION,
    width: float = 860.0,
) -> Axes:
    """Draw the classes of a scale from small to large, and the kinds of nothing that occur.

    ax: axes that hold nothing else, `width` points wide and `legend_height` high; new ones unless
    given.

    >>> ax = legend(Scale(-6.0, 0.0), ["zero"])
    >>> [text.get_text() for text in ax.texts][-4:]
    ['0.1', '0.316', '1', '0']
    """
    height = legend_height(scale, kinds := set(kinds), width)
    ax = own_axes(width, height)[0] if ax is None else ax
    ax.set_axis_off()
    ax.set_xlim(0.0, width)
    ax.set_ylim(height, 0.0)
    muted = ax.xaxis.label.get_color()
    ax.text(_LEFT, 5.0, caption, fontsize=9, color=muted, va="center", parse_math=False)
    looks = [scale.class_style(k) for k in range(scale.classes)]
    wide = min(_WIDE, (width - 2 * _LEFT) / scale.classes)
    lefts = [_LEFT + k * wide for k in range(scale.classes + 1)]
    pairs = list(pairwise(lefts))
    add_boxes(ax, [(a, b, 14.0, 23.0) for a, b in pairs], looks)
    add_lines(ax, [np.array([(a, 28.0), (b, 28.0)]) for a, b in pairs], looks)
    numbers = [fmt(edge) for edge in scale.edges]
    every = 1 if max(map(len, numbers)) * _LETTER <= wide else 2
    for x, words in list(zip(lefts, numbers, strict=True))[::every]:
        ax.text(x, 38.0, words, fontsize=8.5, color=muted, ha="center", va="center")
    for label, look, x, y in _others(scale, kinds, width):
        add_lines(ax, [np.array([(x, y), (x + _WIDE, y)])], [look])
        ax.text(x + _WIDE + 6, y, label, fontsize=9, va="center", parse_math=False)
    return ax


def _others(
    scale: Scale, kinds: Iterable[Kind], width: float
) -> list[tuple[str, EdgeStyle, float, float]]:
    """What has no place on the scale: its label, look, left end and height, row by row."""
    present, places = set(kinds), []
    x, y = _LEFT, _CLASSES + _ROW / 2
    for label, look in legend_rows(scale):
        if look.kind in present and look.kind != "normal":
            wide = 70.0 + 6.0 * len(label)
            if x + wide > width and x > _LEFT:
                x, y = _LEFT, y + _ROW
            places.append((label, look, x, y))
            x += wide
    return places
