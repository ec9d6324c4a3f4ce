"""Integers, booleans and what goes along an axis, as machine code: NumPy's results to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
WHOLE = np.array([0, 1, -1, 2, -3, 7, 63, 64, -64, 10**12, -(10**12), MOST, LEAST])
FLOATS = np.array([0.0, -0.0, 1.0, -2.0, 2.0, np.nan, np.inf, -np.inf, 0.5])


@pytest.fixture(autouse=True)
def _every_block_pays(monkeypatch):
    monkeypatch.setattr("minigrad.compile.backends.native.backend.CALL_OPS", 1e-9)


def check(outputs, at):
    """All of it is machine code, and what NumPy gives."""
    f = mg.function(list(at), outputs, backend="native", simplify=False)
    assert {s.node.op.name for s in f.plan.steps} <= {"block", "item"}
    assert f.notes == []
    with np.errstate(all="ignore"):
        expected = mg.function(list(at), outputs, backend="numpy", simplify=False)(*at.values())
        found = f(*at.values())
    for y, a, b in zip(outputs, found, expected, strict=True):
        assert_array_equal(a, b, strict=True, err_msg=y.op.name)


OF_TWO = [
    "add", "subtract", "multiply", "maximum", "minimum", "floor_divide", "remainder", "fmod",
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and",
    "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift",
    "bitwise_right_shift",
]  # fmt: skip
OF_ONE = ["negative", "abs", "square", "sign", "relu", "logical_not", "bitwise_invert"]


def test_arithmetic_of_integers_is_numpys_at_its_ends():
    a, b = (v.ravel() for v in np.meshgrid(WHOLE, WHOLE))
    x, y = mg.var("x", a.shape, "int64"), mg.var("y", b.shape, "int64")
    outputs = [getattr(mg, name)(x, y) for name in OF_TWO]
    outputs += [getattr(mg, name)(x) for name in OF_ONE]
    check([*outputs, mg.where(x > y, x, y)], {x: a, y: b})


def test_tests_of_booleans_and_floats():
    p, q = np.array([False, False, True, True] * 5), np.array([False, True] * 10)
    x, y = mg.var("x", 20, "bool"), mg.var("y", 20, "bool")
    names = [n for n in OF_TWO if n.startswith(("logical", "bitwise", "less", "eq", "not", "gr"))]
    outputs = [getattr(mg, name)(x, y) for name in names if not name.endswith("shift")]
    check([*outputs, mg.where(x, y, x), ~x], {x: p, y: q})
    z = mg.var("z", FLOATS.shape)
    check([mg.logical_and(z, z[::-1]), mg.logical_not(z), mg.logical_xor(z, 1.0)], {z: FLOATS})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_casts(dtype):
    values = np.array([0.0, -0.0, 1.9, -1.9, 1e15, -3e9, np.nan, np.inf, -np.inf, 1e30, -(2.0**63)])
    x, n = mg.var("x", values.shape, dtype), mg.var("n", WHOLE.shape, "int64")
    b = mg.var("b", 3, "bool")
    kinds = ["bool", "int64", "float32", "float64"]
    at = {x: values.astype(dtype), n: WHOLE, b: np.array([True, False, True])}
    check([mg.astype(v, k) for v in (x, n, b) for k in kinds if v.dtype != k], at)


@pytest.mark.parametrize("shape", [(5,), (3, 70), (70, 3), (2, 300, 3), (1000,)])
def test_reductions_of_integers_and_booleans(shape):
    rng = np.random.default_rng(0)
    x, b = mg.var("x", shape, "int64"), mg.var("b", shape, "bool")
    at = {x: rng.integers(-50, 50, shape), b: rng.random(shape) < 0.99}
    axes = [None, *range(len(shape))]
    outputs = [f(x, axis=k) for f in (mg.sum, mg.max, mg.min) for k in axes]
    check([*outputs, *(f(b, axis=k) for f in (mg.all, mg.any) for k in axes)], at)
    check([mg.sum(b, k) for k in axes] + [mg.all(x, axis=0), mg.any(x)], {x: at[x], b: at[b]})


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(1,), (9,), (4, 1), (3, 50), (2, 5, 9)])
def test_sums_and_places_along_axes(shape, dtype):
    rng = np.random.default_rng(1)
    values = rng.integers(-3, 4, shape).astype(dtype)  # with ties; sums of them are exact
    x, axes = mg.var("x", shape, dtype), range(len(shape))
    arg = [f(x, axis=k) for f in (mg.argmax, mg.argmin) for k in (None, *axes)]
    check([*arg, *(mg.cumulative_sum(x, k) for k in axes)], {x: values})
    if dtype != "int64":
        holes = np.where(rng.random(shape) < 0.2, np.nan, values).astype(dtype)
        ends = np.where(rng.random(shape) < 0.5, -np.inf, holes).astype(dtype)
        check(arg, {x: holes})
        check(arg, {x: ends})
        check([f(mg.permute_dims(x)) for f in (mg.argmax, mg.argmin)], {x: holes})


def test_a_loop_over_integers():
    x, t = mg.var("x", (20, 6)), mg.arange(20)

    def step(carry, inputs):
        count, seen = carry
        row, k = inputs
        best = mg.argmax(row)
        count = (count * 3 + k) % 17 + best
        return (count, seen + mg.take(row, best)), (mg.cumulative_sum(row)[best], count > 8)

    last, ys = mg.scan(step, (mg.const(1), mg.const(0.0)), (x, t))
    f, plain = (mg.function([x], [*last, *ys], backend=b) for b in ("native", "numpy"))
    values = np.random.default_rng(2).integers(-9, 9, (20, 6)).astype(float)
    assert f.notes == []
    for a, b in zip(f(values), plain(values), strict=True):
        assert_array_equal(a, b, strict=True)


NARROW = ["int8", "int16", "int32", "uint8", "uint16", "uint32"]


def ends(dtype):
    """All pairs of numbers about 0 and about the ends of a dtype."""
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    some = {0, 1, 2, 3, 7, 8, 31, 32, most, most - 1, least, least + 1, most // 2, -1, -2, -5, -8}
    values = np.array(sorted(v for v in some if least <= v <= most), dtype)
    return [v.ravel() for v in np.meshgrid(values, values)]


@pytest.mark.parametrize("dtype", NARROW)
def test_arithmetic_of_narrower_integers_is_numpys_at_their_ends(dtype):
    a, b = ends(dtype)
    x, y = mg.var("x", a.shape, dtype), mg.var("y", b.shape, dtype)
    outputs = [getattr(mg, name)(x, y) for name in OF_TWO]
    outputs += [getattr(mg, name)(x) for name in OF_ONE]
    outputs += [mg.where(x > y, x, y), (x + y) * x // (y - x) - 3, (x * y + 1) > x, ~(x + y) >> 1]
    check(outputs, {x: a, y: b})


@pytest.mark.parametrize("dtype", NARROW)
def test_narrower_integers_are_moved_and_cast(dtype):
    a, _ = ends(dtype)
    x, n = mg.var("x", a.shape, dtype), mg.var("n", WHOLE.shape, "int64")
    i = mg.var("i", (2, 3), dtype)
    kinds = ["bool", "int64", "float32", "float64", *NARROW]
    outputs = [mg.astype(x + x, k) for k in kinds if k != dtype] + [mg.astype(n, dtype)]
    outputs += [mg.astype(mg.astype(n > 0, dtype) - 1, "int64"), mg.concat([x[::2], x + 1])]
    outputs += [x[i], mg.sqrt(mg.astype(x[i], "float64") ** 2), mg.broadcast_to(x[3:4] * 2, (5, 4))]
    check(outputs, {x: a, n: WHOLE, i: np.array([[0, 1, 2], [5, 4, 3]], dtype)})


def test_a_loop_over_narrower_integers():
    table, tokens = mg.var("table", (5, 3)), mg.var("tokens", (7, 2), "int32")

    def step(carry, token):
        count, h = carry
        new = mg.tanh(h + table[token])
        return (count + token * 2 - 1, new), (count, new)

    start = mg.astype(mg.zeros(2), "int32"), mg.zeros((2, 3))
    last, ys = mg.scan(step, start, tokens)
    outputs = [*last, *ys, mg.grad(mg.sum(last[1]), table)]
    rng = np.random.default_rng(0)
    at = rng.standard_normal((5, 3)), rng.integers(-5, 5, (7, 2)).astype("int32")
    native, reference = (
        mg.function([table, tokens], outputs, backend=b) for b in ("native", "numpy")
    )
    assert native.notes == []
    for a, b in zip(native(*at), reference(*at), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_floats_become_narrower_integers_by_numpy():
    x = mg.var("x", (4,))
    outputs = [mg.astype(mg.exp(x) * 2 + mg.tanh(x), "uint8"), mg.astype(x * 3, "int32") + 1]
    at = np.array([0.5, -1.0, 2e10, np.nan])  # each CPU has its own for what is out of range
    for a, b in zip(
        *[mg.function([x], outputs, backend=k)(at) for k in ("native", "numpy")], strict=True
    ):
        assert_array_equal(a, b, strict=True)
