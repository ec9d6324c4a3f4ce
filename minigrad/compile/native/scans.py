"""A loop in machine code: the body's stages inside a loop over time, carries in two buffers each.

What a step computes is written where it is wanted: an output's slice of the stack, the next carry,
a part of a concatenation. Constants that stand to the right of a matmul are packed once, before
the loop.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minigrad.body import Body
from minigrad.compile.native.emit import ALIGN, Code, Memory, copy, emit_stage, fill, pack_constants
from minigrad.compile.native.irtools import int64 as index
from minigrad.compile.native.irtools import subnormals_flushed
from minigrad.compile.native.jit import compile_module, llvm, new_module
from minigrad.compile.native.pointwise import (
    check,
    float_type,
)
from minigrad.compile.native.rows import independent_rows, take_rows
from minigrad.compile.native.stages import Schedule, schedule
from minigrad.compile.native.views import UnsupportedError, View
from minigrad.graph import CONST, Expr
from minigrad.ops.core import SUM, uniform_value
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT
from minigrad.types import FLOAT32, FLOAT64, Array
from minigrad.walk import toposort


def check_body(body: Body) -> None:
    """Raise UnsupportedError for what no code can be generated for."""
    for t in {v.type for v in (*body.inputs, *body.outputs)}:
        if t.dtype not in (FLOAT32, FLOAT64):
            raise UnsupportedError(f"{t.dtype} in a loop")
    if any(n.op is CONST and uniform_value(n) is None for n in toposort(body.outputs)):
        raise UnsupportedError("an array of constants within a body")
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
        self._codes = {
            count: _Compiled(take_rows(body, rows, count) if rows else body, body, length, reverse)
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

    def __init__(self, body: Body, whole: Body, length: int | None, reverse: bool) -> None:
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
    module: Any, body: Body, whole: Body, length: int | None, reverse: bool, memory: Memory
) -> None:
    """The function `loop` of a module; a block (no length) is one step, exact to the last bit."""
    ir = llvm().ir
    pointer = ir.PointerType()
    signature = ir.FunctionType(ir.VoidType(), [pointer, pointer])
    function = ir.Function(module, signature, "loop")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    table, scratch = function.args
    code = Code(module, builder, schedule(body.outputs), memory, scratch)
    if length is None:
        _emit_steps(code, table, body, whole, 1, reverse)
    else:
        with subnormals_flushed(builder):
            _emit_steps(code, table, body, whole, length, reverse)
    builder.ret_void()


def _emit_steps(
    code: Code, table: Any, body: Body, whole: Body, length: int, reverse: bool
) -> None:
    ir = llvm().ir
    builder, pointer = code.builder, ir.PointerType()
    given = [_entry(builder, table, k) for k in range(len(body.inputs) + len(body.outputs))]
    init, xs, constants = body.split(given[: len(body.inputs)])
    results = given[len(body.inputs) :]
    for v, p in zip(body.constants, constants, strict=True):
        code.home[v] = View.whole(p, v.shape)
    pack_constants(code, body)
    ping = [code.room(c.type) for c in body.carries]
    pong = [code.room(c.type) for c in body.carries]
    for c, start, p in zip(body.carries, init, ping, strict=True):
        copy(code, c.type, View.whole(start, c.shape), [View.whole(p, c.shape)])
    # Scratch pointers do not change from step to step: they are made once, out here.
    places = {n: code.room(n.type) for n in _need_room(code.plan, body)}
    before = builder.block
    if length:
        loop = builder.append_basic_block("step")
        after = builder.append_basic_block("last")
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
        copy(code, c.type, View.whole(last, c.shape), [View.whole(out, c.shape)])


def _entry(builder: Any, table: Any, k: int) -> Any:
    pointer = llvm().ir.PointerType()
    return builder.load(builder.gep(table, [index(k)], source_etype=pointer), typ=pointer)


def _slice(code: Code, base: Any, part: Expr, whole: Expr, t: Any) -> View:
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
    code: Code,
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
        emit_stage(code, stage)
    for node, target in late:
        if uniform_value(node) is not None:
            fill(code, node, target)
        else:
            copy(code, node.type, code.view(node), [target])


def _give_homes(
    code: Code, body: Body, targets: Sequence[View], places: dict[Expr, Any]
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


def _add_home(code: Code, node: Expr, view: View) -> None:
    if node in code.home:
        code.copies.setdefault(node, []).append(view)
    else:
        code.home[node] = view
