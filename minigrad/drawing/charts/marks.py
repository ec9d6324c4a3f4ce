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
_MARKERS = {"": "o", "○": "o", "△": "^", "□": "s", "◇": "D"}
_INCH = 72.0  # points
Points = NDArray[np.float64]


class Stretches(LineCollection):
    """Lines that each tell something to who points at them."""

    hints: tuple[str, ...] = ()
    anchored: Sequence[Any] = ()
    """Their dashes, where these begin at the left end of the axes, so that lines below each other
    which begin at different places have one texture."""
    _drawn_at: tuple[float, ...] = ()

    def draw(self, renderer: Any) -> None:
        """Draw them, with the dashes of each where those of a line from the left end would be."""
        if self.anchored and self.axes is not None:
            figure, shown = self.axes.figure, self.axes.transData.transform
            starts = [shown(line[0])[0] - self.axes.bbox.x0 for line in self.get_segments()]
            widths = np.asarray(self.get_linewidth())  # which dashes are counted in
            places = tuple((np.array(starts) * _INCH / figure.dpi / widths).tolist())
            if places != self._drawn_at:  # else an interactive canvas would draw again and again
                self._drawn_at = places
                pairs = zip(self.anchored, places, strict=True)
                self.set_linestyle([d if d == "solid" else (at, d[1]) for d, at in pairs])
        super().draw(renderer)


class Pieces(PolyCollection):
    """Filled shapes that each tell something to who points at them."""

    hints: tuple[str, ...] = ()


def add_lines(
    ax: Axes,
    paths: Sequence[Points],
    looks: Sequence[EdgeStyle],
    hints: Iterable[str] = (),
    widest: float = np.inf,
    is_anchored: bool = False,
) -> None:
    """Lines of given looks, (points, 2) each. is_anchored: all dashes begin at the
    left end of the axes."""
    dashes = [_DASHES[look.dash] for look in looks]
    lines = Stretches(
        list(paths),
        colors=[look.color for look in looks],
        linewidths=[min(look.width, widest) for look in looks],
        linestyles=dashes,
        capstyle="butt",
    )
    lines.hints, lines.anchored = tuple(hints), dashes if is_anchored else ()
    if is_anchored:
        lines.set_snap(False)  # a start that is moved to a pixel moves the dashes
    ax.add_collection(lines, autolim=False)


def add_marks(ax: Axes, points: Points, looks: Sequence[EdgeStyle], mark: str) -> None:
    """A hollow mark of the colour of a given look at each of (points, 2); a dot of no mark."""
    colors = [look.color for look in looks]
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=22.0,
        marker=_MARKERS[mark],
        facecolors=ax.get_facecolor() if mark else colors,
        edgecolors=colors,
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
