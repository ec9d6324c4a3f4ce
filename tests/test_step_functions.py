"""A plain step function is a cell: it runs, is measured, saved and loaded as a class is."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells.anatomy import anatomy
from lstm.cli import main

TASK = lstm.Adding(6)


def ugrnn(p, h, x):
    """The update gate RNN."""
    hx = mg.concat([h, x], -1)
    c = mg.tanh(hx @ p["W_c"] + p["b_c"])
    g = mg.sigmoid(hx @ p["W_g"] + p["b_g"])
    return {"c": c, "g": g, "h": g * h + (1.0 - g) * c}


def textbook(p, h, C, x):
    """The LSTM, which gives its state alone."""
    hx = mg.concat([h, x], -1)
    f, i, o = (mg.sigmoid(hx @ p[f"W_{w}"] + p[f"b_{w}"]) for w in "fio")
    C = f * C + i * mg.tanh(hx @ p["W_C"] + p["b_C"])
    return o * mg.tanh(C), C


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_step_function_is_what_it_computes() -> None:
    model = lstm.Model.create(ugrnn, task=TASK, hidden_size=3)
    assert list(model.params["layer1"]) == ["W_c", "b_c", "W_g", "b_g"]
    p = {name.rpartition(".")[2]: value for name, value in model.values().items()}
    xs = np.random.default_rng(0).random((6, 4, 2), np.float32)
    h = np.zeros((4, 3), np.float32)
    for x in xs:
        hx = np.concatenate([h, x], -1)
        c, g = np.tanh(hx @ p["W_c"] + p["b_c"]), _sigmoid(hx @ p["W_g"] + p["b_g"])
        h = g * h + (1 - g) * c
    np.testing.assert_allclose(model.output(xs).eval(), h @ p["W_y"] + p["b_y"], rtol=1e-5)


def test_the_arguments_are_the_state_and_the_textbooks_lstm_is_the_lstm() -> None:
    """The same parameters give the same output, and the same flow along the same line."""
    own = lstm.Model.create(lstm.cell(textbook)(2, 3, "float64"), task=TASK)
    shapes = {name: value.shape for name, value in own.values().items()}
    ours = lstm.Model.of(lstm.LSTM(2, 3, "float64"), 1, own.values())
    assert shapes == {name: value.shape for name, value in ours.values().items()}
    xs, ys = TASK.batch(np.random.default_rng(0), 4)
    assert own.run(xs).last["layer1"]._fields == ("h", "C")
    np.testing.assert_allclose(own.output(xs).eval(), ours.output(xs).eval(), rtol=1e-14)
    mine, theirs = (lstm.flow(model, xs, ys, lstm.mse) for model in (own, ours))
    assert mine.main.symbol == theirs.main.symbol == "C" and mine.heading == "textbook"
    np.testing.assert_allclose(mine.adjoints["C"], theirs.adjoints["C"], rtol=1e-12)
    np.testing.assert_allclose(mine.line, theirs.line, rtol=1e-12)


def test_the_line_is_found_or_named_and_gates_are_measured() -> None:
    def two(p, slow, fast, x):
        step = mg.tanh(x @ p["W"])
        return {"slow": 0.5 * slow + fast, "fast": 0.25 * fast + step}

    found, named = (
        lstm.cell(two, params={"W": ("I", "H")}, line=line)(2, 3) for line in (None, "fast")
    )
    assert (anatomy(found).line.symbol, anatomy(named).line.symbol) == ("slow", "fast")
    assert anatomy(named).line.factor == "0.25"
    assert [*anatomy(lstm.cell(ugrnn)(2, 3)).gates] == ["g"]
    gate = lstm.Gate("g", "update gate", one="keeps h")
    model = lstm.Model.create(lstm.cell(ugrnn, gates=[gate], title="An update"), task=TASK)
    flow = lstm.flow(model, *TASK.batch(np.random.default_rng(0), 4))
    assert flow.gates["g"].name == "update gate" and flow.heading == "An update"
    assert lstm.flow(model, *TASK.batch(np.random.default_rng(0), 4), line="h").main.symbol == "h"


def test_what_is_said_of_it_is_what_the_cell_is() -> None:
    @lstm.cell(
        params={"U": ["H", "H"], "scale": (1,)}, starts={"scale": 2, "b_a": -1.0}, output="b"
    )
    def odd(p, a, b, x, *, slope=0.5):
        """An odd cell."""
        new = mg.tanh(a @ p["U"] * p["scale"] + p["b_a"]) + mg.concat([b, x], -1) @ p["W_b"]
        return a * slope, new

    assert (odd.__name__, odd.__doc__, odd.name, odd.output) == ("odd", "An odd cell.", "odd", "b")
    cell = odd(2, 3, "float64")
    assert cell == odd(2, 3, dtype="float64")
    assert cell.shapes() == {"U": (3, 3), "scale": (1,), "b_a": (3,), "W_b": (5, 3)}
    values = cell.init(0)
    assert values["scale"] == 2.0 and (values["b_a"] == -1.0).all()
    assert abs(values["U"]).max() < 3**-0.5 and values["U"].dtype == np.float64
    assert lstm.cell(ugrnn).output == "h"


def test_it_is_saved_and_loads_where_the_function_or_its_class_is_given(tmp_path) -> None:
    path = tmp_path / "m"
    model = lstm.Model.create(ugrnn, task=TASK, hidden_size=3, layers=2)
    model.save(path)
    xs = np.random.default_rng(0).random((6, 4, 2), np.float32)
    for own in (ugrnn, [textbook, ugrnn], lstm.cell(ugrnn)):
        loaded = lstm.Model.load(path, own=own)
        np.testing.assert_array_equal(loaded.output(xs).eval(), model.output(xs).eval())
    for own in ((), textbook):
        with pytest.raises(lstm.ModelFileError, match=r"give the class: .*own=\[ugrnn\]"):
            lstm.Model.load(path, own=own)
    with pytest.raises(lstm.ConfigError, match=r"this one takes \(obj, /\)"):
        lstm.Model.load(path, own=len)


def test_the_command_takes_it_from_a_file(tmp_path, capsys) -> None:
    model, code = tmp_path / "m", tmp_path / "steps.py"
    lstm.Model.create(ugrnn, task=TASK, hidden_size=3).save(model)
    code.write_text(
        "import minigrad as mg\ndef ugrnn(p, h, x):\n    hx = mg.concat([h, x], -1)\n"
        "    g = mg.sigmoid(hx @ p['W_g'] + p['b_g'])\n"
        "    return g * h + (1 - g) * mg.tanh(hx @ p['W_c'] + p['b_c'])\n"
    )
    assert main(["info", str(model), "--cell", f"{code}:ugrnn"]) == 0
    assert "ugrnn" in capsys.readouterr().out


def _of(step, **said):
    return lstm.cell(step, **said)(2, 3).shapes()


WRONG = [
    (lambda: lstm.cell(3), r"a step function is needed, def step\(p, h, x\), not 3"),
    (lambda: lstm.cell(lstm.LSTM), "a step function is needed, .* not <class"),
    (lambda: lstm.cell(lambda p, x: x), r"def own\(p, h, x\), .*; this one takes \(p, x\)"),
    (lambda: lstm.cell(lambda p, *h: h), r"this one takes \(p, \*h\)"),
    (lambda: lstm.cell(lambda p, _h, x: x), r"this one takes \(p, _h, x\)"),
    (lambda: lstm.cell(ugrnn, params=[1]), "params= takes shapes by name"),
    (lambda: lstm.cell(ugrnn, params={"U": "HH"}), "params= takes shapes by name"),
    (lambda: lstm.cell(ugrnn, params={"U": ("H", 0)}), "a size of 'U' must be a whole number"),
    (lambda: lstm.cell(ugrnn, params={"U": ("H", "K")}), "a size of 'U' must be a whole .* 'K'"),
    (lambda: lstm.cell(ugrnn, starts={"b_g": "a"}), r"starts\['b_g'\] must be a finite number"),
    (lambda: lstm.cell(ugrnn, starts=1.0), r"starts= takes numbers by name"),
    (lambda: lstm.cell(ugrnn, gates=["g"]), r"gates= takes lstm\.Gate"),
    (lambda: lstm.cell(ugrnn, output="q")(2, 3), "its output is 'q', which is no part"),
    (lambda: _of(ugrnn, params={"U": ("H",)}), "names 'U', which it does not read; it reads W_c"),
    (lambda: _of(ugrnn, starts={"b_q": 0.0}), "starts= .* names 'b_q', which it does not read"),
    (lambda: _of(lambda p, h, x: h @ p["U"]), r"'U', and nothing says its shape.*\"H\", \"H\""),
    (lambda: _of(lambda p, h, x: h * p[0]), r"a parameter is read by its name"),
    (lambda: _of(lambda p, h, x: (h, h)), "gives 2 values for a state of h; return h, or"),
    (lambda: lstm.Model.create(ugrnn, 1), r"give a cell, lstm\.cell\(ugrnn\)\(input_size, hidden"),
    (lambda: lstm.Model.create(len, task=TASK), "this one takes"),
    (lambda: lstm.Model.create(lambda p, h, x: None, task=TASK).output(np.ones((2, 1, 2))),
     "give None for 'h'"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_step_is_told_with_what_to_write(wrong, words) -> None:
    with pytest.raises(lstm.ConfigError, match=words):
        wrong()


def test_a_function_without_a_name_is_an_own_one() -> None:
    def scaled(scale, p, h, x):
        return scale * h + mg.tanh(x @ p["V"])

    half = lstm.cell(functools.partial(scaled, 0.5), params={"V": ("I", "H")})
    assert (half.__name__, half.name, half.state_type._fields) == ("own", "own", ("h",))
    assert anatomy(half(2, 3)).line == ("h", "0.5")


def test_a_parameter_that_is_asked_for_as_an_attribute_is_not_there():
    asked = []

    def step(p, h, x):
        asked.append((hasattr(p, "W_h"), getattr(p, "b_h", None)))
        return mg.tanh(mg.concat([h, x], axis=-1) @ p["W_h"])

    lstm.Model.create(step, task=TASK).output(np.ones((2, 1, 2)))
    assert asked and set(asked) == {(False, None)}

    class Own(lstm.RNN):
        name = "own"

        def compute(self, params, state, x):
            asked.append((hasattr(params, "W_h"), getattr(params, "b_h", None)))
            return super().compute(params, state, x)

    asked.clear()
    lstm.Model.create(Own(2, 3), 1, 0).output(np.ones((2, 1, 2)))
    assert asked and set(asked) == {(False, None)}
