"""Stages that do not wait for each other, put beside each other for several threads.

Only what takes long is: loops and products. They flush subnormals themselves, whatever a thread
does else, so that it changes nothing which thread computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from minigrad.compile.backends.native.emit import Code
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import llvm
from minigrad.compile.backends.native.memory import ALIGN
from minigrad.compile.backends.native.products import emit_product
from minigrad.compile.backends.native.shares import COLUMNS, evenly
from minigrad.compile.backends.native.stages import Schedule, Stage, source
from minigrad.compile.backends.native.team import JOB, functions
from minigrad.compile.backends.native.views import View
from minigrad.compile.backends.native.work import work_of
from minigrad.graph.node import Expr, make
from minigrad.loop.node import SCAN
from minigrad.ops.core import uniform_value
from minigrad.ops.index import GETITEM, all_of
from minigrad.ops.linalg import MATMUL

PART_WORK = 500_000  # of a stage from which it is put beside others: 10 µs, to 1 of meeting again
SAVED_WORK = 2_500_000  # that a call must be spared, to be worth the waking of a thread: 50 µs


def side_by_side(plan: Schedule) -> Schedule:
    """The stages in another order, in which those that can run side by side are together.

    Small ones run as early as they can; of large ones, all that are waiting then run together.
    """
    needs = _needs(plan)
    ready: set[int] = set()
    waiting = list(range(len(plan.stages)))
    order: list[int] = []
    together: dict[int, int] = {}
    while waiting:
        large = []
        for k in waiting:
            if needs[k] <= ready:
                if _is_large(plan.stages[k]):
                    large.append(k)
                else:
                    ready.add(k)
                    order.append(k)
        large.sort(key=lambda k: -_work(plan.stages[k]))  # the last ones are to be short
        if len(large) > 1 or any(_columns(plan.stages[k], 2) for k in large):
            together[len(order)] = len(large)
        order += large
        ready.update(large)
        waiting = [k for k in waiting if k not in ready]
    return Schedule([plan.stages[k] for k in order], plan.in_memory, together)


def saved(plan: Schedule, threads: int) -> int:
    """About how much work so many threads would spare a call."""
    total = 0
    for first, count in plan.together.items():
        works = [_work(s) for s in plan.stages[first : first + count]]
        total += sum(works) - max(max(works) if count > 1 else 0, sum(works) // threads)
    return total


def _columns(stage: Stage, threads: int) -> list[tuple[int, int]]:
    """The shares of threads in a large product: the first column, and how many."""
    node = stage.nodes[0]
    if node.op is not MATMUL or node.ndim != 2 or node.shape[1] < 2 * COLUMNS:
        return []
    most = min(threads, _work(stage) // PART_WORK)
    return evenly(node.shape[1], most, COLUMNS) if most > 1 else []


def _needs(plan: Schedule) -> list[set[int]]:
    """The stages that each one waits for."""
    place = {n: k for k, stage in enumerate(plan.stages) for n in stage.nodes}
    return [
        {place[s] for n in stage.nodes for a in n.args if (s := source(a)) in place} - {k}
        for k, stage in enumerate(plan.stages)
    ]


def _is_large(stage: Stage) -> bool:
    return stage.nodes[0].op in (SCAN, MATMUL) and _work(stage) >= PART_WORK


def _work(stage: Stage) -> int:
    return work_of(stage.nodes[0])


Emit = Callable[[Code, Stage], None]


def emit_together(code: Code, stages: Sequence[Stage], emit: Emit) -> None:
    """Each as a function of its own, and a call of the team that computes them all.

    A product that nothing is beside is cut.
    """
    parts = [(stage, emit) for stage in stages]
    if len(stages) == 1:
        cuts = _columns(stages[0], code.threads)
        parts = [(stages[0], partial(_emit_columns, start, count)) for start, count in cuts]
    with code.memory.apart():
        for stage, emit in parts:
            code.parts.append(_emit_part(code, stage, emit))
    _call(code, "together", code.at(ALIGN), index(len(code.parts)))


@contextmanager
def helped(code: Code, threads: int) -> Iterator[None]:
    """Code that is run in so many threads, where they are free."""
    if threads == 1:
        yield
        return
    code.threads = threads
    functions()
    code.taken.append(code.memory.take(JOB))
    assert code.taken == [ALIGN], "the job comes first in scratch memory"
    entry = code.builder.block
    yield
    _call(code, "finish", code.at(ALIGN))
    end = code.builder.block
    code.builder.position_at_start(entry)
    total = index(len(code.parts))
    _call(code, "begin", code.at(ALIGN), _emit_parts(code), total, index(threads - 1))
    code.builder.position_at_end(end)


def _call(code: Code, name: str, *operands: Any) -> None:
    """Call a function of team.py."""
    ir = llvm().ir
    full = f"minigrad_{name}"
    signature = ir.FunctionType(ir.VoidType(), [x.type for x in operands])
    function = code.module.globals.get(full) or ir.Function(code.module, signature, full)
    code.builder.call(function, operands)


def _emit_columns(start: int, count: int, code: Code, stage: Stage) -> None:
    """Some columns of a product."""
    (node,), columns = stage.nodes, ("s", start, count, 1)
    left, right = node.args
    some = make(GETITEM, (right,), ((all_of(right.shape)[0], columns),))
    part = make(MATMUL, (left, some))
    spec = (all_of(node.shape)[0], columns)
    code.home[part] = code.home[node].indexed(spec)
    code.copies[part] = [v.indexed(spec) for v in code.copies.get(node, [])]
    emit_product(code, part)


def _emit_part(code: Code, stage: Stage, emit: Emit) -> Any:
    """`part(scratch)`; the pointers that it needs are put into scratch memory before."""
    ir = llvm().ir
    word, pointer = ir.IntType(64), ir.PointerType()
    used = list(_read_or_written(code, stage))
    copies = {n: code.copies[n] for n in stage.nodes if n in code.copies}
    views = [*(code.home[n] for n in used), *(v for places in copies.values() for v in places)]
    bases = {id(v.base): v.base for v in views}
    frame = code.memory.take(8 * len(bases))
    code.taken.append(frame)
    function = ir.Function(
        code.module,
        ir.FunctionType(ir.VoidType(), [pointer]),
        code.module.get_unique_name("part"),
    )
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    raised = builder.alloca(word)
    builder.store(index(0), raised)
    inner = code.apart(code.plan, builder, function.args[0], raised)
    here: dict[int, Any] = {}
    for k, (key, base) in enumerate(bases.items()):
        code.builder.store(base, code.at(frame + 8 * k))
        here[key] = builder.load(inner.at(frame + 8 * k), typ=pointer)

    def moved(view: View) -> View:
        return replace(view, base=here[id(view.base)])

    inner.home = {n: moved(code.home[n]) for n in used}
    inner.copies = {n: [moved(v) for v in places] for n, places in copies.items()}
    emit(inner, stage)
    inner.give_back()
    builder.atomic_rmw("or", inner.scratch, builder.load(raised, typ=word), "monotonic")
    builder.ret_void()
    return function


def _read_or_written(code: Code, stage: Stage) -> Iterator[Expr]:
    """What a stage's code asks the home of."""
    for node in stage.nodes:
        if node in code.home:
            yield node
        for a in node.args:
            while a not in code.home and uniform_value(a) is None and a.args:
                a = a.args[0]
            if a in code.home:
                yield a


def _emit_parts(code: Code) -> Any:
    """`parts(job, k)`, which computes the part of a number."""
    ir = llvm().ir
    word, pointer = ir.IntType(64), ir.PointerType()
    signature = ir.FunctionType(ir.VoidType(), [pointer, word])
    function = ir.Function(code.module, signature, "parts")
    job, number = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    scratch = builder.gep(job, [index(-ALIGN)], source_etype=ir.IntType(8))
    end = builder.append_basic_block()
    choice = builder.switch(number, end)
    for k, part in enumerate(code.parts):
        block = builder.append_basic_block()
        choice.add_case(index(k), block)
        builder.position_at_end(block)
        builder.call(part, [scratch])
        builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()
    return function
