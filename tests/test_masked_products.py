"""Masks that reach a matrix product past broadcasts, reshapes and permutations: values, gradients.

They are compared with NumPy, which has no rules for masks, and with differences of its values: of
a square of what is linear they are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import minigrad as mg

Shape = tuple[int, ...]


class Case(NamedTuple):
    """where(c, g, 0), once for each condition, seen in some ways, times a matrix."""

    conditions: tuple[Shape, ...]
    """Their shapes, which broadcast to that of g."""
    shape: Shape
    flipped: bool
    views: tuple[tuple[str, Shape], ...]
    times: Shape
    on_the_left: bool
    seed: int


def computed(case: Case, np_: Any, conditions: list[Any], g: Any, w: Any) -> Any:
    """The product, by NumPy or by minigrad."""
    for c in conditions:
        g = np_.where(c, 0.0, g) if case.flipped else np_.where(c, g, 0.0)
    for name, to in case.views:
        g = getattr(np_, name)(g, to)
    return w @ g if case.on_the_left else g @ w


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=3)))
    conditions = []
    for _ in range(draw(st.integers(1, 2))):
        lengths = tuple([n if draw(st.booleans()) else 1 for n in shape])
        conditions.append(lengths[draw(st.integers(0, len(shape) - 1)) :])
    views = []
    now = shape
    for _ in range(draw(st.integers(0, 3))):
        views.append(draw(_views(now)))
        name, to = views[-1]
        now = tuple([now[k] for k in to]) if name == "permute_dims" else to
    if len(now) < 2:
        now = (*now, 1)
        views.append(("reshape", now))
    on_the_left, other = draw(st.booleans()), draw(st.integers(1, 3))
    *batch, n, m = now
    times = (*batch, other, n) if on_the_left else (*batch, m, other)
    seed = draw(st.integers(0, 99))
    flipped = draw(st.booleans())
    return Case(tuple(conditions), shape, flipped, tuple(views), times, on_the_left, seed)


@st.composite
def _views(draw: st.DrawFn, shape: Shape) -> tuple[str, Shape]:
    name = draw(st.sampled_from(["reshape", "permute_dims", "broadcast_to"]))
    if name == "permute_dims":
        return name, tuple(draw(st.permutations(range(len(shape)))))
    if name == "broadcast_to":
        wider = tuple([draw(st.sampled_from([1, 2, 3])) if n == 1 else n for n in shape])
        return name, (2, *wider) if len(wider) < 3 and draw(st.booleans()) else wider
    lengths, left = [], math.prod(shape)
    for _ in range(draw(st.integers(0, 2))):
        lengths.append(draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0])))
        left //= lengths[-1]
    return name, (*lengths, left)


def check(case: Case, conditions: list[np.ndarray], g: np.ndarray, w: np.ndarray) -> None:
    """Compare values and gradients with NumPy's values and their differences."""
    leaves = [mg.var(f"c{k}", c.shape, "bool") for k, c in enumerate(conditions)]
    x, v = mg.var("g", g.shape), mg.var("w", w.shape)
    y = computed(case, mg, leaves, x, v)
    outputs = [y, *mg.grad(mg.sum(y * y), [x, v])]
    expected = [computed(case, np, conditions, g, w)]
    expected.append(_slopes(lambda a: computed(case, np, conditions, a, w), g))
    expected.append(_slopes(lambda a: computed(case, np, conditions, g, a), w))
    at = [*conditions, g, w]
    fast, plain = [mg.function([*leaves, x, v], outputs, simplify=s) for s in (True, False)]
    by_all_rules = mg.function([*leaves, x, v], mg.simplify(outputs), simplify=False)
    for f in (fast, plain, by_all_rules):
        for value, right in zip(f(*at), expected, strict=True):
            assert_allclose(value, right, rtol=1e-10, atol=1e-10)
    assert_allclose(y.eval(dict(zip([*leaves, x, v], at, strict=True))), expected[0], rtol=1e-12)


def _slopes(f: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """The gradient of sum(f²), for f linear in its argument."""
    steps = np.eye(at.size).reshape(at.size, *at.shape)
    return np.reshape([(np.sum(f(at + h) ** 2) - np.sum(f(at - h) ** 2)) / 2 for h in steps],
                      at.shape)  # fmt: skip


@settings(max_examples=150)
@given(cases())
@pytest.mark.slow
def test_a_masked_product_is_what_numpy_says_and_so_are_its_gradients(case):
    rng = np.random.default_rng(case.seed)
    conditions = [rng.random(s) < 0.5 for s in case.conditions]
    check(case, conditions, rng.uniform(0.5, 2, case.shape), rng.uniform(0.5, 2, case.times))


def test_a_mask_of_groups_is_no_mask_of_rows_once_the_groups_are_laid_out_anew():
    c, g, w = mg.var("c", (1, 2, 1), "bool"), mg.var("g", (2, 2, 6)), mg.var("w", (3, 4, 5))
    y = mg.reshape(mg.where(c, g, 0.0), (3, 2, 4)) @ w
    at = {c: [[[True], [False]]], g: np.arange(1.0, 25).reshape(2, 2, 6), w: np.ones((3, 4, 5))}
    for value in (y.eval(at), mg.simplify(y).eval(at)):
        assert_allclose(value[..., 0], [[10, 11], [0, 58], [35, 0]])


@pytest.mark.parametrize(
    "case",
    [
        Case(((1, 2, 1),), (2, 2, 6), False, (("reshape", (3, 2, 4)),), (3, 4, 5), False, 0),
        Case(((4, 1),), (4, 6), False, (("reshape", (8, 3)),), (3, 5), False, 0),
        Case(((1, 6),), (4, 6), True, (("reshape", (3, 8)),), (5, 3), True, 0),
    ],
)
def test_rows_that_a_reshape_breaks_up_are_not_rows(case):
    rng = np.random.default_rng(case.seed)
    conditions = [np.arange(math.prod(s)).reshape(s) % 2 == 0 for s in case.conditions]
    check(case, conditions, rng.uniform(0.5, 2, case.shape), rng.uniform(0.5, 2, case.times))


def test_conditions_written_in_two_ways_are_one_and_go_to_the_other_operand_once():
    case = Case(((1, 6),), (1, 1, 6), False, (("broadcast_to", (3, 2, 6)),), (3, 6, 1), False, 0)
    twice = Case(
        ((1,), (1,)), (4, 1), True, (("reshape", (4,)), ("reshape", (4, 1))), (1, 4), True, 0
    )
    negated = Case(
        ((4,),), (4, 4), True, (("reshape", (16,)), ("broadcast_to", (2, 16))), (16, 1), False, 0
    )
    for c in (case, twice, negated):
        rng = np.random.default_rng(c.seed)
        for truth in (True, False):
            conditions = [np.full(s, truth) for s in c.conditions]
            check(c, conditions, rng.uniform(0.5, 2, c.shape), rng.uniform(0.5, 2, c.times))


def test_a_dozen_conditions_of_rows_and_columns_all_keep_nan_out_of_gradients(rng):
    x, w = mg.var("x", (6, 7)), mg.var("w", (7, 8))
    rows = [mg.var(f"r{k}", (6, 1), "bool") for k in range(5)]
    columns = [mg.var(f"c{k}", (1, 8), "bool") for k in range(7)]
    product = x @ w
    for c in (*rows, *columns):
        product = mg.where(c, product, 0.0)
    gradients = mg.function([x, w, *rows, *columns], mg.grad(mg.sum(product**2), [x, w]))
    conditions = [np.arange(6)[:, None] != k for k in range(5)]
    conditions += [np.arange(8)[None] != k for k in range(7)]
    values = rng.standard_normal((6, 7)), rng.standard_normal((7, 8))
    padded = values[0].copy(), values[1].copy()
    padded[0][:5], padded[1][:, :7] = np.nan, np.nan  # only the last row and column are read
    towards_x, towards_w = gradients(*padded, *conditions)
    kept = 2 * values[0][5] @ values[1][:, 7]
    assert_allclose(towards_x[5], kept * values[1][:, 7], rtol=1e-12)
    assert_allclose(towards_w[:, 7], kept * values[0][5], rtol=1e-12)
    assert not towards_x[:5].any()
    assert not towards_w[:, :7].any()


@pytest.mark.parametrize("view", [
    lambda y: mg.reshape(y, (2, 3, 4)),
    lambda y: mg.permute_dims(y),
    lambda y: mg.permute_dims(mg.reshape(y, (3, 2, 4)), (2, 0, 1)),
    lambda y: mg.concat([y, 2.0 * y], 1),
    lambda y: y[::-1],
])  # fmt: skip
def test_rows_of_a_product_that_nobody_read_stay_out_through_views(view, rng):
    x, w, m = mg.var("x", (6, 5)), mg.var("w", (5, 4)), mg.var("m", (6,), "bool")
    y = view(mg.where(mg.reshape(m, (6, 1)), x @ w, 0.0))
    slope = mg.grad(mg.sum(y**3), w)
    run = mg.function([x, w, m], [slope, mg.grad(mg.sum(slope**2), w)])
    mask = np.array([True, False, True, True, False, True])
    point, weights = rng.standard_normal((6, 5)), rng.standard_normal((5, 4))
    padded = np.where(mask[:, None], point, np.nan)
    harmless = np.where(mask[:, None], point, 7.0)
    for value, right in zip(run(padded, weights, mask), run(harmless, weights, mask), strict=True):
        assert_allclose(value, right, rtol=1e-12)


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("left", [True, False])
def test_one_element_read_of_a_product_that_a_constant_masks(left, simplify):
    """Neither the place nor the mask leaves out a row, or a column; the two together leave out all.

    The other factor is infinite there: what nobody read is still 0.
    """
    x = mg.var("x", (2, 2))
    product = x @ (1 / x) if left else (1 / x) @ x
    y = mg.where(mg.const([[True, True], [False, True]]), product, 0.0)
    f = mg.function([x], mg.grad(y[1, 0], x), backend="numpy", simplify=simplify)
    with np.errstate(divide="ignore"):
        assert_allclose(f(np.zeros((2, 2))), np.zeros((2, 2)), atol=0, rtol=0)
