"""Ops that go along an axis step by step: cumulative sums, and the places of extremes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.compile.backends.native.emit import Code, copy, lanes_dtype, write_copies
from minigrad.compile.backends.native.irtools import counted, int64, memory_type, moved, nest
from minigrad.compile.backends.native.lanes import Lanes
from minigrad.compile.backends.native.pointwise import ROWS, for_each
from minigrad.compile.backends.native.views import View
from minigrad.graph.node import Expr
from minigrad.ops.arithmetic import add
from minigrad.ops.sorting import ARGMAX
from minigrad.types import INT64


def emit_cumulative_sum(code: Code, node: Expr) -> None:
    """Each slice is the one before it and the operand's own."""
    (axis,), out, x = node.attrs, code.home[node], code.view(node.args[0])
    kind = lanes_dtype(node.dtype)

    def both(lanes: Lanes, values: list[Any]) -> list[Any]:
        return [ROWS[add.op](lanes, values)]

    if node.shape[axis]:
        with nest(code.builder, node.shape[:axis]) as counters:
            start = _slice(code, out, node, [*counters, int64(0)])
            copy(
                code,
                node.type.with_shape(start.shape),
                _slice(code, x, node, [*counters, int64(0)]),
                [start],
            )
            with counted(code.builder, node.shape[axis] - 1) as k:
                here = [*counters, code.builder.add(k, int64(1))]
                reads = [_slice(code, out, node, [*counters, k]), _slice(code, x, node, here)]
                write = _slice(code, out, node, here)
                places = [(view, node.dtype) for view in (*reads, write)]
                for_each(code.builder, write.shape, kind, places[:2], both, places[2:])
    write_copies(code, node)


def _slice(code: Code, view: View, node: Expr, counters: Sequence[Any]) -> View:
    """What lies at some counters of the first axes."""
    count = len(counters)
    terms = zip(counters, view.strides[:count], strict=True)
    base = moved(code.builder, node.dtype, view.base, terms)
    return View(base, view.shape[count:], view.strides[count:], view.offset)


def emit_place_of_extreme(code: Code, node: Expr) -> None:
    """The place along an axis of the first element that no other is beyond; NaN is beyond all."""
    (axis,), out, x = node.attrs, code.home[node], code.view(node.args[0])
    dtype, length = node.args[0].dtype, x.shape[axis]
    builder, word = code.builder, memory_type(INT64)
    strides = x.strides[:axis] + x.strides[axis + 1 :]
    with nest(builder, node.shape) as counters:
        start = moved(builder, dtype, x.base, [(1, x.offset), *zip(counters, strides, strict=True)])
        at = [(1, out.offset), *zip(counters, out.strides, strict=True)]
        target = moved(builder, INT64, out.base, at)
        builder.store(int64(0), target, align=8)
        if length > 1:
            first = builder.load(start, align=dtype.itemsize, typ=memory_type(dtype))
            before = builder.block
            with counted(builder, length) as k:
                best, place = builder.phi(first.type), builder.phi(word)
                best.add_incoming(first, before)
                place.add_incoming(int64(0), before)
                pointer = moved(builder, dtype, start, [(k, x.strides[axis])])
                value = builder.load(pointer, align=dtype.itemsize, typ=first.type)
                taken = _beyond(builder, ">" if node.op is ARGMAX else "<", value, best, dtype)
                value, index = builder.select(taken, value, best), builder.select(taken, k, place)
                best.add_incoming(value, builder.block)
                place.add_incoming(index, builder.block)
            builder.store(index, target, align=8)
    write_copies(code, node)


def _beyond(builder: Any, how: str, value: Any, best: Any, dtype: Any) -> Any:
    if dtype == INT64:
        return builder.icmp_signed(how, value, best)
    missing = builder.fcmp_unordered("uno", value, value)
    there = builder.fcmp_ordered("ord", best, best)
    beyond = builder.fcmp_ordered(how, value, best)
    return builder.or_(beyond, builder.and_(missing, there))
