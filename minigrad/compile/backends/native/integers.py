"""Arithmetic on 64-bit integers as LLVM IR, as NumPy has it: no fault, and no undefined result.

A quotient by 0 is 0; the least integer is its own negative; a shift by 64 or more, or by less than
0, leaves nothing but the sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.compile.backends.native.irtools import repeated
from minigrad.compile.backends.native.jit import llvm
from minigrad.compile.backends.native.lanes import Lanes, Value


def constant(like: Value, value: int) -> Value:
    """An integer in every lane of a value's type."""
    return repeated(like.type, value)


def absolute(lanes: Lanes, v: Sequence[Value]) -> Value:
    b, (x,) = lanes.builder, v
    return b.select(b.icmp_signed("<", x, constant(x, 0)), b.neg(x), x)


def sign(lanes: Lanes, v: Sequence[Value]) -> Value:
    b, (x,) = lanes.builder, v
    zero, one = constant(x, 0), constant(x, 1)
    above = b.select(b.icmp_signed(">", x, zero), one, zero)
    return b.select(b.icmp_signed("<", x, zero), b.neg(one), above)


def relu(lanes: Lanes, v: Sequence[Value]) -> Value:
    b, (x,) = lanes.builder, v
    zero = constant(x, 0)
    return b.select(b.icmp_signed(">", x, zero), x, zero)


def _divided(lanes: Lanes, v: Sequence[Value]) -> tuple[Value, Value, Any]:
    """The quotient towards 0, what it leaves, and whether the divisor is 0; 1 serves for it then,
    and for -1, by which the least integer has no quotient."""
    b, (x, d) = lanes.builder, v
    zero, one = constant(x, 0), constant(x, 1)
    minus = b.icmp_signed("==", d, b.neg(one))
    nothing = b.icmp_signed("==", d, zero)
    safe = b.select(b.or_(minus, nothing), one, d)
    quotient = b.sdiv(x, safe)
    rest = b.sub(x, b.mul(quotient, safe))
    return b.select(minus, b.neg(x), quotient), rest, nothing


def _apart(lanes: Lanes, rest: Value, divisor: Value) -> Value:
    """Whether there is a rest, of the other sign than the divisor."""
    b, zero = lanes.builder, constant(rest, 0)
    some = b.icmp_signed("!=", rest, zero)
    return b.and_(some, b.icmp_signed("<", b.xor(rest, divisor), zero))


def floor_divide(lanes: Lanes, v: Sequence[Value]) -> Value:
    b = lanes.builder
    quotient, rest, nothing = _divided(lanes, v)
    below = b.select(_apart(lanes, rest, v[1]), b.sub(quotient, constant(rest, 1)), quotient)
    return b.select(nothing, constant(rest, 0), below)


def remainder(lanes: Lanes, v: Sequence[Value]) -> Value:
    b = lanes.builder
    _, rest, nothing = _divided(lanes, v)
    above = b.select(_apart(lanes, rest, v[1]), b.add(rest, v[1]), rest)
    return b.select(nothing, constant(rest, 0), above)


def fmod(lanes: Lanes, v: Sequence[Value]) -> Value:
    _, rest, nothing = _divided(lanes, v)
    return lanes.builder.select(nothing, constant(rest, 0), rest)


def left_shift(lanes: Lanes, v: Sequence[Value]) -> Value:
    b, (x, by) = lanes.builder, v
    short = b.icmp_unsigned("<", by, constant(x, 64))
    return b.select(short, b.shl(x, b.select(short, by, constant(x, 0))), constant(x, 0))


def right_shift(lanes: Lanes, v: Sequence[Value]) -> Value:
    b, (x, by) = lanes.builder, v
    short = b.icmp_unsigned("<", by, constant(x, 64))
    return b.ashr(x, b.select(short, by, constant(x, 63)))


def from_any(lanes: Lanes, x: Value) -> Value:
    """A boolean, an integer, or a float without its fraction; the least integer where there is no
    integer for it, as x86 and so NumPy have it."""
    ir, b = llvm().ir, lanes.builder
    vector = isinstance(x.type, ir.VectorType)
    element = x.type.element if vector else x.type
    kind = ir.VectorType(ir.IntType(64), x.type.count) if vector else ir.IntType(64)
    if isinstance(element, ir.IntType):
        return b.zext(x, kind) if element.width == 1 else x
    low, high = (repeated(x.type, bound) for bound in (-(2.0**63), 2.0**63))
    known = b.and_(b.fcmp_ordered(">=", x, low), b.fcmp_ordered("<", x, high))
    whole = b.fptosi(b.select(known, x, x.type(None)), kind)
    return b.select(known, whole, repeated(kind, -(2**63)))
