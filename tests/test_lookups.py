"""Products of rows looked up in a table, beside a loop: a row of the table is multiplied once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.graph.node import make
from minigrad.loop.passes.lookups import add_up_sums
from minigrad.ops.index import SCATTER

TABLES = "multiply a table before it is read"
SCATTERED = "add rows up before they are multiplied"
WEIGHTS = "add rows up that looked-up rows meet"
TOTALS = "sum rows that are added up from their sums"
LOOKUPS = [TABLES, SCATTERED, WEIGHTS]
T, B, V, I, H = 6, 3, 5, 32, 2  # noqa: E741


def shapes(f):
    """The products that stand outside of loops."""
    return sorted(n.shape for n in mg.toposort(f.outputs) if n.op.name == "matmul")


def recurrence(tokens, split=False, **options):
    """A net over letters and its gradient, compiled; E (V, I) and W, what it is called with too."""
    rng = np.random.default_rng(5)
    E, W = mg.var("E", (V, I)), mg.var("W", (H + I, H))
    i = mg.var("i", tokens.shape, "int64")

    def step(h, x):
        z = h @ W[:H] + x @ W[H:] if split else mg.concat([h, x], -1) @ W
        h = mg.tanh(z)
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
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("without", [[], *([name] for name in LOOKUPS), LOOKUPS])
def test_each_letter_is_multiplied_once_and_all_stays_the_same(backend, split, without):
    tokens = np.random.default_rng(0).integers(-V, V, (T, B))
    f, at = recurrence(tokens, split, backend=backend, without=without)
    plain, _ = recurrence(tokens, split, simplify=False)
    assert set(LOOKUPS).difference(without) == set(LOOKUPS).intersection(f.rewritten)
    for a, b in zip(f(*at), plain(*at), strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("split", [False, True])
def test_no_product_is_of_all_rows_but_that_of_the_states(split):
    tokens = np.zeros((T, B), int)
    f, _ = recurrence(tokens, split)
    # Letters forwards, their gradient, that of W for letters, and for states.
    assert shapes(f) == sorted([(V, H), (V, I), (I, H), (H, H)])
    forward, backward = (n.attrs[0].body for n in mg.toposort(f.outputs) if n.op.name == "scan")
    for body in (forward, backward):
        assert [n.shape for n in mg.toposort(body.outputs) if n.op.name == "matmul"] == [(B, H)]
        assert all(y.shape == (B, H) for y in body.ys)
    assert (T * B, H) in shapes(recurrence(tokens, split, without=LOOKUPS)[0])


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_gradients_where_a_row_that_is_not_read_is_nan(backend):
    tokens = np.random.default_rng(0).integers(0, V - 1, (T, B))
    f, (_, E, W) = recurrence(tokens, backend=backend)
    plain, _ = recurrence(tokens, simplify=False)
    E[V - 1] = np.nan
    for a, b in zip(f(tokens, E, W), plain(tokens, E, W), strict=True):
        assert np.isfinite(b).all()
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_row_that_is_not_read_has_no_gradient_whatever_the_weights(backend):
    tokens = np.random.default_rng(0).integers(0, V - 1, (T, B))
    f, (_, E, W) = recurrence(tokens, backend=backend)
    W[H:] = np.inf
    _, to_E, _ = f(tokens, E, W)
    assert_array_equal(to_E[V - 1], np.zeros(I))


@pytest.mark.parametrize(("read_by", "fires"), [("none", True), ("steps", False), ("all", False)])
def test_a_product_that_is_read_elsewhere_too_stays_in_its_loop(read_by, fires):
    W, c = mg.var("W", (I, I)), mg.var("c", (T, B, I))
    i = mg.var("i", (T, B), "int64")

    def step(h, x):
        h = mg.tanh(h + x)
        product = h @ W
        return product if read_by == "steps" else h, product

    _, rows = mg.scan(step, mg.zeros((B, I)), c)
    added = make(SCATTER, (rows, i), ((("a",), ("s", 0, I, 1)), (V, I)))
    outputs = [added, rows] if read_by == "all" else [added]
    f, plain = (mg.function([i, W, c], outputs, simplify=s) for s in (True, False))
    assert (SCATTERED in f.rewritten) is fires
    rng = np.random.default_rng(4)
    at = rng.integers(0, V, (T, B)), rng.standard_normal((I, I)), rng.standard_normal((T, B, I))
    for a, b in zip(f(*at), plain(*at), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
@pytest.mark.parametrize("width", [1, 64, 65, 200])
def test_rows_added_up_on_numpy(dtype, width):
    """Rows of any width: long ones take another way, one addition a row."""
    rng = np.random.default_rng(width)
    index = rng.integers(-V, V, (4, 3))
    rows = rng.integers(0, 2, (4, 3, width)).astype(dtype)
    expected = np.zeros((V, width), dtype)
    for k in np.ndindex(4, 3):
        expected[index[k]] += rows[k]
    assert_array_equal(added_up(rows, index), expected)
    with pytest.raises(IndexError, match="out of bounds"):
        added_up(rows, index + V)


def added_up(rows, index):
    spec = (("a",), ("s", 0, rows.shape[-1], 1))
    return SCATTER.numpy(rows, index, spec, (V, rows.shape[-1]))


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
        "columns": (E[:, i], 20),
        "a part of each row": (E[i, 1:], I - 1),
        "rows backwards": (E[i, ::-1], I),
        "elements": (mg.reshape(E[i, i % I], (10, 2)), 2),
        "narrow rows": (E[:, : I - 1][i], I - 1),
        "rows in other shapes": (mg.reshape(E[i], (20 * I // 2, 2)), 2),
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


def added_and_summed(total, index=None):
    """Rows (4, 5, I) that are added up by an index, and what is summed of them, beside a loop."""
    x = mg.var("x", (4, 5, I))
    i = mg.var("i", (4, 5), "int64")
    by = i if index is None else index(x, i)
    added = make(SCATTER, (x, by), ((("a",), ("s", 0, I, 1)), (V, I)))
    outputs = [added, total(x)]
    f, plain = (mg.function([x, i], [*outputs, *more], simplify=bool(more))
                for more in ([a_loop()], []))  # fmt: skip
    rng = np.random.default_rng(2)
    at = rng.standard_normal((4, 5, I)), rng.integers(0, V, (4, 5))
    for a, b in zip(f(*at), plain(*at), strict=False):
        assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    return f, outputs, at[0]


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (lambda x: mg.sum(x, (0, 1)), lambda x: x.sum((0, 1))),
        (lambda x: mg.sum(mg.sum(x[..., 3:9], 0), 0), lambda x: x[..., 3:9].sum((0, 1))),
        (lambda x: mg.sum(mg.reshape(x, (20, I))[:, ::2], 0), lambda x: x[..., ::2].sum((0, 1))),
        (lambda x: mg.sum(mg.reshape(x[..., 1:], (2, 10, I - 1)), (0, 1)), None),
        (lambda x: mg.sum(mg.reshape(x, (40, I // 2)), 0), None),  # other rows
        (lambda x: mg.sum(x[1:], (0, 1)), None),  # not all of them
        (lambda x: mg.sum(x, (1, 2)), None),
        (lambda x: mg.sum(x, 0), None),
        (lambda x: mg.sum(x * 2, (0, 1)), None),
    ],
)
def test_the_sum_of_rows_that_are_added_up_anyway(total, expected):
    f, outputs, x = added_and_summed(total)
    assert (TOTALS in f.rewritten) is (expected is not None)
    if expected is not None:
        once = add_up_sums(outputs)
        (scatter,) = [n for n in mg.toposort(once) if n.op is SCATTER]
        assert [n.args[0] for n in mg.toposort(once) if n.op.name == "sum"] == [scatter]
        assert add_up_sums(once) == once
        assert_allclose(mg.function(f.inputs, once[1])(x, np.zeros((4, 5), int)), expected(x))


def test_rows_that_are_added_up_where_their_sum_says_are_summed_first():
    def index(x, i):
        return i + mg.astype(mg.sum(x, (0, 1))[0] > 1e9, "int64")

    f, _, _ = added_and_summed(lambda x: mg.sum(x, (0, 1)), index)
    assert TOTALS not in f.rewritten
