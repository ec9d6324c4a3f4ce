"""Bodies of one op that threads share: a loop whose rows are independent, or a matrix product.

A share is the same body over some of the rows, or of the product's rows or columns. It reads and
writes its part of the whole arrays, where they lie.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace

from minigrad.compile.backends.native.rows import independent_rows, take_rows
from minigrad.graph.node import Expr, make
from minigrad.loop.body import Body, body_var
from minigrad.loop.node import SCAN
from minigrad.ops.batch import stacked
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import PERMUTE
from minigrad.ops.tuples import ITEM, item

# Columns of a share: whole panels of the kernel.
COLUMNS = 64


@dataclass(frozen=True)
class Shares:
    """Bodies that compute a whole side by side."""

    parts: list[tuple[int, Body]]
    """The first row of each, and what computes it."""
    moves: list[int]
    """For each input and output, bytes from a row to the next; 0 where shares have all of it."""


def alone(node: Expr) -> tuple[list[Expr], Body]:
    """What a loop or a product reads, and a body that computes it and nothing else.

    What shares have all of may lie transposed.
    """
    whole = _read_whole(node)
    turned = [k in whole and a.op is PERMUTE for k, a in enumerate(node.args)]
    sources = [a.args[0] if t else a for a, t in zip(node.args, turned, strict=True)]
    inputs = [body_var(k, "const", s.type) for k, s in enumerate(sources)]
    args = [
        make(PERMUTE, (v,), a.attrs) if t else v
        for v, a, t in zip(inputs, node.args, turned, strict=True)
    ]
    return sources, Body(inputs, _results(make(node.op, tuple(args), node.attrs)), 0, 0)


def _read_whole(node: Expr) -> Collection[int]:
    if node.op is MATMUL:
        return (0, 1)
    body = node.attrs[0].body
    rows = independent_rows(body) or set()
    return [k for k, v in enumerate(body.inputs) if v not in rows]


def _results(node: Expr) -> list[Expr]:
    if node.op is not SCAN:
        return [node]
    return [item(node, k) for k in range(len(node.attrs[0].body.outputs))]


def only_op(body: Body) -> Expr:
    """The loop or product of a body that computes nothing else."""
    (first, *_) = body.outputs
    return first.args[0] if first.op is ITEM else first


def can_be_cut(node: Expr) -> bool:
    """Whether there are shares of a node."""
    if node.op is SCAN:
        return independent_rows(node.attrs[0].body) is not None
    return node.op is MATMUL and node.ndim == 2 and node.shape[1] >= 2 * COLUMNS


def cut(body: Body, threads: int) -> Shares:
    """At most so many shares of a body of one loop or product that can be cut."""
    node = only_op(body)
    if node.op is MATMUL:
        return _cut_product(body, node, threads)
    return _cut_loop(body, node, threads)


def _cut_product(body: Body, node: Expr, threads: int) -> Shares:
    """By columns of the right side and of the product."""
    left, right = node.args
    turned = right.op is PERMUTE
    b = right.args[0] if turned else right
    parts = []
    for start, count in evenly(node.shape[1], threads, COLUMNS):
        other = body_var(1, "const", b.type.with_shape(
            (count, b.shape[1]) if turned else (b.shape[0], count)
        ))  # fmt: skip
        product = make(MATMUL, (left, make(PERMUTE, (other,), right.attrs) if turned else other))
        parts.append((start, Body([body.inputs[0], other], [product], 0, 0)))
    size = node.dtype.itemsize
    return Shares(parts, [0, size * b.shape[1] if turned else size, size])


def _cut_loop(body: Body, node: Expr, threads: int) -> Shares:
    """By rows of the batch, from the first step to the last."""
    (loop,) = node.attrs
    step = loop.body
    rows = independent_rows(step) or set()
    parts: list[tuple[int, Body]] = []
    for start, count in evenly(step.carries[0].shape[0], threads, 1):
        fewer = take_rows(step, rows, count)
        carries, xs, constants = step.split([v.type for v in fewer.inputs])
        types = [*carries, *(stacked(x, loop.length) for x in xs), *constants]
        inputs: list[Expr] = []
        args: list[Expr] = []
        for v, t, variable, arg in zip(step.inputs, types, body.inputs, node.args, strict=True):
            inputs.append(body_var(len(inputs), "const", t) if v in rows else variable)
            args.append(inputs[-1] if v in rows else arg)
        share = make(SCAN, tuple(args), (replace(loop, body=fewer),))
        parts.append((start, Body(inputs, _results(share), 0, 0)))
    bytes_of_row = [
        v.dtype.itemsize * (v.size // v.shape[0]) if v in rows else 0
        for v in (*step.inputs, *step.outputs)
    ]
    return Shares(parts, bytes_of_row)


def evenly(size: int, threads: int, unit: int) -> list[tuple[int, int]]:
    """(start, count) of at most so many even shares, each but the last of whole units."""
    units = -(-size // unit)
    threads = min(threads, units)
    bounds = [min(size, units * k // threads * unit) for k in range(threads + 1)]
    return [(a, b - a) for a, b in itertools.pairwise(bounds)]
