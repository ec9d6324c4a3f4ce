"""Modules of IR compiled, called from several threads, and freed."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from workers import fork

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import jit, vecmath
from minigrad.compile.backends.native.backend import RECENT, keep


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


@pytest.fixture
def engines(monkeypatch):
    """LLVM's engines that are made meanwhile: each holds the machine code of a module."""
    made, binding = [], jit.llvm().binding
    create = binding.create_mcjit_compiler

    def noted(*operands):
        made.append(create(*operands))
        return made[-1]

    monkeypatch.setattr(binding, "create_mcjit_compiler", noted)
    return made


def alive(engines):
    gc.collect()
    return sum(not engine.closed for engine in engines)


def test_dropped_functions_free_their_code(engines):
    """All but the last few, whose code outlives them, so that what is made anew is there."""

    def loop(steps):
        xs = mg.var("xs", (steps, 3))
        last, _ = mg.scan(lambda c, x: (mg.tanh(c * steps + x), None), mg.zeros(3), xs)
        f = mg.function([xs], mg.grad(mg.sum(last), xs), backend="native", threads=1)
        f(np.ones((steps, 3)))
        return f

    loop(99)  # what is made once in a process is made
    keep.cache_clear()
    engines.clear()
    kept = [loop(100)]
    each = len(engines)
    kept += [loop(101), loop(102)]
    for k in range(2 * RECENT):
        loop(200 + k)
    assert len(engines) == each * (len(kept) + 2 * RECENT)
    assert alive(engines) == each * (len(kept) + RECENT)
    assert kept[0](np.zeros((100, 3))).any()
    keep.cache_clear()
    assert alive(engines) == each * len(kept)
    del kept
    assert alive(engines) == 0


def test_code_that_a_thread_runs_is_freed_when_it_is_done(engines):
    """Only the call itself holds the function."""
    cell = np.zeros(2, np.int64)
    functions = [waiting()]
    thread = threading.Thread(target=lambda: functions.pop()(cell.ctypes.data))
    thread.start()
    while not cell[1]:  # it is in there
        time.sleep(0.001)
    assert not functions
    assert alive(engines) == 1
    cell[0] = 7
    thread.join()
    assert alive(engines) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_frees_its_own_copy(engines):
    functions = [jit.compile_module(scaling(2.0)).function("scale", 1)]

    def dropped():
        functions.clear()
        return alive(engines) == 0

    fork(dropped)
    assert alive(engines) == 1
    assert scaled(functions[0], 4.0) == 8.0


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


WAITING = """
define i64 @wait(ptr %flag) {
  %there = getelementptr i64, ptr %flag, i64 1
  store atomic i64 1, ptr %there monotonic, align 8
  br label %look
look:
  %count = phi i64 [0, %0], [%following, %look]
  %following = add i64 %count, 1
  %value = load atomic i64, ptr %flag monotonic, align 8
  %unset = icmp eq i64 %value, 0
  %patient = icmp slt i64 %count, PATIENCE
  %more = and i1 %unset, %patient
  br i1 %more, label %look, label %out
out:
  ret i64 %value
}
"""


def waiting():
    """A function of two words: it sets the second, waits for the first, and gives that."""
    text = jit.module_text(WAITING, {"PATIENCE": 4_000_000_000})  # seconds, should it fail
    return jit.compile_module(text).function("wait", 1, ctypes.c_int64)


def test_the_gil_is_released_during_a_call():
    """The function waits for a flag that another Python thread sets: with the GIL held, in vain."""
    wait = waiting()
    cell = np.zeros(2, np.int64)
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


def test_at_plain_effort_care_is_for_internal_functions():
    ir, module = jit.llvm().ir, jit.new_module()
    for name, linkage in (("apart", "internal"), ("called", ""), ("elsewhere", "external")):
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), name)
        function.linkage = linkage
        if name != "elsewhere":
            ir.IRBuilder(function.append_basic_block()).ret_void()
    with jit._parsed(str(module), jit.host(), jit.Effort.PLAIN) as (parsed, _):
        jit._simplify(parsed)
        text = str(parsed)
    for group, words in re.findall(r"^attributes (#\d+) = \{(.*)\}", text, re.M):
        text = text.replace(group, words)  # as an older LLVM writes them
    heads = re.findall(r"^define .*@(\w+)\((.*)", text, re.M)
    heads += [(name, before) for before, name in re.findall(r"^define (.*)@(\w+)", text, re.M)]
    assert {name for name, words in heads if "optnone" in words} == {"called"}


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
