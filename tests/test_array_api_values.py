"""The special cases that the array API standard lists for real floats, on both backends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import minigrad as mg

INF, NAN = math.inf, math.nan
FINITE = [1e-30, 0.5, 1.0, 1.5, 2.0, 3.0, 1e30]
POSITIVE, NEGATIVE = FINITE, [-x for x in FINITE]
ZEROS = [0.0, -0.0]

CLASSES: dict[str, list[float]] = {
    "nan": [NAN],
    "+0": [0.0],
    "-0": [-0.0],
    "0": ZEROS,
    "inf": [INF],
    "-inf": [-INF],
    "infinite": [INF, -INF],
    "pos": POSITIVE,
    "neg": NEGATIVE,
    "> 0": [*POSITIVE, INF],
    "< 0": [*NEGATIVE, -INF],
    "nonzero": POSITIVE + NEGATIVE,
    "finite": POSITIVE + NEGATIVE + ZEROS,
    "number": POSITIVE + NEGATIVE + ZEROS + [INF, -INF],
    "any": POSITIVE + NEGATIVE + ZEROS + [INF, -INF, NAN],
    "1": [1.0],
    "-1": [-1.0],
    "±1": [1.0, -1.0],
    "not 1": [x for x in POSITIVE + NEGATIVE + ZEROS + [INF, -INF, NAN] if x != 1],
    "> 1": [1.5, 3.0, 1e30, INF],
    "< 1": [0.5, *NEGATIVE, *ZEROS, -INF],
    "< -1": [-1.5, -1e30, -INF],
    "beyond ±1": [1.5, -1.5, 1e30, -1e30, INF, -INF],
    "within ±1": [0.5, -0.5, 0.0, -0.0, 1e-30],
    "odd > 0": [1.0, 3.0],
    "odd < 0": [-1.0, -3.0],
    "even > 0": [0.5, 1.5, 2.0, INF],
    "even < 0": [-0.5, -1.5, -2.0, -INF],
    "broken": [0.5, -0.5, 1.5, -1.5],
    "whole": [0.0, -0.0, 1.0, -2.0, 1e30, INF, -INF],
    "2.5": [2.5],
    "3.5": [3.5],
    "-2.5": [-2.5],
}
# A result is a number, an operand, or a sign: "+" and "-" are of any number of that sign.
RESULTS = {
    "nan": NAN, "+0": 0.0, "-0": -0.0, "inf": INF, "-inf": -INF, "1": 1.0, "-1": -1.0,
    "π/2": math.pi / 2, "-π/2": -math.pi / 2, "π": math.pi, "-π": -math.pi, "π/4": math.pi / 4,
    "-π/4": -math.pi / 4, "3π/4": 3 * math.pi / 4, "-3π/4": -3 * math.pi / 4, "2": 2.0, "4": 4.0,
    "-2": -2.0, "true": True, "false": False,
}  # fmt: skip

_ROUNDED = "nan → nan, inf → inf, -inf → -inf, whole → x1"
_ODD = "nan → nan, +0 → +0, -0 → -0"
OF_ONE: dict[str, str] = {
    "abs": "nan → nan, -0 → +0, -inf → inf, neg → +",
    "acos": "nan → nan, > 1 → nan, < -1 → nan, 1 → +0",
    "acosh": "nan → nan, < 1 → nan, 1 → +0, inf → inf",
    "asin": f"{_ODD}, > 1 → nan, < -1 → nan",
    "asinh": f"{_ODD}, inf → inf, -inf → -inf",
    "atan": f"{_ODD}, inf → π/2, -inf → -π/2",
    "atanh": f"{_ODD}, > 1 → nan, < -1 → nan, -1 → -inf, 1 → inf",
    "ceil": _ROUNDED,
    "cos": "nan → nan, 0 → 1, infinite → nan",
    "cosh": "nan → nan, 0 → 1, infinite → inf",
    "exp": "nan → nan, 0 → 1, inf → inf, -inf → +0",
    "expm1": f"{_ODD}, inf → inf, -inf → -1",
    "floor": _ROUNDED,
    "isfinite": "infinite → false, nan → false, finite → true",
    "isinf": "infinite → true, nan → false, finite → false",
    "isnan": "nan → true, number → false",
    "log": "nan → nan, < 0 → nan, 0 → -inf, 1 → +0, inf → inf",
    "log10": "nan → nan, < 0 → nan, 0 → -inf, 1 → +0, inf → inf",
    "log1p": f"{_ODD}, < -1 → nan, -1 → -inf, inf → inf",
    "log2": "nan → nan, < 0 → nan, 0 → -inf, 1 → +0, inf → inf",
    "reciprocal": "nan → nan, +0 → inf, -0 → -inf, inf → +0, -inf → -0, pos → +, neg → -",
    "round": f"{_ROUNDED}, 2.5 → 2, 3.5 → 4, -2.5 → -2",
    "sign": "< 0 → -1, +0 → +0, > 0 → 1, nan → nan",
    "signbit": "+0 → false, -0 → true, > 0 → false, < 0 → true",
    "sin": f"{_ODD}, infinite → nan",
    "sinh": f"{_ODD}, inf → inf, -inf → -inf",
    "sqrt": f"{_ODD}, < 0 → nan, inf → inf",
    "square": "nan → nan, 0 → +0, infinite → inf",
    "tan": f"{_ODD}, infinite → nan",
    "tanh": f"{_ODD}, inf → 1, -inf → -1",
    "trunc": _ROUNDED,
}
_NAN = "nan, any → nan; any, nan → nan"
_QUOTIENT = f"""{_NAN}; infinite, infinite → nan; 0, 0 → nan; +0, > 0 → +0; -0, > 0 → -0;
    +0, < 0 → -0; -0, < 0 → +0; > 0, +0 → inf; > 0, -0 → -inf; < 0, +0 → -inf; < 0, -0 → inf;
    inf, pos → inf; inf, neg → -inf; -inf, pos → -inf; -inf, neg → inf; pos, inf → +0;
    pos, -inf → -0; neg, inf → -0; neg, -inf → +0; pos, pos → +; neg, neg → +; pos, neg → -;
    neg, pos → -"""
OF_TWO: dict[str, str] = {
    "add": f"""{_NAN}; inf, -inf → nan; -inf, inf → nan; inf, inf → inf; -inf, -inf → -inf;
        inf, finite → inf; -inf, finite → -inf; finite, inf → inf; finite, -inf → -inf;
        -0, -0 → -0; -0, +0 → +0; +0, -0 → +0; +0, +0 → +0; 0, nonzero → x2; nonzero, 0 → x1""",
    "subtract": f"""{_NAN}; inf, inf → nan; -inf, -inf → nan; inf, -inf → inf; -inf, inf → -inf;
        -0, +0 → -0; -0, -0 → +0; +0, +0 → +0; +0, -0 → +0; nonzero, 0 → x1""",
    "atan2": f"""{_NAN}; > 0, 0 → π/2; +0, > 0 → +0; +0, +0 → +0; +0, -0 → π; +0, < 0 → π;
        -0, > 0 → -0; -0, +0 → -0; -0, -0 → -π; -0, < 0 → -π; < 0, 0 → -π/2; pos, inf → +0;
        pos, -inf → π; neg, inf → -0; neg, -inf → -π; inf, finite → π/2; -inf, finite → -π/2;
        inf, inf → π/4; inf, -inf → 3π/4; -inf, inf → -π/4; -inf, -inf → -3π/4""",
    "copysign": "number, < 0 → -|x1|; number, -0 → -|x1|; number, +0 → |x1|; number, > 0 → |x1|",
    "divide": _QUOTIENT,
    "floor_divide": _QUOTIENT,
    "equal": """nan, any → false; any, nan → false; inf, inf → true; -inf, -inf → true;
        0, 0 → true; 1, 1 → true; inf, -inf → false; inf, finite → false; pos, neg → false""",
    "not_equal": """nan, any → true; any, nan → true; inf, inf → false; inf, -inf → true;
        0, 0 → false; 1, 1 → false; pos, neg → true; inf, finite → true""",
    "greater": "nan, any → false; any, nan → false; 0, 0 → false; pos, neg → true",
    "greater_equal": "nan, any → false; any, nan → false; 0, 0 → true; neg, pos → false",
    "less": "nan, any → false; any, nan → false; 0, 0 → false; neg, pos → true",
    "less_equal": "nan, any → false; any, nan → false; 0, 0 → true; pos, neg → false",
    "hypot": """infinite, any → inf; any, infinite → inf; 0, number → |x2|; number, 0 → |x1|;
        finite, nan → nan; nan, finite → nan; nan, nan → nan""",
    "logaddexp": f"{_NAN}; inf, number → inf; number, inf → inf",
    "maximum": f"{_NAN}; inf, number → inf; -inf, number → x2",
    "minimum": f"{_NAN}; -inf, number → -inf; inf, number → x2",
    "multiply": f"""{_NAN}; infinite, 0 → nan; 0, infinite → nan; > 0, > 0 → +; < 0, < 0 → +;
        > 0, < 0 → -; < 0, > 0 → -; +0, pos → +0; -0, pos → -0; inf, > 0 → inf; inf, < 0 → -inf;
        -inf, > 0 → -inf; -inf, < 0 → inf; neg, inf → -inf""",
    "nextafter": f"{_NAN}; -0, +0 → +0; +0, -0 → -0",
    "pow": """not 1, nan → nan; any, 0 → 1; nan, nonzero → nan; nan, infinite → nan;
        beyond ±1, inf → inf; beyond ±1, -inf → +0; ±1, infinite → 1; 1, number → 1;
        within ±1, inf → +0; within ±1, -inf → inf; inf, > 0 → inf; inf, < 0 → +0;
        -inf, odd > 0 → -inf; -inf, even > 0 → inf; -inf, odd < 0 → -0; -inf, even < 0 → +0;
        +0, > 0 → +0; +0, < 0 → inf; -0, odd > 0 → -0; -0, even > 0 → +0; -0, odd < 0 → -inf;
        -0, even < 0 → inf; neg, broken → nan""",
    "remainder": f"""{_NAN}; infinite, infinite → nan; 0, 0 → nan; 0, > 0 → +0; 0, < 0 → -0;
        > 0, 0 → nan; < 0, 0 → nan; infinite, nonzero → nan; pos, inf → x1; pos, -inf → x2;
        neg, inf → x2; neg, -inf → x1""",
}


def rows(text: str, between: str) -> Iterator[tuple[list[str], str]]:
    for row in text.split(between):
        operands, _, result = row.strip().rpartition(" → ")
        yield [part.strip() for part in operands.split(",")], result


def points(text: str, between: str) -> Iterator[tuple[tuple[float, ...], str]]:
    for operands, result in rows(text, between):
        for values in itertools.product(*(CLASSES[name] for name in operands)):
            yield values, result


def wanted(result: str, values: tuple[float, ...]) -> float | bool:
    if result.strip("-|").startswith("x"):
        x = values[int(result.strip("-|")[1]) - 1]
        size = abs(x) if "|" in result else x
        return -size if result.startswith("-") else size
    return RESULTS[result]


def agrees(y: float, result: str, values: tuple[float, ...], dtype: str) -> bool:
    if result in "+-":
        return not math.isnan(y) and math.copysign(1, y) == (1 if result == "+" else -1)
    right = wanted(result, values)
    if isinstance(right, bool):
        return bool(y) is right
    if math.isnan(right):
        return math.isnan(y)
    right = float(np.dtype(dtype).type(right))
    if "π" in result:
        return math.isclose(y, right, rel_tol=1e-6 if dtype == "float32" else 1e-15)
    return y == right and math.copysign(1, y) == math.copysign(1, right)


def within_a_loop(function: Callable[..., mg.Expr], arguments: list[mg.Expr]) -> mg.Expr:
    """The function's value, by a loop of one step: what has machine code runs as that there."""
    steps = [x[None] for x in arguments]
    return mg.scan(lambda carry, xs: (carry, function(*xs)), 0.0, steps)[1][0]


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*OF_ONE, *OF_TWO])
def test_special_cases(name: str, dtype: str, backend: str) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    cases = [*points(OF_ONE[name], ",")] if name in OF_ONE else [*points(OF_TWO[name], ";")]
    with np.errstate(over="ignore"):
        columns = [np.array(c).astype(dtype) for c in zip(*(v for v, _ in cases), strict=True)]
    arguments = [mg.var(f"x{k}", c.shape, dtype) for k, c in enumerate(columns)]
    f = mg.function(arguments, within_a_loop(getattr(mg, name), arguments), backend=backend)
    ys = f(*columns)
    operands = [tuple(map(float, row)) for row in zip(*columns, strict=True)]
    wrong = [
        (values, result, float(y))
        for values, (_, result), y in zip(operands, cases, ys, strict=True)
        if not agrees(float(y), result, values, dtype)
    ]
    assert wrong == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_gives_nan_where_a_limit_is_nan(dtype: str) -> None:
    x = mg.asarray([1.0, NAN, 2.0, 3.0], dtype=dtype)
    low, high = mg.asarray([NAN, 0.0, 0.0, 0.0], dtype=dtype), mg.asarray(NAN, dtype=dtype)
    assert np.isnan(mg.clip(x, low, 9.0).eval()).tolist() == [True, True, False, False]
    assert np.isnan(mg.clip(x, max=high).eval()).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_sign_of_nan(sign: float) -> None:
    nan = mg.const(math.copysign(NAN, sign))
    assert bool(mg.signbit(nan)) is (sign < 0)
    assert math.copysign(1, float(mg.copysign(2.0, nan))) == sign
    assert math.copysign(1, float(mg.copysign(NAN, mg.const(sign)))) == sign


def test_remainder_is_pythons() -> None:
    numbers = [-7.5, -3.0, -0.5, 0.5, 2.0, 7.25]
    for a, b in itertools.product(numbers, numbers):
        assert float(mg.remainder(mg.const(a), b)) == a % b
        assert float(mg.floor_divide(mg.const(a), b)) == a // b


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: mg.full((2,), 1.0, **k),
        lambda **k: mg.zeros((2,), **k),
        lambda **k: mg.ones((2,), **k),
        lambda **k: mg.empty((2,), **k),
        lambda **k: mg.full_like(mg.zeros(2), 1.0, **k),
        lambda **k: mg.zeros_like(mg.zeros(2), **k),
        lambda **k: mg.ones_like(mg.zeros(2), **k),
        lambda **k: mg.empty_like(mg.zeros(2), **k),
        lambda **k: mg.eye(2, **k),
        lambda **k: mg.arange(3, **k),
        lambda **k: mg.linspace(0.0, 1.0, 3, **k),
        lambda **k: mg.asarray([1.0], **k),
    ],
)
def test_what_makes_arrays_takes_one_device_and_refuses_others(make):
    assert make(device="cpu") is make()
    with pytest.raises(mg.ShapeError, match="device"):
        make(device="cuda:0")
