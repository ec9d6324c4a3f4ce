"""Pointwise ops as LLVM IR: one row an op, on values of one lane count, and loops over elements.

Floats in memory are IR's floats, booleans bytes and integers what they are; as values, booleans are
single bits, and integers have 64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compile.backends.native import integers, vecmath
from minigrad.compile.backends.native.irtools import (
    counted,
    memory_type,
    moved_by,
    nest,
    offset_of,
    repeated,
    spread,
)
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import host, llvm
from minigrad.compile.backends.native.lanes import Lanes
from minigrad.compile.backends.native.views import UnsupportedError, View, common_axes
from minigrad.graph.node import Expr, Op, get_op
from minigrad.ops.choice import WHERE
from minigrad.ops.core import ASTYPE, uniform_value
from minigrad.types import BOOL, FLOAT32, FLOAT64, INT64, Shape

Value = Any
Row = Callable[[Lanes, Sequence[Value]], Value]


def _of_integers(value: Value) -> bool:
    return isinstance(getattr(value.type, "element", value.type), llvm().ir.IntType)


def _of_bits(value: Value) -> bool:
    return _of_integers(value) and getattr(value.type, "element", value.type).width == 1


def _either(of_floats: Row, of_integers: Row) -> Row:
    return lambda lanes, v: (of_integers if _of_integers(v[-1]) else of_floats)(lanes, v)


def _compare(how: str) -> Row:
    ordered = how != "!="  # NaN differs from everything, and compares no other way

    def of_floats(lanes: Lanes, v: Sequence[Value]) -> Value:
        b = lanes.builder
        return b.fcmp_ordered(how, *v) if ordered else b.fcmp_unordered(how, *v)

    def of_integers(lanes: Lanes, v: Sequence[Value]) -> Value:
        b = lanes.builder
        return b.icmp_unsigned(how, *v) if _of_bits(v[0]) else b.icmp_signed(how, *v)

    return _either(of_floats, of_integers)


def _extreme(how: str) -> Row:
    def of_floats(lanes: Lanes, v: Sequence[Value]) -> Value:
        b = lanes.builder
        a, c = v
        # NaN of either side stays: a is taken where it is beyond c or NaN, else c.
        taken = b.fcmp_unordered(how, a, c)
        nan = b.fcmp_unordered("uno", c, c)
        return b.select(nan, c, b.select(taken, a, c))

    def of_integers(lanes: Lanes, v: Sequence[Value]) -> Value:
        return lanes.select(lanes.builder.icmp_signed(how, *v), *v)

    return _either(of_floats, of_integers)


def _sign(lanes: Lanes, v: Sequence[Value]) -> Value:
    (x,) = v
    zero = lanes.const(0.0)
    beside = lanes.builder.fcmp_ordered("ord", x, x)
    unit = lanes.select(lanes.equal(x, zero), zero, lanes.copysign(lanes.const(1.0), x))
    return lanes.select(beside, unit, x)


def _relu(lanes: Lanes, v: Sequence[Value]) -> Value:
    zero = lanes.const(0.0)  # of -0.0 too; NaN stays
    return lanes.select(lanes.builder.fcmp_unordered(">", v[0], zero), v[0], zero)


def _rounded(how: str) -> Row:
    return lambda lanes, v: lanes._intrinsic(f"llvm.{how}", v[0])


def _is_inf(lanes: Lanes, v: Sequence[Value]) -> Value:
    return lanes.equal(lanes.abs(v[0]), lanes.const(float("inf")))


def _is_finite(lanes: Lanes, v: Sequence[Value]) -> Value:
    return lanes.builder.fcmp_ordered("<", lanes.abs(v[0]), lanes.const(float("inf")))


def _one_minus_square(lanes: Lanes, v: Sequence[Value]) -> Value:
    one = lanes.const(1.0)
    return lanes.mul(lanes.sub(one, v[0]), lanes.add(one, v[0]))


def _fmod(lanes: Lanes, v: Sequence[Value]) -> Value:
    return lanes.library("fmod", *v)  # exact, in as many steps as it takes


def _remainder(lanes: Lanes, v: Sequence[Value]) -> Value:
    """Of the sign of the divisor, as NumPy has it."""
    (_, d), b, zero = v, lanes.builder, lanes.const(0.0)
    rest = _fmod(lanes, v)
    apart = b.xor(lanes.less(d, zero), lanes.less(rest, zero))
    moved_ = lanes.select(apart, lanes.add(rest, d), rest)
    moved_ = lanes.select(lanes.equal(rest, zero), lanes.copysign(zero, d), moved_)
    return lanes.select(lanes.equal(d, zero), rest, moved_)


def _floor_divide(lanes: Lanes, v: Sequence[Value]) -> Value:
    """Of what fmod leaves, so that it is whole but for rounding; of infinities, their quotient."""
    (a, d), b, zero, one = v, lanes.builder, lanes.const(0.0), lanes.const(1.0)
    rest, plain = _fmod(lanes, v), lanes.div(a, d)
    y = lanes.div(lanes.sub(a, rest), d)
    apart = b.xor(lanes.less(d, zero), lanes.less(rest, zero))
    less = b.and_(apart, b.fcmp_unordered("!=", rest, zero))
    y = lanes.select(less, lanes.sub(y, one), y)
    below = lanes.floor(y)
    above = lanes.less(lanes.const(0.5), lanes.sub(y, below))
    whole = lanes.select(above, lanes.add(below, one), below)
    whole = lanes.select(lanes.equal(y, zero), lanes.copysign(zero, plain), whole)
    ends = b.or_(lanes.equal(d, zero), b.or_(_is_inf(lanes, [a]), _is_inf(lanes, [d])))
    return lanes.select(ends, plain, whole)


def _next_after(lanes: Lanes, v: Sequence[Value]) -> Value:
    (x, y), b, zero = v, lanes.builder, lanes.const(0.0)
    outwards = b.xor(lanes.less(x, y), lanes.less(x, zero))
    step = lanes.select(outwards, lanes.int_const(1), lanes.int_const(-1))
    beside = lanes.from_bits(b.add(lanes.to_bits(x), step))
    least = lanes.copysign(lanes.from_bits(lanes.int_const(1)), y)
    beside = lanes.select(lanes.equal(x, zero), least, beside)
    beside = lanes.select(lanes.equal(x, y), y, beside)
    return lanes.select(b.fcmp_unordered("uno", x, y), lanes.add(x, y), beside)


def _cast(lanes: Lanes, x: Value, dtype: np.dtype[Any]) -> Value:
    """A number or boolean of any kind as one of a dtype, of the kind of float at hand if of one."""
    if dtype == BOOL:
        return lanes.true(x)
    if dtype in INTEGERS:
        return integers.from_any(lanes, x)
    ir, b = llvm().ir, lanes.builder
    element = getattr(x.type, "element", x.type)
    if isinstance(element, ir.IntType):
        return (b.uitofp if element.width == 1 else b.sitofp)(x, lanes.kind)
    if isinstance(element, ir.FloatType) == lanes.single:
        return x
    return (b.fptrunc if lanes.single else b.fpext)(x, lanes.kind)


_BY_NAME: dict[str, Row] = {
    "add": _either(lambda n, v: n.add(*v), lambda n, v: n.builder.add(*v)),
    "subtract": _either(lambda n, v: n.sub(*v), lambda n, v: n.builder.sub(*v)),
    "multiply": _either(lambda n, v: n.mul(*v), lambda n, v: n.builder.mul(*v)),
    "divide": lambda n, v: n.div(*v),
    "negative": _either(lambda n, v: n.neg(*v), lambda n, v: n.builder.neg(*v)),
    "abs": _either(lambda n, v: n.abs(*v), integers.absolute),
    "square": _either(lambda n, v: n.mul(v[0], v[0]), lambda n, v: n.builder.mul(v[0], v[0])),
    "sqrt": lambda n, v: n.root(v[0]),
    "sign": _either(_sign, integers.sign),
    "relu": _either(_relu, integers.relu),
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "copysign": lambda n, v: n.copysign(*v),
    "less": _compare("<"),
    "less_equal": _compare("<="),
    "greater": _compare(">"),
    "greater_equal": _compare(">="),
    "equal": _compare("=="),
    "not_equal": _compare("!="),
    "floor": _rounded("floor"),
    "ceil": _rounded("ceil"),
    "trunc": _rounded("trunc"),
    "round": _rounded("roundeven"),
    "isnan": lambda n, v: n.builder.fcmp_unordered("uno", v[0], v[0]),
    "isinf": _is_inf,
    "isfinite": _is_finite,
    "signbit": lambda n, v: n.negative(v[0]),
    "one_minus_square": _one_minus_square,
    "fmod": _either(_fmod, integers.fmod),
    "remainder": _either(_remainder, integers.remainder),
    "floor_divide": _either(_floor_divide, integers.floor_divide),
    "nextafter": _next_after,
    "where": lambda n, v: n.select(*v),
    "scale_gradient": lambda n, v: v[0],
    "bitwise_and": lambda n, v: n.builder.and_(*v),
    "bitwise_or": lambda n, v: n.builder.or_(*v),
    "bitwise_xor": lambda n, v: n.builder.xor(*v),
    "bitwise_invert": lambda n, v: n.builder.not_(*v),
    "bitwise_left_shift": integers.left_shift,
    "bitwise_right_shift": integers.right_shift,
    "logical_and": lambda n, v: n.builder.and_(*map(n.true, v)),
    "logical_or": lambda n, v: n.builder.or_(*map(n.true, v)),
    "logical_xor": lambda n, v: n.builder.xor(*map(n.true, v)),
    "logical_not": lambda n, v: n.builder.not_(n.true(v[0])),
} | {name: (lambda n, v, emit=emit: emit(n, *v)) for name, emit in vecmath.FUNCTIONS.items()}


ROWS: dict[Op, Row] = {get_op(name): row for name, row in _BY_NAME.items()}
ELEMENTARY = {get_op(name) for name in vecmath.FUNCTIONS}
_FLOATS: frozenset[np.dtype[Any]] = frozenset({FLOAT32, FLOAT64})
NARROW: frozenset[np.dtype[Any]] = frozenset(
    np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32)
)
"""Integers that are computed as those of 64 bits, and cut to their own after each op."""
INTEGERS = NARROW | {INT64}
_LOGIC = {f"logical_{name}" for name in ("and", "or", "xor", "not")} | {"where"}
_OF_BOOLS = _LOGIC | {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
_OF_INTEGERS = _OF_BOOLS | {
    "add", "subtract", "multiply", "negative", "abs", "square", "sign", "relu", "maximum",
    "minimum", "floor_divide", "remainder", "fmod", "scale_gradient",
}  # fmt: skip


def operands_of(op: Op) -> frozenset[np.dtype[Any]]:
    """Of which dtypes operands have a row here, the condition of `where` aside; none if none is."""
    if op is ASTYPE:
        return _FLOATS | INTEGERS | {BOOL}
    if op not in ROWS:
        return frozenset()
    if op.name.startswith("bitwise"):
        return INTEGERS if op.name.endswith("shift") else INTEGERS | {BOOL}
    more = INTEGERS if op.name in _OF_INTEGERS else frozenset()
    return _FLOATS | more | ({BOOL} if op.name in _OF_BOOLS else set())


def check(node: Expr) -> None:
    """Raise UnsupportedError for an elementwise node that has no row here, or not of its dtypes."""
    op, kinds = node.op, [a.dtype for a in node.args]
    numbers, known = {*kinds[op is WHERE :]}, operands_of(op)
    if not known:
        raise UnsupportedError(f"op {op.name}")
    # What floats out of range become is the CPU's to say, of each width another thing.
    from_float = node.dtype in NARROW and not numbers.isdisjoint(_FLOATS)
    written = op is not ASTYPE or (node.dtype in known and not from_float)
    if len(numbers) != 1 or not numbers <= known or not written:
        raise UnsupportedError(f"op {op.name} of {', '.join(sorted({k.name for k in kinds}))}")


def applied(lanes: Lanes, op: Op, dtype: np.dtype[Any], values: Sequence[Value]) -> Value:
    """An elementwise op, whose result is of a dtype, of values."""
    value = _cast(lanes, values[0], dtype) if op is ASTYPE else ROWS[op](lanes, values)
    if dtype not in NARROW:
        return value
    return from_memory(lanes.builder, into_memory(lanes.builder, value, dtype), dtype)


# --- loops -------------------------------------------------------------------------------------


# Functions of an element from which a CPU, which looks 250 instructions ahead, does not see the
# next element while it waits for this one: two vectors go side by side then, along an axis so long
# that the rest, one by one, is nothing. Black–Scholes and its gradient took 26.7 ns, and take 22.6.
MANY, LONG = 4, 1024

Place = tuple[View, np.dtype[Any]]
"""Where a tensor lies, and what its elements are in memory."""


def for_each(
    builder: Any,
    shape: Shape,
    dtype: np.dtype[Any],
    reads: Sequence[Place],
    compute: Callable[[Lanes, list[Value]], list[Value]],
    writes: Sequence[Place],
    functions: int = 0,
) -> None:
    """A loop over all elements: compute(lanes, values read) gives the values to write.

    dtype: the floats' in which it computes; it decides how many elements go at once.
    functions: how many elementary ones it computes of an element.

    The last axis goes in whole vectors and then one by one; an axis along which something is
    neither contiguous nor constant goes one by one.
    """
    if 0 in shape:
        return
    dims, strides = common_axes(shape, [view for view, _ in (*reads, *writes)])
    width = host().lanes(dtype) * (2 if functions >= MANY and dims[-1] >= LONG else 1)
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
    reads: Sequence[Place],
    compute: Callable[[Lanes, list[Value]], list[Value]],
    writes: Sequence[Place],
) -> None:
    places = [*reads, *writes]
    pointers = _elements(builder, places, strides, counters)
    values = [
        _load(builder, pointer, place[1], width if steps[-1] else 1, width)
        for pointer, place, steps in zip(pointers, reads, strides, strict=False)
    ]
    results = compute(Lanes(builder, _of_width(memory_type(dtype), width)), values)
    for pointer, place, value in zip(pointers[len(reads) :], writes, results, strict=True):
        builder.store(into_memory(builder, value, place[1]), pointer, align=place[1].itemsize)


def into_memory(builder: Any, value: Value, dtype: np.dtype[Any]) -> Value:
    """A value of a dtype as it lies in memory: a boolean as a byte."""
    if dtype != BOOL and dtype not in NARROW:
        return value
    kind = _of_width(memory_type(dtype), getattr(value.type, "count", 1))
    return (builder.zext if dtype == BOOL else builder.trunc)(value, kind)


def from_memory(builder: Any, value: Value, dtype: np.dtype[Any]) -> Value:
    """What lies in memory, of a dtype, as a value."""
    if dtype == BOOL:
        return builder.icmp_unsigned("!=", value, value.type(None))
    if dtype not in NARROW:
        return value
    kind = _of_width(memory_type(INT64), getattr(value.type, "count", 1))
    return (builder.sext if dtype.kind == "i" else builder.zext)(value, kind)


def _load(builder: Any, pointer: Any, dtype: np.dtype[Any], lanes: int, width: int) -> Value:
    """So many elements of memory, as many or one, as a value of so many lanes."""
    kind = memory_type(dtype)
    value = builder.load(pointer, align=dtype.itemsize, typ=_of_width(kind, lanes))
    if lanes != width:
        value = spread(builder, value, _of_width(kind, width))
    return from_memory(builder, value, dtype)


def _of_width(kind: Any, width: int) -> Any:
    return llvm().ir.VectorType(kind, width) if width > 1 else kind


def _elements(
    builder: Any,
    places: Sequence[Place],
    strides: Sequence[Sequence[int]],
    counters: Sequence[Any],
) -> list[Any]:
    """Pointers to the elements of views at some counters. Those that lie alike share an offset:
    with one for each they were an eighth of a program's instructions."""
    offsets: dict[tuple[Any, ...], Any] = {}
    pointers = []
    for (view, dtype), steps in zip(places, strides, strict=True):
        key = view.offset, *steps
        if key not in offsets:
            terms = [(1, view.offset), *zip(counters, steps, strict=True)]
            offsets[key] = offset_of(builder, terms)
        pointers.append(moved_by(builder, dtype, view.base, offsets[key]))
    return pointers


def constant(lanes: Lanes, node: Expr) -> Value:
    """A number of a graph as a value."""
    value = uniform_value(node)
    assert value is not None
    return number(lanes, node.dtype, value)


def number(lanes: Lanes, dtype: np.dtype[Any], value: float) -> Value:
    """A number of a dtype as a value."""
    if dtype.kind != "f":
        ir = llvm().ir
        kind = ir.IntType(1 if dtype == BOOL else 64)
        return repeated(_of_width(kind, getattr(lanes.kind, "count", 1)), int(value))
    return lanes.const(float(value))
