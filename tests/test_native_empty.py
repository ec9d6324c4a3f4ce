"""Nothing to do: index arrays, batches and loops of length 0 on the native backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import jit
from minigrad.compile.backends.native.irtools import counted, int64, nest


@pytest.fixture(autouse=True)
def _every_block_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.compile.backends.native.backend.CALL_OPS", 0.01)


def native(inputs: Sequence[mg.Expr], outputs: Any, *values: Any) -> Any:
    """What machine code gives; only what has no elements is left to NumPy."""
    f = mg.function(inputs, outputs, backend="native")
    assert {s.node.op.name for s in f.plan.steps if s.node.size} == {"block"}
    assert f.notes == []
    return f(*values)


def turns(emit_loop: Any, *arguments: Any) -> int:
    """How often the inside of an emitted loop runs."""
    ir = jit.llvm().ir
    module = jit.new_module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType()]), "count")
    builder = ir.IRBuilder(function.append_basic_block())
    (cell,) = function.args
    with emit_loop(builder, *arguments):
        builder.store(builder.add(builder.load(cell, typ=ir.IntType(64)), int64(1)), cell)
    builder.ret_void()
    counter = np.zeros(1, np.int64)
    jit.compile_module(module).function("count", 1)(counter.ctypes.data)
    return int(counter[0])


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_counted_loop_turns_as_often_as_range(stop: int, step: int) -> None:
    assert turns(counted, stop, step) == len(range(0, stop, step))


@pytest.mark.parametrize("dims", [(), (0,), (2, 0), (0, 3), (2, 0, 3), (2, 3, 4)])
def test_nested_loops_turn_as_often_as_their_product(dims: tuple[int, ...]) -> None:
    assert turns(nest, dims) == np.prod(dims)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_nothing_is_added_where_no_index_is(shape: tuple[int, ...]) -> None:
    table, i = mg.var("T", (4, 7)), mg.var("i", shape, "int64")
    v = mg.var("v", (*shape, 7))
    values = np.arange(28.0).reshape(4, 7), np.zeros(shape, np.int64), np.zeros((*shape, 7))
    changed = table.at[i].add(v)
    total, whole = native([table, i, v], [mg.sum(changed), changed * 2.0], *values)
    assert total == 378.0
    assert_array_equal(whole, 2 * values[0])


def test_a_gradient_of_rows_that_nobody_looked_up_is_zero() -> None:
    table, i = mg.var("T", (5, 3)), mg.var("i", (0,), "int64")
    loss = mg.sum(mg.exp(table[i])) + mg.sum(table)
    (got,) = native([table, i], [mg.grad(loss, table)], np.ones((5, 3)), np.zeros(0, np.int64))
    assert_array_equal(got, np.ones((5, 3)))


@pytest.mark.parametrize("batch", [0, 2])
def test_a_loop_over_an_empty_batch_that_looks_rows_up(batch: int) -> None:
    table, tokens = mg.var("T", (5, 3)), mg.var("k", (4, batch), "int64")

    def step(h: mg.Expr, token: mg.Expr) -> tuple[mg.Expr, mg.Expr]:
        h = mg.tanh(h + table[token])
        return h, mg.concat([h, mg.exp(h)], axis=1)

    last, ys = mg.scan(step, mg.zeros((batch, 3)), tokens)
    loss = mg.sum(last) + mg.sum(ys)
    f = mg.function([table, tokens], [mg.grad(loss, table), ys, last], backend="native")
    assert f.notes == []
    rows = np.zeros((4, batch), np.int64)
    gradient, outputs, end = f(np.zeros((5, 3)), rows)
    assert outputs.shape == (4, batch, 6)
    assert end.shape == (batch, 3)
    # h stays 0, where tanh' and exp are 1: what step t adds is in all later ys, twice in each.
    expected = np.zeros((5, 3))
    expected[0] = batch * (4 + 2 * (1 + 2 + 3 + 4))
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_an_index_into_nothing_is_numpys_error() -> None:
    table, i = mg.var("T", (0, 3)), mg.var("i", (2,), "int64")
    f = mg.function([table, i], mg.sum(mg.exp(table[i]) * 2), backend="native")
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 0"):
        f(np.zeros((0, 3)), np.zeros(2, np.int64))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_of_no_steps_gives_its_start(reverse: bool) -> None:
    xs, h, w = mg.var("xs", (0, 2, 3)), mg.var("h", (2, 3)), mg.var("w", (3, 3))

    def step(c: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, mg.Expr]:
        inner, _ = mg.scan(lambda d, _: (mg.tanh(d), None), c, length=0)
        return mg.tanh(inner @ w + x), c

    last, ys = mg.scan(step, h, xs, reverse=reverse)
    loss = mg.sum(last * last) + mg.sum(ys)
    start = np.arange(6.0).reshape(2, 3)
    outputs = [last, ys, *mg.grad(loss, [h, w])]
    f = mg.function([xs, h, w], outputs, backend="native")
    end, stack, towards_h, towards_w = f(np.zeros((0, 2, 3)), start, np.eye(3))
    assert_array_equal(end, start)
    assert stack.shape == (0, 2, 3)
    assert_array_equal(towards_h, 2 * start)
    assert_array_equal(towards_w, np.zeros((3, 3)))


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_sums_over_an_empty_axis_are_zero(axis: int | tuple[int, ...]) -> None:
    x, y = mg.var("x", (2, 0, 3)), mg.var("y", (2, 3))
    total = mg.sum(mg.exp(x), axis=1) + y
    (got,) = native([x, y], [mg.sum(total, axis=axis)], np.zeros((2, 0, 3)), np.ones((2, 3)))
    assert_array_equal(got, np.sum(np.ones((2, 3)), axis=axis))
