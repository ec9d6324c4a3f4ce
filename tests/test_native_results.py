"""Memory of large results, which later calls use again: never while anybody holds some of it."""

from __future__ import annotations

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

N = (1 << 20) // 8
"""Elements of float64 from which memory is used again."""


def doubled() -> mg.Function:
    x = mg.var("x", (N,))
    f = mg.function([x], [x + x, x * x], backend="native", threads=1)
    assert [s.node.op.name for s in f.plan.steps] == ["block"]
    return f


def filled(k: int) -> np.ndarray:
    return np.full(N, float(k))


def test_what_nobody_holds_is_used_again() -> None:
    f = doubled()
    places = set()
    for k in range(20):
        twice, square = f(filled(k))
        places |= {twice.ctypes.data, square.ctypes.data}
        assert (twice == 2 * k).all()
        assert (square == k * k).all()
    assert len(places) <= 4  # the last ones are held while the next are made


@pytest.mark.parametrize(
    "part",
    [
        lambda a: a,
        lambda a: a[1:],
        lambda a: a.reshape(2, -1)[1].T,
        lambda a: memoryview(a)[5:],
        lambda a: a.view(np.int64),
        lambda a: np.broadcast_to(a[-3:], (4, 3)),
    ],
)
def test_what_is_held_stays(part) -> None:
    f = doubled()
    held = [part(f(filled(k))[0]) for k in range(3)]
    before = [np.array(h).copy() for h in held]
    for k in range(5):
        f(filled(100 + k))
    for h, b in zip(held, before, strict=True):
        assert_array_equal(np.array(h), b)


def test_results_are_arrays_like_any_other() -> None:
    result, _ = doubled()(filled(1))
    assert type(result) is np.ndarray
    assert result.flags.c_contiguous and result.flags.writeable and result.flags.aligned
    result += 1
    assert (result == 3).all()


def test_callers_in_many_threads_get_their_own() -> None:
    f = doubled()
    with ThreadPoolExecutor(4) as pool:
        for k, (twice, square) in enumerate(pool.map(lambda k: f(filled(k)), range(40))):
            assert (twice == 2 * k).all()
            assert (square == k * k).all()


def test_no_more_is_kept_than_one_calls_results_and_that_goes_with_the_function() -> None:
    f = doubled()
    f(filled(1))
    gc.collect()
    tracemalloc.start()
    try:
        results = [f(filled(k)) for k in range(5)]
        del results
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        assert kept < 2.2 * (1 << 20)
        del f
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
        assert left < 1 << 20
    finally:
        tracemalloc.stop()
