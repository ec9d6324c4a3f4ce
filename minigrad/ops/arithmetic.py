"""Arithmetic: sums and products, powers and roots, signs, rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.names import public
from minigrad.ops.choice import where
from minigrad.ops.core import full_like, uniform_value
from minigrad.ops.exponentials import log
from minigrad.ops.pointwise import BinaryFunction, UnaryFunction, binary, unary
from minigrad.types import Array

negative = unary(
    "negative",
    "-x, elementwise.",
    np.negative,
    -1,
    takes="n",
    symbol="-",
    infix=7,
    latex="-{0}",
    rule="constant factor rule",
)
add = binary(
    "add",
    "a + b, elementwise; also `a + b`. Booleans add as logical or, as in NumPy.",
    np.add,
    (1, 1),
    symbol="+",
    infix=4,
    latex="{0} + {1}",
    commutative=True,
    rule="sum rule",
)
subtract = binary(
    "subtract",
    "a - b, elementwise; also `a - b`.",
    np.subtract,
    (1, -1),
    takes="n",
    symbol="-",
    infix=4,
    latex="{0} - {1}",
    rule="difference rule",
)
multiply = binary(
    "multiply",
    "a * b, elementwise; also `a * b`.",
    np.multiply,
    (lambda y, a, b: b, lambda y, a, b: a),
    symbol="×",
    infix=5,
    latex=r"{0} \cdot {1}",
    commutative=True,
    plain="*",
    rule="product rule",
)
divide = binary(
    "divide",
    "a / b, elementwise; also `a / b`. Integers divide to float64.",
    np.divide,
    (lambda y, a, b: 1.0 / b, lambda y, a, b: -y / b),
    takes="f",
    symbol="÷",
    infix=5,
    latex=r"\frac{{{0}}}{{{1}}}",
    plain="/",
    rule="quotient rule",
)


def _pow_base(y: Expr, a: Expr, b: Expr) -> Expr | int | None:
    exponent = uniform_value(b)
    if exponent is None:
        # b·a^(b-1), with the 0·0^-1 of a = b = 0 taken out; elsewhere on b = 0 it moves with b.
        flat = (a == 0) & (b == 0)
        return where(flat, 0.0, b * a ** where(flat, 1.0, b - 1.0))
    if exponent in (0, 1):
        return 1 if exponent else None
    return exponent * a if exponent == 2 else exponent * a ** (exponent - 1)


def _pow_exponent(y: Expr, a: Expr, b: Expr) -> Expr:
    return y * log(where((a == 0) & (b >= 0), 1.0, a))


pow = binary(
    "pow",
    "a to the power b, elementwise; also `a ** b`. The derivative towards a is 0 where b is 0, and "
    "towards b it is 0 where a is 0 and b >= 0.",
    np.power,
    (_pow_base, _pow_exponent),
    takes="n",
    symbol="^",
    infix=8,
    latex="{{{0}}}^{{{1}}}",
    rule="power rule",
)


def _floor_divide_numpy(a: Array, b: Array, out: Array | None = None) -> Array:
    if a.dtype.kind != "f" or not (unbounded := np.isinf(a) | np.isinf(b)).any():
        return np.floor_divide(a, b, out=out)
    # NumPy makes NaN of ∞ // 2 and -1 of 1 // -∞; the array API standard asks for ∞ and -0.
    y = np.where(unbounded, np.divide(a, b), np.floor_divide(a, b))
    if out is None:
        return y
    np.copyto(out, y)
    return out


floor_divide = binary(
    "floor_divide",
    "floor(a / b), elementwise; also `a // b`. Where a or b is infinite, a / b. Derivative 0.",
    _floor_divide_numpy,
    (None, None),
    takes="n",
    symbol="//",
    infix=5,
    latex=r"\left\lfloor {0} / {1} \right\rfloor",
)
remainder = binary(
    "remainder",
    "a - b floor(a / b), elementwise, with the sign of b; also `a % b`.",
    np.remainder,
    (1, lambda y, a, b: -(a // b)),
    takes="n",
    symbol="%",
    infix=5,
    latex=r"{0} \bmod {1}",
)
fmod = binary(
    "fmod",
    "a - b trunc(a / b), elementwise, with the sign of a, as C has it.",
    np.fmod,
    (1, lambda y, a, b: -trunc(a / b)),
    takes="n",
)
square = unary(
    "square",
    "x², elementwise.",
    np.square,
    lambda y, x: 2.0 * x,
    takes="n",
    latex="{{{0}}}^2",
    rule="power rule",
)
sqrt = unary(
    "sqrt",
    "Square root, elementwise. Its derivative at 0 is infinity.",
    np.sqrt,
    lambda y, x: 0.5 / y,
    symbol="√",
    latex=r"\sqrt{{{0}}}",
)
cbrt = unary(
    "cbrt",
    "Cube root, elementwise. Its derivative at 0 is infinity.",
    np.cbrt,
    lambda y, x: 1.0 / (3.0 * y * y),
    symbol="∛",
    latex=r"\sqrt[3]{{{0}}}",
)
abs = unary(
    "abs",
    "|x|, elementwise. Derivative 0 at 0.",
    np.absolute,
    lambda y, x: sign(x),
    takes="n",
    symbol="|·|",
    latex=r"\left|{0}\right|",
)
sign: UnaryFunction = unary(
    "sign", "-1, 0 or 1, elementwise. Derivative 0.", np.sign, takes="n", steps=True
)
copysign: BinaryFunction = binary(
    "copysign",
    "|a| with the sign of b.",
    np.copysign,
    (lambda y, a, b: sign(a) * copysign(full_like(a, 1), b), None),
    takes="f",
)
nextafter = binary(
    "nextafter",
    "The next float after a towards b.",
    np.nextafter,
    (1, None),
    takes="f",
)
floor = unary("floor", "Largest integer <= x, in its dtype. Derivative 0.", np.floor, rounds=True)
ceil = unary("ceil", "Smallest integer >= x, in its dtype. Derivative 0.", np.ceil, rounds=True)
trunc: UnaryFunction = unary(
    "trunc", "x without its fraction, in its dtype. Derivative 0.", np.trunc, rounds=True
)
round = unary(
    "round", "Nearest integer, ties to even, in its dtype. Derivative 0.", np.rint, rounds=True
)


@public
def positive(x: Any, /) -> Expr:
    """+x: the operand itself."""
    return as_expr(x)


@public
def conj(x: Any, /) -> Expr:
    """The operand itself: all expressions are real."""
    return as_expr(x)


@public
def real(x: Any, /) -> Expr:
    """The operand itself: all expressions are real."""
    return as_expr(x)


@public
def imag(x: Any, /) -> Expr:
    """Zeros of the type of x: all expressions are real."""
    return full_like(as_expr(x), 0)


@public
def reciprocal(x: Any, /) -> Expr:
    """1 / x."""
    return divide(1.0, x)
