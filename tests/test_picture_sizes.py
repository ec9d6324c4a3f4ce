"""Themes, pixels and slides: what is saved is as large and as dark as it was asked for."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Expr
from minigrad.drawing import Diagram, RenderError, draw
from minigrad.drawing import palette as pal

AT = {"x": 0.7}


def _small(**options: Any) -> Diagram:
    x = mg.var("x")
    return draw(mg.tanh(2.0 * x).named("y"), AT, grad=True, **options)


def _pixels(png: bytes) -> list[int]:
    return [int.from_bytes(png[k : k + 4], "big") for k in (16, 20)]


def _natural(diagram: Diagram) -> tuple[float, float]:
    box = (ET.fromstring(diagram.svg).get("viewBox") or "").split()
    return float(box[2]), float(box[3])


@pytest.mark.parametrize("theme", [None, "light", "dark", "auto"])
def test_files_are_light_unless_asked_and_in_pages_follow_the_page(
    theme: str | None, tmp_path: Path
) -> None:
    diagram = _small(theme=theme)
    saved = diagram.save(tmp_path / "y.svg").read_text(encoding="utf-8")
    shown = diagram._repr_mimebundle_()["image/svg+xml"]
    assert ("light-dark(" in saved) == (theme == "auto")
    assert ("light-dark(" in shown) == (theme in (None, "auto"))
    dress, other = (pal.DARK, pal.LIGHT) if theme == "dark" else (pal.LIGHT, pal.DARK)
    drawn = re.sub("<style.*?</style>", "", saved, flags=re.DOTALL)
    assert dress["ink"] in drawn and dress["page"] in drawn
    assert other["ink"] not in drawn and other["input"] not in drawn


@pytest.mark.parametrize(("dpi", "factor"), [(None, 1.0), (192, 2.0), (48.0, 0.5)])
def test_dpi_is_that_of_the_png(dpi: float | None, factor: float) -> None:
    diagram = _small(dpi=dpi)
    expected = [side * factor * 96 / 72 for side in _natural(diagram)]
    assert _pixels(diagram.png) == pytest.approx(expected, abs=2)


def test_width_is_that_of_png_and_svg_in_pixels() -> None:
    diagram = _small(width=500)
    wide, high = _natural(diagram)
    root = ET.fromstring(diagram.svg)
    assert root.get("width") == "500"
    assert float(root.get("height", "")) == pytest.approx(500 * high / wide, rel=1e-4)
    assert _pixels(diagram.png) == pytest.approx([500, 500 * high / wide], abs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"theme": "blue"}, "theme is 'light', 'dark' or 'auto', not 'blue'"),
        ({"theme": 3}, "theme is 'light'"),
        ({"size": "poster"}, "size is 'slide' or None"),
        ({"dpi": 0}, "dpi is a number above 0"),
        ({"dpi": float("nan")}, "dpi is a number above 0"),
        ({"width": -1}, "width is a number above 0"),
        ({"width": "wide"}, "width must be a number"),
    ],
)
def test_other_themes_and_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((mg.GraphError, mg.DTypeError), match=message):
        _small(**options)


def test_a_png_that_no_viewer_shows_is_refused_with_its_size_and_the_way_out() -> None:
    y = mg.var("x")
    for _ in range(300):
        y = mg.tanh(y)
    diagram = draw(y, fold=False)
    wide, high = (round(side * 96 / 72) for side in _natural(diagram))
    with pytest.raises(RenderError, match=f"would have {wide:,} x {high:,} pixels") as caught:
        diagram.data("png")
    least = math.ceil(_natural(diagram)[0] * 4 / 10)  # text of 10 points is 4 pixels high
    assert "Save svg or pdf" in str(caught.value) and f"width={least:,} is" in str(caught.value)
    assert diagram.data("svg").startswith(b"<?xml")
    assert _pixels(draw(y).png)[0] < 1000  # folded
    assert _pixels(draw(y, fold=False, width=13_000).png)[0] == pytest.approx(13_000, abs=26)


def _cell(steps: int) -> tuple[Expr, dict[Any, Any]]:
    rng = np.random.default_rng(1)
    xs = mg.var("xs", (steps, 3))
    weights = {k: mg.param(f"W_{k}", rng.normal(size=(7, 4))) for k in "fiCo"}

    def step(carry: Any, x: Any) -> Any:
        h, c = carry
        z = mg.concat([h, x])
        f, i, o = (mg.sigmoid(z @ weights[k]).named(k) for k in "fio")
        c = (f * c + i * mg.tanh(z @ weights["C"])).named("C")
        return ((o * mg.tanh(c)).named("h"), c), None

    (h, _), _ = mg.scan(step, (mg.zeros((4,)), mg.zeros((4,))), xs)
    return mg.sum(h), {xs: rng.normal(size=(steps, 3))}


def _least_text(diagram: Diagram) -> float:
    wide, high = _natural(diagram)
    scale = min(1920 / wide, 1080 / high)
    return min(float(x) for x in re.findall(r'font-size="([\d.]+)"', diagram.svg)) * scale


def test_a_slide_of_one_cell_has_no_text_under_18_pixels_and_no_caption() -> None:
    y, at = _cell(50)
    diagram = draw(y, at, grad=True, size="slide")
    root = ET.fromstring(diagram.svg)
    assert (root.get("width"), root.get("height")) == ("1920", "1080")
    assert _least_text(diagram) >= 18.0
    assert "colour and width are the norm" not in diagram.dot
    picture = diagram.picture
    assert picture is not None
    assert not any(n.role == "param" for n in picture.nodes)
    wide, high = _pixels(diagram.png)
    assert max(wide / 1920, high / 1080) == pytest.approx(1.0, abs=0.01)
    assert wide <= 1922 and high <= 1082


def test_three_steps_fit_a_slide_with_text_of_12_pixels() -> None:
    y, at = _cell(3)
    diagram = draw(y, at, grad=True, size="slide", loops=3)
    assert diagram.picture is not None
    assert diagram.picture.groups == ["step 1", "step 2", "step 3"]
    assert _least_text(diagram) >= 12.0


def test_what_cannot_be_read_on_a_slide_is_refused_with_what_helps() -> None:
    y, at = _cell(6)
    diagram = draw(y, at, grad=True, size="slide", loops=6)
    with pytest.raises(RenderError, match=r"on a slide of 1920 x 1080.*loops='folded'"):
        diagram.data("svg")
    assert draw(y, at, grad=True, size="slide", loops="folded").data("svg")
