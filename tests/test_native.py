"""The native backend against the reference: loops, blocks, threads, what it leaves to NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_scan import leaves, random_body
from workers import called_wrong, share_all

import lstm
import minigrad as mg

pytest.importorskip("llvmlite", reason="llvmlite, which the native backend needs, is not here")

from minigrad.compile.backends.native.support import check_body
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.loop.body import Body, body_var
from minigrad.ops import custom
from minigrad.types import TensorType


def both(inputs, outputs, **options):
    """The same function on both backends."""
    return [mg.function(inputs, outputs, backend=b, **options) for b in ("native", "numpy")]


def ops_of(f):
    return [s.node.op.name for s in f.plan.steps]


def agree(inputs, outputs, values, rtol=1e-12, atol=1e-13):
    native, reference = both(inputs, outputs)
    for a, b in zip(native(*values), reference(*values), strict=True):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=rtol, atol=atol)
    return native


def assert_same_bits(a, b):
    """Equal, and zeros of one sign; NaN is NaN, whatever its sign."""
    assert_array_equal(a, b)
    assert_array_equal(np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b))


@given(st.data())
@pytest.mark.slow
def test_random_loops_and_their_gradients(data):
    body = random_body(data.draw)
    options = {"reverse": data.draw(st.booleans())}
    v, at = leaves()
    start = {"a": v["h0"], "b": mg.zeros(v["h0"].shape)}
    last, (y, z) = mg.scan(body(v), start, v["xs"], **options)
    loss = mg.sum(last["a"]) + mg.sum(y * y) + mg.sum(z[-1])
    outputs = [loss, y, *mg.grad(loss, list(v.values()))]
    found, expected = (
        mg.function(list(at), outputs, backend=backend, simplify=backend == "native")(*at.values())
        for backend in ("native", "numpy")
    )
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-11)


CELLS = [lstm.RNN, lstm.LSTM, lstm.GRU, lstm.PeepholeLSTM, lstm.CoupledLSTM]


def training(cell, T, B, dtype):
    """Loss and gradients of a cell over T steps, and values for its inputs."""
    rng = np.random.default_rng(1)
    params = {name: mg.param(name, value) for name, value in cell.init(0).items()}
    xs, target = mg.var("xs", (T, B, cell.input_size), dtype), mg.var("y", (B,), dtype)

    def step(state, x):
        state = cell.step(params, state, x)
        return state, mg.sum(state.h, axis=1)

    last, ys = mg.scan(step, cell.initial_state(B), xs)
    loss = mg.mean((ys[-1] - target) ** 2) + mg.sum(last.h * last.h)
    values = [rng.standard_normal(v.shape).astype(dtype) for v in (xs, target)]
    return [xs, target], [loss, *mg.grad(loss, list(params.values()))], values


@pytest.mark.parametrize("kind", CELLS, ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    ("inputs", "hidden", "B", "T"), [(2, 16, 5, 7), (1, 1, 1, 1), (3, 17, 2, 4)]
)
def test_every_cell_in_float64(kind, inputs, hidden, B, T):
    cell = kind(inputs, hidden, dtype="float64")
    native = agree(*training(cell, T, B, "float64"), rtol=1e-10, atol=1e-12)
    assert native.notes == []
    assert native.backend == "native"


@pytest.mark.parametrize("kind", CELLS, ids=lambda c: c.__name__)
def test_every_cell_in_float32(kind):
    cell = kind(2, 33, dtype="float32")
    inputs, outputs, values = training(cell, 12, 4, "float32")
    exact_inputs, exact, _ = training(kind(2, 33, dtype="float64"), 12, 4, "float64")
    found = mg.function(inputs, outputs, backend="native")(*values)
    wanted = mg.function(exact_inputs, exact)(*[v.astype(np.float64) for v in values])
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(a - b).max() <= 4e-6 * max(np.abs(b).max(), 1e-3)


def test_the_textbook_cell_has_no_loop_left_on_numpy():
    inputs, outputs, _ = training(lstm.LSTM(2, 8), 5, 3, "float32")
    f = mg.function(inputs, outputs, backend="native")
    assert "backend native" in f.report()
    assert "note" not in f.report()


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_carries_that_swap_stay_and_start_from_inputs(length):
    x, a, b, c = (mg.var(n, s) for n, s in (("x", (length, 3)), ("a", 3), ("b", 3), ("c", 3)))

    def step(carry, x):
        a, b, c, _ = carry
        return (b, a, c, x), (x, c, a + x)

    last, ys = mg.scan(step, (a, b, c, mg.zeros(3)), x)
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(v.shape) for v in (x, a, b, c)]
    agree([x, a, b, c], [*last, *ys], values)


def test_numbers_views_and_concatenations_as_results():
    x, a = mg.var("x", (4, 2, 6)), mg.var("a", (2, 3))

    def step(c, x):
        wide = mg.concat([c, x[:, :3] * c, mg.zeros((2, 2))], -1)
        turned = mg.reshape(mg.permute_dims(c * 2.0), (3, 2))
        return mg.tanh(wide[:, 1:4]), (wide, turned, mg.ones((2, 2)), x[:, ::2], wide[:, :1] + c)

    last, ys = mg.scan(step, a, x)
    rng = np.random.default_rng(0)
    agree([x, a], [last, *ys], [rng.standard_normal(v.shape) for v in (x, a)])


def test_arrays_of_constants_are_constants_of_the_loop():
    x, weights = mg.var("x", (4, 3)), np.array([1.0, 2.0, 0.5])
    last, ys = mg.scan(lambda c, x: (c * weights + x, weights + mg.zeros(3)), mg.zeros(3), x)
    values = [np.random.default_rng(0).standard_normal((4, 3))]
    f = agree([x], [last, ys, mg.grad(mg.sum(last), x)], values)
    assert f.notes == []


def test_arrays_of_constants_that_stay_within_a_body_run_on_numpy():
    v = body_var(0, "carry", TensorType((3,), "float64"))
    body = Body([v], [v * mg.const([1.0, 2.0, 3.0])], 1, 0)
    with pytest.raises(UnsupportedError, match="an array of constants"):
        check_body(body)


def test_products_of_every_layout():
    x, w, c0 = mg.var("x", (4, 3, 5)), mg.var("w", (5, 5)), mg.var("c", (5, 3))

    def step(c, x):
        a = c.T @ w  # transposed, moving left side
        b = x @ w.T  # transposed constant
        return mg.sin(a + b).T * 0.5 + (w @ c), c.T @ (c @ x)

    def smooth(c, x):
        return mg.tanh((c.T @ w + x @ w.T).T * 0.1 + 0.1 * (w @ c)), mg.sum(c * 1.0)

    values = [np.random.default_rng(k).standard_normal(v.shape) for k, v in enumerate((x, w, c0))]
    for body in (step, smooth):
        last, ys = mg.scan(body, c0, x)
        agree([x, w, c0], [last, ys], values, rtol=1e-10)


def test_for_what_has_no_native_code_numpy_is_called_and_that_is_said():
    x = mg.var("x", (5, 3))
    last, ys = mg.scan(lambda c, x: (mg.sort(c + x), mg.cumulative_sum(c)), mg.zeros(3), x)
    values = [np.random.default_rng(0).standard_normal((5, 3))]
    f = agree([x], [last, ys], values)
    assert "1 × block, which calls numpy for argsort\n" in f"{f.report()}\n"


def test_for_integers_of_no_code_numpy_is_called():
    x = mg.var("x", (5,), "uint64")
    last, _ = mg.scan(lambda c, x: (2 * c + x, None), mg.const(np.uint64(0)), x)
    f, _ = both([x], last)
    assert f(np.arange(5, dtype="uint64")) == 26
    assert not f.notes
    assert "block, which calls numpy for add and multiply" in str(f.report())


def test_auto_takes_native_where_there_is_a_loop():
    x = mg.var("x", (5,))
    last, _ = mg.scan(lambda c, x: (c * x, None), 1.0, x)
    assert mg.function([x], last).backend == "native"
    assert mg.function([x], last, check_finite=True).backend == "numpy"
    assert mg.function([x], mg.sum(x)).backend == "numpy"


# --- blocks ------------------------------------------------------------------------------------


def test_a_block_is_one_step():
    x, y = mg.var("x", (40, 50)), mg.var("y", (50,))
    z = mg.tanh(x * y + 1.0) * mg.sigmoid(x) - mg.maximum(x, 0.25) / (1.0 + x * x)
    rng = np.random.default_rng(0)
    f = agree([x, y], [z, mg.exp(z) * 2.0], [rng.standard_normal(v.shape) for v in (x, y)])
    assert ops_of(f) == ["block"]


def test_blocks_around_what_is_numpys():
    x = mg.var("x", (64, 64))
    a = mg.exp(x * 0.1) + x
    b = mg.sort(a, axis=0)
    c = mg.tanh(b + a) * mg.sum(b) + mg.where(b > 0, x, a[::-1])
    f = agree([x], [c, b], [np.random.default_rng(0).standard_normal((64, 64))], rtol=1e-10)
    assert ops_of(f).count("block") == 2


def test_mixed_dtypes_in_one_block():
    x, y = mg.var("x", (30, 30)), mg.var("y", (30, 30), "float32")
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((30, 30)), rng.standard_normal((30, 30)).astype("float32")]
    agree([x, y], [mg.exp(x) * x, mg.exp(y) * y], values, rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    ["add", "subtract", "multiply", "divide", "maximum", "minimum", "copysign", "less",
     "less_equal", "greater", "greater_equal", "equal", "not_equal"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pointwise_ops_bit_for_bit(function, dtype):
    special = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-40, 3e38], dtype)
    a, b = (v.ravel() for v in np.meshgrid(np.tile(special, 12), np.tile(special, 12)))
    x, y = (mg.var(n, a.shape, dtype) for n in "xy")
    op = getattr(mg, function)
    z = mg.where(op(x, y), x, y) if op(x, y).dtype == np.bool_ else op(x, y)
    native, reference = both([x, y], [z, mg.negative(z) * 1.0])
    assert "block" in ops_of(native)
    for u, v in zip(native(a, b), reference(a, b), strict=True):
        assert_same_bits(u, v)


@pytest.mark.parametrize(
    "function",
    ["abs", "negative", "square", "sqrt", "sign", "relu", "floor", "ceil", "round", "trunc"],
)
def test_unary_ops_bit_for_bit(function):
    a = np.array([0.0, -0.0, 2.0, -2.5, 0.5, -0.4, np.inf, -np.inf, np.nan, 1e-320])
    a = np.tile(a, 1500)
    x = mg.var("x", a.shape)
    y = getattr(mg, function)(x)
    native, reference = both([x], [y, y * 3.0])
    assert "block" in ops_of(native)
    for u, v in zip(native(a), reference(a), strict=True):
        assert_same_bits(u, v)


def test_what_stops_gradients_is_a_view_in_a_block():
    x = mg.var("x", (40, 50))
    y = mg.tanh(mg.stop_gradient(mg.exp(x)) * x - 1.0)
    kept = custom.barrier(mg.sigmoid(y))  # between ops, and as an output
    stopped = mg.stop_gradient(kept * x)
    outputs = [kept + y, kept, stopped, mg.grad(mg.sum(y * y), x)]
    f = agree([x], outputs, [np.random.default_rng(0).standard_normal((40, 50))])
    assert ops_of(f).count("block") == 1
    last, ys = mg.scan(lambda c, z: (mg.tanh(mg.stop_gradient(c) + c * z),) * 2, x[0], x)
    loss = mg.sum(last * last) + mg.sum(ys)
    f = agree([x], [loss, mg.grad(loss, x)], [np.random.default_rng(0).standard_normal((40, 50))])
    assert f.notes == []


# --- what leaves a loop ------------------------------------------------------------------------

AT_ALL_STEPS = {
    "sum": lambda x: mg.sum(x, -1, keepdims=True) + x,
    "max": lambda x: mg.max(x, 0) * x,
    "min": lambda x: mg.min(x, -1, keepdims=True) - x,
    "logsumexp": lambda x: mg.logsumexp(x, -1, keepdims=True) * x,
    "softmax": lambda x: mg.softmax(x, 0),
    "cumulative_sum": lambda x: mg.cumulative_sum(x, 1),
    "concat": lambda x: mg.concat([x[:, :2], 2.0 * x], -1)[:, :4],
    "reshape": lambda x: mg.reshape(mg.reshape(x, (2, 6)) * 2.0, (3, 4)),
    "broadcast_to": lambda x: mg.broadcast_to(x[0], (3, 4)) * x,
    "permute_dims": lambda x: mg.reshape(mg.permute_dims(x), (3, 4)),
    "getitem": lambda x: x[::-1, ::-1],
    "astype": lambda x: mg.astype(mg.astype(x, "float32"), "float64"),
    "where": lambda x: mg.where(x > 0.2, x, mg.tanh(x)),
}


@pytest.mark.parametrize("name", AT_ALL_STEPS)
def test_ops_of_inputs_are_computed_at_all_steps_before_a_loop(name):
    x, w, c0 = mg.var("x", (5, 3, 4)), mg.var("w", (4, 4)), mg.var("c", (3, 4))

    def step(c, x):
        return mg.tanh(0.1 * c + AT_ALL_STEPS[name](x) @ w), mg.sum(c)

    last, ys = mg.scan(step, c0, x)
    loss = mg.sum(last * last) + mg.sum(ys)
    outputs = [last, ys, *mg.grad(loss, [x, w, c0])]
    values = [np.random.default_rng(k).standard_normal(v.shape) for k, v in enumerate((x, w, c0))]
    f = mg.function([x, w, c0], outputs)
    assert "compute before the loop" in f.rewritten
    # The product, and with it the op: no step of the forward loop has one left.
    body = next(n for n in mg.toposort(f.outputs) if n.op.name == "scan").attrs[0].body
    assert name in {n.op.name for n in mg.toposort(f.outputs)}
    assert "matmul" not in {n.op.name for n in mg.toposort(body.outputs)}
    plain = mg.function([x, w, c0], outputs, backend="numpy", simplify=False)
    for a, b in zip(f(*values), plain(*values), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# --- shares of the batch -----------------------------------------------------------------------


def shared_in(f):
    """In how many threads each block of a function runs that threads share."""
    blocks = [s.node.attrs[0].derived for s in f.plan.steps if s.node.op.name == "block"]
    programs = [v for d in blocks for v in d.values()]
    return [program.threads for program in programs if program.threads > 1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", CELLS, ids=lambda c: c.__name__)
@pytest.mark.parametrize(("B", "threads"), [(8, 2), (7, 3)])
def test_rows_in_several_threads(kind, B, threads, monkeypatch):
    share_all(monkeypatch)
    inputs, outputs, values = training(kind(2, 16, dtype="float64"), 9, B, "float64")
    alone, shared = (
        mg.function(inputs, outputs, backend="native", threads=n) for n in (1, threads)
    )
    assert shared_in(shared) == [threads]
    for a, b in zip(shared(*values), alone(*values), strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-14)


@settings(max_examples=settings.default.max_examples // 2)  # each compiles for 0.2 s
@given(st.data())
def test_random_loops_in_two_threads(data):
    body = random_body(data.draw)
    v, at = leaves()
    start = {"a": v["h0"], "b": mg.zeros(v["h0"].shape)}
    last, (y, z) = mg.scan(body(v), start, v["xs"], reverse=data.draw(st.booleans()))
    loss = mg.sum(last["a"]) + mg.sum(y * y) + mg.sum(z[-1])
    outputs = [loss, *mg.grad(loss, list(v.values()))]
    with pytest.MonkeyPatch.context() as patch:
        share_all(patch)
        f = mg.function(list(at), outputs, backend="native", threads=2)
        found = f(*at.values())
    plain = mg.function(list(at), outputs, backend="numpy", simplify=False)
    for a, b in zip(found, plain(*at.values()), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(
    "step",
    [
        lambda c, x: c - mg.mean(c, axis=0),
        lambda c, x: c[::-1] * x,
        lambda c, x: x @ c,
        lambda c, x: mg.reshape(mg.reshape(c, (2, 8)), (4, 4)) + x,
        lambda c, x: mg.permute_dims(c) + x,
        lambda c, x: mg.concat([c[:2], x[2:]]),
        lambda c, x: c * mg.sum(c),
        lambda c, x: mg.scan(lambda d, y: (mg.tanh(d + y), None), c, mg.stack([x, c]))[0],
    ],
)
def test_rows_that_meet_are_not_shared_out(step, monkeypatch):
    share_all(monkeypatch)
    x, c0 = mg.var("x", (3, 4, 4)), mg.var("c", (4, 4))
    last, _ = mg.scan(lambda c, x: (step(c, x), None), c0, x)
    values = [np.random.default_rng(k).standard_normal(v.shape) for k, v in enumerate((x, c0))]
    f = mg.function([x, c0], last, backend="native", threads=2)
    assert shared_in(f) == []
    assert_allclose(f(*values), mg.function([x, c0], last, backend="numpy")(*values))


def test_the_environment_says_how_many_threads(monkeypatch):
    x = mg.var("x", (5,))
    last, _ = mg.scan(lambda c, x: (c * x, None), 1.0, x)
    share_all(monkeypatch)
    rows, start = mg.var("rows", (5, 6, 4)), mg.var("start", (6, 4))
    after, _ = mg.scan(lambda c, x: (mg.tanh(c * x), None), start, rows)
    monkeypatch.setenv("MINIGRAD_THREADS", "1")
    assert shared_in(mg.function([rows, start], after)) == []
    monkeypatch.setenv("MINIGRAD_THREADS", "3")
    assert shared_in(mg.function([rows, start], after)) == [3]
    monkeypatch.setenv("MINIGRAD_THREADS", "none")
    with pytest.raises(mg.GraphError, match="MINIGRAD_THREADS must be a positive number"):
        mg.function([x], last, backend="native")
    with pytest.raises(mg.GraphError, match="threads must be at least 1"):
        mg.function([x], last, threads=0)


def test_loops_flush_what_is_too_small_and_leave_the_cpu_as_it_was():
    x = mg.var("x", (200, 32), "float32")
    last, ys = mg.scan(lambda c, x: (c * 0.5, c * x), mg.ones(32, "float32"), x)
    native, reference = both([x], [last, ys])
    ones = np.ones((200, 32), "float32")
    for a, b in zip(native(ones), reference(ones), strict=True):
        assert_allclose(a, b, rtol=1e-6, atol=float(np.finfo(np.float32).tiny))
    assert np.float32(1e-30) * np.float32(1e-10) != 0  # this thread still has subnormal numbers


# --- memory and threads ------------------------------------------------------------------------


def test_results_handed_out_are_not_overwritten():
    inputs, outputs, values = training(lstm.LSTM(2, 8, dtype="float64"), 6, 3, "float64")
    f = mg.function(inputs, outputs, backend="native")
    first = f(*values)
    kept = [np.array(a) for a in first]
    f(*[v * 2 for v in values])
    for a, b in zip(first, kept, strict=True):
        assert_array_equal(a, b)


def test_two_threads_call_one_function():
    inputs, outputs, values = training(lstm.LSTM(2, 16, dtype="float64"), 20, 4, "float64")
    f = mg.function(inputs, outputs, backend="native")
    batches = [[v * k for v in values] for k in (1.0, 0.5)]
    assert called_wrong(f, batches, times=50) == []


def test_strided_and_read_only_inputs():
    x = mg.var("x", (6, 4))
    last, ys = mg.scan(lambda c, x: (c + x, c * x), mg.zeros(4), x)
    a = np.arange(96.0).reshape(12, 8)[::2, ::2]
    a.flags.writeable = False
    native, reference = both([x], [last, ys])
    for u, v in zip(native(a), reference(a), strict=True):
        assert_allclose(u, v)


def test_equal_graphs_are_compiled_once():
    x = mg.var("x", (5, 3))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c - x * 3.0), None), mg.zeros(3), x)
    blocks = []
    for _ in range(2):
        f = mg.function([x], last, backend="native")
        blocks += [s.node.attrs[0] for s in f.plan.steps if s.node.op.name == "block"]
    assert len(blocks) == 2
    assert blocks[0] is blocks[1]
    assert len(blocks[0].derived) == 1
