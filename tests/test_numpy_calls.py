"""NumPy's functions and ndarray's methods on expressions: every call of numpy_calls.py."""

from __future__ import annotations

import inspect
import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy_calls import FLAT, SMOOTH

import minigrad as mg
from minigrad.names import FUNCTIONS, NUMPY_FORMS, NUMPY_NAMES
from minigrad.syntax.numpy_protocol import _WAYS_OUT


def sample(code: str, shapes: tuple) -> list[np.ndarray]:
    """The operands of a call, drawn as the letter after each shape says."""
    rng = np.random.default_rng(zlib.crc32(code.encode()))
    return [np.asarray(_draw(rng, shape)) for shape in shapes]


def _draw(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    letter = shape[-1] if shape and isinstance(shape[-1], str) else ""
    shape = shape[:-1] if letter else shape
    size = int(np.prod(shape))
    if letter == "i":
        return rng.integers(-5, 5, shape)
    if letter == "b":
        return rng.random(shape) < 0.5
    if letter == "~":
        return (0.31 * (rng.permutation(size) - size // 2) + 0.1).reshape(shape)
    values = rng.uniform(0.3, 2.0, shape) if letter == "+" else rng.uniform(-1.5, 1.5, shape)
    if letter == "n":
        values.flat[1] = np.nan
    return values.astype(np.float32) if letter == "f" else values


def answers(result: object) -> list:
    """What a call returns, one array or several, as a list."""
    if isinstance(result, (tuple, list)):
        return [part for item in result for part in answers(item)]
    return [result]


def call(code: str, operands: list) -> list:
    with np.errstate(all="ignore"):
        return _call(code, operands)


def _call(code: str, operands: list) -> list:
    return answers(eval(code, {"np": np, "mg": mg}, dict(zip("abcd", operands, strict=False))))


def variables(arrays: list[np.ndarray]) -> list[mg.Expr]:
    return [mg.var(name, x.shape, x.dtype) for name, x in zip("abcd", arrays, strict=False)]


ROWS = [*SMOOTH.items(), *FLAT.items()]


@pytest.mark.parametrize(("code", "shapes"), ROWS, ids=[code for code, _ in ROWS])
def test_a_call_gives_what_numpy_gives(code, shapes):
    arrays = sample(code, shapes)
    named = variables(arrays)
    expected, graphs = call(code, arrays), call(code, named)
    assert len(graphs) == len(expected)
    for graph, array in zip(graphs, expected, strict=True):
        assert isinstance(graph, mg.Expr), code
        value = graph.eval(dict(zip(named, arrays, strict=True)))
        assert graph.shape == np.shape(array) == np.shape(value)
        assert graph.dtype == np.asarray(array).dtype == np.asarray(value).dtype
        assert_allclose(value, array, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("code", "shapes"), SMOOTH.items(), ids=list(SMOOTH))
def test_its_derivative_is_that_of_numpys_values(code, shapes):
    arrays = sample(code, shapes)
    rng = np.random.default_rng(1)
    moves = [rng.standard_normal(x.shape) if x.dtype.kind == "f" else 0 * x for x in arrays]
    weights = [rng.standard_normal(np.shape(x)) for x in call(code, arrays)]

    def along(step: float) -> float:
        moved = [x + step * d for x, d in zip(arrays, moves, strict=True)]
        terms = zip(weights, call(code, moved), strict=True)
        return float(sum(np.sum(w * np.nan_to_num(y)) for w, y in terms))

    rough, fine = ((along(h) - along(-h)) / (2 * h) for h in (2e-4, 1e-4))
    named = variables(arrays)
    total = sum(mg.sum(w * y) for w, y in zip(weights, call(code, named), strict=True))
    floats = [v for v in named if v.dtype.kind == "f"]
    slopes = mg.function(named, mg.grad(total, floats))(*arrays)
    moves = [d for d, x in zip(moves, arrays, strict=True) if x.dtype.kind == "f"]
    slope = sum(np.sum(g * d) for g, d in zip(slopes, moves, strict=True))
    single = any(x.dtype == np.float32 for x in arrays)
    assert slope == pytest.approx((4 * fine - rough) / 3, rel=2e-2 if single else 1e-7, abs=1e-7)


# --- to second order ------------------------------------------------------------------------------

TWICE = [
    "np.sinc(a)",
    "np.sinc(4 * a)",
    "np.exp2(a)",
    "np.logaddexp2(a, b)",
    "np.cbrt(a)",
    "np.gradient(a, np.cumsum(b))",
    "np.interp(a, np.cumsum(b), c)",
    "np.trapezoid(a, b)",
    "np.convolve(a, b, 'same')",
    "np.median(a)",
    "np.corrcoef(a, b)[0, 1]",
    "np.var(a, 1, where=[True, False, True])",
    "np.linalg.norm(a, 3)",
    "np.einsum(a, (0, 1), b, (1, 2), (0, 2))",
    "np.cross(a, b, 0, 1, 0)",
    "np.pad(a, 2, mode='reflect')",
    "np.insert(a, [0, 2], b)",
    "np.polyval(a, b)",
]


@pytest.mark.parametrize("code", TWICE)
def test_second_derivatives(code):
    arrays = sample(code, SMOOTH[code])
    named = variables(arrays)
    (y,) = call(code, named)
    point = dict(zip(named, arrays, strict=True))
    mg.check_grad(mg.sum(mg.sin(y)), named, point, order=2)


@pytest.mark.parametrize("x", [0.0, 1e-9, 1e-3, 0.3, 1 / np.pi, 0.35, 2.5])
def test_sinc_has_every_derivative_at_0_and_near_it(x):
    import mpmath

    s = mg.var("s")
    y = mg.sinc(s)
    with mpmath.workdps(60):
        for order in range(5):
            expected = mpmath.diff(mpmath.sincpi, mpmath.mpf(x), order)
            assert y.eval({s: x}) == pytest.approx(float(expected), rel=1e-11, abs=1e-11)
            y = mg.grad(y, s)


def test_a_median_of_ties_shares_its_derivative():
    v = mg.var("v", (4,))
    slope = mg.grad(mg.median(v), v).eval({v: [3.0, 2.0, 1.0, 2.0]})
    assert slope.tolist() == [0.0, 0.5, 0.0, 0.5]


def test_of_nothing_but_nan_the_extremes_are_nan():
    v = mg.var("v", (2, 2))
    slopes = mg.grad(mg.sum(mg.nan_to_num(mg.nanmin(v, 1))), v)
    assert_allclose(mg.nanmax(v, 1).eval({v: [[np.nan, np.nan], [1, 2]]}), [np.nan, 2.0])
    assert_allclose(slopes.eval({v: [[np.nan, np.nan], [1, 2]]}), [[0.0, 0.0], [1.0, 0.0]])


def test_what_is_not_a_number_gets_no_derivative():
    v = mg.var("v", (3,))
    point = {v: [1.0, np.nan, 3.0]}
    assert mg.grad(mg.nanmean(v), v).eval(point).tolist() == [0.5, 0.0, 0.5]
    assert mg.grad(mg.nansum(v * v), v).eval(point).tolist() == [2.0, 0.0, 6.0]
    assert mg.grad(mg.nanmax(v), v).eval(point).tolist() == [0.0, 0.0, 1.0]
    assert mg.grad(mg.sum(mg.nan_to_num(v)), v).eval(point).tolist() == [1.0, 0.0, 1.0]
    curvature = mg.hessian(mg.nanvar(v), v).eval(point)
    assert curvature.tolist() == [[0.5, 0.0, -0.5], [0.0, 0.0, 0.0], [-0.5, 0.0, 0.5]]
    assert mg.grad(mg.sum(mg.fmax(v, 2.0)), v).eval(point).tolist() == [0.0, 0.0, 1.0]


# --- the same under minigrad's own names ----------------------------------------------------------

a, b = mg.var("a", (2, 3)), mg.var("b", (2, 3))
v, w = mg.var("v", (3,)), mg.var("w", (3,))
OWN_NAMES = [
    (mg.allclose, np.allclose, (a, b)),
    (mg.append, np.append, (a, b)),
    (mg.array_equal, np.array_equal, (a, b)),
    (mg.array_split, np.array_split, (a, 2)),
    (mg.atleast_1d, np.atleast_1d, (a,)),
    (mg.atleast_2d, np.atleast_2d, (v,)),
    (mg.atleast_3d, np.atleast_3d, (v,)),
    (mg.average, np.average, (a,)),
    (mg.block, np.block, ([a, b],)),
    (mg.cbrt, np.cbrt, (a,)),
    (mg.column_stack, np.column_stack, ([a, b],)),
    (mg.convolve, np.convolve, (v, w)),
    (mg.corrcoef, np.corrcoef, (a,)),
    (mg.correlate, np.correlate, (v, w)),
    (mg.cov, np.cov, (a,)),
    (mg.deg2rad, np.deg2rad, (a,)),
    (mg.delete, np.delete, (a, 1)),
    (mg.diag, np.diag, (v,)),
    (mg.dstack, np.dstack, ([a, b],)),
    (mg.exp2, np.exp2, (a,)),
    (mg.fmax, np.fmax, (a, b)),
    (mg.fmin, np.fmin, (a, b)),
    (mg.fmod, np.fmod, (a, b)),
    (mg.heaviside, np.heaviside, (a, b)),
    (mg.hstack, np.hstack, ([a, b],)),
    (mg.inner, np.inner, (a, b)),
    (mg.insert, np.insert, (v, 1, 2.0)),
    (mg.interp, np.interp, (a, v, w)),
    (mg.isclose, np.isclose, (a, b)),
    (mg.kron, np.kron, (a, b)),
    (mg.logaddexp2, np.logaddexp2, (a, b)),
    (mg.median, np.median, (a,)),
    (mg.nan_to_num, np.nan_to_num, (a,)),
    (mg.nanmax, np.nanmax, (a,)),
    (mg.nanmean, np.nanmean, (a,)),
    (mg.nanmin, np.nanmin, (a,)),
    (mg.nanprod, np.nanprod, (a,)),
    (mg.nanstd, np.nanstd, (a,)),
    (mg.nansum, np.nansum, (a,)),
    (mg.nanvar, np.nanvar, (a,)),
    (mg.pad, np.pad, (a, 1)),
    (mg.percentile, np.percentile, (a, 30)),
    (mg.polyval, np.polyval, (v, a)),
    (mg.ptp, np.ptp, (a,)),
    (mg.quantile, np.quantile, (a, 0.3)),
    (mg.rad2deg, np.rad2deg, (a,)),
    (mg.ravel, np.ravel, (a,)),
    (mg.rot90, np.rot90, (a,)),
    (mg.select, np.select, ([a > 0], [b])),
    (mg.sinc, np.sinc, (a,)),
    (mg.split, np.split, (a, 2)),
    (mg.trapezoid, np.trapezoid, (a,)),
    (mg.unwrap, np.unwrap, (a,)),
    (mg.vdot, np.vdot, (a, b)),
    (mg.vstack, np.vstack, ([a, b],)),
]


@pytest.mark.parametrize(("own", "numpys", "operands"), OWN_NAMES)
def test_own_names_are_numpys_functions(own, numpys, operands):
    for mine, theirs in zip(answers(own(*operands)), answers(numpys(*operands)), strict=True):
        assert mine is theirs


# --- what NumPy asks about an operand -------------------------------------------------------------


def test_numpy_knows_shapes_and_dtypes():
    half = mg.var("half", (2, 3), "float32")
    assert (np.shape(half), np.ndim(half), np.size(half), np.size(half, 1)) == ((2, 3), 2, 6, 3)
    assert np.result_type(half, 1.0) == np.result_type(np.float32(1), 1.0) == np.float32
    assert np.result_type(half, np.float64) == np.float64
    assert np.isrealobj(half)
    assert not np.iscomplexobj(half)
    assert (np.empty_like(half).shape, np.empty_like(half).dtype) == ((2, 3), np.float32)
    empty = np.empty_like(half, shape=(4,), dtype=np.int8)
    assert empty.eval().tolist() == [0, 0, 0, 0]  # type: ignore[attr-defined]


def test_a_correlation_is_never_more_than_one():
    x = mg.var("x", (2, 4))
    f = mg.function([x], mg.corrcoef(x), backend="numpy")
    for seed in range(60):  # c / (d · d) is often 1 + 2e-16
        row = np.random.default_rng(seed).standard_normal(4)
        for slope in (3.0, -0.7):
            assert np.abs(f(np.stack([row, slope * row]))).max() <= 1.0


# --- what is refused, and what only values show ---------------------------------------------------


def test_what_is_refused_is_not_there():
    there = set(FUNCTIONS) | set(NUMPY_FORMS) | set(NUMPY_NAMES)
    assert not there & set(_WAYS_OUT)
    assert all(hasattr(np, name) for name in _WAYS_OUT)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("chosen", [[0, 2], [0, -1]])
def test_a_choice_out_of_range_is_an_error_at_evaluation(chosen, backend):
    i, x = mg.var("i", (2,), "int64"), mg.var("x", (2,))
    f = mg.function([i, x], np.choose(i, [x, -x]), backend=backend)
    assert f([1, 0], [1.0, 2.0]).tolist() == [-1.0, 2.0]
    with pytest.raises(IndexError):
        f(chosen, [1.0, 2.0])


def test_integers_are_rounded_to_tens_as_numpy_rounds_them():
    x = mg.const([1234, -1250, 1350, 50])
    rounded: mg.Expr = np.round(x, -2)
    assert rounded.eval().tolist() == x.round(-2).eval().tolist() == [1200, -1200, 1400, 0]


# --- lists of expressions -------------------------------------------------------------------------

POINTWISE = [f for f in FUNCTIONS.values() if hasattr(f, "op") and f.op.pointwise]
BINARY = [f for f in POINTWISE if len(inspect.signature(f).parameters) == 2]


@pytest.mark.parametrize("function", BINARY, ids=lambda f: f.op.name)
def test_every_binary_function_stacks_lists(function):
    bits = function.op.name.startswith("bitwise")
    for dtype in ("int64",) if bits else ("int64", "float32", "float64"):
        p, q = mg.var("p", (), dtype), mg.var("q", (), dtype)
        stacked, r = mg.stack([p, q]), mg.var("r", (2,), dtype)
        assert function([p, q], 2) is function(stacked, 2)
        assert function(2, (p, q)) is function(2, stacked)
        assert function([p, q], r) is function(stacked, r)
        assert function([[p, q]], [p, q]) is function(mg.stack([stacked]), stacked)


def test_all_binary_functions_are_meant():
    names = {"add", "divide", "atan2", "hypot", "logaddexp", "copysign", "nextafter", "less"}
    assert names | {"bitwise_and"} <= {f.op.name for f in BINARY}


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [np.convolve, np.correlate])
def test_a_long_convolution_is_built_without_a_table(call):
    rng = np.random.default_rng(0)
    long, short = rng.standard_normal(20_000), rng.standard_normal(2_000)
    named = a, b = mg.var("long", long.shape), mg.var("short", short.shape)
    tracemalloc.start()
    try:
        y = call(a, b, "full")
        f = mg.function(named, [y, mg.grad(mg.sum(y), b)])
        built = tracemalloc.get_traced_memory()[1]
        values, slope = f(long, short)
        ran = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert built < 4e6  # a table of which element each output weighs takes 350 MB
    assert ran < 1e8
    assert_allclose(values, call(long, short, "full"), rtol=1e-9, atol=1e-10)
    assert_allclose(slope, np.full(2_000, long.sum()), rtol=1e-9)
