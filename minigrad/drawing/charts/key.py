"""The key of a chart: the classes of the locked scale by colour and width, the kinds that occur,
and what else its looks mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes

from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.looks import Curve, Floats, Words, codes, styles
from minigrad.drawing.charts.marks import add_boxes, add_lines
from minigrad.drawing.charts.sheet import own_axes, points_of, share_place
from minigrad.drawing.escape import WIDEST, plain
from minigrad.drawing.theme import EdgeStyle, Kind, Scale, legend_rows

_WIDE, _LEFT = 43.0, 18.0  # of a class's swatch, in points; room for half of the first number
_CLASSES, _ROW = 46.0, 16.0  # heights
_LETTER = 5.3  # width of a letter of the numbers
CAPTION = "Norm of the gradient: colour and width"
MAP_CAPTION = "Norm of the gradient: colour"
"""Of what is drawn as cells, which have no width."""


@dataclass(frozen=True)
class Key:
    """What the looks of a chart mean, for beneath it.

    >>> Key(Scale(-6.0, 0.0)).height(400), Key(notes=("filled: lost",)).height(400)
    (46.0, 16.0)
    """

    scale: Scale | None = None
    kinds: frozenset[Kind] = frozenset()
    """The kinds of nothing that occur."""
    caption: str = CAPTION
    """What the magnitudes on the scale are."""
    notes: tuple[str, ...] = ()
    """What else there is to explain, such as marks, a line for each."""

    def height(self, width: float) -> float:
        """How many points it needs downwards where it is so many points wide."""
        return self._notes_top(width) + _ROW * len(self._lines(width))

    def draw(self, ax: Axes, width: float) -> None:
        """Draw it on axes that hold nothing else, so many points wide and `height` high."""
        ax.set_axis_off()
        ax.set_xlim(0.0, width)
        ax.set_ylim(max(self.height(width), 1.0), 0.0)
        if self.scale is not None:
            _draw_classes(ax, self.scale, self.caption, width)
        for label, look, x, y in self._others(width):
            add_lines(ax, [np.array([(x, y), (x + _WIDE, y)])], [look])
            ax.text(x + _WIDE + 6, y, label, fontsize=9, va="center", parse_math=False)
        y = self._notes_top(width) + _ROW / 2
        for k, line in enumerate(self._lines(width)):
            ax.text(_LEFT, y + k * _ROW, line, fontsize=9, va="center", parse_math=False)

    def _notes_top(self, width: float) -> float:
        least = 0.0 if self.scale is None else _CLASSES
        return max((y + _ROW / 2 for *_, y in self._others(width)), default=least)

    def _lines(self, width: float) -> list[str]:
        room = max(int((width - _LEFT) / _LETTER), 1)
        return [line for note in self.notes for line in wrap(plain(note), room)]

    def _others(self, width: float) -> list[tuple[str, EdgeStyle, float, float]]:
        """What has no place on the scale: its label, look, left end and height, row by row."""
        places: list[tuple[str, EdgeStyle, float, float]] = []
        x, y = _LEFT, _CLASSES + _ROW / 2
        for label, look in () if self.scale is None else legend_rows(self.scale):
            if look.kind in self.kinds and look.kind != "normal":
                wide = 70.0 + 6.0 * len(label)
                if x + wide > width and x > _LEFT:
                    x, y = _LEFT, y + _ROW
                places.append((label, look, x, y))
                x += wide
        return places


def _draw_classes(ax: Axes, scale: Scale, caption: str, width: float) -> None:
    """A swatch of each class and a line of its width, and the numbers between them."""
    muted = ax.xaxis.label.get_color()
    ax.text(_LEFT, 5.0, caption, fontsize=9, color=muted, va="center", parse_math=False)
    looks = [scale.class_style(k) for k in range(scale.classes)]
    wide = min(_WIDE, (width - 2 * _LEFT) / scale.classes)
    lefts = [_LEFT + k * wide for k in range(scale.classes + 1)]
    pairs = list(pairwise(lefts))
    add_boxes(ax, [(a, b, 14.0, 23.0) for a, b in pairs], looks)
    add_lines(ax, [np.array([(a, 28.0), (b, 28.0)]) for a, b in pairs], looks)
    numbers = scale.labels
    every = max(1, ceil(max(map(len, numbers)) * _LETTER / wide))
    for x, words in list(zip(lefts, numbers, strict=True))[::-every][::-1]:  # the largest stays
        ax.text(x, 38.0, words, fontsize=8.5, color=muted, ha="center", va="center")


@checked
def legend(
    scale: Scale,
    kinds: Iterable[Kind] = (),
    ax: Axes | None = None,
    *,
    caption: str = CAPTION,
    notes: Iterable[str] = (),
    width: float = 860.0,
) -> Axes:
    """Draw the classes of a scale from small to large, the kinds of nothing that occur, and notes.

    ax: axes that hold nothing else, `width` points wide and `legend_height` high; new ones unless
    given.

    >>> ax = legend(Scale(-6.0, 0.0), ["zero"])
    >>> [text.get_text() for text in ax.texts][-4:]
    ['0.1', '0.316', '1', '0']
    """
    key = Key(scale, frozenset(kinds), caption, tuple(notes))
    ax = own_axes(width, key.height(width)) if ax is None else ax
    key.draw(ax, width)
    return ax


@checked
def legend_height(
    scale: Scale, kinds: Iterable[Kind], width: float, notes: Iterable[str] = ()
) -> float:
    """How many points a legend needs downwards where it is so many points wide.

    >>> legend_height(Scale(-6.0, 0.0), ["normal"], 400), legend_height(Scale(-6, 0), ["nan"], 400)
    (46.0, 62.0)
    """
    return Key(scale, frozenset(kinds), notes=tuple(notes)).height(width)


@checked
def kinds_in(curves: Iterable[Curve], scale: Scale) -> frozenset[Kind]:
    """The kinds that occur in what is drawn on a scale.

    >>> sorted(kinds_in([Curve.of("h", [0.0, 1e-9, 0.5])], Scale(-6.0, 0.0)))
    ['below', 'normal', 'zero']
    """
    return frozenset(k for c in curves for k in kinds_among(c.norms, c.kinds, scale))


def kinds_among(sizes: Floats, kinds: Words, scale: Scale) -> frozenset[Kind]:
    """The same of magnitudes of any shape."""
    looks = styles(scale)
    return frozenset(looks[k].kind for k in np.unique(codes(sizes, kinds, scale)) if k >= 0)


def marks_in(curves: Iterable[Curve]) -> tuple[str, ...]:
    """What each mark stands for, once.

    >>> marks_in([Curve.of("C", [1.0]), Curve.of("h", [1.0], mark="○")])
    ('○ h',)
    """
    named = (f"{c.mark} {plain(' '.join(c.label.split()), WIDEST)}" for c in curves if c.mark)
    return tuple(dict.fromkeys(named))


def axes_with_key(ax: Axes | None, width: float, height: float, key: Key | None) -> Axes:
    """Axes to draw on: those that are given, or new ones of a size in points; with the key beneath
    them, in the place that they had alone."""
    if ax is None:
        ax = own_axes(width, height + (0.0 if key is None else key.height(width - 60.0)))
    if key is not None:
        within = points_of(ax)[0]
        key.draw(share_place(ax, key.height(within), within), within)
    return ax
