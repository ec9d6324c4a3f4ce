"""Memory stays flat: what is made and dropped a few hundred times leaves nothing behind."""

from __future__ import annotations

import functools
import gc
import itertools
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import interning, types
from minigrad.graph import node
from minigrad.graph.walk import toposort
from minigrad.loop.node import SCAN
from minigrad.types import TensorType

_NUMBERS = itertools.count(1)


def shapes() -> None:
    x = mg.var("x", (next(_NUMBERS),))
    mg.sum(mg.tanh(x) * 2 + x)


def tuples_of_types() -> None:
    x = mg.var("x", (next(_NUMBERS), 2))
    mg.scan(lambda c, row: (c + row, row * 2), mg.zeros(2), x)


def numbers() -> None:
    x = mg.var("x", (3,))
    y = mg.sum(mg.tanh(x * (next(_NUMBERS) + 0.5)))
    mg.grad(y, x)


def errors() -> None:
    k = next(_NUMBERS)
    with pytest.raises(mg.ShapeError):
        mg.var(f"x{k}", (3,)) + mg.var("y", (4,))


def functions() -> None:
    x = mg.var(f"x{next(_NUMBERS)}", (3,))
    mg.function([x], mg.grad(mg.sum(mg.tanh(x) * x), x), backend="numpy")(np.ones(3))


def loops() -> None:
    x = mg.var(f"x{next(_NUMBERS)}", (3,))
    last, _ = mg.scan(lambda c, _: (mg.tanh(c + x), None), x, length=4)
    mg.function([x], mg.grad(mg.sum(last), x), backend="numpy")(np.ones(3))


def numpys_functions() -> None:
    x = mg.var(f"x{next(_NUMBERS)}", (3, 4))
    np.sum(np.tanh(x) * 2)


def evaluation() -> None:
    float(mg.sum(mg.const([next(_NUMBERS) + 0.5, 2.0]) * 2))


def texts() -> None:
    y = mg.sin(mg.var(f"x{next(_NUMBERS)}") * 2)
    str(y), y.latex(), mg.loads(mg.dumps(y))


# How often each is made first, so that what is kept of the last few hundred (numbers as nodes, the
# types that ops have taken) is full.
KINDS: dict[Callable[[], None], int] = {
    shapes: 600,
    tuples_of_types: 30,
    numbers: 300,
    errors: 30,
    functions: 30,
    loops: 10,
    numpys_functions: 30,
    evaluation: 300,
    texts: 500,
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.slow
def test_what_is_dropped_is_freed(make: Callable[[], None]) -> None:
    rounds = 400 if make is not loops else 60
    forget()
    tracemalloc.start()
    try:
        for _ in range(KINDS[make]):
            make()
        before = held()
        for _ in range(rounds):
            make()
        after = held()
    finally:
        tracemalloc.stop()
    # A leak has an entry a round, or more; caches that other tests left half full have a few.
    assert after["entries"] - before["entries"] <= rounds // 8
    # Caches of a few hundred things fill a little further.
    assert after["bytes"] - before["bytes"] < 32 * 1024 + 20 * rounds


def forget() -> None:
    """Empty the caches of the last few hundred things: what other tests put there is not traced,
    and what replaces it is."""
    caches = [c for c in gc.get_objects() if isinstance(c, functools._lru_cache_wrapper)]
    for cache in caches:
        if "minigrad." in cache.__module__ and cache.cache_parameters()["maxsize"] is not None:
            cache.cache_clear()


def held() -> dict[str, int]:
    """What is held: entries of the tables of what is made once, and bytes besides these tables."""
    gc.collect()
    # A table has room for more than it holds, which comes and goes by tens of KiB.
    others = [tracemalloc.Filter(False, f) for f in (interning.__file__, tracemalloc.__file__)]
    traces = tracemalloc.take_snapshot().filter_traces(others).traces
    return {
        "entries": len(node._TABLE) + len(types._TENSORS) + len(types._TUPLES),
        "bytes": sum(t.size for t in traces),
    }


def test_a_type_lives_as_long_as_what_has_it() -> None:
    type_ = TensorType((123_457, 3), "float32")
    assert TensorType((123_457, 3), "float32") is type_
    gone = weakref.ref(type_)
    node = mg.var("x", (123_457, 3), "float32")
    del type_
    assert gone() is node.type
    del node
    assert gone() is None


@pytest.mark.parametrize("checkpoint", [None, 3])
def test_a_loop_whose_gradient_was_taken_goes_without_the_collector(checkpoint: int | None) -> None:
    """A body keeps its derivative; nothing in that leads back to the body."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        n = 1000 + next(_NUMBERS)
        w, xs = mg.var("w", (n,)), mg.var("xs", (6, n))
        step = mg.scan(
            lambda c, x: (mg.tanh(c * w + x), None), mg.zeros(n), xs, checkpoint=checkpoint
        )
        slopes = mg.grad(mg.sum(step[0]), [w, xs])
        bodies = [
            weakref.ref(e.attrs[0].body) for e in toposort([step[0], *slopes]) if e.op is SCAN
        ]
        assert any(b and b.derived for b in [body() for body in bodies])
        del step, slopes
        assert [body() for body in bodies] == [None] * len(bodies)
    finally:
        if was_on:
            gc.enable()


@pytest.mark.slow
def test_a_dropped_native_function_gives_its_memory_back() -> None:
    """Within 10 KiB of what it was; LLVM keeps some 2 of each module."""
    pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system does not say how much memory a process has")
    from minigrad.compile.backends.native import jit

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def one() -> None:
        ir = jit.llvm().ir
        module = jit.new_module()
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType()])
        builder = ir.IRBuilder(ir.Function(module, kind, "f").append_basic_block())
        builder.store(ir.DoubleType()(float(next(_NUMBERS))), builder.function.args[0])
        builder.ret_void()
        jit.compile_module(module).function("f", 1)

    for _ in range(20):
        one()
    before = resident()
    for _ in range(100):
        one()
    assert resident() - before < 100 * 10 * 1024
