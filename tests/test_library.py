"""What is built on minigrad: its lines, its variables and its ops beside those of the user."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells import LSTM
from lstm.cells.anatomy import anatomy
from lstm.figures.cell import cell_unrolled
from lstm.tasks import Adding
from lstm.training import inputs_of


def _model() -> lstm.Model:
    return lstm.Model.create(LSTM(2, 4, "float64"), 1, seed=2)


USES = {
    "anatomy": (("x", (1, 2)), lambda: anatomy(LSTM(2, 4, "float64"))),
    "flow": (
        ("xs", (13, 7, 2)),
        lambda: lstm.flow(_model(), *Adding(length=13).batch(np.random.default_rng(0), 7)),
    ),
    "inputs_of": (("xs", (13, 7, 2)), lambda: inputs_of(Adding(length=13), 7, "float64")),
    "cell_unrolled": (
        ("xs", (2, 3, 2)),
        lambda: cell_unrolled(_model(), np.ones((2, 3, 2)), np.ones((3, 1))),
    ),
}


@pytest.mark.parametrize("use", USES)
def test_a_users_variable_is_not_made_again_by_lstms_of_that_name(use) -> None:
    (name, shape), call = USES[use]
    line = sys._getframe().f_lineno + 1
    own = mg.var(name, shape)
    assert call() is not None
    with pytest.raises(mg.ShapeError) as caught:
        own + mg.var("of another shape", (7, 11))
    assert f"operand 1 is {name}: {own.type!r}, made at {__file__}:{line}\n" in str(caught.value)
    assert "again" not in str(caught.value).splitlines()[1]


def test_an_error_within_lstm_names_the_line_that_called_it() -> None:
    cell = LSTM(2, 4, "float64")
    params = {name: mg.param(name, np.zeros(shape)) for name, shape in cell.shapes().items()}
    with pytest.raises(mg.ShapeError) as caught:
        cell.equations(params, cell.initial_state(1), mg.var("x", (1, 17)))
    assert str(caught.value).endswith(f"at {__file__}:{caught.traceback[0].lineno + 1}")


def test_the_line_of_an_equation_is_that_of_the_cell() -> None:
    xs = mg.var("xs of three steps", (3, 2, 2))
    h = _model().unroll(xs).states[-1].h
    assert "lstm.py:" in h.origin


def test_a_variable_that_a_library_made_first_is_the_users_where_he_asks_for_it() -> None:
    made: dict[str, Any] = {}
    by_library = "import minigrad as mg; x = mg.var('first a library', (2,))"
    exec(compile(by_library, lstm.__file__, "exec"), made)
    assert made["x"].origin.startswith(lstm.__file__)
    x = mg.var("first a library", (2,))
    assert x is made["x"]
    with pytest.raises(mg.ShapeError) as caught:
        x.eval({x: [1.0]})
    assert "test_library.py:" in str(caught.value)
    assert lstm.__file__ not in str(caught.value)


def test_names_that_are_not_there_are_guessed_among_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"did you mean const\?"):
        mg.tensor  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'quux'$"):
        lstm.quux  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"did you mean RNN\?"):
        lstm.rnn  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("function", "made"),
    [
        (mg.where, lambda x: mg.where(x > 0, x, 1)),
        (mg.broadcast_to, lambda x: mg.broadcast_to(x, (2, 3))),
        (mg.matmul, lambda x: mg.stack([x, x]) @ mg.stack([x, x, x])),
        (mg.multiply, lambda x: x * x),
    ],
)
def test_functions_say_which_op_they_make(function, made) -> None:
    assert made(mg.var("x", (3,))).op is function.op


@pytest.mark.parametrize(
    ("value", "title"),
    [
        (-mg.var("x", (3,)), "−"),
        (mg.var("x", (3,)) - mg.var("y", (3,)), "−"),
        (mg.sum(mg.var("x", (3,))), "Σ"),
        (mg.var("x", (2, 3)) @ mg.var("y", (3, 4)), "@"),
        (mg.tanh(mg.var("x", (3,))), "tanh"),
    ],
)
def test_titles_in_pictures_are_the_ops_symbols(value, title) -> None:
    assert mg.draw(value).picture.nodes[-1].title == title


def test_the_norm_of_a_large_tensor_is_told(tmp_path, capsys) -> None:
    from lstm.cli import main

    model = _model()
    params = next(iter(model.flat_params.values()))
    params.value = np.full(params.shape, 1e200)
    model.save(tmp_path / "large.safetensors")
    assert main(["info", str(tmp_path / "large.safetensors")]) == 0
    assert f"{1e200 * np.sqrt(params.size):.4g}" in capsys.readouterr().out
