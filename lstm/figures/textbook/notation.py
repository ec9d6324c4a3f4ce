"""The textbook's notation on axes of matplotlib: layers, pointwise ops, vectors, cells, words.

Lengths are in units, of which a layer is one wide; text is sized in units too, and so fits what it
stands in. Nothing here knows what is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import hypot
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from lstm.cells import Place
from minigrad.drawing import EdgeStyle
from minigrad.drawing.palette import DARK, LIGHT

COLUMN, ROW = 1.4, 1.12
"""The width of a column and the height of a row of a cell's plan."""
ROUND = 0.28  # the radius of a wire's corners
LAYER = 1.22, 0.66  # width and height
OP = 0.27  # the radius of a pointwise op
END = 0.52  # the radius of an input's or an output's circle
WORDS = 0.49  # the height of letters
WIRE = 0.055  # the width of a wire
_ARROW = 0.2
_UNIT = 40.0  # points that a unit has where a look's width is meant as it stands
_DASHES: dict[str, Any] = {"solid": "solid", "dashed": (0, (3.5, 2.0)), "dotted": (0, (1.0, 2.0))}
_INCH = 72.0
_LINE, _LEADING = 1.18, 1.25  # the height of a line of plain text, and from one to the next
_HINTED = 1.03  # how much wider letters are where they are fitted to pixels
Box = tuple[float, float, float, float]
"""A rectangle: left, bottom, right, top."""


@dataclass(frozen=True)
class Paper:
    """Axes that show a rectangle of units (left, bottom, right, top), in the colours of a dress.

    Of two wires that meet, the one that is drawn later lies above.
    """

    ax: Axes
    box: Box
    dress: Mapping[str, str]

    @staticmethod
    def on(ax: Axes, box: Box, *, dark: bool) -> Paper:
        """Axes made ready: bare, and with units as wide as high."""
        ax.set_axis_off()
        ax.set_aspect("equal")
        ax.set_xlim(box[0], box[2])
        ax.set_ylim(box[1], box[3])
        return Paper(ax, box, DARK if dark else LIGHT)

    @cached_property
    def point(self) -> float:
        """Points in a unit, as the axes lie now."""
        extent, figure = self.ax.get_window_extent(), self.ax.figure.figure
        wide, high = self.box[2] - self.box[0], self.box[3] - self.box[1]
        return min(extent.width / wide, extent.height / high) * _INCH / float(figure.dpi)

    # --- what wires join -------------------------------------------------------------------------

    def layer(self, at: Place, words: str, *, lit: bool = True, label: str = "") -> None:
        """A layer with weights: a yellow box."""
        size = min(WORDS, 1.96 / _letters(words))  # so that any words fit
        self._shape(_rounded(at, *LAYER, 0.06), "layer", lit, label)
        self.words(at, words, lit=lit, size=size)

    def pointwise(self, at: Place, words: str, *, lit: bool = True, label: str = "") -> None:
        """A pointwise op: a pink circle, wider for a word."""
        size = WORDS * (1.15 if len(words) < 2 else 1.0)
        self._shape(Ellipse(at, op_width(words), 2.0 * OP), "pointwise", lit, label)
        self.words(at, words, lit=lit, size=size)

    def end(
        self, at: Place, words: str, kind: Literal["reads", "gives"], *, lit: bool = True
    ) -> None:
        """What a step reads, or what it gives: a circle outside the cell."""
        self._shape(Circle(at, END), kind, lit, f"{kind} {words}")
        self.words(at, words, lit=lit, size=min(WORDS, 1.4 / _letters(words)))

    def cell(
        self,
        box: Box,
        words: str = "",
        *,
        lit: bool = True,
        size: float = 2.2 * WORDS,
        label: str = "cell",
    ) -> None:
        """The frame of a cell; closed, with its name in it, in letters of a size."""
        left, bottom, right, top = box
        middle = (left + right) / 2, (bottom + top) / 2
        shape = _rounded(middle, right - left, top - bottom, 0.3)
        self._shape(shape, "cell", lit, label, zorder=1.0)
        if words:
            self.words(middle, words, lit=lit, size=size)

    def _shape(self, shape: Any, fill: str, lit: bool, label: str, zorder: float = 4.0) -> None:
        shape.set(
            facecolor=self.dress[fill if lit else "page" if zorder > 1 else "group"],
            edgecolor=self.dress["ink" if lit else "faint"],
            linewidth=0.7 * WIRE * self.point,
            zorder=zorder + lit / 2,
            label=label or "_",
        )
        self.ax.add_patch(shape)

    # --- wires -----------------------------------------------------------------------------------

    def wire(
        self,
        way: Sequence[Place],
        *,
        lit: bool = True,
        arrow: float | None = None,
        label: str = "",
        look: EdgeStyle | None = None,
    ) -> None:
        """A vector along a way of corners. arrow: its head is there, so far before the end. look:
        that of a number, in the place of ink."""
        line: dict[str, Any] = {"fill": False, "capstyle": "butt", "joinstyle": "round"}
        path = _rounded_way(way if arrow is None else _shortened(way, arrow + 0.6 * _ARROW))
        shade = self.dress["ink" if lit else "faint"] if look is None else look.color
        wide = (WIRE if look is None else look.width / _UNIT) * self.point
        if look is not None:
            line["linestyle"] = _DASHES[look.dash]
        self.ax.add_patch(
            PathPatch(path, edgecolor=shade, linewidth=wide, zorder=2.5, label=label or "_", **line)
        )
        if arrow is not None:
            head = _head(_shortened(way, arrow))
            self.ax.add_patch(
                Polygon(head, closed=True, color=shade, linewidth=0, zorder=2.5, label="_")
            )

    def gap(self, at: Place, across: bool, ground: str) -> None:
        """A gap in a wire that another crosses there, in the colour of the ground."""
        half = 2.6 * WIRE
        ends = [(at[0] - half, at[1]), (at[0] + half, at[1])]
        if not across:
            ends = [(at[0], at[1] - half), (at[0], at[1] + half)]
        self.ax.add_patch(
            PathPatch(
                Path(ends),
                edgecolor=self.dress[ground],
                linewidth=3.4 * WIRE * self.point,
                capstyle="butt",
                zorder=2.5,
            )
        )

    # --- words -----------------------------------------------------------------------------------

    def words(
        self,
        at: Place,
        words: str,
        *,
        lit: bool = True,
        size: float = WORDS,
        ha: str = "center",
        va: str = "center_baseline",
        color: str = "ink",
    ) -> None:
        """Words whose letters are so many units high; between dollars they are mathematics."""
        self.ax.text(
            *at,
            words,
            fontsize=size * self.point,
            ha=ha,
            va=va,
            color=self.dress[color if lit else "faint"],
            zorder=6.0,
        )


def op_width(words: str) -> float:
    """How wide a pointwise op is: round, and wider for a word."""
    return 2.0 * OP if len(words) < 2 else 2.0 * OP + 0.26 * len(words)


def extent(words: str, size: float) -> tuple[float, float]:
    """How wide and how high words are, in units, as they are drawn: one line of mathematics, or
    lines of plain text."""
    lines = words.split("\n")
    wide, high = np.max([_line_extent(line) for line in lines], axis=0)
    return float(wide) * _HINTED * size, float(high + _LEADING * (len(lines) - 1)) * size


@lru_cache(512)
def _line_extent(line: str) -> tuple[float, float]:
    """Of letters one unit high; no line is less high than any plain letters are."""
    font = FontProperties(size=_INCH)
    parsed: Any = MathTextParser("path").parse(line, dpi=_INCH, prop=font)
    return float(parsed[0]) / _INCH, max(float(parsed[1]) / _INCH, _LINE)


def _letters(words: str) -> int:
    """How many letters words have, as they are read; one at least."""
    return max(1, len(re.sub(r"[${}_]", "", words)))


def _rounded(middle: Place, wide: float, high: float, radius: float) -> FancyBboxPatch:
    corner = middle[0] - wide / 2, middle[1] - high / 2
    return FancyBboxPatch(corner, wide, high, boxstyle=f"round,pad=0,rounding_size={radius}")


def _length(p: Place, q: Place) -> float:
    return hypot(p[0] - q[0], p[1] - q[1])


def _between(p: Place, q: Place, length: float) -> Place:
    """The point so far from p on the way to q."""
    share = length / (_length(p, q) or 1.0)
    return p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])


def _shortened(way: Sequence[Place], by: float) -> list[Place]:
    """A way that ends so far before its end, on its last leg."""
    *first, p, q = way
    return [*first, p, _between(q, p, min(by, _length(p, q)))]


def _rounded_way(way: Sequence[Place]) -> Path:
    points, codes = [way[0]], [Path.MOVETO]
    for p, q, r in zip(way, way[1:], way[2:], strict=False):
        radius = min(ROUND, _length(p, q) / 2, _length(q, r) / 2)
        points += [_between(q, p, radius), q, _between(q, r, radius)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*points, way[-1]], [*codes, Path.LINETO])


def _head(way: Sequence[Place]) -> list[Place]:
    """The corners of an arrow's head at the end of a way."""
    p, q = way[-2:]
    base = _between(q, p, _ARROW)
    x, y = (base[0] - q[0]) * 0.42, (base[1] - q[1]) * 0.42
    return [q, (base[0] - y, base[1] + x), (base[0] + y, base[1] - x)]
