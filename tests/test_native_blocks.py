"""What blocks of machine code hold besides arithmetic: reductions, booleans, loops, products."""

import os
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from workers import fork, share_all

import minigrad as mg
from minigrad.compile.backends.native.jit import compile_module

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _every_block_pays(monkeypatch):
    monkeypatch.setattr("minigrad.compile.backends.native.backend.CALL_OPS", 0.01)


def agree(inputs, outputs, values, rtol=1e-12, atol=1e-13):
    """Native and NumPy give the same, in one block of machine code."""
    native, reference = (mg.function(inputs, outputs, backend=b) for b in ("native", "numpy"))
    for a, b in zip(native(*values), reference(*values), strict=True):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=rtol, atol=atol)
    assert [s.node.op.name for s in native.plan.steps] == ["block"]
    assert native.notes == []
    return native


@pytest.mark.parametrize("shape", [(), (7,), (5, 40), (3, 1100), (4, 3, 33), (2, 1, 64)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions_over_any_axes(shape, dtype):
    x = mg.var("x", shape, dtype)
    axes = [None, *range(len(shape))] + ([(0, 2), (0, 1)] if len(shape) == 3 else [])
    y = 2 * x - 1
    outputs = [f(y, axis=a) for f in (mg.sum, mg.max, mg.min) for a in axes]
    values = rng.standard_normal(shape).astype(dtype)
    bound = 1e-5 if dtype == "float32" else 1e-12
    agree([x], outputs, [values], rtol=bound, atol=bound * values.size)


def test_extremes_keep_nan_and_infinities():
    x = mg.var("x", (3, 80))
    values = rng.standard_normal((3, 80))
    values[0, 50], values[1] = np.nan, -np.inf
    agree([x], [mg.max(x * 1.5, axis=1), mg.min(-x, axis=0), mg.max(abs(x))], [values])


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_softmax_and_logsumexp_with_their_gradients(axis):
    x = mg.var("x", (6, 37))
    loss = mg.sum(mg.square(mg.softmax(x, axis)) * x) + mg.sum(mg.logsumexp(x, axis))
    values = rng.standard_normal((6, 37)) * 200
    agree([x], [loss, mg.softmax(x, axis), mg.grad(loss, x)], [values])


def test_logsumexp_of_infinities():
    x = mg.var("x", (3, 4))
    values = np.array([[-np.inf] * 4, [np.inf, 0, 1, 2], [-np.inf, 0, 0, -np.inf]])
    agree([x], [mg.logsumexp(x, 1) * 1.0, 2 + mg.logsumexp(-x, 0)], [values])


def test_booleans_come_and_go():
    x, keep = mg.var("x", (5, 33), "float32"), mg.var("keep", (5, 33), "bool")
    big = (x > 0.5) & keep
    some = mg.where(big, mg.tanh(x), 0) + keep.astype("float32") * mg.sum(x)
    values = [rng.standard_normal(x.shape).astype("float32"), rng.random(x.shape) < 0.5]
    agree([x, keep], [some, big, ~keep, big | (x != x), mg.isnan(x)], values, rtol=1e-6, atol=1e-5)


def test_booleans_that_a_loop_keeps_for_its_gradient():
    xs, w = mg.var("xs", (6, 4, 9)), mg.var("w", (9,))
    step = lambda h, x: (mg.where(h * w < x, mg.tanh(h), x * w), (h > 0) & (x > 0))  # noqa: E731
    last, marks = mg.scan(step, mg.zeros((4, 9)), xs)
    loss = mg.sum(last * last)
    values = [rng.standard_normal(v.shape) for v in (xs, w)]
    agree([xs, w], [loss, marks, *mg.grad(loss, [xs, w])], values)


def test_conversions_between_floats_and_from_integers():
    a, b = mg.var("a", (50,), "float32"), mg.var("b", (50,))
    n, flag = mg.var("n", (50,), "int64"), mg.var("flag", (), "bool")
    outputs = [
        mg.exp(a).astype("float64") * b,
        a * 0.5 + mg.square(b).astype("float32"),
        n.astype("float64") / 3 + b,
        a * flag.astype("float32"),
    ]
    values = [rng.standard_normal(50).astype("float32"), rng.standard_normal(50)]
    agree([a, b, n, flag], outputs, [*values, np.arange(-25, 25), np.True_], rtol=1e-6)


def test_rounding_and_signs():
    x = mg.var("x", (9,))
    values = np.array([-2.5, -1.5, -0.0, 0.0, 0.5, 1.5, np.inf, -np.inf, np.nan])
    functions = [mg.floor, mg.ceil, mg.trunc, mg.round, mg.isinf, mg.isfinite, mg.signbit]
    agree([x], [f(x) for f in functions], [values], rtol=0, atol=0)


@pytest.mark.parametrize("stack", [(), (3,), (2, 3)])
@pytest.mark.parametrize("flip", [False, True])
def test_stacks_of_products(stack, flip):
    a, b = mg.var("a", (*stack, 5, 7)), mg.var("b", (*stack[1:], *((9, 7) if flip else (7, 9))))
    turned = mg.matrix_transpose(b) if flip else b
    values = [rng.standard_normal(v.shape) for v in (a, b)]
    loss = mg.sum(mg.square(a @ turned) * 0.5)
    agree([a, b], [a @ turned * 2, *mg.grad(loss, [a, b])], values)


def test_factors_that_lie_anyhow():
    x, w = mg.var("x", (12, 10)), mg.var("w", (10, 12))
    y = mg.tanh(x)
    outputs = [
        y[::2, ::-3] @ w[:4, 1::2] * 1.0,
        mg.reshape(mg.permute_dims(y), (6, 20)) @ mg.reshape(w, (20, 6)),
        mg.broadcast_to(y[:1], (12, 10)) @ w,
        mg.ones((2, 12)) @ y,
        y @ mg.full((10, 3), 0.5),
        mg.concat([mg.permute_dims(y @ w), w], axis=0)[3:, 2:3],
    ]
    agree([x, w], outputs, [rng.standard_normal(v.shape) for v in (x, w)])


def test_right_sides_that_change_from_step_to_step():
    xs, c = mg.var("xs", (4, 3, 5)), mg.var("c", (5, 5))
    step = lambda c, x: (mg.tanh(c @ mg.permute_dims(c)) * mg.sum(x), x @ c)  # noqa: E731
    last, ys = mg.scan(step, c, xs)
    values = [rng.standard_normal(v.shape) for v in (xs, c)]
    agree([xs, c], [last, ys, *mg.grad(mg.sum(ys), [xs, c])], values)


@pytest.mark.parametrize("reverse", [False, True])
def test_loops_within_loops(reverse):
    xs, w, h = mg.var("xs", (4, 3, 2, 6)), mg.var("w", (6, 6)), mg.var("h", (2, 6))

    def outer(h, x):
        inner, hs = mg.scan(lambda g, y: (mg.tanh(g @ w + y), g * 1.0), h, x, reverse=reverse)
        return inner, mg.concat([hs[0], mg.sum(hs, axis=0)], axis=1)

    last, ys = mg.scan(outer, h, xs)
    loss = mg.sum(last) + mg.sum(mg.square(ys))
    values = [rng.standard_normal(v.shape) for v in (xs, w, h)]
    agree([xs, w, h], [loss, ys, *mg.grad(loss, [xs, w, h])], values, rtol=1e-10)


def test_slices_put_back():
    x = mg.var("x", (6, 8))
    loss = mg.sum(mg.exp(x[1:4, ::2])) + mg.sum(mg.square(x[:, 3]))
    agree([x], [mg.grad(loss, x)], [rng.standard_normal((6, 8))])


def test_outputs_that_are_views_and_one_another():
    x = mg.var("x", (4, 6))
    y = mg.tanh(x)
    outputs = [y, mg.reshape(y, (24,)), mg.permute_dims(y), y[1:, 2], mg.concat([y, x * 2]), y]
    f = agree([x], outputs, [rng.standard_normal((4, 6))])
    first, flat, *_, again = f(np.ones((4, 6)))
    first[:], flat[:] = 0, 1
    assert_allclose(again, np.tanh(1.0))


def test_parts_of_two_wholes():
    x, y = mg.var("x", (3, 4)), mg.var("y", (3, 4))
    a, b, c = mg.exp(x), mg.tanh(y), mg.sigmoid(x)
    inner = mg.concat([a, b], axis=1)
    both = mg.concat([inner, mg.concat([b, a, a], axis=1)], axis=1)
    outputs = [both @ mg.ones((20, 2)), inner * 2, mg.concat([c, b]) + 1, a]
    agree([x, y], outputs, [rng.standard_normal((3, 4)) for _ in range(2)])


def test_memory_is_used_again():
    x = mg.var("x", (128, 128))
    y = x
    for k in range(12):
        y = mg.tanh(y @ x) + k
    f = agree([x], [y], [rng.standard_normal((128, 128)) * 0.05])
    held = int(f.report().split("buffers, ")[1].split(" bytes")[0])
    assert held < 6 * 128 * 128 * 8


@pytest.mark.parametrize(("n", "threads"), [(128, 2), (200, 3), (130, 8)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_in_several_threads(n, threads, turned, monkeypatch):
    share_all(monkeypatch)
    a, b = mg.var("a", (40, 9)), mg.var("b", (n, 40) if turned else (40, n))
    right = mg.permute_dims(b) if turned else b
    outputs = [mg.tanh(mg.permute_dims(a) @ right)]
    f = mg.function([a, b], outputs, backend="native", threads=threads)
    x, y = (0.1 * rng.standard_normal(v.shape) for v in (a, b))
    assert_allclose(f(x, y)[0], np.tanh(x.T @ (y.T if turned else y)), rtol=1e-12, atol=1e-12)
    (block,) = (s.node.attrs[0] for s in f.plan.steps if s.node.op.name == "block")
    assert block.derived["native", threads].threads == min(threads, -(-n // 64))


def test_narrow_products_are_not_shared_out(monkeypatch):
    share_all(monkeypatch)
    a, b = mg.var("a", (40, 9)), mg.var("b", (9, 127))
    f = mg.function([a, b], mg.tanh(a @ b), backend="native", threads=2)
    (block,) = (s.node.attrs[0] for s in f.plan.steps)
    assert block.derived["native", 2].threads == 1


INDEXINGS = {
    "rows": (lambda x, i: x[i], (7,)),
    "rows by a matrix": (lambda x, i: x[i], (2, 5)),
    "the last axis": (lambda x, i: x[:, 1:, i], (7,)),
    "between slices": (lambda x, i: x[::2, i, ::-1], (3, 2)),
    "two arrays": (lambda x, i: x[i, i[::-1]], (4,)),
    "arrays that broadcast": (lambda x, i: x[:, i[:, None], i], (3,)),
    "along an axis": (lambda x, i: mg.take_along_axis(x, i, 1), (5, 2, 6)),
}


@pytest.mark.parametrize("name", INDEXINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_of_indices_and_their_gradients(name, dtype):
    index, shape = INDEXINGS[name]
    x, i = mg.var("x", (5, 6, 6), dtype), mg.var("i", shape, "int64")
    y = index(2 * x, i)
    values = [rng.standard_normal(x.shape).astype(dtype), rng.integers(-5, 5, shape)]
    agree([x, i], [y, mg.grad(mg.sum(mg.square(y)), x)], values, rtol=1e-5, atol=1e-5)


def test_a_loop_that_looks_up_and_picks():
    table, tokens, target = (
        mg.var("table", (9, 4)),
        mg.var("k", (6, 3), "int64"),
        mg.var("y", (6, 3), "int64"),
    )
    w = mg.var("w", (4, 9))

    def step(h, x):
        token, y = x
        h = mg.tanh(h + table[token])
        return h, mg.sum(mg.logsumexp(h @ w, 1) - mg.take_along_axis(h @ w, y[:, None], 1)[:, 0])

    _, losses = mg.scan(step, mg.zeros((3, 4)), (tokens, target))
    loss = mg.mean(losses)
    values = [
        rng.standard_normal((9, 4)),
        *rng.integers(0, 9, (2, 6, 3)),
        rng.standard_normal((4, 9)),
    ]
    agree([table, tokens, target, w], [loss, *mg.grad(loss, [table, w])], values, rtol=1e-10)


def test_an_index_out_of_range_is_said_as_numpy_says_it():
    x, i = mg.var("x", (5, 4)), mg.var("i", (3,), "int64")
    f = agree([x, i], [mg.exp(x[i]), mg.tanh(x)], [np.ones((5, 4)), np.arange(3)])
    for wrong in ([0, 5, 1], [-6, 0, 0], [2**62, 0, 0]):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 5"):
            f(np.ones((5, 4)), np.array(wrong))
    assert_allclose(f(np.ones((5, 4)), np.array([-5, 4, 0]))[0], np.e)


def test_indices_that_have_no_code_run_on_numpy():
    x, i, j = mg.var("x", (5, 4, 3)), mg.var("i", (3,), "uint64"), mg.var("j", (3,), "int32")
    outputs = [mg.exp(x)[i] * 2, mg.exp(x)[j, :, j] * 2, mg.exp(x)[i, 2] * 2]
    native, reference = (mg.function([x, i, j], outputs, backend=b) for b in ("native", "numpy"))
    values = [rng.standard_normal((5, 4, 3)), *[np.array([0, 2, 1], v.dtype) for v in (i, j)]]
    for a, b in zip(native(*values), reference(*values), strict=True):
        assert_allclose(a, b)
    assert [s.node.op.name for s in native.plan.steps].count("getitem") == 2


def test_large_graphs_are_several_blocks(monkeypatch):
    monkeypatch.setattr("minigrad.compile.backends.native.backend.LARGEST", 7)
    x, w = mg.var("x", (5, 3, 4)), mg.var("w", (4, 4))
    h, hs = mg.scan(lambda h, x: (mg.tanh(h @ w + x), h + 1), mg.zeros((3, 4)), x)
    y = h
    for k in range(20):
        y = mg.tanh(y @ w) + hs[k % 5]
    inputs, outputs = [x, w], [y, *mg.grad(mg.sum(y), [x, w])]
    native, reference = (mg.function(inputs, outputs, backend=b) for b in ("native", "numpy"))
    values = [rng.standard_normal(v.shape) for v in inputs]
    for a, b in zip(native(*values), reference(*values), strict=True):
        assert_allclose(a, b, rtol=1e-10)
    assert [s.node.op.name for s in native.plan.steps].count("block") > 5
    assert native.notes == []


def test_numbers_of_every_kind_that_a_loop_gives_out():
    x, n = mg.var("x", (3, 20)), mg.var("n", (3, 20), "int64")
    numbers = [
        mg.full((20,), v, dtype=d) for v, d in ((7, "int64"), (True, "bool"), (2, "float32"))
    ]
    last, ys = mg.scan(lambda c, xs: (c + xs[0], [*numbers, xs[1]]), mg.zeros(20), (x, n))
    values = [rng.standard_normal((3, 20)), rng.integers(-9, 9, (3, 20))]
    f = mg.function([x, n], [mg.exp(last), *ys], backend="native")
    for a, b in zip(
        f(*values), mg.function([x, n], [mg.exp(last), *ys], backend="numpy")(*values), strict=True
    ):
        assert a.dtype == b.dtype
        assert_allclose(a, b)
    g = mg.scan(lambda c, x: (mg.tanh(c + x), numbers[0]), mg.zeros(20), x)
    agree([x], [g[0], g[1]], values[:1])


def test_indices_that_are_one_number():
    x, n = mg.var("x", (5, 3)), mg.full((4,), 2, dtype="int64")
    agree(
        [x], [mg.exp(x)[n] * 2, mg.grad(mg.sum(mg.square(x[n])), x)], [rng.standard_normal((5, 3))]
    )


@pytest.mark.parametrize("stack", [(8, 4, 4), (4, 4)])
def test_stacks_of_products_in_loops_that_threads_share(stack, monkeypatch):
    share_all(monkeypatch)
    c, w = mg.var("c", (8, 1, 4)), mg.var("w", stack)
    last, _ = mg.scan(
        lambda c, _: (mg.tanh(c @ w) + mg.max(c, -1, keepdims=True), None), c, length=5
    )
    native, reference = (
        mg.function([c, w], last, backend=b, threads=2) for b in ("native", "numpy")
    )
    values = [rng.standard_normal(v.shape) for v in (c, w)]
    assert_allclose(native(*values), reference(*values), rtol=1e-12)
    (block,) = (s.node.attrs[0] for s in native.plan.steps if s.node.op.name == "block")
    assert block.derived["native", 2].threads == 2


def shared_loop(monkeypatch, steps=6):
    """A function whose loop two threads share, and a value for it."""
    share_all(monkeypatch)
    x = mg.var("x", (steps, 4, 8))
    f = mg.function([x], mg.scan(lambda c, x: (mg.tanh(c + x), c), mg.zeros((4, 8)), x)[1],
                    backend="native", threads=2)  # fmt: skip
    return f, rng.standard_normal(x.shape)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(monkeypatch):
    f, value = shared_loop(monkeypatch)
    expected = f(value)
    fork(lambda: np.array_equal(f(value), expected), within=10.0)


def test_arrays_that_lie_at_odd_addresses():
    x = mg.var("x", (40,))
    odd = np.frombuffer(b"\0" + rng.standard_normal(40).tobytes(), np.float64, 40, 1)
    assert not odd.flags.aligned
    agree([x], [mg.tanh(x) + x], [odd])


def test_the_report_says_what_runs_where(monkeypatch):
    f, _ = shared_loop(monkeypatch)
    assert "1 × block, in 2 threads" in f.report()
    x = mg.var("x", (64, 64))
    g = mg.function([x], mg.sort(mg.tanh(x) * x, axis=0).T, backend="native")
    lines = [line.strip() for line in g.report().splitlines()]
    assert {"1 × block", "1 × argsort, on numpy", "1 × permute_dims"} <= set(lines)


@pytest.mark.parametrize(("rows", "functions"), [(4, 1), (5, 2)])
def test_equal_shares_are_compiled_once(rows, functions, monkeypatch):
    share_all(monkeypatch)
    made = []
    program = "minigrad.compile.backends.native.program"
    monkeypatch.setattr(
        f"{program}.compile_module",
        lambda module, **options: made.append(str(module)) or compile_module(module, **options),
    )
    x = mg.var("x", (7, rows, 8))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c + x), None), mg.zeros((rows, 8)), x)
    f = mg.function([x], last, backend="native", threads=2)
    (text,) = made
    assert len(re.findall(r'^@"loop\d+" = global', text, re.MULTILINE)) == functions
    assert len(re.findall(r'define void @"part[.\d]*"', text)) == 2
    value = rng.standard_normal(x.shape)
    assert_allclose(f(value), mg.function([x], last, backend="numpy")(value), rtol=1e-12)
