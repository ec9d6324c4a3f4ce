"""Pictures in pages: they follow the page, not the reader's system, and their numbers are within
reach of keyboard and finger."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pictures import SVG, elements, hint, words

import minigrad as mg
from minigrad.drawing import Diagram
from minigrad.drawing.palette import DARK, LIGHT
from minigrad.drawing.reach import MOST


@pytest.fixture(scope="module")
def drawn() -> Diagram:
    x = mg.var("x", (2,))
    return mg.draw(mg.sum(mg.tanh(x * 2.0)), at={x: [1.0, -0.5]}, grad=True)


def _style(svg: str) -> str:
    return "".join(e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}style"))


def test_colours_are_those_of_the_page_s_scheme(drawn: Diagram) -> None:
    style, name = _style(drawn.svg), drawn.prefix
    assert "prefers-color-scheme" not in style
    for color in ("page", "ink", "wire"):
        assert f"#{name} .fill-{color}{{fill:light-dark({LIGHT[color]},{DARK[color]})}}" in style
    # By itself it follows the reader; in a page it says nothing of its own scheme, unless that is
    # a notebook which is known to be dark.
    schemes = re.findall(r"([^{}]+){color-scheme:([^}]+)}", style)
    assert schemes[0] == (f":root#{name}", "light dark")
    assert all(f" #{name}" in s and scheme == "dark" for s, scheme in schemes[1:])
    assert len(schemes) == 2


def test_a_file_is_light_unless_asked_and_has_no_notes(drawn: Diagram, tmp_path: Path) -> None:
    saved = drawn.save(tmp_path / "y.svg").read_text(encoding="utf-8")
    assert "<style" not in saved and "tabindex" not in saved


def test_every_node_with_numbers_takes_the_focus_and_then_shows_them(drawn: Diagram) -> None:
    assert drawn.picture is not None
    parts, style = elements(drawn.svg, drawn.prefix), _style(drawn.svg)
    assert [n.id for n in drawn.picture.nodes] == ["n0", "n1", "n2", "n3"]
    for node in drawn.picture.nodes:
        shape, note = parts[node.id], parts[f"{node.id}-told"]
        told = hint(shape).split("\n")
        assert shape.get("tabindex") == "0" and shape.get("aria-label") == ", ".join(told)
        assert words(note) == told
        assert f"adjoint: {node.adjoint.long()}" in told if node.adjoint else None
        name = drawn.prefix
        assert f"#{name}:has(#{name}-{node.id}:focus) #{name}-{node.id}-told{{display:block}}" in (
            style
        )
    root = ET.fromstring(drawn.svg)
    assert root.get("role") == "group"  # what an image is made of is hidden from a screen reader
    assert f"#{drawn.prefix} .told{{display:none;" in style
    left, top, wide, high = (float(x) for x in root.get("viewBox", "").split())
    for frame in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(frame.get(k, 0)) for k in ("x", "y", "width", "height"))
        assert x >= left and y >= top
        assert x + w <= left + wide + 0.1 or x == left
        assert y + h <= top + high + 0.1 or y == top


def test_without_numbers_there_is_nothing_to_reach() -> None:
    svg = mg.draw(mg.tanh(mg.var("x"))).svg
    assert "tabindex" not in svg and ET.fromstring(svg).get("role") == "img"


@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_of_very_many_nodes_none_takes_the_focus(count: int) -> None:
    x = mg.var("x", (3,))
    y = x
    for _ in range(count - 1):
        y = mg.sin(y)
    svg = mg.draw(y, at={x: np.ones(3)}, fold=False, shapes=False).svg
    assert svg.count('tabindex="0"') == (count if count <= MOST else 0)
