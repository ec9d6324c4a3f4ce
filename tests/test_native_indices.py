"""Indexing with arrays of integers in machine code: of every form, and out of range."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native.backend import Native
from minigrad.compile.backends.registry import Options
from minigrad.graph.walk import toposort

SHAPE = 4, 3, 5, 2
ZEROS = mg.zeros((4, 1, 5, 2), "int64")
FORMS = {
    "rows": lambda x, i, j: x[i],
    "a middle axis": lambda x, i, j: x[:, i],
    "the last axis": lambda x, i, j: x[..., i],
    "two side by side": lambda x, i, j: x[i, j],
    "two in the middle": lambda x, i, j: x[:, i, j],
    "two apart": lambda x, i, j: x[i, :, j],
    "two apart, and slices": lambda x, i, j: x[1:, i, ::-2, j],
    "beside an integer": lambda x, i, j: x[i, -1],
    "an integer before": lambda x, i, j: x[2, i],
    "an integer apart": lambda x, i, j: x[-2, :, i],
    "beside a new axis": lambda x, i, j: x[i, None],
    "new axes about": lambda x, i, j: x[None, :, i, None, j],
    "apart by a new axis": lambda x, i, j: x[i, None, j, 1:3],
    "all axes": lambda x, i, j: x[i, j, i, j],
    "broadcast": lambda x, i, j: x[i[..., None], :, j],
    "along an axis": lambda x, i, j: mg.take_along_axis(x, i[0, 0, 0, :1] + ZEROS, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("indices", ["int64", "int32", "uint8"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_what_numpy_gives(form, dtype, indices):
    x, w = mg.var("x", SHAPE, dtype), mg.var("w", (), dtype)
    i, j = mg.var("i", (2, 1, 1, 3), indices), mg.var("j", (2, 1, 1, 1), indices)
    read = FORMS[form](x * w + x, i, j)
    outputs = [read * w]
    if dtype != "int64":
        outputs.append(mg.grad(mg.sum(read * read), x))
    rng = np.random.default_rng(0)
    low = 0 if indices == "uint8" else -2
    at = [
        (rng.standard_normal(SHAPE) * 9).astype(dtype),
        np.array(2, dtype),
        *[rng.integers(low, 2, v.shape).astype(indices) for v in (i, j)],
    ]
    native, reference = (mg.function([x, w, i, j], outputs, backend=b) for b in ("native", "numpy"))
    assert "scatter" not in {s.node.op.name for s in native.plan.steps}
    for a, b in zip(native(*at), reference(*at), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_machine_code(form):
    x, i, j = (
        mg.var("x", SHAPE),
        mg.var("i", (2, 1, 1, 3), "int64"),
        mg.var("j", (2, 1, 1, 1), "int64"),
    )
    read = FORMS[form](x, i, j)
    native = Native(Options())
    indexed = [
        n
        for n in toposort([read, mg.grad(mg.sum(read), x)])
        if n.op.name in ("getitem", "scatter") and len(n.args) > 1
    ]
    assert {n.op.name for n in indexed} == {"getitem", "scatter"}
    assert all(native.qualifies(n) for n in indexed)


@pytest.mark.parametrize("wrong", [(3, 0), (-4, 0), (0, 2), (0, -3), (2**40, 0), (-(2**62), 1)])
def test_an_index_out_of_range_is_told_as_by_numpy(wrong):
    x, i, j = mg.var("x", SHAPE), mg.var("i", (3,), "int64"), mg.var("j", (3,), "int64")
    y = (
        mg.exp(x)[:, i, 1, j]
        + mg.tanh(x)[:, i, 2, j] * mg.sin(x[0, 0, 0, 0])
        - mg.cos(x[0, 0, 1, 1])
    )
    said = []
    for backend in ("native", "numpy"):
        f = mg.function([x, i, j], y, backend=backend)
        at = np.ones(SHAPE), np.array([0, wrong[0], 1]), np.array([1, wrong[1], 0])
        with pytest.raises(IndexError) as caught:
            f(*at)
        said.append(str(caught.value))
        assert_array_equal(f(at[0], [0, -3, 2], [1, -2, 0]).shape, (4, 3))
    assert said[0] == said[1]


def test_unsigned_indices_that_are_no_int64_are_left_to_numpy():
    x, i = mg.var("x", (5,)), mg.var("i", (2,), "uint64")
    y = mg.exp(mg.tanh(x) * mg.sin(x) + mg.cos(x))[i] * mg.log1p(x * x)[i] + mg.erf(x)[i]
    told = []
    for backend in ("native", "numpy"):
        f = mg.function([x, i], y, backend=backend)
        assert np.isfinite(f(np.ones(5), [4, 0])).all()
        try:
            told.append(f(np.ones(5), np.array([0, 2**64 - 1], np.uint64)).tolist())
        except IndexError as error:
            told.append(str(error))
    assert told[0] == told[1]


def test_a_loop_reads_and_adds_by_indices_apart():
    x, i = mg.var("x", (6, 3)), mg.var("i", (5, 2), "int64")

    def step(c, k):
        return c * 0.5 + mg.sum(mg.tanh(x * c)[k, None, 1]), c

    last, _ = mg.scan(step, mg.const(0.25), i)
    outputs = [last, mg.grad(last, x)]
    at = (
        np.random.default_rng(1).standard_normal((6, 3)),
        np.arange(10).reshape(5, 2) % 7 - 3,
    )
    native, reference = (mg.function([x, i], outputs, backend=b) for b in ("native", "numpy"))
    assert not any("runs on numpy" in note for note in native.notes)
    for a, b in zip(native(*at), reference(*at), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
