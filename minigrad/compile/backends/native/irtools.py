"""Small words that emitters share: types, functions of pointers, loops, parts of vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.compile.backends.native.jit import call_intrinsic, llvm, triple


@functools.lru_cache(maxsize=1024, typed=True)
def int64(value: int) -> Any:
    """An i64 constant, which keeps its text: most of a program's numbers come again."""
    return llvm().ir.IntType(64)(value)


def float_type(dtype: str) -> Any:
    """The IR type of float32 or float64."""
    ir = llvm().ir
    return ir.FloatType() if dtype == "float32" else ir.DoubleType()


def memory_type(dtype: np.dtype[Any]) -> Any:
    """The IR type of an element in memory; a boolean is a byte."""
    if dtype.kind == "f":
        return float_type(dtype.name)
    return llvm().ir.IntType(8 * dtype.itemsize)


def pointer_function(module: Any, name: str, pointers: int) -> tuple[Any, Any]:
    """A new function of pointers that do not alias, and a builder at its start."""
    ir = llvm().ir
    signature = ir.FunctionType(ir.VoidType(), [ir.PointerType()] * pointers)
    function = ir.Function(module, signature, name)
    function.attributes.add("noinline")  # it would be compiled again wherever it is called
    for argument in function.args:
        argument.add_attribute("noalias")
    return function, ir.IRBuilder(function.append_basic_block())


def moved(
    builder: Any, dtype: npt.DTypeLike, pointer: Any, terms: Iterable[tuple[Any, int]]
) -> Any:
    """The pointer moved by a sum of index·stride elements; indices are values or numbers.

    What is known is not computed: a fifth of the instructions of programs were additions of 0,
    products with 1 and moves by nothing.
    """
    return moved_by(builder, dtype, pointer, offset_of(builder, terms))


def offset_of(builder: Any, terms: Iterable[tuple[Any, int]]) -> Any:
    """The sum of index·stride as `moved` takes it, or None where it is 0."""
    known, parts = 0, []
    for index, stride in terms:
        if (number := _number(index)) is not None:
            known += number * stride
        elif stride:
            parts.append(index if stride == 1 else builder.mul(index, int64(stride)))
    if known:
        parts.append(int64(known))
    if not parts:
        return None
    offset = parts[0]
    for part in parts[1:]:
        offset = builder.add(offset, part)
    return offset


def moved_by(builder: Any, dtype: npt.DTypeLike, pointer: Any, offset: Any) -> Any:
    """The pointer moved by what `offset_of` gives."""
    if offset is None:
        return pointer
    return builder.gep(pointer, [offset], source_etype=memory_type(np.dtype(dtype)))


def repeated(kind: Any, value: Any) -> Any:
    """The constant of a type, a number or a vector of one number.

    That of a vector is spelled once, not once a lane: a tenth of the time until a program is
    compiled was that text.
    """
    ir = llvm().ir
    if not isinstance(kind, ir.VectorType):
        return ir.Constant(kind, value)
    one = ir.Constant(kind.element, value)
    constant = ir.FormattedConstant(kind.element, f"splat ({one})")
    constant.type = kind
    return constant


def undefined(vector: Any) -> Any:
    """A vector to be filled."""
    constant = llvm().ir.FormattedConstant(vector.element, "undef")
    constant.type = vector
    return constant


def spread(builder: Any, scalar: Any, vector: Any) -> Any:
    """A vector that has a value in every lane."""
    first = builder.insert_element(undefined(vector), scalar, int64(0))
    lanes = llvm().ir.VectorType(llvm().ir.IntType(32), vector.count)
    return builder.shuffle_vector(first, undefined(vector), lanes(None))


def _number(index: Any) -> int | None:
    """An index that is known before the program runs."""
    if isinstance(index, llvm().ir.Constant):
        index = index.constant
    return index if isinstance(index, int) else None


@contextmanager
def counted(builder: Any, stop: int, step: int = 1) -> Iterator[Any]:
    """A loop of 0, step, ... below stop; no loop where there is one turn.

    Where there is none, what is emitted inside stands in a block that nothing leads to.
    """
    if 0 < stop <= step:
        yield int64(0)
        return
    before = builder.block
    body = builder.append_basic_block()
    after = builder.append_basic_block()
    if stop <= 0:
        builder.branch(after)
        builder.position_at_end(body)
        yield int64(0)
        builder.branch(after)
        builder.position_at_end(after)
        return
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(llvm().ir.IntType(64))
    index.add_incoming(int64(0), before)
    yield index
    following = builder.add(index, int64(step))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, int64(stop)), body, after)
    builder.position_at_end(after)


@contextmanager
def nest(builder: Any, dims: Sequence[int]) -> Iterator[list[Any]]:
    """Loops within loops; the counters, outermost first."""
    if not dims:
        yield []
        return
    with counted(builder, dims[0]) as k, nest(builder, dims[1:]) as rest:
        yield [k, *rest]


def load_lanes(builder: Any, pointer: Any, vector: Any, count: int) -> Any:
    """A vector's first `count` lanes, the others zero; memory beyond them is not touched."""
    align = _alignment(vector)
    if count == vector.count:
        return builder.load(pointer, align=align, typ=vector)
    operands = [pointer, llvm().ir.IntType(32)(align), _mask(vector, count), vector(None)]
    return call_intrinsic(builder, "llvm.masked.load", [vector, pointer.type], vector, operands)


def store_lanes(builder: Any, value: Any, pointer: Any, count: int) -> None:
    """Store a vector's first `count` lanes."""
    align = _alignment(value.type)
    if count == value.type.count:
        builder.store(value, pointer, align=align)
        return
    ir = llvm().ir
    operands = [value, pointer, ir.IntType(32)(align), _mask(value.type, count)]
    overloads = [value.type, pointer.type]
    call_intrinsic(builder, "llvm.masked.store", overloads, ir.VoidType(), operands)


def _alignment(vector: Any) -> int:
    """Arrays are aligned to their elements, no more."""
    return 4 if isinstance(vector.element, llvm().ir.FloatType) else 8


def _mask(vector: Any, count: int) -> Any:
    ir = llvm().ir
    boolean = ir.IntType(1)
    lanes = [boolean(int(lane < count)) for lane in range(vector.count)]
    return ir.VectorType(boolean, vector.count)(lanes)


@contextmanager
def subnormals_flushed(builder: Any) -> Iterator[None]:
    """Code in which results too small for a normal number are 0, and such operands count as 0.

    x86-64 only; elsewhere nothing changes. A gradient that dies away through a loop passes through
    subnormal numbers, on which CPUs are slow: at 1000 steps they took nine tenths of the time.
    """
    with _mode_of(builder, lambda flags: builder.or_(flags, flags.type(_FLUSH))):
        yield


@contextmanager
def subnormals_kept(builder: Any) -> Iterator[None]:
    """Code within such code in which they are what they are, as NumPy takes them."""
    with _mode_of(builder, lambda flags: builder.and_(flags, flags.type(~_FLUSH))):
        yield


_FLUSH = 0x8040  # the flags of x86-64 for results, and for operands


@contextmanager
def _mode_of(builder: Any, change: Callable[[Any], Any]) -> Iterator[None]:
    if not triple().startswith("x86_64"):
        yield
        return
    ir = llvm().ir
    word = ir.IntType(32)
    void = ir.VoidType()
    before, during = builder.alloca(word), builder.alloca(word)
    call_intrinsic(builder, "llvm.x86.sse.stmxcsr", [], void, [before])
    builder.store(change(builder.load(before, typ=word)), during)
    call_intrinsic(builder, "llvm.x86.sse.ldmxcsr", [], void, [during])
    yield
    call_intrinsic(builder, "llvm.x86.sse.ldmxcsr", [], void, [before])


def note_mode(builder: Any, place: Any) -> None:
    """Write to a word what the running thread does with subnormals and rounding; x86-64 only."""
    if triple().startswith("x86_64"):
        call_intrinsic(builder, "llvm.x86.sse.stmxcsr", [], llvm().ir.VoidType(), [place])


@contextmanager
def in_mode(builder: Any, place: Any) -> Iterator[None]:
    """Code that computes as the thread does which wrote to that word."""
    before = builder.alloca(llvm().ir.IntType(32))
    note_mode(builder, before)
    _take_mode(builder, place)
    yield
    _take_mode(builder, before)


def _take_mode(builder: Any, place: Any) -> None:
    if triple().startswith("x86_64"):
        call_intrinsic(builder, "llvm.x86.sse.ldmxcsr", [], llvm().ir.VoidType(), [place])
