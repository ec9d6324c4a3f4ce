"""Powers, roots and logarithms to other bases as LLVM IR: parts of vecmath.

A logarithm whose digits go through a product is a pair: pow's has 12 bits more than the format, as
many as the largest exponent eats (Muller, Elementary Functions, 3rd ed. 2016, 13.2).
"""

from __future__ import annotations

import math
from fractions import Fraction

from minigrad.compile.backends.native import coefficients
from minigrad.compile.backends.native.lanes import (
    EXP_HIGH,
    EXP_LOW,
    LOG2_HIGH,
    LOG2_LOW,
    Exponent,
    Lanes,
    Value,
    log_of_normal,
    log_parts,
    log_reduced,
)
from minigrad.compile.backends.native.pairs import (
    Pair,
    fast_sum,
    parts_of,
    product,
    quotient,
    two_sum,
)


def lifted(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """x as a normal number, if it is subnormal times a power of two; and minus its exponent."""
    lift = lanes.mantissa + 1.0
    subnormal = lanes.less(x, lanes.const(2.0 ** (1 - lanes.bias)))
    normal = lanes.select(subnormal, lanes.mul(x, lanes.const(2.0**lift)), x)
    return normal, lanes.select(subnormal, lanes.const(-lift), lanes.const(0.0))


def log_ends(lanes: Lanes, x: Value, y: Value, pole: float) -> Value:
    """y for x between the pole and infinity, and the values outside."""
    infinity = lanes.const(math.inf)
    y = lanes.select(lanes.equal(x, infinity), infinity, y)
    at_pole = lanes.equal(x, lanes.const(pole))
    outside = lanes.select(at_pole, lanes.const(-math.inf), lanes.const(math.nan))
    return lanes.select(lanes.less(lanes.const(pole), x), y, outside)


# 1/log(2), 1/log(10) and log(2)/log(10), to 160 bits.
PER_LOG2 = Fraction(0x171547652B82FE1777D0FFDA0D23A7D11D6AEF551, 2**160)
PER_LOG10 = Fraction(0x6F2DEC549B9438CA9AADD557D699EE191F71A301, 2**160)
LOG10_OF_2 = Fraction(0x4D104D427DE7FBCC47C4ACD605BE48BC13569862, 2**160)


def _log_to_base(lanes: Lanes, x: Value, unit: Fraction, of_two: Fraction) -> Value:
    """log(x)·unit, where of_two is that of 2."""
    normal, offset = lifted(lanes, x)
    f, k = log_reduced(lanes, normal)
    k = lanes.add(k, offset)
    half_square, s, series = log_parts(lanes, f)
    log, lost = fast_sum(lanes, f, lanes.sub(lanes.mul(s, series), half_square))
    head, tail = parts_of(lanes, unit, 2)
    y, rest = product(lanes, log, head)
    rest = lanes.fma(log, tail, lanes.fma(lost, head, rest))
    # the first part of that of 2 is so short that its product with an exponent is exact
    short = Fraction(round(of_two * 2**12), 2**12)
    low = lanes.const(lanes.rounded(float(of_two - short)))
    y, lost = two_sum(lanes, lanes.mul(k, lanes.const(float(short))), y)
    y = lanes.add(y, lanes.add(lost, lanes.fma(k, low, rest)))
    return log_ends(lanes, x, y, pole=0.0)


def log2(lanes: Lanes, x: Value) -> Value:
    return _log_to_base(lanes, x, PER_LOG2, Fraction(1))


def log10(lanes: Lanes, x: Value) -> Value:
    return _log_to_base(lanes, x, PER_LOG10, LOG10_OF_2)


def _long_log(lanes: Lanes, x: Value) -> Pair:
    """log(x) of a positive, finite number, as a pair to 12 bits more than the format has."""
    normal, offset = lifted(lanes, x)
    f, k = log_reduced(lanes, normal)
    k = lanes.add(k, offset)
    zero = lanes.const(0.0)
    ratio = quotient(lanes, (f, zero), fast_sum(lanes, lanes.const(2.0), f))
    s, s_tail = fast_sum(lanes, *ratio)
    twice = lanes.add(s, s)
    w, w_tail = product(lanes, s, s)
    w_tail = lanes.fma(twice, s_tail, w_tail)
    third, third_tail = parts_of(lanes, Fraction(2, 3), 2)
    series = lanes.mul(w, lanes.polynomial(w, coefficients.LOG_FAR))
    p, p_tail = fast_sum(lanes, third, series)
    p_tail = lanes.add(p_tail, third_tail)
    cube, cube_tail = product(lanes, s, w)
    cube_tail = lanes.fma(s, w_tail, lanes.fma(s_tail, w, cube_tail))
    rest, rest_tail = product(lanes, cube, p)
    rest_tail = lanes.fma(cube, p_tail, lanes.fma(cube_tail, p, rest_tail))
    y, lost = fast_sum(lanes, twice, rest)
    lost = lanes.add(lost, lanes.fma(s_tail, lanes.const(2.0), rest_tail))
    high = lanes.mul(k, lanes.const(lanes.pick(LOG2_HIGH)))
    y, more = two_sum(lanes, high, y)
    low = lanes.fma(k, lanes.const(lanes.pick(LOG2_LOW)), lost)
    return fast_sum(lanes, y, lanes.add(more, low))


def _exp_of_pair(lanes: Lanes, x: Value, tail: Value) -> Value:
    low, high = (lanes.const(lanes.pick(end)) for end in (EXP_LOW, EXP_HIGH))
    below, above = lanes.less(x, low), lanes.less(high, x)
    outside = lanes.builder.or_(below, above)
    capped = lanes.select(below, low, lanes.select(above, high, x))
    exponent = Exponent(lanes, capped)
    more = lanes.add(exponent.lost(), lanes.select(outside, lanes.const(0.0), tail))
    r, lost = fast_sum(lanes, exponent.r, more)
    small = lanes.fma(lanes.mul(r, r), lanes.polynomial(r, coefficients.EXP), lost)
    return exponent.scale(lanes.add(lanes.const(1.0), lanes.add(r, small)))


def pow(lanes: Lanes, x: Value, y: Value) -> Value:
    """As C has it: 1 where x is 1 or y is 0, NaN or not."""
    b, zero, one = lanes.builder, lanes.const(0.0), lanes.const(1.0)
    infinity, size = lanes.const(math.inf), lanes.abs(x)
    head, tail = _long_log(lanes, size)
    head = lanes.select(lanes.equal(size, zero), lanes.neg(infinity), head)
    head = lanes.select(lanes.equal(size, infinity), infinity, head)
    exponent, lost = product(lanes, y, head)
    power = _exp_of_pair(lanes, exponent, lanes.fma(y, tail, lost))
    whole = lanes.equal(lanes.whole(y), y)
    half = lanes.mul(y, lanes.const(0.5))
    even = lanes.equal(lanes.whole(half), half)
    negative = lanes.negative(x)
    odd = b.and_(whole, b.not_(even))
    power = lanes.select(b.and_(negative, odd), lanes.neg(power), power)
    plain = b.and_(lanes.less(zero, size), lanes.less(size, infinity))
    nowhere = b.and_(b.and_(negative, plain), b.not_(whole))
    missing = b.or_(nowhere, b.fcmp_unordered("uno", x, y))
    power = lanes.select(missing, lanes.const(math.nan), power)
    turning = b.and_(lanes.equal(size, one), lanes.equal(lanes.abs(y), infinity))
    always = b.or_(lanes.equal(x, one), b.or_(lanes.equal(y, zero), turning))
    return lanes.select(always, one, power)


def cbrt(lanes: Lanes, x: Value) -> Value:
    """exp(log|x|/3), and a step of Newton's method, whose residual is exact."""
    size = lanes.abs(x)
    lift = 2.0 ** (3 * (lanes.mantissa // 3 + 1))
    subnormal = lanes.less(size, lanes.const(2.0 ** (1 - lanes.bias)))
    a = lanes.select(subnormal, lanes.mul(size, lanes.const(lift)), size)
    third = lanes.mul(log_of_normal(lanes, a), lanes.const(1 / 3))
    exponent = Exponent(lanes, third)
    y = lanes.mul(exponent.exp_of_rest(), exponent.power())
    square, lost = product(lanes, y, y)
    rest = lanes.fma(lanes.neg(lost), y, lanes.fma(lanes.neg(square), y, a))
    y = lanes.add(y, lanes.div(rest, lanes.mul(square, lanes.const(3.0))))
    down = lanes.const(2.0 ** -(lanes.mantissa // 3 + 1))
    y = lanes.select(subnormal, lanes.mul(y, down), y)
    number = lanes.builder.and_(
        lanes.less(lanes.const(0.0), size), lanes.less(size, lanes.const(math.inf))
    )
    return lanes.select(number, lanes.copysign(y, x), x)


def hypot(lanes: Lanes, x: Value, y: Value) -> Value:
    b, one = lanes.builder, lanes.const(1.0)
    infinity = lanes.const(math.inf)
    a, c = lanes.abs(x), lanes.abs(y)
    swapped = lanes.less(a, c)
    longest, other = lanes.select(swapped, c, a), lanes.select(swapped, a, c)
    large = lanes.less(lanes.const(lanes.pick((2.0**60, 2.0**500))), longest)
    small = lanes.less(longest, lanes.const(lanes.pick((2.0**-40, 2.0**-400))))
    up, down = lanes.pick((2.0**80, 2.0**600)), lanes.pick((2.0**-80, 2.0**-600))
    scale = lanes.select(large, lanes.const(down), lanes.select(small, lanes.const(up), one))
    back = lanes.select(large, lanes.const(up), lanes.select(small, lanes.const(down), one))
    longest, other = lanes.mul(longest, scale), lanes.mul(other, scale)
    square = lanes.fma(longest, longest, lanes.mul(other, other))
    size = lanes.mul(lanes.root(square), back)
    endless = b.or_(lanes.equal(a, infinity), lanes.equal(c, infinity))
    return lanes.select(endless, infinity, size)


def hypot_slope(lanes: Lanes, x: Value, y: Value) -> Value:
    """x / hypot(x, y); 0 at (0, 0)."""
    size = hypot(lanes, x, y)
    nothing = lanes.equal(size, lanes.const(0.0))
    return lanes.div(x, lanes.select(nothing, lanes.const(1.0), size))
