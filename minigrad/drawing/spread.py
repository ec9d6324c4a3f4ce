"""Places of the caller's, with columns moved apart where boxes would lie over each other."""

from __future__ import annotations

import html
import re
from collections.abc import Hashable, Sequence

Place = tuple[float, float]

_LETTER = 0.63  # of the size of text: the mean width of a letter of DejaVu Sans, digits and all
_HIGH = 40.0  # points: boxes whose centres are closer than that may lie over each other
_BORDER, _GAP = 16.0, 14.0  # points: around the text of a node, and between two
_LINE, _CELL, _ENDS = 1.2, 2.0, 8.0  # a line of text by its size; around a cell, and around all
_MARGIN, _BETWEEN = 58.0, 8.0  # points: around what lies in a box, and between two boxes


def spread(
    places: Sequence[Place], widths: Sequence[float], boxes: Sequence[Hashable | None] = ()
) -> list[Place]:
    """The same places, each column as far to the right as the boxes before it ask for.

    What stands in one column, or in one row, stays there. boxes: the box that each lies in, None
    for none; what comes after all of a box is moved out of it.

    >>> spread([(0.0, 0.0), (50.0, 0.0), (50.0, 300.0)], [80.0, 80.0, 10.0])
    [(0.0, 0.0), (94.0, 0.0), (94.0, 300.0)]
    """
    boxes = boxes or [None] * len(places)
    columns: dict[float, list[int]] = {}
    for k in sorted(range(len(places)), key=lambda k: places[k][0]):
        columns.setdefault(places[k][0], []).append(k)
    last = {box: x for x, members in columns.items() for box in {boxes[k] for k in members}}
    end_of_row: dict[float, float] = {}
    end_of_box: dict[Hashable, float] = {}
    moved: dict[float, float] = {}
    shift = 0.0
    for x, members in columns.items():
        for k in members:
            rows = [end for y, end in end_of_row.items() if abs(y - places[k][1]) < _HIGH]
            others = [end for box, end in end_of_box.items() if box != boxes[k] and last[box] < x]
            half = widths[k] / 2 if boxes[k] is None else margin_of(widths[k])
            needed = [end + _GAP + widths[k] / 2 for end in rows]
            needed += [end + _BETWEEN + half for end in others]
            shift = max([shift, *(least - x for least in needed)])
        at = moved[x] = x + shift
        for k in members:
            y, box = places[k][1], boxes[k]
            end_of_row[y] = max(end_of_row.get(y, at), at + widths[k] / 2)
            if box is not None:
                end_of_box[box] = max(end_of_box.get(box, at), at + margin_of(widths[k]))
    return [(moved[x], y) for x, y in places]


def margin_of(width: float) -> float:
    """How far the border of a box is from the centre of what it lies around."""
    return max(_MARGIN, width / 2 + 8.0)


def width_of(label: str) -> float:
    """About how wide the box of an HTML-like label is, in points."""
    lines = re.split(r"</TR>|<BR/>", label)
    return max(map(_width_of_line, lines), default=0.0) + _BORDER


def height_of(label: str) -> float:
    """How high the box of an HTML-like label is, in points."""
    high, size = _ENDS, 9.0
    for line in re.split(r"(?=</TR>)|<BR/>", label):
        size = max(_sizes(line), default=size)
        if re.sub("<[^>]*>", "", line):
            high += _LINE * size + _CELL * ("<TD" in line)
    return high


def _width_of_line(line: str) -> float:
    text = html.unescape(re.sub("<[^>]*>", "", line))
    return len(text) * _LETTER * max(_sizes(line), default=9.0)


def _sizes(line: str) -> list[float]:
    return [float(size) for size in re.findall(r'POINT-SIZE="([\d.]+)"', line)]
