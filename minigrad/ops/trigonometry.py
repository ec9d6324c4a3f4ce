"""Trigonometric and hyperbolic functions, hypot, and those of their slopes that are ops."""

from __future__ import annotations

import numpy as np

from minigrad.graph.node import Expr, make
from minigrad.ops.arithmetic import sqrt
from minigrad.ops.choice import where
from minigrad.ops.pointwise import BinaryFunction, UnaryFunction, binary, declare, unary
from minigrad.types import Array

sin = unary("sin", "Sine.", np.sin, lambda y, x: cos(x), latex=r"\sin\left({0}\right)")
cos: UnaryFunction = unary(
    "cos", "Cosine.", np.cos, lambda y, x: -sin(x), latex=r"\cos\left({0}\right)"
)
tan = unary("tan", "Tangent.", np.tan, lambda y, x: 1.0 + y * y, latex=r"\tan\left({0}\right)")


def one_minus_square(x: Expr) -> Expr:
    """1 - x² with all its digits: near ±1, where 1 - x and 1 + x are exact, and in its slope."""
    return make(_ONE_MINUS_SQUARE, (x,))


_ONE_MINUS_SQUARE = declare(
    1,
    "one_minus_square",
    lambda x, out=None: np.multiply(1 - x, 1 + x, out=out),
    (lambda y, x: -2.0 * x,),
    "f",
    False,
    "1-x²",
    0,
    "1 - {{{0}}}^2",
    paper=lambda x: 1.0 - x**2.0,
)


def _asin_slope(x: Expr) -> Expr:
    return 1.0 / sqrt(one_minus_square(x))


asin = unary("asin", "Inverse sine.", np.arcsin, lambda y, x: _asin_slope(x))
acos = unary("acos", "Inverse cosine.", np.arccos, lambda y, x: -_asin_slope(x))
atan = unary("atan", "Inverse tangent.", np.arctan, lambda y, x: 1.0 / (1.0 + x * x))
sinh = unary("sinh", "Hyperbolic sine.", np.sinh, lambda y, x: cosh(x))
cosh: UnaryFunction = unary("cosh", "Hyperbolic cosine.", np.cosh, lambda y, x: sinh(x))
tanh = unary(
    "tanh",
    "Hyperbolic tangent.",
    np.tanh,
    lambda y, x: tanh_slope(x),
    latex=r"\tanh\left({0}\right)",
)


def _tanh_slope_numpy(x: Array, out: Array | None = None) -> Array:
    # 4/(eˣ + e⁻ˣ)², squared last: there it may underflow, and nothing overflows before it is 0.
    root = np.divide(2, twice_cosh(x, out), out=out)
    return np.square(root, out=out)


def twice_cosh(x: Array, out: Array | None) -> Array:
    """eˣ + e⁻ˣ of an array, in `out` where it is one."""
    power = np.exp(x, out=out)
    return np.add(power, np.reciprocal(power), out=out)


tanh_slope: UnaryFunction = unary(
    "tanh_slope",
    "The derivative of tanh, 1 - tanh²(x) = sech²(x), with all its digits where tanh is saturated.",
    _tanh_slope_numpy,
    lambda y, x: -2.0 * tanh(x) * y,
    symbol="tanh′",
    latex=r"\operatorname{{sech}}^2\left({0}\right)",
    paper=lambda x: 1.0 - tanh(x) ** 2.0,
)
asinh = unary("asinh", "Inverse sinh.", np.arcsinh, lambda y, x: 1.0 / hypot(x, 1.0))
acosh = unary(
    "acosh", "Inverse cosh.", np.arccosh, lambda y, x: 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0))
)
atanh = unary("atanh", "Inverse tanh.", np.arctanh, lambda y, x: 1.0 / one_minus_square(x))
atan2 = binary(
    "atan2",
    "Angle of the point (b, a): atan(a / b) in the right quadrant.",
    np.arctan2,
    # By hypot, for a * a + b * b is infinite from 1e155 and 0 below 1e-162.
    (
        lambda y, a, b: hypot_slope(b, a) / hypot(a, b),
        lambda y, a, b: -hypot_slope(a, b) / hypot(a, b),
    ),
    takes="f",
)
hypot: BinaryFunction = binary(
    "hypot",
    "sqrt(a² + b²) without overflow. Derivative 0 at (0, 0).",
    np.hypot,
    (lambda y, a, b: hypot_slope(a, b), lambda y, a, b: hypot_slope(b, a)),
    takes="f",
    commutative=True,
)


def _hypot_slope_numpy(a: Array, b: Array, out: Array | None = None) -> Array:
    size = np.hypot(a, b)
    return np.divide(a, np.where(size == 0, size.dtype.type(1), size), out=out)


def _bend(y: Expr, a: Expr, b: Expr) -> Expr:
    """b²/hypot³ towards a, and of it b/hypot: 1/hypot is kept finite, so that sums of them are."""
    size, least = hypot(a, b), float(np.finfo(a.dtype).tiny)
    return hypot_slope(b, a) / where(size < least, least, size)


hypot_slope: BinaryFunction = binary(
    "hypot_slope",
    "a / hypot(a, b), the derivative of hypot towards a; 0 at (0, 0).",
    _hypot_slope_numpy,
    (
        lambda y, a, b: hypot_slope(b, a) * _bend(y, a, b),
        lambda y, a, b: -y * _bend(y, a, b),
    ),
    takes="f",
    symbol="hypot′",
    paper=lambda a, b: a / hypot(a, b),
)
