"""Slides, PDF pages and legible bitmaps of models, read back from what is drawn."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from pictures import SVG

import lstm
import minigrad as mg
from minigrad.drawing import Diagram, RenderError
from minigrad.drawing.look import Look

RNG = np.random.default_rng(0)
SLIDE = 1920.0, 1080.0


class Words(NamedTuple):
    """A text of a node: its size, and how far it is from the left and right border, in pixels."""

    text: str
    size: float
    left: float
    right: float


@cache
def _font(bold: bool) -> FT2Font:
    weight = "bold" if bold else "normal"
    return FT2Font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))


def _width(element: ET.Element) -> float:
    """How wide a text is, in points."""
    font = _font(element.get("font-weight") == "bold")
    font.set_size(10.0 * float(element.get("font-size", "")), 72)
    font.set_text(element.text or "", 0.0)
    return float(font.get_width_height()[0]) / 64 / 10


def _scale(root: ET.Element) -> float:
    wide, high = [float(x) for x in (root.get("viewBox") or "").split()[2:]]
    return min(SLIDE[0] / wide, SLIDE[1] / high)


def _sides(shape: ET.Element) -> tuple[float, float]:
    if shape.tag == f"{SVG}ellipse":
        center, radius = float(shape.get("cx", "")), float(shape.get("rx", ""))
        return center - radius, center + radius
    numbers = re.findall(r"-?[\d.]+", shape.get("points") or shape.get("d") or "")
    xs = [float(x) for x in numbers[::2]]
    return min(xs), max(xs)


def _groups(svg: str, kind: str) -> Iterator[ET.Element]:
    yield from (g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == kind)


def _words(svg: str) -> list[Words]:
    scale = _scale(ET.fromstring(svg))
    words = []
    for group in _groups(svg, "node"):
        shape = next(e for e in group if e.tag != f"{SVG}title")
        left, right = _sides(shape)
        for text in group.iter(f"{SVG}text"):
            wide, x = _width(text), float(text.get("x", ""))
            x -= {"middle": wide / 2, "end": wide}.get(text.get("text-anchor", ""), 0.0)
            size = float(text.get("font-size", "")) * scale
            words.append(
                Words(text.text or "", size, (x - left) * scale, (right - x - wide) * scale)
            )
    return words


def _slide(cell: Any, steps: int, **options: Any) -> Diagram:
    model = lstm.Model.create(cell(input_size=2, hidden_size=4), output_size=1, seed=0)
    xs = mg.var("xs", (steps, 3, 2), "float32")
    loss = mg.sum(model.output(xs) ** 2).named("L")
    at = {xs: RNG.normal(size=xs.shape).astype("float32")}
    return mg.draw(loss, at, grad=True, size="slide", **options)


@pytest.mark.parametrize(
    ("cell", "steps", "options", "least"),
    [
        (lstm.LSTM, 50, {}, 18.0),
        (lstm.GRU, 50, {}, 18.0),
        (lstm.RNN, 50, {}, 18.0),
        (lstm.LSTM, 3, {"loops": 3}, 12.0),
    ],
)
def test_slides_of_models_have_text_of_a_size_and_clear_of_borders(
    cell: Any, steps: int, options: dict[str, Any], least: float
) -> None:
    words = _words(_slide(cell, steps, **options).svg)
    assert min(w.size for w in words) >= least
    assert min(min(w.left, w.right) for w in words) >= 5.0
    if cell is lstm.LSTM:  # a gate has its letter and what it is
        assert {"f", "i", "o", "C", "h"} <= {w.text for w in words}
        assert "  σ" in {w.text.replace("\xa0", " ") for w in words}


def test_the_measure_of_clearance_sees_what_touches() -> None:
    svg = mg.draw(mg.var("a name of some length"), size="slide").svg
    (word,) = _words(svg)
    assert word.left == pytest.approx(word.right, abs=0.02 * SLIDE[0])
    shape = next(e for e in next(_groups(svg, "node")) if e.tag != f"{SVG}title")
    left, right = _sides(shape)
    assert word.left > 0 and (right - left) * _scale(ET.fromstring(svg)) > word.left + word.right


def test_steps_that_are_written_out_stand_side_by_side() -> None:
    diagram = _slide(lstm.LSTM, 3, loops=3)
    boxes = [_sides(next(g.iter(f"{SVG}path"))) for g in _groups(diagram.svg, "cluster")]
    assert len(boxes) == 3
    for (_, right), (left, _) in pairwise(sorted(boxes)):
        assert right < left


@pytest.mark.parametrize("cell", [lstm.LSTM, lstm.GRU])
def test_the_carry_that_comes_back_by_the_fewest_ops_is_straight(cell: Any) -> None:
    diagram = _slide(cell, 6)
    picture = diagram.picture
    assert picture is not None
    name = "C" if cell is lstm.LSTM else "h"
    ids = {n.name: n.id for n in picture.nodes}
    on_line = [(e.source, e.target) for e in picture.edges if e.is_on_line and not e.is_back]
    before, after = ids[f"{name} before"], ids[name]
    (product,) = [t for s, t in on_line if s == before]
    assert on_line == [(before, product), (product, after)]
    centers = {
        (g.get("id") or "").rpartition("-")[2]: float(next(g.iter(f"{SVG}text")).get("y", ""))
        for g in _groups(diagram.svg, "node")
    }
    heads = [centers[n] for n in (product, after)]
    assert heads[0] == pytest.approx(heads[1], abs=1.0)


def test_arrows_between_groups_are_long_enough_to_keep_them_apart() -> None:
    x = mg.var("x")
    first, second = mg.tanh(x), mg.sin(mg.tanh(x))
    diagram = mg.draw(second, groups={"one": [first], "two": [second]})
    assert diagram.dot.count("minlen=2") == 1
    nested = mg.draw(second, groups={"one": [first, second], "two": [second]})
    assert "minlen" not in nested.dot


@pytest.mark.parametrize(
    ("options", "page"),
    [({"width": 500}, 375.0), ({"size": "slide"}, 1440.0), ({"dpi": 300}, None)],
)
def test_a_pdf_is_as_wide_as_it_was_asked_for(options: dict[str, Any], page: float | None) -> None:
    x = mg.var("x")
    diagram = mg.draw(mg.tanh(2.0 * x), {x: 0.7}, grad=True, **options)
    match = re.search(rb"MediaBox \[ 0 0 (\d+) (\d+) \]", diagram.pdf)
    assert match is not None
    wide, high = float(match[1]), float(match[2])
    box = [float(x) for x in (ET.fromstring(diagram.svg).get("viewBox") or "").split()[2:]]
    assert wide == pytest.approx(box[0] if page is None else page, abs=3.0)
    assert high / wide == pytest.approx(box[1] / box[0], abs=0.02)


def test_a_png_whose_text_nobody_can_read_is_refused_with_what_is_enough() -> None:
    y = mg.var("x")
    for _ in range(40):
        y = mg.tanh(y)
    with pytest.raises(RenderError, match=r"PNG would have 200 x \d+ pixels and text") as caught:
        mg.draw(y, fold=False, width=200).data("png")
    match = re.search(r"width=([\d,]+) is the least that can be read", str(caught.value))
    assert match is not None
    enough = int(match[1].replace(",", ""))
    assert mg.draw(y, fold=False, width=enough).data("png").startswith(b"\x89PNG")
    with pytest.raises(RenderError, match="cannot be read"):
        mg.draw(y, fold=False, width=enough - 60).data("png")
    assert mg.draw(y, fold=False, width=200).data("svg").startswith(b"<?xml")


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ("0 0 90000 100", "would have 120,000 x 133 pixels, and few viewers show more"),
        ("0 0 20000 100", "width=10,000 is the least that can be read"),
    ],
)
def test_a_width_is_advised_only_where_it_helps(box: str, said: str) -> None:
    svg = f'<svg viewBox="{box}"><text font-size="8"/></svg>'
    with pytest.raises(RenderError, match=said) as caught:
        Look().dpi_for(svg)
    assert ("width=" in str(caught.value)) == ("width=" in said)
