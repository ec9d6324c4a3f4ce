"""sin, cos, tan and their inverses as LLVM IR: parts of vecmath.

The argument less a multiple of π/2, in three parts (Cody & Waite, Software Manual for the
Elementary Functions, 1980, with fused multiply-adds), as a pair; beyond LARGE, where that loses
digits, the C library's functions, element by element. The inverses are reduced as in Muller,
Elementary Functions, 3rd ed. 2016, 11.2: atan at tan(π/8) and its inverse, asin by a root at ½.
"""

from __future__ import annotations

import math
from fractions import Fraction

from minigrad.compile.backends.native import coefficients
from minigrad.compile.backends.native.lanes import Lanes, Value, identity_below
from minigrad.compile.backends.native.pairs import (
    Pair,
    fast_sum,
    parts_of,
    product,
    quotient,
    root,
    two_sum,
)

# Where k·(π/2 less its three parts) begins to count, for the nearest that any float lies to kπ/2.
LARGE = (1e5, 1e9)

# π/2 to 250 bits.
HALF_PI = Fraction(0x6487ED5110B4611A62633145C06E0E6894_8127044533E63A0105DF531D89CD9, 2**250)


class _Reduced:
    """x = k π/2 + r, |r| ≤ π/4: sin(r) and cos(r) as pairs, and the bits of k."""

    def __init__(self, lanes: Lanes, x: Value) -> None:
        self.lanes = lanes
        magic = lanes.const(1.5 * 2.0**lanes.mantissa)
        rounded = lanes.fma(x, lanes.const(2 / math.pi), magic)
        self.bits = lanes.to_bits(rounded)
        k = lanes.neg(lanes.sub(rounded, magic))
        first, second, third = parts_of(lanes, HALF_PI, 3)
        exact = lanes.fma(k, first, x)
        low, lost = product(lanes, k, second)
        head, tail = two_sum(lanes, exact, low)
        tail = lanes.fma(k, third, lanes.add(tail, lost))
        self.r, self.tail = fast_sum(lanes, head, tail)
        self.square = lanes.mul(self.r, self.r)

    def sine(self) -> Pair:
        lanes, r, z = self.lanes, self.r, self.square
        series = lanes.polynomial(z, coefficients.SIN)
        return fast_sum(lanes, r, lanes.fma(lanes.mul(r, z), series, self.tail))

    def cosine(self) -> Pair:
        lanes, r, z = self.lanes, self.r, self.square
        head, lost = fast_sum(lanes, lanes.const(1.0), lanes.mul(z, lanes.const(-0.5)))
        series = lanes.polynomial(z, coefficients.COS)
        bent = lanes.fma(lanes.neg(r), self.tail, lost)
        return fast_sum(lanes, head, lanes.fma(lanes.mul(z, z), series, bent))

    def odd(self, plus: int = 0) -> Value:
        """Whether k + plus is odd."""
        lanes = self.lanes
        bit = lanes.builder.and_(self._quadrant(plus), lanes.int_const(1))
        return lanes.builder.icmp_unsigned("!=", bit, lanes.int_const(0))

    def signed(self, y: Value, plus: int = 0) -> Value:
        """y, or -y where k + plus is 2 or 3 but for multiples of 4."""
        lanes = self.lanes
        bit = lanes.builder.and_(self._quadrant(plus), lanes.int_const(2))
        sign = lanes.shift_left(bit, lanes.width - 2)
        return lanes.from_bits(lanes.builder.xor(lanes.to_bits(y), sign))

    def _quadrant(self, plus: int) -> Value:
        return self.lanes.builder.add(self.bits, self.lanes.int_const(plus)) if plus else self.bits


def _wave(lanes: Lanes, x: Value, ahead: int, library: str) -> Value:
    """The sine of x + ahead·π/2."""
    reduced = _Reduced(lanes, x)
    (sine, _), (cosine, _) = reduced.sine(), reduced.cosine()
    y = reduced.signed(lanes.select(reduced.odd(ahead), cosine, sine), ahead)
    return _far(lanes, x, y, library)


def _far(lanes: Lanes, x: Value, y: Value, library: str) -> Value:
    far = lanes.less(lanes.const(lanes.pick(LARGE)), lanes.abs(x))
    return lanes.rarely(far, lambda: lanes.library(library, x), y)


def sin(lanes: Lanes, x: Value) -> Value:
    y = _wave(lanes, x, 0, "sin")
    return identity_below(lanes, x, y, lanes.tiny)


def cos(lanes: Lanes, x: Value) -> Value:
    return _wave(lanes, x, 1, "cos")


def tan(lanes: Lanes, x: Value) -> Value:
    reduced = _Reduced(lanes, x)
    (s, s_tail), (c, c_tail) = reduced.sine(), reduced.cosine()
    odd = reduced.odd()
    numerator = lanes.select(odd, lanes.neg(c), s), lanes.select(odd, lanes.neg(c_tail), s_tail)
    denominator = lanes.select(odd, s, c), lanes.select(odd, s_tail, c_tail)
    y = lanes.add(*quotient(lanes, numerator, denominator))
    return identity_below(lanes, x, _far(lanes, x, y, "tan"), lanes.tiny)


# --- inverses ----------------------------------------------------------------------------------


def _turn(lanes: Lanes, number: float) -> Pair:
    """A multiple of π/2."""
    head, tail = parts_of(lanes, HALF_PI * Fraction(number), 2)
    return head, tail


def _chosen(lanes: Lanes, conditions: list[tuple[Value, float]], otherwise: float) -> Pair:
    """The first multiple of π/2 whose condition holds."""
    head, tail = _turn(lanes, otherwise)
    for condition, number in reversed(conditions):
        high, low = _turn(lanes, number)
        head, tail = lanes.select(condition, high, head), lanes.select(condition, low, tail)
    return head, tail


def _asin_parts(lanes: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| > ½; and as head and tail asin(|x|), or else asin(√((1 - |x|)/2))."""
    size = lanes.abs(x)
    far = lanes.less(lanes.const(0.5), size)
    zero = lanes.const(0.0)
    half = lanes.fma(size, lanes.const(-0.5), lanes.const(0.5))  # exact
    s, lost = root(lanes, (half, zero))
    z = lanes.select(far, half, lanes.mul(size, size))
    s = lanes.select(far, s, size)
    lost = lanes.select(far, lost, zero)
    series = lanes.polynomial(z, coefficients.ASIN)
    return far, s, lanes.fma(lanes.mul(s, z), series, lost)


def asin(lanes: Lanes, x: Value) -> Value:
    far, head, tail = _asin_parts(lanes, x)
    base, base_tail = _turn(lanes, 1)
    high, lost = fast_sum(lanes, base, lanes.mul(head, lanes.const(-2.0)))
    low = lanes.fma(tail, lanes.const(-2.0), lanes.add(lost, base_tail))
    y = lanes.select(far, lanes.add(high, low), lanes.add(head, tail))
    return lanes.copysign(y, x)


def acos(lanes: Lanes, x: Value) -> Value:
    far, head, tail = _asin_parts(lanes, x)
    below = lanes.less(x, lanes.const(0.0))
    near = lanes.builder.not_(far)
    base, base_tail = _chosen(lanes, [(near, 1), (below, 2)], 0)
    one, two = lanes.const(1.0), lanes.const(2.0)
    factor = lanes.select(far, two, one)
    # to be taken away: asin(x), or twice that of the root, which for x > 0 is all there is
    sign = lanes.select(far, lanes.neg(x), x)
    head = lanes.copysign(lanes.mul(head, factor), sign)
    tail = lanes.mul(tail, lanes.copysign(factor, sign))
    high, lost = fast_sum(lanes, base, lanes.neg(head))
    return lanes.add(high, lanes.sub(lanes.add(lost, base_tail), tail))


def _angle(lanes: Lanes, y: Value, x: Value, behind: Value | None = None) -> Value:
    """atan(y/x) of numbers that are not negative and whose sum is finite, not both 0; or π less
    that, where x is behind."""
    steep = lanes.less(x, y)
    n, d = lanes.select(steep, x, y), lanes.select(steep, y, x)
    middle = lanes.less(lanes.mul(d, lanes.const(math.sqrt(2) - 1)), n)
    zero, one = lanes.const(0.0), lanes.const(1.0)
    less, more = two_sum(lanes, n, lanes.neg(d)), two_sum(lanes, d, n)
    numerator = lanes.select(middle, less[0], n), lanes.select(middle, less[1], zero)
    denominator = lanes.select(middle, more[0], d), lanes.select(middle, more[1], zero)
    t, tail = quotient(lanes, numerator, denominator)
    z = lanes.mul(t, t)
    tail = lanes.fma(lanes.mul(t, z), lanes.polynomial(z, coefficients.ATAN), tail)
    both = lanes.builder.and_(steep, middle)
    turned = lanes.select(steep, lanes.neg(one), one)
    conditions = [(both, 0.5), (steep, 1), (middle, 0.5)]
    base, base_tail = _chosen(lanes, conditions, 0)
    if behind is not None:
        far = _chosen(lanes, [(both, 1.5), (steep, 1), (middle, 1.5)], 2)
        base = lanes.select(behind, far[0], base)
        base_tail = lanes.select(behind, far[1], base_tail)
        turned = lanes.select(behind, lanes.neg(turned), turned)
    high, lost = fast_sum(lanes, base, lanes.mul(turned, t))
    return lanes.add(high, lanes.fma(turned, tail, lanes.add(lost, base_tail)))


def atan(lanes: Lanes, x: Value) -> Value:
    # from 2^64 on it is π/2
    y = _angle(lanes, lanes.at_most(lanes.abs(x), 2.0**64), lanes.const(1.0))
    return lanes.copysign(y, x)


def atan2(lanes: Lanes, y: Value, x: Value) -> Value:
    b, zero, one = lanes.builder, lanes.const(0.0), lanes.const(1.0)
    up, along = lanes.abs(y), lanes.abs(x)
    infinity = lanes.const(math.inf)
    endless = b.or_(lanes.equal(up, infinity), lanes.equal(along, infinity))
    top, wide = (
        lanes.select(endless, lanes.select(lanes.equal(v, infinity), one, zero), v)
        for v in (up, along)
    )
    longest = lanes.select(lanes.less(wide, top), top, wide)
    large = lanes.less(lanes.const(lanes.pick((2.0**100, 2.0**1000))), longest)
    small = lanes.less(longest, lanes.const(lanes.pick((2.0**-80, 2.0**-900))))
    down, lift = lanes.pick((2.0**-40, 2.0**-100)), lanes.pick((2.0**60, 2.0**200))
    scale = lanes.select(large, lanes.const(down), lanes.select(small, lanes.const(lift), one))
    top, wide = lanes.mul(top, scale), lanes.mul(wide, scale)
    wide = lanes.select(lanes.equal(longest, zero), one, wide)
    angle = _angle(lanes, top, wide, lanes.negative(x))
    sum_ = lanes.add(x, y)
    missing = b.fcmp_unordered("uno", x, y)
    return lanes.select(missing, sum_, lanes.copysign(angle, y))
