"""Programs: a body as machine code, called with arrays, in several threads if worth it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, cast

import numpy as np

from minigrad.compile.backends.native.arrays import PLAIN, Kinds
from minigrad.compile.backends.native.emit import Code
from minigrad.compile.backends.native.interpreter import Interpreted
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import (
    Effort,
    compile_module,
    llvm,
    most_careful,
    new_module,
)
from minigrad.compile.backends.native.loop_code import LoopCode
from minigrad.compile.backends.native.memory import Memory, aligned
from minigrad.compile.backends.native.stages import Schedule, schedule
from minigrad.compile.backends.native.steps import emit_step
from minigrad.compile.backends.native.support import check_body
from minigrad.compile.backends.native.team import call_helpers
from minigrad.compile.backends.native.together import helped, side_by_side, team_size
from minigrad.compile.backends.native.views import View
from minigrad.compile.backends.native.work import work_of
from minigrad.graph.walk import toposort
from minigrad.loop.body import Body
from minigrad.loop.node import BLOCK
from minigrad.types import Array

# How many times as long as it took to compile a program runs before it is compiled with more care.
# PLAIN takes 2 to 3 times as long as QUICK, whose products run at a sixth of the speed and the rest
# at half; FULL takes 2.2 times as long as PLAIN and spares a training step 0 to 6 in a hundred.
PATIENCE = {Effort.QUICK: 1, Effort.PLAIN: 100}
KEPT = 4
"""How many times as long code runs that the disk had: it served a process to its end, and another
run of that, a little slower, is to compile nothing."""
LIGHT = 10**8  # operations that QUICK code does in less time than is spared by compiling it


class Compiled:
    """The machine code of a body, whatever runs it.

    It is compiled quickly at first, and with more care once it has run for as long as pays.

    threads: how many a call may use. The others help with what can run side by side.
    """

    def __init__(self, body: Body, threads: int = 1) -> None:
        check_body(body)
        self.results = [(o.shape, o.dtype) for o in body.outputs]
        self.kinds = Kinds([v.type for v in (*body.inputs, *body.outputs)], PLAIN)
        memory, module, plan = Memory(), new_module(), schedule(body.outputs)
        beside = side_by_side(plan, threads)
        self.threads = team_size(beside, threads)
        plan = beside if self.threads > 1 else plan
        self._loops = _emit_program(module, body, memory, plan, self.threads)
        self.scratch = memory.size
        self._text = str(module)
        light = sum(map(work_of, toposort(body.outputs))) < LIGHT
        first = most_careful(self._text, Effort.QUICK if light else Effort.PLAIN)
        efforts = list(Effort)
        self._ahead = [efforts[efforts.index(first) + 1 :]]
        self._compile(first)

    def room(self) -> tuple[Array, int]:
        """Scratch memory for a call, and its address."""
        return aligned(self.scratch)

    def run(self, places: Any, start: int) -> None:
        """Run on a table of addresses and on scratch memory."""
        if not self._ahead:
            self._function(places, start)
            return
        begun = perf_counter()
        self._function(places, start)
        self._patience -= perf_counter() - begun
        if self._patience < 0:
            self._compile_again()

    def _compile(self, effort: Effort) -> None:
        code = compile_module(self._text, effort=effort)
        loops = [loop.function(effort) for loop in self._loops]
        for k, loop in enumerate(loops):
            code.set_pointer(f"loop{k}", loop)
        seconds = code.seconds + sum(cast(Any, loop).code.seconds for loop in loops)
        self._patience = PATIENCE.get(effort, 0) * (KEPT if code.was_kept else 1) * seconds
        function = code.function("program", 2)
        cast(Any, function).loops = loops  # keeps them from being freed while it runs
        self._function = function

    def _compile_again(self) -> None:
        with suppress(IndexError):  # another thread is at it
            efforts = self._ahead.pop()  # atomic
            if self._patience < 0:  # and no other was in between
                effort, *efforts = efforts
                self._compile(effort)
            if efforts:
                self._ahead.append(efforts)


class Program:
    """Code and memory for it: inputs' arrays -> outputs' arrays. Calls from threads are safe."""

    def __init__(self, code: Compiled | Interpreted) -> None:
        self._code = code
        self._nowhere = [None] * len(code.results)
        self._waiting: list[tuple[Array, int, ctypes.c_int64]] = []

    def __call__(self, *rest: Any, out: Sequence[Array | None] | None = None) -> Sequence[Array]:
        """The outputs, in `out` where it gives an array; called as a block's op is."""
        *arrays, _body = rest
        results = [
            np.empty(*kind) if array is None else array
            for kind, array in zip(self._code.results, out or self._nowhere, strict=True)
        ]
        places = self._code.kinds.places((*arrays, *results))
        if places is None:
            arrays = [_plain(a) for a in arrays]  # and live as long as the call
            places = _addresses([*arrays, *results])
        if not self._runs(places):
            BLOCK.numpy(*rest)  # raises the IndexError, saying which
            raise IndexError("an index is out of range")
        return results

    def _runs(self, places: Any) -> bool:
        """Run on a table of addresses; whether all indices were in range."""
        if self._code.threads > 1:
            call_helpers(self._code.threads - 1)
        try:
            scratch, start, flag = self._waiting.pop()  # atomic: no two calls take the same one
        except IndexError:
            scratch, start = self._code.room()
            flag = ctypes.c_int64.from_address(start)
        flag.value = 0
        try:
            self._code.run(places, start)
            return not flag.value
        finally:
            self._waiting.append((scratch, start, flag))


def _plain(array: Any) -> Array:
    """An array that lies in one piece, aligned."""
    if type(array) is np.ndarray and (f := array.flags).c_contiguous and f.aligned:
        return array
    return np.array(array, order="C")


def _addresses(arrays: Sequence[Any]) -> Any:
    """Of the arrays' first elements."""
    return (ctypes.c_size_t * len(arrays))(*[int(a.ctypes.data) for a in arrays])


def _emit_program(
    module: Any, body: Body, memory: Memory, plan: Schedule, threads: int
) -> list[LoopCode]:
    """The function `program` of a module: a table of addresses and scratch memory are its data.

    Gives the loops that its pointers `loop0`, `loop1`, … are to point to.
    """
    ir = llvm().ir
    pointer = ir.PointerType()
    signature = ir.FunctionType(ir.VoidType(), [pointer, pointer])
    function = ir.Function(module, signature, "program")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    table, scratch = function.args
    code = Code(module, builder, plan, memory, scratch)
    places = []
    for k, v in enumerate((*body.inputs, *body.outputs)):
        entry = builder.gep(table, [index(k)], source_etype=pointer)
        base = builder.load(entry, typ=pointer)
        places.append(View.whole(base, v.shape))
    count = len(body.inputs)
    code.home.update(zip(body.inputs, places[:count], strict=True))
    with helped(code, threads):
        emit_step(code, body, places[count:])
    code.give_back()
    builder.ret_void()
    return list(code.loops)
