"""Products of long K whose B is used once: B is packed a block of K at a time, into a workspace.

A weight's gradient is such a product: K is all of batch and time. At 64×6400×512, where a packed B
reaches 95 GFLOP/s, reading B in place runs into cache conflicts (45), and packing all of it goes
through memory twice more (41, packing counted); a block that stays in the cache costs little (92).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.compile.backends.native.irtools import (
    counted,
    float_type,
    moved,
    pointer_function,
)
from minigrad.compile.backends.native.jit import Cpu, host
from minigrad.compile.backends.native.matmul import emit_matmul
from minigrad.compile.backends.native.pack import emit_pack, packed_size
from minigrad.compile.backends.native.panels import Matmul

# bytes of a packed block: of 128 KiB to 1 MiB the best at five of six shapes, on a 1 MiB L2
BLOCK_BYTES = 128 * 1024


def workspace_size(product: Matmul, cpu: Cpu | None = None) -> int:
    """Elements of the workspace that `emit_blocked_matmul`'s function needs."""
    return packed_size(_block(product, _depth(product)), cpu or host())


def emit_blocked_matmul(module: Any, name: str, product: Matmul, cpu: Cpu | None = None) -> Any:
    """Emit `void name(C*, A*, B*, workspace*)`; the `ir.Function`. B may be transposed.

    `product.packed` is ignored: B is as it is stored.
    """
    cpu = cpu or host()
    function, builder = pointer_function(module, name, 4)
    c, a, b, workspace = function.args
    depth = _depth(product)
    count, rest = divmod(product.k, depth)
    if depth < product.k and not product.accumulate:
        _clear(builder, product, c)
    for start, blocks, size in ((0, count, depth), (count * depth, 1, rest)):
        if not size:
            continue
        block = _block(product, size)
        pack = emit_pack(module, f"{name}.pack{size}", block, cpu)
        multiply = emit_matmul(module, f"{name}.multiply{size}", block, cpu)
        step_a = product.stride_a if product.transpose_a else 1
        step_b = 1 if product.transpose_b else product.stride_b
        with counted(builder, blocks) as i:
            here_a, here_b = (
                moved(builder, product.dtype, array, [(i, size * step), (1, start * step)])
                for array, step in ((a, step_a), (b, step_b))
            )
            builder.call(pack, [workspace, here_b])
            builder.call(multiply, [c, here_a, workspace])
    builder.ret_void()
    return function


def _block(product: Matmul, depth: int) -> Matmul:
    """The part of the product that one block of K adds."""
    return replace(
        product,
        k=depth,
        lda=product.stride_a,
        ldb=product.stride_b,
        ldc=product.stride_c,
        packed=True,
        accumulate=product.accumulate or depth < product.k,
    )


def _depth(product: Matmul) -> int:
    """Rows of B in a block: a divisor of K where there is one near, else the rest is a block."""
    size = np.dtype(product.dtype).itemsize
    most = min(product.k, 512, max(64, BLOCK_BYTES // (product.n * size)))
    divisors = [d for d in range(most, most // 2, -1) if product.k % d == 0]
    return divisors[0] if divisors else most


def _clear(builder: Any, product: Matmul, c: Any) -> None:
    zero = float_type(product.dtype)(0.0)
    with counted(builder, product.m) as row, counted(builder, product.n) as column:
        place = [(row, product.stride_c), (column, 1)]
        builder.store(zero, moved(builder, product.dtype, c, place))
