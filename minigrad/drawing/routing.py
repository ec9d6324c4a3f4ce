"""Ways of arrows where places are given: straight, or else the shortest that crosses no box."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from math import dist

import numpy as np
from numpy.typing import NDArray

from minigrad.drawing.spread import Place

Floats = NDArray[np.float64]
Rect = tuple[float, float, float, float]
"""Left, top, right, bottom."""
_CLEAR = 5.0  # points: an arrow keeps so far from a box
_APART = 4.0  # from one arrow to the next around the same corner
_CORNER = 12.0  # a corner is worth so much of a way
_TURNS = 40  # boxes are found to be in the way in so many turns, or the arrow stays straight
# What is looked at: lines, each times the boxes that it is held against. Some fifty boxes in rows
# and columns take one arrow 1.5 million; all arrows' take about a second.
_MOST_OF_ONE, _MOST = 2_000_000, 10_000_000


@dataclass
class Router:
    """Leads arrows around boxes, (N, 4), in points.

    >>> Router.of([(40.0, -10.0, 60.0, 30.0)]).around([(0.0, 0.0), (100.0, 0.0)])
    [(35.0, -15.0), (65.0, -15.0)]
    """

    boxes: Floats
    taken: list[Place] = field(default_factory=list)
    """The corners of arrows led so far: two arrows on one line would be read as one."""
    left: int = _MOST
    """How much may still be looked at for arrows; what takes more, or `_MOST_OF_ONE`, is straight.
    """

    @staticmethod
    def of(boxes: Sequence[Rect]) -> Router:
        return Router(np.array(boxes, float).reshape(-1, 4))

    def around(self, way: Sequence[Place]) -> list[Place]:
        """The corners of a way that has some, each piece led around what it would cross."""
        corners = []
        for start, end in pairwise(way):
            corners += [*self._way(start, end), end]
        return corners[:-1]

    def _way(self, start: Place, end: Place) -> list[Place]:
        """The corners of the shortest way that crosses no box but those at its ends; none where
        that is straight, and where there is no way or too much to look at."""
        outside = ~(_holds(self.boxes, start) | _holds(self.boxes, end))
        boxes = self.boxes[outside] + np.array([1, 1, -1, -1]) * (1.0 - _CLEAR)
        known: set[int] = set()
        least = max(0, self.left - _MOST_OF_ONE)
        for _ in range(_TURNS):
            way = self._shortest(start, end, boxes[sorted(known)], least)
            if way is None:
                return []
            crossed = np.any([_met(a, [b], boxes)[0] for a, b in pairwise(way)], axis=0)
            if not crossed.any():
                self.taken += way[1:-1]
                return way[1:-1]
            known |= {*np.flatnonzero(crossed).tolist()}
        return []

    def _shortest(self, start: Place, end: Place, boxes: Floats, least: int) -> list[Place] | None:
        """The shortest way past some boxes, from corner to corner of theirs (A*); None where there
        is none, or too much to look at: less would be left than that."""
        points = [end, *self._corners(boxes)]
        order = count()  # of equal lengths the first that was met
        waiting: list[tuple[float, int, float, tuple[Place, ...]]]
        waiting = [(dist(start, end), next(order), 0.0, (start,))]
        reached: set[Place] = set()
        while waiting:
            _, _, length, way = heapq.heappop(waiting)
            if way[-1] == end:
                return [*way]
            if way[-1] in reached:
                continue
            reached.add(way[-1])
            if self.left < least + len(points) * len(boxes):
                return None
            self.left -= len(points) * len(boxes)
            free = ~_met(way[-1], points, boxes).any(1)
            for k in np.flatnonzero(free):
                at = points[k]
                if at not in reached:
                    so_far = length + dist(way[-1], at) + _CORNER * (k > 0)
                    rest = so_far + dist(at, end)
                    heapq.heappush(waiting, (rest, next(order), so_far, (*way, at)))
        return None

    def _corners(self, boxes: Floats) -> list[Place]:
        """Beside each corner of a box the nearest place that no arrow has."""
        places = []
        for left, top, right, bottom in boxes.tolist():
            for x, across in ((left, -1), (right, 1)):
                for y, down in ((top, -1), (bottom, 1)):
                    away = 1.0
                    while self._is_taken(at := (x + across * away, y + down * away)):
                        away += _APART
                    places.append(at)
        return places

    def _is_taken(self, at: Place) -> bool:
        return any(dist(at, corner) < _APART for corner in self.taken)


def _holds(boxes: Floats, at: Place) -> NDArray[np.bool_]:
    """Which boxes a place lies in."""
    x, y = at
    return (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])


def _met(start: Place, ends: Sequence[Place], boxes: Floats) -> NDArray[np.bool_]:
    """(K, N): which boxes the straight line from a place to each of K others passes through."""
    along = np.array(ends, float) - start
    along[np.abs(along) < 1e-9] = 1e-9
    low = (boxes[None, :, :2] - start) / along[:, None]
    high = (boxes[None, :, 2:] - start) / along[:, None]
    enters = np.minimum(low, high).max(2).clip(0.0, 1.0)
    leaves = np.maximum(low, high).min(2).clip(0.0, 1.0)
    return np.asarray(enters < leaves - 1e-9)
