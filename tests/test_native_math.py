"""Emitted elementary functions: within LIMITS of mpmath, special values, scalars as vectors."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
mpmath = pytest.importorskip("mpmath", reason="ulps are counted against mpmath")

from minigrad.compile.backends.native import jit, vecmath  # noqa: E402

DTYPES = ["float32", "float64"]
NAMES = sorted(vecmath.FUNCTIONS)
LIMIT = 2.0  # ulp
LIMITS = {"sigmoid_slope": 3.0, "tanh_slope": 4.0}
BASELINE = jit.Cpu("", "", 16, 16)  # the architecture's oldest CPU; on x86-64 one without FMA

mp = mpmath.mp
REFERENCES = {
    "erf": mp.erf,
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "sigmoid_slope": lambda x: 1 / (mp.exp(x / 2) + mp.exp(-x / 2)) ** 2,
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "tanh": mp.tanh,
    "tanh_slope": lambda x: mp.sech(x) ** 2,
}


@functools.cache
def compiled(dtype, lanes, cpu=None):
    """(name, x) -> y; lanes 0 for scalar IR in a loop, else a loop over vectors of that many."""
    module = jit.new_module()
    for name in NAMES:
        _emit_loop(module, name, dtype, lanes)
    code = jit.compile_module(module, cpu)

    def call(name, x):
        step = max(lanes, 1)
        count = -(-x.size // step) * step
        padded = np.ones(count, dtype)
        padded[: x.size] = x
        y = np.empty_like(padded)
        size = np.array([count])
        code.function(name, 3)(y.ctypes.data, padded.ctypes.data, size.ctypes.data)
        return y[: x.size]

    return call


def _emit_loop(module, name, dtype, lanes):
    ir = jit.llvm().ir
    element = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    kind = ir.VectorType(element, lanes) if lanes else element
    align = np.dtype(dtype).itemsize
    pointer, index_type = ir.PointerType(), ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * 3), name)
    for argument in function.args:
        argument.add_attribute("noalias")
    y, x, size = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    stop = builder.load(size, typ=index_type)
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(index_type)
    value = builder.load(builder.gep(x, [index], source_etype=element), align=align, typ=kind)
    result = vecmath.emit(builder, name, value)
    builder.store(result, builder.gep(y, [index], source_etype=element), align=align)
    following = builder.add(index, index_type(max(lanes, 1)))
    index.add_incoming(index_type(0), before)
    index.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, stop), body, after)
    builder.position_at_end(after)
    builder.ret_void()


def ulps(name, x, y):
    """The error of each y in units of the last place of the correctly rounded result."""
    dtype = y.dtype
    with mp.workprec(120):
        exact = [REFERENCES[name](mp.mpf(float(v))) for v in x]
        # float() of mpf rounds to nearest even in subnormals; float32's spacing comes of float64
        rounded = np.array([float(v) for v in exact]).astype(dtype)
        unit = [mp.mpf(float(v)) for v in np.spacing(np.abs(rounded))]
        return np.array(
            [float(abs(mp.mpf(float(a)) - e) / u) for a, e, u in zip(y, exact, unit, strict=True)]
        )


def same_bits(actual, expected):
    """Equal to the sign of a zero; of NaNs only that they are."""
    np.testing.assert_array_equal(actual, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual[numbers]), np.signbit(expected[numbers]))


def finite(name, x):
    """The arguments at which the function is finite and not a limit."""
    keep = np.isfinite(x)
    if name in ("exp", "expm1"):
        keep &= x <= math.log(float(np.finfo(x.dtype).max))
    if name in ("log", "log1p"):
        keep &= x > (0 if name == "log" else -1)
    return x[keep]


def points(name, dtype, rng):
    """A few hundred from each region where something changes, and both signs of them."""
    info = np.finfo(dtype)
    least, most = math.log2(float(info.smallest_subnormal)), math.log2(float(info.max))
    edges = [
        0.5,
        1.0,
        2.0,
        3.95,
        5.95,
        10.0,
        20.0,
        40.0,
        math.log(float(info.max)),
        -least * math.log(2),
    ]
    near_edges = np.concatenate([e * (1 + rng.uniform(-1e-5, 1e-5, 20)) for e in edges])
    reduction = math.log(2) / 2 * np.arange(1, 60) * (1 + rng.uniform(-1e-6, 1e-6, 59))
    exponents = 2.0 ** rng.uniform(least, most, 300)
    subnormals = np.arange(1, 20) * float(info.smallest_subnormal)
    moderate = np.concatenate([rng.uniform(0, high, 200) for high in (0.1, 1.0, 6.0, 30.0, -least)])
    magnitudes = np.concatenate([near_edges, reduction, exponents, subnormals, moderate])
    x = np.concatenate([magnitudes, -magnitudes])
    if name.startswith("log"):
        near_one = 1 + rng.uniform(-0.5, 1, 300)
        x = np.concatenate([x, near_one, near_one - 1, 1 + exponents[:100], -1 + exponents[:100]])
    return finite(name, x.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_within_two_ulp_of_mpmath(name, dtype, rng):
    x = points(name, dtype, rng)
    y = compiled(dtype, 0)(name, x)
    errors = ulps(name, x, y)
    worst = errors.argmax()
    assert errors[worst] <= LIMITS.get(name, LIMIT), f"{name}({x[worst]!r}) = {y[worst]!r}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values_are_numpys(name, dtype):
    info = np.finfo(dtype)
    ends = [math.inf, info.max, info.tiny, info.smallest_subnormal, 1e4, 1.0, 0.0]
    x = np.array([math.nan, *ends, *(-end for end in ends)], dtype)
    numpys = {
        "erf": lambda v: np.array([math.erf(a) for a in v.astype(float)]).astype(dtype),
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "sigmoid_slope": lambda v: (0.25 / np.cosh(v.astype(float) / 2) ** 2).astype(dtype),
        "softplus": lambda v: np.logaddexp(v, np.zeros_like(v)),
        "tanh_slope": lambda v: (1 / np.cosh(v.astype(float)) ** 2).astype(dtype),
    }
    with np.errstate(all="ignore"):
        expected = numpys.get(name, getattr(np, name, None))(x)
    y = compiled(dtype, 0)(name, x)
    np.testing.assert_array_max_ulp(y, expected, LIMITS.get(name, LIMIT))
    keeps_zero = name in ("erf", "expm1", "log1p", "tanh")
    if keeps_zero:
        same_bits(y[x == 0], x[x == 0])
        tiny = np.abs(x) == info.smallest_subnormal
        same_bits(y[tiny], x[tiny])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_overflow_is_where_the_result_overflows(name, dtype):
    edge = np.array([math.log(float(np.finfo(dtype).max))], dtype)
    near = np.concatenate([edge + i * np.spacing(edge) for i in range(-3, 4)])
    with mp.workprec(120):
        limit = mp.mpf(float(np.finfo(dtype).max))
        overflows = np.array([REFERENCES[name](mp.mpf(float(v))) > limit for v in near])
    np.testing.assert_array_equal(np.isinf(compiled(dtype, 0)(name, near)), overflows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_scalars_vectors_and_cpus_agree_bitwise(name, dtype, rng):
    bits = rng.integers(0, 2 ** (31 if dtype == "float32" else 63), 1500)
    anything = bits.astype("uint32" if dtype == "float32" else "uint64").view(dtype)
    x = np.concatenate([points(name, dtype, rng)[::3], anything, -anything])
    expected = compiled(dtype, 0)(name, x)
    for lanes in (2, jit.host().lanes(dtype)):
        same_bits(compiled(dtype, lanes)(name, x), expected)
    one_by_one = np.concatenate([compiled(dtype, 0)(name, x[i : i + 1]) for i in range(200)])
    same_bits(one_by_one, expected[:200])
    same_bits(compiled(dtype, 0, BASELINE)(name, x), expected)


@pytest.mark.parametrize("name", NAMES)
@given(value=st.floats(width=32), wide=st.booleans())
def test_any_float_is_within_two_ulp(name, value, wide):
    dtype = "float64" if wide else "float32"
    x = finite(name, np.array([value], dtype))
    if x.size:
        assert ulps(name, x, compiled(dtype, 0)(name, x))[0] <= LIMITS.get(name, LIMIT)


def test_names_and_types_that_are_not_there():
    ir = jit.llvm().ir
    function = ir.Function(
        jit.new_module(), ir.FunctionType(ir.VoidType(), [ir.IntType(32), ir.FloatType()]), "f"
    )
    builder = ir.IRBuilder(function.append_basic_block())
    with pytest.raises(KeyError, match="gamma"):
        vecmath.emit(builder, "gamma", function.args[1])
    with pytest.raises(TypeError, match="i32"):
        vecmath.emit(builder, "exp", function.args[0])
