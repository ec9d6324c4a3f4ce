"""Emitted matrix products: every shape and variant against NumPy in float64, guards untouched."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import jit
from minigrad.compile.backends.native.blocked import emit_blocked_matmul, workspace_size
from minigrad.compile.backends.native.kernel import _written
from minigrad.compile.backends.native.matmul import Matmul, emit_matmul, emit_pack, packed_size

GUARD = 64  # elements of NaN before, after and between the rows of every array
# vectors of 16, 32 and 64 bytes and both register counts; a CPU runs those that it has
CPUS = {
    "host": jit.host(),
    "baseline": jit.Cpu("", "", 16, 16),
    "many registers": jit.Cpu(jit.host().name, jit.host().features, 16, 32),
    "wide vectors": jit.Cpu(jit.host().name, jit.host().features, 64, 16),
}


class Guarded:
    """A matrix amid NaN, its rows `stride` apart."""

    def __init__(self, values, stride):
        rows, columns = values.shape
        self.memory = np.full(2 * GUARD + rows * stride, np.nan, values.dtype)
        body = self.memory[GUARD : GUARD + rows * stride].reshape(rows, stride)
        self.view = body[:, :columns]
        self.view[...] = values
        self.address = body.ctypes.data

    def outside(self):
        """A copy in which the matrix is NaN too: all of it should be."""
        inside, kept = self.view, self.view.copy()
        inside[...] = np.nan
        copy = self.memory.copy()
        inside[...] = kept
        return copy


def check_all(products, rng, cpu=None, effort=jit.Effort.FULL):
    """Compile the products in one module, run each, compare, look at the guards."""
    module = jit.new_module()
    for i, product in enumerate(products):
        emit_matmul(module, f"matmul{i}", product, cpu)
        if product.packed:
            emit_pack(module, f"pack{i}", product, cpu)
    code = jit.compile_module(module, cpu, effort=effort)
    for i, product in enumerate(products):
        check(code, i, product, rng, cpu)


def check(code, i, product, rng, cpu):
    """Run one product of a module, its B packed first where it wants that."""

    def run(c, a, b):
        if product.packed:
            size = packed_size(product, cpu)
            packed = Guarded(np.full((1, size), np.nan, product.dtype), size)
            code.function(f"pack{i}", 2)(packed.address, b)
            assert not np.isnan(packed.view).any()  # padding included
            assert np.isnan(packed.outside()).all()
            b = packed.address
        code.function(f"matmul{i}", 3)(c, a, b)

    compare(run, product, rng)


def compare(run, product, rng):
    """Let run(C, A, B) compute the product; compare with float64, and look at C's guards."""
    m, k, n = product.m, product.k, product.n
    a, b, c = (rng.standard_normal(s).astype(product.dtype) for s in ((m, k), (k, n), (m, n)))
    in_a = Guarded(a.T if product.transpose_a else a, product.stride_a)
    in_b = Guarded(b.T if product.transpose_b else b, product.stride_b)
    out = Guarded(c, product.stride_c)
    run(out.address, in_a.address, in_b.address)
    wide_a, wide_b = a.astype(float), b.astype(float)
    exact = wide_a @ wide_b + (c if product.accumulate else 0)
    sizes = np.abs(wide_a) @ np.abs(wide_b) + np.abs(c)
    bound = (k + 2) * np.finfo(product.dtype).eps * sizes
    assert (np.abs(out.view - exact) <= bound).all(), product
    assert np.isnan(out.outside()).all(), product


def variants(m, k, n, rng):
    """One of each way to lay out B, the rest drawn."""
    for packed, transpose_b in ((False, False), (True, False), (True, True)):
        dtype = str(rng.choice(["float32", "float64"]))
        transpose_a, accumulate = (bool(x) for x in rng.integers(0, 2, 2))
        pads = rng.integers(0, 2, 3) * rng.integers(1, 9, 3)
        lda, ldb, ldc = (
            int(size + pad) if pad else 0
            for size, pad in zip(
                (m if transpose_a else k, k if transpose_b else n, n), pads, strict=True
            )
        )
        yield Matmul(m, k, n, dtype, lda, ldb, ldc, transpose_a, transpose_b, accumulate, packed)


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("seed", range(4))
def test_small_shapes(seed, cpu):
    rng = np.random.default_rng(seed)
    shapes = rng.integers(1, 21, (6, 3)).tolist()
    products = [p for m, k, n in shapes for p in variants(m, k, n, rng)]
    effort = (jit.Effort.FULL, *[jit.Effort.QUICK] * 3)[seed]
    check_all(products, rng, None if cpu == "host" else CPUS[cpu], effort)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (1, 40, 64),
        (40, 1, 64),
        (40, 64, 1),
        (16, 32, 128),
        (37, 41, 75),
        (33, 70, 129),
        (7, 31, 200),
        (50, 1100, 70),  # K is cut, the last cut shorter
        (300, 17, 33),
    ],
)
def test_larger_shapes(shape, rng):
    for effort in (jit.Effort.FULL, jit.Effort.QUICK):
        check_all(list(variants(*shape, rng=rng)), rng, effort=effort)


@pytest.mark.parametrize("shape", [(5, 7, 3), (13, 300, 20), (20, 1030, 140), (3, 1537, 70)])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_b_packed_in_blocks(shape, transpose_b, rng):
    for product in variants(*shape, rng=rng):
        if product.packed and product.transpose_b == transpose_b:
            module = jit.new_module()
            emit_blocked_matmul(module, "blocked", product)
            size = workspace_size(product)
            workspace = Guarded(np.full((1, size), np.nan, product.dtype), size)
            blocked = jit.compile_module(module).function("blocked", 4)

            def run(c, a, b, blocked=blocked, workspace=workspace):
                blocked(c, a, b, workspace.address)

            compare(run, product, rng)
            assert np.isnan(workspace.outside()).all()


def test_infinite_and_nan_entries_reach_only_their_own_sums(rng):
    product = Matmul(9, 8, 21, packed=True)
    module = jit.new_module()
    emit_matmul(module, "matmul", product)
    emit_pack(module, "pack", product)
    code = jit.compile_module(module)
    a, b = (rng.standard_normal(s).astype("float32") for s in ((9, 8), (8, 21)))
    b[3, 20], a[2, 1], a[8, 7] = np.inf, np.nan, -np.inf
    packed, c = np.empty(packed_size(product), "float32"), np.empty((9, 21), "float32")
    code.function("pack", 2)(packed.ctypes.data, b.ctypes.data)
    code.function("matmul", 3)(c.ctypes.data, a.ctypes.data, packed.ctypes.data)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)


def test_products_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Matmul(0, 2, 3)
    with pytest.raises(TypeError, match="int32"):
        Matmul(1, 2, 3, "int32")
    with pytest.raises(ValueError, match="must be packed"):
        Matmul(1, 2, 3, transpose_b=True)


@pytest.mark.skipif(sys.platform == "win32", reason="guard pages are made with mprotect")
@pytest.mark.parametrize("transpose_b", [False, True])
def test_nothing_beyond_an_array_is_read(transpose_b, rng):
    """Each array ends where a page ends, and the next page may not be touched."""
    page = mmap.PAGESIZE
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    held = []

    def at_end_of_page(values):
        pages = mmap.mmap(-1, (-(-values.nbytes // page) + 1) * page)
        everything = np.frombuffer(pages, np.uint8)
        body = everything[len(pages) - page - values.nbytes : len(pages) - page]
        body[...] = np.frombuffer(values.tobytes(), np.uint8)
        assert protect(everything.ctypes.data + len(pages) - page, page, 0) == 0
        held.append((pages, everything, page))
        return body.view(values.dtype).reshape(values.shape)

    for dtype in ("float32", "float64"):
        product = Matmul(7, 11, 21, dtype, packed=transpose_b, transpose_b=transpose_b)
        module = jit.new_module()
        emit_matmul(module, "matmul", product)
        emit_pack(module, "pack", product)
        code = jit.compile_module(module)
        a, b = (rng.standard_normal(s).astype(dtype) for s in ((7, 11), (11, 21)))
        c = at_end_of_page(np.zeros((7, 21), dtype))
        in_a = at_end_of_page(a)
        in_b = at_end_of_page(np.ascontiguousarray(b.T) if transpose_b else b)
        packed = at_end_of_page(np.zeros(packed_size(product), dtype))
        code.function("pack", 2)(packed.ctypes.data, in_b.ctypes.data)
        read = packed if transpose_b else in_b
        code.function("matmul", 3)(c.ctypes.data, in_a.ctypes.data, read.ctypes.data)
        np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)
    for pages, everything, size in held:  # freed memory must be accessible again
        start = everything.ctypes.data + len(pages) - size
        assert protect(start, size, mmap.PROT_READ | mmap.PROT_WRITE) == 0


@pytest.mark.parametrize("columns", [16, 19])
def test_kernels_are_written_once_for_all_modules(columns):
    """Another depth in whole blocks, as of another length of a loop, has the same kernels."""
    _written.cache_clear()
    texts = []
    for _ in range(2):
        module = jit.new_module()
        for depth in (1024, 1536):
            emit_matmul(module, f"matmul{depth}", Matmul(12, depth, columns, "float32"))
        texts.append(str(module))
        known = _written.cache_info()
    assert texts[0] == texts[1]
    assert known.misses == known.currsize == texts[0].count('define internal void @"kernel_')
    assert known.hits == known.misses
    called, declared = (
        {*re.findall(rf'{word} .*@"(llvm[^"]*)"', texts[1])} for word in ("call", "declare")
    )
    assert called == declared
    jit.compile_module(texts[1])
