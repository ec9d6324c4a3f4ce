"""What an error of the drawing advises can be done, and helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import read_dot

import minigrad as mg
from minigrad import Expr
from minigrad.drawing import RenderError, Scale, draw
from minigrad.drawing import render as module
from minigrad.drawing.palette import text_on
from minigrad.drawing.render import render


def _chain(length: int) -> Expr:
    y = mg.var("x")
    for _ in range(length):
        y = mg.tanh(y)
    return y


def test_a_graph_that_is_too_large() -> None:
    y = _chain(2001)
    with pytest.raises(mg.GraphError) as caught:
        draw(y, fold=False)
    advice = str(caught.value)
    assert "Draw an inner expression" in advice
    assert draw(_chain(1999), fold=False).picture is not None
    assert "str(y)" in advice and "mg.adjoints(y)" in advice
    assert str(y)
    assert mg.adjoints(y)[y] is not None
    assert "mg.draw(..., limit=None)" in advice
    assert len(read_dot(draw(y, fold=False, limit=None).dot).nodes) == 2002
    assert "left rolled" in advice
    last, _ = mg.scan(lambda h, _: (mg.tanh(h), None), mg.var("x"), None, length=5000)
    assert len(read_dot(draw(last, loops="folded").dot).nodes) == 3


def test_gradients_without_values_and_of_several_outputs() -> None:
    x, z = mg.var("x"), mg.var("z")
    with pytest.raises(mg.GraphError, match=r"values for x, z: pass at=\{x: value, \.\.\.\}"):
        draw(x * z, grad=True)
    assert draw(x * z, at={x: 1.0, z: 2.0}, grad=True).picture is not None
    outputs = [mg.tanh(x), mg.exp(x)]
    with pytest.raises(mg.GraphError, match="draw them one by one"):
        draw(outputs, {x: 1.0}, grad=True)
    for y in outputs:
        assert draw(y, {x: 1.0}, grad=True).picture is not None


def test_words_that_are_no_direction_no_values_no_format(tmp_path: Path) -> None:
    x = mg.var("x")
    with pytest.raises(mg.GraphError, match="'LR', 'RL', 'TB' or 'BT'"):
        draw(x, direction="right")
    with pytest.raises(mg.GraphError, match=r"as in at=\{x: 1\.0\}"):
        draw(x, at=1.0)  # type: ignore[arg-type]
    assert draw(x, at={x: 1.0}).picture is not None
    with pytest.raises(mg.GraphError, match="the formats are svg, png, pdf, dot") as caught:
        draw(x).save(tmp_path / "x.jpeg")
    formats = str(caught.value).rpartition("are ")[2].split(", ")
    for suffix in formats:
        assert draw(x).save(tmp_path / f"x.{suffix}").stat().st_size > 0


def test_overlapping_groups() -> None:
    x = mg.var("x")
    a, b = mg.tanh(x), mg.exp(x)
    y = a + b
    with pytest.raises(mg.GraphError, match="or the shared ones to one group only"):
        draw(y, groups={"one": [x, a], "two": [x, b]})
    assert draw(y, groups={"one": [x, a], "two": [b]}).picture is not None
    assert draw(y, groups={"one": [x, a, b], "two": [x, b]}).picture is not None


def test_a_picture_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    big = "digraph {" + ";".join(f"n{i} -> n{(i * 7919 + 13) % 3000}" for i in range(6000)) + "}"
    with pytest.raises(RenderError, match=r"allow more, as in mg\.draw\(\.\.\., timeout=3\)"):
        render(big, "svg", timeout=0.3)
    x = mg.var("x")
    monkeypatch.setattr(
        "minigrad.drawing.diagram.render", lambda dot, format, timeout: b"%g s" % timeout
    )
    assert draw(x, timeout=3).pdf == b"3 s"


def test_a_png_that_would_be_illegible_can_be_svg_or_pdf() -> None:
    dot = "digraph { rankdir=LR; a -> b [minlen=20000] }"
    with pytest.raises(RenderError, match="Use svg or pdf"):
        render(dot, "png")
    for format in ("svg", "pdf"):
        assert render(dot, format)


def test_mistakes_in_dot_text() -> None:
    with pytest.raises(RenderError, match="Put names and labels in quotes"):
        render("digraph { a - b }", "svg")
    assert render('digraph { "a - b" }', "svg")
    with pytest.raises(RenderError, match="write &, < and > as &amp;"):
        render("digraph { a [label=<x & y>] }", "svg")
    assert render("digraph { a [label=<x &amp; y>] }", "svg")
    with pytest.raises(RenderError, match=r'write " as \\" inside quotes'):
        render('digraph { a [label="x"]; } b [label="y"] }', "svg")
    assert render(r'digraph { a [label="x\"]; } b [label=\"y"] }', "svg")
    with pytest.raises(RenderError, match="The DOT text itself needs no renderer"):
        render("digraph { a }", "dot")


def test_a_machine_without_graphviz_can_still_save_dot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent() -> str:
        raise module._AbsentError("pygraphviz is not installed")

    monkeypatch.setattr(module, "_folder_of_pygraphviz", absent)
    monkeypatch.setenv("PATH", str(tmp_path))
    diagram = draw(mg.tanh(mg.var("x")))
    with pytest.raises(RenderError, match="pip install pygraphviz"):
        diagram.save(tmp_path / "x.svg")
    assert diagram.save(tmp_path / "x.dot").read_text(encoding="utf-8") == diagram.dot


def test_scales_and_colours() -> None:
    with pytest.raises(ValueError, match=r"Scale\(-6, 0\) runs from 1e-06 to 1"):
        Scale(0.0, -6.0)
    assert Scale(-6, 0).edges[0] == 1e-6
    with pytest.raises(ValueError, match=r"Scale\.of\(values\) builds"):
        Scale(float("nan"), 0.0)
    assert Scale.of([float("nan"), float("inf"), 0.0, 1.0]).hi_exp == 1.0
    with pytest.raises(ValueError, match="such as") as caught:
        text_on("blue")
    assert text_on(str(caught.value).split("'")[-2])
