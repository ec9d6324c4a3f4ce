"""What pictures call the nodes of loops: as the step's code does, as `named` and the cell say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from minigrad import Expr
from minigrad.drawing import Picture
from minigrad.graph.local_variables import local_names

XS = np.zeros((3, 2, 2), np.float32)


def _picture(y: Expr, **options: Any) -> Picture:
    picture = mg.draw(y, **options).picture
    assert picture is not None
    return picture


def _called(picture: Picture) -> list[tuple[str, str]]:
    return [(n.name, n.title) for n in picture.nodes]


def _model(cell: Any, **options: Any) -> Picture:
    model = lstm.Model.create(cell(input_size=2, hidden_size=4), output_size=1, seed=0)
    return _picture(model.output(mg.const(XS)), **options)


def test_a_rolled_lstm_reads_as_one() -> None:
    picture = _model(lstm.LSTM)
    assert [box.title for box in picture.boxes] == ["LSTM, 3 steps"]
    called = _called(picture)
    gates = {name: title for name, title in called if name}
    assert {k: gates[k] for k in ("f", "i", "o", "C̃", "C", "h", "hx")} == {
        "f": "σ",
        "i": "σ",
        "o": "σ",
        "C̃": "tanh",
        "C": "+",
        "h": "×",
        "hx": "[ , ]",
    }
    assert {"h before", "C before"} <= set(gates)
    assert {("", "x[t]"), ("", "last h")} <= set(called)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (lstm.GRU, {"z", "r", "h̃", "h"}),
        (lstm.RNN, {"h"}),
        (lstm.PeepholeLSTM, {"f", "i", "C̃", "C", "o", "h"}),
        (lstm.CoupledLSTM, {"f", "i", "C̃", "C", "o", "h"}),
    ],
)
def test_each_cell_names_its_own(cell: Any, names: set[str]) -> None:
    picture = _model(cell)
    assert names <= {n.name for n in picture.nodes}
    assert picture.boxes[0].title == f"{cell(2, 4).heading}, 3 steps"


def test_padding_leaves_carries_their_names() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, seed=0)
    picture = _picture(model.output(mg.const(XS), lengths=[1, 3]))
    names, titles = {n.name for n in picture.nodes}, {n.title for n in picture.nodes}
    assert {"h before", "C before"} <= names
    assert {"last h", "x[t]", "mask[t]"} <= titles


def test_numbers_of_a_cell_get_no_name_that_others_would_see() -> None:
    half = mg.full((2, 4), 0.125, "float32")

    class Odd(lstm.RNN):
        name = "odd"

        def equations(self, params: Any, state: Any, x: Expr) -> Any:
            return {"half": half, **super().equations(params, state, x), "x": x}

    _model(Odd)
    assert half.args and half.name is None


def _step(carry: Any, x: Expr) -> Any:
    h, memory = carry
    keep = mg.sigmoid(h + x)
    pre = mg.param("W", np.eye(2)) @ h
    memory = (keep * memory).named("M")
    h = mg.tanh(pre + memory * mg.exp(x))
    return (h, memory), (h * 2.0, memory)


def _net(init: Any) -> Expr:
    (h, memory), (doubled, memories) = mg.scan(_step, init, mg.var("xs", (4, 2)))
    return mg.sum(h) + mg.sum(memory) + mg.sum(doubled) + mg.sum(memories)


def test_local_variables_of_a_step_are_names_and_named_wins() -> None:
    start = mg.const([0.5, 1.0])
    called = _called(_picture(_net((start, start))))
    assert {("keep", "σ"), ("M", "×"), ("h", "tanh"), ("pre", "@")} <= set(called)
    assert {"h before", "M before"} <= {name for name, _ in called}
    assert {"last h", "last M", "output 1", "M of every step"} <= {title for _, title in called}
    assert "memory" not in {name for name, _ in called}


def test_steps_that_are_written_out_are_named_alike() -> None:
    start = mg.const([0.5, 1.0])
    picture = _picture(_net((start, start)), loops=2)
    for title in ("step 1", "step 2"):
        names = {n.name for n in picture.nodes if n.group == title}
        assert {"keep", "pre", "M", "h"} <= names


def test_a_folded_loop_names_its_carries() -> None:
    start = mg.var("start", (2,))
    at = {"xs": np.ones((4, 2)), "start": np.ones(2)}
    picture = _picture(_net((start, start)), at=at, grad=True, loops="folded")
    strips = [name for node in picture.nodes for name, _ in node.strips]
    assert strips == ["h before", "M before"]


def test_keys_and_fields_are_what_carries_and_inputs_are_called() -> None:
    def step(carry: Any, x: Any) -> Any:
        return {"sum": carry["sum"] + x["gain"] * x["rain"]}, None

    xs = {"gain": mg.var("a", (4,)), "rain": mg.var("b", (4,))}
    last, _ = mg.scan(step, {"sum": mg.var("s")}, xs, name="tally")
    picture = _picture(last["sum"])
    called = _called(picture)
    assert [box.title for box in picture.boxes] == ["tally, 4 steps"]
    assert ("sum before", "") in called
    assert {("", "gain[t]"), ("", "rain[t]"), ("", "last sum")} <= set(called)


def test_the_caller_of_draw_has_the_last_word() -> None:
    made: list[Expr] = []

    def step(h: Expr, x: Expr) -> Any:
        h = mg.tanh(h + x)
        made.append(h)
        return h, None

    last, _ = mg.scan(step, mg.var("h0"), mg.var("xs", (4,)))
    called = _called(_picture(last, names={made[0]: "state"}))
    assert ("state", "tanh") in called and "state before" in {name for name, _ in called}


def test_names_of_loops_are_text() -> None:
    with pytest.raises(mg.GraphError, match="a name is a non-empty string"):
        mg.scan(lambda h, x: (h + x, None), mg.var("h0"), mg.var("xs", (4,)), name="\0")


def test_local_names_are_those_of_the_statements() -> None:
    x = mg.var("of this test alone")  # equal nodes made elsewhere would have names from there
    a = b = mg.exp(x)
    total = (walrus := mg.sin(a)) + mg.cos(b)
    parts = [mg.tanh(total), mg.sinh(walrus)]
    box = {"key": mg.sigmoid(x)}

    def helper(y: Expr) -> Expr:
        return mg.log(y)

    helped = helper(x)  # of its own variable nothing is known
    _ = mg.abs(x)
    ys = [*parts, box["key"], helped, _, total]
    named = {n.op.name: name for n, name in local_names(mg.toposort(ys)).items()}
    assert named == {"exp": "a", "add": "total", "sin": "walrus"}
