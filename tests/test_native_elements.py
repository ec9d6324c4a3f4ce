"""Pointwise ops in several threads: the same bits, of every shape, dtype and way to lie."""

import ctypes

import numpy as np
import pytest
from workers import share_all

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
from minigrad.compile.backends.native import pointwise, together
from minigrad.compile.backends.native.backend import keep
from minigrad.compile.backends.native.irtools import in_mode, note_mode
from minigrad.compile.backends.native.jit import compile_module, host, llvm, new_module, triple
from minigrad.compile.backends.native.shares import cut, take_share
from minigrad.compile.backends.native.stages import Stage, schedule


def same_bits(inputs, outputs, values, threads):
    """Those of one thread, and of so many; the functions of both."""
    one, more = (mg.function(inputs, outputs, backend="native", threads=n) for n in (1, threads))
    for alone, shared in zip(one(*values), more(*values), strict=True):
        assert alone.tobytes() == shared.tobytes()
    return one, more


@pytest.mark.parametrize(
    ("shape", "dtype", "threads"),
    [
        ((1201,), "float64", 2),
        ((1201,), "float32", 3),
        ((3, 521), "float64", 3),
        ((40, 31), "float32", 2),
        ((7, 1, 200), "float64", 2),
    ],
)
def test_elements_are_shared_and_no_bit_changes(shape, dtype, threads, monkeypatch):
    share_all(monkeypatch)
    monkeypatch.setattr(together, "MANY", 2)
    x, y = mg.var("x", shape, dtype), mg.var("y", shape, dtype)
    row = mg.var("row", shape[-1:], dtype)
    z = mg.tanh(x * row) + mg.exp(-y)
    masked = mg.where(mg.logical_and(x < y, x > 0.1), z, 0.5)
    turned = mg.exp(mg.permute_dims(x, range(len(shape))[::-1]))
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(v.shape).astype(dtype) for v in (x, y, row)]
    outputs = [z, masked, x < y, mg.sum(masked * z), mg.concat([z, masked], axis=0), turned]
    _, more = same_bits([x, y, row], outputs, values, threads)
    assert f"block, in {threads} threads" in str(more.report())


def test_what_is_small_is_computed_by_one():
    for n, threads in ((90_000, 1), (10**6, 2)):
        x = mg.var("x", (n,))
        y = x
        for k in range(8):
            y = mg.tanh(y + k)
        plan = together.side_by_side(schedule([y]), 2)
        assert together.team_size(plan, 2) == threads, n


def test_shares_are_all_elements_once():
    x = mg.var("x", (3, 1001))
    y = mg.tanh(x)
    stage = Stage([y, y * 2.0], pointwise=True)
    shares = cut(stage, 4)
    assert [first % 64 for first, _ in shares] == [0] * 4  # whole vectors, as one thread has them
    assert [first + count for first, count in shares] == [*[s for s, _ in shares[1:]], 1001]
    part, places = take_share(stage, shares[1])
    assert [n.shape for n in part.nodes] == [(3, shares[1][1])] * 2
    assert [whole for whole, _ in places.values()] == stage.nodes
    assert cut(Stage([mg.tanh(mg.var("z", (1,)))], pointwise=True), 4) == []


@pytest.mark.skipif(not triple().startswith("x86_64"), reason="needs an x86-64 CPU")
def test_a_part_computes_as_the_calling_thread_does():
    """Subnormals as zero where the caller takes them so, and its own way again afterwards."""
    ir = llvm().ir
    pointer, word = ir.PointerType(), ir.IntType(32)
    module = new_module()
    for name in ("inner", "outer"):
        signature = ir.FunctionType(ir.VoidType(), [pointer])
        function = ir.Function(module, signature, name)
        builder = ir.IRBuilder(function.append_basic_block())
        (place,) = function.args
        if name == "inner":  # places[1] = the mode within that of places[0], places[2] after it
            with in_mode(builder, place):
                note_mode(builder, builder.gep(place, [word(1)], source_etype=word))
            note_mode(builder, builder.gep(place, [word(2)], source_etype=word))
        else:
            note_mode(builder, place)
        builder.ret_void()
    code = compile_module(module)
    places = (ctypes.c_uint32 * 3)()
    address = ctypes.addressof(places)
    code.function("outer", 1)(address)
    before = places[0]
    places[0] = before | 0x8040
    code.function("inner", 1)(address)
    assert places[1] & 0x8040 == 0x8040 and places[2] & 0x8040 == before & 0x8040


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1024, 1031, 2 * 1024 + 3])
def test_two_vectors_side_by_side_give_the_bits_of_one(length, dtype, monkeypatch):
    x, y = mg.var("x", (2, length), dtype), mg.var("y", (2, 1), dtype)
    z = mg.tanh(x * y) + mg.exp(-x) * mg.log1p(x * x)
    outputs = [z, mg.where(x < y, mg.erf(x), z), mg.astype(z, "float64") + 1, x > z]
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(v.shape).astype(dtype) for v in (x, y)]
    widths = []
    one = pointwise._one
    monkeypatch.setattr(pointwise, "_one", lambda *a: widths.append(a[2]) or one(*a))
    wide = mg.function([x, y], outputs, backend="native", threads=1)(*values)
    lanes = host().lanes(dtype)
    assert 2 * lanes in widths
    monkeypatch.setattr(pointwise, "LONG", length + 1)
    keep.cache_clear()  # or the code of before is taken
    widths.clear()
    plain = mg.function([x, y], [*outputs, x], backend="native", threads=1)(*values)
    assert widths and 2 * lanes not in widths
    for a, b in zip(wide, plain, strict=False):
        assert a.tobytes() == b.tobytes()
    for a, b in zip(wide, mg.function([x, y], outputs, backend="numpy")(*values), strict=True):
        np.testing.assert_allclose(
            a,
            b,
            rtol=1e-5 if dtype == "float32" else 1e-12,
            atol=1e-6 if dtype == "float32" else 1e-14,
        )
