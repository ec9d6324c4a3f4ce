"""What a prompt and a notebook show of expressions and cells: short, true, and always there."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from displays import HOSTILE
from op_cases import CASES

import lstm
import minigrad as mg
from minigrad.display import bundle

x, v, M = mg.var("x"), mg.var("v", (3,)), mg.var("M", (2, 3))


def latex(y: mg.Expr) -> str:
    made = y._repr_mimebundle_()
    assert made["text/plain"] == repr(y)
    assert set(made) == {"text/plain", "text/latex"}
    return made["text/latex"]


# --- expressions ---------------------------------------------------------------------------------

LINES = {
    "<Expr var 'x': float64>": x,
    "<Expr var 'M': float64(2, 3)>": M,
    "<Expr sum(tanh(M @ v) * sigmoid(x)): float64>": mg.sum(mg.tanh(M @ v) * mg.sigmoid(x)),
    "<Expr M.T: float64(3, 2)>": M.T,
    "<Expr const: int64 = 3>": mg.const(3),
    "<Expr const: float64(3,) = [ 1. nan inf]>": mg.const([1.0, np.nan, np.inf]),
    "<Expr param 'w': float32(2,) = [0.5 1. ]>": mg.param("w", [0.5, 1.0], "float32"),
    "<Expr param 'W': int64(40, 30) = [[ 0 ... 29] ... [1170 ... 1199]]>": mg.param(
        "W", np.arange(1200).reshape(40, 30)
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_an_expression_in_a_line(line):
    assert repr(LINES[line]) == line


def test_a_name_stands_before_the_formula():
    heat = (x * 3.75).named("heat")
    assert repr(heat) == "<Expr 'heat' = x * 3.75: float64>"
    assert latex(heat) == r"$\displaystyle \mathrm{heat} = x \cdot 3.75 \quad \mathtt{float64}$"


def test_latex_of_a_matrix_is_the_matrix():
    assert latex(mg.param("W", [[1.0, np.inf], [np.nan, 1e-30]])) == (
        r"$\displaystyle W = \begin{bmatrix} 1 & \infty \\ \mathrm{nan} & 1 \times 10^{-30} "
        r"\end{bmatrix} \quad \mathtt{float64(2,\ 2)}$"
    )
    numbers = re.findall(r"\d+|\\[cvd]dots", latex(mg.const(np.arange(5600).reshape(70, 80))))
    rows = [numbers[k : k + 7] for k in range(0, 49, 7)]
    ends = [0, 1, 2, 77, 78, 79]
    for row, i in zip(rows, [0, 1, 2, None, 67, 68, 69], strict=True):
        said = [r"\vdots"] * 6 if i is None else [str(80 * i + j) for j in ends]
        assert row == [*said[:3], r"\ddots" if i is None else r"\cdots", *said[3:]]


def test_a_leaf_of_three_axes_or_of_another_memory_shows_its_type_alone():
    class Elsewhere:
        def load(self) -> Any:
            raise RuntimeError("the device is gone")

        def store(self, value: Any) -> None:
            raise RuntimeError("the device is gone")

    cube = mg.param("cube", np.zeros((3, 4, 5)))
    assert latex(cube) == r"$\displaystyle \mathrm{cube} \quad \mathtt{float64(3,\ 4,\ 5)}$"
    cube.attrs[-1].storage = Elsewhere()
    assert repr(cube) == "<Expr param 'cube': float64(3, 4, 5)>"


def test_an_own_op_of_nothing_is_a_line():
    scalar = mg.TensorType((), "float64")
    now = mg.Op("now", lambda: scalar, lambda: np.float64(1), no_gradient=True)()
    assert repr(now) == "<Expr now: float64>"
    assert latex(now + 1.0).startswith(r"$\displaystyle \mathrm{now} + 1 ")


LATEX = {
    r"v\left[1:\right]": v[1:],
    r"\left(v + v\right)\left[0\right]": (v + v)[0],
    r"{M}^{\top}": M.T,
    r"{\left(M + M\right)}^{\top}": (M + M).T,
    r"\operatorname{sum}\left(M, \mathrm{axes=0}\right)": mg.sum(M, 0),
    r"\operatorname{sum}\left(M\right)": mg.sum(M),
    r"\frac{\operatorname{sum}\left(M, \mathrm{axes=1}\right)}{3}": mg.mean(M, 1, keepdims=True),
    r"\operatorname{scan}_{3\ \mathrm{steps}}\left(x, v\right)\left[0\right]": mg.scan(
        lambda c, now: (c * now, None), x, v
    )[0],
    r"\operatorname{astype}\left(v, \mathrm{dtype=float32}\right)": v.astype("float32"),
    r"x \cdot \mathrm{nan}": x * np.nan,
    r"\left[v, v\right]": mg.concat([v, v]),
    r"\operatorname{concat}\left(M, M, \mathrm{axis=0}\right)": mg.concat([M, M]),
    r"\tilde{C}_{t} \cdot x": mg.var("C̃_t") * x,
    r"x \cdot \mathrm{a\ b\$}_{\mathrm{\%c}}": x * mg.var("a b$_%c"),
    r"x \cdot \mathrm{a\hat{\ }J\backslash b}": x * mg.var("a\n\\b"),
}


@pytest.mark.parametrize("text", LATEX)
def test_latex_says_what_text_says(text):
    assert LATEX[text].latex() == text


def chain(ops: int) -> mg.Expr:
    y = x
    for _ in range(ops):
        y = mg.sin(y)
    return y


def test_long_expressions_are_cut_and_counted():
    assert repr(chain(12)) == f"<Expr {'sin(' * 12}x{')' * 12}: float64>"
    assert repr(chain(13)) == f"<Expr {'sin(' * 12}...{')' * 12}: float64, 13 ops>"
    assert r"\text{" not in latex(chain(30))
    assert latex(chain(31)).endswith(r"\quad \mathtt{float64} \quad \text{31 ops}$")
    assert repr(chain(10_000)).endswith(": float64, 10,000 ops>")
    assert repr(chain(10_001)).endswith(": float64, more than 10,000 ops>")
    shared = x
    for _ in range(40):  # 2^40 occurrences of 40 ops
        shared = shared * shared
    assert repr(shared).endswith(": float64, 40 ops>")
    for _ in range(5):
        shared = mg.sin(shared) + mg.cos(shared)
    assert repr(shared).endswith(": float64, 55 ops>")
    wide = mg.sum(mg.stack([mg.var(f"a_long_name_{k}") for k in range(2000)]))
    assert len(repr(wide)) < 130


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_name_steers_a_terminal_or_a_page(name):
    for y in (mg.var(name), x * mg.var(name), (x * mg.var("other")).named(name)):
        text, source = repr(y), latex(y)
        assert text.isprintable() and len(text) < 300
        assert source.isprintable() and len(source) < 1000 and not {"<", ">"} & set(source)
        inside = source.removeprefix("$").removesuffix("$").replace(r"\$", "")
        assert "$" not in inside and inside.count("{") == inside.count("}")


def test_what_cannot_be_written_is_left_out_and_told():
    twice = mg.Op("odd", lambda t: t, lambda a: a, no_gradient=True, latex="{0} and {1}")
    y = twice(x)
    shown = y._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    first, why = shown["text/plain"].split("\n")
    assert first == repr(y) == "<Expr odd(x): float64>"
    assert "text/latex" in why and "IndexError" in why

    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Broken:
        def __repr__(self) -> str:
            raise MuteError

    shown = bundle(Broken(), {"text/html": lambda: "<b>fine</b>"})
    assert shown["text/html"] == "<b>fine</b>"
    assert "Broken object at" in shown["text/plain"] and "MuteError" in shown["text/plain"]


# --- cells ---------------------------------------------------------------------------------------


def test_a_cell_shows_its_equations():
    cell = lstm.LSTM(2, 3)
    layer = r"\left(\left[h_{\mathrm{before}}, x\right] \, W_{%s} + b_{%s}\right)"
    gates = [rf"{g} &= \sigma{layer}" % (g, g) for g in "fio"]
    lines = [
        *gates[:2],
        rf"\tilde{{C}} &= \tanh{layer}" % ("C", "C"),
        r"C &= f \cdot C_{\mathrm{before}} + i \cdot \tilde{C}",
        gates[2],
        r"h &= o \cdot \tanh\left(C\right)",
    ]
    shown = cell._repr_mimebundle_()
    assert shown["text/latex"] == (r"$\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}$")
    assert shown["text/plain"] == repr(cell)


@pytest.mark.parametrize("kind", lstm.CELLS.values(), ids=lstm.CELLS)
def test_what_a_cell_shows_is_what_it_computes(kind):
    """The formulas, one after the other, give the values of a step."""
    cell, rng = kind(2, 3, "float64"), np.random.default_rng(0)
    numbers: dict[str, Any] = cell.init(rng) | {"x": rng.normal(size=(1, 2))}
    state = cell.state_type(*[rng.normal(size=(1, 3)) for _ in cell.state_type._fields])
    numbers |= {f"{part}_before": value for part, value in state._asdict().items()}
    params = {name: mg.const(numbers[name]) for name in cell.shapes()}
    values = cell.compute(params, cell.state_type(*map(mg.const, state)), mg.const(numbers["x"]))
    formulas = cell.formulas()
    assert list(formulas) == list(values)
    for symbol, formula in formulas.items():
        read = {v: numbers[v.name] for v in mg.free_variables([formula])}
        numbers[symbol] = formula.eval(read)
        np.testing.assert_allclose(numbers[symbol], values[symbol].eval(), rtol=1e-12)
        assert len(mg.to_latex(formula, 20)) < 1000


def test_a_cell_that_fails_shows_why():
    class Bad(lstm.RNN):
        name = "bad"

        def equations(self, params, state, x):
            return {"h": state.h @ params["U"]}

    shown = Bad(2, 3)._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    assert "ConfigError: the equations of cell bad read the parameter 'U'" in shown["text/plain"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_op_is_shown(case):
    y = case.build(*case.variables(case.arrays()))
    for node in {y, *mg.toposort(y)}:
        assert repr(node).startswith("<Expr ") and len(repr(node)) < 200
        source = latex(node)
        assert source.count("{") - source.count(r"\{") == source.count("}") - source.count(r"\}")
        assert source.count(r"\left") == source.count(r"\right")
