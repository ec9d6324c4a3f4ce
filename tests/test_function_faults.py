"""What goes wrong when a function runs, and what it leaves behind: params that were changed in
place, updates that cannot be written. And what has several results, or reads no input.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg


@pytest.mark.parametrize("locked", ["a", "b"])
def test_updates_are_written_all_or_not_at_all(locked: str) -> None:
    params = {name: mg.param(name, np.ones(3)) for name in "ab"}
    f = mg.function([], mg.sum(params["a"]), {p: 2 * p for p in params.values()})
    params[locked].value.flags.writeable = False
    with pytest.raises(mg.GraphError, match=f"param {locked} was made read-only"):
        f()
    for p in params.values():
        assert_array_equal(p.value, 1.0)
    params[locked].value = np.ones(3)
    assert f() == 3.0
    for p in params.values():
        assert_array_equal(p.value, 2.0)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("read", [True, False])
def test_a_shape_set_in_place_is_seen(backend: str, read: bool) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    w, p = mg.param("W", np.ones((4, 4))), mg.param("p", np.ones(4))
    x = mg.var("x", (4, 4))
    source = w if read else x
    y, _ = mg.scan(lambda c, row: (mg.tanh(c + row), None), mg.zeros(4), source)
    f = mg.function([x], mg.sum(y), {p: 3 * p, w: source * 2}, backend=backend)
    w.value.resize((2, 8), refcheck=False)  # as `w.value.shape = (2, 8)` does
    with pytest.raises(mg.GraphError, match=r"param W was made float64\(2, 8\).*float64\(4, 4\)"):
        f(np.ones((4, 4)))
    assert_array_equal(p.value, 1.0)
    w.value = np.ones((4, 4))
    f(np.ones((4, 4)))
    assert_array_equal(w.value, 2.0)


@pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")  # since NumPy 2.5
def test_a_dtype_set_in_place_is_seen() -> None:
    w = mg.param("W", np.ones(4))
    w.value.dtype = np.int64  # type: ignore[misc]
    with pytest.raises(mg.GraphError, match="param W was made int64"):
        mg.function([], 2 * w)()


def test_the_array_of_a_constant_cannot_be_changed() -> None:
    c = mg.const(np.ones((2, 3)))
    with pytest.raises(ValueError, match="WRITEABLE"):
        c.value.flags.writeable = True
    c.value.resize((3, 2), refcheck=False)
    assert c.value.shape == (2, 3)
    assert (c * 2).eval().shape == (2, 3)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_a_loop_that_reads_no_input_runs_natively(start: float) -> None:
    pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    last, ys = mg.scan(lambda c, _: (mg.tanh(c + 1), c), mg.full((3,), start), length=60)
    f = mg.function([], [last, ys])
    assert [s.node.op.name for s in f.plan.steps] == ["broadcast_to", "block"]
    assert f.notes == []
    end, stack = f()
    fixed = np.full(3, start)
    for step in stack:
        assert_allclose(step, fixed, rtol=1e-12)
        fixed = np.tanh(fixed + 1)
    assert_allclose(end, fixed, rtol=1e-12)


def test_a_node_of_several_results_answers_for_each() -> None:
    xs = mg.var("xs", (5, 3), "float32")
    last, ys = mg.scan(lambda c, x: (c + x, mg.sum(x)), mg.zeros(3, "float32"), xs)
    nodes = mg.toposort(mg.sum(last) + mg.sum(ys))
    (loop,) = [n for n in nodes if n.op.name == "scan"]
    assert [n.shape for n in nodes if n is loop] == [((3,), (5,))]
    assert loop.dtype == (np.dtype("float32"),) * 2
    assert (loop.ndim, loop.size) == ((1, 1), 8)


def test_a_param_of_an_equal_dtype_that_is_another_object_is_taken():
    """Dtypes are compared by identity first: one with notes of its own is equal all the same."""
    noted = np.dtype("float64", metadata={"unit": "m"})
    p = mg.param("p", np.ones(3))
    p.attrs[1].storage.array = np.full(3, 2.0, noted)
    f = mg.function([], p * 2.0, backend="numpy")
    np.testing.assert_array_equal(f(), [4.0, 4.0, 4.0])
    p.attrs[1].storage.array = np.full(3, 2, "int64")
    with pytest.raises(mg.GraphError, match="was made int64"):
        f()
