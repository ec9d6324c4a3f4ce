"""Products of rows looked up in a table, beside a loop: each row of the table is multiplied once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

TABLES = "multiply a table before it is read"
T, B, V, I, H = 6, 3, 5, 4, 2  # noqa: E741


def shapes(f):
    """The products that stand outside of loops."""
    return sorted(n.shape for n in mg.toposort(f.outputs) if n.op.name == "matmul")


def recurrence(tokens, **options):
    """A net over letters and its gradient, compiled; what it is called with besides letters."""
    rng = np.random.default_rng(5)
    E, W = mg.var("E", (V, I)), mg.var("W", (H + I, H))
    i = mg.var("i", tokens.shape, "int64")

    def step(h, x):
        h = mg.tanh(mg.concat([h, x], -1) @ W)
        return h, h

    _, hs = mg.scan(step, mg.zeros((tokens.shape[1], H)), E[i])
    loss = mg.sum(hs * hs)
    f = mg.function([i, E, W], [loss, *mg.grad(loss, [E, W])], **options)
    return f, (tokens, rng.standard_normal((V, I)), rng.standard_normal((H + I, H)))


def a_loop():
    """Something with a loop, since graphs without are left as they are."""
    return mg.scan(lambda c, _: (mg.tanh(c), c), mg.ones(2), length=2)[1]


def product(rows, dtype="float64", **options):
    """E[i] · W of `rows` tokens, compiled beside a loop."""
    E, W = mg.var("E", (V, I), dtype), mg.var("W", (I, H), dtype)
    i = mg.var("i", (rows,), "int64")
    return mg.function([i, E, W], [E[i] @ W, a_loop()], **options)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_letters_are_projected_once_each_and_all_stays_the_same(backend):
    tokens = np.random.default_rng(0).integers(-V, V, (T, B))
    f, at = recurrence(tokens, backend=backend)
    g, _ = recurrence(tokens, backend=backend, without=[TABLES])
    plain, _ = recurrence(tokens, simplify=False)
    assert TABLES in f.rewritten
    assert TABLES not in g.rewritten
    assert (V, H) in shapes(f)
    assert (T * B, H) not in shapes(f)
    assert (T * B, H) in shapes(g)
    for a, b, c in zip(f(*at), g(*at), plain(*at), strict=True):
        assert_allclose(a, c, rtol=1e-12, atol=1e-14)
        assert_allclose(b, c, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("rows", "fires"), [(2 * V - 1, False), (2 * V, True)])
def test_few_rows_are_multiplied_as_they_are_read(rows, fires):
    f = product(rows)
    assert (TABLES in f.rewritten) is fires
    assert shapes(f) == [(V if fires else rows, H)]


def test_integers_wrap_round_as_they_do_row_by_row():
    rng = np.random.default_rng(1)
    E, W = rng.integers(-(2**62), 2**62, (V, I)), rng.integers(-(2**62), 2**62, (I, H))
    tokens = rng.integers(0, V, 20)
    f = product(20, "int64")
    assert TABLES in f.rewritten
    assert f(tokens, E, W)[0].dtype == np.int64
    assert_array_equal(f(tokens, E, W)[0], E[tokens] @ W)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_row_that_is_not_read_may_hold_anything(backend):
    E, W, tokens = np.ones((V, I)), np.ones((I, H)), np.full(20, 2)
    E[3] = np.nan
    assert_array_equal(product(20, backend=backend)(tokens, E, W)[0], np.full((20, H), I))


@pytest.mark.parametrize("bad", [V, -V - 1])
def test_an_index_out_of_range_is_still_an_error(bad):
    E, W, tokens = np.ones((V, I)), np.ones((I, H)), np.full(20, bad)
    for options in ({}, {"without": [TABLES]}):
        with pytest.raises((mg.MinigradError, IndexError), match="out of"):
            product(20, **options)(tokens, E, W)


def reads():
    """Reads whose product is none of whole rows of a table, each (matrix, shape of W)."""
    E, i = mg.var("E", (V, I)), mg.var("i", (20,), "int64")
    return {
        "columns": (E[:, i[:4]], I),
        "a part of each row": (E[i, 1:], I - 1),
        "rows backwards": (E[i, ::-1], I),
        "elements": (mg.reshape(E[i, i % I], (10, 2)), 2),
        "rows in other shapes": (mg.reshape(E[i], (40, 2)), 2),
        "turned": (E[i].T, 20),
    }


@pytest.mark.parametrize("kind", reads())
def test_other_reads_are_left(kind):
    matrix, width = reads()[kind]
    leaves = [n for n in mg.toposort(matrix) if n.op.name == "var"]
    W = mg.var("W", (width, H))
    f = mg.function([*leaves, W], [matrix @ W, a_loop()])
    assert TABLES not in f.rewritten


def test_a_product_of_a_looked_up_product_ends():
    E, W, U = mg.var("E", (V, I)), mg.var("W", (I, I)), mg.var("U", (I, H))
    i, j = mg.var("i", (10,), "int64"), mg.var("j", (4, 5), "int64")
    y = mg.reshape((E[i] @ W)[j], (20, I)) @ U
    f = mg.function([i, j, E, W, U], [y, a_loop()])
    assert shapes(f) == [(V, I), (10, H)]
    rng = np.random.default_rng(2)
    e, w, u = rng.standard_normal((V, I)), rng.standard_normal((I, I)), rng.standard_normal((I, H))
    a, b = rng.integers(0, V, 10), rng.integers(0, 10, (4, 5))
    assert_allclose(f(a, b, e, w, u)[0], (e[a] @ w)[b].reshape(20, I) @ u, rtol=1e-12)
