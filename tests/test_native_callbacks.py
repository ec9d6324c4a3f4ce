"""Ops that NumPy is called for from the machine code of loops: results, errors, threads, costs."""

from __future__ import annotations

import contextvars
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from workers import command, share_all

import minigrad as mg
from minigrad.graph.node import OPS, Op, register

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

STEPS = 20
rng = np.random.default_rng(0)


def both(inputs: Sequence[mg.Expr], outputs: Any) -> tuple[mg.Function, mg.Function]:
    """On machine code, loops and all, and on NumPy."""
    native = mg.function(inputs, outputs, backend="native", threads=1)
    assert not native.notes, native.notes
    assert "scan" not in str(native.report())
    return native, mg.function(inputs, outputs, backend="numpy")


def same_bits(inputs: Sequence[mg.Expr], outputs: Sequence[mg.Expr], *values: Any) -> None:
    """Machine code gives NumPy's bits, where all ops are exact or NumPy's."""
    native, numpy = both(inputs, outputs)
    for a, b in zip(native(*values), numpy(*values), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


@pytest.fixture
def registered() -> Iterator[Callable[..., Op]]:
    """Registers ops for a test: name, function of arrays that gives one like the first."""
    names: set[str] = set()

    def add(name: str, function: Callable[..., Any], **more: Any) -> Op:
        names.add(name)
        return register(Op(name, lambda x, *rest: x, function, no_gradient=True, **more))

    yield add
    for name in names:
        del OPS[name]


# --- results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sorts_and_medians(dtype: str) -> None:
    x = mg.var("x", (STEPS, 5, 7), dtype)
    tiny = np.finfo(dtype).smallest_subnormal

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        y = mg.maximum(c, x)
        return mg.sort(y, axis=0), (mg.argsort(y.T, axis=0), mg.median(y, axis=1), mg.sort(x.T))

    last, ys = mg.scan(step, mg.zeros((5, 7), dtype), x)
    values = rng.standard_normal((STEPS, 5, 7)).astype(dtype)
    same_bits([x], [last, *ys], values)
    # subnormals, which the loop's own code takes as zero, have their order within NumPy's
    values = rng.permutation(np.arange(STEPS * 35)).reshape(values.shape).astype(dtype) * tiny
    order, _ = mg.scan(lambda c, x: (mg.argsort(x), None), mg.zeros((5, 7), "int64"), x)
    same_bits([x], [order], values)


def test_factors_and_solutions() -> None:
    a, b = mg.var("a", (STEPS, 4, 4)), mg.var("b", (4,))

    def step(c: mg.Expr, a: mg.Expr) -> Any:
        w, v = mg.linalg.eigh(a)
        q, r = mg.linalg.qr(a[:, 1:])
        return mg.linalg.solve(a, c), (mg.linalg.cholesky(a), w, v, r, q[::-1].T, mg.linalg.inv(a))

    last, ys = mg.scan(step, b, a)
    values = rng.standard_normal((STEPS, 4, 4))
    values = values @ values.transpose(0, 2, 1) + np.eye(4)
    same_bits([a, b], [last, *ys], values, np.ones(4))


def kalman(n: int = 4, dtype: str = "float64") -> tuple[list[mg.Expr], mg.Expr, list[Any]]:
    """A filter's log likelihood (up to a constant), its inputs and values for them."""
    ys, f, q = mg.var("ys", (STEPS, 2), dtype), mg.var("F", (n, n), dtype), mg.var("q", (), dtype)
    h = mg.const(np.eye(2, n), dtype)
    eye, noise = mg.const(np.eye(n), dtype), mg.const(0.5 * np.eye(2), dtype)

    def step(state: Any, y: mg.Expr) -> Any:
        m, p = state
        m, p = f @ m, f @ p @ f.T + q * eye
        s = h @ p @ h.T + noise
        gain = mg.linalg.solve(s, h @ p).T
        error = y - h @ m
        cost = error @ mg.linalg.solve(s, error)
        return (m + gain @ error, p - gain @ h @ p), cost

    start = mg.zeros((n,), dtype), eye
    _, costs = mg.scan(step, start, ys)
    at = np.random.default_rng(1)
    values = [at.standard_normal((STEPS, 2)), np.eye(n) + 0.05 * at.standard_normal((n, n)), 0.1]
    return [ys, f, q], mg.sum(costs), [np.asarray(v, dtype) for v in values]


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("float32", 2e-3)])
def test_a_kalman_filter_and_its_gradient(dtype: str, rtol: float) -> None:
    inputs, cost, values = kalman(dtype=dtype)
    native, numpy = both(inputs, [cost, *mg.grad(cost, inputs)])
    for a, b in zip(native(*values), numpy(*values), strict=True):
        assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


def test_integers_of_64_bits_without_sign() -> None:
    x = mg.var("x", (STEPS, 3), "uint64")
    big = mg.const(np.uint64(2**64 - 59))

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        y = (c * big + x) ^ (c >> 31)
        return y, (mg.where(y > big, y, x), mg.concat([x, y[::-1]]), mg.broadcast_to(big, (2,)))

    last, ys = mg.scan(step, mg.const(np.arange(3, dtype="uint64")), x)
    same_bits([x], [last, *ys], rng.integers(0, 2**64, (STEPS, 3), "uint64"))


def test_floats_as_narrow_integers_and_sums_of_these() -> None:
    x = mg.var("x", (STEPS, 3))

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        return c + mg.astype(x, "int8"), mg.sum(mg.astype(c, "int16"))

    last, ys = mg.scan(step, mg.zeros(3, "int8"), x)
    same_bits([x], [last, ys], rng.uniform(-100, 100, (STEPS, 3)))


def test_loops_within_loops() -> None:
    x = mg.var("x", (STEPS, 6))

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        inner, _ = mg.scan(lambda d, y: (mg.sort(mg.maximum(d, y - d)), None), c, mg.stack([x] * 3))
        return inner, mg.argsort(inner)

    last, ys = mg.scan(step, mg.zeros(6), x)
    same_bits([x], [last, ys], rng.standard_normal((STEPS, 6)))


def test_nothing_is_called_of_no_steps_and_all_of_empty_arrays() -> None:
    x = mg.var("x", (0, 3))
    last, ys = mg.scan(lambda c, x: (mg.sort(c + x), c), mg.ones(3), x)
    same_bits([x], [last, ys], np.zeros((0, 3)))
    y = mg.var("y", (STEPS, 0))
    last, ys = mg.scan(lambda c, y: (mg.sort(c + y), mg.argsort(y)), mg.ones(0), y)
    same_bits([y], [last, ys], np.zeros((STEPS, 0)))


def test_ops_of_ones_own(registered: Callable[..., Op]) -> None:
    rolled = registered("rolled", lambda x, by: np.roll(x, by), attrs=(mg.Attr("by"),))
    halved = registered("halved", lambda x: x / 2, pointwise=True)
    itself = registered("itself", lambda x: x)
    x = mg.var("x", (STEPS, 5))

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        return rolled(c + halved(x), by=1), (rolled(c, by=-2), itself(x))

    last, ys = mg.scan(step, mg.zeros(5), x)
    same_bits([x], [last, *ys], rng.standard_normal((STEPS, 5)))


def test_what_an_op_of_ones_own_holds_on_to_stays(registered: Callable[..., Op]) -> None:
    held: list[Any] = []
    keeping = registered("keeping", lambda x: held.append(x) or x + 1)
    x = mg.var("x", (STEPS, 3))
    ys = mg.scan(lambda c, x: (c, keeping(mg.square(x))), 0.0, x)[1]
    native, _ = both([x], [ys])
    values = rng.standard_normal((STEPS, 3))
    assert_array_equal(native(values)[0], values**2 + 1)
    native(0 * values)
    assert_array_equal(held[:STEPS], values**2)


def test_an_op_of_a_name_that_another_had(registered: Callable[..., Op]) -> None:
    x = mg.var("x", (STEPS, 3))

    def loop(op: Op) -> mg.Function:
        last, _ = mg.scan(lambda c, x: (op(c + x), None), mg.zeros(3), x)
        return mg.function([x], last, backend="native")

    first = loop(registered("changing", lambda x: x + 1))
    del OPS["changing"]
    second = loop(registered("changing", lambda x: x - 1))
    zeros = np.zeros((STEPS, 3))
    assert_array_equal(first(zeros), np.full(3, STEPS))
    assert_array_equal(second(zeros), np.full(3, -STEPS))


def test_gradients_of_ones_own_cost_nothing() -> None:
    flipped = mg.custom_vjp(lambda x: mg.tanh(x), lambda ct, y, x: -ct)
    x = mg.var("x", (STEPS,))
    last, _ = mg.scan(lambda c, x: (flipped(c * x), None), 1.0, x)
    native, numpy = both([x], [last, mg.grad(last, x)])
    values = rng.standard_normal(STEPS)
    for a, b in zip(native(values), numpy(values), strict=True):
        assert_allclose(a, b, rtol=1e-12)


# --- errors ------------------------------------------------------------------------------------


def singular_at(step: int) -> tuple[list[mg.Expr], mg.Expr, Any]:
    a = mg.var("a", (STEPS, 2, 2))
    last, _ = mg.scan(lambda c, a: (mg.linalg.solve(a, c), None), mg.ones(2), a)
    values = np.broadcast_to(2 * np.eye(2), (STEPS, 2, 2)).copy()
    values[step] = [[1.0, 2.0], [2.0, 4.0]]
    return [a], last, values


def test_a_singular_matrix_in_step_7_is_told_as_by_numpy() -> None:
    inputs, last, values = singular_at(7)
    native, numpy = both(inputs, last)
    told = []
    for f in (numpy, native):
        with pytest.raises(np.linalg.LinAlgError) as caught:
            f(values)
        told.append((str(caught.value), caught.value.__notes__[0]))
    assert told[0] == told[1]
    values[7] = np.eye(2)  # and the function goes on being one
    assert_array_equal(native(values), numpy(values))


class StrangeError(Exception):
    """An error of a user's op."""


def test_an_error_of_ones_own_is_raised_as_itself_and_nothing_is_called_after(
    registered: Callable[..., Op],
) -> None:
    calls: list[int] = []
    error = StrangeError("as I said")

    def picky(x: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise error
        return x + 1

    op = registered("picky", picky)
    x = mg.var("x", (STEPS,))
    last, _ = mg.scan(lambda c, x: (op(c) + x, None), 0.0, x)
    native, _ = both([x], last)
    with pytest.raises(StrangeError) as caught:
        native(np.zeros(STEPS))
    assert caught.value is error
    assert "while computing op picky" in "".join(caught.value.__notes__)
    assert len(calls) == 5
    assert native(np.zeros(STEPS)) == STEPS


def test_a_wrong_result_of_ones_own_op_is_told(registered: Callable[..., Op]) -> None:
    op = registered("short", lambda x: x[1:])
    x = mg.var("x", (STEPS, 3))
    last, _ = mg.scan(lambda c, x: (op(c) + x, None), mg.zeros(3), x)
    native, _ = both([x], last)
    with pytest.raises(mg.GraphError, match="the `numpy` of short must return"):
        native(np.zeros((STEPS, 3)))


def test_an_index_out_of_range_is_still_told() -> None:
    x, k = mg.var("x", (3,)), mg.var("k", (STEPS,), "int64")
    last, _ = mg.scan(lambda c, k: (mg.sort(c) + mg.take(x, k), None), mg.zeros(2), k)
    native, _ = both([x, k], last)
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        native(np.zeros(3), np.full(STEPS, 3))


def test_an_op_sees_each_value_twice_at_most_of_an_index_out_of_range(
    registered: Callable[..., Op],
) -> None:
    calls: list[int] = []
    op = registered("counted", lambda x: calls.append(1) or x + 1)
    x, k = mg.var("x", (3,)), mg.var("k", (STEPS,), "int64")
    last, _ = mg.scan(lambda c, k: (op(c) + mg.take(x, k), None), mg.zeros(2), k)
    native, _ = both([x, k], last)
    with pytest.raises(IndexError, match="index 3 is out of bounds") as caught:
        native(np.zeros(3), np.where(np.arange(STEPS) == 4, 3, 0))
    assert len(calls) == 2 * 5
    assert __file__ in caught.value.__notes__[-1]


def test_errors_name_the_line_of_the_op_that_raised_them(registered: Callable[..., Op]) -> None:
    def picky(x: Any) -> Any:
        if x[0] > 1:
            raise StrangeError("too much")
        return x + 1

    op = registered("choosy", picky)
    x = mg.var("x", (STEPS, 1))

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        first = op(c)
        second = op(first + x)
        return second * 0, None

    last, _ = mg.scan(step, mg.zeros(1), x)
    native, numpy = both([x], last)
    told = []
    for f in (numpy, native):
        with pytest.raises(StrangeError) as caught:
            f(np.ones((STEPS, 1)))
        told.append(caught.value.__notes__[0])
    assert told[0] == told[1]


@contextmanager
def alarm_in(seconds: float, handler: Callable[..., Any]) -> Iterator[None]:
    """A signal after so long, again and again in case it comes too soon."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def timed_out(*_: Any) -> None:
    raise StrangeError("it took too long")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("handler", "error"),
    [(signal.default_int_handler, KeyboardInterrupt), (timed_out, StrangeError)],
)
def test_a_signal_ends_loops_that_call_back_with_its_error(
    handler: Callable[..., Any], error: type[BaseException]
) -> None:
    """Most come while machine code runs, so just as Python takes a call up. What comes after the
    first loop is not run either."""
    x = mg.var("x", (64,))
    first, _ = mg.scan(lambda c, _: (mg.sort(c) + x, None), mg.zeros(64), length=10**11)
    last, _ = mg.scan(lambda c, _: (mg.tanh(c) * x, None), first, length=10**11)
    native, _ = both([x], last)
    for seconds in (0.02, 0.021, 0.022, 0.023):
        with pytest.raises(error), alarm_in(seconds, handler):
            native(np.zeros(64))


def test_the_deepest_call_of_python_is_told_as_that() -> None:
    x = mg.var("x", (STEPS, 3))
    last, _ = mg.scan(lambda c, x: (mg.sort(c + x), None), mg.zeros(3), x)
    native, _ = both([x], last)
    values, outcomes = np.zeros((STEPS, 3)), []

    def deeper(n: int) -> None:
        try:
            if n:
                deeper(n - 1)
            else:
                outcomes.append(native(values))
        except (RecursionError, ctypes.ArgumentError):  # which is ctypes' word for the same
            outcomes.append(None)

    # each of the last frames before the limit is where the op is called from once
    limit = sys.getrecursionlimit()
    for n in range(limit - 150, limit):
        deeper(n)
    assert any(o is None for o in outcomes)
    assert any(o is not None for o in outcomes)


# --- threads, code on the disk, memory ----------------------------------------------------------


def test_callers_in_many_threads() -> None:
    x = mg.var("x", (STEPS, 64))
    last, _ = mg.scan(lambda c, x: (mg.sort(c - x), None), mg.zeros(64), x)
    native, numpy = both([x], last)
    values = rng.standard_normal((40, STEPS, 64))
    with ThreadPoolExecutor(8) as pool:
        for a, b in zip(pool.map(native, values), values, strict=True):
            assert_array_equal(a, numpy(b))


def test_loops_that_call_back_stay_on_the_callers_thread(
    monkeypatch: pytest.MonkeyPatch, registered: Callable[..., Op]
) -> None:
    """An op may ask for what is the thread's: a context variable, a lock that it holds."""
    share_all(monkeypatch)
    scale = contextvars.ContextVar("scale", default=1.0)
    op = registered("scaled", lambda x: x * scale.get())
    xs = [mg.var(f"x{k}", (200, 64)) for k in range(4)]

    def step(c: mg.Expr, x: mg.Expr) -> Any:  # the last two call from a loop within
        return op(c - x), None

    def outer(c: mg.Expr, x: mg.Expr) -> Any:
        return mg.scan(lambda c, _: step(c, x), c, None, length=2)[0], None

    lasts = [
        mg.scan(s, mg.zeros(64), x)[0] for s, x in zip((step, step, outer, outer), xs, strict=True)
    ]
    f = mg.function(xs, lasts, backend="native", threads=2)
    numpy = mg.function(xs, lasts, backend="numpy")
    values = rng.standard_normal((4, 200, 64))
    scale.set(0.5)
    for _ in range(20):
        for a, b in zip(f(*values), numpy(*values), strict=True):
            assert_array_equal(a, b)


def test_an_error_that_takes_no_note_is_raised(registered: Callable[..., Op]) -> None:
    class NoNotesError(Exception):
        def add_note(self, note: str) -> None:
            raise TypeError("no notes")

    def fail(x: Any) -> Any:
        raise NoNotesError("own")

    op = registered("failing", fail)
    x = mg.var("x", (STEPS, 3))
    last, _ = mg.scan(lambda c, x: (op(c + x), None), mg.zeros(3), x)
    f = mg.function([x], last, backend="native")
    with pytest.raises(NoNotesError, match="own"):
        f(np.ones((STEPS, 3)))


PROGRAM = """
import numpy as np
import minigrad as mg
from minigrad.compile.backends.native import jit

made = []
compiled = jit._compiled
jit._compiled = lambda *a: made.append(a) or compiled(*a)
x = mg.var("x", (20, 9))
last, ys = mg.scan(lambda c, x: (mg.sort(x - c), mg.argsort(c)), mg.zeros(9), x)
f = mg.function([x], [last, ys], backend="native")
assert not f.notes
values = np.random.default_rng(0).standard_normal((20, 9))
for a, b in zip(f(values), mg.function([x], [last, ys], backend="numpy")(values)):
    assert np.array_equal(a, b)
print(len(made))
"""


def test_code_on_the_disk_calls_back_in_another_process(tmp_path: Any) -> None:
    place = {**os.environ, "MINIGRAD_CACHE": str(tmp_path / "code")}

    def run() -> int:
        ran = subprocess.run(
            command(PROGRAM), env=place, capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return int(ran.stdout)

    assert run() > 0
    assert run() == 0


def test_arrays_of_every_size_and_layout() -> None:
    x = mg.var("x", (5, 60, 70), "uint64")  # of 34 KB, handed over where they lie

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        y = c * x + x.reshape(70, 60).T
        return y, (mg.concat([y * 3, x ^ y]), (y >> 1).T, x[::2] + y[1::2], y & y)

    last, ys = mg.scan(step, mg.ones((60, 70), "uint64"), x)
    for _ in range(2):
        same_bits([x], [last, *ys], rng.integers(0, 2**64, (5, 60, 70), "uint64"))
