"""Indexing with arrays of integers: reading (getitem) and adding up (scatter), index by index.

An index out of range sets a flag and counts as 0: the caller finds the flag set, and lets NumPy say
what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from minigrad.compile.backends.native.emit import Code, copy, fill_with, join, lying, write_copies
from minigrad.compile.backends.native.irtools import int64, memory_type, moved, nest
from minigrad.compile.backends.native.views import UnsupportedError, View
from minigrad.graph.node import Expr
from minigrad.ops.arithmetic import add
from minigrad.ops.index import ARRAY, NEW, SCATTER, Spec, axis_of_arrays
from minigrad.types import INT64, broadcast_shapes


def check_indices(node: Expr) -> None:
    """Raise UnsupportedError for a getitem or scatter that no code can be made for."""
    whole = node.type if node.op is SCATTER else node.args[0].type
    if any(a.dtype != INT64 for a in node.args[1:]):
        raise UnsupportedError("an index array that is not of int64")
    if 0 in whole.shape:  # an index out of range would read there, and there is no place 0
        raise UnsupportedError("indices into nothing")


def emit_gather(code: Code, node: Expr) -> None:
    """The elements of x that stand at each index."""
    out = code.home[node]
    inner, indexed = _cut(code.view(node.args[0]), node.attrs[0])
    with _places(code, node, inner, indexed, out) as (there, here):
        copy(code, node.type.with_shape(inner.shape), there, [here])
    write_copies(code, node)


def emit_scatter_add(code: Code, node: Expr) -> None:
    """Zeros, with the values added where each index says, in order."""
    fill_with(code, node, 0.0, code.home[node])
    inner, indexed = _cut(code.home[node], node.attrs[0])
    addends = code.view(node.args[0])
    with _places(code, node, inner, indexed, addends) as (there, here):
        join(code, node, add.op, lying(here, node), there)
    write_copies(code, node)


def _cut(view: View, spec: Spec) -> tuple[View, list[tuple[int, int]]]:
    """A view of what the first index of all arrays points at; stride and length of their axes."""
    axes = [entry for entry in spec if entry != NEW]
    sizes = zip(axes, view.strides, view.shape, strict=True)
    inner = view.indexed(tuple([("i", 0) if entry == ARRAY else entry for entry in spec]))
    return inner, [(stride, length) for entry, stride, length in sizes if entry == ARRAY]


@contextmanager
def _places(
    code: Code, node: Expr, inner: View, indexed: Sequence[tuple[int, int]], other: View
) -> Iterator[tuple[View, View]]:
    """For each index: what it points at within `inner`, and its own place in the other view."""
    arrays = node.args[1:]
    shape = broadcast_shapes(*[a.shape for a in arrays])
    start = axis_of_arrays(node.attrs[0])
    end = start + len(shape)
    beside = View(
        other.base,
        other.shape[:start] + other.shape[end:],
        other.strides[:start] + other.strides[end:],
        other.offset,
    )
    lists = [code.view(a).broadcast(shape) for a in arrays]
    with nest(code.builder, shape) as counters:
        terms = [
            (_index(code, view, counters, length), stride)
            for view, (stride, length) in zip(lists, indexed, strict=True)
        ]
        own = zip(counters, other.strides[start:end], strict=True)
        there = moved(code.builder, node.dtype, inner.base, terms)
        here = moved(code.builder, node.dtype, beside.base, own)
        yield replace(inner, base=there), replace(beside, base=here)


def _index(code: Code, view: View, counters: Sequence[Any], length: int) -> Any:
    """The index at some counters, counted from the start; 0 and the flag set if out of range."""
    b, word = code.builder, memory_type(INT64)
    terms = [(1, view.offset), *zip(counters, view.strides, strict=True)]
    number = b.load(moved(b, INT64, view.base, terms), typ=word, align=8)
    back = b.add(number, int64(length))
    place = b.select(b.icmp_signed("<", number, int64(0)), back, number)
    outside = b.icmp_unsigned(">=", place, int64(length))
    flag = code.flag()
    b.store(b.or_(b.load(flag, typ=word), b.zext(outside, word)), flag)
    return b.select(outside, int64(0), place)
