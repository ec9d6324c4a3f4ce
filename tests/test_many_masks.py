"""NaN under many nested masks of whole rows: none comes through, however many masks there are."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg

ROWS, WIDTH = 40, 3


@pytest.mark.parametrize("count", [1, 8, 9, 10, 11, 17, 33])
def test_each_mask_of_many_keeps_its_nan(count):
    x = mg.var("x", (ROWS, WIDTH))
    W = mg.param("W", np.arange(6.0).reshape(WIDTH, 2) / 7.0)
    masks = [mg.var(f"m{k}", (ROWS, 1), "bool") for k in range(count)]
    y = x @ W
    for m in masks:
        y = mg.where(m, y, 0.0)
    gradient = mg.grad(mg.sum(y * y), W)
    values = [np.arange(ROWS)[:, None] != k for k in range(count)]  # the k-th hides row k
    at = np.random.default_rng(0).standard_normal((ROWS, WIDTH))
    padded = np.where(np.arange(ROWS)[:, None] < count, np.nan, at)
    shown = at[count:]
    got = mg.function([x, *masks], gradient, backend="numpy")(padded, *values)
    np.testing.assert_allclose(got, 2.0 * shown.T @ (shown @ W.value), rtol=1e-12)
