"""Elementwise ops in ONNX. Where it has no counterpart of an op it is written with those that there
are, such that it keeps its digits and its special values.
"""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from minigrad.errors import GraphError
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, make
from minigrad.onnx.writer import Rule, Writer
from minigrad.ops.core import uniform_value
from minigrad.types import TensorType


def is_float(node: Expr) -> bool:
    return node.dtype.kind == "f"


def plain(kind: str) -> Rule:
    """The op of ONNX that does the same."""
    return lambda w, y, *args: w.op(kind, *args)


def of_floats(kind: str) -> Rule:
    """The same, of floats; integers stay as they are."""
    return lambda w, y, x: w.op(kind, x) if is_float(y) else x


def bits(kind: str, logical: str) -> Rule:
    """An op that has another name for bools."""
    return lambda w, y, *args: w.op(logical if y.dtype.kind == "b" else kind, *args)


# --- floats --------------------------------------------------------------------------------------


def number(w: Writer, node: Expr, value: float) -> str:
    """A scalar of the dtype of a node."""
    return w.const(value, node.dtype)


def signbit(w: Writer, node: Expr, x: str) -> str:
    """Whether numbers of a node's dtype are below 0, or -0."""
    zero = number(w, node, 0)
    below = w.op("Less", x, zero)
    if not is_float(node):
        return below
    inverse = w.op("Div", number(w, node, 1), x)
    return w.op("Or", below, w.op("Less", inverse, zero))


def copysign(w: Writer, y: Expr, a: str, b: str) -> str:
    size = w.op("Abs", a)
    return w.op("Where", signbit(w, y, b), w.op("Neg", size), size)


def log1p(w: Writer, y: Expr, x: str) -> str:
    """log(u) x / (u - 1), u = 1 + x, which has all its digits (Kahan; Goldberg 1991, theorem 4)."""
    one = number(w, y, 1)
    u = w.op("Add", one, x)
    rest = w.op("Sub", u, one)
    exact = w.op("Equal", rest, number(w, y, 0))
    direct = w.op("Or", exact, w.op("Equal", u, number(w, y, np.inf)))
    logs = w.op("Log", u)
    ratio = w.op("Div", x, w.op("Where", direct, one, rest))
    kept = w.op("Where", exact, x, logs)
    return w.op("Where", direct, kept, w.op("Mul", logs, ratio))


def expm1(w: Writer, y: Expr, x: str) -> str:
    """tanh(x / 2) (eˣ + 1)"""
    half = w.op("Mul", x, number(w, y, 0.5))
    return w.op("Mul", w.op("Tanh", half), w.op("Add", w.op("Exp", x), number(w, y, 1)))


def logaddexp(w: Writer, y: Expr, a: str, b: str) -> str:
    same = w.op("Equal", a, b)  # where both are the same infinity, too
    apart = w.op("Where", same, number(w, y, 0), w.op("Sub", a, b))
    power = w.op("Exp", w.op("Neg", w.op("Abs", apart)))
    return w.op("Add", w.op("Max", a, b), log1p(w, y, power))


def hypot(w: Writer, y: Expr, a: str, b: str) -> str:
    a, b = w.op("Abs", a), w.op("Abs", b)
    most, least = w.op("Max", a, b), w.op("Min", a, b)
    none, endless = w.op("Equal", most, number(w, y, 0)), number(w, y, np.inf)
    ratio = w.op("Div", least, w.op("Where", none, number(w, y, 1), most))
    root = w.op("Sqrt", w.op("Add", number(w, y, 1), w.op("Mul", ratio, ratio)))
    without_end = w.op("Or", w.op("Equal", a, endless), w.op("Equal", b, endless))  # beside NaN too
    return w.op("Where", without_end, endless, w.op("Mul", most, root))


def hypot_slope(w: Writer, y: Expr, a: str, b: str) -> str:
    size = hypot(w, y, a, b)
    none = w.op("Equal", size, number(w, y, 0))
    return w.op("Div", a, w.op("Where", none, number(w, y, 1), size))


def atan2(w: Writer, y: Expr, a: str, b: str) -> str:
    up, along = w.op("Abs", a), w.op("Abs", b)
    same = w.op("Equal", up, along)  # 0 and 0, ∞ and ∞
    one, zero = number(w, y, 1), number(w, y, 0)
    ratio = w.op("Div", w.op("Where", same, one, up), w.op("Where", same, one, along))
    nothing = w.op("And", same, w.op("Equal", up, zero))
    angle = w.op("Where", nothing, zero, w.op("Atan", ratio))
    back = w.op("Sub", number(w, y, pi), angle)
    turned = w.op("Where", signbit(w, y, b), back, angle)
    return w.op("Where", signbit(w, y, a), w.op("Neg", turned), turned)


def bell(scale: float, top: float) -> Rule:
    """(top / (e^(scale x) + e^(-scale x)))²"""

    def rule(w: Writer, y: Expr, x: str) -> str:
        x = w.op("Mul", x, number(w, y, scale))
        both = w.op("Add", w.op("Exp", x), w.op("Exp", w.op("Neg", x)))
        root = w.op("Div", number(w, y, top), both)
        return w.op("Mul", root, root)

    return rule


def one_minus_square(w: Writer, y: Expr, x: str) -> str:
    one = number(w, y, 1)
    return w.op("Mul", w.op("Sub", one, x), w.op("Add", one, x))


def log_to(base: float) -> Rule:
    return lambda w, y, x: w.op("Mul", w.op("Log", x), number(w, y, 1 / log(base)))


def cbrt(w: Writer, y: Expr, x: str) -> str:
    root = w.op("Pow", w.op("Abs", x), number(w, y, 1 / 3))
    return copysign(w, y, root, x)


def trunc(w: Writer, y: Expr, x: str) -> str:
    if not is_float(y):
        return x
    below = w.op("Less", x, number(w, y, 0))
    return w.op("Where", below, w.op("Ceil", x), w.op("Floor", x))


def float_test(kind: str) -> Rule:
    """A test of floats, which is not true of other numbers."""

    def rule(w: Writer, y: Expr, x: str) -> str:
        operand = y.args[0]
        if not is_float(operand):
            return w.op("Expand", w.const(False), w.ints(*y.shape))
        if kind == "IsNaN":
            return w.op("IsNaN", x)
        return w.op("Equal", w.op("Abs", x), number(w, operand, np.inf))

    return rule


def isfinite(w: Writer, y: Expr, x: str) -> str:
    none = [float_test(kind)(w, y, x) for kind in ("IsNaN", "IsInf")]
    return w.op("Not", w.op("Or", *[str(one) for one in none]))


# --- whole numbers -------------------------------------------------------------------------------


def signs_differ(w: Writer, y: Expr, rest: str, b: str) -> str:
    """Whether a remainder is not 0, and on the other side of 0 than what divides."""
    zero = number(w, y, 0)
    other = w.op("Xor", w.op("Less", rest, zero), w.op("Less", b, zero))
    return w.op("And", other, w.op("Not", w.op("Equal", rest, zero)))


def remainder(w: Writer, y: Expr, a: str, b: str) -> str:
    if not is_float(y):
        return w.op("Mod", a, b)
    rest = w.op("Mod", a, b, fmod=1)
    moved = w.op("Where", signs_differ(w, y, rest, b), w.op("Add", rest, b), rest)
    none = w.op("Equal", rest, number(w, y, 0))  # of which the sign is b's
    return w.op("Where", none, copysign(w, y, rest, b), moved)


def floor_divide(w: Writer, y: Expr, a: str, b: str) -> str:
    """As NumPy has it: by the remainder, so that 1 // 0.1 is 9."""
    one = number(w, y, 1)
    rest = w.op("Mod", a, b, fmod=1)
    differ = signs_differ(w, y, rest, b)
    if not is_float(y):
        quotient = w.op("Div", a, b)
        return w.op("Where", differ, w.op("Sub", quotient, one), quotient)
    quotient = w.op("Div", w.op("Sub", a, rest), b)
    quotient = w.op("Where", differ, w.op("Sub", quotient, one), quotient)
    whole = w.op("Floor", quotient)
    above = w.op("Greater", w.op("Sub", quotient, whole), number(w, y, 0.5))
    whole = w.op("Where", above, w.op("Add", whole, one), whole)
    zero = w.op("Equal", b, number(w, y, 0))
    return w.op("Where", zero, w.op("Div", a, b), whole)


def shift(direction: str) -> Rule:
    """ONNX shifts unsigned integers alone; to the right what is below 0 goes with its bits turned,
    so that ones come in."""

    def shifted(w: Writer, y: Expr, a: str, b: str) -> str:
        bare = np.dtype(f"uint{8 * y.dtype.itemsize}")
        moved = w.op("BitShift", w.cast(a, bare), w.cast(b, bare), direction=direction)
        return w.cast(moved, y.dtype)

    def rule(w: Writer, y: Expr, a: str, b: str) -> str:
        plain = shifted(w, y, a, b)
        if direction == "LEFT" or y.dtype.kind == "u":
            return plain
        turned = w.op("BitwiseNot", shifted(w, y, w.op("BitwiseNot", a), b))
        return w.op("Where", w.op("Less", a, number(w, y, 0)), turned, plain)

    return rule


# --- dtypes that an op of ONNX has not ----------------------------------------------------------


BOOL, INT16, SMALL = ("bool",), ("int16", "uint16"), ("int8", "int16", "uint8", "uint16")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")


def by_way_of(dtype: str, names: tuple[str, ...], rule: Rule) -> Rule:
    """The rule, where operands of some dtypes are taken as another one, and what comes of them is
    what it would be of theirs."""
    way = np.dtype(dtype)

    def wrapped(w: Writer, y: Expr, *args: str) -> Any:
        if y.args[0].dtype.name not in names:
            return rule(w, y, *args)
        leaves = [placeholder("x", TensorType(a.shape, way)) for a in y.args]
        wide = make(y.op, tuple(leaves), y.attrs)
        made = rule(w, wide, *[w.cast(a, way) for a in args])
        return made if wide.dtype == y.dtype else w.cast(str(made), y.dtype)

    return wrapped


def power(w: Writer, y: Expr, a: str, b: str) -> str:
    """Powers; of whole numbers products where the exponent is known, which wrap as NumPy's do: a
    runtime's Pow goes by way of floats, and makes 0 or the dtype's end of what does not fit."""
    exponent = 0 if is_float(y) else uniform_value(y.args[1])
    if exponent not in range(1, 65):
        if y.dtype.name in SMALL + UNSIGNED:
            raise GraphError(
                f"ONNX has no powers of {y.dtype}: write them where the exponent is a number from "
                "1 to 64, or of float32, float64, int32 or int64"
            )
        return w.op("Pow", a, b)
    made = a
    for digit in f"{exponent:b}"[1:]:
        made = w.op("Mul", made, made)
        made = w.op("Mul", made, a) if digit == "1" else made
    return made


# --- bools ---------------------------------------------------------------------------------------


def logical(kind: str) -> Rule:
    """An op of bools, for which numbers are whether they are not 0."""

    def rule(w: Writer, y: Expr, *args: str) -> str:
        for k, a in enumerate(y.args):
            if a.dtype.kind != "b":
                args = (*args[:k], w.cast(args[k], bool), *args[k + 1 :])
        return w.op(kind, *args)

    return rule
