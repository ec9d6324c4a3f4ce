"""The code of single stages that are no products: groups of pointwise ops, sums, copies, parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from minigrad.compile.backends.native.irtools import counted, memory_type, moved, nest
from minigrad.compile.backends.native.irtools import int64 as index
from minigrad.compile.backends.native.jit import host, llvm
from minigrad.compile.backends.native.lanes import Lanes
from minigrad.compile.backends.native.layout import bytes_of, parts
from minigrad.compile.backends.native.loop_code import LoopCode
from minigrad.compile.backends.native.memory import Memory
from minigrad.compile.backends.native.pointwise import (
    ELEMENTARY,
    ROWS,
    Place,
    applied,
    constant,
    for_each,
    from_memory,
    into_memory,
    number,
)
from minigrad.compile.backends.native.stages import Schedule, Stage
from minigrad.compile.backends.native.views import UnsupportedError, View, common_axes, contiguous
from minigrad.graph.node import Expr, Op
from minigrad.ops.arithmetic import add
from minigrad.ops.choice import maximum, minimum
from minigrad.ops.comparisons import logical_and, logical_or
from minigrad.ops.core import BROADCAST, RESHAPE, SUM, uniform_value
from minigrad.ops.custom import BARRIER, STOP
from minigrad.ops.index import GETITEM
from minigrad.ops.reduce import ALL, ANY, MAX, MIN
from minigrad.ops.shape import PERMUTE
from minigrad.types import FLOAT32, FLOAT64, Shape, TensorType


@dataclass
class Code:
    """What the emitting functions share while they make the code of one body."""

    module: Any
    builder: Any
    plan: Schedule
    memory: Memory
    scratch: Any
    functions: dict[Any, Any] = field(default_factory=dict)
    """The module's functions, by what they compute: products of one shape share one."""
    loops: dict[LoopCode, Any] = field(default_factory=dict)
    """The loops that the program calls, and the module's pointers to them."""
    callbacks: dict[Any, Any] = field(default_factory=dict)
    """What the module's pointers to NumPy's ops are to point to, by what is computed."""
    in_loop: bool = False
    home: dict[Expr, View] = field(default_factory=dict)
    """Where a node's value is read."""
    copies: dict[Expr, list[View]] = field(default_factory=dict)
    """Where else it is to be written."""
    packed: dict[Expr, Any] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    """Scratch memory that is given back when the body's code is complete."""
    raised: Any = None
    """The flag of an index out of range, where it is not at the start of scratch memory."""
    parts: list[Any] = field(default_factory=list)
    """The functions of what runs side by side, in the order of the stages."""
    threads: int = 1

    def within(self, plan: Schedule) -> Code:
        """For the body of a loop that is a stage of this one."""
        return Code(
            self.module, self.builder, plan, self.memory, self.scratch, self.functions,
            callbacks=self.callbacks, in_loop=True, raised=self.raised,
        )  # fmt: skip

    def give_back(self) -> None:
        """The body's code is complete."""
        while self.taken:
            self.memory.give_back(self.taken.pop())

    def function(self, emit: Callable[[Any, str, Any], Any], product: Any) -> Any:
        """The module's function that `emit` makes for a product."""
        key = emit, product
        if key not in self.functions:
            self.functions[key] = emit(
                self.module, f"{emit.__name__}{len(self.functions)}", product
            )
        return self.functions[key]

    def flag(self) -> Any:
        """A pointer to the word that says, by not being 0, that an index is out of range."""
        return self.raised or self.scratch

    def at(self, offset: int) -> Any:
        """A pointer to scratch memory."""
        return self.builder.gep(self.scratch, [index(offset)], source_etype=llvm().ir.IntType(8))

    def room(self, type_: TensorType, elements: int | None = None) -> Any:
        """A pointer to scratch memory of the body's own."""
        self.taken.append(self.memory.take(bytes_of(type_, elements)))
        return self.at(self.taken[-1])

    @contextmanager
    def borrowed(self, type_: TensorType, elements: int | None = None) -> Iterator[Any]:
        """A pointer to scratch memory for a while."""
        offset = self.memory.take(bytes_of(type_, elements))
        yield self.at(offset)
        self.memory.give_back(offset)

    def view(self, node: Expr) -> View:
        """Where a node lies in memory, through reshapes, slices and the like."""
        chain = []
        while node not in self.home and uniform_value(node) is None:
            chain.append(node)
            node = node.args[0]
        if node not in self.home:  # a number: one element serves for all
            number = View(self.room(node.type, 1), node.shape, (0,) * node.ndim)
            fill(self, node, View(number.base, (1,) * node.ndim, number.strides))
            self.home[node] = number
        for outer in reversed(chain):
            self.home[outer] = self._view_of(outer, self.home[outer.args[0]])
        return self.home[chain[0] if chain else node]

    def _view_of(self, node: Expr, inner: View) -> View:
        if node.op is RESHAPE:
            moved = inner.reshaped(node.shape)
            return moved or View.whole(self.straight(node.args[0]).base, node.shape)
        if node.op is BROADCAST:
            return inner.broadcast(node.shape)
        if node.op is PERMUTE:
            return inner.permuted(node.attrs[0])
        if node.op is GETITEM and len(node.args) == 1:
            return inner.indexed(node.attrs[0])
        if node.op in (STOP, BARRIER):
            return inner
        raise UnsupportedError(f"op {node.op.name}")

    def straight(self, node: Expr) -> View:
        """A row-major copy of a node."""
        target = View.whole(self.room(node.type), node.shape)
        copy(self, node.type, self.home[node], [target])
        return target


# --- stages ------------------------------------------------------------------------------------


def emit_group(code: Code, stage: Stage) -> None:
    """Pointwise ops of one shape as one loop over the elements."""
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
            known[n] = applied(lanes, n.op, n.dtype, operands)
        return [known[n] for n, _ in writes]

    shape = stage.nodes[0].shape
    sources = [(code.view(a).broadcast(shape), a.dtype) for a in reads]
    targets = [(view, n.dtype) for n, view in writes]
    functions = sum(n.op in ELEMENTARY for n in stage.nodes)
    for_each(code.builder, shape, stage.dtype, sources, compute, targets, functions)


def copy(code: Code, type_: TensorType, view: View, targets: Sequence[View]) -> None:
    """Write what lies in one place to others."""

    def same(lanes: Lanes, values: list[Any]) -> list[Any]:
        return values * len(targets)

    if targets:
        kind = type_.dtype
        places = [(target, kind) for target in targets]
        for_each(code.builder, type_.shape, lanes_dtype(kind), [(view, kind)], same, places)


def copy_or_fill(code: Code, node: Expr, target: View) -> None:
    """Write a node that lies somewhere, or is a number, to a place."""
    if uniform_value(node) is None:
        copy(code, node.type, code.view(node), [target])
    else:
        fill(code, node, target)


def fill(code: Code, node: Expr, target: View) -> None:
    """Write a number to all of a place."""

    def number(lanes: Lanes, values: list[Any]) -> list[Any]:
        return [constant(lanes, node)]

    places = [(target, node.dtype)]
    for_each(code.builder, target.shape, lanes_dtype(node.dtype), [], number, places)


def write_copies(code: Code, node: Expr) -> None:
    """Write a value that is at its home to wherever else it is wanted."""
    copy(code, node.type, code.home[node], code.copies.get(node, []))


def emit_concat(code: Code, node: Expr) -> None:
    """Copy the parts that were not computed in place already."""
    whole = code.home[node]
    for part, spec in parts(node):
        target = whole.indexed(spec)
        if target not in [code.home.get(part), *code.copies.get(part, ())]:
            copy_or_fill(code, part, target)
    write_copies(code, node)


def emit_scatter(code: Code, node: Expr) -> None:
    """The operand within zeros."""
    fill_with(code, node, 0.0, code.home[node])
    copy_or_fill(code, node.args[0], code.home[node].indexed(node.attrs[0]))
    write_copies(code, node)


def fill_with(code: Code, node: Expr, value: float, target: View) -> None:
    """Write a number of the node's dtype to all of a place."""

    def same(lanes: Lanes, values: list[Any]) -> list[Any]:
        return [number(lanes, node.dtype, value)]

    places = [(target, node.dtype)]
    for_each(code.builder, target.shape, lanes_dtype(node.dtype), [], same, places)


# --- reductions --------------------------------------------------------------------------------

_JOINED = {
    SUM: (add.op, 0.0, 0),
    MAX: (maximum.op, -inf, -(2**63)),
    MIN: (minimum.op, inf, 2**63 - 1),
    ALL: (logical_and.op, 1.0, 1),
    ANY: (logical_or.op, 0.0, 0),
}
"""What two elements become, and what an element is joined to first, a float or an integer."""


def _joined(node: Expr) -> tuple[Op, float]:
    how, of_floats, of_integers = _JOINED[node.op]
    return how, of_floats if node.type.is_float else of_integers


@dataclass(frozen=True)
class Term:
    """What is joined: elements that lie somewhere, or pointwise ops of them."""

    reads: list[Place]
    compute: Callable[[Lanes, list[Any]], Any]

    def computed(self, lanes: Lanes, values: list[Any]) -> list[Any]:
        """What is joined, as all that is written."""
        return [self.compute(lanes, values)]

    def part(self, dims: Shape, steps: Sequence[tuple[int, ...]]) -> Term:
        """The elements along other axes."""
        pairs = zip(self.reads, steps, strict=True)
        reads = [(View(v.base, dims, s, v.offset), dtype) for (v, dtype), s in pairs]
        return Term(reads, self.compute)

    def moved(self, code: Code, at: Sequence[Any], start: int, count: Shape) -> Term:
        """Some of the last axis, from a place on, as rows of contiguous elements."""
        reads = []
        for v, dtype in self.reads:
            terms = [*zip(at, v.strides[:-1], strict=True), (1, v.offset + start * v.strides[-1])]
            base = moved(code.builder, dtype, v.base, terms)
            inner = contiguous(count) if v.strides[-1] else (0,) * len(count)
            reads.append((View(base, count, inner), dtype))
        return Term(reads, self.compute)


def emit_reduction(code: Code, stage: Stage) -> None:
    """Join elements, in order, to the start.

    Where the last axis goes, they are joined in as many columns as lanes have room. What only the
    reduction reads is computed as it is read, where it lies like what it is computed of.
    """
    node, *inner = stage.nodes
    (axes,), out, shape = node.attrs, code.home[node], node.args[0].shape
    how, start = _joined(node)
    fill_with(code, node, start, out)
    waiting = iter(out.strides)
    total_strides = tuple(0 if k in axes else next(waiting) for k in range(len(shape)))
    total = View(out.base, shape, total_strides, out.offset)
    term = _term(code, node, inner)
    views = [view for view, _ in term.reads]
    dims, (*steps, into) = common_axes(shape, [*views, total])
    plain, _ = common_axes(shape, [View.whole(None, shape), total])
    with ExitStack() as stack:
        if inner and (dims != plain or any(s[-1] not in (0, 1) for s in steps)):
            room = View.whole(stack.enter_context(code.borrowed(node.args[0].type)), shape)
            write = [(room, node.dtype)]
            for_each(code.builder, shape, node.dtype, term.reads, term.computed, write)
            term = lying(room, node)
            dims, (*steps, into) = common_axes(shape, [room, total])
        term, total = term.part(dims, steps), View(total.base, dims, into, total.offset)
        lanes = host().lanes(lanes_dtype(node.dtype))
        in_rows = all(s[-1] in (0, 1) for s in steps) and any(s[-1] for s in steps)
        if in_rows and into[-1] == 0 and dims[-1] >= 2 * lanes and 0 not in dims:
            columns = lanes * (4 if dims[-1] >= 64 * lanes else 1)
            _join_rows(code, node, term, total, columns)
        else:
            join(code, node, how, term, total)
    write_copies(code, node)


def lying(view: View, node: Expr) -> Term:
    """What lies somewhere, in the dtype of a node."""
    return Term([(view, node.dtype)], lambda lanes, values: values[0])


def _term(code: Code, node: Expr, inner: Sequence[Expr]) -> Term:
    """The operand of a reduction, of what it is computed of."""
    own = {*inner}
    reads: dict[Expr, int] = {}
    for n in (*inner, node):
        for a in n.args:
            if a not in own and (n is node or uniform_value(a) is None):
                reads.setdefault(a, len(reads))

    def compute(lanes: Lanes, values: list[Any]) -> Any:
        known = {a: values[k] for a, k in reads.items()}
        for n in inner:
            operands = [known[a] if a in known else constant(lanes, a) for a in n.args]
            known[n] = applied(lanes, n.op, n.dtype, operands)
        return known[node.args[0]]

    return Term([(code.view(a), a.dtype) for a in reads], compute)


def join(code: Code, node: Expr, how: Op, term: Term, total: View) -> None:
    """Join elements to those of another view by a row of two operands; `total` may repeat."""
    to = total, node.dtype

    def each(lanes: Lanes, values: list[Any]) -> list[Any]:
        *read, before = values
        return [ROWS[how](lanes, [term.compute(lanes, read), before])]

    for_each(code.builder, total.shape, lanes_dtype(node.dtype), [*term.reads, to], each, [to])


def _join_rows(code: Code, node: Expr, term: Term, total: View, columns: int) -> None:
    how, start = _joined(node)
    rows, rest = divmod(total.shape[-1], columns)
    with (
        code.borrowed(node.type, columns) as room,
        nest(code.builder, total.shape[:-1]) as counters,
    ):
        to = [*zip(counters, total.strides[:-1], strict=True), (1, total.offset)]
        here = moved(code.builder, node.dtype, total.base, to)
        fill_with(code, node, start, View.whole(room, (columns,)))
        first = term.moved(code, counters, 0, (rows, columns))
        join(code, node, how, first, View(room, (rows, columns), (0, 1)))
        last = term.moved(code, counters, rows * columns, (rest,))
        join(code, node, how, last, View(here, (rest,), (0,)))
        _join_columns(code, node, room, here, columns)


def _join_columns(code: Code, node: Expr, room: Any, here: Any, columns: int) -> None:
    """Join so many elements to one, in order, which waits in a register meanwhile."""
    how, _ = _joined(node)
    builder, kind = code.builder, memory_type(node.dtype)
    align, lanes = node.dtype.itemsize, Lanes(code.builder, memory_type(lanes_dtype(node.dtype)))
    first, before = builder.load(here, align=align, typ=kind), builder.block
    with counted(builder, columns) as k:
        total = builder.phi(kind)
        total.add_incoming(first, before)
        place = moved(builder, node.dtype, room, [(k, 1)])
        values = [builder.load(place, align=align, typ=kind), total]
        result = ROWS[how](lanes, [from_memory(builder, v, node.dtype) for v in values])
        joined = into_memory(builder, result, node.dtype)
        total.add_incoming(joined, builder.block)
    builder.store(joined, here, align=align)


def lanes_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The floats as which elements of a dtype go through registers."""
    return dtype if dtype.kind == "f" else FLOAT64 if dtype.itemsize > 1 else FLOAT32


def pointer(code: Code, view: View, like: Expr) -> Any:
    """To a view's first element."""
    return moved(code.builder, like.dtype, view.base, [(1, view.offset)])
