"""Where a node is, is read of all numbers that an SVG may be written with."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from minigrad.drawing.palette import LIGHT
from minigrad.drawing.reach import _outline, within_reach

SVG = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon points="1e-05,-2 3.5,4E+1"/>',
        '<polygon points="0.00001,-2.0 3.5,40."/>',
        '<path d="M1e-5-2L+3.5 40"/>',
        '<path d="M.00001,-2C1,1 2,2 3.5,40"/>',
    ],
)
def test_outlines(shape):
    assert _outline(ET.fromstring(f"<g>{shape}</g>")) == (1e-5, -2.0, 3.5, 40.0)


def test_a_shift_may_be_written_with_a_power_too():
    node = '<g class="node" id="a-1"><title>value: 1</title><polygon points="0,0 100,100"/></g>'
    places = []
    for shift in ("0.5 200", "5e-1,2E2"):
        root = ET.fromstring(
            f'<svg xmlns="{SVG}" viewBox="0 0 900 900"><g transform="translate({shift})">'
            f"{node}</g></svg>"
        )
        within_reach(root, "a", LIGHT)
        rect = root.find(f".//{{{SVG}}}rect")
        assert rect is not None
        places.append((rect.get("x"), rect.get("y")))
    assert places[0] == places[1] and places[0] != ("0.0", "6.0")
