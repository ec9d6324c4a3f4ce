"""Masks of whole rows, as padding makes them, in loops: moved after sums, slices and products."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.graph.node import make
from minigrad.loop.passes.lookups import add_rows_first, add_rows_of_weights, multiply_tables
from minigrad.loop.passes.masks import gather_masks
from minigrad.ops.index import SCATTER

GATHER = "one mask for a sum"
INPUTS = "read inputs where they come from"
TABLES = "multiply a table before it is read"
SCATTERED = "add rows up before they are multiplied"
WEIGHTS = "add rows up that looked-up rows meet"
PASSES = [GATHER, INPUTS, TABLES, SCATTERED, WEIGHTS, "simplify steps"]
T, B, V, I, H = 6, 4, 5, 32, 3  # noqa: E741


def names(outputs):
    return [n.op.name for n in mg.toposort(outputs)]


def products(outputs):
    return sorted(n.shape for n in mg.toposort(outputs) if n.op.name == "matmul")


def bodies(f):
    return [n.attrs[0].body for n in mg.toposort(f.outputs) if n.op.name == "scan"]


def a_loop():
    """Something with a loop, since graphs without are left as they are."""
    return mg.scan(lambda c, _: (mg.tanh(c), c), mg.ones(2), length=2)[1]


def same(a, b):
    for x, y in zip(a, b, strict=True):
        assert_allclose(x, y, rtol=1e-10, atol=1e-12)


# --- sums and slices ----------------------------------------------------------------------------


def padded(lengths, letters, **options):
    """Two gates over padded sequences, the gradient compiled, and what it is called with."""
    rng = np.random.default_rng(5)
    E, U, W = mg.var("E", (V, I)), mg.var("U", (H + I, H)), mg.var("W", (H + I, H))
    i, n = mg.var("i", (T, B), "int64"), mg.var("n", (B,), "int64")
    xs = mg.var("xs", (T, B, I))
    mask = mg.expand_dims(mg.arange(T), axis=1) < n

    def step(h, now):
        x, m = now
        z = mg.concat([h, x], -1)
        new = mg.tanh(z @ U) * mg.sigmoid(z @ W)
        h = mg.where(mg.broadcast_to(mg.expand_dims(m, axis=1), h.shape), new, h)
        return h, h

    rows = E[mg.where(mask, i, 0)] if letters else xs
    last, hs = mg.scan(step, mg.zeros((B, H)), (rows, mask))
    every = mg.where(mg.broadcast_to(mg.expand_dims(mask, axis=2), hs.shape), hs, 0.0)
    loss = mg.sum(last) + mg.sum(every * every)
    wrt = [E if letters else xs, U, W]
    f = mg.function([i, n, xs, E, U, W], [loss, *mg.grad(loss, wrt)], **options)
    data = rng.standard_normal((T, B, I))
    data[np.arange(T)[:, None] >= lengths] = np.nan
    tokens = rng.integers(0, V, (T, B))
    weights = [rng.standard_normal((H + I, H)) / 4 for _ in "UW"]
    return f, (tokens, lengths, data, rng.standard_normal((V, I)), *weights)


LENGTHS = np.array([6, 4, 3, 1])


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("letters", [False, True])
@pytest.mark.parametrize("without", [[], *([name] for name in PASSES), PASSES])
def test_all_stays_the_same_with_any_pass_left_out(backend, letters, without):
    f, at = padded(LENGTHS, letters, backend=backend, without=without)
    plain, _ = padded(LENGTHS, letters, simplify=False)
    values = plain(*at)
    assert all(np.isfinite(v).all() for v in values)
    same(f(*at), values)


@pytest.mark.parametrize("letters", [False, True])
def test_a_reverse_step_over_padding_has_one_product(letters):
    f, _ = padded(LENGTHS, letters)
    forward, backward = bodies(f)
    assert names(forward.outputs).count("matmul") == names(backward.outputs).count("matmul") == 1
    assert "permute_dims" not in names(forward.outputs) + names(backward.outputs)
    split, _ = padded(LENGTHS, letters, without=[GATHER])
    assert names(bodies(split)[1].outputs).count("matmul") == 2


def test_letters_are_multiplied_once_each_over_padding_too():
    f, _ = padded(LENGTHS, letters=True)
    # Letters forwards, their gradient, that of the weights for letters, and for states.
    assert products(f.outputs) == sorted([(V, 2 * H), (V, I), (I, 2 * H), (H, 2 * H)])
    # Of G, what padding leaves out is 0 already: it is added up as it is.
    added = [n for n in mg.toposort(f.outputs) if n.op is SCATTER and n.type.is_float]
    assert [n.args[0].op.name for n in added] == ["item"]
    assert all(not y.type.is_float or y.shape == (B, 2 * H) for y in bodies(f)[1].ys)


def read_twice(a, b):
    return (a + b) * a * b


def gathered(build):
    """A graph of a (2, 4), b (2, 4) and m (2, 1) before and after the pass, and both at values."""
    a, b, m = mg.var("a", (2, 4)), mg.var("b", (2, 4)), mg.var("m", (2, 1), "bool")
    y = build(a, b, mg.broadcast_to(m, (2, 4)))
    (after,) = gather_masks([y], ())
    values = np.array([[np.nan] * 4, [1.0, 2, 3, 4]]), np.full((2, 4), 8.0), [[False], [True]]
    results = [mg.function([a, b, m], e, simplify=False)(*values) for e in (y, after)]
    assert_array_equal(*results)
    return y, after


@pytest.mark.parametrize(
    ("build", "before", "after"),
    [
        (lambda a, b, m: mg.where(m, a, 0.0) + mg.where(m, b, 0.0), 2, 1),
        (lambda a, b, m: mg.where(m, a, 0.0) + mg.where(m, 0.0, b), 2, 1),
        (lambda a, b, m: mg.where(m, a, 0.0) + (b + mg.where(m, a * b, 0.0)), 2, 1),
        (lambda a, b, m: mg.where(m, mg.where(m, a, 0.0) + mg.where(m, b, 0.0), 0.0), 3, 2),
        # Nothing in common, sides that are no masks, and masks that are read elsewhere too.
        (lambda a, b, m: mg.where(m, a, 0.0) + mg.where(b > 0, b, 0.0), 2, 2),
        (lambda a, b, m: mg.where(m, a, b) + mg.where(m, b, a), 2, 2),
        (lambda a, b, m: read_twice(mg.where(m, a, 0.0), mg.where(m, b, 0.0)), 2, 2),
    ],
)
def test_masks_of_one_condition_are_one_in_a_sum(build, before, after):
    y, new = gathered(build)
    assert (names(y).count("where"), names(new).count("where")) == (before, after)
    assert gather_masks([new], ())[0] is new


def test_terms_that_become_one_are_still_two():
    """Two slices of masks, which are the same node once they are masks of slices."""
    _, new = gathered(lambda a, b, m: b + b)
    assert names(new).count("add") == 1


@pytest.mark.parametrize(
    ("build", "fires"),
    [
        (lambda x: mg.concat([x[:, 2:], mg.tanh(x[:, :2])], 1), True),
        (lambda x: mg.concat([x[:, ::2], x[:, 1::2]], 1), True),
        (lambda x: mg.concat([x[:1], x[1:]], 0), False),  # across which the mask is not the same
        (lambda x: x + mg.concat([x[:, 2:], x[:, :2]], 1), False),  # read as a whole too
        (lambda x: mg.tanh(x[:, 1:]).sum() + x[:, :2].sum() + x[0, 3], False),  # an element
    ],
)
def test_slices_of_a_mask_are_masks_of_slices(build, fires):
    y, new = gathered(lambda a, b, m: build(mg.where(m, a, 0.0)))
    assert (new is not y) is fires
    assert gather_masks([new], ())[0] is new


# --- rows that were looked up -------------------------------------------------------------------


def masked_rows(elements=False):
    """where(m, E[i], 0), over (4, 5) rows, as a matrix."""
    E, i = mg.var("E", (V, I)), mg.var("i", (4, 5), "int64")
    m = mg.var("m", (4, 5, I) if elements else (4, 5, 1), "bool")
    rows = mg.where(mg.broadcast_to(m, (4, 5, I)), E[i], 0.0)
    return [E, i, m], mg.reshape(rows, (20, I))


def values_of_rows(elements=False):
    rng = np.random.default_rng(3)
    E, tokens = rng.standard_normal((V, I)), rng.integers(0, V - 1, (4, 5))
    m = rng.random((4, 5, I if elements else 1)) < 0.6
    if not elements:
        E[V - 1] = np.nan  # is read where it is masked alone, as others are there too
        tokens[~m[..., 0] & (rng.random((4, 5)) < 0.5)] = V - 1
    return E, tokens, m, np.where(m, E[tokens], 0).reshape(20, I)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("weight", [1.0, np.inf])
def test_a_product_of_masked_rows_is_one_of_the_table(backend, weight):
    leaves, rows = masked_rows()
    W = mg.var("W", (I, H))
    f = mg.function([*leaves, W], [rows @ W, a_loop()], backend=backend)
    assert TABLES in f.rewritten
    assert products(f.outputs) == [(1, H), (V, H)]
    E, tokens, m, expected = values_of_rows()
    weights = np.random.default_rng(4).standard_normal((I, H))
    weights[0, 0] = weight  # 0 · ∞ in the rows that are masked: NaN, as written
    with np.errstate(invalid="ignore"):
        assert_allclose(f(E, tokens, m, weights)[0], expected @ weights, rtol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_gradient_of_what_masked_rows_are_times(backend):
    leaves, rows = masked_rows()
    G = mg.var("G", (20, H))
    f = mg.function([*leaves, G], [rows.T @ G, a_loop()], backend=backend)
    assert WEIGHTS in f.rewritten
    assert products(f.outputs) == [(I, H)]
    E, tokens, m, expected = values_of_rows()
    g = np.random.default_rng(4).standard_normal((20, H))
    assert_allclose(f(E, tokens, m, g)[0], expected.T @ g, rtol=1e-12)
    (product,) = [n for n in mg.toposort(f.outputs) if n.op.name == "matmul"]
    assert product.args[0].shape == (I, V)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_gradient_of_masked_rows(backend):
    a, U = mg.var("a", (20, H)), mg.var("U", (H, I))
    i, m = mg.var("i", (4, 5), "int64"), mg.var("m", (4, 5, 1), "bool")
    rows = mg.reshape(a @ U, (4, 5, I))
    masked = mg.where(mg.broadcast_to(m, rows.shape), rows, 0.0)
    added = make(SCATTER, (masked, i), ((("a",), ("s", 0, I, 1)), (V, I)))
    f = mg.function([a, U, i, m], [added, a_loop()], backend=backend)
    assert SCATTERED in f.rewritten
    assert products(f.outputs) == [(V, I)]
    _, tokens, keeps, _ = values_of_rows()
    rng = np.random.default_rng(4)
    left, right = rng.standard_normal((20, H)), rng.standard_normal((H, I))
    left[~keeps.reshape(20)] = np.nan
    right[0, 0] = np.inf  # the row that only masked places name stays 0
    expected = np.zeros((V, I))
    with np.errstate(invalid="ignore"):
        np.add.at(expected, tokens[keeps[..., 0]], (left @ right)[keeps.reshape(20)])
    got = f(left, right, tokens, keeps)[0]
    finite = np.isfinite(expected)
    assert finite[:, 1:].all()
    assert_allclose(got[finite], expected[finite], rtol=1e-10, atol=1e-12)
    assert_array_equal(got[V - 1], 0)


def test_masks_of_elements_are_left():
    """Dropout of the input: each row that was read is another one, and no product is shared."""
    leaves, rows = masked_rows(elements=True)
    W, G = mg.var("W", (I, H)), mg.var("G", (20, H))
    f = mg.function([*leaves, W, G], [rows @ W, rows.T @ G, a_loop()])
    assert not {TABLES, SCATTERED, WEIGHTS} & {*f.rewritten}
    E, tokens, m, expected = values_of_rows(elements=True)
    rng = np.random.default_rng(4)
    w, g = rng.standard_normal((I, H)), rng.standard_normal((20, H))
    same(f(E, tokens, m, w, g)[:2], [expected @ w, expected.T @ g])


@pytest.mark.parametrize("run", [multiply_tables, add_rows_first, add_rows_of_weights])
def test_each_pass_leaves_what_it_made(run):
    leaves, rows = masked_rows()
    W, G = mg.var("W", (I, I)), mg.var("G", (20, I))
    i = leaves[1]
    added = make(SCATTER, (mg.reshape(rows @ W, (4, 5, I)), i), ((("a",), ("s", 0, I, 1)), (V, I)))
    outputs = [rows @ W, rows.T @ G, added]
    once = run(outputs)
    twice = run(once)
    assert any(a is not b for a, b in zip(once, outputs, strict=True))
    assert all(a is b for a, b in zip(twice, once, strict=True))


@pytest.mark.parametrize("decided_by", ["an input", "the state"])
def test_masks_that_steps_put_on_what_they_give_out(decided_by):
    """Where the state decides, what is masked stays in its loop."""
    E, U, i = mg.var("E", (V, I)), mg.var("U", (I, I)), mg.var("i", (T, B), "int64")
    every = mg.var("every", (T, B), "bool")

    def step(h, now):
        x, reads = now
        m = mg.expand_dims(reads, axis=1) if decided_by == "an input" else h[:, :1] > 0
        z = mg.where(mg.broadcast_to(m, (B, 2 * I)), mg.concat([h, x], 1), 0.0)
        y = mg.where(mg.broadcast_to(m, h.shape), mg.tanh(h) @ U, 0.0)
        return mg.tanh(h + x), (y, z)

    _, (rows, read) = mg.scan(step, mg.zeros((B, I)), (E[i], every))
    added = make(SCATTER, (rows, i), ((("a",), ("s", 0, I, 1)), (V, I)))
    right = mg.var("right", (T * B, H))
    outputs = [added, mg.reshape(read, (T * B, 2 * I)).T @ right]
    inputs = [E, U, i, every, right]
    f, plain = (mg.function(inputs, outputs, simplify=s) for s in (True, False))
    fire = {SCATTERED, WEIGHTS} if decided_by == "an input" else set()
    assert {SCATTERED, WEIGHTS} & {*f.rewritten} == fire
    rng = np.random.default_rng(4)
    at = (
        rng.standard_normal((V, I)), rng.standard_normal((I, I)), rng.integers(0, V, (T, B)),
        rng.random((T, B)) < 0.6, rng.standard_normal((T * B, H)),
    )  # fmt: skip
    same(f(*at), plain(*at))


def test_masked_rows_beside_others():
    leaves, _ = masked_rows()
    c, G = mg.var("c", (4, 5, H)), mg.var("G", (20, H))
    both = mg.concat([c, leaves[0][leaves[1]]], 2)
    both = mg.reshape(mg.where(mg.broadcast_to(leaves[2], both.shape), both, 0.0), (20, H + I))
    f = mg.function([*leaves, c, G], [both.T @ G, a_loop()])
    assert WEIGHTS in f.rewritten
    E, tokens, m, expected = values_of_rows()
    rng = np.random.default_rng(4)
    beside, g = rng.standard_normal((4, 5, H)), rng.standard_normal((20, H))
    left = np.concatenate([np.where(m, beside, 0).reshape(20, H), expected], 1)
    assert_allclose(f(E, tokens, m, beside, g)[0], left.T @ g, rtol=1e-12, atol=1e-14)


# --- inputs that are given out ------------------------------------------------------------------


def test_a_view_of_an_input_is_read_from_that():
    xs = mg.var("xs", (T, B, H))

    def step(h, x):
        h = mg.tanh(h + x)
        return h, (h, mg.reshape(x, (H, B)), x.T[1:], x * 2.0, x[mg.const([2, 0])])

    outputs = list(mg.scan(step, mg.zeros((B, H)), xs)[1])
    f = mg.function([xs], outputs)
    assert INPUTS in f.rewritten
    (body,) = bodies(f)
    assert len(body.ys) == 3  # h, and what is no view
    at = np.random.default_rng(1).standard_normal((T, B, H))
    expected = at.reshape(T, H, B), at.transpose(0, 2, 1)[:, 1:], 2 * at, at[:, [2, 0]]
    same(f(at)[1:], expected)
