"""Stages that do not wait for each other, put beside each other for several threads.

Only what takes long is: loops, products, and pointwise ops of many elements; but no loop that calls
NumPy, whose ops have a right to the caller's thread, and wait for the GIL. Loops and products
flush subnormals themselves, and pointwise ops take those of the calling thread as that does, so
that it changes nothing which thread computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from minigrad.compile.backends.native.callbacks import calls_back
from minigrad.compile.backends.native.emit import Code
from minigrad.compile.backends.native.irtools import in_mode, note_mode
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import llvm
from minigrad.compile.backends.native.memory import ALIGN
from minigrad.compile.backends.native.shares import Share, cut, take_share
from minigrad.compile.backends.native.stages import Schedule, Stage, source
from minigrad.compile.backends.native.team import JOB, can_help, functions
from minigrad.compile.backends.native.views import View
from minigrad.compile.backends.native.work import work_of
from minigrad.graph.node import Expr
from minigrad.loop.node import SCAN
from minigrad.ops.core import uniform_value
from minigrad.ops.index import Spec
from minigrad.ops.linalg import MATMUL

PART_WORK = 500_000  # of a part from which it is put beside others: 10 µs, to 1 of meeting again
# That a call must be spared, about, to be worth a helper. At 10 million a step of 0.25 ms took
# 0.23, for what one core wrote comes slowly to the other; at 65 million one of 1.9 ms took 1.28.
SAVED_WORK = 5_000_000

MANY = 100_000  # elements from which pointwise ops are shared

Part = tuple[Stage, Share | None]
"""A stage, or a share of it."""


def side_by_side(plan: Schedule, threads: int) -> Schedule:
    """The stages in another order, in which those that can run side by side are together.

    Small ones run as early as they can; of large ones, all that are waiting then run together, cut
    into shares where they are too few for so many threads.
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
        if len(_parts([plan.stages[k] for k in large], threads)) > 1:
            together[len(order)] = len(large)
        order += large
        ready.update(large)
        waiting = [k for k in waiting if k not in ready]
    return Schedule([plan.stages[k] for k in order], plan.in_memory, together)


def team_size(plan: Schedule, threads: int) -> int:
    """How many of so many threads it is worth to call; 1 where they spare too little."""
    if not can_help:
        return 1
    spared, most = 0, 1
    for first, count in plan.together.items():
        stages = plan.stages[first : first + count]
        longest = max(_work(stage) // len(shares) for stage, shares in _cuts(stages, threads))
        total = sum(map(_work, stages))
        spared += total - max(longest, -(-total // threads))
        most = max(most, len(_parts(stages, threads)))
    return min(most, threads) if spared > SAVED_WORK else 1


def _parts(stages: Sequence[Stage], threads: int) -> list[Part]:
    return [(stage, share) for stage, shares in _cuts(stages, threads) for share in shares]


def _cuts(stages: Sequence[Stage], threads: int) -> list[tuple[Stage, list[Share | None]]]:
    """Each stage with its shares: as many as its share of all work is of the threads."""
    total, cuts = sum(map(_work, stages)), []
    for stage in stages:
        work = _work(stage)
        most = min(-(-work * threads // total), work // PART_WORK)
        shares: list[Share | None] = [*cut(stage, most)] if most > 1 else []
        cuts.append((stage, shares or [None]))
    return cuts


def _needs(plan: Schedule) -> list[set[int]]:
    """The stages that each one waits for."""
    place = {n: k for k, stage in enumerate(plan.stages) for n in stage.nodes}
    return [
        {place[s] for n in stage.nodes for a in n.args if (s := source(a)) in place} - {k}
        for k, stage in enumerate(plan.stages)
    ]


def _is_large(stage: Stage) -> bool:
    node = stage.nodes[0]
    large = node.op in (SCAN, MATMUL) or (stage.pointwise and node.size >= MANY)
    return large and _work(stage) >= PART_WORK and not calls_back(node)


def _work(stage: Stage) -> int:
    return sum(map(work_of, stage.nodes if stage.pointwise else stage.nodes[:1]))


Emit = Callable[[Code, Stage], None]


def emit_together(code: Code, stages: Sequence[Stage], emit: Emit) -> None:
    """Each as functions of its own, and a call of the team that computes them all."""
    with code.memory.apart():
        for part in _parts(stages, code.threads):
            code.parts.append(_emit_part(code, part, emit))
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


def _emit_part(code: Code, part: Part, emit: Emit) -> Any:
    """`part(scratch)`; the pointers that it needs are put into scratch memory before."""
    (stage, share), ir = part, llvm().ir
    word, pointer = ir.IntType(64), ir.PointerType()
    used = list(_read_or_written(code, stage))
    copies = {n: code.copies[n] for n in stage.nodes if n in code.copies}
    views = [*(code.home[n] for n in used), *(v for places in copies.values() for v in places)]
    bases = {id(v.base): v.base for v in views}
    frame = code.memory.take(8 * (1 + len(bases)))
    code.taken.append(frame)
    function = ir.Function(
        code.module,
        ir.FunctionType(ir.VoidType(), [pointer]),
        code.module.get_unique_name("part"),
    )
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    raised = builder.alloca(word)
    builder.store(index(0), raised)
    inner = Code(
        code.module, builder, code.plan, code.memory, function.args[0], code.functions,
        code.loops, raised=raised,
    )  # fmt: skip
    here: dict[int, Any] = {}
    note_mode(code.builder, code.at(frame))
    for k, (key, base) in enumerate(bases.items(), 1):
        code.builder.store(base, code.at(frame + 8 * k))
        here[key] = builder.load(inner.at(frame + 8 * k), typ=pointer)

    def moved(view: View) -> View:
        return replace(view, base=here[id(view.base)])

    inner.home = {n: moved(code.home[n]) for n in used}
    inner.copies = {n: [moved(v) for v in places] for n, places in copies.items()}
    with in_mode(builder, inner.at(frame)):
        emit(inner, stage if share is None else _placed(inner, *take_share(stage, share)))
    inner.give_back()
    builder.atomic_rmw("or", inner.scratch, builder.load(raised, typ=word), "monotonic")
    builder.ret_void()
    return function


def _placed(code: Code, stage: Stage, places: Mapping[Expr, tuple[Expr, Spec]]) -> Stage:
    """A share, whose results are parts of the whole's."""
    stored = {part: place for part, place in places.items() if place[0] in code.home}
    for part, (whole, spec) in stored.items():
        code.home[part] = code.home[whole].indexed(spec)
        code.copies[part] = [v.indexed(spec) for v in code.copies.get(whole, ())]
    code.plan = replace(code.plan, in_memory={*stored})
    return stage


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
