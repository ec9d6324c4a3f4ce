"""Numbers of a finished SVG within reach of a keyboard and of a finger, without a script.

What a node of a graph, or a piece of a chart, tells when it is pointed at stands beside it, too,
once it has the focus: by Tab, or by a tap. A screen reader reads it as the name of that.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from minigrad.drawing.theme import FONT

MOST = 300
"""Nodes or pieces: of a picture with more, what they tell would be longer than the picture."""
PIECE = "piece"
"""The class of what tells something in a chart."""
_SVG = "http://www.w3.org/2000/svg"
_HIGH, _WIDE, _AIR = 12.0, 5.6, 6.0  # of a line of text, of a letter, and around them
_TOLD = ("value: ", "adjoint: ")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"  # as SVG writes it


def within_reach(root: ET.Element, prefix: str, dress: Mapping[str, str]) -> str:
    """Make what nodes and pieces tell show where they have the focus; returns the CSS of that.

    root: the SVG, whose tooltips are in place and whose ids begin with the prefix. dress: the
    palette's colours that it is drawn in.
    """
    nodes = [e for e in root.iter() if e.get("class") in ("node", PIECE) and e.get("id")]
    told = [(node, words) for node in nodes if (words := _told(node))]
    if not told or len(told) > MOST:
        return ""
    left, top, wide, high = (float(x) for x in root.get("viewBox", "0 0 0 0").split())
    shift = next(iter(root.iter(f"{{{_SVG}}}g")), root).get("transform", "")
    moved = re.search(rf"translate\(({_NUMBER})[ ,]+({_NUMBER})\)", shift)
    dx, dy = (float(moved[1]), float(moved[2])) if moved else (0.0, 0.0)
    rules = []
    for node, words in told:
        node.set("tabindex", "0")
        node.set("role", "img")
        node.set("aria-label", ", ".join(words))
        size = max(map(len, words)) * _WIDE + 2 * _AIR, len(words) * _HIGH + 2 * _AIR
        x0, _, x1, y1 = _outline(node)
        x = min((x0 + x1) / 2 + dx - size[0] / 2, left + wide - size[0])
        y = min(y1 + dy + _AIR, top + high - size[1])
        name = f"{node.get('id')}-told"
        root.append(_note(name, words, (max(x, left), max(y, top)), size, dress))
        rules.append(f"#{prefix}:has(#{node.get('id')}:focus) #{name}{{display:block}}")
    root.set("role", "group")  # the parts of an image would be hidden from a screen reader
    hidden = f"#{prefix} .told{{display:none;pointer-events:none}}"
    return f'{hidden}#{prefix} .told text{{font:9px "{FONT}",sans-serif}}{"".join(rules)}'


def _told(node: ET.Element) -> list[str]:
    """The lines of the tooltip of a piece, or of a node with numbers."""
    title = node.find(f"{{{_SVG}}}title")
    lines = ((title.text if title is not None else "") or "").replace("\xa0", " ").split("\n")
    is_told = node.get("class") == PIECE or any(line.startswith(_TOLD) for line in lines)
    return lines if is_told else []


def _outline(node: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is drawn of a node or a piece."""
    points: list[tuple[float, float]] = []
    for shape in node.iter():
        written = f"{shape.get('points') or ''} {shape.get('d') or ''}"
        numbers = [float(n) for n in re.findall(_NUMBER, written)]
        points += zip(numbers[::2], numbers[1::2], strict=False)
        if shape.tag == f"{{{_SVG}}}use":  # a shape of its own place, of some points
            points.append((float(shape.get("x", 0)), float(shape.get("y", 0))))
        if "rx" in shape.attrib:
            x, y, rx, ry = (float(shape.get(k, 0)) for k in ("cx", "cy", "rx", "ry"))
            points += [(x - rx, y - ry), (x + rx, y + ry)]
    xs, ys = zip(*(points or [(0.0, 0.0)]), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _note(
    name: str,
    words: list[str],
    at: tuple[float, float],
    size: tuple[float, float],
    dress: Mapping[str, str],
) -> ET.Element:
    """A box with lines of text; who listens has them from the node."""
    (x, y), ink = at, dress["ink"]
    note = ET.Element(f"{{{_SVG}}}g", {"id": name, "class": "told", "aria-hidden": "true"})
    frame = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{size[0]:.1f}", "rx": "4"}
    look = {"fill": dress["page"], "stroke": ink, "height": f"{size[1]:.1f}"}
    ET.SubElement(note, f"{{{_SVG}}}rect", frame | look)
    for k, line in enumerate(words):
        place = {"x": f"{x + _AIR:.1f}", "y": f"{y + _AIR + (k + 0.8) * _HIGH:.1f}", "fill": ink}
        ET.SubElement(note, f"{{{_SVG}}}text", place).text = line
    return note
