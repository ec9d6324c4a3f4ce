"""Charts of a flow: what is drawn against its arrays, which other tests hold against the graph."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from test_chart_maps import color_at

import lstm
import minigrad as mg
from lstm.figures import flow_details
from lstm.figures.forecast import plot_forecast
from lstm.forecasting import Forecast
from lstm.tasks import Adding
from minigrad.drawing import Scale
from minigrad.drawing.charts import Chart
from minigrad.drawing.charts.marks import Stretches

pytestmark = pytest.mark.usefixtures("by_numpy")

STEPS = 12
SCALE = Scale(-12.0, 0.0)


def _flow(kind: type[lstm.Cell] = lstm.LSTM, seed: int = 0):
    xs, ys = Adding(length=STEPS).batch(np.random.default_rng(seed), 5)
    return lstm.flow(lstm.Model.create(kind(2, 4, "float64"), 1, seed), xs, ys)


@pytest.fixture(scope="module")
def flow():
    return _flow()


def _points(ax) -> dict[str, dict[int, float]]:
    """{label: {t: norm}} of the curves, as their stretches' corners and hints say."""
    shown: dict[str, dict[int, float]] = {}
    for lines in (a for a in ax.collections if isinstance(a, Stretches)):
        for hint, path in zip(lines.hints, lines.get_segments(), strict=True):
            for t, norm in path[1:-1]:
                shown.setdefault(hint.rpartition(": t=")[0], {})[round(t)] = norm
    return shown


def _color(size: float) -> str:
    return SCALE.style(size).color


def test_curves_are_the_norms(flow) -> None:
    for ax in (lstm.plot_norms(flow), flow.plot()):
        shown = _points(ax)
        assert set(shown) == {"LSTM  |∂L/∂Cₜ|", "LSTM  |∂L/∂hₜ|"}
        for part in "Ch":
            norms = [np.linalg.norm(step) for step in flow.adjoints[part]]
            drawn = shown[f"LSTM  |∂L/∂{part}ₜ|"]
            assert [drawn[t] for t in range(1, STEPS + 1)] == pytest.approx(norms)


def test_paths_are_the_parts(flow) -> None:
    shown = _points(lstm.plot_paths(flow))
    for label, part in (
        ("along the line (∏ f)", flow.line),
        ("through h and the gates", flow.around),
    ):
        norms = [np.linalg.norm(step) for step in part]
        for t, norm in shown[label].items():
            if norms[t - 1] > 0.0:
                assert norm == pytest.approx(norms[t - 1])
        assert set(shown[label]) == set(range(1, STEPS + 1))
    with pytest.raises(ValueError, match="no cell line"):
        lstm.plot_paths(_flow(lstm.RNN))


@pytest.mark.parametrize("part", ["", "h"])
def test_units_are_norms_over_the_batch(flow, part: str) -> None:
    ax = lstm.plot_units(flow, part, scale=SCALE)
    adjoints = flow.adjoints[part or "C"]
    for t in range(STEPS):
        for unit in range(4):
            norm = float(np.sqrt(sum(x * x for x in adjoints[t, :, unit])))
            assert color_at(ax, t + 1, unit + 1) == _color(norm), (t, unit)
    assert ax.get_title("left") or ax.get_title("center")
    with pytest.raises(lstm.ConfigError, match="no part 'q'; the parts of the state are h, C"):
        lstm.plot_units(flow, "q")


def test_a_unit_that_underflows_with_its_step_says_so() -> None:
    flow = _flow()

    series = replace(flow.series["C"], kinds=["underflow"] * STEPS)
    flow = replace(flow, series={**flow.series, "C": series})
    flow.__dict__["unit_norms"] = {"C": np.zeros((STEPS, 4)), "h": flow.unit_norms["h"]}
    ax = lstm.plot_units(flow, scale=SCALE)
    (lines,) = [a for a in ax.collections if isinstance(a, Stretches)]
    assert len(lines.hints) == 4
    assert all("underflow" in hint for hint in lines.hints)


@pytest.mark.parametrize("route", ["line", "f", "i", "o", "C̃"])
def test_a_waterfall_ends_where_its_links_bring_it(flow, route: str) -> None:
    fall = flow.waterfalls[route]
    ax: Any = lstm.plot_waterfall(flow, route, scale=SCALE)
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == [f"∂L/∂{fall.part} at t={STEPS}", *fall.links, "at t=1"]
    at = fall.start
    for k, bar in enumerate(ax.patches):
        lost = sum(fall.decades[:, k])
        assert (bar.get_x(), bar.get_width()) == pytest.approx((at, lost))
        at += lost
    assert len(ax.patches) == len(fall.links)
    assert ax.texts[-1].get_text() == f"{10**at:.3g}"
    assert ax.texts[0].get_text() == f"{10**fall.start:.3g}"
    with pytest.raises(lstm.ConfigError, match="no route 'q'; the routes are line"):
        lstm.plot_waterfall(flow, "q")


def test_the_waterfall_is_of_the_route_by_which_most_comes(flow) -> None:
    ends = {name: fall.end for name, fall in flow.waterfalls.items()}
    most = max(ends, key=lambda name: ends[name] if ends[name] == ends[name] else -math.inf)
    ax = lstm.plot_waterfall(flow)
    assert [t.get_text() for t in ax.get_yticklabels()][1:-1] == list(flow.waterfalls[most].links)


@pytest.mark.parametrize("at", [1, 7])
def test_knock_outs_are_ranked_and_of_their_step(flow, at: int) -> None:
    ax: Any = lstm.plot_knockouts(flow, at)
    cuts = flow.cuts
    whole = np.linalg.norm(flow.adjoints["C"][at - 1])
    shares = dict(zip(cuts.routes, cuts.change[:, at - 1] / whole, strict=True))
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert len(labels) == min(8, len(shares))
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx([shares[name] for name in labels])
    assert widths == sorted(widths, reverse=True)
    words = [f"{shares[n]:.1%} ({shares[n] * whole:.1e})" for n in labels]
    assert [t.get_text() for t in ax.texts] == words
    assert f"at t={at}" in ax.get_xlabel()
    assert len(lstm.plot_knockouts(flow, most=2).patches) == 2
    with pytest.raises(lstm.ConfigError, match="at= is a step"):
        lstm.plot_knockouts(flow, 0)


def test_knock_outs_of_no_gradient_say_so() -> None:
    """Weights of 0.01 over 300 steps: far below the least float32."""
    model = lstm.Model.create(lstm.RNN(2, 4), 1, 0)
    model.params["layer1"]["W_h"].value = np.full((6, 4), 0.01, np.float32)
    xs, ys = Adding(length=300).batch(np.random.default_rng(0), 3)
    ax: Any = lstm.plot_knockouts(lstm.flow(model, xs, ys), 1)
    assert ax.get_xlabel() == "no gradient ∂L/∂h arrives at t=1"
    assert {t.get_text() for t in ax.texts} == {"underflow"} and ax.get_xticks().size == 0
    assert [bar.get_width() for bar in ax.patches] == [0.0] * len(ax.texts)
    assert ax.get_xlim() == (0.0, 1.0)


@pytest.mark.parametrize("part", ["", "h"])
def test_cancellation_is_the_sum_beside_its_terms(flow, part: str) -> None:
    (line,) = lstm.plot_cancellation(flow, part).lines
    terms = [*flow.edges[part or "C"].values()]
    for t, shown in zip(*line.get_data(), strict=True):
        each = [term[round(t) - 1] for term in terms]
        beside = sum(np.linalg.norm(term) for term in each)
        assert shown == pytest.approx(np.linalg.norm(sum(each)) / beside, rel=1e-6)


@pytest.mark.parametrize("symbol", ["f", "i", "o"])
def test_a_gate_is_its_values(flow, symbol: str) -> None:
    ax = lstm.plot_gate(flow, symbol)
    values = flow.values[symbol].reshape(STEPS, -1)
    assert ax.lines[0].get_ydata() == pytest.approx(values.mean(axis=1))
    corners = {(x, round(y, 9)) for x, y in ax.collections[0].get_paths()[0].vertices.tolist()}
    for t, row in enumerate(values, 1):
        assert {(t, round(row.min(), 9)), (t, round(row.max(), 9))} <= corners
    assert ax.get_ylabel() == symbol
    with pytest.raises(lstm.ConfigError, match="no gate 'q'; the gates are f, i, o"):
        lstm.plot_gate(flow, "q")
    rnn = lstm.Model.create(lstm.RNN(2, 3), 1, 0)
    plain = lstm.flow(rnn, np.ones((2, 1, 2)), np.ones((1, 1)))
    with pytest.raises(lstm.ConfigError, match=r"^a cell of kind rnn has no gates to draw$"):
        lstm.plot_gate(plain)


def test_of_a_long_gate_each_bin_reaches_from_its_least_to_its_largest(flow) -> None:
    rng = np.random.default_rng(0)
    middle = rng.uniform(0.4, 0.6, 512)
    low, high = middle - rng.uniform(0.0, 0.3, 512), middle + rng.uniform(0.0, 0.3, 512)
    rows = {"mean": middle.tolist(), "low": low.tolist(), "high": high.tolist()}
    long = replace(flow, gates={"f": replace(flow.gates["f"], **rows)})
    ax = lstm.plot_gate(long, "f", legend=False)
    corners = {tuple(p) for p in ax.collections[0].get_paths()[0].vertices.round(9).tolist()}
    for k in range(256):  # bins of two steps, each in its middle
        pair = slice(2 * k, 2 * k + 2)
        ends = {(2 * k + 1.5, round(x, 9)) for x in (low[pair].min(), high[pair].max())}
        assert ends <= corners
    assert ax.lines[0].get_ydata() == pytest.approx(middle.reshape(256, 2).mean(axis=1))


@pytest.mark.parametrize("kind", ["itemised", "influence"])
def test_triangles_hold_each_pair_of_steps(flow, kind: str) -> None:
    draw = {"itemised": lstm.plot_itemised, "influence": lstm.plot_influence}[kind]
    ax, pairs = draw(flow, scale=SCALE), getattr(flow, kind)
    for row, (t, _) in enumerate(pairs.rows):
        for column in range(STEPS):
            wanted = _color(pairs.high[row, column]) if column < t else None
            assert color_at(ax, column + 1, t) == wanted, (t, column)
    assert (
        ax.get_ylabel()
        == {"itemised": "the loss at step t", "influence": "the output at step t"}[kind]
    )


def test_memory_is_ranked_beside_its_promise(flow) -> None:
    ax: Any = lstm.plot_memory(flow)
    labels = [t.get_text() for t in ax.get_yticklabels()]
    memory = flow.memory
    order = sorted(range(4), key=lambda k: -memory.measured[k])
    assert labels == [f"unit {k + 1}" for k in order]
    assert [p.get_width() for p in ax.patches] == pytest.approx(memory.measured[order])
    first = f"{memory.measured[order[0]]:.3g} ({memory.promised[order[0]]:.3g})"
    assert ax.texts[0].get_text() == first
    with pytest.raises(lstm.ConfigError, match="has no line"):
        lstm.plot_memory(_flow(lstm.RNN))


@pytest.mark.parametrize("kind", [lstm.LSTM, lstm.RNN, lstm.GRU])
def test_details_hold_every_chart_and_the_inputs_of_the_sequence(kind) -> None:
    flow = _flow(kind)
    figure = flow_details(flow, sequence=2).figure
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles[1] == "Where a route is cut"
    assert sum(title.startswith("input x[") for title in titles) == 2
    assert all(any(f" {s}" in title for title in titles) for s in flow.gates)
    for k in (0, 1):
        (ax,) = [a for a in figure.axes if a.get_title("left").startswith(f"input x[{k}]")]
        assert ax.lines[0].get_ydata() == pytest.approx(flow.inputs[:, 2, k])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_drawn_lies_within_the_picture(flow, theme) -> None:
    chart = flow_details(flow, theme=theme)
    figure = chart.figure
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for ax in figure.axes:  # with its labels, numbers and words
        box = ax.get_tightbbox()
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, ax.get_title()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    for k, one in enumerate(boxes):  # and none lies on another
        assert not any(one.padded(-3).overlaps(other.padded(-3)) for other in boxes[:k])
    assert isinstance(chart, Chart)


def test_what_is_far_below_a_float_is_measured_all_the_same() -> None:
    """After 300 steps of float32 the line keeps 1e-41, and squares of gradients are 0."""
    xs, ys = Adding(length=300).batch(np.random.default_rng(0), 4)
    far = lstm.flow(lstm.Model.create(lstm.LSTM(2, 8), 1, 0), xs, ys)
    assert all(np.isfinite(fall.decades).all() for fall in far.waterfalls.values())
    line = far.waterfalls["line"]
    each = np.log10(np.abs(far.line[-1], dtype=np.float64))
    each += np.log10(far.factor[1:].astype(np.float64)).sum(axis=0)
    assert line.end == pytest.approx(np.log10(np.square(10.0**each).sum()) / 2, abs=1e-3)
    assert line.end < -36.0
    cut = {k.route: k for k in far.knockouts(1)}["C"]
    assert cut.share == pytest.approx(1.0, rel=1e-3)  # nothing comes but through C


def _strips(chart: Chart) -> list[Axes]:
    """The strips, row by row of panels, each from the left."""
    strips = [ax for ax in chart.figure.axes if any("|∂L/∂" in name for name in _rows(ax))]
    return sorted(strips, key=lambda ax: (-round(ax.get_position().y1, 2), ax.get_position().x0))


def _rows(ax: Axes) -> list[str]:
    """The labels above the rows of strips, which have no axis upwards."""
    return [text.get_text() for text in ax.texts[::3]] if not ax.get_yticks().size else []


def test_each_panel_names_its_strips_and_panels_without_room_stand_below() -> None:
    chart = lstm.compare(_flow(lstm.RNN), _flow(lstm.LSTM), _flow(lstm.GRU)).draw()
    assert [_rows(ax) for ax in _strips(chart)] == [
        ["RNN  |∂L/∂hₜ|"],
        ["LSTM  |∂L/∂Cₜ|", "LSTM  |∂L/∂hₜ|"],
        ["GRU  |∂L/∂hₜ|"],
    ]
    first, second, third = (ax.get_position() for ax in _strips(chart))
    assert first.x1 < second.x0 and first.y0 > third.y1 and first.x0 == third.x0
    # The numbers of two panels are clear of each other.
    before, after = (ax.texts for ax in _strips(chart)[:2])
    assert max(t.get_window_extent().x1 for t in before) < min(
        t.get_window_extent().x0 for t in after
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [255.0, 640.0, 900.0])
def test_figures_keep_within_their_width(flow, width: float) -> None:
    from lstm.figures import compare_flows, paths

    both = {"before": [flow], "after": [_flow(seed=1)]}
    for chart in (
        compare_flows(both, width=width),
        paths({"": flow}, width=width),
        flow_details(flow, width=width),
    ):
        figure = chart.figure
        figure.draw_without_rendering()
        assert figure.bbox.width == pytest.approx(width / 72 * figure.dpi)
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        boxes += [text.get_window_extent() for text in figure.texts]
        for box in boxes:
            assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
        for k, one in enumerate(boxes):  # and none lies on another
            assert not any(one.padded(-4).overlaps(other.padded(-4)) for other in boxes[:k])


@pytest.mark.parametrize("engine", [None, "constrained", "tight"])
def test_a_key_stands_beneath_axes_in_their_place(flow, engine) -> None:
    figure = Figure(figsize=(9, 9), layout=engine)
    grid = figure.subplots(2, 2)
    for _ in range(2):  # what is drawn again has one key
        lstm.plot_norms(flow, grid[0, 0])
        lstm.plot_paths(flow, grid[0, 1])
        lstm.plot_waterfall(flow, "line", grid[1, 0])
        lstm.plot_gate(flow, "f", grid[1, 1])
    figure.draw_without_rendering()
    keys = [key for ax in grid.flat for key in ax.child_axes]
    assert len(keys) == 4
    for key, ax in zip(keys, grid.flat, strict=True):
        box = ax.xaxis.get_tightbbox()
        assert key.get_tightbbox().y1 <= box.y0 + 1
        assert key.get_window_extent().y0 >= -1
    for above, below in ((0, 2), (1, 3)):  # clear of the titles of the row beneath
        assert keys[above].get_tightbbox().y0 > grid.flat[below].get_tightbbox().y1 - 1
    words = [[text.get_text() for text in key.texts] for key in keys]
    assert words[0][0] == words[1][0] == "Norm of the gradient: colour and width"
    assert "○ LSTM |∂L/∂hₜ|" in words[0] and "△ along the line (∏ f)" in words[1]
    assert "0" in words[1] and "0" not in words[0]  # nothing has left the line at t = T
    assert words[2][0] == "Norm at both ends: colour"
    assert " ".join(words[2]).endswith("Filled bars lose powers of ten, hollow bars win them.")
    assert " ".join(words[3]) == "A line is the mean; it is filled from the least to the largest."
    # One scale for all that is drawn of a flow, which covers both parts of the split.
    assert words[0][1:5] == words[1][1:5] == words[2][1:5]


def test_one_scale_covers_all_that_is_drawn_of_a_flow() -> None:
    flow = _flow(seed=3)
    flow = replace(
        flow, split=replace(flow.split, line=replace(flow.split.line, norms=[1e-9] * 12))
    )
    assert flow.scale.lo_exp == -9.0
    top = max(max(series.norms) for series in flow.ordered)
    assert flow.scale.hi_exp == math.ceil(math.log10(top))


def test_a_chart_may_go_without_its_key(flow) -> None:
    for draw in (lstm.plot_norms, lstm.plot_paths, lstm.plot_units, lstm.plot_waterfall,
                 lstm.plot_itemised, lstm.plot_influence, lstm.plot_gate):  # fmt: skip
        assert len(draw(flow).child_axes) == 1
        assert not draw(flow, legend=False).child_axes


def test_every_chart_has_a_title(flow) -> None:
    titles = {
        lstm.plot_norms: "How much of the gradient reaches each step",
        lstm.plot_paths: "By which path ∂L/∂Cₜ came back",
        lstm.plot_units: "|∂L/∂Cₜ| of each unit",
        lstm.plot_knockouts: "Where a route is cut",
        lstm.plot_memory: "Memory of the line",
        lstm.plot_gate: "The gates: mean, least and largest",
    }
    for draw, title in titles.items():
        assert draw(flow).get_title() == title
        assert draw(replace(flow, place="layer2 backward")).get_title().replace("\n", " ") == (
            f"{title} (layer2 backward)"
        )


def _legend_is_free(ax: Any) -> None:
    """Its words lie on no curve and not on the title."""
    ax.figure.draw_without_rendering()
    words = ax.get_legend().get_window_extent()
    assert words.y0 >= ax.get_window_extent().y1 - 1
    titles = (ax.title, ax._left_title, ax._right_title)
    (title,) = [t for t in titles if t.get_text()]
    assert not words.overlaps(title.get_window_extent())


def test_the_names_of_gates_lie_on_nothing(flow) -> None:
    own = lstm.plot_gate(flow)
    lines = own.lines[: len(flow.gates)]
    names = [text.get_text() for text in own.get_legend().get_texts()]
    assert names == ["forget gate f", "input gate i", "output gate o"]
    assert [x.get_color() for x in own.get_legend().get_lines()] == [x.get_color() for x in lines]
    _legend_is_free(own)
    for theme in ("light", "dark"):
        with mpl.rc_context(mg.charts.style(theme)):
            _legend_is_free(lstm.plot_gate(flow, ax=Figure().add_subplot()))


@pytest.mark.parametrize("target", ["y", "temperature_2m", "the_mean_temperature_of_the_air " * 3])
def test_the_names_of_a_forecasts_curves_lie_on_nothing(target: str) -> None:
    values = [0.0, 1.0, 3.0]
    forecast = Forecast(target, 3, ["a", "b", "c"], values, values[::-1], None)
    for theme in ("light", "dark"):
        with mg.charts.drawn_in(theme):
            ax: Any = plot_forecast(forecast)
            _legend_is_free(ax)
            titles = (ax.title, ax._left_title)
            assert max(t.get_window_extent().y1 for t in titles) <= ax.figure.bbox.y1
