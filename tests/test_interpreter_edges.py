"""What the interpreter of small ops must survive: operands without elements, and other threads."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="llvmlite, which the native backend needs, is not here")

from minigrad.compile.backends.native import instructions, interpreter
from minigrad.compile.backends.native.jit import NativeCode
from minigrad.graph.walk import packed


@pytest.fixture(autouse=True)
def _all_interpreted(monkeypatch):
    monkeypatch.setattr(interpreter, "MANY", 1)


EMPTY = {
    "sum": lambda x, y, v: mg.sum(x, axis=1),
    "sum of all": lambda x, y, v: mg.sum(x),
    "sum over the other axis": lambda x, y, v: mg.sum(x, axis=0),
    "mean of what is there": lambda x, y, v: mg.mean(mg.concat([x, v[:, None]], axis=1)),
    "prod": lambda x, y, v: mg.prod(x, axis=1),
    "any": lambda x, y, v: mg.any(x > 0, axis=1),
    "all": lambda x, y, v: mg.all(x > 0, axis=1),
    "count_nonzero": lambda x, y, v: mg.count_nonzero(x, axis=1),
    "logsumexp": lambda x, y, v: mg.logsumexp(x, axis=1),
    "cumulative_sum": lambda x, y, v: mg.cumulative_sum(x, axis=1),
    "matmul": lambda x, y, v: x @ y,
    "matmul of vectors": lambda x, y, v: x[0] @ y[:, 0],
    "matmul of a vector": lambda x, y, v: mg.const(np.eye(3)) @ x,
    "einsum": lambda x, y, v: mg.einsum("ij,jk->ki", x, y),
    "concat": lambda x, y, v: mg.concat([v, x[0], mg.const(np.zeros(0)), v * 2.0]),
    "stack": lambda x, y, v: mg.stack([mg.sum(x[0]), v[1]]),
    "gradient": lambda x, y, v: mg.grad(mg.sum(mg.tanh(x @ y) * v[:, None]), v),
    "gradient of nothing": lambda x, y, v: mg.grad(mg.sum(x @ y), y),
    "gradient of a slice": lambda x, y, v: mg.grad(mg.sum(v) + mg.sum(v[3:]), v),
}


@pytest.mark.parametrize("case", EMPTY)
def test_empty_axes(case):
    x, y, v = mg.var("x", (3, 0)), mg.var("y", (0, 2)), mg.var("v", (3,))
    outputs = [mg.tanh(v) * 2.0, EMPTY[case](x, y, v)]
    f = mg.function([x, y, v], outputs, backend="native", simplify=False)
    reference = mg.function([x, y, v], outputs, backend="numpy", simplify=False)
    assert any(s.node.op is interpreter.INTERPRETED for s in f.plan.steps)
    at = np.zeros((3, 0)), np.zeros((0, 2)), np.array([1.0, -2.0, 0.5])
    got, expected = f(*at)[1], reference(*at)[1]
    assert got.dtype == expected.dtype and got.shape == expected.shape
    assert_array_equal(got, expected)


def test_auto_takes_a_sum_over_an_empty_axis_beside_many_small_ops(monkeypatch):
    monkeypatch.setattr(interpreter, "MANY", 200)
    w, x = mg.var("w", (3, 0)), mg.var("x")
    y = x
    for _ in range(130):
        y = mg.abs(y - 0.5)
    f = mg.function([w, x], [mg.sum(w, axis=1) + y])
    assert f.backend == "native"
    assert_array_equal(f(np.zeros((3, 0)), 0.25), [[0.25] * 3])


@pytest.mark.parametrize("calls", [30, 10**6])
def test_auto_makes_code_for_large_ops_beside_small_ones_where_it_pays(monkeypatch, calls):
    monkeypatch.setattr(interpreter, "MANY", 200)
    monkeypatch.setattr("minigrad.compile.backends.cost.CALLS", calls)
    x, v = mg.var("x"), mg.var("v", (5000,))
    y, wide = x, v
    for _ in range(100):
        y = mg.abs(y - 0.5)
    for _ in range(10):
        wide = mg.tanh(wide) * v
    total = mg.sum(wide) * y
    f = mg.function([x, v], total)
    names = [s.node.op.name for s in f.plan.steps]
    assert f.backend == "native" and "interpreted" in names
    assert ("block" in names, "tanh" in names) == (calls > 30, calls == 30)
    assert "21 ops: " in str(f.report())
    at = 0.25, np.linspace(0.5, 1.5, 5000)
    assert_allclose(f(*at), mg.function([x, v], total, backend="numpy")(*at), rtol=1e-13)


def test_code_that_threads_make_at_the_same_time_lives_as_long_as_what_runs_it(monkeypatch):
    made, both = {}, threading.Barrier(2)  # {address of an instruction: its code}
    function, new_module = NativeCode.function, instructions.new_module

    def noted(self, *args, **options):
        native = function(self, *args, **options)
        made[interpreter.address_of(native)] = weakref.ref(self)
        return native

    def met(name):
        both.wait(60)  # each has seen what there is no code for
        return new_module(name)

    monkeypatch.setattr(instructions, "_made", {})
    begin = instructions.functions([instructions.BEGIN])  # whose code would keep what it is with
    monkeypatch.setattr(instructions, "new_module", met)
    monkeypatch.setattr(NativeCode, "function", noted)
    x = mg.var("x")
    y = mg.abs(x) - x
    whole = packed([y]), np.array([1, 2]), [x], [y]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(interpreter.Interpreted, *whole) for _ in range(2)]
    parts = [w.result() for w in waiting]
    instructions._made.clear()  # of what runs them, instructions are kept too
    gc.collect()
    for part in parts:
        addresses = part._table.tolist()
        assert part._begin is begin[0] and len(addresses) == 5
        assert all(made[a]() is not None for a in addresses)
