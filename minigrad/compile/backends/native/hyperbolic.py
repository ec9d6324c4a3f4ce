"""sinh, cosh and the inverses of the hyperbolic functions as LLVM IR: parts of vecmath.

Made of exp and log whose arguments or results are pairs, so that they are rounded about once.
"""

from __future__ import annotations

import math

from minigrad.compile.backends.native import coefficients
from minigrad.compile.backends.native.lanes import (
    Exponent,
    Lanes,
    Value,
    identity_below,
    log_of_normal,
)
from minigrad.compile.backends.native.pairs import Pair, fast_sum, product, quotient, root, two_sum

# Just above where sinh and cosh overflow.
HIGH = (89.5, 710.5)


def _half_exp(lanes: Lanes, x: Value) -> Pair:
    """exp(x)/2."""
    exponent = Exponent(lanes, x)
    r = exponent.r
    head, lost = fast_sum(lanes, lanes.const(1.0), r)
    tail = lanes.polynomial(r, coefficients.EXP)
    small = lanes.fma(lanes.mul(r, r), tail, lanes.add(exponent.lost(), lost))
    half = lanes.const(0.5)
    head, tail = fast_sum(lanes, head, small)
    return exponent.scale(lanes.mul(head, half)), exponent.scale(lanes.mul(tail, half))


def _halves(lanes: Lanes, size: Value) -> tuple[Value, Value, Value]:
    """exp(size)/2 as a pair, and exp(-size)/2."""
    head, tail = _half_exp(lanes, lanes.at_most(size, lanes.pick(HIGH)))
    return head, tail, lanes.div(lanes.const(0.25), head)


def sinh(lanes: Lanes, x: Value) -> Value:
    size, z = lanes.abs(x), lanes.mul(x, x)
    near = lanes.fma(lanes.mul(x, z), lanes.polynomial(z, coefficients.SINH), x)
    head, tail, inverse = _halves(lanes, size)
    far = lanes.copysign(lanes.add(head, lanes.sub(tail, inverse)), x)
    y = lanes.select(lanes.less(size, lanes.const(1.0)), near, far)
    return identity_below(lanes, x, y, lanes.tiny)


def cosh(lanes: Lanes, x: Value) -> Value:
    head, tail, inverse = _halves(lanes, lanes.abs(x))
    return lanes.add(head, lanes.add(inverse, tail))


def _area(lanes: Lanes, size: Value, one: float) -> Value:
    """log(size + √(size² + one)) of a finite number; of a large one, where size² would overflow,
    log(2 size)."""
    large = lanes.less(lanes.const(2.0 ** (lanes.mantissa // 2 + 3)), size)
    capped = lanes.select(large, lanes.const(1.0), size)
    square, lost = product(lanes, capped, capped)
    total, rest = two_sum(lanes, square, lanes.const(one))
    side, side_tail = root(lanes, fast_sum(lanes, total, lanes.add(rest, lost)))
    head, tail = two_sum(lanes, capped, side)
    head, tail = fast_sum(lanes, head, lanes.add(tail, side_tail))
    zero = lanes.const(0.0)
    head, tail = lanes.select(large, size, head), lanes.select(large, zero, tail)
    return log_of_normal(lanes, head, tail, lanes.select(large, lanes.const(1.0), zero))


def _of_numbers(lanes: Lanes, x: Value, y: Value) -> Value:
    """y of finite x; of infinity and NaN x itself."""
    finite = lanes.less(lanes.abs(x), lanes.const(math.inf))
    return lanes.select(finite, y, x)


def asinh(lanes: Lanes, x: Value) -> Value:
    y = _of_numbers(lanes, x, lanes.copysign(_area(lanes, lanes.abs(x), 1.0), x))
    return identity_below(lanes, x, y, 2.0 ** -(lanes.mantissa // 2 + 2))


def acosh(lanes: Lanes, x: Value) -> Value:
    y = _of_numbers(lanes, x, _area(lanes, x, -1.0))
    return lanes.select(lanes.less(x, lanes.const(1.0)), lanes.const(math.nan), y)


def atanh(lanes: Lanes, x: Value) -> Value:
    one, size = lanes.const(1.0), lanes.abs(x)
    ratio = quotient(lanes, fast_sum(lanes, one, size), fast_sum(lanes, one, lanes.neg(size)))
    twice = log_of_normal(lanes, *fast_sum(lanes, *ratio))
    y = lanes.copysign(lanes.mul(twice, lanes.const(0.5)), x)
    y = lanes.select(lanes.equal(size, one), lanes.copysign(lanes.const(math.inf), x), y)
    y = lanes.select(lanes.builder.fcmp_unordered(">", size, one), lanes.const(math.nan), y)
    return identity_below(lanes, x, y, 2.0 ** -(lanes.mantissa // 2 + 2))
