"""Reads pictures back: DOT text and finished SVG into plain records, for tests to compare."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field

SVG = "{http://www.w3.org/2000/svg}"
Attributes = dict[str, str]

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|->|[{}\[\]]|[^\s"<>={}\[\]]+=?|=|<', re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A cell of a label: its words, the colour of its fill ("" for none) and of its words."""

    text: str
    fill: str
    color: str
    is_bold: bool
    align: str


@dataclass
class Box:
    """A graph or a cluster: its own attributes, and what lies directly in it."""

    attributes: Attributes = field(default_factory=dict)
    nodes: dict[str, Attributes] = field(default_factory=dict)
    edges: list[tuple[str, str, Attributes]] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)

    def all_nodes(self) -> dict[str, Attributes]:
        """The nodes in this box and in all boxes within."""
        nodes = dict(self.nodes)
        for box in self.boxes.values():
            nodes |= box.all_nodes()
        return nodes


def read_dot(text: str) -> Box:
    """The graph that DOT text describes; of the DOT that Python's graphviz writes."""
    tokens = _tokens(text)
    assert [next(tokens), next(tokens), next(tokens)][::2] == ["digraph", "{"]
    box = _read_box(tokens)
    assert next(tokens, None) is None
    return box


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while token := _TOKEN.search(text, position):
        assert not text[position : token.start()].strip(), text[position : token.start()]
        position = token.end()
        if token[0] == "<":
            depth = 1
            while depth:
                depth += {"<": 1, ">": -1}.get(text[position], 0)
                position += 1
            yield text[token.start() : position]
        elif token[0].endswith("=") and len(token[0]) > 1:
            yield from (token[0][:-1], "=")
        else:
            yield token[0]


def _read_box(tokens: Iterator[str]) -> Box:
    box = Box()
    names: list[str] = []
    for token in tokens:
        if token == "}":
            break
        if token == "[":
            attributes = _read_attributes(tokens)
            if "->" in names:
                source, arrow, target = names
                assert arrow == "->"
                box.edges.append((source, target, attributes))
            elif names == ["graph"]:
                box.attributes |= attributes
            elif names[0] not in ("node", "edge"):
                assert names[0] not in box.nodes
                box.nodes[names[0]] = attributes
            names = []
        elif token == "{":
            assert names[0] == "subgraph"
            box.boxes[names[1]] = _read_box(tokens)
            names = []
        else:
            names.append(_unquoted(token))
    return box


def _read_attributes(tokens: Iterator[str]) -> Attributes:
    attributes: Attributes = {}
    for name in tokens:
        if name == "]":
            break
        assert next(tokens) == "="
        assert name not in attributes
        attributes[name] = _unquoted(next(tokens))
    return attributes


def _unquoted(token: str) -> str:
    return token[1:-1].replace('\\"', '"') if token.startswith('"') else token


def cells(label: str) -> list[Cell]:
    """The innermost cells of an HTML-like label, in reading order; their backslashes undoubled."""
    assert label.startswith("<") and label.endswith(">"), label
    root = ET.fromstring(f"<label>{label[1:-1]}</label>")
    found = []
    for td in root.iter("TD"):
        if td.find(".//TABLE") is not None:
            continue
        for line_break in td.iter("BR"):
            line_break.text = " "
        text = "".join(td.itertext()).replace("\\\\", "\\").strip()
        font = next(td.iter("FONT"), None)
        found.append(
            Cell(
                text,
                td.get("BGCOLOR", ""),
                "" if font is None else font.get("COLOR", ""),
                td.find(".//B") is not None,
                td.get("ALIGN", ""),
            )
        )
    return found


def texts(label: str) -> list[str]:
    """The words of a label, cell by cell."""
    return [cell.text for cell in cells(label)]


def lines(tooltip: str) -> list[str]:
    """The lines of a tooltip, whose backslashes Graphviz reads twice."""
    once = re.sub(r"\\([\\n])", lambda m: "\n" if m[1] == "n" else "\\", tooltip)
    return once.replace("\\\\", "\\").replace("&amp;", "&").split("\n")


# --- SVG -----------------------------------------------------------------------------------------


def elements(svg: str, prefix: str) -> dict[str, ET.Element]:
    """The elements of a finished SVG that have an id, by their id without the prefix."""
    root = ET.fromstring(svg)
    with_id = {e.get("id", ""): e for e in root.iter() if e.get("id")}
    return {key.removeprefix(prefix).removeprefix("-"): e for key, e in with_id.items()}


def words(element: ET.Element) -> list[str]:
    """The text of an element line by line, with Graphviz's hard spaces as spaces."""
    return ["".join(t.itertext()).replace("\xa0", " ") for t in element.iter(f"{SVG}text")]


def hint(element: ET.Element) -> str:
    """The tooltip of a group, with Graphviz's hard spaces as spaces."""
    title = element.find(f"{SVG}title")
    return "" if title is None else (title.text or "").replace("\xa0", " ")


Rect = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def rects(svg: str) -> dict[str, Rect]:
    """The outline of each shape, by its id without the prefix; of nodes, groups and lanes."""
    outlines = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        shape = next((e for e in group if e.tag != f"{SVG}title"), None)
        if group.get("class") == "node" and shape is not None and "rx" not in shape.attrib:
            key = (group.get("id") or "").rpartition("-")[2]
            outlines[key] = _around(_points(shape))
        elif group.get("class") == "node" and shape is not None and float(shape.get("rx", 0)) > 4:
            x, y, wide, high = (float(shape.get(k, 0)) for k in ("cx", "cy", "rx", "ry"))
            key = (group.get("id") or "").rpartition("-")[2]
            outlines[key] = x - wide, y - high, x + wide, y + high
    return outlines


def ways(svg: str) -> dict[str, list[list[tuple[float, float]]]]:
    """The pieces of each arrow, as the ends of their straight or bent lines, by the arrow's id."""
    pieces: dict[str, list[list[tuple[float, float]]]] = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        path = next(group.iter(f"{SVG}path"), None)
        if group.get("class") == "edge" and path is not None:
            key = (group.get("id") or "").rpartition("-")[2].partition("piece")[0]
            points = _points(path)
            pieces.setdefault(key, []).append([points[0], points[-1]])
    return pieces


def _points(shape: ET.Element) -> list[tuple[float, float]]:
    text = shape.get("points") or shape.get("d") or ""
    numbers = [float(x) for x in re.findall(r"-?[\d.]+", text)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _around(points: list[tuple[float, float]]) -> Rect:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def is_over(a: Rect, b: Rect) -> bool:
    """Whether two outlines lie over each other."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
