"""Charts as files and in notebooks: hostile words, themes, formats, and what is loaded when."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from test_draw import HOSTILE

import minigrad as mg
from minigrad.drawing.charts import Chart, Curve, curves, drawn_in, legend, strip, strips, style
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import DARK, LIGHT, contrast

SVG = "{http://www.w3.org/2000/svg}"
NORMS = [1e-3, 1e-2, 0.0, 1.0]


def _chart(theme="auto", **options) -> Chart:
    with drawn_in(theme):
        ax = strips({"h": NORMS})
    return Chart(ax.figure, title="t", description="d", theme=theme, **options)


def _loaded(module: str, *pieces: str) -> list[bool]:
    """Whether a module is loaded after each piece of a program."""
    asked = f"print({module!r} in sys.modules)\n"
    program = "import sys\n" + "".join(f"{code}\n{asked}" for code in pieces)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return [word == "True" for word in done.stdout.split()]


@pytest.mark.slow
def test_matplotlib_is_loaded_by_those_who_plot() -> None:
    cell = "lstm.figures.cell_unrolled(lstm.Model.create(lstm.RNN(1, 1), 1, 0), [[[1.0]]], [[1.0]])"
    graphs = (
        "import minigrad as mg, lstm, lstm.figures, lstm.cli\nmg.draw(mg.tanh(mg.var('x'))).svg"
    )
    compared = "lstm.figures.compare_flows"
    assert _loaded("matplotlib", graphs, cell, compared) == [False, False, True]


@pytest.mark.slow
def test_pyplot_is_never_loaded_where_matplotlib_is() -> None:
    strip = "import minigrad as mg\nax = mg.charts.strip([1.0, 2.0])"
    assert _loaded("matplotlib", "import minigrad as mg", strip) == [False, True]
    png = "assert mg.charts.Chart(ax.figure, title='', description='').png"
    assert _loaded("matplotlib.pyplot", strip, png) == [False, False]


def test_charts_are_a_name_of_minigrad() -> None:
    assert mg.charts.strip is strip
    assert "charts" in dir(mg)


def _check_plain(svg: str, words: str) -> ET.Element:
    """That nothing in a chart is more than text or a shape, and that its title holds the words."""
    root = ET.fromstring(svg)
    assert plain(words) in "\n".join("".join(t.itertext()) for t in root.iter(f"{SVG}title"))
    tags = {e.tag.removeprefix(SVG) for e in root.iter()}
    drawn = {"path", "use", "text", "clipPath", "rect", "defs"}
    assert tags <= {"svg", "g", "title", "desc", "style"} | drawn
    assert not any(key.startswith("on") for e in root.iter() for key in e.attrib)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("draw", [strips, curves])
def test_hostile_words_of_rows_stay_text(draw: Any) -> None:
    rows = [Curve.of(words + end, NORMS) for words in HOSTILE for end in ("", " $\\frac{1}{0}$")]
    chart = Chart(draw(rows).figure, title="t", description="d")
    shown = {"".join(t.itertext()) for t in _check_plain(chart.svg, "t").iter(f"{SVG}text")}
    assert draw is curves or {plain(curve.label, 48) for curve in rows} <= shown
    assert chart.png[:4] == b"\x89PNG"
    assert chart.pdf[:5] == b"%PDF-"


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_text(words: str) -> None:
    """As the title and the description of a chart, and as the name of a curve and its mark."""
    rows = [Curve.of(words, NORMS), Curve.of(words, NORMS, mark="△")]
    _check_plain(Chart(curves(rows).figure, title=words, description=words).svg, words)
    titled = Chart(Figure((1.0, 1.0)), title=words, description=words)
    assert titled.png[:4] == b"\x89PNG"
    assert titled.pdf[:5] == b"%PDF-"


def test_each_file_is_the_same_every_time() -> None:
    first, second = _chart(), _chart()
    assert (first.svg, first.png, first.pdf) == (second.svg, second.png, second.pdf)


def test_ids_begin_with_the_prefix_and_references_are_to_them() -> None:
    svg = _chart(prefix="mine").svg
    root = ET.fromstring(svg)
    ids = [e.get("id", "") for e in root.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)
    assert all(i == "mine" or i.startswith("mine-") for i in ids)
    used = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    used += [v[4:-1] for e in root.iter() for v in e.attrib.values() if v.startswith("url(")]
    assert used
    assert {u.removeprefix("#") for u in used} <= set(ids)
    assert root.get("role") == "group"  # of what can be reached
    assert root.get("aria-labelledby") == "mine-title mine-desc"


def test_a_theme_is_a_style_and_only_auto_follows_the_reader() -> None:
    for theme, dress in (("light", LIGHT), ("dark", DARK)):
        svg = _chart(theme).svg
        assert "light-dark(" not in svg
        fills = {e.get("fill") for e in ET.fromstring(svg).iter()}
        assert dress["page"] in fills
        assert dress["ink"] in fills
        other = DARK if dress is LIGHT else LIGHT
        assert not {other["page"], other["ink"], "#000000"} & fills
    auto = _chart("auto").svg
    assert "light-dark(" in auto
    classes = {c for e in ET.fromstring(auto).iter() for c in e.get("class", "").split()}
    assert {"fill-page", "fill-ink", "fill-muted"} <= classes
    with pytest.raises(mg.GraphError, match='"light", "dark" or "auto"'):
        style("grey")  # type: ignore[arg-type]


def test_no_parameter_of_matplotlib_is_changed() -> None:
    before = dict(mpl.rcParams)
    assert _chart("dark").png
    assert dict(mpl.rcParams) == before


def test_a_figure_stays_as_it_was() -> None:
    chart = _chart()
    before = chart.figure.canvas, chart.figure.dpi, [c.get_gid() for c in chart.figure.axes]
    assert chart.svg and chart.png and chart.pdf
    assert (chart.figure.canvas, chart.figure.dpi, before[2]) == before
    assert not [a for a in chart.figure.findobj() if (a.get_gid() or "").startswith("told")]


def test_the_users_style_is_followed() -> None:
    with mpl.rc_context({"text.color": "#123456", "axes.facecolor": "#fedcba"}):
        svg = Chart(strips({"h": NORMS}).figure, title="", description="").svg
    assert 'fill="#123456"' in svg
    assert 'fill="#fedcba"' in svg


def test_axes_that_are_given_are_drawn_on_and_returned() -> None:
    figure = Figure()
    axes = figure.subplots(3)
    assert curves({"h": NORMS}, axes[0]) is axes[0]
    assert strips({"h": NORMS}, axes[1]) is axes[1]
    assert legend(mg.drawing.Scale(-3.0, 0.0), ax=axes[2]) is axes[2]
    assert isinstance(strip(NORMS), Axes)


def test_a_png_has_the_dots_that_are_asked_for() -> None:
    chart = _chart()
    width, height = chart.figure.get_size_inches()
    for dpi in (72.0, 200.0):
        data = chart.bitmap(dpi)
        size = [int.from_bytes(data[k : k + 4], "big") for k in (16, 20)]
        assert size == [int(width * dpi), int(height * dpi)]


def test_a_notebook_shows_charts_and_axes() -> None:
    assert _chart()._repr_mimebundle_().keys() == {"image/svg+xml", "text/plain"}
    ax: Any = strips({"h": NORMS})
    ax.set_title("mine")
    bundle = ax._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == "mine"


def test_a_chart_that_cannot_be_drawn_shows_why() -> None:
    chart = _chart()

    def fail(*_args: object) -> None:
        raise ValueError("no ink")

    chart.figure.draw = fail
    assert chart._repr_mimebundle_() == {"text/plain": "d\n(not drawn: ValueError('no ink'))"}


def test_files_are_told_by_their_suffix(tmp_path) -> None:
    for suffix, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert _chart().save(tmp_path / f"c.{suffix}").read_bytes().startswith(start)
    with pytest.raises(mg.GraphError, match="the formats are svg, png, pdf"):
        _chart().save(tmp_path / "c.dot")
    assert repr(_chart()) == "<Chart 't', save it as svg, png or pdf>"


def test_colours_are_told_apart_on_both_pages() -> None:
    for theme, dress in (("light", LIGHT), ("dark", DARK)):
        with drawn_in(theme):
            ax = legend(mg.drawing.Scale(-12.0, 0.0), ["zero", "nan"])
        for text in ax.texts:
            assert contrast(str(text.get_color()), dress["page"]) > 4.5
        for collection in ax.collections:
            for color in collection.get_edgecolor().tolist() or collection.get_facecolor().tolist():
                assert contrast(mpl.colors.to_hex(color), dress["page"]) > 3.0


@pytest.mark.parametrize("norms", [[], [[1.0]], 3.0])
def test_rows_that_are_none_are_refused(norms) -> None:
    with pytest.raises(mg.ShapeError, match=r"needs \(T,\) norms"):
        curves({"h": norms})


def test_rows_and_kinds_must_fit() -> None:
    with pytest.raises(mg.ShapeError, match=r"rows of one length, not of \[1, 2\]"):
        strips({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(mg.ShapeError, match="not of none"):
        curves({})
    with pytest.raises(mg.ShapeError, match=r"magnitudes \(2,\) need as many kinds, not \(1,\)"):
        Curve.of("h", np.ones(2), ["zero"])
    with pytest.raises(mg.GraphError, match="'tiny' is no kind"):
        Curve.of("h", [1.0], ["tiny"])
