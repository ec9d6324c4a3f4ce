"""Matrix products of known shape as LLVM IR: C = A @ B or C += A @ B, row-major.

The product is cut into register blocks: so many rows of A times a panel of B a few vectors wide,
whose sums stay in registers over the whole of K. A kernel is emitted once for each height and width
that occurs and called from loops over blocks: unrolled blocks compile ten times as long.

B is read where it lies, or from panels that `emit_pack` laid out: contiguous in the order of use,
zero-padded to whole vectors. Packing pays where B serves many products or many rows (pack once,
outside the loop over time), and is the only way to read a transposed B.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from minigrad.compile.backends.native.irtools import counted, int64, moved, pointer_function
from minigrad.compile.backends.native.jit import Cpu, host, llvm
from minigrad.compile.backends.native.kernel import DEEP, Kernel, emit_kernel
from minigrad.compile.backends.native.pack import emit_pack, packed_size
from minigrad.compile.backends.native.panels import Matmul, Panels, panels

__all__ = ["Matmul", "emit_matmul", "emit_pack", "packed_size"]


def emit_matmul(module: Any, name: str, product: Matmul, cpu: Cpu | None = None) -> Any:
    """Emit `void name(C*, A*, B*)` into the module; the `ir.Function`. The arrays must not overlap.

    Elements of C between its columns' end and the next row are left alone.
    """
    cpu = cpu or host()
    function, builder = pointer_function(module, name, 3)
    c, a, b = function.args
    depth = product.k if product.m <= _rows_limit(1, cpu) else _depth_block(product)
    with counted(builder, product.k, depth) as start:
        for panel in panels(product, cpu):
            with counted(builder, panel.count) as index:
                _emit_panel(builder, product, panel, depth, (c, a, b), (start, index), cpu)
    builder.ret_void()
    return function


def _depth_block(product: Matmul) -> int:
    """K cut evenly so that a panel of B and a few rows of A stay in the nearer caches."""
    limit = DEEP * 4 // np.dtype(product.dtype).itemsize
    return ceil(product.k / ceil(product.k / limit))


def _rows_limit(vectors: int, cpu: Cpu) -> int:
    """Rows of a block so that its sums fill three quarters of the registers."""
    return min(16, cpu.vector_registers * 3 // 4 // vectors)


def _emit_panel(
    builder: Any,
    product: Matmul,
    panel: Panels,
    depth: int,
    arrays: tuple[Any, Any, Any],
    position: tuple[Any, Any],
    cpu: Cpu,
) -> None:
    """All rows times one panel, over K from `start` for `depth` or to its end."""
    start, index = position
    c, a, b = arrays
    whole = depth >= product.k
    if product.packed:
        panel_size = panel.padded * product.k
        offset = [(index, panel_size), (start, panel.padded), (1, panel.column * product.k)]
    else:
        offset = [(index, panel.width), (start, product.stride_b), (1, panel.column)]
    b = moved(builder, product.dtype, b, offset)
    c = moved(builder, product.dtype, c, [(index, panel.width), (1, panel.column)])
    a = moved(builder, product.dtype, a, [(start, product.stride_a if product.transpose_a else 1)])
    row_stride = 1 if product.transpose_a else product.stride_a
    for first, count, rows in _row_blocks(product.m, _rows_limit(panel.vectors, cpu)):
        kernel = Kernel(
            dtype=product.dtype,
            rows=rows,
            vectors=panel.vectors,
            lanes=panel.lanes,
            width=panel.width,
            a_row=row_stride,
            a_depth=product.stride_a if product.transpose_a else 1,
            b_depth=panel.padded if product.packed else product.stride_b,
            b_padded=product.packed,
            c_row=product.stride_c,
            depth=depth if whole else None,
            accumulate=product.accumulate if whole else None,
        )
        function = emit_kernel(builder.module, kernel)
        with counted(builder, count) as block:
            rows_at = [(block, rows), (1, first)]
            here_c = moved(
                builder, product.dtype, c, [(i, s * product.stride_c) for i, s in rows_at]
            )
            to_a = [(i, s * row_stride) for i, s in rows_at]
            here_a = moved(builder, product.dtype, a, to_a)
            extra = [] if whole else _depth_and_load(builder, product, start, depth)
            builder.call(function, [here_c, here_a, b, *extra])


def _row_blocks(m: int, limit: int) -> list[tuple[int, int, int]]:
    """(first row, count, height) of the blocks: evenly cut, so that there are two heights at most.

    16 rows are 6 + 5 + 5, not 6 + 6 + 4: a low block has too few sums to hide the latency of FMA.
    """
    height, taller = divmod(m, ceil(m / limit))
    shorter = ceil(m / limit) - taller
    cut = [(0, taller, height + 1), (taller * (height + 1), shorter, height)]
    return [block for block in cut if block[1]]


def _depth_and_load(builder: Any, product: Matmul, start: Any, depth: int) -> list[Any]:
    """A block's share of K, and whether it adds to C: all but the first do."""
    left = builder.sub(int64(product.k), start)
    full = builder.icmp_signed("<", int64(depth), left)
    boolean = llvm().ir.IntType(1)
    later = builder.icmp_signed("<", int64(0), start)
    load = boolean(1) if product.accumulate else later
    return [builder.select(full, int64(depth), left), load]
