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

from minigrad.compile.backends.native import circular, jit, vecmath  # noqa: E402

DTYPES = ["float32", "float64"]
OF_TWO = ["atan2", "hypot", "hypot_slope", "logaddexp", "pow"]
NAMES = sorted(set(vecmath.FUNCTIONS) - set(OF_TWO))
LIMIT = 2.0  # ulp
LIMITS = {"sigmoid_slope": 3.0, "tanh_slope": 4.0}
BASELINE = jit.Cpu("", "", 16, 16)  # the architecture's oldest CPU; on x86-64 one without FMA

WAVES = ["cos", "sin", "tan"]
ODD = ["asin", "asinh", "atan", "atanh", "erf", "expm1", "log1p", "sin", "sinh", "tan", "tanh"]

mp = mpmath.mp
REFERENCES = {
    **{name: getattr(mp, name) for name in NAMES if hasattr(mp, name)},
    "cbrt": lambda x: mp.sign(x) * mp.root(abs(x), 3),
    "log2": lambda x: mp.log(x) / mp.log(2),
    "atan2": mp.atan2,
    "hypot": mp.hypot,
    "hypot_slope": lambda a, b: a / mp.hypot(a, b),
    "logaddexp": lambda a, b: mp.log(mp.exp(a) + mp.exp(b)),
    "pow": mp.power,
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
    """(name, *xs) -> y; lanes 0 for scalar IR in a loop, else a loop over vectors of that many."""
    module = jit.new_module()
    for name in vecmath.FUNCTIONS:
        _emit_loop(module, name, dtype, lanes)
    effort = jit.Effort.QUICK if lanes or cpu else jit.Effort.FULL
    code = jit.compile_module(module, cpu, effort=effort)

    def call(name, *xs):
        step, used = max(lanes, 1), xs[0].size
        count = -(-used // step) * step
        padded = np.ones((len(xs) + 1, count), dtype)
        padded[1:, :used] = xs
        size = np.array([count])
        places = [row.ctypes.data for row in padded]
        code.function(f"of {name}", len(xs) + 2)(*places, size.ctypes.data)
        return padded[0, :used]

    return call


def _emit_loop(module, name, dtype, lanes):
    ir = jit.llvm().ir
    element = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    kind = ir.VectorType(element, lanes) if lanes else element
    align = np.dtype(dtype).itemsize
    pointer, index_type = ir.PointerType(), ir.IntType(64)
    pointers = [pointer] * (4 if name in OF_TWO else 3)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), pointers), f"of {name}")
    for argument in function.args:
        argument.add_attribute("noalias")
    y, *xs, size = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    stop = builder.load(size, typ=index_type)
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(index_type)
    places = [builder.gep(x, [index], source_etype=element) for x in xs]
    values = [builder.load(place, align=align, typ=kind) for place in places]
    result = vecmath.emit(builder, name, *values)
    builder.store(result, builder.gep(y, [index], source_etype=element), align=align)
    following = builder.add(index, index_type(max(lanes, 1)))
    index.add_incoming(index_type(0), before)
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, stop), body, after)
    builder.position_at_end(after)
    builder.ret_void()


def ulps(name, *xs_y):
    """The error of each y in units of the last place of the correctly rounded result."""
    *xs, y = xs_y
    dtype = y.dtype
    with mp.workprec(120), np.errstate(over="ignore"):
        exact = [
            REFERENCES[name](*[mp.mpf(float(v)) for v in row]) for row in zip(*xs, strict=True)
        ]
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
    end = math.log(float(np.finfo(x.dtype).max))
    wide = x.astype(np.float64)  # compared with a float32, the end would be rounded
    if name in ("exp", "expm1"):
        keep &= wide <= end
    if name in ("sinh", "cosh"):
        keep &= np.abs(wide) <= end + math.log(2)
    if name in ("asin", "acos", "atanh"):
        keep &= np.abs(x) <= (1 if name != "atanh" else np.nextafter(x.dtype.type(1), 0))
    if name == "acosh":
        keep &= x >= 1
    if name in ("log", "log2", "log10", "log1p"):
        keep &= x > (-1 if name == "log1p" else 0)
    return x[keep]


def nearest_to_quarter_turns(dtype, largest):
    """The floats up to the largest that lie nearest to multiples of π/2, one an exponent: by the
    continued fraction of 2^e/(π/2) (Muller, Elementary Functions, 3rd ed. 2016, 11.3.2)."""
    digits, found = np.finfo(dtype).nmant + 1, []
    with mp.workprec(600):
        for e in range(-digits, math.ceil(math.log2(largest)) - digits):
            x, below, q = mp.mpf(2) ** e / (mp.pi / 2), 1, 0
            while True:
                below, q = q, int(mp.floor(x)) * q + below
                if q >= 2**digits:
                    break
                x = 1 / (x - mp.floor(x))
            found.append(float(below) * 2.0**e)
    return np.array(found, dtype)


def points(name, dtype, rng):
    """A few hundred from each region where something changes, and both signs of them."""
    info = np.finfo(dtype)
    least, most = math.log2(float(info.smallest_subnormal)), math.log2(float(info.max))
    edges = [
        math.sqrt(2) - 1,
        0.5,
        1.0,
        2.0,
        math.sqrt(2) + 1,
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
    if name in WAVES:
        large = circular.LARGE[dtype == "float64"]
        turns = np.pi / 2 * np.concatenate([np.arange(1, 100), rng.integers(1, large / 2, 300)])
        x = np.concatenate([x, turns, nearest_to_quarter_turns(dtype, large), [large, -large]])
    if name.startswith("log") or name in ("acosh", "asin", "acos", "atanh"):
        near_one = 1 + rng.uniform(-0.5, 1, 300)
        x = np.concatenate([x, near_one, near_one - 1, 1 + exponents[:100], -1 + exponents[:100]])
    return finite(name, x.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_within_two_ulp_of_mpmath(name, dtype, rng):
    x = points(name, dtype, rng)[::2]
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
    if name in (*ODD, "cbrt"):
        same_bits(y[x == 0], x[x == 0])
    if name in ODD:
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


# --- functions of two --------------------------------------------------------------------------


def pairs(name, dtype, rng):
    """Numbers of all magnitudes beside each other, alike, and such that powers are finite."""
    x, dtype = points("of two", dtype, rng), np.dtype(dtype)
    y = x[rng.permutation(x.size)]
    alike = (x * rng.uniform(-1, 1, x.size)).astype(dtype)
    if name == "pow":
        x = np.abs(x)
        log = np.log(np.where(x > 0, x, 2).astype(np.float64))
        end = math.log(float(np.finfo(dtype).max))
        with np.errstate(divide="ignore", over="ignore"):
            alike = (rng.uniform(-1, 1, x.size) * end / log).astype(dtype)
        y = rng.integers(-30, 30, x.size).astype(dtype)
    if name == "logaddexp":  # of positive ones, where nothing cancels
        x, y, alike = (np.minimum(np.abs(v), dtype.type(1e3)) for v in (x, y, alike))
    return np.concatenate([x, x]), np.concatenate([y, alike])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_TWO)
def test_functions_of_two_within_two_ulp_of_mpmath(name, dtype, rng):
    x, y = pairs(name, dtype, rng)
    z = compiled(dtype, 0)(name, x, y)
    plain = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    with np.errstate(over="ignore"):
        size = np.hypot(x, y)
    if name == "hypot_slope":  # made of a hypot that is rounded
        plain &= (size >= np.finfo(dtype).tiny) & (size < np.inf)
    x, y, z = x[plain][::2], y[plain][::2], z[plain][::2]
    errors = ulps(name, x, y, z)
    worst = errors.argmax()
    assert errors[worst] <= LIMIT, f"{name}({x[worst]!r}, {y[worst]!r}) = {z[worst]!r}"
    assert plain.sum() > 1000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_TWO)
def test_special_values_of_two_are_numpys(name, dtype):
    info = np.finfo(dtype)
    ends = [math.inf, info.max, info.tiny, info.smallest_subnormal, 1e4, 7.0, 2.5, 1.0, 0.5, 0.0]
    x, y = np.meshgrid(*[np.array([math.nan, *ends, *(-end for end in ends)], dtype)] * 2)
    x, y = x.ravel(), y.ravel()
    with np.errstate(all="ignore"):
        if name == "hypot_slope":
            size = np.hypot(x, y)
            expected = x / np.where(size == 0, size.dtype.type(1), size)
        else:
            expected = {"atan2": np.arctan2, "pow": np.power}.get(name, getattr(np, name, None))(
                x, y
            )
    z = compiled(dtype, 0)(name, x, y)
    np.testing.assert_array_equal(np.isnan(z), np.isnan(expected))
    numbers = ~np.isnan(z)
    z, expected = z[numbers], expected[numbers]
    np.testing.assert_array_max_ulp(z, expected, 3 if name == "hypot_slope" else LIMIT)
    same_bits(z[z == 0], expected[z == 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_TWO)
def test_vectors_and_cpus_agree_bitwise_of_two(name, dtype, rng):
    x, y = pairs(name, dtype, rng)
    expected = compiled(dtype, 0)(name, x, y)
    for lanes in (2, jit.host().lanes(dtype)):
        same_bits(compiled(dtype, lanes)(name, x, y), expected)
    same_bits(compiled(dtype, 0, BASELINE)(name, x, y), expected)


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
