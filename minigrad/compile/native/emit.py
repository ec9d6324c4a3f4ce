"""The code of single stages: groups of pointwise ops, products, sums, concatenations, copies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minigrad.body import Body
from minigrad.compile.native.irtools import int64 as index
from minigrad.compile.native.jit import llvm
from minigrad.compile.native.matmul import Matmul, emit_matmul
from minigrad.compile.native.pack import emit_pack, packed_size
from minigrad.compile.native.pointwise import (
    ROWS,
    constant,
    float_type,
    for_each,
)
from minigrad.compile.native.stages import Schedule, Stage, is_leaf, source
from minigrad.compile.native.views import UnsupportedError, View
from minigrad.graph import CONST, Expr
from minigrad.ops.core import BROADCAST, RESHAPE, SUM, uniform_value
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import PERMUTE
from minigrad.types import TensorType

ALIGN = 64  # bytes: a cache line, and the widest vector


@dataclass
class Memory:
    """One block of scratch memory, handed out in pieces while code is generated."""

    size: int = 0

    def take(self, type_: TensorType, elements: int | None = None) -> int:
        """The byte offset of room for a tensor."""
        start = self.size
        count = type_.size if elements is None else elements
        self.size += -(-count * type_.dtype.itemsize // ALIGN) * ALIGN
        return start


@dataclass
class Code:
    """What the emitting functions share."""

    module: Any
    builder: Any
    plan: Schedule
    memory: Memory
    scratch: Any
    home: dict[Expr, View] = field(default_factory=dict)
    """Where a node's value is read."""
    copies: dict[Expr, list[View]] = field(default_factory=dict)
    """Where else it is to be written."""
    packed: dict[Expr, Any] = field(default_factory=dict)
    names: itertools.count[int] = field(default_factory=itertools.count)

    def room(self, type_: TensorType, elements: int | None = None) -> Any:
        """A pointer to scratch memory."""
        offset = index(self.memory.take(type_, elements))
        return self.builder.gep(self.scratch, [offset], source_etype=llvm().ir.IntType(8))

    def view(self, node: Expr) -> View:
        """Where a node lies in memory, through reshapes, slices and the like."""
        found = self.home.get(node)
        if found is None:
            found = self.home[node] = self._view_of(node)
        return found

    def _view_of(self, node: Expr) -> View:
        inner = self.view(node.args[0])
        if node.op is RESHAPE:
            reshaped = inner.reshaped(node.shape)
            if reshaped is None:
                raise UnsupportedError("a reshape that moves elements")
            return reshaped
        if node.op is BROADCAST:
            return inner.broadcast(node.shape)
        if node.op is PERMUTE:
            return inner.permuted(node.attrs[0])
        if node.op is GETITEM and len(node.args) == 1:
            return inner.indexed(node.attrs[0])
        raise UnsupportedError(f"op {node.op.name}")


# --- stages ------------------------------------------------------------------------------------


def emit_stage(code: Code, stage: Stage) -> None:
    (node,) = stage.nodes if not stage.pointwise else (stage.nodes[0],)
    if stage.pointwise:
        _emit_group(code, stage)
    elif node.op is MATMUL:
        _emit_product(code, node)
    elif node.op is SUM:
        _emit_sum(code, node)
    else:
        _emit_concat(code, node)


def _emit_group(code: Code, stage: Stage) -> None:
    own = {n: k for k, n in enumerate(stage.nodes)}
    reads: dict[Expr, int] = {}
    for n in stage.nodes:
        for a in n.args:
            if a not in own and uniform_value(a) is None:
                reads.setdefault(a, len(reads))
    writes = [(n, v) for n in stage.nodes if n in code.plan.in_memory
              for v in (code.home[n], *code.copies.get(n, ()))]  # fmt: skip

    def compute(lanes: Any, values: list[Any]) -> list[Any]:
        known: dict[Expr, Any] = {}
        for n in stage.nodes:
            operands = [
                known[a] if a in own else values[reads[a]] if a in reads else constant(lanes, a)
                for a in n.args
            ]
            known[n] = ROWS[n.op.name](lanes, operands)
        return [known[n] for n, _ in writes]

    shape = stage.nodes[0].shape
    views = [code.view(a).broadcast(shape) for a in reads]
    for_each(code.builder, shape, stage.dtype, views, compute, [v for _, v in writes])


def copy(code: Code, type_: TensorType, view: View, targets: Sequence[View]) -> None:
    same: Callable[..., list[Any]] = lambda lanes, values: values * len(targets)  # noqa: E731
    for_each(code.builder, type_.shape, type_.dtype, [view], same, targets)


def fill(code: Code, node: Expr, target: View) -> None:
    number: Callable[..., list[Any]] = lambda lanes, values: [constant(lanes, node)]  # noqa: E731
    for_each(code.builder, node.shape, node.dtype, [], number, [target])


def _emit_concat(code: Code, node: Expr) -> None:
    """Copy the parts that were not computed in place already."""
    whole = code.home[node]
    (axis,) = node.attrs
    start = 0
    for part in node.args:
        spec = [("s", 0, n, 1) for n in part.shape]
        spec[axis] = ("s", start, part.shape[axis], 1)
        target = whole.indexed(tuple(spec))
        written = [code.home.get(part), *code.copies.get(part, ())]
        if uniform_value(part) is not None:
            fill(code, part, target)
        elif target not in written:
            copy(code, part.type, code.view(part), [target])
        start += part.shape[axis]
    for target in code.copies.get(node, ()):
        copy(code, node.type, whole, [target])


def _emit_product(code: Code, node: Expr) -> None:
    left, right = node.args
    a, out = _rows(code, left), code.home[node]
    product = _product(node, a, None if node in code.packed else _rows(code, right), out)
    name = f"matmul{next(code.names)}"
    function = emit_matmul(code.module, name, product)
    b = code.packed[node] if node in code.packed else _pointer(code, code.view(right), node)
    operands = [_pointer(code, out, node), _pointer(code, a, node), b]
    code.builder.call(function, operands)
    for target in code.copies.get(node, ()):
        copy(code, node.type, out, [target])


def _emit_sum(code: Code, node: Expr) -> None:
    """Add the operand's elements, in order, onto zeros."""
    (term,), (axes,), out = node.args, node.attrs, code.home[node]
    for_each(
        code.builder, node.shape, node.dtype, [], lambda lanes, values: [lanes.const(0.0)], [out]
    )
    waiting = iter(out.strides)
    strides = tuple(0 if k in axes else next(waiting) for k in range(term.ndim))
    total = View(out.base, term.shape, strides, out.offset)
    for_each(
        code.builder,
        term.shape,
        node.dtype,
        [code.view(term), total],
        lambda lanes, values: [lanes.add(*values)],
        [total],
    )
    for target in code.copies.get(node, ()):
        copy(code, node.type, out, [target])


def _rows(code: Code, node: Expr) -> View:
    if (is_leaf(node) and node.op is CONST) or uniform_value(node) is not None:
        raise UnsupportedError("a constant array in a matrix product")
    return code.view(node)


def _pointer(code: Code, view: View, like: Expr) -> Any:
    return code.builder.gep(view.base, [index(view.offset)], source_etype=float_type(like.dtype))


def _product(node: Expr, a: View, b: View | None, out: View) -> Matmul:
    m, n = node.shape
    k = a.shape[1]
    lda, turned_a = _leading(a)
    ldc, turned_c = _leading(out)
    if turned_c:
        raise UnsupportedError("a matrix product written by columns")
    if b is None:
        return Matmul(m, k, n, node.dtype.name, lda=lda, ldc=ldc, transpose_a=turned_a, packed=True)
    ldb, turned_b = _leading(b)
    if turned_b:
        raise UnsupportedError("a transposed right side that changes from step to step")
    return Matmul(m, k, n, node.dtype.name, lda=lda, ldb=ldb, ldc=ldc, transpose_a=turned_a)


def _leading(view: View) -> tuple[int, bool]:
    """The row stride of a matrix, and whether it lies transposed."""
    (rows, columns), (by_row, by_column) = view.shape, view.strides
    if by_column == 1 or (columns == 1 and by_row >= 1):
        return (by_row if rows > 1 else max(columns, 1)), False
    if by_row == 1 or rows == 1:
        return (by_column if columns > 1 else max(rows, 1)), True
    raise UnsupportedError("a matrix whose rows and columns are both scattered")


def pack_constants(code: Code, body: Body) -> None:
    """Lay out the right sides that no step changes, once."""
    constants = {*body.constants}
    for stage in code.plan.stages:
        node = stage.nodes[0]
        if node.op is not MATMUL or source(node.args[1]) not in constants:
            continue
        right = code.view(node.args[1])
        ldb, turned = _leading(right)
        m, n = node.shape
        product = Matmul(
            m, right.shape[0], n, node.dtype.name, ldb=ldb, transpose_b=turned, packed=True
        )
        packed = code.room(node.type, packed_size(product))
        pack = emit_pack(code.module, f"pack{next(code.names)}", product)
        code.builder.call(pack, [packed, _pointer(code, right, node)])
        code.packed[node] = packed
