"""Lays a matrix out in the panels from which a matrix product reads it (see matmul.py)."""

from __future__ import annotations

from typing import Any

from minigrad.compile.backends.native.irtools import (
    counted,
    float_type,
    load_lanes,
    moved,
    pointer_function,
    store_lanes,
)
from minigrad.compile.backends.native.jit import Cpu, host, llvm
from minigrad.compile.backends.native.panels import Matmul, Panels, panels


def packed_size(product: Matmul, cpu: Cpu | None = None) -> int:
    """Elements of the packed form of B."""
    return sum(p.count * p.padded * product.k for p in panels(product, cpu or host()))


def emit_pack(module: Any, name: str, product: Matmul, cpu: Cpu | None = None) -> Any:
    """Emit `void name(packed*, B*)`, which lays B out as `emit_matmul` reads it where packed."""
    function, builder = pointer_function(module, name, 2)
    packed, b = function.args
    fill = _fill_transposed if product.transpose_b else _fill
    for panel in panels(product, cpu or host()):
        with counted(builder, panel.count) as index:
            column = panel.column * (product.stride_b if product.transpose_b else 1)
            step = panel.width * (product.stride_b if product.transpose_b else 1)
            target = [(index, panel.padded * product.k), (1, panel.column * product.k)]
            fill(
                builder,
                product,
                panel,
                moved(builder, product.dtype, packed, target),
                moved(builder, product.dtype, b, [(index, step), (1, column)]),
            )
    builder.ret_void()
    return function


def _fill(builder: Any, product: Matmul, panel: Panels, target: Any, source: Any) -> None:
    """Copy a panel's rows."""
    vector = llvm().ir.VectorType(float_type(product.dtype), panel.lanes)
    with counted(builder, product.k) as row:
        for first in range(0, panel.width, panel.lanes):
            count = min(panel.lanes, panel.width - first)
            here = moved(builder, product.dtype, source, [(row, product.stride_b), (1, first)])
            value = load_lanes(builder, here, vector, count)
            there = moved(builder, product.dtype, target, [(row, panel.padded), (1, first)])
            store_lanes(builder, value, there, panel.lanes)


def _fill_transposed(
    builder: Any, product: Matmul, panel: Panels, target: Any, source: Any
) -> None:
    """Transpose a panel square by square, in registers: four times as fast as by elements."""
    lanes = panel.lanes
    for column, columns, across in _squares(panel.width, lanes):
        for row, rows, down in _squares(product.k, lanes):
            with counted(builder, columns) as i, counted(builder, rows) as j:
                from_b = [
                    (i, lanes * product.stride_b),
                    (j, lanes),
                    (1, column * product.stride_b + row),
                ]
                to = [(i, lanes), (j, lanes * panel.padded), (1, row * panel.padded + column)]
                here = moved(builder, product.dtype, source, from_b)
                there = moved(builder, product.dtype, target, to)
                _transpose(builder, product, panel, there, here, (across, down))


def _squares(size: int, side: int) -> list[tuple[int, int, int]]:
    """(start, count, extent): the whole squares along a side, and the rest."""
    whole, rest = divmod(size, side)
    cut = [(0, whole, side), (whole * side, 1, rest)]
    return [(start, count, extent) for start, count, extent in cut if count and extent]


def _transpose(
    builder: Any,
    product: Matmul,
    panel: Panels,
    target: Any,
    source: Any,
    extent: tuple[int, int],
) -> None:
    """One square: `across` rows of the stored B, `down` entries of each, zero-padded across."""
    across, down = extent
    lanes = panel.lanes
    vector = llvm().ir.VectorType(float_type(product.dtype), lanes)
    rows = [vector(None)] * lanes
    for i in range(across):
        here = moved(builder, product.dtype, source, [(1, i * product.stride_b)])
        rows[i] = load_lanes(builder, here, vector, down)
    # Interleaving row i with row i + half rotates the bits of (row, lane) by one; as many times
    # as a row has bits, and the two have changed places.
    half = lanes // 2
    for _ in range(lanes.bit_length() - 1):
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [_interleave(builder, a, b, start, lanes) for a, b in pairs for start in (0, half)]
    for i in range(down):
        there = moved(builder, product.dtype, target, [(1, i * panel.padded)])
        store_lanes(builder, rows[i], there, lanes)


def _interleave(builder: Any, a: Any, b: Any, start: int, lanes: int) -> Any:
    """a[start], b[start], a[start + 1], ... for half the lanes of each."""
    ir = llvm().ir
    index = ir.IntType(32)
    mask = [index(start + lane // 2 + lanes * (lane % 2)) for lane in range(lanes)]
    return builder.shuffle_vector(a, b, ir.VectorType(index, lanes)(mask))
