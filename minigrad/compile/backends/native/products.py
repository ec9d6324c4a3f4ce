"""Matrix products as stages: which code computes one, and right sides laid out before a loop."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from minigrad.compile.backends.native.blocked import emit_blocked_matmul, workspace_size
from minigrad.compile.backends.native.emit import Code, pointer, write_copies
from minigrad.compile.backends.native.irtools import moved, nest, subnormals_flushed
from minigrad.compile.backends.native.matmul import Matmul, emit_matmul
from minigrad.compile.backends.native.pack import emit_pack, packed_size
from minigrad.compile.backends.native.stages import source
from minigrad.compile.backends.native.views import View
from minigrad.graph.node import Expr
from minigrad.loop.body import Body
from minigrad.ops.core import uniform_value
from minigrad.ops.linalg import MATMUL

# Elements of a right side from which, and rows of a left side from which, packing it pays: at
# 34×800×128 it takes 80 µs for 52, at 66×3200×256 1.19 ms for 1.28, at 192×6400×512 12 for 27.
PACKED, ROWS = 1 << 14, 64


def emit_product(code: Code, node: Expr) -> None:
    """A product, or a stack of them, written to the node's home; subnormals count as zero.

    A weight's gradient sums up what dies away through a loop: with subnormals the product of 1000
    steps took three times as long.
    """
    with nullcontext() if code.in_loop else subnormals_flushed(code.builder):
        _emit_product(code, node)


def _emit_product(code: Code, node: Expr) -> None:
    left, right = node.args
    a, stack = _operand(code, left, node.shape[:-2]), node.shape[:-2]
    b = None if node in code.packed else _operand(code, right, stack)
    _multiply(code, node, a, b, code.home[node])
    write_copies(code, node)


def _operand(code: Code, node: Expr, stack: tuple[int, ...]) -> View:
    """Where a factor lies, its rows or its columns one after the other."""
    view = code.view(node)
    if _leading(view) == NEITHER:
        code.home[node] = view = code.straight(node)
    return view.broadcast((*stack, *node.shape[-2:]))


def _multiply(code: Code, node: Expr, a: View, b: View | None, out: View) -> None:
    (m, n), k = node.shape[-2:], a.shape[-1]
    lda, turned_a = _leading(a)
    ldb, turned_b = _leading(b) if b else (0, False)
    product = Matmul(
        m, k, n, node.dtype.name, lda=lda, ldb=ldb, ldc=_leading(out)[0],
        transpose_a=turned_a, transpose_b=turned_b, packed=not b or turned_b,
    )  # fmt: skip
    if b is None:
        function = code.function(emit_matmul, product)
        operands = [pointer(code, out, node), pointer(code, a, node), code.packed[node]]
        code.builder.call(function, operands)
        return
    packs = turned_b or (k * n >= PACKED and m >= ROWS)
    emitted = code.function(emit_blocked_matmul if packs else emit_matmul, product)
    with (
        code.borrowed(node.type, workspace_size(product) if packs else 1) as workspace,
        nest(code.builder, node.shape[:-2]) as counters,
    ):
        steps = [(v, zip(counters, v.strides[:-2], strict=True)) for v in (out, a, b)]
        operands = [
            moved(code.builder, node.dtype, v.base, [(1, v.offset), *by]) for v, by in steps
        ]
        code.builder.call(emitted, [*operands, workspace] if packs else operands)


NEITHER = (0, False)


def _leading(view: View) -> tuple[int, bool]:
    """The row stride of a matrix, and whether it lies transposed; NEITHER where it lies apart."""
    (rows, columns), (by_row, by_column) = view.shape[-2:], view.strides[-2:]
    if (by_column == 1 or columns == 1) and (by_row >= 1 or rows == 1):
        return (by_row if rows > 1 else max(columns, 1)), False
    if (by_row == 1 or rows == 1) and (by_column >= 1 or columns == 1):
        return (by_column if columns > 1 else max(rows, 1)), True
    return NEITHER


def pack_constants(code: Code, body: Body) -> None:
    """Lay out the right sides that no step changes, once."""
    constants = {*body.constants}
    for stage in code.plan.stages:
        node = stage.nodes[0]
        if node.op is not MATMUL or node.ndim != 2:
            continue
        factor = node.args[1]
        if source(factor) not in constants and uniform_value(factor) is None:
            continue
        right = _operand(code, factor, ())
        ldb, turned = _leading(right)
        (m, n), k = node.shape, right.shape[0]
        product = Matmul(m, k, n, node.dtype.name, ldb=ldb, transpose_b=turned, packed=True)
        packed: Any = code.room(node.type, packed_size(product))
        pack = code.function(emit_pack, product)
        code.builder.call(pack, [packed, pointer(code, right, node)])
        code.packed[node] = packed
