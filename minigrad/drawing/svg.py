"""Finish an SVG of Graphviz: title and description, ids of its own, tooltips, and a dark dress.

So that several pictures can stand in one page, and a screen reader has something to say.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from minigrad.drawing.escape import plain
from minigrad.drawing.palette import DARK, LIGHT, name_of
from minigrad.drawing.reach import within_reach
from minigrad.drawing.theme import BOLD

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_DARK_PAGES = ('[data-jp-theme-light="false"]', ".vscode-dark")
"""Notebooks that are dark, and may say so by these alone: JupyterLab and Visual Studio Code."""


def finish(
    svg: bytes,
    *,
    title: str,
    description: str,
    prefix: str,
    dark: bool = True,
    reach: Mapping[str, str] | None = None,
) -> str:
    """The SVG as text, without XML declaration, fit to stand alone or inside an HTML page.

    Every id starts with `prefix`. With `dark` it follows the colour scheme of the page around it;
    with `reach`, the colours that it is drawn in, what nodes tell of numbers shows where they have
    the focus.
    """
    root = ET.fromstring(svg)
    _describe(root, title, description, prefix)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{prefix}-"))
    _tooltips(root)
    _tidy(root)
    rules = within_reach(root, prefix, reach) if reach else ""
    _name_colors(root)
    if dark:
        rules = _dark_css(f"#{prefix}") + rules
    if rules:
        style = ET.Element(f"{{{_SVG}}}style")
        style.text = rules
        root.insert(2, style)
    root.set("id", prefix)
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def _dark_css(selector: str) -> str:
    """The CSS rules that turn a finished picture dark where the page around it is dark.

    That is the page's own `color-scheme`, or the theme of a notebook. By itself, as a document, a
    picture follows the reader's. Browsers from before 2024 show it light.
    """
    rules = "".join(
        f"{selector} .{use}-{name}{{{use}:light-dark({LIGHT[name]},{color})}}"
        for name, color in DARK.items()
        for use in ("fill", "stroke")
    )
    alone = f":root{selector}{{color-scheme:light dark}}"
    notebooks = ",".join(f"{page} {selector}" for page in _DARK_PAGES)
    return f"@media screen{{{alone}{notebooks}{{color-scheme:dark}}{rules}}}"


def _name_colors(root: ET.Element) -> None:
    """A class for each colour that has a name, by which a style sheet finds it."""
    for element in root.iter():
        uses = [(use, name_of(element.get(use, ""))) for use in ("fill", "stroke")]
        if names := [f"{use}-{name}" for use, name in uses if name]:
            element.set("class", " ".join([*element.get("class", "").split(), *names]))


def _describe(root: ET.Element, title: str, description: str, prefix: str) -> None:
    for k, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(f"{{{_SVG}}}{tag}", {"id": tag})
        element.text = "\n".join(map(plain, text.split("\n")))
        root.insert(k, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")


def _tidy(root: ET.Element) -> None:
    """Weights as SVG has them, and no outlines that nobody sees."""
    for parent in list(root.iter()):
        family = parent.get("font-family", "")
        if family.endswith(BOLD):
            parent.set("font-family", family.removesuffix(BOLD))
            parent.set("font-weight", "bold")
        for child in list(parent):
            if child.get("stroke-width") == "0":
                if child.get("fill") == "none":
                    parent.remove(child)
                else:
                    child.set("stroke", "none")
                    del child.attrib["stroke-width"]


def _tooltips(root: ET.Element) -> None:
    """Graphviz's <a title> becomes the <title> that all viewers show; its "n1" and "n1->n2" go."""
    for group in root.iter(f"{{{_SVG}}}g"):
        own = group.find(f"{{{_SVG}}}title")
        words = None
        for child in list(group):
            if child.tag == f"{{{_SVG}}}g" and child.find(f"{{{_SVG}}}a") is not None:
                link = child.find(f"{{{_SVG}}}a")
                assert link is not None
                words = words or link.get(f"{{{_XLINK}}}title")
                at = list(group).index(child)
                group.remove(child)
                for k, shape in enumerate(link):
                    group.insert(at + k, shape)
        if own is not None:
            if words and words.strip():
                own.text = words
            else:
                group.remove(own)
