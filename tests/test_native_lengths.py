"""The machine code of a loop serves every number of steps, to the same bits."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from workers import share_all

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native.backend import keep
from minigrad.compile.backends.native.jit import Effort
from minigrad.loop.node import BLOCK

KINDS = {
    "forward": {},
    "from the last": {"reverse": True},
    "checkpointed": {"checkpoint": 3},
}


@pytest.fixture
def made(llvm_modules):
    """What is compiled meanwhile, with none of it there before."""
    forget()
    return llvm_modules


def forget():
    """Let go of all code that is kept for what is equal."""
    keep.cache_clear()
    gc.collect()


def loops(modules):
    """How many of the modules are loops."""
    return sum('@"loop"(i64' in text for text, _ in modules)


def compiled(steps, threads=1, **options):
    """The loss of a small recurrent net over so many steps, its gradients, and its outputs."""
    w, xs = mg.var("w", (5, 5)), mg.var("xs", (steps, 4, 5))

    def step(c, x):
        return (h := mg.tanh(c @ w + x)), mg.sum(h * h, axis=1)

    last, ys = mg.scan(step, mg.ones((4, 5)), xs, **options)
    loss = mg.sum(last) + mg.sum(ys)
    outputs = [loss, *mg.grad(loss, [w, xs]), ys]
    return [
        mg.function([w, xs], outputs, backend=backend, threads=threads)
        for backend in ("native", "numpy")
    ]


def operands(steps):
    rng = np.random.default_rng(steps)
    return rng.standard_normal((5, 5)), rng.standard_normal((steps, 4, 5))


def same_bits(results, others):
    return all(np.array_equal(a, b) for a, b in zip(results, others, strict=True))


def check(steps, f, reference):
    """Its results, which are NumPy's."""
    results = f(*operands(steps))
    for a, b in zip(results, reference(*operands(steps)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_another_length_has_the_same_loops_and_bits(made, monkeypatch, options, threads):
    share_all(monkeypatch)
    first, reference = compiled(12, threads, **options)
    assert loops(made) >= 2
    before = check(12, first, reference)
    for steps in (24, 9):
        made.clear()
        f, reference = compiled(steps, threads, **options)
        assert made and not loops(made)
        results = check(steps, f, reference)
        assert same_bits(check(12, first, compiled(12, **options)[1]), before)
        first = f = alone = None
        forget()
        made.clear()
        alone, _ = compiled(steps, threads, **options)
        assert loops(made) >= 2
        assert same_bits(alone(*operands(steps)), results)
        first, _ = compiled(12, threads, **options)
        assert same_bits(first(*operands(12)), before)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_one_step_after_many_and_many_after_one(made, options):
    for steps in (8, 1, 2, 1, 8):
        check(steps, *compiled(steps, **options))


def test_no_step_is_other_code(made):
    for steps in (0, 3, 0):
        w, xs = mg.var("w", (3,)), mg.var("xs", (steps, 3))
        last, ys = mg.scan(lambda c, x, w=w: (c * w + x, c), mg.ones(3), xs)
        f = mg.function([w, xs], [last, ys], backend="native")
        x = np.arange(3.0 * steps).reshape(steps, 3)
        c, stack = np.ones(3), []
        for row in x:
            stack.append(c)
            c = c * 2 + row
        results = f(np.full(3, 2.0), x)
        assert np.array_equal(results[0], c)
        assert np.array_equal(results[1], np.reshape(stack, (steps, 3)))


def test_where_a_stack_lies_otherwise_the_code_is_another(made):
    """Batch first: what lies between two steps' rows does not depend on the length; between two
    rows of a step it does."""
    for steps in (6, 11, 6):
        xs = mg.var("xs", (4, steps, 5))
        last, _ = mg.scan(
            lambda c, x: (mg.tanh(c + x), None), mg.zeros((4, 5)), mg.permute_dims(xs, (1, 0, 2))
        )
        f = mg.function([xs], last, backend="native")
        x = np.random.default_rng(steps).standard_normal((4, steps, 5))
        expected = np.zeros((4, 5))
        for t in range(steps):
            expected = np.tanh(expected + x[:, t])
        np.testing.assert_allclose(f(x), expected, rtol=1e-13)
    assert loops(made) == 2


def test_two_lengths_in_one_program_share_a_loop(made):
    a, b = mg.var("a", (5, 3)), mg.var("b", (9, 3))

    def folded(xs):
        return mg.scan(lambda c, x: (mg.tanh(c + x), None), mg.zeros(3), xs)[0]

    f = mg.function([a, b], [folded(a), folded(b)], backend="native", threads=1)
    assert loops(made) == 1
    x = np.random.default_rng(0).standard_normal((9, 3))
    short, long = f(x[:5], x)
    expected = np.zeros(3)
    for t, row in enumerate(x):
        expected = np.tanh(expected + row)
        if t == 4:
            np.testing.assert_allclose(short, expected, rtol=1e-13)
    np.testing.assert_allclose(long, expected, rtol=1e-13)


def test_a_loop_from_the_last_step_is_other_code(made):
    xs = mg.var("xs", (4, 3))

    def folded(reverse):
        return mg.scan(lambda c, x: (mg.tanh(c + x), None), mg.zeros(3), xs, reverse=reverse)[0]

    f = mg.function([xs], [folded(False), folded(True)], backend="native", threads=1)
    assert loops(made) == 2
    x = np.random.default_rng(0).standard_normal((4, 3))
    for rows, result in zip((x, x[::-1]), f(x), strict=True):
        expected = np.zeros(3)
        for row in rows:
            expected = np.tanh(expected + row)
        np.testing.assert_allclose(result, expected, rtol=1e-13)


def test_an_index_out_of_range_is_told_in_each_length(made):
    for steps in (4, 7):
        table, at = mg.var("table", (6, 3)), mg.var("at", (steps,), "int64")

        def step(c, i, table=table):
            return mg.tanh(c + mg.take(table, i, axis=0)), None

        last, _ = mg.scan(step, mg.zeros(3), at)
        f = mg.function([table, at], last, backend="native", without=mg.LOOPS)
        f(np.ones((6, 3)), np.zeros(steps, np.int64))
        with pytest.raises(IndexError):
            f(np.ones((6, 3)), np.full(steps, 6))
    assert loops(made) == 1


def test_code_that_was_made_with_care_serves_the_next_length(made):
    first, _ = compiled(12)
    (block,) = [s.node for s in first.plan.steps if s.node.op is BLOCK]
    program = block.attrs[0].derived["native", 1]
    made.clear()
    program._compile(Effort.PLAIN)
    assert loops(made) == len(program._loops) > 0
    program._compile(Effort.QUICK)
    assert loops(made) == len(program._loops)  # no worse than it was
    made.clear()
    check(30, *compiled(30))
    assert not loops(made)
