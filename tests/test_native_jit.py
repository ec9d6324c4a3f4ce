"""Modules of IR compiled, called from several threads, and freed."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import jit, vecmath


def scaling(factor):
    """A module whose function multiplies a float64 in place."""
    ir = jit.llvm().ir
    module = jit.new_module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType()]), "scale")
    builder = ir.IRBuilder(function.append_basic_block())
    value = builder.load(function.args[0], typ=ir.DoubleType())
    builder.store(builder.fmul(value, ir.DoubleType()(factor)), function.args[0])
    builder.ret_void()
    return module


def scaled(function, value):
    x = np.array([value])
    function(x.ctypes.data)
    return x[0]


def test_many_modules_are_compiled_and_freed():
    kept = []
    for i in range(60):
        function = jit.compile_module(scaling(float(i))).function("scale", 1)
        assert scaled(function, 2.0) == 2.0 * i
        if i % 10 == 0:
            kept.append((i, function))
    gc.collect()
    for i, function in kept:  # the others' end has not touched them
        assert scaled(function, 3.0) == 3.0 * i


def test_a_function_keeps_its_code():
    code = jit.compile_module(scaling(2.0))
    function = code.function("scale", 1)
    del code
    gc.collect()
    assert scaled(function, 4.0) == 8.0


def test_threads_compile_and_call_at_once():
    def work(i):
        function = jit.compile_module(scaling(float(i))).function("scale", 1)
        return [scaled(function, float(j)) for j in range(50)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(24)))
    assert results == [[float(i * j) for j in range(50)] for i in range(24)]


def test_one_function_called_from_many_threads():
    function = jit.compile_module(scaling(3.0)).function("scale", 1)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda v: scaled(function, float(v)), range(500)))
    assert results == [3.0 * v for v in range(500)]


def test_the_gil_is_released_during_a_call():
    """The function waits for a flag that another Python thread sets: with the GIL held, in vain."""
    ir = jit.llvm().ir
    module = jit.new_module()
    word = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(word, [ir.PointerType()]), "wait")
    builder = ir.IRBuilder(function.append_basic_block())
    before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    count = builder.phi(word)
    count.add_incoming(word(0), before)
    flag = builder.load_atomic(function.args[0], "monotonic", 8, typ=word)
    following = builder.add(count, word(1))
    count.add_incoming(following, body)
    waiting = builder.icmp_signed("==", flag, word(0))
    patient = builder.icmp_signed("<", count, word(4_000_000_000))  # seconds, should it fail
    builder.cbranch(builder.and_(waiting, patient), body, after)
    builder.position_at_end(after)
    builder.ret(flag)
    wait = jit.compile_module(module).function("wait", 1, ctypes.c_int64)

    cell = np.zeros(1, np.int64)
    thread = threading.Thread(target=lambda: cell.__setitem__(0, 7))
    switch = sys.getswitchinterval()
    sys.setswitchinterval(10.0)  # so that the thread gets no turn before the call
    try:
        thread.start()
        assert wait(cell.ctypes.data) == 7
    finally:
        sys.setswitchinterval(switch)
        thread.join()


def test_loops_use_whole_vectors():
    """A scalar loop of exp becomes vectors as wide as the CPU's."""
    if jit.host().vector_bytes != 64:
        pytest.skip("the assembly looked for is AVX-512's")
    ir = jit.llvm().ir
    module = jit.new_module()
    pointer, word = ir.PointerType(), ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer]), "f")
    for argument in function.args:
        argument.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block())
    before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    i = builder.phi(word)
    i.add_incoming(word(0), before)
    x, y = (builder.gep(p, [i], source_etype=ir.FloatType()) for p in function.args)
    builder.store(vecmath.emit(builder, "exp", builder.load(x, typ=ir.FloatType())), y)
    following = builder.add(i, word(1))
    i.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, word(1000)), body, after)
    builder.position_at_end(after)
    builder.ret_void()
    assert "%zmm" in jit.assembly(module)


def test_vector_widths():
    host = jit.host()
    assert host.vector_bytes in (16, 32, 64)
    assert host.lanes("float32") == 2 * host.lanes("float64") == host.vector_bytes // 4


def test_malformed_ir_is_refused_with_llvms_words():
    with pytest.raises(RuntimeError, match="expected"):
        jit.compile_module("define void @f() { nonsense }")


def test_an_unknown_function_is_a_key_error():
    with pytest.raises(KeyError, match="nowhere"):
        jit.compile_module(scaling(1.0)).function("nowhere", 1)


def test_without_llvmlite_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    jit.llvm.cache_clear()
    try:
        with pytest.raises(ImportError, match=r"pip install llvmlite"):
            jit.llvm()
    finally:
        jit.llvm.cache_clear()
