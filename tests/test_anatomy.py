"""What a cell is, read from its equations: no word of one cell is said of another."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import own_cells
import pytest

import lstm
import minigrad as mg
from lstm.cells import CELLS, GRU, LSTM, RNN, CoupledLSTM, Gate, Line
from lstm.cells.anatomy import anatomy, follow, line_over_time
from lstm.errors import ConfigError
from lstm.figures import cell_unrolled, paths, write_flow
from lstm.model import Model
from lstm.tasks import Adding

pytestmark = pytest.mark.usefixtures("by_numpy")

SVG = "{http://www.w3.org/2000/svg}"


def _data(steps: int = 6, batch: int = 3):
    return Adding(length=steps).batch(np.random.default_rng(4), batch)


def _model(kind, **options) -> Model:
    return Model.create(kind(2, 4, "float64", **options), 1, seed=2)


LINES = {
    "rnn": None,
    "lstm": Line("C", "f"),
    "gru": Line("h", "1 − z"),
    "peephole": Line("C", "f"),
    "coupled": Line("C", "f"),
}
OWN_LINES = {
    own_cells.Blend: Line("C", "g"),
    own_cells.MinimalGated: Line("h", "1 − f"),
    own_cells.Leaky: Line("h", "0.875"),
    own_cells.Original: Line("C", "1"),
    own_cells.NoOut: Line("C", "f"),
    own_cells.Halting: Line("h", "its factor"),
    own_cells.Squared: None,
}


@pytest.mark.parametrize("name", LINES)
def test_the_lines_of_the_textbooks_cells(name) -> None:
    assert anatomy(CELLS[name](2, 4)).line == LINES[name]


@pytest.mark.parametrize("kind", OWN_LINES)
def test_the_line_of_an_own_cell_is_read_from_its_equations(kind) -> None:
    assert anatomy(kind(2, 4)).line == OWN_LINES[kind]


def _by_jacobian(model: Model, xs, t: int, symbol: str) -> np.ndarray:
    """The diagonal of ∂new/∂old with all else held: what one step multiplies the line by."""
    cell = model.cell
    data = {n: p.value for n, p in model.params["layer1"].items() if n in cell.shapes()}
    shape = (xs.shape[1], cell.hidden_size)
    state = cell.initial_state(xs.shape[1])
    for k in range(t - 1):
        state = cell.step(model.params["layer1"], state, mg.const(xs[k]))
    old = mg.var("old", shape)
    values = cell.equations(
        {n: mg.const(v) for n, v in data.items()},
        state._replace(**{symbol: old}),
        mg.const(xs[t - 1]),
    )
    at = getattr(state, symbol).eval()
    frozen = [n for n in mg.toposort(values[symbol]) if n.op.name in ("sigmoid", "tanh")]
    held = mg.substitute(values[symbol], {n: mg.const(n.eval({old: at})) for n in frozen})
    return mg.grad(mg.sum(held), old).eval({old: at})


LINED = [
    *(k for k in CELLS.values() if k is not RNN),
    *(k for k, line in OWN_LINES.items() if line),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINED)
def test_the_measured_factor_is_the_derivative_with_the_gates_held(kind) -> None:
    model = _model(kind)
    xs, ys = _data()
    xs = xs.astype(np.float64)
    factor = lstm.flow(model, xs, ys).factor
    symbol = anatomy(model.cell).line.symbol
    for t in (1, 2, 5):
        np.testing.assert_allclose(factor[t - 1], _by_jacobian(model, xs, t, symbol), rtol=1e-12)
    keep = lstm.flow(model, xs, ys).split.keep
    np.testing.assert_allclose(keep, factor.mean(axis=(1, 2)), rtol=1e-12)


@pytest.mark.parametrize("kind", [k for k, line in OWN_LINES.items() if line])
def test_along_the_line_is_the_product_of_the_factors(kind) -> None:
    traced = lstm.flow(_model(kind), *_data())
    expected = traced.line[-1]
    for t in range(len(traced.factor) - 1, 0, -1):
        expected = expected * traced.factor[t]
        np.testing.assert_allclose(traced.line[t - 1], expected, rtol=1e-12)
    symbol = anatomy(kind(2, 4)).line.symbol
    np.testing.assert_allclose(
        traced.line + traced.around, traced.adjoints[symbol], rtol=1e-9, atol=1e-15
    )


def test_gates_that_nobody_named_are_read_with_what_they_do_to_the_line() -> None:
    assert anatomy(own_cells.Blend(2, 4)).gates == {
        "g": Gate("g", one="keeps C", zero="drops C"),
    }
    assert anatomy(own_cells.MinimalGated(2, 4)).gates == {
        "f": Gate("f", one="drops h", zero="keeps h"),
    }
    # A coupled cell in which nothing is said: i = 1 − f is a gate too.
    assert list(anatomy(own_cells.Silent(2, 4)).gates) == ["f", "i", "o"]
    assert anatomy(own_cells.Leaky(2, 4)).gates == {}


def test_a_forget_gate_whose_0_keeps_is_read_right() -> None:
    model = _model(own_cells.MinimalGated)
    model.params["layer1"]["b_f"].value = np.full(4, -9.0)
    flow = lstm.flow(model, *_data())
    assert flow.gates["f"].closed == 1.0
    assert "Of the gates f, 100% are saturated closed (f < 0.1: keeps h)." in flow.diagnosis
    assert flow.split.keep[0] > 0.99


def test_an_own_cells_gate_is_measured() -> None:
    model = _model(own_cells.Blend)
    flow = lstm.flow(model, *_data())
    assert flow.split.product == "∏ g"
    np.testing.assert_allclose(flow.split.keep, flow.gates["g"].mean, rtol=1e-12)
    words = " ".join("".join(t.itertext()) for t in ET.fromstring(paths({"": flow}).svg).iter())
    assert "along the line (∏ g)" in words
    assert "the mean of g" in words


@pytest.mark.usefixtures("vectors")
@pytest.mark.parametrize("kind", [GRU, own_cells.MinimalGated, own_cells.Blend, RNN])
@pytest.mark.slow
def test_pages_of_other_cells_never_say_forget_gate(kind, tmp_path: Path) -> None:
    options = {"memory": 6} if kind is GRU else {}
    write_flow(tmp_path, _model(kind, **options), *_data())
    text = " ".join(p.read_text(encoding="utf-8") for p in tmp_path.glob("*.html"))
    assert not re.search(r"forget|cell state|∏ f\b", text)
    line = anatomy(kind(2, 4)).line
    assert (line is None) == ("travelled along the line" not in text)
    if line:
        assert f"multiplied by {line.factor} at each step" in text


def test_a_subclass_with_equations_of_its_own_inherits_no_words() -> None:
    assert own_cells.NoOut.gates is None
    assert own_cells.NoOut.places is None
    assert own_cells.NoOut.title is None
    assert own_cells.Renamed.gates is LSTM.gates  # the same equations, so the same words
    assert own_cells.Renamed.title == "LSTM"


@pytest.mark.parametrize("kind", OWN_LINES)
def test_an_own_cell_is_drawn_though_it_says_no_places(kind) -> None:
    figure = cell_unrolled(_model(kind), *_data(), steps=2)
    assert f"The {kind.__name__} unrolled over 2 steps" in figure.picture.title


@pytest.mark.parametrize("kind", [LSTM, CoupledLSTM])
def test_places_are_those_of_real_ops_and_of_all(kind) -> None:
    picture = cell_unrolled(_model(kind), *_data(), steps=2).picture
    assert picture.is_placed
    at = {n.name or n.title: n.place for n in picture.nodes}
    places = kind.places
    for symbol in ("f", "i", "C̃", "o", "C", "h", "x"):
        x, y = places[symbol]
        assert at[f"{symbol}₁"] == (x, y)
        assert at[f"{symbol}₂"] == (x + 624.0, y)
    assert at["C₀"][1] == places["C"][1]
    assert at["h₀"][1] == places["h"][1]


def test_a_cell_under_anothers_name_is_told_apart() -> None:
    assert lstm.flow(_model(own_cells.NoOut), *_data()).cell == "NoOut"
    assert lstm.flow(_model(own_cells.Blend), *_data()).cell == "blend"
    assert lstm.flow(_model(LSTM), *_data()).cell == "lstm"


@pytest.mark.parametrize("kind", [k for k in CELLS.values() if k is not RNN])
def test_the_lane_is_the_line_from_the_first_state_to_the_last(kind) -> None:
    picture = cell_unrolled(_model(kind), *_data(), steps=3).picture
    lane = [n for n in picture.nodes if n.lane == "the cell line"]
    symbol = anatomy(kind(2, 4)).line.symbol
    assert len(lane) == 7  # the first state, and a product and a sum for each step
    names = [n.name or n.title for n in lane]
    assert [n for n in names if n != "×"] == [f"{symbol}{t}" for t in "₀₁₂₃"]


def test_what_a_cell_says_wrongly_is_refused() -> None:
    with pytest.raises(ConfigError, match="says that its line is 'h', but its equations do not"):
        anatomy(own_cells.WrongLine(2, 4))
    with pytest.raises(ConfigError, match=r"has a gate 'q', but .* they give f, i, C̃, C, o, h"):
        anatomy(own_cells.WrongGate(2, 4))
    with pytest.raises(ConfigError, match=r"has a place for 'f\.7', but no such op"):
        cell_unrolled(_model(own_cells.WrongPlace), *_data(), steps=1)


def test_of_two_lines_the_first_is_taken_unless_one_is_named() -> None:
    assert anatomy(own_cells.TwoLines(2, 4)).line == Line("h", "0.5")
    assert anatomy(own_cells.SecondLine(2, 4)).line == Line("m", "0.25")


def test_following_a_multiple_through_every_op_it_survives() -> None:
    c = mg.var("c", (2,))
    a, b, m = mg.var("a", (2,)), mg.var("b", (2,)), mg.var("m", (2,), "bool")
    at = {c: [2.0, -3.0], a: [0.5, 4.0], b: [5.0, -0.25], m: [True, False]}
    for new in (
        a * c + b,
        b - c,
        c - a * c,
        -(c * a) / b,
        c + c,
        mg.where(m, a * c, b),
        mg.where(m, b, c),
        a * (b + c) - b * c,
    ):
        _, reached = follow(mg.toposort(new), c, [new])
        factor = reached[new]
        value = np.ones(2) if factor is None else factor.eval(at)
        np.testing.assert_allclose(value, mg.grad(mg.sum(new), c).eval(at), rtol=1e-14)
    for new in (c * c, a / c, mg.tanh(c), mg.tanh(c) + a, mg.flip(c), mg.where(m, a, b)):
        assert new not in follow(mg.toposort(new), c, [new])[1]


def test_detours_are_where_a_path_leaves_the_line() -> None:
    model = _model(LSTM)
    unrolled = model.unroll(mg.var("xs", (2, 3, 2)))
    (first, second) = unrolled.values
    states = [s.C for s in unrolled.states]
    over_time = line_over_time(states, unrolled.output)
    squashed = first["h"].args[1]
    assert squashed in over_time.detours
    assert second["h"].args[1] not in over_time.detours  # how the loss reaches the line
    assert over_time.factors[1] is second["f"]
    assert over_time.steps[1] == [second["C"], second["C"].args[0]]
