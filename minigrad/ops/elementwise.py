"""Elementwise functions made of others: ufuncs without a record, selections, comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph.leaves import as_expr, const
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops import reduce
from minigrad.ops.activations import logaddexp
from minigrad.ops.arithmetic import abs, floor, floor_divide, pow, remainder
from minigrad.ops.choice import maximum, minimum, where
from minigrad.ops.comparisons import isfinite, isnan
from minigrad.ops.core import as_float, astype, broadcast_to, meet
from minigrad.ops.pointwise import meet_floats
from minigrad.ops.trigonometry import sin
from minigrad.types import FLOAT64, as_items

# --- ufuncs ------------------------------------------------------------------------------------


@numpy_form()
def exp2(x: Any) -> Expr:
    """2 to the x, elementwise.

    >>> exp2(as_expr([0, 3])).eval()
    array([1., 8.])
    """
    return pow(2.0, as_float(x))


@numpy_form()
def logaddexp2(a: Any, b: Any) -> Expr:
    """log2(2**a + 2**b) without overflow."""
    a, b = meet_floats("logaddexp2", a, b)
    return logaddexp(a * math.log(2), b * math.log(2)) / math.log(2)


@numpy_form("deg2rad", "radians")
def deg2rad(x: Any) -> Expr:
    """Degrees as radians."""
    return as_float(x) * (math.pi / 180)


@numpy_form("rad2deg", "degrees")
def rad2deg(x: Any) -> Expr:
    """Radians as degrees."""
    return as_float(x) * (180 / math.pi)


@numpy_form()
def fabs(x: Any) -> Expr:
    """|x| as a float."""
    return abs(as_float(x))


@numpy_form()
def fmax(a: Any, b: Any) -> Expr:
    """The larger of a and b, or the one that is a number. A tie shares the derivative."""
    return maximum(*_filled(a, b))


@numpy_form()
def fmin(a: Any, b: Any) -> Expr:
    """The smaller of a and b, or the one that is a number. A tie shares the derivative."""
    return minimum(*_filled(a, b))


def _filled(a: Any, b: Any) -> tuple[Expr, Expr]:
    """The operands, each with the other's value where it is NaN."""
    a, b = meet("fmax", a, b)
    return (where(isnan(a), b, a), where(isnan(b), a, b)) if a.type.is_float else (a, b)


@numpy_form()
def heaviside(x: Any, at_zero: Any) -> Expr:
    """The unit step: 0 below 0, 1 above, `at_zero` at 0; NaN of NaN. Derivative 0 by x."""
    x, at_zero = meet_floats("heaviside", x, at_zero)
    return where(x == 0, at_zero, where(isnan(x), x, astype(x > 0, x.dtype)))


@numpy_form("divmod")
def _divmod(a: Any, b: Any) -> tuple[Expr, Expr]:
    return floor_divide(a, b), remainder(a, b)


@numpy_form("float_power")
def _float_power(a: Any, b: Any) -> Expr:
    return pow(astype(a, FLOAT64), astype(b, FLOAT64))


@numpy_form("ldexp")
def _ldexp(x: Any, exponent: Any) -> Expr:
    """x · 2^exponent, in float64 and in two steps, so that only the result may overflow."""
    x, power = as_float(x), astype(exponent, FLOAT64)
    half = floor(power / 2.0)
    return astype(astype(x, FLOAT64) * pow(2.0, half) * pow(2.0, power - half), x.dtype)


# The series of sin(t)/t in t², to 1e-19 for |t| <= 1.
_SINC_TERMS = [(-1) ** k / math.factorial(2 * k + 1) for k in range(11)]


@numpy_form()
def sinc(x: Any) -> Expr:
    """sin(πx) / (πx), 1 at 0, with its derivatives of every order there.

    >>> sinc(as_expr([0.0, 0.5])).eval()
    array([1.        , 0.63661977])
    """
    t = as_float(x) * math.pi
    near = abs(t) <= 1
    # Near 0 the quotient has 0/0 and its derivatives differences of large numbers: the series.
    t_near, t_far = where(near, t, 0.0), where(near, 1.0, t)
    square = t_near * t_near
    series: Any = square * _SINC_TERMS[-1]
    for term in _SINC_TERMS[-2:0:-1]:
        series = (series + term) * square
    quotient = sin(t_far) / t_far
    return where(near, series + 1.0, quotient)


@numpy_form("nan_to_num")
def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Expr:
    """NaN and infinities replaced: by 0 and the largest numbers there are, unless told."""
    y = as_expr(x)
    if not y.type.is_float:
        return y
    largest = float(np.finfo(y.dtype).max)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    return where(isnan(y), nan, where(y == np.inf, high, where(y == -np.inf, low, y)))


# --- selections --------------------------------------------------------------------------------


@numpy_form()
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Expr:
    """For each element the first choice whose condition holds, else the default.

    >>> select([as_expr([True, False])], [as_expr([1, 2])], -1).eval()
    array([ 1, -1])
    """
    condlist = as_items(condlist, "the conditions of select")
    choicelist = as_items(choicelist, "the choices of select")
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError("select needs as many choices as conditions, and at least one")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return as_expr(result)


@numpy_form("piecewise")
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **options: Any) -> Expr:
    x = as_expr(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    values = [f(x, *args, **options) if callable(f) else f for f in funclist]
    rest = values.pop() if len(values) == len(conditions) + 1 else 0
    # NumPy takes the last condition that holds.
    return astype(select(conditions[::-1], values[::-1], rest), x.dtype)


# --- comparisons -------------------------------------------------------------------------------


@numpy_form()
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Expr:
    """Whether |a - b| <= atol + rtol·|b|, elementwise; infinities are close to themselves.

    >>> isclose(as_expr([1.0, 2.0]), [1.0 + 1e-9, 2.1]).eval()
    array([ True, False])
    """
    a, b = meet("isclose", as_float(a), as_float(b))
    near = (abs(a - b) <= atol + rtol * abs(b)) & isfinite(b)
    close: Expr = near | (a == b)
    return close | (isnan(a) & isnan(b)) if equal_nan else close


@numpy_form()
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Expr:
    """Whether all elements are close; a boolean scalar."""
    return reduce.all(isclose(a, b, rtol, atol, equal_nan))


@numpy_form()
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Expr:
    """Whether the shapes are equal and all elements too; a boolean scalar."""
    a, b = as_expr(a1), as_expr(a2)
    if a.shape != b.shape:
        return const(False)
    same = a == b
    if equal_nan and a.type.is_float and b.type.is_float:
        same = same | (isnan(a) & isnan(b))
    return reduce.all(same)


@numpy_form("array_equiv")
def _array_equiv(a1: Any, a2: Any) -> Expr:
    a, b = as_expr(a1), as_expr(a2)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return const(False)
    return array_equal(broadcast_to(a, shape), broadcast_to(b, shape))


@numpy_form("isposinf")
def _isposinf(x: Any) -> Expr:
    return as_float(x) == np.inf


@numpy_form("isneginf")
def _isneginf(x: Any) -> Expr:
    return as_float(x) == -np.inf
