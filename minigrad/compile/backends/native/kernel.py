"""The innermost part of a matrix product: one block of C whose sums stay in registers."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any

from minigrad.compile.backends.native.irtools import (
    float_type,
    int64,
    load_lanes,
    spread,
    store_lanes,
)
from minigrad.compile.backends.native.jit import call_intrinsic, llvm, new_module

# float32 rows of a panel of B taken at a time: 512 rows of 64 columns are 128 KiB, an eighth to a
# half of a core's own cache
DEEP = 512
# sums in flight that keep two FMA units busy at a latency of four cycles
IN_FLIGHT = 8
# kernels whose text is kept, some 8 KiB each
WRITTEN = 128


@dataclass(frozen=True)
class Kernel:
    """Everything that is known when a block's kernel is compiled. Strides are in elements.

    The block is `rows` by `width` columns of C. depth is K where known; where it is None, the
    function takes depth and whether to add to C as further arguments.
    """

    dtype: str
    rows: int
    vectors: int
    lanes: int
    width: int
    a_row: int
    a_depth: int
    b_depth: int
    b_padded: bool
    c_row: int
    depth: int | None
    accumulate: bool | None

    @property
    def name(self) -> str:
        """The same for the same kernel, so that products in one module share it."""
        return "kernel_" + "_".join(str(getattr(self, f.name)) for f in fields(self))

    @property
    def chains(self) -> int:
        """Partial sums for each entry of C: a block of few entries waits for its FMAs else."""
        if self.depth is None:
            return 1
        return max(1, min(IN_FLIGHT // (self.rows * self.vectors), self.depth))


def emit_kernel(module: Any, kernel: Kernel) -> Any:
    """`void (C*, A*, B*)`, or with `(…, i64 depth, i1 add)` where depth is None; made only once."""
    known = module.globals.get(kernel.name)
    if known is not None:
        return known
    text, signature, called = _written(kernel)
    for name, kind in called:
        if name not in module.globals:
            llvm().ir.Function(module, kind, name)
    function = llvm().ir.Function(module, signature, kernel.name)
    function.descr = lambda lines: lines.append(text)  # in the place of a declaration
    return function


@functools.lru_cache(maxsize=WRITTEN)
def _written(kernel: Kernel) -> tuple[str, Any, list[tuple[str, Any]]]:
    """The text of a kernel's function, its type, and the names and types of what it calls.

    Programs of other lengths have the same kernels: a seventh of the time before the first result
    was writing them again.
    """
    module = new_module()
    function = _Emitter(module, kernel).function
    called = [(f.name, f.function_type) for f in module.functions if f is not function]
    return str(function), function.function_type, called


Grid = list[list[list[Any]]]  # values by chain, row and vector


class _Emitter:
    def __init__(self, module: Any, kernel: Kernel) -> None:
        ir = llvm().ir
        self.kernel = kernel
        self.element = float_type(kernel.dtype)
        self.vector = ir.VectorType(self.element, kernel.lanes)
        extra = [ir.IntType(64), ir.IntType(1)] if kernel.depth is None else []
        signature = ir.FunctionType(ir.VoidType(), [ir.PointerType()] * 3 + extra)
        self.function = ir.Function(module, signature, kernel.name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        for argument in self.function.args[:3]:
            argument.add_attribute("noalias")
        self.builder = ir.IRBuilder(self.function.append_basic_block())
        sums = self._sums()
        if kernel.accumulate is None:
            with self.builder.if_else(self.function.args[4]) as (then, otherwise):
                with then:
                    self._write(sums, add=True)
                with otherwise:
                    self._write(sums, add=False)
        else:
            self._write(sums, add=kernel.accumulate)
        self.builder.ret_void()

    def _sums(self) -> list[list[Any]]:
        """The block's sums over K by row and vector."""
        kernel, chains = self.kernel, self.kernel.chains
        zero = self.vector(None)
        sums = [[[zero] * kernel.vectors for _ in range(kernel.rows)] for _ in range(chains)]
        if kernel.depth is None:
            sums, rest = self._loop(sums, self.function.args[3]), 0
        else:
            rest = kernel.depth % chains
            sums = self._loop(sums, int64(kernel.depth - rest))
            for chain in range(rest):
                sums[chain] = self._step(sums[chain], int64(kernel.depth - rest + chain))
        while len(sums) > 1:  # add up pairwise
            half = len(sums) // 2
            added = [self._add(sums[i], sums[half + i]) for i in range(half)]
            sums = added + sums[2 * half :]
        return sums[0]

    def _add(self, left: list[list[Any]], right: list[list[Any]]) -> list[list[Any]]:
        return [
            [self.builder.fadd(x, y) for x, y in zip(p, q, strict=True)]
            for p, q in zip(left, right, strict=True)
        ]

    def _loop(self, start: Grid, stop: Any) -> Grid:
        """The loop over K, a step of each chain in turn."""
        builder, ir = self.builder, llvm().ir
        before = builder.block
        body, after = builder.append_basic_block(), builder.append_basic_block()
        builder.branch(body)
        builder.position_at_end(body)
        k = builder.phi(ir.IntType(64))
        k.add_incoming(int64(0), before)
        sums = [[[builder.phi(self.vector) for _ in row] for row in chain] for chain in start]
        ends = [
            self._step(chain, builder.add(k, int64(i)) if i else k) for i, chain in enumerate(sums)
        ]
        following = builder.add(k, int64(len(start)))
        k.add_incoming(following, body)
        for chain, begin, end in zip(sums, start, ends, strict=True):
            for row, first, last in zip(chain, begin, end, strict=True):
                for phi, x, y in zip(row, first, last, strict=True):
                    phi.add_incoming(x, before)
                    phi.add_incoming(y, body)
        builder.cbranch(builder.icmp_signed("<", following, stop), body, after)
        builder.position_at_end(after)
        return ends

    def _step(self, sums: list[list[Any]], k: Any) -> list[list[Any]]:
        """Column k of A times row k of B, added to the sums."""
        kernel, builder = self.kernel, self.builder
        _, a, b = self.function.args[:3]
        row = self._move(b, builder.mul(k, int64(kernel.b_depth)))
        vectors = [self._load(row, j, masked=not kernel.b_padded) for j in range(kernel.vectors)]
        column = self._move(a, builder.mul(k, int64(kernel.a_depth)))
        result = []
        for i, entries in enumerate(sums):
            scalar = builder.load(self._move(column, int64(i * kernel.a_row)), typ=self.element)
            everywhere = spread(self.builder, scalar, self.vector)
            result.append(
                [
                    self._multiply_add(everywhere, vector, entry)
                    for entry, vector in zip(entries, vectors, strict=True)
                ]
            )
        return result

    def _multiply_add(self, *operands: Any) -> Any:
        """a·b + c; fused, at every effort, where the CPU does that in one instruction."""
        return call_intrinsic(
            self.builder, "llvm.fmuladd", [self.vector], self.vector, list(operands)
        )

    def _write(self, sums: list[list[Any]], add: bool) -> None:
        c = self.function.args[0]
        for i, entries in enumerate(sums):
            row = self._move(c, int64(i * self.kernel.c_row))
            for j, entry in enumerate(entries):
                value = self.builder.fadd(entry, self._load(row, j, masked=True)) if add else entry
                self._store(value, row, j)

    # memory

    def _move(self, pointer: Any, elements: Any) -> Any:
        return self.builder.gep(pointer, [elements], source_etype=self.element)

    def _inside(self, position: int) -> int:
        """How many lanes of the panel's vector at this position are columns."""
        return min(self.kernel.lanes, self.kernel.width - position * self.kernel.lanes)

    def _load(self, row: Any, position: int, masked: bool) -> Any:
        pointer = self._move(row, int64(position * self.kernel.lanes))
        count = self._inside(position) if masked else self.kernel.lanes
        return load_lanes(self.builder, pointer, self.vector, count)

    def _store(self, value: Any, row: Any, position: int) -> None:
        pointer = self._move(row, int64(position * self.kernel.lanes))
        store_lanes(self.builder, value, pointer, self._inside(position))
