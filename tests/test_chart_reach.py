"""Numbers of charts within reach of a keyboard and of a finger: in pages, not in files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

import lstm
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart
from minigrad.drawing.reach import MOST

SVG = "{http://www.w3.org/2000/svg}"
LABEL = 'norm <of> "C"'


def chart(norms=(1e-3, 1e-1, 0.0)) -> Chart:
    """A strip: of each of these magnitudes a stretch that tells it."""
    with charts.drawn_in("auto"):
        ax = charts.strips({LABEL: norms}, legend=False)
    return Chart(ax.figure, title="a strip", description="a strip")


def read(svg: str):
    root = ET.fromstring(svg)
    return root, [e for e in root.iter() if e.get("tabindex")]


def test_each_piece_takes_the_focus_and_shows_what_it_tells():
    made = chart()
    root, pieces = read(made.svg)
    told = [e.findtext(f"{SVG}title") for e in pieces]
    assert told == [e.get("aria-label") for e in pieces]
    assert told == [f"{LABEL}: t=1, 0.001", f"{LABEL}: t=2, 0.1", f"{LABEL}: t=3, 0, exactly 0"]
    assert {e.get("role") for e in pieces} == {"img"}
    assert root.get("role") == "group"
    style = root.findtext(f"{SVG}style") or ""
    left, top, wide, high = map(float, str(root.get("viewBox")).split())
    middles = []
    for piece, words in zip(pieces, told, strict=True):
        name = f"{piece.get('id')}-told"
        (note,) = [g for g in root.iter(f"{SVG}g") if g.get("id") == name]
        assert [text.text for text in note.iter(f"{SVG}text")] == [words]
        assert note.get("aria-hidden") == "true"
        assert f"#{made.prefix}:has(#{piece.get('id')}:focus) #{name}{{display:block}}" in style
        box = note.find(f"{SVG}rect")
        assert box is not None
        x, y, w, h = (float(box.get(k, 0)) for k in ("x", "y", "width", "height"))
        assert left <= x and x + w <= left + wide and top <= y and y + h <= top + high
        middles.append(x + w / 2)
    assert all(a < b for a, b in pairwise(middles))
    assert f"#{made.prefix} .told{{display:none" in style


def test_a_file_is_shown_as_an_image_and_takes_no_focus():
    made = chart()
    root, pieces = read(made.data("svg").decode())
    assert not pieces
    assert root.get("role") == "img"
    assert len([*root.iter(f"{SVG}title")]) == 1 + 3
    assert "told" not in (root.findtext(f"{SVG}style") or "")


@pytest.mark.parametrize(("count", "reached"), [(MOST, MOST), (MOST + 1, 0)])
def test_what_has_too_much_to_tell_has_tooltips_alone(count, reached):
    with charts.drawn_in("auto"):
        ax = charts.own_axes(400, 100)
    ax.set_xlim(0, count)
    style = charts.share_style(0.5)
    corners = [(float(k), k + 1.0, 0.0, 1.0) for k in range(count)]
    charts.add_boxes(ax, corners, [style] * count, [f"box {k}" for k in range(count)])
    root, pieces = read(Chart(ax.figure, title="boxes", description="boxes").svg)
    assert len(pieces) == reached
    told = [e.text for e in root.iter(f"{SVG}title") if (e.text or "").startswith("box ")]
    assert told == [f"box {k}" for k in range(count)]


def test_a_page_has_the_numbers_of_all_its_charts_within_reach():
    model = lstm.Model.create(lstm.LSTM(2, 3), output_size=1, seed=0)
    flow = lstm.flow(model, np.ones((6, 2, 2)), np.ones((2, 1)))
    pieces = read(flow.draw().svg)[1]
    labels = [e.get("aria-label") or "" for e in pieces]
    assert len({e.get("id") for e in pieces}) == len(pieces) > 3
    for part, series in flow.series.items():
        words = re.compile(rf"\|∂L/∂{part}ₜ\|: t=1( … \d)?, ([\d.]+)")
        told = [float(match[2]) for label in labels if (match := words.search(label))]
        assert told == [pytest.approx(series.first, rel=5e-3)] * 2  # of the curve, and of the strip
