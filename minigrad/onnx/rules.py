"""What each op is in ONNX: a record an op. An op that is not here cannot be said in ONNX: those of
linear algebra, of random numbers, and `nextafter`.

https://onnx.ai/onnx/operators says what ONNX's ops do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph.node import Expr
from minigrad.onnx.elementwise import (
    BOOL,
    INT16,
    SMALL,
    UNSIGNED,
    atan2,
    bell,
    bits,
    by_way_of,
    cbrt,
    copysign,
    expm1,
    float_test,
    floor_divide,
    hypot,
    hypot_slope,
    is_float,
    isfinite,
    log1p,
    log_to,
    logaddexp,
    logical,
    number,
    of_floats,
    one_minus_square,
    plain,
    power,
    remainder,
    shift,
    signbit,
    trunc,
)
from minigrad.onnx.indexing import getitem, put, scatter
from minigrad.onnx.loops import block, scan
from minigrad.onnx.writer import Named, Rule, Writer

# --- reductions ----------------------------------------------------------------------------------


def _reduce(w: Writer, kind: str, x: str, axes: Any, keepdims: int = 0) -> str:
    return w.op(kind, x, w.ints(*axes), keepdims=keepdims) if axes else x


def _reduction(kind: str) -> Rule:
    return lambda w, y, x: _reduce(w, kind, x, y.attrs[0])


def _sum(w: Writer, y: Expr, x: str) -> str:
    x = x if y.args[0].dtype == y.dtype else w.cast(x, y.dtype)  # bools are counted
    return _reduce(w, "ReduceSum", x, y.attrs[0])


def _of_bools(kind: str, empty: bool) -> Rule:
    """all or any: the least or the most, as numbers."""

    def rule(w: Writer, y: Expr, x: str) -> str:
        operand = y.args[0]
        if not operand.size:
            return w.op("Expand", w.const(empty), w.ints(*y.shape))
        bools = x if operand.dtype.kind == "b" else w.cast(x, bool)
        return w.cast(_reduce(w, kind, w.cast(bools, "int32"), y.attrs[0]), bool)

    return rule


def _arg(kind: str) -> Rule:
    return lambda w, y, x: w.op(kind, x, axis=y.attrs[0], keepdims=0)


def _argsort(w: Writer, y: Expr, x: str) -> str:
    axis = y.attrs[0]
    gives = [w.name(), w.name()]
    w.ops("TopK", [x, w.ints(y.shape[axis])], gives, axis=axis, largest=0, sorted=1)
    return gives[1]


def _logsumexp(w: Writer, y: Expr, x: str) -> str:
    axes = y.attrs[0]
    if not axes:
        return x
    most = _reduce(w, "ReduceMax", x, axes, 1)
    endless = w.op("Equal", w.op("Abs", most), number(w, y, np.inf))
    most = w.op("Where", endless, number(w, y, 0), most)
    powers = w.op("Exp", w.op("Sub", x, most))
    logs = w.op("Log", _reduce(w, "ReduceSum", powers, axes))
    return w.op("Add", logs, w.op("Squeeze", most, w.ints(*axes)))


def _softmax(w: Writer, y: Expr, x: str) -> str:
    axes = y.attrs[0]
    if len(axes) == 1:
        return w.op("Softmax", x, axis=axes[0])
    powers = w.op("Exp", w.op("Sub", x, _reduce(w, "ReduceMax", x, axes, 1)))
    return w.op("Div", powers, _reduce(w, "ReduceSum", powers, axes, 1))


def _searchsorted(w: Writer, y: Expr, ordered: str, values: str) -> str:
    """How many stand before each; NaN stands last."""
    row, asked = y.args
    own = w.reshape(ordered, (*(1,) * asked.ndim, *row.shape))
    each = w.reshape(values, (*asked.shape, 1))
    left = y.attrs[0] == "left"
    before = w.op("Less" if left else "LessOrEqual", own, each)
    if is_float(row):
        none = w.op("IsNaN", each)
        if left:
            none = w.op("And", none, w.op("Not", w.op("IsNaN", own)))
        before = w.op("Or", before, none)
    return _reduce(w, "ReduceSum", w.cast(before, np.int64), (asked.ndim,))


# --- results of several, and derivatives' ops ----------------------------------------------------


def _item(w: Writer, y: Expr, whole: Named) -> Named:
    return whole[y.attrs[0]]


def _first(w: Writer, y: Expr, x: Named, *rest: Named) -> Named:
    return x


RULES: dict[str, Rule] = {
    "abs": plain("Abs"),
    "acos": plain("Acos"),
    "acosh": plain("Acosh"),
    "add": bits("Add", "Or"),
    "all": _of_bools("ReduceMin", True),
    "any": _of_bools("ReduceMax", False),
    "argmax": by_way_of("int32", BOOL, _arg("ArgMax")),
    "argmin": by_way_of("int32", BOOL, _arg("ArgMin")),
    "argsort": by_way_of("int32", BOOL, _argsort),
    "asin": plain("Asin"),
    "asinh": plain("Asinh"),
    "astype": lambda w, y, x: w.cast(x, y.dtype),
    "atan": plain("Atan"),
    "atan2": atan2,
    "atanh": plain("Atanh"),
    "barrier": _first,
    "bitwise_and": bits("BitwiseAnd", "And"),
    "bitwise_invert": bits("BitwiseNot", "Not"),
    "bitwise_left_shift": shift("LEFT"),
    "bitwise_or": bits("BitwiseOr", "Or"),
    "bitwise_right_shift": shift("RIGHT"),
    "bitwise_xor": bits("BitwiseXor", "Xor"),
    "block": block,
    "broadcast_to": lambda w, y, x: w.op("Expand", x, w.ints(*y.shape)),
    "cbrt": cbrt,
    "ceil": of_floats("Ceil"),
    "concat": lambda w, y, *args: w.op("Concat", *args, axis=y.attrs[0]),
    "copysign": copysign,
    "cos": plain("Cos"),
    "cosh": plain("Cosh"),
    "cumulative_sum": lambda w, y, x: w.op("CumSum", x, w.const(y.attrs[0], np.int64)),
    "custom_vjp": _first,
    "det": plain("Det"),
    "divide": plain("Div"),
    "equal": plain("Equal"),
    "erf": plain("Erf"),
    "exp": plain("Exp"),
    "expm1": expm1,
    "floor": of_floats("Floor"),
    "floor_divide": floor_divide,
    "fmod": lambda w, y, a, b: w.op("Mod", a, b, fmod=1),
    "getitem": getitem,
    "greater": by_way_of("int32", BOOL, plain("Greater")),
    "greater_equal": by_way_of("int32", BOOL, plain("GreaterOrEqual")),
    "hypot": hypot,
    "hypot_slope": hypot_slope,
    "isfinite": isfinite,
    "isinf": float_test("IsInf"),
    "isnan": float_test("IsNaN"),
    "item": _item,
    "less": by_way_of("int32", BOOL, plain("Less")),
    "less_equal": by_way_of("int32", BOOL, plain("LessOrEqual")),
    "log": plain("Log"),
    "log10": log_to(10),
    "log1p": log1p,
    "log2": log_to(2),
    "logaddexp": logaddexp,
    "logical_and": logical("And"),
    "logical_not": logical("Not"),
    "logical_or": logical("Or"),
    "logical_xor": logical("Xor"),
    "logsumexp": _logsumexp,
    "matmul": by_way_of("int32", BOOL + SMALL, plain("MatMul")),
    "max": by_way_of("int32", BOOL + INT16, _reduction("ReduceMax")),
    "maximum": bits("Max", "Or"),
    "min": by_way_of("int32", BOOL + INT16, _reduction("ReduceMin")),
    "minimum": bits("Min", "And"),
    "multiply": bits("Mul", "And"),
    "negative": by_way_of("int64", UNSIGNED, plain("Neg")),
    "not_equal": lambda w, y, a, b: w.op("Not", w.op("Equal", a, b)),
    "one_minus_square": one_minus_square,
    "permute_dims": lambda w, y, x: w.op("Transpose", x, perm=y.attrs[0]),
    "pow": power,
    "put": put,
    "relu": lambda w, y, x: x if y.dtype.kind == "u" else w.op("Relu", x),
    "remainder": remainder,
    "reshape": lambda w, y, x: w.reshape(x, y.shape),
    "round": of_floats("Round"),
    "scale_gradient": _first,
    "scan": scan,
    "scatter": scatter,
    "searchsorted": _searchsorted,
    "sigmoid": plain("Sigmoid"),
    "sigmoid_slope": bell(0.5, 1),
    "sign": plain("Sign"),
    "signbit": lambda w, y, x: signbit(w, y.args[0], x),
    "sin": plain("Sin"),
    "sinh": plain("Sinh"),
    "softmax": _softmax,
    "softplus": plain("Softplus"),
    "sqrt": plain("Sqrt"),
    "square": lambda w, y, x: w.op("Mul", x, x),
    "stop_gradient": _first,
    "subtract": plain("Sub"),
    "sum": _sum,
    "tan": plain("Tan"),
    "tanh": plain("Tanh"),
    "tanh_slope": bell(1, 2),
    "trunc": trunc,
    "tuple": lambda w, y, *args: [*args],
    "where": plain("Where"),
}
"""By the op's name."""
