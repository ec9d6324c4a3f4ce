"""Reductions that compute what they alone read: the same bits as where it lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="llvmlite, which the native backend needs, is not here")

from minigrad.compile.backends.native.stages import schedule
from minigrad.graph.leaves import placeholder

Read = tuple[mg.Expr, int | tuple[int, ...] | None]


def _cases(x: mg.Expr, y: mg.Expr) -> list[Read]:
    """What is reduced, and along which axes."""
    column = mg.broadcast_to(y[..., :1], x.shape)
    wide = mg.square(mg.astype(x - y, "float64"))
    every: list[Read] = [(x * y, None), (wide, None), (x * column, None), (mg.exp(x) * 2, -1)]
    if x.ndim == 3:
        every += [(mg.abs(x - y), (1, 2)), (x * column, (1, 2)), (wide, 0), (x - 1, 1)]
    return every


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 32, 16), (3, 4, 75), (515,), (1, 1, 7)])
def test_the_bits_are_those_of_elements_in_memory(shape: tuple[int, ...], dtype: str) -> None:
    x, y = (mg.var(name, shape, dtype) for name in "xy")
    rng = np.random.default_rng(0)
    at = [rng.normal(size=shape).astype(dtype) for _ in range(2)]
    pick = [mg.sum, mg.max, mg.min]
    joined = [[p(e, axis=axis) for p in pick] for e, axis in _cases(x, y)]
    alone = [[pick[0](e, axis=axis)] for e, axis in _cases(x, y)]  # else it is read three times
    lying = [e for e, _ in _cases(x, y)]
    found = mg.function([x, y], alone, backend="native", threads=1)(*at)
    both = mg.function([x, y], [joined, lying], backend="native", threads=1)(*at)
    expected: Any = mg.function([x, y], joined, backend="numpy")(*at)
    near = {"rtol": 1e-4, "atol": 1e-3} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    for (one,), (total, *extremes), (sums, *known) in zip(found, both[0], expected, strict=True):
        assert_array_equal(one, total)
        assert_allclose(one, sums, **near)
        for a, b in zip(extremes, known, strict=True):
            assert_allclose(a, b, **near)


def test_what_others_read_too_lies_in_memory() -> None:
    square = mg.square(placeholder("x", mg.var("x", (4, 8)).type))
    (one,) = schedule([mg.sum(square)]).stages
    assert [n.op.name for n in one.nodes] == ["sum", "square"]
    first, second = schedule([mg.sum(square), square]).stages
    assert (first.nodes, [n.op.name for n in second.nodes]) == ([square], ["sum"])
    assert square in schedule([mg.sum(square), square]).in_memory
    assert square not in schedule([mg.sum(square)]).in_memory


def test_one_operand_lies_in_memory_and_not_several_that_it_is_made_of() -> None:
    x, y, z = (placeholder(name, mg.var(name, (4, 8)).type) for name in "xyz")
    a, b = mg.exp(x), mg.exp(y)  # which are read twice, so that neither is the sum's own
    joined = schedule([mg.sum(a * b), a.sum() - b.sum()])
    assert joined.in_memory >= {a, b}  # as the other sums read them too
    product = a * b
    first, last = schedule([mg.sum(product), x + a, y * b]).stages
    assert product in {*first.nodes} and last.nodes[0].op.name == "sum" and len(last.nodes) == 1
    assert schedule([mg.sum(product), x + a, y * b]).in_memory >= {product}
    assert a not in schedule([mg.sum(product), x + a, y * b]).in_memory
    for given in (z, x):  # of one of them, or of what lies there anyway, nothing is spared
        assert [len(s.nodes) for s in schedule([mg.sum(a * given), x + a]).stages] == [2, 2]
    assert [len(s.nodes) for s in schedule([mg.sum(product), a, b]).stages] == [2, 2]
