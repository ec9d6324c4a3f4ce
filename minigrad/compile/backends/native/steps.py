"""The code of a body and of a loop over it: stages in order.

Each result is written where it is wanted: an output's slice of the stack, the next carry, a part of
a concatenation. Carries lie in two buffers each, by turns. A loop may be a stage of another body.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, cast

from minigrad.compile.backends.native.along import emit_cumulative_sum, emit_place_of_extreme
from minigrad.compile.backends.native.callbacks import emit_call
from minigrad.compile.backends.native.emit import (
    Code,
    copy,
    copy_or_fill,
    emit_concat,
    emit_group,
    emit_reduction,
    emit_scatter,
    write_copies,
)
from minigrad.compile.backends.native.gather import emit_gather, emit_scatter_add
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.irtools import moved, subnormals_flushed
from minigrad.compile.backends.native.jit import llvm, new_module
from minigrad.compile.backends.native.layout import Layout, bytes_of, lay_out, parts
from minigrad.compile.backends.native.loop_code import LoopCode
from minigrad.compile.backends.native.memory import Memory
from minigrad.compile.backends.native.products import emit_product, pack_constants
from minigrad.compile.backends.native.stages import REDUCTIONS, Stage, schedule
from minigrad.compile.backends.native.together import emit_together
from minigrad.compile.backends.native.views import View
from minigrad.graph.node import Expr, Op
from minigrad.loop.body import Body, Loop
from minigrad.loop.node import SCAN
from minigrad.ops.core import RESHAPE
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.reduce import CUMSUM
from minigrad.ops.shape import CONCAT
from minigrad.ops.sorting import ARGMAX, ARGMIN
from minigrad.types import TupleType


def emit_step(code: Code, body: Body, targets: Sequence[View]) -> None:
    """Compute a body's outputs, each into its target; its inputs have their homes."""
    late = _give_targets(code, body, targets)
    layout = lay_out(code.plan, body.outputs, code.home)
    for root in layout.wholes:
        if root in code.home:
            _give_parts(code, layout, root)
    held: dict[Expr, int] = {}
    for first, end in code.plan.runs():
        for root in itertools.chain(*layout.starts[first:end]):
            held[root] = code.memory.take(bytes_of(root.type))
            code.home[root] = View.whole(code.at(held[root]), root.shape)
            _give_parts(code, layout, root)
        if first in code.plan.together:
            emit_together(code, code.plan.stages[first:end], _emit_stage)
        else:
            _emit_stage(code, code.plan.stages[first])
        for root in itertools.chain(*layout.ends[first:end]):
            code.memory.give_back(held.pop(root))
    for node, target in late:
        copy_or_fill(code, node, target)
    code.taken.extend(held.values())


def _emit_stage(code: Code, stage: Stage) -> None:
    if stage.pointwise:
        emit_group(code, stage)
    else:
        _SINGLE.get(stage.nodes[0].op, emit_call)(code, stage)


def _give_targets(code: Code, body: Body, targets: Sequence[View]) -> list[tuple[Expr, View]]:
    """Outputs that stages compute are at home in their targets; the others come late."""
    late: list[tuple[Expr, View]] = []
    computed = {n for s in code.plan.stages for n in s.nodes}
    for output, target in zip(body.outputs, targets, strict=True):
        node, place = output, target
        while node.op is RESHAPE and node not in computed and place.is_contiguous:
            node = node.args[0]
            place = View.whole(target.base, node.shape, target.offset)
        if node in computed and node not in code.home:
            code.home[node] = place
        elif output in computed:
            code.copies.setdefault(output, []).append(target)
        else:
            late.append((output, target))
    return late


def _give_parts(code: Code, layout: Layout, root: Expr) -> None:
    """What the concatenations in a root are made of is written where they lie."""
    for whole in layout.wholes.get(root, ()):
        for part, spec in parts(whole):
            place = code.home[whole].indexed(spec)
            here, at = layout.inside.get(part, (None, None))
            if here is whole and at == spec:
                code.home[part] = place
            elif part in layout.computed:
                code.copies.setdefault(part, []).append(place)


def _emit_scatter(code: Code, node: Expr) -> None:
    (emit_scatter_add if len(node.args) > 1 else emit_scatter)(code, node)


# --- loops -------------------------------------------------------------------------------------


def _emit_scan(code: Code, stage: Stage) -> None:
    scan, *items = stage.nodes
    operands = [code.view(a) for a in scan.args]
    read = {n.attrs[0]: code.home[n] for n in items}
    types = cast(TupleType, scan.type).items
    with ExitStack() as stack:
        results = [
            read[k] if k in read else View.whole(stack.enter_context(code.borrowed(t)), t.shape)
            for k, t in enumerate(types)
        ]
        (loop,) = scan.attrs
        if code.in_loop:
            _emit_loop(code, loop, operands, results, index(loop.length))
        else:
            _emit_apart(code, loop, operands, results)
    for n in items:
        write_copies(code, n)


def _emit_apart(code: Code, loop: Loop, operands: Sequence[View], results: Sequence[View]) -> None:
    """A call of the loop's code, which is a module of its own and serves every number of steps.

    LLVM takes more than twice as long for a function twice as long: a Hessian's 103 loops in one
    took 184 s. Loops that are equal, such as even shares of one, are one function.
    """
    views = [*operands, *results]
    machine = _code_of(loop, views)
    if machine not in code.loops:
        # an address as an integer: of a global pointer llvmlite 0.45 writes what LLVM refuses
        place = llvm().ir.GlobalVariable(
            code.module, llvm().ir.IntType(64), f"loop{len(code.loops)}"
        )
        place.initializer = llvm().ir.Constant(place.value_type, 0)
        code.loops[machine] = place
    types = [v.type for v in (*loop.body.inputs, *loop.body.outputs)]
    bases = [
        moved(code.builder, t.dtype, v.base, [(1, v.offset)])
        for t, v in zip(types, views, strict=True)
    ]
    function = code.builder.load(code.loops[machine], typ=_signature(len(views)).as_pointer())
    scratch = code.memory.take(machine.scratch)
    operands = [index(loop.length), code.at(scratch), code.flag(), *bases]
    with _unless_raised(code):
        code.builder.call(function, operands)
    code.memory.give_back(scratch)


@contextmanager
def _unless_raised(code: Code) -> Iterator[None]:
    """Code that does not run after an error in a loop, such as Ctrl-C."""
    if not any(loop.callbacks for loop in code.loops):
        yield
        return
    flag = code.builder.load(code.flag(), typ=index(0).type)
    with code.builder.if_then(code.builder.icmp_unsigned("==", flag, index(0))):
        yield


def _code_of(loop: Loop, views: Sequence[View]) -> LoopCode:
    """The loop's code where operands and results lie so: the body knows of it, while there is a
    program that has it."""
    key = "loop code", loop.reverse, loop.length > 0, *(v.strides for v in views)
    known: weakref.ref[LoopCode] | None = loop.body.derived.get(key)
    if known is not None and (there := known()) is not None:
        return there
    code = _emit_code(loop, views)
    loop.body.derived[key] = weakref.ref(code)
    return code


def _emit_code(loop: Loop, views: Sequence[View]) -> LoopCode:
    module = new_module()
    function = llvm().ir.Function(module, _signature(len(views)), "loop")
    builder = llvm().ir.IRBuilder(function.append_basic_block())
    length, scratch, raised, *bases = function.args
    code = Code(module, builder, schedule(()), Memory(), scratch, raised=raised)
    here = [replace(v, base=base, offset=0) for v, base in zip(views, bases, strict=True)]
    count = len(loop.body.inputs)
    with subnormals_flushed(builder):
        _emit_loop(code, loop, here[:count], here[count:], length)
    builder.ret_void()
    return LoopCode(module, len(function.args), code.memory.size, [*code.callbacks.values()])


def _signature(views: int) -> Any:
    ir = llvm().ir
    return ir.FunctionType(ir.VoidType(), [ir.IntType(64), *[ir.PointerType()] * (2 + views)])


def _emit_loop(
    outer: Code, loop: Loop, operands: Sequence[View], results: Sequence[View], length: Any
) -> None:
    """The steps, as many as a value of the code says; none where the loop has none."""
    body = loop.body
    builder, pointer = outer.builder, llvm().ir.PointerType()
    code = outer.within(schedule(body.outputs))
    init, xs, constants = body.split(operands)
    code.home.update(zip(body.constants, constants, strict=True))
    pack_constants(code, body)
    ping = [code.room(c.type) for c in body.carries]
    pong = [code.room(c.type) for c in body.carries]
    for c, start, p in zip(body.carries, init, ping, strict=True):
        copy(code, c.type, start, [View.whole(p, c.shape)])
    if loop.length:
        before, loop_block = builder.block, builder.append_basic_block("step")
        after = builder.append_basic_block("last")
        builder.branch(loop_block)
        builder.position_at_end(loop_block)
        k = builder.phi(llvm().ir.IntType(64))
        k.add_incoming(index(0), before)
        now = [builder.phi(pointer) for _ in ping]
        following = [builder.phi(pointer) for _ in pong]
        for phi, first in zip([*now, *following], [*ping, *pong], strict=True):
            phi.add_incoming(first, before)
        t = builder.sub(builder.sub(length, index(1)), k) if loop.reverse else k
        for v, p in zip(body.carries, now, strict=True):
            code.home[v] = View.whole(p, v.shape)
        for v, x in zip(body.xs, xs, strict=True):
            code.home[v] = _at(code, x, v, t)
        targets = [View.whole(p, c.shape) for p, c in zip(following, body.carries, strict=True)]
        stacks = zip(body.ys, results[body.n_carry :], strict=True)
        emit_step(code, body, targets + [_at(code, stack, y, t) for y, stack in stacks])
        end = builder.block
        more = builder.add(k, index(1))
        k.add_incoming(more, end)
        for phi, other in zip([*now, *following], [*following, *now], strict=True):
            phi.add_incoming(other, end)
        goes_on = builder.icmp_unsigned("<", more, length)
        if code.callbacks:  # nothing more is called after an error, such as Ctrl-C
            raised = builder.load(code.flag(), typ=k.type)
            goes_on = builder.and_(goes_on, builder.icmp_unsigned("==", raised, index(0)))
        builder.cbranch(goes_on, loop_block, after)
        builder.position_at_end(after)
        ping = following
    for c, last, out in zip(body.carries, ping, results, strict=False):
        copy(code, c.type, View.whole(last, c.shape), [out])
    code.give_back()


def _at(code: Code, stack: View, step: Expr, t: Any) -> View:
    """Step t of a stack."""
    base = moved(code.builder, step.dtype, stack.base, [(t, stack.strides[0])])
    return View(base, step.shape, stack.strides[1:], stack.offset)


# What a stage of one op runs.
_SINGLE: dict[Op, Callable[[Code, Stage], None]] = {
    SCAN: _emit_scan,
    MATMUL: lambda code, stage: emit_product(code, stage.nodes[0]),
    **{op: lambda code, stage: emit_reduction(code, stage) for op in REDUCTIONS},
    CUMSUM: lambda code, stage: emit_cumulative_sum(code, stage.nodes[0]),
    **{
        op: lambda code, stage: emit_place_of_extreme(code, stage.nodes[0])
        for op in (ARGMAX, ARGMIN)
    },
    CONCAT: lambda code, stage: emit_concat(code, stage.nodes[0]),
    GETITEM: lambda code, stage: emit_gather(code, stage.nodes[0]),
    SCATTER: lambda code, stage: _emit_scatter(code, stage.nodes[0]),
}
