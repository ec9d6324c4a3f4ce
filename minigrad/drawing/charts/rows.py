"""Rows of cells in the colours of the locked scale: what heat strips, maps and triangles are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from minigrad.drawing.charts.looks import Floats, Words, codes, runs, styles
from minigrad.drawing.charts.marks import add_boxes, add_lines
from minigrad.drawing.theme import EdgeStyle, Scale


@dataclass(frozen=True, eq=False)
class Row:
    """Cells side by side, between two heights of the axes."""

    top: float
    bottom: float
    sizes: Floats
    """(K,)"""
    kinds: Words
    """(K,) of `Kind`; "" where there is no cell."""
    tell: Callable[[int, int, EdgeStyle], str]
    """What the cells from one to before another, all of one look, tell who points at them."""


def draw_rows(
    ax: Axes, rows: Iterable[Row], edges: ArrayLike, scale: Scale, widest: float = np.inf
) -> None:
    """Draw rows of K cells, cell k from edges[k] to edges[k + 1].

    Neighbours of one look are one box. What has no place on the scale is a line in the middle, at
    most `widest` points wide, and no fill: the line says what kind of nothing is there, in dashes
    that are one texture over all rows.
    """
    looks, ends = styles(scale), np.asarray(edges, np.float64).tolist()
    boxes: list[tuple[tuple[float, float, float, float], EdgeStyle, str]] = []
    lines: list[tuple[Floats, EdgeStyle, str]] = []
    for row in rows:
        classes = codes(row.sizes, row.kinds, scale)
        for a, b in runs(classes):
            if classes[a] < 0:
                continue
            look, left, right = looks[classes[a]], ends[a], ends[b]
            if look.kind == "normal":
                boxes.append(((left, right, row.top, row.bottom), look, row.tell(a, b, look)))
            else:
                y = (row.top + row.bottom) / 2
                lines.append((np.array([(left, y), (right, y)]), look, row.tell(a, b, look)))
    if boxes:
        add_boxes(ax, *map(list, zip(*boxes, strict=True)))
    if lines:
        paths, kinds, told = zip(*lines, strict=True)
        add_lines(ax, paths, kinds, told, widest=widest, is_anchored=True)


def halves(top: float, bottom: float, count: int) -> list[tuple[float, float]]:
    """A row's height in equal parts, from the top: one, or two for the extremes of its bins.

    >>> halves(0.0, 1.0, 2)
    [(0.0, 0.5), (0.5, 1.0)]
    """
    cuts = np.linspace(top, bottom, count + 1).tolist()
    return list(pairwise(cuts))
