"""Training over 10,000 steps with `checkpoint` takes a quarter of the memory that it takes without.

Measured is the first call of a fresh function, from what NumPy allocates: with the buffers that
the function makes then and keeps. The inputs and the parameters are there before.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import lstm
import minigrad as mg

Array = NDArray[Any]
B, X, H = 4, 2, 8


def trained(
    kind: type[lstm.Cell[Any]], T: int, backend: str, checkpoint: bool
) -> tuple[int, list[Array]]:
    """The peak memory of an SGD step on the last h; the loss, its gradients, the new weights."""
    cell = kind(X, H, dtype="float64")
    params = {name: mg.param(name, value) for name, value in cell.init(0).items()}
    xs = mg.var("xs", (T, B, X))

    def step(state: Any, x: mg.Expr) -> tuple[Any, None]:
        return cell.step(params, state, x), None

    last, _ = mg.scan(step, cell.initial_state(B), xs, checkpoint=checkpoint)
    loss = mg.mean(mg.square(last.h))
    grads = mg.grad(loss, list(params.values()))
    updates = {p: p - 0.1 * g for p, g in zip(params.values(), grads, strict=True)}
    # In one thread: how many would share the batch depends on the machine.
    f = mg.function([xs], [loss, *grads], updates, backend=backend, threads=1)
    peak, found = measured(f, np.random.default_rng(0).standard_normal((T, B, X)))
    return peak, [*found, *(p.value for p in params.values())]


def measured(f: mg.Function, *values: Array) -> tuple[int, list[Array]]:
    """The most bytes that there were at once during a call beside those before it; its results."""
    tracemalloc.start()
    try:
        found = f(*values)
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


def check(kind: type[lstm.Cell[Any]], T: int, backend: str) -> None:
    whole, expected = trained(kind, T, backend, checkpoint=False)
    segments, found = trained(kind, T, backend, checkpoint=True)
    assert whole > T * B * H * 8  # without, every step's state is kept
    assert segments <= whole / 4
    for a, b in zip(found, expected, strict=True):
        assert np.any(b)
        assert_allclose(a, b, rtol=1e-10, atol=1e-14)


def test_a_quarter_of_the_memory_on_numpy() -> None:
    check(lstm.RNN, 2_000, "numpy")


@pytest.mark.parametrize("kind", [lstm.RNN, lstm.LSTM, lstm.GRU], ids=lambda c: c.__name__)
def test_a_quarter_of_the_memory_in_machine_code(kind: type[lstm.Cell[Any]]) -> None:
    pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    check(kind, 10_000, "native")
