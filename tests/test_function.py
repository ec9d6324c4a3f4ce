"""Compiled functions: values, nesting, updates, memory, aliasing, threads."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.compile.backends.registry import BACKENDS
from minigrad.compile.plan import BUFFER_BYTES

x = mg.var("x")
v = mg.var("v", (3,))
N = 4096
big = mg.var("big", (N,))


def test_the_least_function():
    f = mg.function([x], x * 2, backend="numpy")
    assert isinstance(f, mg.Function)
    assert f(3.0) == 6.0
    assert f(x=3.0) == 6.0
    assert f(3) == 6.0
    assert isinstance(f(3), np.float64)
    assert repr(f).startswith("Function on numpy, 1 step\n")


def test_outputs_keep_their_nesting():
    from typing import NamedTuple

    class Pair(NamedTuple):
        left: object
        right: object

    f = mg.function([x], {"a": [x, (x + 1,)], "b": Pair(x * 2, 7), "none": ()})
    found = f(1.0)
    assert found == {"a": [1.0, (2.0,)], "b": Pair(2.0, 7), "none": ()}
    assert isinstance(found["b"], Pair)
    assert mg.eval([x, {"y": x * 2}], {x: 2.0}) == [2.0, {"y": 4.0}]


def test_constants_and_inputs_may_be_outputs():
    f = mg.function([x, v], [v, mg.const(3.0), x])
    a, c, b = f(1.0, [1, 2, 3])
    assert_array_equal(a, [1, 2, 3])
    assert (c, b) == (3.0, 1.0)


def test_an_unused_input_is_fine():
    assert mg.function([x, v], x)(1.0, np.zeros(3)) == 1.0
    assert x.eval({x: 1.0, v: np.zeros(3)}) == 1.0


def test_inputs_convert_without_losing_kind():
    w = mg.var("w", (2,), "float32")
    k = mg.var("k", (2,), "uint8")
    f = mg.function([w, k], [w, k])
    for values in ([1, 2], [True, False], np.array([1, 2], "int8")):
        a, b = f(values, values)
        assert a.dtype == np.float32
        assert b.dtype == np.uint8
        assert_array_equal(a, np.asarray(values, "float32"))


# --- updates ------------------------------------------------------------------------------------


def test_updates_happen_at_once_and_after_the_outputs():
    p, q = mg.param("p", [1.0]), mg.param("q", [2.0])
    f = mg.function([], [p, q], updates={p: q, q: p + q})
    held = p.value
    first = f()
    assert [a.tolist() for a in first] == [[1.0], [2.0]]
    assert p.value is held, "params are written in place"
    assert (p.value[0], q.value[0]) == (2.0, 3.0)
    f()
    assert (p.value[0], q.value[0]) == (3.0, 5.0)
    assert [a.tolist() for a in first] == [[1.0], [2.0]]


def test_a_param_of_another_value_is_seen():
    p = mg.param("p", 1.0)
    f = mg.function([x], x * p)
    assert f(2.0) == 2.0
    p.value = 10.0
    assert f(2.0) == 20.0


def test_descent_reaches_the_minimum():
    p = mg.param("p", np.ones(5))
    loss = mg.sum((p - np.arange(5.0)) ** 2)
    step = mg.function([], loss, updates={p: p - 0.25 * mg.grad(loss, p)})
    for _ in range(60):
        last = step()
    assert last < 1e-30
    assert_allclose(p.value, np.arange(5.0), atol=1e-15)


# --- nothing is shared that should not be ---------------------------------------------------------

VIEWS = {
    "the input": lambda e: e,
    "slice": lambda e: e[1:],
    "reverse": lambda e: mg.flip(e),
    "reshape": lambda e: e.reshape(2, -1),
    "transpose": lambda e: e.reshape(2, -1).T,
    "broadcast": lambda e: mg.broadcast_to(e, (2, *e.shape)),
    "stop_gradient": mg.stop_gradient,
    "einsum": lambda e: mg.einsum("ij->ji", e.reshape(2, -1)),
    "diagonal": lambda e: mg.einsum("ii->i", e[:4].reshape(2, 2)),
    "custom": mg.custom_vjp(lambda e: e, lambda ct, y, e: ct),
    "astype": lambda e: mg.astype(mg.astype(e, "float32"), "float64"),
    "clip": lambda e: mg.clip(e),
    "concat of one": lambda e: mg.concat([e]),
    "sum over nothing": lambda e: mg.sum(e, axis=()),
}


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("name", VIEWS)
def test_outputs_share_no_memory_with_leaves_or_each_other(name, simplify):
    data = np.arange(float(N))
    p = mg.param("p", data)
    c = mg.const(data)
    outputs = [VIEWS[name](e) for e in (big, p, c, mg.exp(-big))]
    f = mg.function([big], [*outputs, outputs[0], outputs[3]], simplify=simplify)
    found = f(data)
    leaves = [data, p.value, c.value]
    for k, a in enumerate(found):
        assert a.flags.writeable
        for other in [*found[:k], *leaves]:
            assert not np.shares_memory(a, other)
    for a in found:
        a[...] = -1.0
    assert_array_equal(data, np.arange(float(N)))
    assert_array_equal(p.value, np.arange(float(N)))
    assert_array_equal(c.value, np.arange(float(N)))
    assert_array_equal(f(data)[1], np.asarray(VIEWS[name](mg.const(data)).eval()))


def test_constants_and_values_are_copied_in():
    data = np.arange(3.0)
    p, c = mg.param("p", data), mg.const(data)
    data[:] = 7
    assert_array_equal(p.value, [0, 1, 2])
    assert_array_equal(c.value, [0, 1, 2])
    with pytest.raises(ValueError, match="read-only"):
        c.value[0] = 1
    p.value = data
    data[:] = 8
    assert_array_equal(p.value, [7, 7, 7])


def test_results_handed_out_are_not_overwritten():
    y = mg.exp(mg.sin(big) * 2) + mg.cumulative_sum(big * big)
    f = mg.function([big], [y, y[::-1], mg.sum(y), y.reshape(64, 64).T @ y.reshape(64, 64)])
    first = f(np.linspace(0, 1, N))
    kept = [a.copy() for a in first]
    for k in range(3):
        f(np.linspace(k, 5, N))
    for a, b in zip(first, kept, strict=True):
        assert_array_equal(a, b)


# --- memory ---------------------------------------------------------------------------------------


def long_graph():
    y = big
    for k in range(30):
        y = mg.tanh(y * (1 + k / 30) + mg.sin(y))
    return y


def test_buffers_are_shared():
    f = mg.function([big], mg.sum(long_graph()), backend="numpy")
    assert len(f.plan.buffers) <= 4
    assert N * 8 >= BUFFER_BYTES
    assert "buffers" in f.report()
    assert "30 × tanh" in f.report()


def test_repeated_calls_allocate_little():
    f = mg.function([big], mg.sum(long_graph()), backend="numpy")
    data = np.linspace(0, 1, N)
    f(data)
    tracemalloc.start()
    try:
        f(data)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            f(data)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < data.nbytes / 2, "a step made an array where it had a buffer"
    assert now - before < 4096, "something is kept from each call"


def taken(y):
    for k in range(30):
        y = mg.take(y, np.roll(np.arange(N), k)) + 1
    return y


def reshaped(y):
    for k in range(30):
        y = mg.where(y > k, y, -y).reshape(64, -1).reshape(-1) + 1
    return y


def through_loops(y):
    for _ in range(30):
        _, ys = mg.scan(lambda c, r: (c * 0.5 + mg.sin(r) * 0.3, c), y[:64], y.reshape(64, 64))
        y = (mg.tanh(ys) + ys * 0.5).reshape(-1)
    return y


@pytest.mark.parametrize("chain", [taken, reshaped, through_loops])
def test_memory_is_let_go_of_with_its_last_view(chain):
    y = mg.var("y", (N,))
    data = np.linspace(0, 1, N)
    f = mg.function([y], mg.sum(chain(y)), backend="numpy", simplify=False)
    f(np.ones(N))  # what loops compile at their first call is no memory of a call
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        f(data)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    held = sum(t.size * t.dtype.itemsize for t in f.plan.buffers)
    assert peak < 4 * data.nbytes
    assert held < 6 * data.nbytes
    assert_allclose(f(data), reference([mg.sum(chain(y))], {y: data})[0], rtol=1e-9)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_buffers_of_loops_hold_the_right_values(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    y = mg.var("y", (N,))
    data = np.linspace(0, 1, N)
    middle = through_loops(y)
    outputs = [mg.exp(-middle), middle[::-1], mg.grad(mg.sum(mg.tanh(middle)), y)]
    f = mg.function([y], outputs, backend=backend)
    expected = reference(outputs, {y: data})
    for _ in range(2):
        for found, want in zip(f(data), expected, strict=True):
            assert_allclose(found, want, rtol=1e-8, atol=1e-9)


def test_a_loop_of_no_steps_hands_out_arrays_of_its_own():
    rows = mg.var("rows", (0, N))
    last, _ = mg.scan(lambda c, r: (c + r, None), mg.exp(big), rows)
    out = mg.sum(last * mg.cumulative_sum(mg.tanh(big)) - last)
    f = mg.function([big, rows], out, backend="numpy", simplify=False)
    data = {"big": np.linspace(0, 1, N), "rows": np.zeros((0, N))}
    values = {big: data["big"], rows: data["rows"]}
    assert_allclose(f(**data), reference([out], values)[0], rtol=1e-12)


def test_what_index_arrays_pick_is_no_view():
    f = mg.function([big], mg.take(big, np.arange(N)[::-1]), backend="numpy")
    assert not f.plan.copied
    row = mg.var("m", (64, 64))[mg.argmax(mg.var("key", (64,)))]
    g = mg.function([*mg.free_variables([row])], row, backend="numpy")
    data = {"m": np.ones((64, 64)), "key": np.arange(64.0)}
    found = g(**data)
    assert not np.shares_memory(found, data["m"])


@pytest.mark.parametrize("in_loop", [False, True])
def test_the_report_of_a_nan_reads_operands_before_they_are_written_over(in_loop):
    def bad(y):
        return mg.log(mg.tanh(y) * 2)

    if in_loop:
        out = mg.scan(lambda c, r: (bad(c + r) + 1, None), big * 0.5, big.reshape(1, N))[0]
    else:
        out = mg.sum(bad(big))
    f = mg.function([big], out, check_finite=True)
    with pytest.raises(mg.NonFiniteError, match=r"operand .*, values -2 to -2"):
        f(np.full(N, -40.0))


def test_a_failing_pass_leaves_garbage_collection_as_it_was():
    def fails(cotangent, out, y):
        paused.append(not gc.isenabled())
        raise ZeroDivisionError

    paused = []
    was_on = gc.isenabled()
    try:
        for state in (gc.enable, gc.disable):
            state()
            before = gc.isenabled()
            with pytest.raises(ZeroDivisionError):
                mg.grad(mg.custom_vjp(mg.sin, fails)(x), x)
            assert gc.isenabled() == before
        assert paused == [True, True], "the error came from inside the pass"
    finally:
        (gc.enable if was_on else gc.disable)()


def test_reused_buffers_hold_the_right_values():
    rng = np.random.default_rng(0)
    m = mg.var("m", (64, 64))
    y = m
    for k in range(6):
        left, right = y.T + m, y[::-1] * 0.1
        y = mg.tanh(left @ right / 8 + mg.flip(left, 1) - mg.sum(right, 0) + k * y.T)
    outputs = [y, mg.vjp(y, m, mg.ones_like(y)), mg.max(y, 1), y.reshape(-1)[5:]]
    data = rng.standard_normal((64, 64))
    f = mg.function([m], outputs)
    expected = reference(outputs, {m: data})
    for _ in range(2):
        for found, want in zip(f(data), expected, strict=True):
            assert_allclose(found, want, rtol=1e-9, atol=1e-12)


def copied(value):
    return tuple(map(np.array, value)) if isinstance(value, tuple) else np.array(value)


def reference(outputs, at):
    """Each op on fresh arrays that nobody shares: what a plan must equal."""
    value = {}
    with np.errstate(all="ignore"):
        for node in mg.toposort(outputs):
            if node.args:
                found = node.op.numpy(*[copied(value[a]) for a in node.args], *node.attrs)
                value[node] = copied(found)
            elif node in at:
                value[node] = np.asarray(at[node])
            else:
                value[node] = node.value
    return [value[y] for y in outputs]


# --- threads --------------------------------------------------------------------------------------


def in_threads(work, count=4):
    failures = []
    barrier = threading.Barrier(count)

    def run(k):
        try:
            barrier.wait()
            work(k)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


def test_threads_may_call_one_function():
    y = long_graph()
    f = mg.function([big], [mg.sum(y), y])
    inputs = [np.linspace(k, k + 1, N) for k in range(4)]
    expected = [f(a) for a in inputs]
    expected = [(s, a.copy()) for s, a in expected]

    def work(k):
        for _ in range(40):
            total, values = f(inputs[k])
            assert total == expected[k][0]
            assert_array_equal(values, expected[k][1])

    in_threads(work)


def test_threads_building_the_same_get_the_same():
    made = {}

    def work(k):
        y = mg.var("shared")
        for j in range(2000):
            y = mg.sin(y * (j % 7)) + y
        made[k] = y, mg.grad(y, mg.var("shared"))

    in_threads(work)
    ys, gradients = zip(*made.values(), strict=True)
    assert len(set(map(id, ys))) == 1
    assert len(set(map(id, gradients))) == 1


def test_a_function_is_not_copied_in_silence():
    import copy
    import pickle

    x = mg.var("x")
    f = mg.function([x], x * 2.0)
    for take in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            take(f)


# --- backends and storage ------------------------------------------------------------------------


class Elsewhere:
    """A storage that is not the host's memory: it hands out copies and counts them."""

    def __init__(self, array):
        self.held, self.loads, self.stores = array.tobytes(), 0, 0
        self.shape, self.dtype = array.shape, array.dtype

    def load(self):
        self.loads += 1
        return np.frombuffer(self.held, self.dtype).reshape(self.shape)

    def store(self, value):
        self.stores += 1
        self.held = np.ascontiguousarray(value, self.dtype).tobytes()


def test_params_may_live_elsewhere():
    p, x = mg.param("p", [1.0, 2.0]), mg.var("x")
    cell = p.attrs[1]
    cell.storage = Elsewhere(p.value)
    step = mg.function([x], mg.sum(p * x), updates={p: p + x})
    assert step(3.0) == 9.0
    assert (cell.storage.loads, cell.storage.stores) == (1, 1)
    assert_array_equal(p.value, [4.0, 5.0])
    p.value = [0.0, 7.0]
    assert step(1.0) == 7.0
    assert isinstance(cell.storage, Elsewhere)


def test_a_backend_may_take_a_whole_plan():
    plans = []

    class Whole(mg.Backend):
        name = "whole"

        def prepare(self, outputs):
            return mg.simplify(list(outputs))

        def compile(self, plan):
            plans.append(plan)
            return lambda values: [np.asarray(values[0] * 2.0) for _ in plan.outputs]

    mg.register_backend("whole", Whole)
    try:
        x = mg.var("x")
        f = mg.function([x], (x + x, x * 2.0), backend="whole")
        assert f(4.0) == (8.0, 8.0)
        assert f.report().startswith("backend whole")
        assert {n.op.name for n in plans[0].nodes} == {"const", "var", "multiply"}
        with pytest.raises(mg.GraphError, match="registered already"):
            mg.register_backend("whole", Whole)
        with pytest.raises(mg.GraphError, match="'auto', 'numpy', 'native', 'jax', 'whole'"):
            mg.function([x], x, backend="wohle")
        with pytest.raises(mg.GraphError, match="check_finite"):
            mg.function([x], x, backend="whole", check_finite=True)
    finally:
        del BACKENDS["whole"]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_floor_of_infinities_is_written_into_its_buffer(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    values = np.full(N, 3.0)
    f = mg.function([big], [(big + 1.0) // 2.0 * 1.5, -1.0 // (big + 1.0) + 0.0], backend=backend)
    for far in (np.inf, -np.inf, 7.0):  # the buffers of one call serve the next
        values[5] = far
        halves, parts = f(values)
        rest = np.arange(N) != 5
        assert (halves[rest] == 3.0).all() and (parts[rest] == -1.0).all()
        assert halves[5] == (far if np.isinf(far) else 4.0) * 1.5
        assert parts[5] == (0.0 if np.isinf(far) else -1.0)
