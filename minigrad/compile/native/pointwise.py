"""Pointwise ops as LLVM IR: one row an op, on values of one lane count, and loops over elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compile.native import vecmath
from minigrad.compile.native.irtools import counted, float_type, nest
from minigrad.compile.native.irtools import int64 as index
from minigrad.compile.native.jit import host, llvm
from minigrad.compile.native.lanes import Lanes
from minigrad.compile.native.views import UnsupportedError, View, common_axes
from minigrad.graph import Expr
from minigrad.ops.core import uniform_value
from minigrad.types import BOOL, FLOAT32, FLOAT64, Shape

Value = Any
Row = Callable[[Lanes, Sequence[Value]], Value]


def _compare(how: str) -> Row:
    ordered = how != "!="  # NaN differs from everything, and compares no other way

    def row(lanes: Lanes, v: Sequence[Value]) -> Value:
        b = lanes.builder
        return b.fcmp_ordered(how, *v) if ordered else b.fcmp_unordered(how, *v)

    return row


def _extreme(how: str) -> Row:
    def row(lanes: Lanes, v: Sequence[Value]) -> Value:
        b = lanes.builder
        a, c = v
        # NaN of either side stays: a is taken where it is beyond c or NaN, else c.
        taken = b.fcmp_unordered(how, a, c)
        nan = b.fcmp_unordered("uno", c, c)
        return b.select(nan, c, b.select(taken, a, c))

    return row


def _square_root(lanes: Lanes, v: Sequence[Value]) -> Value:
    return lanes._intrinsic("llvm.sqrt", v[0])


def _sign(lanes: Lanes, v: Sequence[Value]) -> Value:
    (x,) = v
    zero = lanes.const(0.0)
    beside = lanes.builder.fcmp_ordered("ord", x, x)
    unit = lanes.select(lanes.equal(x, zero), zero, lanes.copysign(lanes.const(1.0), x))
    return lanes.select(beside, unit, x)


ROWS: dict[str, Row] = {
    "add": lambda n, v: n.add(*v),
    "subtract": lambda n, v: n.sub(*v),
    "multiply": lambda n, v: n.mul(*v),
    "divide": lambda n, v: n.div(*v),
    "negative": lambda n, v: n.neg(*v),
    "abs": lambda n, v: n.abs(*v),
    "square": lambda n, v: n.mul(v[0], v[0]),
    "sqrt": _square_root,
    "sign": _sign,
    "relu": lambda n, v: n.at_least(v[0], 0.0),
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "copysign": lambda n, v: n.copysign(*v),
    "less": _compare("<"),
    "less_equal": _compare("<="),
    "greater": _compare(">"),
    "greater_equal": _compare(">="),
    "equal": _compare("=="),
    "not_equal": _compare("!="),
    "where": lambda n, v: n.select(*v),
    "bitwise_and": lambda n, v: n.builder.and_(*v),
    "bitwise_or": lambda n, v: n.builder.or_(*v),
    "logical_not": lambda n, v: n.builder.not_(*v),
} | {name: (lambda n, v, emit=emit: emit(n, v[0])) for name, emit in vecmath.FUNCTIONS.items()}


def check(node: Expr) -> None:
    """Raise UnsupportedError for a pointwise node that has no row here, or other dtypes than
    floats."""
    if node.op.name not in ROWS:
        raise UnsupportedError(f"op {node.op.name}")
    kinds = {a.dtype for a in node.args} | {node.dtype}
    if not kinds <= {FLOAT32, FLOAT64, BOOL} or len(kinds - {BOOL}) > 1:
        raise UnsupportedError(f"op {node.op.name} of {', '.join(sorted(k.name for k in kinds))}")
    if node.op.name in ("bitwise_and", "bitwise_or", "logical_not") and kinds != {BOOL}:
        raise UnsupportedError(f"op {node.op.name} of numbers")


# --- loops -------------------------------------------------------------------------------------


def element(
    builder: Any,
    view: View,
    strides: Sequence[int],
    counters: Sequence[Any],
    dtype: np.dtype[Any],
) -> Any:
    """A pointer to the element of a view at some counters."""
    place = index(view.offset)
    for k, s in zip(counters, strides, strict=True):
        if s:
            place = builder.add(place, builder.mul(k, index(s)))
    return builder.gep(view.base, [place], source_etype=float_type(dtype.name))


def for_each(
    builder: Any,
    shape: Shape,
    dtype: np.dtype[Any],
    reads: Sequence[View],
    compute: Callable[[Lanes, list[Value]], list[Value]],
    writes: Sequence[View],
) -> None:
    """A loop over all elements: compute(lanes, values read) gives the values to write.

    The last axis goes in whole vectors and then one by one; an axis along which something is
    neither contiguous nor constant goes one by one.
    """
    if 0 in shape:
        return
    dims, strides = common_axes(shape, [*reads, *writes])
    width = host().lanes(dtype)
    inner = [s[-1] for s in strides]
    vectors = all(s in (0, 1) for s in inner) and all(s == 1 for s in inner[len(reads) :])
    whole = dims[-1] // width * width if vectors else 0
    with nest(builder, dims[:-1]) as outer:
        for start, stop, lanes in ((0, whole, width), (whole, dims[-1], 1)):
            if start == stop:
                continue
            with counted(builder, stop - start, lanes) as k:
                at = builder.add(k, index(start)) if start else k
                _one(builder, dtype, lanes, [*outer, at], strides, reads, compute, writes)


def _one(
    builder: Any,
    dtype: np.dtype[Any],
    width: int,
    counters: Sequence[Any],
    strides: Sequence[Sequence[int]],
    reads: Sequence[View],
    compute: Callable[[Lanes, list[Value]], list[Value]],
    writes: Sequence[View],
) -> None:
    ir = llvm().ir
    single = float_type(dtype.name)
    kind = ir.VectorType(single, width) if width > 1 else single
    align = np.dtype(dtype).itemsize
    values = []
    for view, steps in zip(reads, strides, strict=False):
        pointer = element(builder, view, steps, counters, dtype)
        if width > 1 and steps[-1] == 0:
            values.append(_splat(builder, builder.load(pointer, align=align, typ=single), kind))
        else:
            values.append(builder.load(pointer, align=align, typ=kind))
    results = compute(Lanes(builder, kind), values)
    for view, steps, value in zip(writes, strides[len(reads) :], results, strict=True):
        builder.store(value, element(builder, view, steps, counters, dtype), align=align)


def _splat(builder: Any, value: Value, kind: Any) -> Value:
    ir = llvm().ir
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, index(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask)


def constant(lanes: Lanes, node: Expr) -> Value:
    """A number of a graph as a value."""
    value = uniform_value(node)
    assert value is not None
    if node.dtype == BOOL:
        ir = llvm().ir
        bit = ir.IntType(1)
        count = getattr(lanes.kind, "count", 0)
        return ir.Constant(ir.VectorType(bit, count) if count else bit, int(value))
    return lanes.const(float(value))
