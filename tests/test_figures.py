"""The figures of gradient flow and the files of a command."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells import CELLS, LSTM, RNN
from lstm.figures import cell_unrolled, compare_flows, paths, write_flow
from lstm.model import Model
from lstm.tasks import Adding
from minigrad.drawing.amount import norm
from minigrad.drawing.charts import BINS, Curve, bins, decades, scale_of, ticks
from minigrad.drawing.charts.looks import extremes, number
from minigrad.drawing.charts.names import Frame, Spot, name_spots

pytestmark = pytest.mark.usefixtures("by_numpy")

SVG = "{http://www.w3.org/2000/svg}"


def _data(steps: int = 12, batch: int = 4):
    return Adding(length=max(steps, 2)).batch(np.random.default_rng(2), batch)


def _model(kind, seed: int = 0, hidden: int = 4) -> Model:
    return Model.create(kind(2, hidden), 1, seed, Adding(length=12).config())


def _words(svg: str) -> str:
    return " ".join("".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text"))


@pytest.fixture(scope="module")
def flows():
    xs, ys = _data()
    return {kind.name: lstm.flow(_model(kind), xs, ys) for kind in (RNN, LSTM)}


# --- the cell ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS.values())
def test_every_cell_is_drawn_with_every_op(kind) -> None:
    xs, ys = _data()
    model = _model(kind)
    figure = cell_unrolled(model, xs, ys, steps=2)
    picture = figure.picture
    assert list(picture.groups) == ["step t = 1", "step t = 2"]
    symbols = {"i", "f", "o"} & set(model.unroll(mg.var("x", (1, 1, 2), "float32")).values[0])
    names = {n.name for n in picture.nodes}
    assert {f"{s}{t}" for s in symbols | {"h"} for t in "₁₂"} <= names
    assert picture.is_placed == (kind is not lstm.LayerNormLSTM)  # its norms have no place
    assert "step t = 2" in _words(figure.svg)


def test_the_cell_shows_the_gradients_of_its_graph() -> None:
    xs, ys = _data()
    model = _model(LSTM)
    picture = cell_unrolled(model, xs, ys, steps=3).picture
    flow = lstm.flow(model, xs[:3], ys)
    for symbol, series in flow.series.items():
        for t, expected in enumerate(series.norms, 1):
            (node,) = [n for n in picture.nodes if n.name == f"{symbol}{'₁₂₃'[t - 1]}"]
            assert node.adjoint.norm == pytest.approx(expected, rel=1e-5)
    lane = [n for n in picture.nodes if n.lane == "the cell line"]
    assert len(lane) == 7  # C₀, and a product and a sum for each step
    assert len({n.place[1] for n in lane}) == 1


def test_the_initial_states_are_two_nodes() -> None:
    names = [n.name or n.title for n in cell_unrolled(_model(LSTM), *_data()).picture.nodes]
    assert names.count("h₀") == names.count("C₀") == 1


# --- curves and strips ---------------------------------------------------------------------------


def test_panels_show_names_ends_and_words(flows) -> None:
    figure = compare_flows({"before": [*flows.values()], "after": [*flows.values()]})
    words = _words(figure.svg)
    for flow in flows.values():
        for symbol, series in flow.series.items():
            assert f"|∂L/∂{symbol}ₜ|" in words
            assert f"{series.first:.1e}" in words
            assert f"{series.last:.1e}" in words
        assert flow.diagnosis[0] in words
    assert "decades" in words
    assert "before" in words
    assert figure.description.count("RNN") >= 2


def test_everything_compared_has_one_scale(flows) -> None:
    curves = [Curve.of(n, s.norms, s.kinds) for n, f in flows.items() for s in f.series.values()]
    scale = scale_of(curves)
    values = [x for c in curves for x in c.norms]
    assert 10**scale.hi_exp >= max(values) * (1 - 1e-9)
    lo, hi = decades(curves)
    assert 10.0**lo <= min(values)
    assert 10.0**hi >= max(values)


def test_paths_need_a_line(flows) -> None:
    words = _words(paths({"": flows["lstm"]}).svg)
    assert "along the line (∏ f)" in words
    assert "through h and the gates" in words
    with pytest.raises(ValueError, match="no cell line"):
        paths({"": flows["rnn"]})


def test_names_are_clear_of_curves_and_of_each_other() -> None:
    steps = 100
    norms = {
        "first": [2e-2 - 5e-5 * t for t in range(steps)],
        "second": [1.4e-2 * 0.98**t for t in range(steps)],
        "third": [9e-3 + 6e-5 * t for t in range(steps)],
    }
    curves = [Curve.of(name, values) for name, values in norms.items()]
    frame = Frame(360.0, 230.0, *decades(curves), steps)
    chosen = dict(name_spots(frame, curves))
    assert set(chosen) == set(norms)
    for name, spot in chosen.items():
        others = [other for word, other in chosen.items() if word != name]
        assert spot.is_within(frame)
        assert not spot.hits(frame, curves, others), name


@pytest.mark.parametrize(
    "norms",
    [[0.0] * 5, [np.nan] * 5, [np.inf, 1.0, 0.0, np.nan, 1e-300], [0.5], [1e300, 1e-300]],
)
def test_odd_curves_are_drawn(norms) -> None:
    from lstm.gradient_flow import Flow, Series

    kinds = [Curve.of("", [x]).kinds[0] for x in norms]
    series = Series("h", list(norms), kinds)
    flow = Flow("rnn", len(norms), 1, "float64", 0.0, {"h": series}, None, {}, ["words"])
    assert "words" in _words(compare_flows({"": [flow]}).svg)


def test_bins_keep_spikes() -> None:
    assert len(bins(5000)) == BINS
    assert [b for a, _ in bins(5000) for b in [a]] == sorted({a for a, _ in bins(5000)})
    norms = [1e-3] * 5000
    norms[2345] = 1.0
    which = extremes(np.array([norms]))
    assert [w.shape for w in which] == [(1, BINS)] * 2
    assert max(norms[t] for t in which[0][0]) == 1.0
    assert max(norms[t] for t in which[1][0]) == 1e-3


def test_ticks_and_numbers() -> None:
    assert ticks(1) == [1]
    assert ticks(1000) == [1, 200, 400, 600, 800, 1000]
    curve = Curve.of("c", [0.0, 0.0, 2e-5], ["underflow", "zero", "normal"])
    assert [number(curve, t) for t in range(3)] == ["underflow", "exactly 0", "2.0e-05"]


# --- files ---------------------------------------------------------------------------------------


def test_flow_writes_its_files_for_a_cell_without_line(tmp_path: Path) -> None:
    written = write_flow(tmp_path, _model(RNN), *_data())
    names = {"index.html", "flow.csv", "flow.json"}
    names |= {f"{n}.{s}" for n in ("flow", "details", "cell") for s in ("svg", "png")}
    assert {p.name for p in written} == names
    assert all(p.stat().st_size > 500 for p in written if p.suffix == ".png")


@pytest.mark.usefixtures("vectors")
def test_one_step_is_enough(tmp_path: Path) -> None:
    xs, ys = _data()
    assert write_flow(tmp_path, _model(LSTM), xs[:1], ys)


def test_the_measured_norm_is_the_pictures(flows) -> None:
    assert norm(np.array(flows["lstm"].series["C"].norms)) > 0


def test_a_name_stands_under_a_curve_that_has_no_room_above() -> None:
    curve = Curve.of("only", [1.0] * 20)
    frame = Frame(360.0, 230.0, -3, 0, 20)
    ((word, spot),) = name_spots(frame, [curve])
    assert word == "only"
    assert spot.y == frame.ys(np.array([1.0]))[0] + 9.0
    assert 0.0 <= spot.left <= 0.1 * frame.width


def test_a_name_may_not_cross_the_piece_that_leads_to_its_first_step() -> None:
    curve = Curve.of("jump", [1e-3] * 5 + [1.0] * 15)
    frame = Frame(200.0, 230.0, -3, 0, 20)
    # From the middle of step 5, at 45, the curve rises to that of step 6, at 55.
    halfway = frame.ys(np.array([10**-1.5]))[0]
    assert Spot(52.0, 20.0, halfway, 0.0).hits(frame, [curve], [])
    assert not Spot(72.0, 20.0, halfway, 0.0).hits(frame, [curve], [])


def test_a_name_lies_on_no_curve_where_many_decades_are_low() -> None:
    """As in the picture of README: two curves of an LSTM at the top, and an RNN's that vanishes."""
    norms = {
        "LSTM ‖∂L/∂Cₜ‖": [0.06 * 1.01**t for t in range(100)],
        "LSTM ‖∂L/∂hₜ‖": [3e-4 * 1.01**t for t in range(100)],
        "RNN ‖∂L/∂hₜ‖": [0.3 * 0.41 ** (100 - t) for t in range(100)],
    }
    curves = [Curve.of(name, values) for name, values in norms.items()]
    frame = Frame(322.0, 194.0, *decades(curves), 100)
    chosen = dict(name_spots(frame, curves))
    for name, spot in chosen.items():
        others = [other for word, other in chosen.items() if word != name]
        assert spot.is_within(frame) and not spot.hits(frame, curves, others), name
