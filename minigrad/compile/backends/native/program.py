"""Programs: a body as machine code, called with arrays, in several threads if worth it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, cast

import numpy as np

from minigrad.compile.backends.native.arrays import (
    DONE,
    OTHER_KINDS,
    OUT_OF_RANGE,
    PLAIN,
    Frame,
    Kinds,
)
from minigrad.compile.backends.native.callbacks import calls_back, let_go_of_gil, take_gil
from minigrad.compile.backends.native.emit import Code
from minigrad.compile.backends.native.interpreter import Interpreted
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import (
    Effort,
    NativeFunction,
    address_of,
    compile_module,
    llvm,
    most_careful,
    new_module,
)
from minigrad.compile.backends.native.loop_code import LoopCode
from minigrad.compile.backends.native.memory import Memory, aligned, maker
from minigrad.compile.backends.native.stages import Schedule, schedule
from minigrad.compile.backends.native.steps import emit_step
from minigrad.compile.backends.native.support import check_body
from minigrad.compile.backends.native.team import call_helpers
from minigrad.compile.backends.native.together import helped, side_by_side, team_size
from minigrad.compile.backends.native.views import View
from minigrad.compile.backends.native.work import work_of
from minigrad.compile.backends.registry import Caller
from minigrad.compile.params import picker
from minigrad.compile.plan import Plan
from minigrad.graph.node import Expr
from minigrad.graph.numpy_call import numpy_call
from minigrad.graph.walk import toposort
from minigrad.loop.body import Body
from minigrad.loop.node import SCAN
from minigrad.types import Array

# How many times as long as it took to compile a program runs before it is compiled with more care.
# PLAIN takes twice as long as QUICK, whose products run at a sixth of the speed and the rest at
# half; FULL takes 3.5 times as long as PLAIN and spares a training step about 8 in a hundred.
PATIENCE = {Effort.QUICK: 1, Effort.PLAIN: 40}
KEPT = 4
"""How many times as long code runs that the disk had: it served a process to its end, and another
run of that, a little slower, is to compile nothing."""
LIGHT = 10**8  # operations that QUICK code does in less time than is spared by compiling it
# Operations, some 10 µs of them, for which a call keeps other threads waiting: to let them run, and
# to look at arrays and then run, takes two calls of machine code, at .5 µs each.
SHORT = 10**5


class Compiled:
    """The machine code of a body, whatever runs it.

    It is compiled quickly at first, and with more care once it has run for as long as pays.

    threads: how many a call may use. The others help with what can run side by side.
    """

    def __init__(self, body: Body, threads: int = 1) -> None:
        check_body(body)
        nodes = toposort(body.outputs)
        self.results = [(o.shape, o.dtype) for o in body.outputs]
        self.kinds = Kinds([v.type for v in (*body.inputs, *body.outputs)], PLAIN)
        memory, module, plan = Memory(), new_module(), schedule(body.outputs)
        beside = side_by_side(plan, threads)
        self.threads = team_size(beside, threads)
        plan = beside if self.threads > 1 else plan
        self.calls_back = any(map(calls_back, nodes))
        self._loops = _emit_program(
            module, body, memory, plan, self.threads, releases=self.calls_back
        )
        self.scratch = memory.size
        self._text = str(module)
        work = sum(map(work_of, nodes))
        loops = any(n.op is SCAN for n in nodes)
        self._is_short = not loops and work + sum(n.size for n in nodes) < SHORT
        first = most_careful(self._text, Effort.QUICK if work < LIGHT else Effort.PLAIN)
        efforts = list(Effort)
        self._ahead = [efforts[efforts.index(first) + 1 :]]
        self._compile(first)

    def room(self) -> tuple[Array, int]:
        """Scratch memory for a call, and its address."""
        return aligned(self.scratch)

    @property
    def function(self) -> NativeFunction:
        """The code as it is now: of a table of addresses and scratch memory."""
        return self._entry[0]

    def run(self, frame: Frame, objects: tuple[Any, ...]) -> int:
        """Run on objects, if they are arrays of its kinds; how that went."""
        if not self._ahead:
            return self._run(frame, objects)
        begun = perf_counter()
        outcome = self._run(frame, objects)
        self._patience -= perf_counter() - begun
        if self._patience < 0:
            self._compile_again()
        return outcome

    def _run(self, frame: Frame, objects: tuple[Any, ...]) -> int:
        function, address = self._entry  # of an address alone the code would not live
        if self._is_short:
            return frame.enter(objects, address)
        return frame.run(function) if frame.take(objects) else OTHER_KINDS

    def _compile(self, effort: Effort) -> None:
        code = compile_module(self._text, effort=effort)
        loops = [loop.function(effort) for loop in self._loops]
        for k, loop in enumerate(loops):
            code.set_pointer(f"loop{k}", address_of(loop))
        seconds = code.seconds + sum(cast(Any, loop).code.seconds for loop in loops)
        self._patience = PATIENCE.get(effort, 0) * (KEPT if code.was_kept else 1) * seconds
        function = code.function("program", 2, holds_gil=self.calls_back)
        cast(Any, function).loops = loops  # keeps them from being freed while it runs
        self._entry = function, address_of(function)

    def _compile_again(self) -> None:
        with suppress(IndexError):  # another thread is at it
            efforts = self._ahead.pop()  # atomic
            if self._patience < 0:  # and no other was in between
                effort, *efforts = efforts
                self._compile(effort)
            if efforts:
                self._ahead.append(efforts)


class Program:
    """Code of a node, and memory for it: operands' arrays -> results. Calls from threads are safe.

    Raises what NumPy's ops within loops do, and NumPy's IndexError of an index out of range.
    """

    def __init__(self, code: Compiled | Interpreted, node: Expr) -> None:
        self.code, self._node = code, node
        self._makers = [maker(*kind) for kind in code.results]
        self._nowhere = [None] * len(code.results)
        self._waiting: list[tuple[Frame, Array]] = []

    def __call__(self, *rest: Any, out: Sequence[Array | None] | None = None) -> Sequence[Array]:
        """The outputs, in `out` where it gives an array; called as a block's op is."""
        *arrays, _body = rest
        results = [
            make() if array is None else array
            for make, array in zip(self._makers, out or self._nowhere, strict=True)
        ]
        if not self._runs((*arrays, *results)):
            plain = [_plain(a) for a in arrays]  # and live as long as the call
            self._runs((*plain, *results), fit=True)
        return results

    def results_of(self, operands: Iterable[Any]) -> list[Array] | None:
        """The outputs, if the operands are arrays of their kinds."""
        results = [make() for make in self._makers]
        return results if self._runs((*operands, *results)) else None

    def _runs(self, objects: tuple[Any, ...], fit: bool = False) -> bool:
        """Run on objects, if they are of the right kinds, which is not asked where they are known
        to fit; whether they are."""
        if self.code.calls_back:
            with np.errstate(all="ignore"):  # once for all calls of NumPy, since it takes 1.4 µs
                outcome = self._run(objects, fit)
        else:
            outcome = self._run(objects, fit)
        if outcome == OUT_OF_RANGE:
            operands = objects[: len(self._node.args)]
            numpy_call(self._node)(*operands, *self._node.attrs)  # says which
            raise IndexError("an index is out of range")
        return outcome == DONE

    def _run(self, objects: tuple[Any, ...], fit: bool) -> int:
        if self.code.threads > 1:
            call_helpers(self.code.threads - 1)
        try:
            waiting = frame, _ = self._waiting.pop()  # atomic: no two calls take the same one
        except IndexError:
            block, start = self.code.room()
            waiting = frame, _ = self.code.kinds.frame(start), block
        try:
            if fit:
                frame.put(objects)
                return frame.run(self.code.function)
            return self.code.run(frame, objects)
        finally:
            self._waiting.append(waiting)


def alone(plan: Plan, program: Program, whole: Caller) -> Caller | None:
    """What calls a program that is a whole plan, where it reads inputs and gives outputs alone.

    Values that are not plainly arrays of the inputs' types go to the whole plan, which says what is
    wrong with them, or changes them.
    """
    (step,) = plan.steps
    given = {slot: k for k, slot in enumerate(plan.inputs)}
    made = {slot: k for k, slot in step.items}
    if plan.params or plan.updates or plan.copied or plan.buffers:
        return None
    if not (given.keys() >= {*step.args} and made.keys() >= {*plan.outputs}):
        return None
    operands = picker([given[slot] for slot in step.args], len(given))
    outputs = picker([made[slot] for slot in plan.outputs], len(program.code.results))

    def call(values: Sequence[Any]) -> Sequence[Array]:
        results = program.results_of(operands(values))
        return whole(values) if results is None else outputs(results)

    return call


def _plain(array: Any) -> Array:
    """An array that lies in one piece, aligned."""
    if type(array) is np.ndarray and (f := array.flags).c_contiguous and f.aligned:
        return array
    return np.array(array, order="C")


def _emit_program(
    module: Any, body: Body, memory: Memory, plan: Schedule, threads: int, releases: bool
) -> list[LoopCode]:
    """The function `program` of a module: a table of addresses and scratch memory are its data.

    releases: whether it is called with the GIL, and lets go of that.

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
    if releases:
        let_go_of_gil(builder, code.flag())
    with helped(code, threads):
        emit_step(code, body, places[count:])
    code.give_back()
    assert not code.callbacks, "NumPy is called from loops alone"
    if releases:
        take_gil(builder, code.flag())
    builder.ret_void()
    return list(code.loops)
