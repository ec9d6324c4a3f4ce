"""Arithmetic on IR values of a float format, scalar or vector alike, and the parts of exp and log.

`Lanes` is the vocabulary in which vecmath writes its formulas. Every operation is exact IEEE
arithmetic without fast-math flags, and fused only where `fma` says so: range reduction and error
terms depend on it, and scalars, vectors of any width and CPUs of any kind get the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.compile.backends.native import coefficients
from minigrad.compile.backends.native.irtools import repeated, undefined
from minigrad.compile.backends.native.jit import call_intrinsic, llvm

Value = Any  # an ir.Value: float32, float64 or a vector of them


class Lanes:
    """Emits arithmetic on values of one type."""

    def __init__(self, builder: Any, kind: Any) -> None:
        ir = llvm().ir
        self.builder = builder
        self.kind = kind
        element = kind.element if isinstance(kind, ir.VectorType) else kind
        self.single = isinstance(element, ir.FloatType)
        if not self.single and not isinstance(element, ir.DoubleType):
            raise TypeError(f"expected float, double or a vector of them, got {kind}")
        self.mantissa, self.bias = (23, 127) if self.single else (52, 1023)
        bits = ir.IntType(32 if self.single else 64)
        self.bits_kind = ir.VectorType(bits, kind.count) if element is not kind else bits
        self.width = bits.width
        self.tiny = 2.0 ** -(self.mantissa + 2)
        """Below it x + x² is x."""

    # constants

    def const(self, value: float) -> Value:
        """The number, rounded to the format, in every lane."""
        return repeated(self.kind, self.rounded(value))

    def rounded(self, value: float) -> float:
        """The number, rounded to the format."""
        return float(np.float32(value)) if self.single else float(value)

    def int_const(self, value: int) -> Value:
        """An integer as wide as the format, in every lane."""
        return repeated(self.bits_kind, value)

    def bits_of(self, value: float) -> int:
        """The bit pattern of a number in the format."""
        if self.single:
            return int(np.float32(value).view(np.uint32))
        return int(np.float64(value).view(np.uint64))

    def pick(self, pair: tuple[Any, Any]) -> Any:
        """The float32 or the float64 half of a pair."""
        return pair[0] if self.single else pair[1]

    # arithmetic

    def add(self, a: Value, b: Value) -> Value:
        return self.builder.fadd(a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self.builder.fsub(a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.builder.fmul(a, b)

    def div(self, a: Value, b: Value) -> Value:
        return self.builder.fdiv(a, b)

    def neg(self, a: Value) -> Value:
        return self.builder.fneg(a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a·b + c, rounded once."""
        return self._intrinsic("llvm.fma", a, b, c)

    def abs(self, a: Value) -> Value:
        return self._intrinsic("llvm.fabs", a)

    def copysign(self, magnitude: Value, sign: Value) -> Value:
        return self._intrinsic("llvm.copysign", magnitude, sign)

    def root(self, a: Value) -> Value:
        return self._intrinsic("llvm.sqrt", a)

    def floor(self, a: Value) -> Value:
        return self._intrinsic("llvm.floor", a)

    def whole(self, a: Value) -> Value:
        """a without its fraction."""
        return self._intrinsic("llvm.trunc", a)

    def _intrinsic(self, name: str, *operands: Value) -> Value:
        return call_intrinsic(self.builder, name, [self.kind], self.kind, list(operands))

    def less(self, a: Value, b: Value) -> Value:
        """a < b; false for NaN."""
        return self.builder.fcmp_ordered("<", a, b)

    def equal(self, a: Value, b: Value) -> Value:
        return self.builder.fcmp_ordered("==", a, b)

    def select(self, condition: Value, then: Value, otherwise: Value) -> Value:
        return self.builder.select(condition, then, otherwise)

    def negative(self, x: Value) -> Value:
        """Whether the sign is set, of -0 and NaN too."""
        return self.builder.icmp_signed("<", self.to_bits(x), self.int_const(0))

    def true(self, x: Value) -> Value:
        """Whether a number or boolean of any kind is not 0."""
        element = getattr(x.type, "element", x.type)
        zero = x.type(None)
        if not isinstance(element, llvm().ir.IntType):
            return self.builder.fcmp_unordered("!=", x, zero)
        return x if element.width == 1 else self.builder.icmp_signed("!=", x, zero)

    def rarely(self, condition: Value, then: Callable[[], Value], otherwise: Value) -> Value:
        """As `select`, where `then` is computed only if the condition holds in some lane."""
        b = self.builder
        some = condition
        if isinstance(condition.type, llvm().ir.VectorType):
            packed = llvm().ir.IntType(condition.type.count)
            some = b.icmp_unsigned("!=", b.bitcast(condition, packed), packed(0))
        before, rare, after = b.block, b.append_basic_block(), b.append_basic_block()
        b.cbranch(some, rare, after)
        b.position_at_end(rare)
        chosen = self.select(condition, then(), otherwise)
        end = b.block
        b.branch(after)
        b.position_at_end(after)
        result = b.phi(self.kind)
        result.add_incoming(otherwise, before)
        result.add_incoming(chosen, end)
        return result

    def library(self, name: str, *operands: Value) -> Value:
        """The C library's function, called for each lane."""
        ir, b = llvm().ir, self.builder
        element = getattr(self.kind, "element", self.kind)
        full = name + "f" * self.single
        function = b.module.globals.get(full)
        if function is None:
            signature = ir.FunctionType(element, [element] * len(operands))
            function = ir.Function(b.module, signature, full)
        if element is self.kind:
            return b.call(function, operands)
        result = undefined(self.kind)
        for k in range(self.kind.count):
            lane = ir.IntType(32)(k)
            one = b.call(function, [b.extract_element(x, lane) for x in operands])
            result = b.insert_element(result, one, lane)
        return result

    def at_least(self, x: Value, low: float) -> Value:
        """max(x, low), where NaN stays NaN."""
        return self.select(self.less(x, self.const(low)), self.const(low), x)

    def at_most(self, x: Value, high: float) -> Value:
        """min(x, high), where NaN stays NaN."""
        return self.select(self.less(self.const(high), x), self.const(high), x)

    def polynomial(self, x: Value, table: coefficients.Coefficients) -> Value:
        """By Horner's rule; a long one (of float64) in fours of terms, which do not wait for each
        other, and those by Horner's rule: code that computes much of an element waits for it."""
        terms = [self.const(c) for c in self.pick(table)]
        if len(terms) <= 8:
            return self._horner(x, terms)
        square = self.mul(x, x)
        pairs = [self._horner(x, terms[k : k + 2]) for k in range(0, len(terms), 2)]
        fours = [self._horner(square, pairs[k : k + 2]) for k in range(0, len(pairs), 2)]
        return self._horner(self.mul(square, square), fours)

    def _horner(self, x: Value, terms: list[Value]) -> Value:
        *rest, result = terms
        for c in reversed(rest):
            result = self.fma(result, x, c)
        return result

    # bits

    def to_bits(self, x: Value) -> Value:
        return self.builder.bitcast(x, self.bits_kind)

    def from_bits(self, i: Value) -> Value:
        return self.builder.bitcast(i, self.kind)

    def shift_left(self, i: Value, count: int) -> Value:
        return self.builder.shl(i, self.int_const(count))

    def shift_right(self, i: Value, count: int) -> Value:
        return self.builder.lshr(i, self.int_const(count))


def identity_below(lanes: Lanes, x: Value, y: Value, limit: float) -> Value:
    """x itself where it is so small that y would be x: keeps -0 and odd subnormals."""
    return lanes.select(lanes.less(lanes.abs(x), lanes.const(limit)), x, y)


# exp: x = k log(2) + r, exp(x) = 2^k exp(r)

# log(2) in two parts. The first has so many trailing zeros that its product with any exponent is
# exact (8 bits of exponent in float32, 11 in float64); the second is the rest, rounded.
LOG2_HIGH = (float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.62e42fefa38p-1"))
LOG2_LOW = (float.fromhex("0x1.7f7d1cf79abcap-20"), float.fromhex("0x1.ef35793c7673p-45"))

# Here exp is less than half the least subnormal, so 0.
EXP_LOW = (-104.5, -746.0)
# Just above where exp overflows; further out the reduction has no room for the exponent.
EXP_HIGH = (88.73, 709.79)


class Exponent:
    """The reduction of x by a multiple of log(2): r, what r lost to rounding, and 2^k.

    Adding 1.5·2^m to a number rounds it to an integer, which then stands in the low bits of the
    sum: no conversion, which for float64 only AVX-512 has. Twice the bias is added as well, so
    that halves of the exponent need no sign.
    """

    def __init__(self, lanes: Lanes, x: Value) -> None:
        self.lanes = lanes
        magic = 1.5 * 2.0**lanes.mantissa + 2 * lanes.bias
        rounded = lanes.fma(x, lanes.const(1 / math.log(2)), lanes.const(magic))
        self._k = lanes.sub(rounded, lanes.const(magic))
        self._bits = lanes.to_bits(rounded)
        high, low = lanes.pick(LOG2_HIGH), lanes.pick(LOG2_LOW)
        self._high = lanes.fma(self._k, lanes.const(-high), x)  # exact
        self._low = lanes.const(-low)
        self.r = lanes.fma(self._k, self._low, self._high)

    def lost(self) -> Value:
        """The rounding error of r: r + lost is the reduced argument to twice the precision."""
        return self.lanes.fma(self._k, self._low, self.lanes.sub(self._high, self.r))

    def power(self, plus: int = 0, minus: Value | None = None) -> Value:
        """2^(k + plus - minus), which must be a normal number."""
        lanes = self.lanes
        exponent = lanes.builder.sub(self._bits, lanes.int_const(lanes.bias - plus))
        if minus is not None:
            exponent = lanes.builder.sub(exponent, minus)
        return lanes.from_bits(lanes.shift_left(exponent, lanes.mantissa))

    def scale(self, value: Value) -> Value:
        """value·2^k, in two steps: 2^k itself may overflow or be subnormal; rounds once."""
        lanes = self.lanes
        half = lanes.shift_right(self._bits, 1)
        rest = lanes.builder.sub(self._bits, half)
        for part in (half, rest):
            power = lanes.from_bits(lanes.shift_left(part, lanes.mantissa))
            value = lanes.mul(value, power)
        return value

    def exp_of_rest(self) -> Value:
        """exp(r)."""
        lanes, r = self.lanes, self.r
        tail = lanes.polynomial(r, coefficients.EXP)
        return lanes.add(lanes.const(1.0), lanes.fma(lanes.mul(r, r), tail, r))


def exp_of_negative(lanes: Lanes, x: Value) -> Value:
    """exp(x) for x ≤ 0 (a positive x would overflow the reduction), subnormal results included."""
    exponent = Exponent(lanes, lanes.at_least(x, lanes.pick(EXP_LOW)))
    # In two steps, since 2^k may be subnormal; one of them is a constant, for k ≤ 0.
    lifted = lanes.mul(exponent.exp_of_rest(), exponent.power(plus=64))
    return lanes.mul(lifted, lanes.const(2.0**-64))


def half_expm1(lanes: Lanes, x: Value, shift: Value | None = None) -> Value:
    """(exp(x) - 1)/2 for x where exp(x)/2 is a normal number.

    Halved, since exp(x) itself may just overflow, and since tanh wants it so. The reduced
    argument's lost part is kept: dropping it costs a whole ulp near x = log(2)/2. Where it is
    shifted, and so large that 1 counts for nothing, the result is 2^-shift times that.
    """
    exponent = Exponent(lanes, x)
    r = exponent.r
    tail = lanes.polynomial(r, coefficients.EXP)
    small = lanes.fma(lanes.mul(r, r), tail, exponent.lost())  # expm1(r) = r + small
    power = exponent.power(-1, shift)
    large = lanes.fma(power, r, lanes.sub(power, lanes.const(0.5)))
    return lanes.fma(power, small, large)


# log: u = 2^k (1 + f) with 1 + f in [√½, √2)


def log_of_normal(
    lanes: Lanes, u: Value, lost: Value | None = None, k_offset: Value | None = None
) -> Value:
    """log(u + lost) + k_offset·log(2) for positive, finite and normal u and |lost| ≤ ulp(u)."""
    f, k = log_reduced(lanes, u, lost)
    if k_offset is not None:
        k = lanes.add(k, k_offset)
    half_square, s, series = log_parts(lanes, f)
    low = lanes.fma(s, series, lanes.mul(k, lanes.const(lanes.pick(LOG2_LOW))))
    rest = lanes.sub(f, lanes.sub(half_square, low))
    return lanes.fma(k, lanes.const(lanes.pick(LOG2_HIGH)), rest)


def log_reduced(lanes: Lanes, u: Value, lost: Value | None = None) -> tuple[Value, Value]:
    """f and k of u + lost, as above; f is exact where nothing is lost."""
    root = lanes.bits_of(math.sqrt(0.5))
    shifted = lanes.builder.add(lanes.to_bits(u), lanes.int_const(lanes.bits_of(1.0) - root))
    exponent = lanes.shift_right(shifted, lanes.mantissa)
    # the exponent written into the low bits of 2^m is that number plus the exponent
    base = 2.0**lanes.mantissa
    glued = lanes.builder.or_(exponent, lanes.int_const(lanes.bits_of(base)))
    k = lanes.sub(lanes.from_bits(glued), lanes.const(base + lanes.bias))
    fraction = lanes.builder.and_(shifted, lanes.int_const((1 << lanes.mantissa) - 1))
    reduced = lanes.from_bits(lanes.builder.add(fraction, lanes.int_const(root)))
    f = lanes.sub(reduced, lanes.const(1.0))
    if lost is not None:
        # half of it times 2^(1-k), since 2^-k is subnormal for the largest k
        inverse = lanes.builder.sub(lanes.int_const(2 * lanes.bias + 1), exponent)
        twice = lanes.from_bits(lanes.shift_left(inverse, lanes.mantissa))
        f = lanes.fma(lanes.mul(lost, lanes.const(0.5)), twice, f)
    return f, k


def log_parts(lanes: Lanes, f: Value) -> tuple[Value, Value, Value]:
    """f²/2, s and p of log(1 + f) = 2 atanh(s) = f - (f²/2 - s p), where s = f/(2 + f); the leading
    term is exact."""
    s = lanes.div(f, lanes.add(f, lanes.const(2.0)))
    w = lanes.mul(s, s)
    half_square = lanes.mul(lanes.mul(f, lanes.const(0.5)), f)
    series = lanes.fma(w, lanes.polynomial(w, coefficients.LOG), half_square)
    return half_square, s, series
