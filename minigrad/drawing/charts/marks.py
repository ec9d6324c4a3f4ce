"""The lines and boxes of charts: each of a given look, each with words for who points at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from numpy.typing import NDArray

from minigrad.drawing.theme import EdgeStyle

MANY = 4096
"""More boxes than so many are a bitmap within an SVG, where words for each would not be found."""
_DASHES: dict[str, Any] = {
    "solid": "solid",
    "dashed": (0, (3.5, 2.0)),  # in widths of the line, as in EdgeStyle.dasharray
    "dotted": (0, (1.0, 2.0)),
}
_MARKERS = {"○": "o", "△": "^", "□": "s", "◇": "D"}
Points = NDArray[np.float64]


class Stretches(LineCollection):
    """Lines that each tell something to who points at them."""

    hints: tuple[str, ...] = ()


class Pieces(PolyCollection):
    """Filled shapes that each tell something to who points at them."""

    hints: tuple[str, ...] = ()


def add_lines(
    ax: Axes,
    paths: Sequence[Points],
    looks: Sequence[EdgeStyle],
    hints: Iterable[str] = (),
    widest: float = np.inf,
) -> None:
    """Lines of given looks, (points, 2) each."""
    lines = Stretches(
        list(paths),
        colors=[look.color for look in looks],
        linewidths=[min(look.width, widest) for look in looks],
        linestyles=[_DASHES[look.dash] for look in looks],
        capstyle="butt",
    )
    lines.hints = tuple(hints)
    ax.add_collection(lines, autolim=False)


def add_marks(ax: Axes, points: Points, looks: Sequence[EdgeStyle], mark: str) -> None:
    """A hollow mark of the colour of a given look at each of (points, 2)."""
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=22.0,
        marker=_MARKERS[mark],
        facecolors=ax.get_facecolor(),
        edgecolors=[look.color for look in looks],
        linewidths=1.3,
        zorder=2.5,
    )


def add_boxes(
    ax: Axes,
    corners: Sequence[tuple[float, float, float, float]],
    looks: Sequence[EdgeStyle],
    hints: Iterable[str] = (),
) -> None:
    """Boxes (left, right, top, bottom) filled with the colours of given looks."""
    shapes = [np.array([(a, t), (b, t), (b, u), (a, u)]) for a, b, t, u in corners]
    boxes = Pieces(
        shapes, facecolors=[look.color for look in looks], edgecolors="none", linewidths=0
    )
    boxes.hints = tuple(hints)
    if len(shapes) > MANY:
        boxes.hints = ()
        boxes.set_rasterized(True)
    ax.add_collection(boxes, autolim=False)
