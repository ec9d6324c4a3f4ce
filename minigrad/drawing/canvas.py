"""A sheet to place boxes, lines and words on: Graphviz paints them, and lays nothing out.

For figures that are no graphs, such as heat strips and curves, in the formats that graphs have.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import graphviz

from minigrad.drawing.escape import tooltip, words
from minigrad.drawing.palette import INK, PAGE
from minigrad.drawing.theme import BOLD, FONT, Dash

Point = tuple[float, float]
Align = Literal["l", "c", "r"]
_PIECES = 200  # of a line in one attribute: Graphviz takes 16,384 characters
_WIDTH = 0.62  # of a character of the font, in its size: wide enough for any text


class Canvas:
    """Shapes in points, x to the right and y downwards, painted in the order in which they come.

    >>> sheet = Canvas(120.0, 60.0)
    >>> sheet.box(10.0, 10.0, 40.0, 20.0, INK)
    >>> sheet.text(60.0, 20.0, "hello", align="l")
    >>> sheet.line([(10.0, 50.0), (60.0, 40.0)], INK, 2.0)
    >>> sheet.dot.startswith("digraph canvas {")
    True
    """

    def __init__(self, width: float, height: float) -> None:
        self._graph = graphviz.Digraph("canvas")
        self._graph.attr(
            "graph",
            layout="nop2",
            outputorder="breadthfirst",
            bgcolor=PAGE,
            pad="0.1",
            tooltip=" ",
            id="graph",
        )
        # Sizes are exact only where Graphviz is told not to look at the label.
        self._graph.attr(
            "node", shape="box", fixedsize="true", margin="0,0", fontname=FONT, penwidth="0"
        )
        self._graph.attr("edge", arrowhead="none", dir="none")
        self._count = 0
        # Two corners keep the size of the sheet, whatever is on it.
        self.box(0.0, 0.0, 0.1, 0.1, PAGE)
        self.box(width - 0.1, height - 0.1, 0.1, 0.1, PAGE)

    @property
    def dot(self) -> str:
        """The sheet as DOT text."""
        return str(self._graph.source)

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, hint: str = ""
    ) -> None:
        """A filled rectangle whose top left corner is (x, y); `hint` is its tooltip."""
        self._graph.node(
            self._id(),
            label="",
            style="filled",
            fillcolor=fill,
            width=_inches(width),
            height=_inches(height),
            pos=_point((x + width / 2, y + height / 2)),
            tooltip=tooltip([hint]),
        )

    def text(
        self,
        x: float,
        y: float,
        line: str,
        *,
        align: Align = "c",
        size: float = 10.0,
        color: str = INK,
        bold: bool = False,
    ) -> None:
        """One line of text; (x, y) is its left, middle or right end, half-way up."""
        if not line.strip():
            return  # Graphviz 14.1 crashes on a label of nothing but a line's end
        width = _WIDTH * size * max(1, len(line)) + 8.0
        shift = {"l": width / 2, "c": 0.0, "r": -width / 2}[align]
        self._graph.node(
            self._id(),
            label=words(line, {"l": "\\l", "c": "", "r": "\\r"}[align]),
            style="",
            fontsize=f"{size:g}",
            fontcolor=color,
            fontname=FONT + BOLD * bold,
            width=_inches(width),
            height=_inches(size * 1.3),
            pos=_point((x + shift, y)),
            tooltip=" ",
        )

    def line(
        self,
        points: Sequence[Point],
        color: str,
        width: float = 1.0,
        dash: Dash = "solid",
        hint: str = "",
    ) -> None:
        """A line through the points."""
        for start in range(0, len(points) - 1, _PIECES):
            self._piece(points[start : start + _PIECES + 1], color, width, dash, hint)

    def _piece(
        self, points: Sequence[Point], color: str, width: float, dash: Dash, hint: str
    ) -> None:
        path = [points[0]]
        for a, b in pairwise(points):
            path += [a, b, b]  # a straight piece of a Bézier curve
        name = self._id()
        self._graph.node(name, label="", style="invis", pos=_point(points[0]), width="0")
        self._graph.edge(
            name,
            name,
            pos=" ".join(map(_point, path)),
            color=color,
            penwidth=f"{width:g}",
            style=dash,
            tooltip=tooltip([hint]),
        )

    def _id(self) -> str:
        self._count += 1
        return f"s{self._count}"


def _point(point: Point) -> str:
    return f"{point[0]:.2f},{-point[1]:.2f}"


def _inches(points: float) -> str:
    return f"{points / 72:.5f}"
