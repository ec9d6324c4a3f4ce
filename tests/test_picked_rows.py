"""Gradients of what is picked by labels: which rows are read is known without the labels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

ROWS, CLASSES = 3, 4


def names(outputs):
    return [n.op.name for n in mg.toposort(outputs)]


def picked(rows, shape):
    """Sum of the logarithms of softmax that labels pick in rows, its gradient, and x and labels."""
    x, labels = mg.var("x", (ROWS, CLASSES)), mg.var("labels", shape, "int64")
    total = mg.sum((x - mg.logsumexp(x, axis=1, keepdims=True))[rows, labels])
    return mg.grad(total, x), [x, labels]


def expected(x, rows, labels):
    """The closed form: one at each label, less softmax for each time that a row is read."""
    gradient = np.zeros_like(x)
    for row, label in np.broadcast(rows, labels):
        powers = np.exp(x[row] - x[row].max())
        gradient[row] -= powers / powers.sum()
        gradient[row, label] += 1
    return gradient


def test_that_each_step_has_a_label_needs_no_look_at_the_labels():
    gradient, leaves = picked(np.arange(ROWS), (ROWS,))
    assert not {"where", "greater"} & {*names(gradient)}
    x, labels = np.random.default_rng(0).standard_normal((ROWS, CLASSES)), np.array([3, 0, 3])
    got = mg.function(leaves, gradient)(x, labels)
    assert_allclose(got, expected(x, np.arange(ROWS), labels), rtol=1e-12)
    with pytest.raises((mg.MinigradError, IndexError), match="out of"):
        mg.function(leaves, gradient)(x, labels + 2)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (np.array([0, 2, 2]), np.array([1, 1, 3])),
        (np.array([[0], [2]]), np.array([[0, 1, 1], [3, 2, 0]])),
        (np.array([0, -1]), np.array([-1, 2])),
        (np.array(2), np.array([0, 2])),
    ],
)
def test_a_row_that_no_label_picks_may_hold_anything(backend, rows, labels):
    gradient, leaves = picked(rows, labels.shape)
    f = mg.function(leaves, gradient, backend=backend)
    x = np.random.default_rng(1).standard_normal((ROWS, CLASSES))
    wanted = expected(x, rows, labels)
    x[1] = [np.nan, np.inf, 0, 1]
    got = f(x, labels)
    assert_array_equal(got[1], np.zeros(CLASSES))
    assert_allclose(got, wanted, rtol=1e-12)


def test_rows_and_labels_that_both_vary():
    """Sums over the rows' axis, and over both."""
    x, i, y = mg.var("x", (ROWS, CLASSES)), mg.var("i", (2,), "int64"), mg.var("y", (2,), "int64")
    by_column = mg.log(x / mg.sum(x, axis=0))[i, y]
    by_all = mg.log(x / mg.sum(x))[i, y]
    f = mg.function([x, i, y], [mg.grad(mg.sum(z), x) for z in (by_column, by_all)])
    at = np.random.default_rng(2).random((ROWS, CLASSES)) + 0.5
    ends, columns = np.array([0, 2]), np.array([1, 1])
    one = np.zeros_like(at)
    one[ends, columns] = 1 / at[ends, columns]
    less = np.zeros_like(at)
    less[:, 1] = 2 / at[:, 1].sum()
    column, whole = f(at, ends, columns)
    assert_allclose(column, one - less, rtol=1e-12, atol=1e-15)
    assert_allclose(whole, one - 2 / at.sum(), rtol=1e-12, atol=1e-15)
    at[:, 3] = np.nan  # a column that nobody reads
    got = f(at, ends, columns)[0]
    assert_array_equal(got[:, 3], np.zeros(ROWS))
