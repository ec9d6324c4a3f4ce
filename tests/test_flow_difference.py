"""One flow less another: decades by step and unit, in words, in files, read back from charts."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex

import lstm
from lstm.figures import draw_difference, plot_difference
from lstm.gradient_flow import Difference, Flow, Series
from lstm.gradient_flow.words import EQUAL
from minigrad.drawing import Ratios, charts, palette
from minigrad.drawing.amount import kind_of
from minigrad.drawing.theme import special_style

T, B, H = 9, 3, 4
NAMES = ("RNN", "LSTM")


def flow(norms: Any, symbol: str = "h") -> Flow:
    """A flow of numbers alone."""
    sizes = [float(x) for x in norms]
    series = Series(symbol, sizes, [kind_of(x) for x in sizes])
    return Flow("own", len(sizes), 1, "float64", 0.0, {symbol: series}, None, {}, [])


def less(first: Any, second: Any) -> Difference:
    return lstm.compare(flow(first), flow(second, "C"), names=["a", "b"]).difference()


@pytest.fixture(scope="module")
def measured() -> Difference:
    rng = np.random.default_rng(0)
    models = [lstm.Model.create(cell(2, H), 1, seed=0) for cell in (lstm.RNN, lstm.LSTM)]
    xs, ys = rng.normal(size=(T, B, 2)), np.ones((B, 1))
    return lstm.compare(*[lstm.flow(model, xs, ys) for model in models]).difference()


# --- numbers --------------------------------------------------------------------------------------


def test_decades_are_logarithms_of_the_ratio_by_step_and_by_unit(measured: Difference) -> None:
    h, c = measured.first.adjoints["h"], measured.second.adjoints["C"]
    rows = [np.linalg.norm(x.astype(float).reshape(T, -1), axis=1) for x in (h, c)]
    np.testing.assert_allclose(measured.decades, np.log10(rows[0] / rows[1]), atol=1e-6)
    units = [np.linalg.norm(x.astype(float), axis=1) for x in (h, c)]
    assert measured.by_unit is not None and measured.by_unit.shape == (T, H)
    np.testing.assert_allclose(measured.by_unit, np.log10(units[0] / units[1]), atol=1e-6)
    assert measured.names == NAMES
    both = lstm.compare(measured.first, measured.second)
    assert np.array_equal(both.difference("LSTM", "RNN").decades, -measured.decades)


def test_what_is_0_or_no_number_has_no_decades() -> None:
    with np.errstate(all="raise"):
        made = less([1.0, 0.0, 0.0, math.inf, 1e-300], [0.0, 1.0, 0.0, 1.0, 1e300]).decades
    assert made[:2].tolist() == [math.inf, -math.inf] and math.isnan(made[2])
    assert made[3] == math.inf and made[4] == pytest.approx(-600.0)
    assert less([1.0], [1.0]).by_unit is None


def test_an_underflow_has_the_decades_that_it_is_in_truth() -> None:
    lost = flow([0.0, 1e-40, 1.0])
    source: Any = SimpleNamespace()
    known = replace(lost, source=source)
    vars(known).update(decades=np.array([-86.5, -40.0, 0.0]))
    made = lstm.compare(known, flow([0.1, 0.1, 0.1], "C"), names=["a", "b"]).difference()
    assert made.decades == pytest.approx([-85.5, -39.0, 1.0])
    assert made.sentences[0] == "b holds 85.5 decades more than a at t=1."
    assert made.by_unit is None


# --- words and files ------------------------------------------------------------------------------


def test_words_say_which_holds_more() -> None:
    assert less([1e-6, 1.0], [10**-1.9, 1.0]).sentences == [
        "b holds 4.1 decades more than a at t=1."
    ]
    assert less([1.0, 1.0], [1e-2, 1e-3]).sentences == [
        "a holds 2.0 decades more than b at t=1.",
        "They differ most at t=2: a holds 3.0 decades more than b at t=2.",
    ]
    for decades, told in ((0.99, "a and b hold as much"), (1.01, "a holds 0.1 decades more")):
        assert less([10 ** (decades * EQUAL)], [1.0]).sentences[0].startswith(told)
        apart = less([1.0, 10 ** (decades * EQUAL)], [1.0, 1.0]).sentences
        assert (len(apart) == 2) == (decades > 1)
    lost = less([0.0, 1.0], [1.0, 10.0]).sentences
    assert lost[0].startswith("At t=1, ∂L/∂C₁ of 'b' is 1.0e+00 and ∂L/∂h₁ of 'a' is exactly 0")
    assert lost[1] == "They differ most at t=2: b holds 1.0 decades more than a at t=2."


def test_tables_and_files_have_the_numbers(measured: Difference, tmp_path: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(measured.to_csv())))
    assert len(rows) == T and [row["t"] for row in rows] == [str(t) for t in range(1, T + 1)]
    for t, row in enumerate(rows):
        assert float(row["RNN: |dL/dh|"]) == measured.first.main.norms[t]
        assert float(row["LSTM: |dL/dC|"]) == measured.second.main.norms[t]
        assert float(row["decades"]) == measured.decades[t]
        units = [float(row[f"unit {k}"]) for k in range(1, H + 1)]
        assert units == measured.by_unit[t].tolist()  # type: ignore[index]
    measured.save(tmp_path / "d.json")
    values = json.loads((tmp_path / "d.json").read_text("utf-8"))
    assert values["names"] == [*NAMES] and values["sentences"] == measured.sentences
    assert values["steps"]["decades"] == measured.decades.tolist()
    assert less([0.0], [1.0]).to_json()["steps"]["decades"] == ["-inf"]
    shown = repr(measured)
    assert f"{measured.decades[0]:+.2f}" in shown and measured.sentences[0] in shown


def test_wrong_names_steps_and_kinds_are_refused(measured: Difference) -> None:
    both = lstm.compare(flow([1.0]), flow([1.0, 2.0]), names=["a", "b"])
    with pytest.raises(lstm.ConfigError, match="'a' has 1 steps and 'b' 2: a difference by step"):
        both.difference()
    for wrong in ("c", 1, flow([1.0])):
        with pytest.raises(lstm.ConfigError, match=r"no flow .*; they are a, b"):
            both.difference("a", wrong)  # type: ignore[arg-type]
    with pytest.raises(lstm.ConfigError, match=r"takes a difference, what lstm.compare\(a, b\)"):
        plot_difference(measured.first)  # type: ignore[arg-type]


# --- charts ---------------------------------------------------------------------------------------


def boxes_of(ax: Any) -> list[Any]:
    return [c for c in ax.collections if isinstance(c, PolyCollection)]


def lines_of(ax: Any) -> list[Any]:
    return [c for c in ax.collections if isinstance(c, LineCollection)]


def boxes(ax: Any) -> list[tuple[float, float, float, float, str]]:
    """Left, right, top, bottom and colour of all that is filled."""
    filled, *others = boxes_of(ax)
    assert not others
    corners = [path.vertices for path in filled.get_paths()]
    colors = map(to_hex, filled.get_facecolor())
    return [
        (v[:, 0].min(), v[:, 0].max(), v[0, 1], v[2, 1], color)
        for v, color in zip(corners, colors, strict=True)
    ]


def test_bars_reach_from_0_to_the_decades_in_the_colours_of_the_scale() -> None:
    row = [-3.0, -0.2, 0.0, -1.0, 2.5, math.inf, math.nan]
    ax = charts.difference(row, names=("a", "b"))
    scale = Ratios.between([10**-3.0])
    assert scale.classes == 12
    told = {t: row[t] for t in (0, 1, 3, 4)}  # 0 has no height
    for (t, value), box in zip(told.items(), boxes(ax), strict=True):
        left, right, top, bottom, color = box
        assert (left, right) == (t + 0.5, t + 1.5)
        assert top == pytest.approx(value) and bottom == 0.0
        assert color == palette.SIDES[int(np.floor(value * 2)) + 6]
    told_each = (
        "t=1: −3.00 decades",
        "t=2: −0.20 decades",
        "t=4: −1.00 decades",
        "t=5: +2.50 decades",
    )
    assert boxes_of(ax)[0].hints == told_each
    low, high = ax.get_ylim()
    assert -3.5 < low < -3.0 and 2.5 < high < 3.0
    said = [text.get_text() for text in ax.child_axes[0].texts]
    assert said[0] == "Decades that a holds more (+) or b (−): colour"
    assert said[1:] == ["as much", *scale.labels] or said[1:] == [*scale.labels, "as much"]


def test_what_is_equal_is_on_neither_side() -> None:
    """A neutral look, of bars as of units, that the legend has where it occurs alone."""
    even = special_style("even")
    assert even.color not in {*palette.SIDES, *palette.RAMP}
    for dress in (palette.LIGHT, palette.DARK):
        assert palette.contrast(even.color, dress["page"]) >= 3.0
    ax = charts.difference([0.0, 0.4, 1e-9, -1e-9])
    (line,) = lines_of(ax)
    assert [p.vertices.tolist() for p in line.get_paths()] == [[[0.5, 0.0], [1.5, 0.0]]]
    assert (to_hex(line.get_color()[0]), line.hints) == (even.color, ("t=1: as much",))
    middle = palette.SIDES[5:7]
    assert [box[-1] for box in boxes(ax)] == [middle[1], middle[1], middle[0]]
    assert "as much" in [text.get_text() for text in ax.child_axes[0].texts]
    none = charts.difference([0.1, -2.0])
    assert "as much" not in [text.get_text() for text in none.child_axes[0].texts]
    long = np.full(1000, 0.0)
    long[500] = 0.5
    ax = charts.difference(long)
    (line,) = lines_of(ax)
    assert (len(boxes(ax)), len(line.get_paths())) == (1, 255)


def test_the_axis_ends_at_0_where_all_are_on_one_side() -> None:
    for row, (low, high) in (([-4.0, -1.0], (-4.16, 0.16)), ([0.5, 2.0], (-0.08, 2.08)),
                             ([0.0], (-0.5, 0.5))):  # fmt: skip
        assert charts.difference(row).get_ylim() == pytest.approx((low, high))


def test_units_of_one_norm_are_even_in_the_map(measured: Difference) -> None:
    same = Difference(measured.first, measured.first, ("a", "b"))
    _, units, key = same.draw().figure.axes
    (lines,) = lines_of(units)
    assert {to_hex(c) for c in lines.get_color()} == {special_style("even").color}
    assert len(lines.get_paths()) == H and not boxes_of(units)
    said = [text.get_text() for text in key.texts]
    assert "as much" in said and not any("no number" in words for words in said)


def test_why_units_are_left_out_is_said(measured: Difference) -> None:
    rng = np.random.default_rng(0)
    model = lstm.Model.create(lstm.LSTM(2, H + 1), 1, seed=0)
    larger = lstm.flow(model, rng.normal(size=(T, B, 2)), np.ones((B, 1)))
    made = lstm.compare(measured.first, larger).difference()
    said = "Units are not compared: RNN has 4 and LSTM 5."
    assert made.by_unit is None and made.without_units == said and measured.without_units == ""
    chart = made.draw()
    assert said in [text.get_text() for text in chart.figure.texts]
    assert said in chart.description and said in repr(made) and len(chart.figure.axes) == 2
    bare = lstm.compare(measured.first, flow([1.0] * T), names=["a", "b"]).difference()
    assert bare.without_units == "Units are not compared: b is of numbers alone."


def test_long_rows_keep_both_ends_of_each_bin() -> None:
    row = np.full(1000, 0.25)
    row[500], row[501] = 4.0, -5.0
    heights = [top for _, _, top, _, _ in boxes(charts.difference(row))]
    assert max(heights) == pytest.approx(4.0) and min(heights) == pytest.approx(-5.0)
    assert len(heights) == 257  # a bin of one number has one bar


def test_the_picture_has_the_map_of_units_on_the_same_scale(measured: Difference) -> None:
    chart = draw_difference(measured, theme="dark")
    bars, units, _key = chart.figure.axes
    assert measured.by_unit is not None
    most = max(abs(measured.decades).max(), abs(measured.by_unit).max())
    scale = Ratios.between([10**most])
    for left, right, top, _, color in boxes(units):
        unit = round(top + 0.5) - 1
        for t in range(round(left - 0.5), round(right - 0.5)):
            assert color == scale.style(10 ** measured.by_unit[t, unit]).color
    for left, _, top, _, color in boxes(bars):
        assert top == pytest.approx(measured.decades[round(left - 0.5)])
        assert color == scale.style(10**top).color
    assert measured.sentences[0] in chart.description
    assert "Where RNN holds more of the gradient than LSTM, and where less" in chart.svg
    alone = less([1.0, 2.0], [1.0, 1.0]).draw()
    assert len(alone.figure.axes) == 2


# --- the scale ------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0.0, 2.0, 2.2, 3.0, 3.1, 6.0, 6.1, 12.0, 40.0, 300.0])
def test_a_two_sided_scale_is_even_and_meets_at_1(most: float) -> None:
    scale = Ratios.between([10**-most, 1.0])
    half = scale.classes // 2
    assert scale.hi_exp >= max(most, 2.0) and scale.lo_exp == -scale.hi_exp
    assert 4 <= half <= 6 and scale.labels[half] == "0" and scale.edges[half] == 1.0
    step = scale.hi_exp / half
    assert step == 0.5 or step == round(step)
    assert [float(x.replace("−", "-")) for x in scale.labels] == [
        step * k for k in range(-half, half + 1)
    ]
    looks = [scale.class_style(k) for k in range(scale.classes)]
    assert len({look.color for look in looks}) == scale.classes
    assert {look.color for look in looks[:half]} <= {*palette.SIDES[:6]}
    assert {look.color for look in looks[half:]} <= {*palette.SIDES[6:]}
    assert looks[0].color == palette.SIDES[0] and looks[-1].color == palette.SIDES[-1]
    assert [look.width for look in looks] == [look.width for look in looks[::-1]]


def test_colours_of_both_sides_are_told_from_both_pages() -> None:
    for color in palette.SIDES:
        for dress in (palette.LIGHT, palette.DARK):
            assert palette.contrast(color, dress["page"]) >= 3.0
    assert not {*palette.SIDES} & {*palette.RAMP}
