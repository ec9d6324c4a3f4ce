"""Reads a chart's SVG back into numbers, by its own ticks, labels and legend.

Nothing of the code that drew it is used: time is read from the ticks' labels, magnitudes from the
decades beside the grid, classes from the legend.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass
class Shape:
    """A line, a box or a text; y grows downwards."""

    kind: str
    points: list[tuple[float, float]]
    color: str
    hint: str = ""
    width: float = 0.0
    dash: str = "solid"
    words: str = ""
    anchor: str = ""
    is_bold: bool = False

    @property
    def left(self) -> float:
        return min(x for x, _ in self.points)

    @property
    def right(self) -> float:
        return max(x for x, _ in self.points)

    @property
    def top(self) -> float:
        return min(y for _, y in self.points)

    @property
    def mark(self) -> str:
        """Which mark a small closed outline is, by its corners; none of any other shape."""
        if self.kind != "line" or self.hint or self.right - self.left > 9.0:
            return ""
        corners = len(self.points)
        if corners == 4:
            return "□" if self.points[0][0] == self.points[-1][0] else "◇"
        return "△" if corners == 3 else "○" if corners > 8 else ""

    @property
    def middle(self) -> float:
        return (self.top + max(y for _, y in self.points)) / 2


@dataclass
class Panel:
    """One panel: its title, its axes, and what is drawn in it."""

    title: str
    left: float
    grid: list[Shape]
    decades: dict[int, float]
    """{exponent: height}"""
    ticks: dict[int, float]
    """{time step: place}"""
    lines: list[Shape]
    boxes: list[Shape]
    texts: list[Shape]
    marks: list[Shape]
    """What tells curves apart, at some of their points."""

    @property
    def right(self) -> float:
        return self.grid[0].right

    @property
    def floor(self) -> float:
        """Where curves end and strips begin: above the first of the strips' numbers."""
        ends = [t for t in self.texts if t.anchor == "end" and t.color == "#1b1f24"]
        return min(t.middle for t in ends) - 9.0

    def norm(self, y: float) -> float:
        """The magnitude at a height, by the decades' labels."""
        (a, y_a), (b, y_b) = min(self.decades.items()), max(self.decades.items())
        return float(10.0 ** (a + (y - y_a) / (y_b - y_a) * (b - a)))

    def step(self, x: float) -> float:
        """The time step at a place, by the ticks' labels; halves lie between two steps."""
        (a, x_a), (b, x_b) = min(self.ticks.items()), max(self.ticks.items())
        return a + (x - x_a) / (x_b - x_a) * (b - a)


@dataclass
class Legend:
    """The classes of the scale from small to large, and the looks of what has no magnitude."""

    bounds: list[float]
    colors: list[str]
    widths: list[float]
    others: dict[str, Shape] = field(default_factory=dict)
    """{label: its line}"""
    notes: list[str] = field(default_factory=list)

    def index(self, norm: float) -> int:
        """The class of a magnitude, by the numbers that stand under the swatches."""
        k = int(np.searchsorted(self.bounds, norm, "right")) - 1
        return min(max(k, 0), len(self.colors) - 1)

    def is_near_a_bound(self, norm: float) -> bool:
        """Whether three digits do not tell on which side of a bound a magnitude lies."""
        return any(abs(norm / b - 1.0) < 0.01 for b in self.bounds)


def shapes_of(svg: str) -> list[Shape]:
    root = ET.fromstring(svg)
    defined = {f"#{e.get('id')}": e for defs in root.iter(f"{SVG}defs") for e in defs}
    told = [e for e in root.iter() if e.get("class") == "told"]  # shown where there is the focus
    hidden = {*defined.values(), *(e for note in told for e in note.iter())}
    shapes = []
    for element in root.iter():
        shape = None if element in hidden else _shape(element, defined)
        if shape is not None:
            title = element.find(f"{SVG}title")
            shape.hint = (title.text or "") if title is not None else ""
            shapes.append(shape)
    return shapes


def _shape(element: ET.Element, defined: dict[str, ET.Element]) -> Shape | None:
    tag, style = element.tag.removeprefix(SVG), _style(element)
    if tag == "text":
        size = float(style["font-size"].removesuffix("px"))
        place = float(element.get("x", "0")), float(element.get("y", "0")) - 0.35 * size
        return Shape(
            "text",
            [place],
            element.get("fill", ""),
            words="".join(element.itertext()),
            anchor=style.get("text-anchor", "start"),
            is_bold=style.get("font-weight", "") in ("bold", "700"),
        )
    if tag == "use":  # a shape that stands alone in its collection
        place = float(element.get("x", "0")), float(element.get("y", "0"))
        target = defined.get(element.get(HREF, ""))
        points = [] if target is None else _points(target.get("d", ""))
        points = [(x + place[0], y + place[1]) for x, y in points]
    elif tag == "path":
        points = _points(element.get("d", ""))
    else:
        return None
    if element.get("stroke") is None:
        return Shape("box", points, element.get("fill", ""))
    dashes = [float(x) for x in style.get("stroke-dasharray", "").split(",") if x]
    width = float(style.get("stroke-width", "1"))
    dash = "solid" if not dashes else "dotted" if dashes[0] < 1.5 * width else "dashed"
    return Shape("line", points, element.get("stroke", ""), width=width, dash=dash)


def _style(element: ET.Element) -> dict[str, str]:
    parts = [part.partition(":") for part in element.get("style", "").split(";") if part.strip()]
    return {key.strip(): value.strip() for key, _, value in parts}


def _points(text: str) -> list[tuple[float, float]]:
    numbers = [float(x) for x in _NUMBER.findall(text)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def read(svg: str) -> tuple[list[Panel], Legend]:
    """The panels from left to right, and the legend."""
    shapes = shapes_of(svg)
    faint = [s for s in shapes if s.kind == "line" and s.color == "#c9ced6" and _is_level(s)]
    legend_top = next(s.top for s in shapes if s.words.startswith("Norm of the gradient"))
    lefts = sorted({s.left for s in faint})
    panels = [_panel(shapes, [g for g in faint if g.left == x], lefts, legend_top) for x in lefts]
    return panels, _legend([s for s in shapes if s.top > legend_top - 1.0])


def _panel(shapes: list[Shape], grid: list[Shape], lefts: list[float], bottom: float) -> Panel:
    left, right = grid[0].left, grid[0].right
    texts = [s for s in shapes if s.kind == "text"]
    top, floor = min(g.middle for g in grid), max(g.middle for g in grid)
    title = next((t.words for t in texts if t.is_bold and t.left == left and t.top < top), "")
    decades = {
        _exponent(t.words): g.middle
        for g in grid
        for t in texts
        if t.anchor == "end" and left - 9 < t.left < left and abs(t.middle - g.middle) < 2.0
    }
    below = [t for t in texts if left <= t.left <= right and floor < t.top < bottom]
    ticks = {int(t.words): t.left for t in below if t.anchor == "middle" and t.words.isdecimal()}
    data = [s for s in shapes if s.hint and s.left >= left - 0.1 and s.right <= right + 0.1]
    lines = [s for s in data if s.kind == "line"]
    boxes = [s for s in data if s.kind == "box"]
    marks = [
        s for s in shapes if s.mark and top - 4 < s.middle < floor + 4 and left < s.left < right
    ]
    around = [t for t in texts if left - 9 < t.left < right + 9 and t.top < bottom]
    return Panel(title, left, grid, decades, ticks, lines, boxes, around, marks)


def _is_level(line: Shape) -> bool:
    return line.points[0][1] == line.points[-1][1]


def _exponent(words: str) -> int:
    return 0 if words == "1" else int(words.removeprefix("1e"))


def _legend(shapes: list[Shape]) -> Legend:
    boxes = sorted((s for s in shapes if s.kind == "box" and s.right - s.left > 5), key=_left)
    texts = [s for s in shapes if s.kind == "text"]
    bounds = []
    for box in boxes:
        (label,) = [t for t in texts if t.anchor == "middle" and abs(t.left - box.left) < 0.1]
        bounds.append(float(label.words))
    (last,) = [t for t in texts if t.anchor == "middle" and abs(t.left - boxes[-1].right) < 0.1]
    under = last.middle  # classes stand above their numbers, and what is in no class below
    lines = [s for s in shapes if s.kind == "line" and s.middle < under]
    widths = []
    for box in boxes:
        (line,) = [s for s in lines if abs(s.left - box.left) < 0.1]
        assert line.color == box.color
        assert abs(line.right - box.right) < 0.1
        widths.append(line.width)
    others = {}
    for line in [s for s in shapes if s.kind == "line" and s.middle > under]:
        near = [t for t in texts if abs(t.middle - line.middle) < 4]
        (label,) = [t for t in near if 0 < t.left - line.right < 8]
        others[label.words] = line
    notes = [t.words for t in texts if t.middle > under + 2 and t.words not in others]
    return Legend([*bounds, float(last.words)], [b.color for b in boxes], widths, others, notes)


def _left(shape: Shape) -> float:
    return shape.left
