"""A loop in machine code: the body's stages inside a loop over time, carries in two buffers each.

What a step computes is written where it is wanted: an output's slice of the stack, the next carry,
a part of a concatenation. Constants that stand to the right of a matmul are packed once, before
the loop.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.body import Body
from minigrad.compile.native.jit import compile_module, llvm, new_module
from minigrad.compile.native.matmul import Matmul, emit_matmul
from minigrad.compile.native.pack import emit_pack, packed_size
from minigrad.compile.native.pointwise import (
    ROWS,
    check,
    constant,
    float_type,
    for_each,
    index,
)
from minigrad.compile.native.rows import independent_rows, take_rows
from minigrad.compile.native.stages import Schedule, Stage, is_leaf, schedule, source
from minigrad.compile.native.views import UnsupportedError, View
from minigrad.graph import CONST, Expr
from minigrad.ops.core import BROADCAST, RESHAPE, SUM, uniform_value
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, PERMUTE
from minigrad.types import FLOAT32, FLOAT64, Array, TensorType

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
class _Code:
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


def check_body(body: Body) -> None:
    """Raise UnsupportedError for what no code can be generated for."""
    for t in {v.type for v in (*body.inputs, *body.outputs)}:
        if t.dtype not in (FLOAT32, FLOAT64):
            raise UnsupportedError(f"{t.dtype} in a loop")
    plan = schedule(body.outputs)
    for stage in plan.stages:
        if stage.pointwise and stage.dtype not in (FLOAT32, FLOAT64):
            raise UnsupportedError(f"a group of ops on {stage.dtype}")
        for node in stage.nodes:
            if stage.pointwise:
                check(node)
            elif node.op is MATMUL:
                if node.ndim != 2 or 0 in (*node.shape, node.args[0].shape[1]):
                    raise UnsupportedError("a stack of matrix products, or an empty one")
            elif node.op is not CONCAT and node.op is not SUM:
                raise UnsupportedError(f"op {node.op.name}")
    for node in plan.in_memory:
        if node.dtype not in (FLOAT32, FLOAT64):
            raise UnsupportedError(f"{node.dtype} kept in memory")


class NativeLoop:
    """A compiled loop: (*init, *xs, *constants, *ignored) -> (*last carries, *stacked ys).

    A length of None is one step whose outputs are not stacked: a block of ops. With several
    threads, a loop whose rows are independent is computed in as many shares of its batch.
    """

    def __init__(self, body: Body, length: int | None, reverse: bool, threads: int = 1) -> None:
        check_body(body)
        self.body = body
        self._results = [c.type for c in body.carries]
        stack = () if length is None else (length,)
        self._results += [y.type.with_shape((*stack, *y.shape)) for y in body.ys]
        rows = independent_rows(body) if threads > 1 else None
        self._shares = _cut(body.carries[0].shape[0], threads) if rows else [(0, 0)]
        steps = 1 if length is None else length
        self._codes = {
            count: _Compiled(take_rows(body, rows, count) if rows else body, body, steps, reverse)
            for _, count in self._shares
        }
        self._moves = [
            v.type.dtype.itemsize * (v.size // v.shape[0]) if rows and v in rows else 0
            for v in (*body.inputs, *body.outputs)
        ]

    @property
    def threads(self) -> int:
        """How many threads a call uses."""
        return len(self._shares)

    def __call__(self, *arrays: Any, out: Sequence[Array] | None = None) -> Sequence[Array]:
        """The results, in `out` where given. Safe to call from several threads at once."""
        given = [np.ascontiguousarray(a) for a in arrays[: len(self.body.inputs)]]
        results = [np.empty(t.shape, t.dtype) for t in self._results] if out is None else out
        places = [a.__array_interface__["data"][0] for a in (*given, *results)]
        waiting = [
            _pool().submit(self._codes[count], self._from(start, places))
            for start, count in self._shares[1:]
        ]
        start, count = self._shares[0]
        self._codes[count](self._from(start, places))
        for share in waiting:
            share.result()
        return results

    def _from(self, row: int, places: Sequence[int]) -> Sequence[int]:
        if not row:
            return places
        return [p + row * move for p, move in zip(places, self._moves, strict=True)]


def _cut(batch: int, threads: int) -> list[tuple[int, int]]:
    """(first row, count) of even shares."""
    bounds = [batch * k // min(threads, batch) for k in range(min(threads, batch) + 1)]
    return [(a, b - a) for a, b in itertools.pairwise(bounds)]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="minigrad")


class _Compiled:
    """The machine code of a loop, or of one share of its rows."""

    def __init__(self, body: Body, whole: Body, length: int, reverse: bool) -> None:
        self._memory = Memory()
        module = new_module()
        _emit_loop(module, body, whole, length, reverse, self._memory)
        self._run = compile_module(module).function("loop", 2)
        self._table = ctypes.c_void_p * (len(body.inputs) + len(body.outputs))
        self._scratch: list[Array] = []

    def __call__(self, places: Sequence[int]) -> None:
        try:
            scratch = self._scratch.pop()  # atomic: no two calls take the same one
        except IndexError:
            scratch = _aligned(self._memory.size)
        try:
            self._run(self._table(*places), scratch.ctypes.data)
        finally:
            self._scratch.append(scratch)


def _aligned(size: int) -> Array:
    """Uninitialised bytes that start at a cache line."""
    block = np.empty(size + ALIGN, np.uint8)
    start = -block.ctypes.data % ALIGN
    return block[start : start + size]


# --- the loop ----------------------------------------------------------------------------------


def _emit_loop(
    module: Any, body: Body, whole: Body, length: int, reverse: bool, memory: Memory
) -> None:
    ir = llvm().ir
    pointer = ir.PointerType()
    signature = ir.FunctionType(ir.VoidType(), [pointer, pointer])
    function = ir.Function(module, signature, "loop")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    table, scratch = function.args
    code = _Code(module, builder, schedule(body.outputs), memory, scratch)
    given = [_entry(builder, table, k) for k in range(len(body.inputs) + len(body.outputs))]
    init, xs, constants = body.split(given[: len(body.inputs)])
    results = given[len(body.inputs) :]
    for v, p in zip(body.constants, constants, strict=True):
        code.home[v] = View.whole(p, v.shape)
    _pack_constants(code, body)
    ping = [code.room(c.type) for c in body.carries]
    pong = [code.room(c.type) for c in body.carries]
    for c, start, p in zip(body.carries, init, ping, strict=True):
        _copy(code, c.type, View.whole(start, c.shape), [View.whole(p, c.shape)])
    # Scratch pointers do not change from step to step: they are made once, out here.
    places = {n: code.room(n.type) for n in _need_room(code.plan, body)}
    before = builder.block
    if length:
        loop, after = builder.append_basic_block("step"), function.append_basic_block("last")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(ir.IntType(64))
        k.add_incoming(index(0), before)
        now = [builder.phi(pointer) for _ in ping]
        following = [builder.phi(pointer) for _ in pong]
        for phi, first in zip([*now, *following], [*ping, *pong], strict=True):
            phi.add_incoming(first, before)
        t = builder.sub(index(length - 1), k) if reverse else k
        _emit_step(code, body, whole, t, xs, now, following, results, places)
        end = builder.block
        more = builder.add(k, index(1))
        k.add_incoming(more, end)
        for phi, other in zip([*now, *following], [*following, *now], strict=True):
            phi.add_incoming(other, end)
        builder.cbranch(builder.icmp_unsigned("<", more, index(length)), loop, after)
        builder.position_at_end(after)
        ping = following
    for c, last, out in zip(body.carries, ping, results, strict=False):
        _copy(code, c.type, View.whole(last, c.shape), [View.whole(out, c.shape)])
    builder.ret_void()


def _entry(builder: Any, table: Any, k: int) -> Any:
    pointer = llvm().ir.PointerType()
    return builder.load(builder.gep(table, [index(k)], source_etype=pointer), typ=pointer)


def _slice(code: _Code, base: Any, part: Expr, whole: Expr, t: Any) -> View:
    """Step t of a stacked array, from its first row in this share on."""
    offset = code.builder.mul(t, index(whole.size))
    base = code.builder.gep(base, [offset], source_etype=float_type(part.dtype))
    return View.whole(base, part.shape)


def _need_room(plan: Schedule, body: Body) -> list[Expr]:
    """What lies in memory and is not written to a place of its own."""
    outputs = {*body.outputs}
    parts = {a for n in _concats(plan) for a in n.args}
    return [n for s in plan.stages for n in s.nodes
            if n in plan.in_memory and n not in outputs and n not in parts] + [
        n for n in _concats(plan) if n not in plan.in_memory
    ]  # fmt: skip


def _concats(plan: Schedule) -> list[Expr]:
    return [n for s in plan.stages for n in s.nodes if n.op is CONCAT]


def _emit_step(
    code: _Code,
    body: Body,
    whole: Body,
    t: Any,
    xs: Sequence[Any],
    now: Sequence[Any],
    following: Sequence[Any],
    results: Sequence[Any],
    places: dict[Expr, Any],
) -> None:
    for v, p in zip(body.carries, now, strict=True):
        code.home[v] = View.whole(p, v.shape)
    for v, full, p in zip(body.xs, whole.xs, xs, strict=True):
        code.home[v] = _slice(code, p, v, full, t)
    targets = [View.whole(p, c.shape) for p, c in zip(following, body.carries, strict=True)]
    stacks = zip(body.ys, whole.ys, results[body.n_carry :], strict=True)
    targets += [_slice(code, p, y, full, t) for y, full, p in stacks]
    late = _give_homes(code, body, targets, places)
    for stage in code.plan.stages:
        _emit_stage(code, stage)
    for node, target in late:
        if uniform_value(node) is not None:
            _fill(code, node, target)
        else:
            _copy(code, node.type, code.view(node), [target])


def _give_homes(
    code: _Code, body: Body, targets: Sequence[View], places: dict[Expr, Any]
) -> list[tuple[Expr, View]]:
    """Decide where each computed value is written; outputs that are no computed value come late."""
    late: list[tuple[Expr, View]] = []
    computed = {n for s in code.plan.stages for n in s.nodes}
    for node, target in zip(body.outputs, targets, strict=True):
        if node in computed:
            _add_home(code, node, target)
        else:
            late.append((node, target))
    for node in reversed(_concats(code.plan)):  # users first: their place decides
        if node not in code.home:
            code.home[node] = View.whole(places[node], node.shape)
        (axis,) = node.attrs
        start = 0
        for part in node.args:
            whole = code.home[node]
            spec = [("s", 0, n, 1) for n in part.shape]
            spec[axis] = ("s", start, part.shape[axis], 1)
            if part in computed:
                _add_home(code, part, whole.indexed(tuple(spec)))
            start += part.shape[axis]
    for node, place in places.items():
        if node not in code.home:
            code.home[node] = View.whole(place, node.shape)
    return late


def _add_home(code: _Code, node: Expr, view: View) -> None:
    if node in code.home:
        code.copies.setdefault(node, []).append(view)
    else:
        code.home[node] = view


# --- stages ------------------------------------------------------------------------------------


def _emit_stage(code: _Code, stage: Stage) -> None:
    (node,) = stage.nodes if not stage.pointwise else (stage.nodes[0],)
    if stage.pointwise:
        _emit_group(code, stage)
    elif node.op is MATMUL:
        _emit_product(code, node)
    elif node.op is SUM:
        _emit_sum(code, node)
    else:
        _emit_concat(code, node)


def _emit_group(code: _Code, stage: Stage) -> None:
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


def _copy(code: _Code, type_: TensorType, view: View, targets: Sequence[View]) -> None:
    same: Callable[..., list[Any]] = lambda lanes, values: values * len(targets)  # noqa: E731
    for_each(code.builder, type_.shape, type_.dtype, [view], same, targets)


def _fill(code: _Code, node: Expr, target: View) -> None:
    number: Callable[..., list[Any]] = lambda lanes, values: [constant(lanes, node)]  # noqa: E731
    for_each(code.builder, node.shape, node.dtype, [], number, [target])


def _emit_concat(code: _Code, node: Expr) -> None:
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
            _fill(code, part, target)
        elif target not in written:
            _copy(code, part.type, code.view(part), [target])
        start += part.shape[axis]
    for target in code.copies.get(node, ()):
        _copy(code, node.type, whole, [target])


def _emit_product(code: _Code, node: Expr) -> None:
    left, right = node.args
    a, out = _rows(code, left), code.home[node]
    product = _product(node, a, None if node in code.packed else _rows(code, right), out)
    name = f"matmul{next(code.names)}"
    function = emit_matmul(code.module, name, product)
    b = code.packed[node] if node in code.packed else _pointer(code, code.view(right), node)
    operands = [_pointer(code, out, node), _pointer(code, a, node), b]
    code.builder.call(function, operands)
    for target in code.copies.get(node, ()):
        _copy(code, node.type, out, [target])


def _emit_sum(code: _Code, node: Expr) -> None:
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
        _copy(code, node.type, out, [target])


def _rows(code: _Code, node: Expr) -> View:
    if (is_leaf(node) and node.op is CONST) or uniform_value(node) is not None:
        raise UnsupportedError("a constant array in a matrix product")
    return code.view(node)


def _pointer(code: _Code, view: View, like: Expr) -> Any:
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


def _pack_constants(code: _Code, body: Body) -> None:
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
