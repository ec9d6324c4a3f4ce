"""Functions on JAX: what they update, raise and say, where they run, what they take and give."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from jax_peer import agree, assert_close, jax

import lstm
import minigrad as mg
from minigrad.compile.backends.jax.params import DeviceStorage
from minigrad.graph.node import OPS

CELLS = [lstm.RNN, lstm.LSTM, lstm.GRU]


# --- loops ---------------------------------------------------------------------------------------


def training(cell, T, B):
    """Loss and gradients of a cell over T steps, and values for its inputs."""
    rng = np.random.default_rng(1)
    params = {name: mg.param(name, value) for name, value in cell.init(0).items()}
    xs, target = mg.var("xs", (T, B, cell.input_size), cell.dtype), mg.var("y", (B,), cell.dtype)

    def step(state, x):
        state = cell.step(params, state, x)
        return state, mg.sum(state.h, axis=1)

    last, ys = mg.scan(step, cell.initial_state(B), xs)
    loss = mg.mean((ys[-1] - target) ** 2) + mg.sum(last.h * last.h)
    values = [rng.standard_normal(v.shape).astype(cell.dtype) for v in (xs, target)]
    return [xs, target], [loss, *mg.grad(loss, list(params.values()))], values


@pytest.mark.parametrize("kind", CELLS, ids=lambda c: c.__name__)
def test_cells(kind):
    agree(*training(kind(2, 5, dtype="float64"), 4, 3), rtol=1e-12)
    agree(*training(kind(2, 5, dtype="float32"), 4, 3), rtol=1e-5)


def test_loops_in_loops_backwards_and_of_no_steps():
    xs, c = mg.var("xs", (3, 4, 2)), mg.var("c", (2,))
    none = mg.var("none", (0, 2))

    def inner(c, x):
        return mg.tanh(c + x), c * x

    def outer(c, row):
        c, ys = mg.scan(inner, c, row, reverse=True, checkpoint=2)
        return c, mg.sum(ys)

    last, ys = mg.scan(outer, c, xs)
    same, empty = mg.scan(inner, c, none)
    loss = mg.sum(last * last) + mg.sum(ys * ys) + mg.sum(same)
    values = [np.linspace(-1, 1, v.size).reshape(v.shape) for v in (xs, c, none)]
    agree([xs, c, none], [loss, last, empty, *mg.grad(loss, [xs, c])], values)


# --- random numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_numbers_are_those_of_the_reference_bit_for_bit(dtype):
    seed = mg.var("seed", (), "uint64")
    keys = mg.fold_in(mg.fold_in(mg.key(seed), 3), mg.const([0, 1, 2**63 + 5], "uint64"))
    outputs = [keys, mg.uniform(keys, (7, 3), dtype), mg.uniform(keys, (), dtype)]
    for value in (0, 2**64 - 1):
        made = [mg.function([seed], outputs, backend=b)(np.uint64(value)) for b in ("jax", "numpy")]
        for ours, theirs in zip(*made, strict=True):
            np.testing.assert_array_equal(ours, theirs)


# --- params --------------------------------------------------------------------------------------


def descent(**options):
    w, b, x = mg.param("w", np.ones((3, 2)), "float32"), mg.param("b", 0.5), mg.var("x", (3,))
    loss = mg.sum(mg.tanh(x.astype("float32") @ w) ** 2).astype("float64") * b
    updates = {w: w - 0.1 * mg.grad(loss, w), b: b + 1}
    return w, b, mg.function([x], loss, updates=updates, **options)


def test_updates_are_those_of_the_reference():
    w, b, step = descent(backend="jax")
    w0, b0, reference = descent(backend="numpy")
    for x in np.random.default_rng(0).normal(size=(3, 3)):
        assert_close(step(x), reference(x), 1e-6)
    assert_close(w.value, w0.value, 1e-6)
    assert b.value == b0.value == 3.5
    assert w.value.dtype == "float32"


def test_updated_params_move_to_the_device_and_their_memory_is_used_again():
    w, _, step = descent(backend="jax")
    step(np.ones(3))
    storage = w.attrs[1].storage
    assert isinstance(storage, DeviceStorage)
    before, value = storage.array, w.value
    step(np.ones(3))
    assert before.is_deleted()
    assert not np.array_equal(value, w.value)  # what was read before stays as it was
    with pytest.raises(ValueError, match="read-only"):
        w.value[0, 0] = 1.0


def test_params_on_devices_are_read_and_written_by_all():
    w, b, step = descent(backend="jax")
    step(np.ones(3))
    b.value = 7.25
    assert step(np.zeros(3)) == 0.0 and b.value == 8.25
    assert (2 * b).eval() == 16.5
    mg.function([], b, updates={b: b * 2})()
    assert b.value == 16.5
    assert step(np.zeros(3)) == 0.0 and b.value == 17.5
    w.value = np.zeros((3, 2))
    assert step(np.ones(3)) == 0.0


def test_what_the_host_holds_is_not_given_up():
    w, _, step = descent(backend="jax")
    held = w.value
    step(np.ones(3))
    np.testing.assert_array_equal(held, np.ones((3, 2)))


# --- what goes wrong -----------------------------------------------------------------------------


def indexed(**options):
    x, k, seen = mg.var("x", (4,)), mg.var("k", (2,), "int64"), mg.param("seen", 0.0)
    return seen, mg.function([x, k], x[k], updates={seen: seen + 1}, **options)


def test_what_lies_where_it_shall_is_not_put_there_again(monkeypatch):
    x, W = mg.var("x", (2,)), mg.param("W", np.ones((2, 2)))
    read = mg.param("read", np.ones(2))
    step = mg.function([x], W @ x, updates={W: W + read, read: read}, backend="jax")
    with jax.enable_x64(True):
        value = jax.numpy.ones(2)
    put, puts = jax.device_put, []
    monkeypatch.setattr(jax, "device_put", lambda *a, **kw: puts.append(a) or put(*a, **kw))
    step(np.ones(2))
    assert len(puts) == 3
    for k in (2, 3):
        np.testing.assert_array_equal(step(value), [2.0 * k, 2.0 * k])
    assert len(puts) == 3


@pytest.mark.parametrize("k", [[0, 4], [-5, 0]])
def test_an_index_out_of_bounds_raises_and_updates_nothing(k):
    seen, f = indexed(backend="jax")
    assert f([1.0, 2, 3, 4], [-1, 0]).tolist() == [4.0, 1.0]
    with pytest.raises(IndexError, match="axis of length 4"):
        f([1.0, 2, 3, 4], k)
    assert seen.value == 1.0
    f([1.0, 2, 3, 4], [3, 3])
    assert seen.value == 2.0


def test_an_index_out_of_bounds_in_a_loop():
    x, ks = mg.var("x", (4,)), mg.var("ks", (3, 1), "int64")
    _, ys = mg.scan(lambda c, k: (c + mg.sum(mg.sin(x * c)[k]), c), mg.const(0.5), ks)
    f = mg.function([x, ks], ys, backend="jax")
    assert f(np.ones(4), [[0], [1], [2]]).shape == (3,)
    with pytest.raises(IndexError, match="op getitem"):
        f(np.ones(4), [[0], [9], [2]])


def test_matrices_without_an_inverse_or_a_root():
    x = mg.var("x", (2, 2))
    for made, why in ((mg.inv(x), "Singular"), (mg.cholesky(x), "positive definite")):
        f = mg.function([x], made, backend="jax")
        f(np.eye(2))
        with pytest.raises(np.linalg.LinAlgError, match=why):
            f([[0.0, 1.0], [1.0, 0.0]] if "def" in why else np.zeros((2, 2)))


def test_a_negative_power_of_an_integer():
    n = mg.var("n", (), "int64")
    f = mg.function([n], mg.const(2) ** n, backend="jax")
    assert f(3) == 8
    with pytest.raises(ValueError, match="negative integer powers"):
        f(-1)


class TooMuchError(ArithmeticError):
    """What an op of the user's own raises."""


@pytest.fixture
def own_op():
    """An op of the user's own, which NumPy alone can compute, and not of every number."""

    def halved(x):
        if x.max(initial=0) > 100:
            raise TooMuchError("too much")
        return x / 2

    yield mg.register(mg.Op("halved", lambda x: x, halved, partials=(lambda y, x: x * 0 + 0.5,)))
    del OPS["halved"]


def test_ops_of_the_user_run_on_the_host_and_the_report_says_so(own_op):
    x, seen = mg.var("x", (3,)), mg.param("seen", 0.0)
    _, ys = mg.scan(lambda c, x: (c + own_op(x), c), mg.const(0.0), x)
    f = mg.function([x], [own_op(mg.sin(x)), ys], updates={seen: seen + 1}, backend="jax")
    first, ys = f([0.0, 1.0, 2.0])
    np.testing.assert_allclose(first, np.sin([0.0, 1.0, 2.0]) / 2)
    assert ys.tolist() == [0.0, 0.0, 0.5]
    assert "op halved (2 of them) runs on numpy" in str(f.report())
    assert "halved, on numpy" in str(f.report())
    with pytest.raises(ArithmeticError, match="too much") as caught:
        f([0.0, 101.0, 2.0])
    assert "op halved" in caught.value.__notes__[0]
    assert seen.value == 1.0


def test_what_the_host_caught_is_that_of_the_call_and_is_dropped(own_op):
    x = mg.var("x", (3,))
    f = mg.function([x], own_op(x), backend="jax")
    for _ in range(2):
        with pytest.raises(ArithmeticError) as caught:
            f([0.0, 101.0, 2.0])
        assert len(caught.value.__notes__) == 1
    known = weakref.ref(caught.value)
    del caught
    gc.collect()
    assert known() is None


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_step_that_fails_is_told(reverse):
    x, ks = mg.var("x", (4,)), mg.var("ks", (3, 2), "int64")
    y = mg.var("y", (5,))

    def step(c, k):
        return c + x[k[0]] * y[k[1]], c

    _, ys = mg.scan(step, mg.const(0.5), ks, reverse=reverse)
    bad = [[9, 0], [0, 0], [0, 9]]
    f = mg.function([x, y, ks], ys, backend="jax", simplify=False)
    with pytest.raises(IndexError, match=f"axis of length {5 if reverse else 4}"):
        f(np.ones(4), np.ones(5), bad)
    with pytest.raises(IndexError, match=f"axis of length {4 if reverse else 5}"):
        f(np.ones(4), np.ones(5), bad[::-1])


def test_calls_at_once_update_one_after_another():
    p, only, x = mg.param("p", np.zeros(1000)), mg.param("only", 0.0), mg.var("x")
    updates = {p: p + x, only: 2 * x}
    step = mg.function([x], mg.sum(p), updates=updates, backend="jax")
    read = mg.function([], mg.sum(p * p), backend="jax")

    def calls(_):
        for _ in range(20):
            step(1.0)
            read()
            assert p.value.shape == (1000,)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(calls, range(4)))
    np.testing.assert_array_equal(p.value, np.full(1000, 80.0))
    assert only.value == 2.0


def test_a_param_that_is_written_alone_stays_where_a_call_raises():
    x, k, last = mg.var("x", (4,)), mg.var("k", (), "int64"), mg.param("last", 7.0)
    f = mg.function([x, k], [], updates={last: x[k]}, backend="jax")
    with pytest.raises(IndexError):
        f([1.0, 2, 3, 4], 4)
    assert last.value == 7.0
    f([1.0, 2, 3, 4], 3)
    assert last.value == 4.0


# --- what is said --------------------------------------------------------------------------------


def test_the_report_tells_compiling_from_running():
    x = mg.var("x", (3,))
    f = mg.function([x], mg.sin(x), backend="jax")
    assert "device: " in str(f.report()) and "compiled in " in str(f.report())
    assert "not called yet" in str(f.report())
    f(np.ones(3))
    f(np.ones(3))
    assert "2 calls, the shortest " in str(f.report())


def test_devices_by_name():
    x = mg.var("x")
    assert mg.function([x], x + 1, backend="jax", device="cpu")(1.0) == 2.0
    assert mg.function([x], x + 1, backend="jax", device=jax.devices("cpu")[0])(1.0) == 2.0
    with pytest.raises(mg.GraphError, match="no device 'abacus' here; there are 'cpu'"):
        mg.function([x], x + 1, backend="jax", device="abacus")
    with pytest.raises(mg.GraphError, match="no device 3 here"):
        mg.function([x], x + 1, backend="jax", device=3)


def test_the_users_settings_stay_as_they_are():
    before = jax.config.jax_enable_x64
    x = mg.var("x")
    assert mg.function([x], x / 3, backend="jax")(1.0) == 1 / 3
    assert jax.config.jax_enable_x64 == before is False
    assert jax.numpy.ones(1).dtype == "float32"


def test_arrays_of_jax_are_inputs():
    x = mg.var("x", (3,), "float32")
    f = mg.function([x], 2 * x, backend="jax")
    assert f(jax.numpy.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
    with pytest.raises(mg.ShapeError):
        f(jax.numpy.arange(4.0))
    y = f(np.ones(3, "float32"))
    y[0] = 5.0  # results are the caller's own


class Lent:
    """An array of another engine's, which hands out its memory by DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_arrays_of_other_engines_are_inputs_where_they_lie(dtype):
    x = mg.var("x", (16,), dtype)
    whole = np.zeros(64, dtype)
    start = -whole.ctypes.data % 64 // whole.itemsize  # as XLA wants it
    memory = whole[start : start + 16]
    memory[:] = np.arange(16)
    f = mg.function([x], 2 * x, backend="jax")
    np.testing.assert_array_equal(f(Lent(memory)), 2 * memory)
    bound = f._chosen.bind(x, Lent(memory))
    assert bound.unsafe_buffer_pointer() == memory.ctypes.data
    with pytest.raises(mg.MinigradError, match="was given for x"):
        f(Lent(memory[:4]))


def test_a_graph_without_inputs():
    assert mg.function([], mg.const([1.0, 2.0]) * 2, backend="jax")().tolist() == [2.0, 4.0]
    x = mg.var("x", (2,))
    same, number = mg.function([x], [x, mg.const(3)], backend="jax")([1.0, 2.0])
    assert same.tolist() == [1.0, 2.0] and number == 3
