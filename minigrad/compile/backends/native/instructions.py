"""Instructions of the interpreter of elements: each a machine function, made once in a process.

An instruction applies one op to many elements that lie anywhere, and then jumps to the next one,
so that a stream of them is one call. In the stream, 32-bit numbers, it stands as

    which instruction, how many elements, where the first result goes, where the operands lie

all first operands before all second ones; of an element alone it does not say how many. Places
count elements of their dtype from the start of memory; results lie side by side. `load` and `store`
go between memory and a call's arrays, by the number of an array and the place of an element in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.compile.backends.native.irtools import int64, memory_type, undefined
from minigrad.compile.backends.native.jit import (
    NativeFunction,
    compile_module,
    host,
    llvm,
    new_module,
)
from minigrad.compile.backends.native.lanes import Lanes
from minigrad.compile.backends.native.pointwise import ELEMENTARY, ROWS, applied
from minigrad.graph.node import Op
from minigrad.types import BOOL, FLOAT32, FLOAT64

DType: TypeAlias = "np.dtype[Any]"


class Instruction(NamedTuple):
    """What is done, and to elements of which dtypes."""

    op: Op | str
    """An op that has a row, "load", "store", "begin" or "end"."""
    reads: tuple[DType, ...] = ()
    writes: DType = FLOAT32
    alone: bool = False
    """Whether of one element: in chains, where there is nothing to do at once, that takes half."""
    handed: int | None = None
    """Which operand is what the instruction before it, of one float64, has just computed.

    A CPU has it in a register then. From memory it comes 5 cycles later: longer than a sum takes.
    """

    @property
    def head(self) -> int:
        """How many numbers of the stream stand before its operands."""
        return 2 if self.alone else 3

    @property
    def operands(self) -> int:
        """How many numbers the stream has for each element."""
        return {"load": 2, "store": 3}.get(str(self.op), len(self.reads))


BEGIN, END = Instruction("begin"), Instruction("end")
_made: dict[Instruction, NativeFunction] = {}


def functions(instructions: Sequence[Instruction]) -> list[NativeFunction]:
    """The machine code of each. That of BEGIN is called, with the stream's address, memory's, and
    those of two tables: of all instructions' addresses, and of the arrays'.

    What was never asked for before is compiled now.
    """
    new = [i for i in dict.fromkeys(instructions) if i not in _made]
    if new:
        module = new_module("instructions")
        for k, instruction in enumerate(new):
            _emit(module, f"instruction{k}", instruction)
        code = compile_module(module)
        for k, i in enumerate(new):  # what another thread has made meanwhile stays: it is in use
            _made.setdefault(i, code.function(f"instruction{k}", 4))
    return [_made[i] for i in instructions]


# --- code --------------------------------------------------------------------------------------


def _emit(module: Any, name: str, instruction: Instruction) -> None:
    ir = llvm().ir
    pointer, double = ir.PointerType(), ir.DoubleType()
    signature = ir.FunctionType(ir.VoidType(), [pointer] * 4 + [double])
    of_begin = ir.FunctionType(ir.VoidType(), [pointer] * 4)
    function = ir.Function(module, of_begin if instruction == BEGIN else signature, name)
    builder = ir.IRBuilder(function.append_basic_block())
    stream, memory, table, arrays = function.args[:4]
    handed = ir.Constant(double, ir.Undefined)
    if instruction not in (BEGIN, END):
        emitter = _Emitter(builder, function.args, instruction)
        handed, stream = emitter.computed() or handed, emitter.following()
    if instruction != END:
        address = builder.gep(table, [_number(builder, stream)], source_etype=pointer)
        following = builder.load(address, typ=signature.as_pointer())
        tail = "" if instruction == BEGIN else "musttail"
        builder.call(following, [stream, memory, table, arrays, handed], tail=tail)
    builder.ret_void()


class _Emitter:
    """The code of one instruction, from its place in the stream to the next one's."""

    def __init__(self, builder: Any, arguments: Sequence[Any], instruction: Instruction) -> None:
        self.builder, self.instruction = builder, instruction
        self.stream, self.memory, _, self.arrays, self.handed = arguments
        self.count = int64(1) if instruction.alone else _number(builder, self.stream, int64(1))
        self.first = _number(builder, self.stream, int64(instruction.head - 1))
        floats = (t for t in (instruction.writes, *instruction.reads) if t.kind == "f")
        self.dtype = next(floats, FLOAT32)  # in which it computes

    def computed(self) -> Any:
        """Compute all elements; gives what the next instruction may be handed, or None.

        They go in whole vectors where that pays for bringing them together.
        """
        done, op = int64(0), self.instruction.op
        if self.instruction.alone:
            value = self._element(done)
            return value if self.instruction.writes == FLOAT64 else None
        if isinstance(op, Op) and op in ELEMENTARY:
            lanes = host().lanes(self.dtype)
            with self._counted(done, lanes) as k:
                self._vector(op, k, lanes)
            done = k
        with self._counted(done, 1) as k:
            self._element(k)
        return None

    def following(self) -> Any:
        """Where the stream goes on."""
        return self._at(self.instruction.operands, int64(0))

    @contextmanager
    def _counted(self, start: Any, step: int) -> Iterator[Any]:
        """A loop from a number, while so many elements are left; its counter ends at the rest."""
        b = self.builder
        before, test, body, after = b.block, *(b.append_basic_block() for _ in range(3))
        b.branch(test)
        b.position_at_end(test)
        k = b.phi(start.type)
        k.add_incoming(start, before)
        following = b.add(k, int64(step))
        b.cbranch(b.icmp_signed("<=", following, self.count), body, after)
        b.position_at_end(body)
        yield k
        k.add_incoming(following, b.block)
        b.branch(test)
        b.position_at_end(after)

    def _element(self, k: Any) -> Any:
        b, instruction = self.builder, self.instruction
        target = self._in_memory(b.add(self.first, k), instruction.writes)
        if isinstance(instruction.op, Op):
            values = [
                self.handed if j == instruction.handed
                else _read(b, self._in_memory(self._operand(j, k), dtype), dtype)
                for j, dtype in enumerate(instruction.reads)
            ]  # fmt: skip
            lanes = Lanes(b, memory_type(self.dtype))
            result = applied(lanes, instruction.op, instruction.writes, values)
            _write(b, result, target, instruction.writes)
            return result
        kind, align = memory_type(instruction.writes), instruction.writes.itemsize
        array = b.gep(self.arrays, [self._operand(0, k)], source_etype=target.type)
        array = b.load(array, typ=target.type)
        source = b.gep(array, [self._operand(1, k)], source_etype=kind)
        if instruction.op == "store":
            place = self._operand(2, k)
            source, target = self._in_memory(place, instruction.writes), source
        value = b.load(source, align=align, typ=kind)
        b.store(value, target, align=align)
        return value

    def _vector(self, op: Op, k: Any, lanes: int) -> None:
        """So many elements of an op of floats, brought together and computed."""
        ir, b, dtype = llvm().ir, self.builder, self.dtype
        vector = ir.VectorType(memory_type(dtype), lanes)
        operands = [undefined(vector)] * len(self.instruction.reads)
        for i in range(lanes):
            for j, values in enumerate(operands):
                pointer = self._in_memory(self._operand(j, b.add(k, int64(i))), dtype)
                operands[j] = b.insert_element(values, _read(b, pointer, dtype), int64(i))
        result = ROWS[op](Lanes(b, vector), operands)
        target = self._in_memory(b.add(self.first, k), dtype)
        b.store(result, target, align=dtype.itemsize)

    def _operand(self, j: int, k: Any) -> Any:
        """A number that the stream has for an element."""
        return _number(self.builder, self._at(j, k))

    def _at(self, j: int, k: Any) -> Any:
        b = self.builder
        place = b.add(b.add(b.mul(self.count, int64(j)), int64(self.instruction.head)), k)
        return b.gep(self.stream, [place], source_etype=llvm().ir.IntType(32))

    def _in_memory(self, place: Any, dtype: DType) -> Any:
        return self.builder.gep(self.memory, [place], source_etype=memory_type(dtype))


def _number(builder: Any, stream: Any, place: Any = None) -> Any:
    ir = llvm().ir
    if place is not None:
        stream = builder.gep(stream, [place], source_etype=ir.IntType(32))
    return builder.zext(builder.load(stream, align=4, typ=ir.IntType(32)), ir.IntType(64))


def _read(builder: Any, pointer: Any, dtype: DType) -> Any:
    kind = memory_type(dtype)
    value = builder.load(pointer, align=dtype.itemsize, typ=kind)
    return builder.icmp_unsigned("!=", value, kind(0)) if dtype == BOOL else value


def _write(builder: Any, value: Any, pointer: Any, dtype: DType) -> None:
    if dtype == BOOL:
        value = builder.zext(value, memory_type(dtype))
    builder.store(value, pointer, align=dtype.itemsize)
