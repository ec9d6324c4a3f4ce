"""Compiled programs: a body as machine code, called with arrays, in several threads if shared."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from minigrad.compile.backends.native.arrays import PLAIN, Kinds
from minigrad.compile.backends.native.emit import Code
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import compile_module, llvm, new_module
from minigrad.compile.backends.native.memory import ALIGN, Memory
from minigrad.compile.backends.native.shares import Shares, cut
from minigrad.compile.backends.native.stages import Schedule, schedule
from minigrad.compile.backends.native.steps import emit_step
from minigrad.compile.backends.native.support import check_body
from minigrad.compile.backends.native.team import call_helpers
from minigrad.compile.backends.native.together import SAVED_WORK, helped, saved, side_by_side
from minigrad.compile.backends.native.views import View, contiguous
from minigrad.loop.body import Body
from minigrad.loop.node import BLOCK
from minigrad.types import Array


class Program:
    """A compiled body: its inputs' arrays -> its outputs' arrays. Calls from threads are safe.

    threads: how many a call may use, of which the others help with stages that can run side by
        side; or, of a `shared` body, one loop or product, take a share of it each.
    """

    def __init__(self, body: Body, threads: int = 1, *, shared: bool = False) -> None:
        check_body(body)
        self._results = [(o.shape, o.dtype) for o in body.outputs]
        self._nowhere = [None] * len(body.outputs)
        self._kinds = Kinds([v.type for v in (*body.inputs, *body.outputs)], PLAIN)
        shares = cut(body, threads) if shared else Shares([(0, body)], [])
        self._moves = shares.moves
        helped = 1 if shared else threads
        codes = {p: _Compiled(p, body, helped) for p in dict.fromkeys(p for _, p in shares.parts)}
        self._shares = [(start, codes[part]) for start, part in shares.parts]
        self.threads = max(len(self._shares), *(code.threads for code in codes.values()))
        """How many threads a call uses, where all are free."""
        self.scratch = sum(code.scratch for _, code in self._shares)

    def __call__(self, *rest: Any, out: Sequence[Array | None] | None = None) -> Sequence[Array]:
        """The outputs, in `out` where it gives an array; called as a block's op is."""
        *arrays, _body = rest
        results = [
            np.empty(*kind) if array is None else array
            for kind, array in zip(self._results, out or self._nowhere, strict=True)
        ]
        places = self._kinds.places([*arrays, *results])
        if places is None:
            arrays = [_plain(a) for a in arrays]  # and live as long as the call
            places = _addresses([*arrays, *results])
        if not self._run(places):
            BLOCK.numpy(*rest)  # raises the IndexError, saying which
            raise IndexError("an index is out of range")
        return results

    def _run(self, places: Any) -> bool:
        """Run all shares; whether all indices were in range."""
        (_, first), *others = self._shares
        waiting = []
        for start, code in others:
            moved = [p + start * m for p, m in zip(places, self._moves, strict=True)]
            waiting.append(_pool().submit(code, _table(moved)))
        try:
            return all([first(places), *(share.result() for share in waiting)])
        except BaseException:  # an interrupt: nobody may write to memory that is let go of
            wait(waiting)
            raise


def _plain(array: Any) -> Array:
    """An array that lies in one piece, aligned."""
    if type(array) is np.ndarray and (f := array.flags).c_contiguous and f.aligned:
        return array
    return np.array(array, order="C")


def _addresses(arrays: Sequence[Any]) -> Any:
    """Of the arrays' first elements."""
    return _table([int(a.ctypes.data) for a in arrays])


def _table(places: Sequence[int]) -> Any:
    return (ctypes.c_size_t * len(places))(*places)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="minigrad")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


class _Compiled:
    """The machine code of a body, or of a share of it, and scratch memory for its calls."""

    def __init__(self, body: Body, whole: Body, threads: int) -> None:
        memory, module, plan = Memory(), new_module(), schedule(body.outputs)
        if threads > 1:
            plan = side_by_side(plan)
        self.threads = threads if plan.together else 1
        _emit_program(module, body, whole, memory, plan, self.threads)
        self.scratch = memory.size
        self._run = compile_module(module).function("program", 2)
        self._waiting: list[tuple[Array, int]] = []

    def __call__(self, places: Any) -> bool:
        """Run on a table of addresses; whether all indices were in range."""
        if self.threads > 1:
            call_helpers(self.threads - 1)
        try:
            scratch, start = self._waiting.pop()  # atomic: no two calls take the same one
        except IndexError:
            scratch, start = _aligned(self.scratch)
        flag = ctypes.c_int64.from_address(start)
        flag.value = 0
        try:
            self._run(places, start)
            return not flag.value
        finally:
            self._waiting.append((scratch, start))


def _aligned(size: int) -> tuple[Array, int]:
    """Uninitialised bytes, and the address of the first cache line in them."""
    block = np.empty(size + ALIGN, np.uint8)
    return block, -(-block.ctypes.data // ALIGN) * ALIGN


def worth_a_team(body: Body, threads: int) -> bool:
    """Whether a body has enough that can run side by side for so many threads."""
    return threads > 1 and saved(side_by_side(schedule(body.outputs)), threads) > SAVED_WORK


def _emit_program(
    module: Any, body: Body, whole: Body, memory: Memory, plan: Schedule, threads: int
) -> None:
    """The function `program` of a module: a table of addresses and scratch memory are its data."""
    ir = llvm().ir
    pointer = ir.PointerType()
    signature = ir.FunctionType(ir.VoidType(), [pointer, pointer])
    function = ir.Function(module, signature, "program")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    table, scratch = function.args
    code = Code(module, builder, plan, memory, scratch)
    places = []
    pairs = zip((*body.inputs, *body.outputs), (*whole.inputs, *whole.outputs), strict=True)
    for k, (v, full) in enumerate(pairs):
        entry = builder.gep(table, [index(k)], source_etype=pointer)
        base = builder.load(entry, typ=pointer)
        places.append(View(base, v.shape, contiguous(full.shape)))
    count = len(body.inputs)
    code.home.update(zip(body.inputs, places[:count], strict=True))
    with helped(code, threads):
        emit_step(code, body, places[count:])
    code.give_back()
    builder.ret_void()
