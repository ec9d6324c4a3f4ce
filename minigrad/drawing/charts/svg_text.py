"""matplotlib's SVG made one of ours: ids of its own, colours by name, a hint on each piece."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.drawing.escape import plain
from minigrad.drawing.reach import PIECE
from minigrad.drawing.svg import finish

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_COLORS = ("fill", "stroke")


def finish_chart(
    svg: bytes,
    hints: Mapping[str, Sequence[str]],
    *,
    prefix: str,
    reach: Mapping[str, str] | None,
    **options: Any,
) -> str:
    """The SVG as `finish` makes it, which says what the options are.

    hints: {id of a group of shapes: what each of them tells}.
    """
    root = ET.fromstring(svg)
    for group in root.iter(f"{_SVG}g"):
        name = group.get("id", "")
        for k, (shape, words) in enumerate(zip(_shapes(group), hints.get(name, ()), strict=False)):
            ET.SubElement(shape, f"{_SVG}title").text = plain(words)
            if reach:
                shape.attrib |= {"id": f"{name}-{k}", "class": PIECE}
    for parent in list(root.iter()):
        for child in list(parent):
            # A style sheet for all elements would reach the page around, and nobody reads the rest.
            if child.tag == f"{_SVG}style" or child.tag == f"{_SVG}metadata":
                parent.remove(child)
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    for element in root.iter():
        _colors_as_attributes(element)
    _leave_colors_to_uses(root)
    for element in root.iter():
        if element.get(_HREF, "").startswith("#"):
            element.set(_HREF, f"#{prefix}-{element.get(_HREF, '')[1:]}")
    return finish(ET.tostring(root), prefix=prefix, reach=reach, **options)


def _leave_colors_to_uses(root: ET.Element) -> None:
    """No colour of its own for what is drawn many times: a style sheet's rules for a picture reach
    each use of it, and not into it."""
    uses: dict[str, list[ET.Element]] = {}
    for use in root.iter(f"{_SVG}use"):
        uses.setdefault(use.get(_HREF, "")[1:], []).append(use)
    for shape in (shape for defs in root.iter(f"{_SVG}defs") for shape in defs):
        of_it = uses.get(shape.get("id", ""), [])
        for key in _COLORS:
            if of_it and all(key in use.attrib for use in of_it):
                shape.attrib.pop(key, None)


def _shapes(group: ET.Element) -> list[ET.Element]:
    """The shapes of a group in the order in which they are painted."""
    hidden = {shape for defs in group.iter(f"{_SVG}defs") for shape in defs.iter()}
    tags = (f"{_SVG}path", f"{_SVG}use")
    return [e for e in group.iter() if e.tag in tags and e not in hidden]


def _colors_as_attributes(element: ET.Element) -> None:
    """Colours leave the style, which no class of a page's style sheet could change."""
    parts = [part.partition(":") for part in element.get("style", "").split(";") if part.strip()]
    rest = []
    for key, colon, value in parts:
        if key.strip() in _COLORS:
            element.set(key.strip(), value.strip())
        else:
            rest.append(f"{key.strip()}{colon} {value.strip()}")
    if parts:
        element.set("style", "; ".join(rest))
        if not rest:
            del element.attrib["style"]
