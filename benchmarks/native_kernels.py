"""What the native backend's kernels reach: matrix products against NumPy's BLAS, and functions.

    OPENBLAS_NUM_THREADS=1 python benchmarks/native_kernels.py [float32|float64]

GFLOP/s of C = A @ B on one thread: B read where it lies, B packed beforehand (as before a loop),
packed in blocks within the product, and NumPy, in turn within one run. Then nanoseconds an element
of each elementary function, as a loop over 16384 numbers, and NumPy's. Best of many, since machines
are noisy; calling from Python is counted, about a microsecond.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy loads it

import numpy as np
from rich.console import Console
from rich.table import Table

from minigrad.compile.backends.native import jit, vecmath
from minigrad.compile.backends.native.blocked import emit_blocked_matmul, workspace_size
from minigrad.compile.backends.native.irtools import counted, float_type, pointer_function
from minigrad.compile.backends.native.matmul import Matmul, emit_matmul, emit_pack, packed_size

SHAPES = [
    (16, 32, 128),
    (32, 64, 256),
    (32, 256, 64),
    (32, 128, 512),
    (64, 256, 1024),
    (64, 512, 2048),
    (64, 3200, 256),
    (128, 6400, 512),
]
COUNT = 16384


def best(calls: list[Callable[[], Any]], seconds: float = 0.4) -> list[float]:
    """The least time of each call, in turn, so that a noisy moment meets all of them."""
    least = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            least[i] = min(least[i], time.perf_counter() - start)
    return least


def peak(dtype: str) -> float:
    """GFLOP/s of a long product whose B stays in L1: what the kernel itself can do here."""
    return float(matmul_row((1200, 64, 4 * jit.host().lanes(dtype)), dtype)[2])


def matmul_row(shape: tuple[int, int, int], dtype: str) -> list[str]:
    """One shape's figures."""
    m, k, n = shape
    direct, product = Matmul(m, k, n, dtype), Matmul(m, k, n, dtype, packed=True)
    start = time.perf_counter()
    module = jit.new_module()
    emit_matmul(module, "direct", direct)
    emit_matmul(module, "packed", product)
    emit_pack(module, "pack", product)
    emit_blocked_matmul(module, "blocked", direct)
    code = jit.compile_module(module)
    compiling = time.perf_counter() - start
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    c, panels = np.empty((m, n), dtype), np.empty(packed_size(product), dtype)
    workspace = np.empty(workspace_size(direct), dtype)
    at_a, at_b, at_c, at_panels, at_workspace = (
        x.ctypes.data for x in (a, b, c, panels, workspace)
    )
    run_direct, run_packed = code.function("direct", 3), code.function("packed", 3)
    run_blocked = code.function("blocked", 4)
    code.function("pack", 2)(at_panels, at_b)
    times = best(
        [
            lambda: run_direct(at_c, at_a, at_b),
            lambda: run_packed(at_c, at_a, at_panels),
            lambda: run_blocked(at_c, at_a, at_b, at_workspace),
            lambda: np.matmul(a, b, out=c),
        ]
    )
    speeds = [2e-9 * m * k * n / t for t in times]
    return [f"{m}, {k}, {n}", *(f"{s:.0f}" for s in speeds), f"{compiling * 1e3:.0f}"]


def function_row(name: str, dtype: str) -> list[str]:
    """One elementary function's figures, in vectors as blocks have them."""
    start = time.perf_counter()
    operands = 2 if name in ("atan2", "hypot", "hypot_slope", "logaddexp", "pow") else 1
    module, lanes = jit.new_module(), jit.host().lanes(dtype)
    function, builder = pointer_function(module, f"of {name}", 1 + operands)
    kind, align = float_type(dtype), np.dtype(dtype).itemsize
    vector = jit.llvm().ir.VectorType(kind, lanes)
    with counted(builder, COUNT, lanes) as i:
        y, *xs = (builder.gep(p, [i], source_etype=kind) for p in function.args)
        values = [builder.load(x, align=align, typ=vector) for x in xs]
        builder.store(vecmath.emit(builder, name, *values), y, align=align)
    builder.ret_void()
    run = jit.compile_module(module).function(f"of {name}", 1 + operands)
    compiling = time.perf_counter() - start
    high = 1 if name in ("asin", "acos", "atanh") else 5
    rng = np.random.default_rng(0)
    given = [rng.uniform(1 if name == "acosh" else 0.1, high, COUNT).astype(dtype)] * operands
    ys = np.empty_like(given[0])
    places = [a.ctypes.data for a in (ys, *given)]
    calls: list[Callable[[], Any]] = [lambda: run(*places)]
    numpys = getattr(np, name, None)
    if numpys is not None:
        calls.append(lambda: numpys(*given, out=ys))
    figures = [f"{t / COUNT * 1e9:.2f}" for t in best(calls, 0.1)]
    return [name, figures[0], figures[1] if numpys is not None else "", f"{compiling * 1e3:.0f}"]


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print figures under their headings."""
    result = Table(title=title)
    for i, column in enumerate(columns):
        result.add_column(column, justify="right" if i else "left")
    for row in rows:
        result.add_row(*row)
    Console(width=120).print(result)


def main() -> None:
    """Print both tables, or that of functions alone."""
    dtype = sys.argv[1] if len(sys.argv) > 1 else "float32"
    cpu = jit.host()
    print(
        f"{cpu.name}: vectors of {cpu.vector_bytes} bytes; with B in L1 {peak(dtype):.0f} GFLOP/s"
    )
    table(
        f"C = A @ B, {dtype}, GFLOP/s on one thread",
        ["M, K, N", "B in place", "packed before", "in blocks", "NumPy", "compile, ms (all)"],
        [matmul_row(shape, dtype) for shape in SHAPES],
    )
    table(
        f"functions, {dtype}, ns an element",
        ["function", "native", "NumPy", "compile, ms"],
        [function_row(name, dtype) for name in sorted(vecmath.FUNCTIONS)],
    )


if __name__ == "__main__":
    main()
