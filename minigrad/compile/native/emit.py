"""The code of single stages that are no products: groups of pointwise ops, sums, copies, parts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from minigrad.compile.native.irtools import float_type
from minigrad.compile.native.irtools import int64 as index
from minigrad.compile.native.jit import llvm
from minigrad.compile.native.layout import bytes_of, parts
from minigrad.compile.native.memory import Memory
from minigrad.compile.native.pointwise import ROWS, constant, for_each
from minigrad.compile.native.stages import Schedule, Stage
from minigrad.compile.native.views import UnsupportedError, View
from minigrad.graph import Expr
from minigrad.ops.core import BROADCAST, RESHAPE, uniform_value
from minigrad.ops.index import GETITEM
from minigrad.ops.shape import PERMUTE
from minigrad.types import TensorType


@dataclass
class Code:
    """What the emitting functions share while they make the code of one body."""

    module: Any
    builder: Any
    plan: Schedule
    memory: Memory
    scratch: Any
    names: itertools.count[int] = field(default_factory=itertools.count)
    in_loop: bool = False
    home: dict[Expr, View] = field(default_factory=dict)
    """Where a node's value is read."""
    copies: dict[Expr, list[View]] = field(default_factory=dict)
    """Where else it is to be written."""
    packed: dict[Expr, Any] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    """Scratch memory that is given back when the body's code is complete."""

    def within(self, plan: Schedule) -> Code:
        """For the body of a loop that is a stage of this one."""
        return Code(
            self.module, self.builder, plan, self.memory, self.scratch, self.names, in_loop=True
        )

    def give_back(self) -> None:
        """The body's code is complete."""
        while self.taken:
            self.memory.give_back(self.taken.pop())

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
            known[n] = ROWS[n.op.name](lanes, operands)
        return [known[n] for n, _ in writes]

    shape = stage.nodes[0].shape
    views = [code.view(a).broadcast(shape) for a in reads]
    for_each(code.builder, shape, stage.dtype, views, compute, [v for _, v in writes])


def copy(code: Code, type_: TensorType, view: View, targets: Sequence[View]) -> None:
    """Write what lies in one place to others."""
    same: Callable[..., list[Any]] = lambda lanes, values: values * len(targets)  # noqa: E731
    if targets:
        for_each(code.builder, type_.shape, type_.dtype, [view], same, targets)


def copy_or_fill(code: Code, node: Expr, target: View) -> None:
    """Write a node that lies somewhere, or is a number, to a place."""
    if uniform_value(node) is None:
        copy(code, node.type, code.view(node), [target])
    else:
        fill(code, node, target)


def fill(code: Code, node: Expr, target: View) -> None:
    """Write a number to all of a place."""
    number: Callable[..., list[Any]] = lambda lanes, values: [constant(lanes, node)]  # noqa: E731
    for_each(code.builder, target.shape, node.dtype, [], number, [target])


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
    fill_zero(code, node, code.home[node])
    copy_or_fill(code, node.args[0], code.home[node].indexed(node.attrs[0]))
    write_copies(code, node)


def fill_zero(code: Code, node: Expr, target: View) -> None:
    """Write zeros to all of a place."""
    zero: Callable[..., list[Any]] = lambda lanes, values: [lanes.const(0.0)]  # noqa: E731
    for_each(code.builder, target.shape, node.dtype, [], zero, [target])


def emit_sum(code: Code, node: Expr) -> None:
    """Add the operand's elements, in order, onto zeros."""
    (term,), (axes,) = node.args, node.attrs
    view = code.view(term)
    fill_zero(code, node, code.home[node])
    _add_up(code, node, view, axes, code.home[node])
    write_copies(code, node)


def _add_up(code: Code, node: Expr, term: View, axes: tuple[int, ...], out: View) -> None:
    waiting = iter(out.strides)
    strides = tuple(0 if k in axes else next(waiting) for k in range(len(term.shape)))
    total = View(out.base, term.shape, strides, out.offset)
    add: Callable[..., list[Any]] = lambda lanes, values: [lanes.add(*values)]  # noqa: E731
    for_each(code.builder, term.shape, node.dtype, [term, total], add, [total])


def pointer(code: Code, view: View, like: Expr) -> Any:
    """To a view's first element."""
    return code.builder.gep(
        view.base, [index(view.offset)], source_etype=float_type(like.dtype.name)
    )
