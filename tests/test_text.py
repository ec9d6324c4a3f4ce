"""Expressions as text: read back they mean the same; LaTeX is well formed and unambiguous."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

x, y, z = mg.var("x"), mg.var("y"), mg.var("z")
k, n = mg.var("k", (), "int64"), mg.var("n", (), "int64")
v = mg.var("v", (3,))
M = mg.var("M", (2, 3))
S = mg.var("S", (5, 2, 3))

PLAIN = {
    "x + y - z": x + y - z,
    "x - (y - z)": x - (y - z),
    "x - (y + z)": x - (y + z),
    "x * (y + z)": x * (y + z),
    "x / (y * z)": x / (y * z),
    "x / y * z": x / y * z,
    "x * (y / z)": x * (y / z),
    "-x": -x,
    "-(x + y)": -(x + y),
    "-x * y": -x * y,
    "x - -y": x - -y,
    "(-x) ^ 2": (-x) ** 2,
    "-x ^ 2": -(x**2),
    "x ^ (-y)": x**-y,
    "x ^ y ^ z": x ** (y**z),
    "(x ^ y) ^ z": (x**y) ** z,
    "(-2) ^ x": (-2.0) ** x,
    "x * -2": x * -2,
    "x + 0.5": x + 0.5,
    "1e-07 * x": 1e-7 * x,
    "x * inf": x * np.inf,
    "x // y % z": x // y % z,
    "(x > 0) & (y > 0)": (x > 0) & (y > 0),
    "(x == y) == (y == z)": (x == y) == (y == z),
    "k & n == k": (k & n) == k,
    "k & astype(n == k, dtype=int64)": k & (n == k),
    "(k | n) ⊕ k": (k | n) ^ k,
    "(k & n) & k": k & n & k,
    "~k << 2": ~k << 2,
    "k + 1 << n": k + 1 << n,
    "sin(x) * exp(-y)": mg.sin(x) * mg.exp(-y),
    "where(x > 0, x, 0)": mg.where(x > 0, x, 0),
    "sum(v)": mg.sum(v),
    "sum(M, axes=0)": mg.sum(M, 0),
    "M @ v": M @ v,
    "v[:, None]": mg.reshape(v, (3, 1)),
    "M[:, None, :]": mg.reshape(M, (2, 1, 3)),
    "(v + v)[None, :] * M": mg.reshape(v + v, (1, 3)) * M,
    "reshape(M, shape=(3, 2))": mg.reshape(M, (3, 2)),
    "reshape(M, shape=(1, 6))": mg.reshape(M, (1, 6)),
    "reshape(c, shape=2)": mg.reshape(mg.var("c", (2, 1)), (2,)),
    "reshape(x, shape=1)": mg.reshape(x, (1,)),
    "sum(M, axes=1)[:, None]": mg.sum(M, 1, keepdims=True),
    "tanh_slope(M @ v)[:, None] @ v[:, None].T": mg.grad(mg.sum(mg.tanh(M @ v)), M),
    "S @ M.T": S @ M.T,
    "S @ v": S @ v,
    "v @ M.T + S @ v": v @ M.T + S @ v,
    "M.T @ S": M.T @ S,
    "reshape(M @ M.T, shape=4)": mg.reshape(M @ M.T, (4,)),
    "reshape(reshape(S, shape=(10, 3)) @ v, shape=(2, 5))": mg.reshape(
        mg.reshape(S, (10, 3)) @ v, (2, 5)
    ),
    "reshape(S, shape=(10, 3)) @ M.T": mg.reshape(S, (10, 3)) @ M.T,
    "M.T @ M @ v": M.T @ M @ v,
    "(M @ v)[1]": (M @ v)[1],
    "v[0]": v[0],
    "v[1:]": v[1:],
    "v[:2]": v[:2],
    "v[::-1]": v[::-1],
    "M[0, 1:]": M[0, 1:],
    "M[:, 1]": M[:, 1],
    "v[None, :]": v[None],
    "v[k]": v[k],
    "v + [1.0, 2.0, 3.0]": v + np.array([1.0, 2.0, 3.0]),
    "argmax(v, axis=0)": mg.argmax(v),
    "astype(v, dtype=float32)": v.astype("float32"),
}


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text(text):
    assert str(PLAIN[text]) == mg.to_str(PLAIN[text]) == text


LATEX = {
    r"\frac{1}{1 + x}": 1 / (1 + x),
    r"-\frac{x}{y}": -(x / y),
    r"{\left(\frac{x}{y}\right)}^{2}": (x / y) ** 2,
    r"{x}^{-y}": x**-y,
    r"{\left({x}^{y}\right)}^{z}": (x**y) ** z,
    r"\left(x + y\right) \cdot z": (x + y) * z,
    r"\log\left(x\right) \cdot y": mg.log(x) * y,
    r"\log\left(x \cdot y\right)": mg.log(x * y),
    r"{\sin\left(x\right)}^{2}": mg.sin(x) ** 2,
    r"\sqrt{x + 1}": mg.sqrt(x + 1),
    r"\left|x\right|": abs(x),
    r"e^{x + y}": mg.exp(x + y),
    r"\operatorname{expm1}\left(x\right) \cdot 2": mg.expm1(x) * 2,
    r"\sigma\left(x\right)": mg.sigmoid(x),
    r"1 \times 10^{-7} + x": 1e-7 + x,
    r"x \cdot \left(1 \times 10^{-7}\right)": x * 1e-7,
    r"x + -\infty": x + -np.inf,
    r"W_{f} \cdot x": mg.var("W_f") * x,
    r"\mathrm{rate}_{\mathrm{in}}": mg.var("rate_in"),
    r"\mathrm{a\%b}": mg.var("a%b"),
    r"\operatorname{logsumexp}\left(v\right)": mg.logsumexp(v),
    r"\left(x > 0\right) \wedge \left(y > 0\right)": (x > 0) & (y > 0),
    r"M \, v": M @ v,
    r"S \, {M}^{\top}": S @ M.T,
    r"\operatorname{sech}^2\left(M \, v\right) \, {v}^{\top}": mg.grad(mg.sum(mg.tanh(M @ v)), M),
}


@pytest.mark.parametrize("text", LATEX)
def test_latex(text):
    assert LATEX[text].latex() == mg.to_latex(LATEX[text]) == text


def test_labels_stand_for_what_they_name():
    gate = mg.sigmoid(x * 3.25).named("f_t")
    assert str(gate * y) == "f_t * y"
    assert (gate * y).latex() == "f_{t} \\cdot y"
    assert str(gate) == "sigmoid(x * 3.25)"


def test_long_expressions_are_shortened():
    total = x
    for _ in range(500):
        total = mg.sin(total) + y
    assert "..." in str(total)
    assert r"\cdots" in total.latex()
    assert mg.to_str(total, limit=2) == "sin(...) + y"
    assert mg.to_str(total, limit=10_000).count("sin") == 500


READABLE = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: -a,
    lambda a, b: mg.sin(a),
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: mg.maximum(a, b),
    lambda a, b: a - 2.5,
    lambda a, b: -3 * a,
    lambda a, b: mg.where((a > b) & ~(b >= 1), a, b),
    lambda a, b: mg.where((a == b) | (a != 2), a, b),
]


@given(st.lists(st.tuples(st.sampled_from(READABLE), st.integers(0, 99), st.integers(0, 99)),
                min_size=1, max_size=7))  # fmt: skip
def test_text_read_by_python_is_the_same_expression(steps):
    pool = [x, y, z]
    for build, i, j in steps:
        pool.append(build(pool[i % len(pool)], pool[j % len(pool)]))
    names = {"x": x, "y": y, "z": z} | {
        name: getattr(mg, name) for name in ("sin", "maximum", "where")
    }
    text = mg.to_str(pool[-1], limit=10_000).replace("^", "**")
    assert eval(text, names) is pool[-1]


def test_operands_that_are_not_written_are_called_by_their_names() -> None:
    W, v, s = mg.var("W", (4, 3)), mg.var("v", (3,)), mg.var("s")
    z, b = (W @ v).named("z"), mg.broadcast_to(s, (3,)).named("b")
    assert str(mg.tanh(z)) == "tanh(z)" and str(z) == "W @ v"
    assert str(b * v) == "b * v" and str(b) == "s"
    assert str(W @ (2 * v).named("u")) == "W @ u"
    assert str(mg.tanh(mg.var("M", (4, 3)) @ v)) == "tanh(M @ v)"
    stack, N, K = mg.var("stack", (5, 2, 3)), mg.var("N", (3, 4)), mg.var("K", (3, 4))
    assert str(stack @ N) == "stack @ N"
    product = (mg.reshape(stack, (10, 3)) @ K).named("product")
    assert str(stack @ K) == f"reshape({product.name}, shape=(5, 2, 4))"
    rows = mg.reshape(stack, (10, 3)).named("rows")
    assert str(stack @ N) == f"reshape({rows.name} @ N, shape=(5, 2, 4))"
