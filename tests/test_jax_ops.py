"""Each op on JAX, beside the reference: its cases, special values, random graphs and loops."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax_peer import RTOL, agree, assert_close, jax
from numpy.testing import assert_array_equal
from op_cases import CASES, COMPOSITES, FLAT_BINARY, FLAT_UNARY, SMOOTH_BINARY, SMOOTH_UNARY
from test_properties import LEAVES, graphs, points
from test_scan import random_loop

import minigrad as mg
from minigrad.compile.backends.jax.emit import runs_on_jax
from minigrad.graph.node import OPS, make

# One function for many cases: XLA takes about as long for twenty of them as for one.
ALL = CASES + COMPOSITES
GROUPS = [ALL[k : k + 24] for k in range(0, len(ALL), 24)]


def test_every_op_has_a_row():
    of_ours = {name for name, op in OPS.items() if name not in ("probabilities", "within")}
    leaves = {"var", "param", "const", "placeholder", "item"}
    assert {name for name in of_ours - leaves if not runs_on_jax(OPS[name])} == set()


def ramp(y):
    return np.cos(np.arange(y.size)).reshape(y.shape)


def with_gradients(case, k, dtype, shapes=None):
    """Variables of a case, the value and its pullbacks, and numbers for the variables."""
    arrays = case.arrays(shapes)
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    variables = [mg.var(f"c{k}a{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    y = case.build(*variables)
    wrt = [v for v in variables if v.type.is_float]
    if case.smooth and wrt and y.type.is_float:
        return variables, [y, *mg.vjp(y, wrt, ramp(y).astype(y.dtype))], arrays
    return variables, [y], arrays


@pytest.fixture
def unoptimised():
    """XLA compiles many ops at once in a third less time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.usefixtures("unoptimised")
@pytest.mark.parametrize(
    ("group", "dtype"),
    [(group, "float64") for group in GROUPS] + [(group, "float32") for group in GROUPS[:6]],
    ids=lambda g: g if isinstance(g, str) else g[0].id,
)
def test_cases_and_their_gradients(group, dtype):
    made = [with_gradients(case, k, dtype) for k, case in enumerate(group)]
    compare(group, made, 10 * RTOL[dtype])


@pytest.mark.usefixtures("unoptimised")
def test_empty_cases():
    group = [case for case in ALL if case.empty]
    made = [with_gradients(case, k, "float64", case.empty) for k, case in enumerate(group)]
    compare(group, made, RTOL["float64"])


def compare(group, made, rtol):
    inputs = [v for variables, _, _ in made for v in variables]
    outputs = [results for _, results, _ in made]
    values = [a for _, _, arrays in made for a in arrays]
    found = mg.function(inputs, outputs, backend="jax", simplify=False)(*values)
    expected = mg.function(inputs, outputs, backend="numpy", simplify=False)(*values)
    for case, ours, theirs in zip(group, found, expected, strict=True):
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_close(a, b, rtol, f"{case.id}, result {k}")


# No number below the smallest normal one: XLA takes those as zero.
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 1000.0, -1000.0, 2.5, -3.5])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_values(dtype):
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)), dtype).T
    x, a, b = (mg.var(n, v.shape, dtype) for n, v in zip("xab", (SPECIAL, *pairs), strict=True))
    made = {name: getattr(mg, name)(x) for name in {**SMOOTH_UNARY, **FLAT_UNARY}}
    made |= {name: getattr(mg, name)(a, b) for name in {**SMOOTH_BINARY, **FLAT_BINARY}}
    values = [SPECIAL.astype(dtype), *pairs]
    found = mg.function([x, a, b], made, backend="jax", simplify=False)(*values)
    expected = mg.function([x, a, b], made, backend="numpy", simplify=False)(*values)
    for name, theirs in expected.items():
        at = values[:1] if theirs.shape == SPECIAL.shape else values[1:]
        same(name, found[name], theirs, at, RTOL[dtype])


def same(name, ours, theirs, at, rtol):
    """Equal to rounding, signs of zeros included."""
    told = f"{name} at {at}"
    np.testing.assert_allclose(ours, theirs, rtol=rtol, err_msg=told)
    # XLA takes either zero for the larger of both.
    if theirs.dtype.kind == "f" and name not in ("maximum", "minimum"):
        zero = theirs == 0
        assert_array_equal(np.signbit(ours)[zero], np.signbit(theirs)[zero], err_msg=told)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_integers(dtype):
    info = np.iinfo(dtype)
    numbers = np.array([0, 1, 2, 3, 7, 100, info.max, info.max - 1, info.min], dtype)
    a, b = (v.ravel() for v in np.meshgrid(numbers, numbers))
    u, v = (mg.var(n, a.shape, dtype) for n in "ab")
    made = [u + v, u - v, u * v, mg.maximum(u, v), u < v, u // v, u % v, u ^ v, u | v, u & v, -u]
    made += [mg.sum(u), abs(u), mg.sign(u), mg.square(u), u << (v % 8), u >> (v % 8), ~u]
    made += [mg.astype(u, t) for t in ("bool", "int8", "uint64", "float32", "float64")]
    fits = ~((a == info.min) & (b == -1)) if info.min else np.full(a.shape, True)
    values = [a[fits], b[fits]] if info.min == 0 else [a, np.where(fits, b, 1).astype(dtype)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree([u, v], made, values, simplify=False)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_powers_of_integers_by_all_bits_of_the_exponent(dtype):
    a, b = np.meshgrid(
        np.array([0, 1, 2, 3, 5, 255], "uint8").astype(dtype), [0, 1, 63, 64, 65, 127]
    )
    u, v = mg.var("u", a.shape, dtype), mg.var("v", b.shape, dtype)
    agree([u, v], [u**v, u[0] ** v], [a, b.astype(dtype)], simplify=False)


def test_booleans_are_scattered():
    x, k = mg.var("x", (2, 3)), mg.var("k", (2,), "int64")
    least = mg.min(mg.asarray(x).at[0].set(2.0), axis=1)
    b = mg.var("b", (2,), "bool")
    mask = make(OPS["scatter"], (b, k), ((("a",),), (4,)))
    values = [np.arange(6.0).reshape(2, 3), [1, 1], [True, False]]
    agree([x, k, b], [least, *mg.grad(mg.sum(least), [x]), mask], values)


def test_an_index_into_an_axis_of_length_0():
    x, none, one = mg.var("x", (0, 3)), mg.var("none", (0,), "int64"), mg.var("one", (1,), "int64")
    f = mg.function([x, none], [x[none], mg.grad(mg.sum(x[none]), x)], backend="jax")
    assert [y.shape for y in f(np.ones((0, 3)), np.zeros(0, "int64"))] == [(0, 3), (0, 3)]
    for y in (x[one], mg.grad(mg.sum(x[one]), x)):
        with pytest.raises(IndexError, match="axis of length 0"):
            mg.function([x, one], y, backend="jax", simplify=False)(np.ones((0, 3)), [0])


def test_formulas_are_computed_as_they_are_written():
    x, y = mg.var("x"), mg.var("y")
    for made, at in (
        (mg.log(x**y), (-2.0, 1.0)),
        (x / y / y, (1e-200, 1e-170)),
        (x / (x / y), (1e-200, 1e-200)),
        (mg.exp(x) * mg.exp(y), (800.0, -800.0)),
        (mg.log(mg.exp(x)), (800.0, 0.0)),
        (mg.exp(x) ** y, (800.0, 0.0001)),
    ):
        ours, theirs = (
            mg.function([x, y], made, backend=b, simplify=False)(*at) for b in ("jax", "numpy")
        )
        assert_close(ours, theirs)
    y = mg.sum(mg.log(mg.exp(x) * mg.exp(x)) / mg.exp(x))
    pure = mg.to_jax(y)
    with jax.enable_x64(True):
        slopes = jax.vmap(jax.grad(lambda x: pure({}, {"x": x})))(np.array([0.5, 1.0]))
    np.testing.assert_allclose(slopes, [np.exp(-0.5), 0.0], atol=1e-12)


@given(graphs(), points())
@settings(max_examples=15)
def test_random_graphs_and_their_gradients(y, at):
    gradients = mg.vjp(y, LEAVES, np.ones(y.shape))
    values = [at[v] for v in LEAVES]
    agree(LEAVES, [y, *gradients], values, rtol=1e-9)


@given(st.data())
@settings(max_examples=6)
def test_random_loops_and_their_gradients(data):
    outputs, at = random_loop(data.draw)
    agree([*at], outputs, [*at.values()], rtol=1e-9)
