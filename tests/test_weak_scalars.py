"""Python numbers are weak: beside float32 they are float32, in whatever function they meet."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.names import FUNCTIONS, NUMPY_FORMS, NUMPY_NAMES

FORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "f(x, n)": lambda f, x, n: f(x, n),
    "f(n, x)": lambda f, x, n: f(n, x),
    "f(x, x, n)": lambda f, x, n: f(x, x, n),
    "f(x, n, x)": lambda f, x, n: f(x, n, x),
    "f(x, n, n)": lambda f, x, n: f(x, n, n),
    "f(n, x, x)": lambda f, x, n: f(n, x, x),
}


def dispatched() -> list[str]:
    names = sorted({*NUMPY_FORMS, *FUNCTIONS, *NUMPY_NAMES})
    return [n for n in names if callable(of_numpy(n))]


def of_numpy(name: str) -> Any:
    function: Any = np
    for part in name.split("."):
        function = getattr(function, part, None)
    return function


def attempt(form: Callable[..., Any], function: Any, x: Any, n: float) -> Any:
    """What comes out, the first of several; None where the arguments mean nothing to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            out = form(function, x, n)
        except Exception:
            return None
    return out[0] if isinstance(out, (tuple, list)) and len(out) else out


def test_numbers_take_the_dtype_of_what_they_meet():
    array, x = np.array([1, 2, 3], np.float32), mg.var("x", (3,), "float32")
    met, wrong = 0, []
    for name in dispatched():
        function = of_numpy(name)
        for form, call in FORMS.items():
            for n in (2.0, 1, True):
                theirs = attempt(call, function, array, n)
                if getattr(theirs, "dtype", None) != np.float32:
                    continue  # refused, or in NumPy too a float64 (dot), or no number
                y = attempt(call, function, x, n)
                if isinstance(y, mg.Expr):
                    met += 1
                    if y.dtype != np.float32:
                        wrong.append(f"{name}, {form}, n = {n!r}: {y.dtype}")
    assert not wrong, "\n".join(wrong)
    assert met > 300  # most functions of several operands


X = mg.var("x", (3,), "float32")
AT = np.array([-0.5, 0.0, 2.0], np.float32)

CALLS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "heaviside": (lambda np_, x: np_.heaviside(x, 0.25), [0.0, 0.25, 1.0]),
    "heaviside of a number": (lambda np_, x: np_.heaviside(0, x), AT),
    "ldexp": (lambda np_, x: np_.ldexp(x, 3), AT * 8),
    "logaddexp2": (lambda np_, x: np_.logaddexp2(x, 1.0), np.logaddexp2(AT, np.float32(1))),
    "trapezoid": (lambda np_, x: np_.trapezoid(x, dx=0.5), 0.375),
    "clip": (lambda np_, x: np_.clip(x, -0.25, 1), [-0.25, 0, 1]),
    "clip of a mask": (lambda np_, x: np_.clip(x > 0, 0.5, x), [-0.5, 0, 1]),
    "polyval": (lambda np_, x: np_.polyval(x, 2), 0.0),
    "select": (lambda np_, x: np_.select([x > 0], [x], -1.5), [-1.5, -1.5, 2]),
    "pad": (lambda np_, x: np_.pad(x, 1, constant_values=7.5), [7.5, -0.5, 0, 2, 7.5]),
    "insert": (lambda np_, x: np_.insert(x, 1, 1.5), [-0.5, 1.5, 0, 2]),
    "nan_to_num": (lambda np_, x: np_.nan_to_num(x, nan=1.5), AT),
    "gradient": (lambda np_, x: np_.gradient(x, 0.5), [1, 2.5, 4]),
    "unwrap": (lambda np_, x: np_.unwrap(x, period=4.0), AT),
    "sum": (lambda np_, x: np_.sum(x, initial=2.5), 4.0),
    "where": (lambda np_, x: np_.where(x > 0, 1.5, x), [-0.5, 0, 1.5]),
    "linspace": (lambda np_, x: np_.linspace(x, 2.0, 3)[1], [0.75, 1, 2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_beside_numbers(name):
    call, expected = CALLS[name]
    y = call(np, X)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.eval({X: AT}), expected, rtol=1e-6)
    np.testing.assert_allclose(call(np, AT), expected, rtol=1e-6)


def test_only_the_result_of_ldexp_overflows():
    x = mg.var("x", (4,))
    at, power = np.array([5e-324, 1e308, 1.5, 1.0]), np.array([1100, -2000, 1023, 1025])
    y = np.ldexp(x, power)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y.eval({x: at}), np.ldexp(at, power))
    single = mg.var("y", (), "float32")
    tiny = np.float32(1e-30)
    assert np.ldexp(single, 130).eval({single: tiny}) == np.ldexp(tiny, 130)


# --- special values of NumPy's --------------------------------------------------------------------


def test_the_median_of_no_elements_is_nan():
    for shape, axis in (((0,), None), ((0, 3), 0), ((3, 0), 1), ((2, 0), None)):
        for keepdims in (False, True):
            x = mg.var("x", shape, "float32")
            y = np.median(x, axis=axis, keepdims=keepdims)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy warns: mean of empty slice
                expected = np.median(np.ones(shape, np.float32), axis=axis, keepdims=keepdims)
            assert y.dtype == expected.dtype == np.float32
            np.testing.assert_array_equal(y.eval({x: np.ones(shape)}), expected)
    rows = mg.var("x", (0, 3))
    assert mg.median(rows, axis=1).eval({rows: np.ones((0, 3))}).shape == (0,)


def test_the_angle_of_minus_zero():
    at = np.array([-0.0, 0.0, -1.0, 2.0, np.nan, -np.nan, -np.inf, np.inf])
    x = mg.var("x", (8,))
    for deg in (False, True):
        np.testing.assert_array_equal(np.angle(x, deg=deg).eval({x: at}), np.angle(at, deg=deg))
    slopes = mg.grad(mg.sum(np.angle(x)), x).eval({x: at})
    np.testing.assert_array_equal(slopes[[0, 1, 2, 3]], 0.0)
