"""The array API standard's dtypes: promotion, defaults, and the functions that speak of dtypes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg
from minigrad import array_api as xp

SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
INTEGERS, FLOATS = SIGNED + UNSIGNED, ["float32", "float64"]
NUMBERS = INTEGERS + FLOATS
ALL = ["bool", *NUMBERS]

# The standard's two tables of promotion; what is not there is unspecified.
PROMOTED: dict[tuple[str, str], str] = {("bool", "bool"): "bool"}
for kind in (SIGNED, UNSIGNED, FLOATS):
    for a, b in itertools.product(kind, kind):
        PROMOTED[a, b] = max(a, b, key=kind.index)
for k, unsigned in enumerate(UNSIGNED[:3]):
    for j, signed in enumerate(SIGNED):
        PROMOTED[unsigned, signed] = PROMOTED[signed, unsigned] = SIGNED[max(j, k + 1)]


def pairs(dtypes: list[str]) -> list[tuple[str, str]]:
    return [p for p in PROMOTED if p[0] in dtypes and p[1] in dtypes]


ARITHMETIC = "add subtract multiply pow floor_divide remainder maximum minimum"
OF_FLOATS = ["divide", "atan2", "copysign", "hypot", "logaddexp", "nextafter"]
BITWISE = ["bitwise_and", "bitwise_or", "bitwise_xor"]
SHIFTS = ["bitwise_left_shift", "bitwise_right_shift"]
ORDER = ["less", "less_equal", "greater", "greater_equal"]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]
TWO: dict[str, tuple[list[str], bool]] = {
    **dict.fromkeys(ARITHMETIC.split(), (NUMBERS, False)),
    **dict.fromkeys(OF_FLOATS, (FLOATS, False)),
    **dict.fromkeys(BITWISE, (["bool", *INTEGERS], False)),
    **dict.fromkeys(SHIFTS, (INTEGERS, False)),
    **dict.fromkeys(ORDER, (NUMBERS, True)),
    **dict.fromkeys(["equal", "not_equal"], (ALL, True)),
    **dict.fromkeys(LOGICAL, (["bool"], True)),
}


@pytest.mark.parametrize("name", TWO)
def test_two_operands_meet_in_the_promoted_dtype(name: str) -> None:
    dtypes, test = TWO[name]
    function = getattr(mg, name)
    assert pairs(dtypes)
    for a, b in pairs(dtypes):
        y = function(mg.var("a", (2, 1), a), mg.var("b", (3,), b))
        assert y.dtype == (mg.bool if test else PROMOTED[a, b]), (a, b)
        assert y.shape == (2, 3)


@pytest.mark.parametrize("name", TWO)
def test_python_numbers_take_the_dtype_of_the_array(name: str) -> None:
    dtypes, test = TWO[name]
    function = getattr(mg, name)
    for dtype in dtypes:
        x = mg.var("x", (2,), dtype)
        numbers: list[float] = {"b": [True], "f": [1, 1.5]}.get(x.dtype.kind, [1])
        for number in numbers:
            for y in (function(x, number), function(number, x)):
                assert y.dtype == (mg.bool if test else dtype), (dtype, number)


OPERATORS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "floor_divide": "//",
    "remainder": "%", "pow": "**", "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^",
    "bitwise_left_shift": "<<", "bitwise_right_shift": ">>", "less": "<", "less_equal": "<=",
    "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_its_function(name: str) -> None:
    function, sign = getattr(mg, name), OPERATORS[name]
    a, b = mg.var("a", (2,), TWO[name][0][-1]), mg.var("b", (2,), TWO[name][0][-1])
    scope = {"a": a, "b": b}
    assert eval(f"a {sign} b", scope) is function(a, b)
    assert eval(f"a {sign} 1", scope) is function(a, 1)
    if sign[0] not in "<>=!" or sign in ("<<", ">>"):
        assert eval(f"1 {sign} a", scope) is function(1, a)
        exec(f"a {sign}= b", scope)  # a name is bound anew: expressions do not change
        assert scope["a"] is function(a, b)


TRANSCENDENTAL = (
    "acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 reciprocal sin sinh "
    "sqrt tan tanh"
)
ONE: dict[str, tuple[list[str], str]] = {
    **dict.fromkeys(["abs", "negative", "positive", "sign", "square", "conj", "real"],
                    (NUMBERS, "")),
    **dict.fromkeys(["ceil", "floor", "round", "trunc"], (NUMBERS, "")),
    **dict.fromkeys(["bitwise_invert"], (["bool", *INTEGERS], "")),
    **dict.fromkeys(["isfinite", "isinf", "isnan"], (NUMBERS, "bool")),
    **dict.fromkeys(["logical_not"], (["bool"], "bool")),
    **dict.fromkeys(["signbit"], (FLOATS, "bool")),
    **dict.fromkeys(TRANSCENDENTAL.split(), (FLOATS, "")),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_one_operand_keeps_its_dtype(name: str) -> None:
    dtypes, result = ONE[name]
    for dtype in dtypes:
        for shape in [(), (3,), (0, 2)]:
            x = mg.zeros(shape, dtype) + 1 if dtype != "bool" else mg.zeros(shape, dtype)
            y = getattr(mg, name)(x)
            assert (y.dtype, y.shape) == (np.dtype(result or dtype), shape)
            with np.errstate(all="ignore"):
                value = y.eval()
            assert (value.dtype, value.shape) == (y.dtype, shape)


def test_all_numbers_are_real() -> None:
    x = mg.var("x", (2,))
    assert mg.conj(x) is mg.real(x) is x
    assert mg.imag(x).eval().tolist() == [0, 0] and mg.imag(x).dtype == x.dtype


def test_floors_of_integers_are_these_integers() -> None:
    x = mg.const([-3, 2**62 + 1])
    for function in (mg.floor, mg.ceil, mg.round, mg.trunc):
        assert function(x) is x
        small = mg.var("n", (), "uint8")
        assert function(small) is small


@pytest.mark.parametrize("dtype", ALL)
def test_sums_are_kept_in_the_default_dtype_or_the_one_asked_for(dtype: str) -> None:
    x = mg.ones((2, 3), dtype)
    wide = {"b": "int64", "i": "int64", "u": "uint64"}.get(x.dtype.kind, dtype)
    for function in (mg.sum, mg.prod):
        assert function(x).dtype == function(x, axis=0).dtype == wide
    for function in (mg.cumulative_sum, mg.cumulative_prod):
        assert function(x, axis=1).dtype == wide
    assert mg.linalg.trace(x).dtype == wide
    for other in NUMBERS:
        for y in (mg.sum(x, dtype=other), mg.prod(x, dtype=other), mg.linalg.trace(x, dtype=other),
                  mg.cumulative_sum(x, axis=0, dtype=other)):  # fmt: skip
            assert y.dtype == other and y.eval().dtype == other
    for function in (mg.max, mg.min, mg.sort):
        assert function(x).dtype == dtype
    for function in (mg.argmax, mg.argmin, mg.argsort, mg.count_nonzero):
        assert function(x, axis=0).dtype == mg.int64


def test_sums_in_a_narrow_dtype_wrap_around() -> None:
    x = np.array([100, 100, 100], "int64")
    assert mg.sum(x, dtype="int8").eval() == x.sum(dtype="int8")
    assert mg.prod(x, dtype="uint8").eval() == x.prod(dtype="uint8")
    assert_array_equal(mg.cumulative_sum(x, dtype="int8").eval(), x.cumsum(dtype="int8"))
    a = mg.const(np.array([200, 100], "uint8"))
    assert mg.vecdot(a, a).dtype == "uint8"
    assert mg.vecdot(a, a).eval() == (200 * 200 + 100 * 100) % 256
    assert mg.sum([1.6, 1.6], dtype="int64").eval() == 2  # converted first


# --- what a function of dtypes says -------------------------------------------------------------


def test_names_of_dtypes() -> None:
    x = mg.zeros(2, mg.float32)
    assert x.dtype == mg.float32 and x.dtype != mg.float64
    names = [mg.bool, mg.int8, mg.int16, mg.int32, mg.int64, mg.uint8, mg.uint16, mg.uint32,
             mg.uint64, mg.float32, mg.float64]  # fmt: skip
    for name, dtype in zip(ALL, names, strict=True):
        assert dtype == np.dtype(name) and dtype is getattr(xp, name)
        assert mg.var("v", (2,), dtype).dtype == mg.astype(x, dtype).dtype == dtype
        assert mg.ones(2, dtype=dtype).dtype == mg.param("p", [1], dtype).dtype == dtype


def test_constants() -> None:
    assert (mg.e, mg.pi, mg.inf) == (np.e, np.pi, np.inf)
    assert mg.nan != mg.nan and mg.newaxis is None
    assert mg.zeros(2)[mg.newaxis].shape == (1, 2)
    assert all(isinstance(n, float) for n in (mg.e, mg.pi, mg.inf, mg.nan))


KINDS = {
    "bool": ["bool"],
    "signed integer": SIGNED,
    "unsigned integer": UNSIGNED,
    "integral": INTEGERS,
    "real floating": FLOATS,
    "complex floating": [],
    "numeric": NUMBERS,
}


def test_isdtype() -> None:
    for dtype, (kind, members) in itertools.product(ALL, KINDS.items()):
        assert mg.isdtype(getattr(mg, dtype), kind) is (dtype in members)
    assert mg.isdtype(mg.int8, mg.int8) and not mg.isdtype(mg.int8, mg.int16)
    assert mg.isdtype(mg.int8, ("bool", mg.int8)) and not mg.isdtype(
        mg.int8, ("bool", "integral"[:0] or mg.uint8)
    )
    with pytest.raises(mg.DTypeError, match="real floating"):
        mg.isdtype(mg.int8, "float")


@pytest.mark.parametrize(("a", "b"), PROMOTED)
def test_result_type_and_can_cast(a: str, b: str) -> None:
    x = mg.var("x", (2,), a)
    first, second = getattr(mg, a), getattr(mg, b)
    assert mg.result_type(first, second) == mg.result_type(x, second) == PROMOTED[a, b]
    assert mg.can_cast(first, second) is mg.can_cast(x, second) is (PROMOTED[a, b] == b)


def test_result_type_of_numbers() -> None:
    assert mg.result_type(mg.float32, 1.5) == mg.float32
    assert mg.result_type(mg.zeros(2, "int8"), 3, mg.int16) == mg.int16
    assert mg.result_type(mg.int8) == mg.int8
    with pytest.raises(mg.DTypeError, match="at least one"):
        mg.result_type()


def test_limits() -> None:
    for dtype, bits, digits, low in (("float32", 32, 23, -126), ("float64", 64, 52, -1022)):
        for asked in (getattr(mg, dtype), mg.zeros(2, dtype)):
            f = mg.finfo(asked)
            assert (f.bits, f.eps, f.smallest_normal) == (bits, 2.0**-digits, 2.0**low)
            assert f.max == -f.min == (2 - 2.0**-digits) * 2.0 ** (1 - low)
            assert f.dtype == dtype
            assert all(type(n) is float for n in (f.eps, f.max, f.min, f.smallest_normal))
    for k, dtype in enumerate(SIGNED + UNSIGNED):
        i = mg.iinfo(getattr(mg, dtype))
        bits = 8 * 2 ** (k % 4)
        assert (i.bits, i.max - i.min + 1, i.dtype) == (bits, 2**bits, dtype)
        assert i.min == (-(2 ** (bits - 1)) if dtype in SIGNED else 0)
        assert type(i.max) is int
    with pytest.raises(mg.DTypeError, match="iinfo"):
        mg.finfo(mg.int8)
    with pytest.raises(mg.DTypeError, match="finfo"):
        mg.iinfo(mg.float32)


# --- digits of integers -------------------------------------------------------------------------

BIG = 2**53 + 1  # the first integer that float64 has not
LARGE: dict[str, tuple[Any, int]] = {
    "sign": (lambda x: mg.sign(x) * x, BIG),
    "abs": (lambda x: mg.abs(-x), BIG),
    "square": (lambda x: mg.square(x - (BIG - 3)), 9),
    "pow": (lambda x: (x - (BIG - 3)) ** 39, 3**39),
    "floor_divide": (lambda x: (x * 3 + 2) // 3, BIG),
    "remainder": (lambda x: (x * 3 + 2) % BIG, 2),
    "clip": (lambda x: mg.clip(x, BIG - 1, BIG), BIG),
    "clip from below": (lambda x: mg.clip(x, BIG + 2), BIG + 2),
    "maximum": (lambda x: mg.maximum(x, BIG - 1), BIG),
    "where": (lambda x: mg.where(x > BIG - 1, x, 0), BIG),
    "equal": (lambda x: mg.where(x == BIG - 1, 0, x), BIG),
    "negative": (lambda x: mg.negative(-x), BIG),
    "weak scalar": (lambda x: x + BIG, 2 * BIG),
    "astype": (lambda x: mg.astype(mg.astype(x, "uint64"), "int64"), BIG),
    "round": (mg.round, BIG),
    "sum": (lambda x: mg.sum(mg.stack([x, x])), 2 * BIG),
    "max": (lambda x: mg.max(mg.stack([x, x - 1])), BIG),
    "prod": (lambda x: mg.prod(mg.stack([x, mg.ones_like(x)])), BIG),
    "cumulative_sum": (lambda x: mg.cumulative_sum(mg.stack([x, x]))[1], 2 * BIG),
    "sort": (lambda x: mg.sort(mg.stack([x, x - 1]))[1], BIG),
    "full": (lambda x: mg.full((), BIG, dtype="int64") + 0 * x, BIG),
    "asarray": (lambda x: mg.asarray(BIG) + 0 * x, BIG),
    "matmul": (lambda x: mg.stack([x, x]) @ mg.const([1, 0]), BIG),
    "vecdot": (lambda x: mg.vecdot(mg.stack([x, x]), mg.const([1, 0])), BIG),
    "searchsorted": (lambda x: mg.searchsorted([BIG - 1, BIG], x), 1),
    "shift": (lambda x: (x << 2) >> 2, BIG),
    "a multiple": (lambda x: x + x + x - 2 * x, BIG),
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", LARGE)
def test_int64_keeps_its_digits(name: str, backend: Any) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    build, value = LARGE[name]
    x = mg.var("x", (), "int64")
    y = build(x)
    looped = mg.scan(lambda c, n: (c, build(n)), 0.0, x[None])[1][0]
    assert y.dtype == mg.int64
    assert mg.function([x], [y, mg.simplify(y), looped], backend=backend)(BIG) == [value] * 3
    assert int(build(mg.const(BIG))) == value
    with pytest.raises(mg.DTypeError):
        mg.grad(y, x)


def test_means_of_integers_are_floats() -> None:
    x = mg.const([1, 2])
    assert mg.mean(x).dtype == mg.std(x).dtype == xp.var(x).dtype == mg.float64
    assert mg.mean(mg.zeros(2, "float32")).dtype == mg.float32


@pytest.mark.parametrize("dtype", ALL)
def test_what_moves_elements_keeps_their_dtype(dtype: str) -> None:
    x = mg.var("x", (2, 3), dtype)
    grid = mg.meshgrid(x[0], x[1])
    for y in (
        mg.tril(x), mg.triu(x, k=1), mg.flip(x), mg.roll(x, 1), mg.roll(x, (), axis=()),
        mg.tile(x, 2), mg.repeat(x, 2), mg.concat([x, x]), mg.stack([x, x]), mg.unstack(x)[0],
        mg.squeeze(x[:1], 0), mg.expand_dims(x, 0), mg.moveaxis(x, 0, 1),
        mg.permute_dims(x, (1, 0)),
        mg.reshape(x, -1), mg.broadcast_to(x, (2, 2, 3)), mg.take(x, [0], axis=0), *grid,
        mg.where(x != x, x, x), mg.take_along_axis(x, mg.zeros((2, 1), "int64")),
        mg.zeros_like(x), mg.ones_like(x), mg.full_like(x, 1), mg.empty_like(x), x[0], x.T, x.mT,
        mg.broadcast_arrays(x, 1.5)[0], mg.linalg.diagonal(x), mg.asarray(x),
    ):  # fmt: skip
        assert y.dtype == dtype


def test_spread_of_fewer_elements_than_the_correction_is_nan() -> None:
    x = mg.const([[1.0, 2.0], [3.0, 5.0]])
    for correction in (2, 2.5, 3):
        for function in (mg.variance, mg.std):
            assert np.isnan(function(x, axis=0, correction=correction).eval()).all()
    assert mg.variance(x, axis=0, correction=1.5).eval().tolist() == [4, 9]
    assert np.isnan(mg.mean(mg.zeros((0,))).eval()) and np.isnan(mg.std(mg.zeros((0,))).eval())
