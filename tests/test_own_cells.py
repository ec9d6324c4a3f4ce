"""Cells that say something wrong are told so by name; what they say is what is used."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import own_cells
import pytest

import lstm
import minigrad as mg
from lstm.cells import LSTM, RNN, Cell, LSTMState, PeepholeLSTM, RNNState
from lstm.cells.anatomy import anatomy
from lstm.errors import ConfigError
from lstm.figures import write_demo, write_flow
from lstm.model import Model
from lstm.tasks import Adding

pytestmark = pytest.mark.usefixtures("by_numpy")


def _rnn(**statements: Any) -> type[Cell[Any]]:
    return type("Mine", (RNN,), {"name": "mine", "state_type": RNNState, **statements})


def _gives(*values: Any) -> type[Cell[Any]]:
    def equations(self, params, state, x):
        (value,) = values
        return value(params, state, x) if callable(value) else value

    return _rnn(equations=equations)


WRONG = [
    (None, r"cell mine give None, but must give a dictionary .* return \{\.\.\., \"h\": h\}"),
    (lambda p, s, x: s, "give a RNNState, but must give a dictionary of every value by its symbol"),
    (lambda p, s, x: s.h, "give a Expr, but must give a dictionary"),
    ({}, "cell mine give no 'h', which is part of its state; they give nothing"),
    (lambda p, s, x: {"f": s.h, "H": s.h}, "give no 'h', .*; they give f, H$"),
    ({"h": None}, "cell mine give None for 'h'; each value must be an expression"),
    ({"h": np.zeros((2, 3))}, "give a ndarray for 'h'; each value must be an expression"),
    (lambda p, s, x: {1: s.h, "h": s.h}, "give a Expr for 1; .* its key a string"),
    (lambda p, s, x: {"h": s.h[:, :1]}, r"give h \(\d, 1\), but it was \(\d, 3\) before the step"),
    (lambda p, s, x: {"h": p["W_q"]}, r"cell mine read the parameter 'W_q', .* only W_h, b_h"),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_wrong_equations_are_told_with_the_cell_and_what_is_missing(value, message) -> None:
    cell = _gives(value)(2, 3)
    params = {name: mg.param(name, array) for name, array in cell.init(0).items()}
    x = mg.var("x", (2, 2), "float32")
    for build in (
        lambda: Model.create(cell, 1, seed=0),
        lambda: Model.of(cell, 1, {}),
        lambda: anatomy(cell),
        lambda: cell.step(params, cell.initial_state(2), x),
        cell.formulas,
    ):
        with pytest.raises(ConfigError, match=message):
            build()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ({"name": None}, 'Mine has no name; write name = "..." in the class'),
        ({"state_type": None}, "Mine does not say what it carries; write state_type = lstm.RNN"),
        ({"state_type": tuple}, "Mine does not say what it carries"),
        ({"output": "y"}, "its output is 'y', which is no part of its state; that has h$"),
    ],
)
def test_wrong_statements_are_told_when_a_cell_is_made(statements, message) -> None:
    with pytest.raises(ConfigError, match=message):
        _rnn(**statements)(2, 3)


class _CellFirst(NamedTuple):
    C: Any
    m: Any


class NoH(Cell):
    """No part of the state is called h."""

    name = "no-h"
    weights = "C"
    state_type = _CellFirst

    def equations(self, params, state, x):
        new = mg.tanh(mg.concat([state.m, x], -1) @ params["W_C"] + params["b_C"])
        C = 0.5 * state.C + new
        return {"C": C, "m": mg.tanh(C)}


class MFirst(NoH):
    name = "m-first"
    output = "m"


def test_the_readout_reads_what_the_cell_puts_out() -> None:
    assert (NoH.output, MFirst.output, LSTM.output) == ("C", "m", "h")
    for kind, part in ((NoH, "C"), (MFirst, "m")):
        model = Model.create(kind(2, 3, "float64"), 1, seed=0)
        xs = np.random.default_rng(0).standard_normal((4, 2, 2))
        W, b = (model.params["layer1"][name].value for name in ("W_C", "b_C"))
        C, m = np.zeros((2, 3)), np.zeros((2, 3))
        for x in xs:
            C = 0.5 * C + np.tanh(np.concatenate([m, x], -1) @ W + b)
            m = np.tanh(C)
        read = model.params["readout"]
        out = {"C": C, "m": m}[part] @ read["W_y"].value + read["b_y"].value
        np.testing.assert_allclose(model.output(mg.const(xs)).eval(), out, rtol=1e-12)
        np.testing.assert_allclose(model.unroll(mg.const(xs)).output.eval(), out, rtol=1e-12)


def test_a_state_type_of_its_own_says_its_output_anew() -> None:
    class Swapped(MFirst):
        state_type = LSTMState

    assert Swapped.output == "h"


def test_a_cells_class_may_stand_for_a_list_of_one(tmp_path) -> None:
    path = tmp_path / "m"
    Model.create(own_cells.NoOut(2, 3), 1, seed=0).save(path)
    assert type(Model.load(path, own=own_cells.NoOut).cell) is own_cells.NoOut
    for cells in (own_cells.NoOut(2, 3), [Model], ["NoOut"]):
        with pytest.raises(
            ConfigError, match=r"own= takes classes of cells and layers, as own=\[MyCell\]"
        ):
            Model.load(path, cells)


@pytest.mark.usefixtures("vectors")
def test_a_page_of_a_cell_without_h_never_speaks_of_h(tmp_path) -> None:
    xs, ys = Adding(length=6).batch(np.random.default_rng(0), 3)
    flow = lstm.flow(Model.create(MFirst(2, 3), 1, seed=0), xs, ys)
    assert (flow.heading, flow.output, flow.main.symbol) == ("MFirst", "m", "C")
    assert flow.beside == "m"
    write_flow(tmp_path, Model.create(MFirst(2, 3), 1, seed=0), xs, ys, flow=flow)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "MFirst: how the gradient flows through 6 steps" in text
    assert "∂L/∂m" in text
    assert "∂L/∂h" not in text


def test_where_no_part_lasts_the_main_gradient_is_that_of_the_output() -> None:
    class NoLine(NoH):
        name = "no-line"
        output = "m"

        def equations(self, params, state, x):
            m = mg.tanh(mg.concat([state.m, x], -1) @ params["W_C"] + params["b_C"])
            return {"C": state.C @ mg.const(np.eye(3, dtype="float32")), "m": m}

    xs, ys = Adding(length=6).batch(np.random.default_rng(0), 3)
    flow = lstm.flow(Model.create(NoLine(2, 3), 1, seed=0), xs, ys)
    assert flow.split is None
    assert flow.main.symbol == "m"


@pytest.mark.usefixtures("vectors")
@pytest.mark.slow
def test_flows_are_told_by_their_cells_titles_or_the_names_that_models_are_given(tmp_path) -> None:
    task = Adding(length=6)
    xs, ys = task.batch(np.random.default_rng(0), 3)

    def pair(kind: Any) -> Any:
        return tuple(Model.create(kind(2, 3), 1, seed, task.config()) for seed in (0, 1))

    write_demo(tmp_path, {"peephole": pair(PeepholeLSTM), "my own": pair(LSTM)}, xs, ys)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "LSTM with peepholes beside my own: how the gradient flows" in html
    assert "The my own cell, op by op" in html
    assert "PEEPHOLE" not in html
    text = (tmp_path / "flow.csv").read_text(encoding="utf-8")
    assert {line.split(",")[0] for line in text.splitlines()[1:]} == {"peephole", "my own"}
