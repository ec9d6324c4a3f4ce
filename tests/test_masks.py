"""Elements that nobody read have derivative 0, whatever is infinite there, to third order.

Each reading of log(v) leaves out v[0]: its derivatives at v[0] = 0 are those at another v[0], where
nothing is infinite, and towards v[0] they are 0.
"""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from lstm import GRU, LSTM, RNN
from minigrad.derivatives.support import Support

log = mg.log
COLUMN = np.array([[2.0, 3.0]])


def column(x: mg.Expr) -> mg.Expr:
    return mg.reshape(x, (3, 1))


def untaken(f: Callable[[mg.Expr], mg.Expr]) -> Callable[[mg.Expr], mg.Expr]:
    """f on the side of a `where` that is not taken at v[1] = 1."""
    return lambda v: mg.where(v[1] > 5, f(v), v[1] ** 3)


def decaying(v: mg.Expr) -> mg.Expr:
    """log(v[k]) · v[2] / 2ᵏ, each from a step of a loop."""
    return mg.scan(lambda c, x: (c * 0.5, log(x) * c), v[2], v)[1]


L2 = np.log(2.0)
CUBE = [0, 3, 0]
# name: (a scalar of v, its gradient at v = [0, 1, 2])
READS: dict[str, tuple[Callable[[mg.Expr], mg.Expr], Sequence[float]]] = {
    "tile": (lambda v: mg.tile(log(v), 2)[4], [0, 1, 0]),
    "repeat": (lambda v: mg.repeat(log(v), 2)[3], [0, 1, 0]),
    "roll": (lambda v: mg.roll(log(v), 1)[2], [0, 1, 0]),
    "pad": (lambda v: np.pad(log(v), 1)[2], [0, 1, 0]),
    "diag": (lambda v: np.diag(log(v))[2, 2], [0, 0, 0.5]),
    "diagonal": (lambda v: np.diag(mg.outer(log(v), v))[1], [0, 1, 0]),
    "trace": (lambda v: mg.trace(mg.outer(log(v), v)[1:, 1:]), [0, 1, L2 + 1]),
    "triu": (lambda v: mg.sum(mg.triu(mg.outer(log(v), v[1:])[1:])), [0, 3, L2 + 1]),
    "cumulative sum": (lambda v: mg.cumulative_sum(log(v)[::-1])[1], [0, 1, 0.5]),
    "sum of cumulative sums": (
        lambda v: mg.sum(mg.cumulative_sum(log(v)[::-1])[:2]), [0, 1, 1]),
    "cumulative product": (lambda v: mg.cumulative_prod(log(v)[::-1] + 1)[1], [0, 1 + L2, 0.5]),
    "element of a product": (lambda v: (column(log(v)) @ COLUMN)[1, 0], [0, 2, 0]),
    "element of a product with v": (lambda v: (column(log(v)) @ COLUMN * v[2])[1, 0], [0, 4, 0]),
    "columns of a product": (
        lambda v: mg.sum((COLUMN.T @ mg.reshape(log(v), (1, 3)))[:, 1:]), [0, 5, 2.5]),
    "rows of a product by an array": (
        lambda v: mg.sum(mg.take(column(log(v)) @ COLUMN, np.array([1, 2]), axis=0)), [0, 5, 2.5]),
    "one of many products": (
        lambda v: mg.sum((mg.reshape(log(v), (3, 1, 1)) @ np.ones((3, 1, 2)))[1]), [0, 2, 0]),
    "einsum": (lambda v: mg.einsum("i,j->ij", log(v), v)[1, 2], [0, 2, 0]),
    "kron": (lambda v: np.kron(log(v), v)[5], [0, 2, 0]),
    "convolve": (lambda v: np.convolve(log(v), v[1:])[3], [0, 0, L2 + 1]),
    "gradient": (lambda v: np.gradient(log(v))[2], [0, -1, 0.5]),
    "outputs of a loop": (lambda v: mg.sum(decaying(v)[1:]), [0, 1, 0.25 * L2 + 0.25]),
    "the last output of a loop": (lambda v: decaying(v)[-1], [0, 0, 0.25 * L2 + 0.25]),
    "softmax": (untaken(lambda v: mg.softmax(log(v))[1]), CUBE),
    "logsumexp": (untaken(lambda v: mg.logsumexp(1 / v)), CUBE),
    "std": (untaken(lambda v: mg.std(log(v))), CUBE),
    "norm": (untaken(lambda v: mg.vector_norm(log(v))), CUBE),
    "prod": (untaken(lambda v: mg.prod(log(v))), CUBE),
    "cumulative product, untaken": (untaken(lambda v: mg.cumulative_prod(log(v))[2]), CUBE),
    "det": (untaken(lambda v: mg.det(mg.reshape(mg.tile(1 / mg.sqrt(v + 1e-9), 3), (3, 3)))), CUBE),
    "inv": (untaken(lambda v: mg.inv(mg.outer(log(v), v)[1:, 1:] + np.eye(2))[0, 0]), CUBE),
    "std of some": (lambda v: mg.std(log(v)[1:]), [0, -0.5, 0.25]),
    "norm of some": (lambda v: mg.vector_norm(log(v)[1:]), [0, 0, 0.5]),
    "softmax of some": (lambda v: mg.softmax(log(v)[1:])[1], [0, -2 / 9, 1 / 9]),
    "mean of a row": (lambda v: mg.mean(mg.outer(log(v), v[1:]), 1)[1], [0, 1.5, 0]),
    "largest of a row": (lambda v: mg.max(mg.outer(log(v), v[1:]), 1)[2], [0, 0, L2 + 1]),
    "a mask that no row shares": (
        lambda v: mg.sum(
            mg.where(np.array([[False, True, True], [False, False, True]]),
                     mg.broadcast_to(log(v), (2, 3)), 0.0)),
        [0, 1, 1]),
    "a mask of two": (
        lambda v: mg.sum(mg.where(v > 1.5, log(v), 0) + mg.where(v < 1.5, v * 2, 0)), [2, 2, 0.5]),
}  # fmt: skip
POINT, ELSEWHERE = np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.0, 2.0])


def _orders(y: mg.Expr, v: mg.Expr) -> list[mg.Expr]:
    derivatives = []
    for _ in range(3):
        derivatives.append(mg.grad(y, v))
        y = mg.sum(derivatives[-1] * np.array([0.3, 0.7, 1.1]))
    return derivatives


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("simplify", [True, False], ids=["simplified", "as written"])
def test_what_nobody_read_gets_zero(name, simplify):
    build, expected = READS[name]
    v = mg.var("v", (3,))
    run = mg.function([v], _orders(build(v), v), simplify=simplify)
    with np.errstate(all="ignore"):
        measured = run(POINT)
    assert_allclose(measured[0], expected, rtol=1e-13, atol=1e-13)
    for values, right in zip(measured, run(ELSEWHERE), strict=True):
        assert_allclose(values[1:], right[1:], rtol=1e-11, atol=1e-13)
    assert not measured[1][0] and not measured[2][0]


@pytest.mark.parametrize("name", ["tile", "cumulative sum", "element of a product", "softmax"])
def test_so_it_does_for_each_of_many_and_in_products_with_vectors(name):
    build, expected = READS[name]
    v, rows, t = mg.var("v", (3,)), mg.var("rows", (2, 3)), mg.var("t", (3,))
    each = mg.vmap(lambda u: mg.grad(build(u), u))(rows)
    assert_allclose(each.eval({rows: [POINT, POINT]}), [expected, expected], rtol=1e-13)
    product, hessian = mg.hvp(build(v), v, t), mg.hessian(build(v), v)
    direction = np.array([0.0, 1.0, -2.0])
    right = hessian.eval({v: ELSEWHERE}) @ direction
    assert_allclose(product.eval({v: POINT, t: direction}), right, rtol=1e-12, atol=1e-14)
    assert_allclose(hessian.eval({v: POINT}) @ direction, right, rtol=1e-12, atol=1e-14)


def test_numbers_that_are_zero_by_chance_stay_numbers():
    """A cotangent of value 0 that was read meets what it meets: 0·∞ is no 0 there."""
    x = mg.var("x")
    for y, derivatives in [(x**2 * mg.exp(x), [0, 2, 6]), (mg.sin(x) * x, [0, 2, 0])]:
        for expected in derivatives:
            y = mg.grad(y, x)
            assert y.eval({x: 0.0}) == expected
    root = mg.sqrt(x) * mg.sqrt(mg.sin(x))  # ~ x, of which the product rule makes 0·∞
    assert np.isnan(mg.grad(root, x).eval({x: 0.0}))


def test_of_a_node_of_which_nobody_reads_anything_nothing_comes_back():
    a, b, c = mg.var("a", (2, 2)), mg.var("b", (2, 2)), mg.var("c", (), "bool")
    nan, one = np.full((2, 2), np.nan), np.eye(2)
    for y, wrt in [(a @ b, a), (b @ a, a), (mg.solve(a + b, a), a), (mg.inv(a + b), a)]:
        gradient = mg.grad(mg.where(c, mg.sum(y), 1.0), wrt)
        assert not gradient.eval({a: one, b: nan, c: False}).any()


def test_rows_that_nobody_read_get_zero_beside_rows_of_nan():
    a, b, m = mg.var("a", (3, 2)), mg.var("b", (2, 2)), mg.var("m", (3, 1), "bool")
    gradient = mg.grad(mg.sum(mg.where(m, a @ b, 0.0)), a)
    at = {a: np.ones((3, 2)), b: [[1.0, np.nan], [2.0, 3.0]], m: [[True], [False], [True]]}
    assert_array_equal(gradient.eval(at), [[np.nan, 5], [0, 0], [np.nan, 5]])


def test_columns_that_a_condition_leaves_out_stay_out_past_a_product():
    v, m = mg.var("v", (3,)), mg.var("m", (1, 3), "bool")
    y = mg.where(m, COLUMN.T @ mg.reshape(log(v), (1, 3)), 0.0)
    gradient = mg.grad(mg.sum(y), v)
    assert_allclose(gradient.eval({v: POINT, m: [[False, True, True]]}), [0, 5, 2.5])


def test_an_infinite_cotangent_in_its_place_meets_a_masked_factor():
    x = mg.var("x", (3,))
    gradient = mg.grad(mg.sum(mg.sqrt(mg.maximum(x, 0.0)[1:])), x)
    assert_array_equal(gradient.eval({x: [-1.0, -1.0, 4.0]}), [0, 0, 0.25])


# --- loops over padded batches ------------------------------------------------------------------


@pytest.mark.parametrize("cell", [RNN(2, 3), GRU(2, 3), LSTM(2, 3)], ids=["rnn", "gru", "lstm"])
@pytest.mark.parametrize("read", ["last", "some steps"])
def test_padding_touches_no_second_derivative(cell, read, rng):
    """x is NaN where the mask is off; the derivatives are those of x = 0 there."""
    T, B = 4, 3
    params = {k: mg.param(k, v.astype("float64")) for k, v in cell.init(0).items()}
    xs, mask = mg.var("xs", (T, B, 2)), np.arange(T)[:, None] < np.array([4, 1, 2])

    def step(state, inputs):
        x, m = inputs
        new = cell.step(params, state, x)
        kept = [mg.where(m[:, None], n, s) for n, s in zip(new, state, strict=True)]
        return type(state)(*kept), kept[0]

    initial = cell.initial_state(B)
    initial = type(initial)(*[mg.astype(s, "float64") for s in initial])
    last, hs = mg.scan(step, initial, (xs, mg.const(mask)))
    loss = mg.sum(last.h**2) if read == "last" else mg.sum(hs[1:3] ** 2)
    weights = list(params.values())
    first = mg.grad(loss, weights)
    weighed = [mg.sum(g * rng.standard_normal(g.shape)) for g in first]
    run = mg.function([xs], mg.grad(sum(weighed[1:], weighed[0]), [*weights, xs]))
    points = rng.standard_normal((T, B, 2))
    padded = run(np.where(mask[..., None], points, np.nan))
    for values, expected in zip(padded, run(np.where(mask[..., None], points, 0)), strict=True):
        assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


def test_a_loop_takes_no_cotangent_that_is_none():
    """Of two outputs one is read: nothing of the other is in the reverse loop."""
    xs = mg.var("xs", (5,))
    _, (ys, zs) = mg.scan(lambda c, x: (c, (mg.sin(x), log(x))), mg.const(0.0), xs)
    gradient = mg.grad(mg.sum(ys), xs)
    assert_allclose(gradient.eval({xs: np.zeros(5)}), np.ones(5))
    loops = [n.attrs[0].body for n in mg.toposort(gradient) if n.op.name == "scan"]
    reverse = mg.toposort(loops[-1].outputs)
    assert not any(n.op.name in ("log", "divide") for n in reverse)
    assert zs.shape == (5,)


# --- what masks cost ----------------------------------------------------------------------------


def test_slices_that_leave_nothing_out_are_no_mask():
    x = mg.var("x", (6,))
    for parts in ([x[:3], x[3:]], [x[::2], x[1::2]], [x[:4], x[2:]]):
        y = mg.concat([log(p) for p in [mg.exp(x)[:0], *parts]])
        assert not any(n.op.name == "where" for n in mg.toposort(mg.grad(mg.sum(y), x)))
    h = mg.sigmoid(x)
    halves = mg.grad(mg.sum(h[:3] * h[3:]), x)
    assert not any(n.op.name == "where" for n in mg.toposort(halves))


def test_both_sides_of_a_condition_are_no_mask():
    x, c = mg.var("x", (3,)), mg.var("c", (3,), "bool")
    h = mg.sigmoid(x)
    gradient = mg.grad(mg.sum(mg.where(c, h, 0.0) + mg.where(c, 1.0, 2.0 * h)), x)
    assert sum(n.op.name == "where" for n in mg.toposort(gradient)) == 2


def test_an_element_is_multiplied_where_it_was_read():
    x = mg.var("x", (1000,))
    gradient = mg.grad(mg.sum(mg.exp(x)[[3, 5]] * 2.0), x)
    products = [n for n in mg.toposort(gradient) if n.op.name == "multiply"]
    assert {p.shape for p in products} == {(2,)}


def test_conditions_are_looked_at_once_however_often_terms_are_shared():
    x, c = mg.var("x", (3,)), mg.var("c", (3,), "bool")
    y = mg.where(c, log(x), 0.0)
    for _ in range(60):  # 2⁶⁰ paths
        y = y + y
    gradient = mg.function([x, c], mg.grad(mg.sum(y), x))
    assert_array_equal(gradient([0.0, 1, 2], [False, True, True]), [0, 2.0**60, 2.0**59])


def test_masks_of_a_deep_chain_need_no_recursion():
    x, c = mg.var("x", (3,)), mg.var("c", (3,), "bool")
    y = mg.where(c, log(x), 0.0)
    for _ in range(1500):
        y = mg.reshape(mg.broadcast_to(mg.reshape(y, (1, 3)), (1, 1, 3)), (3,))[::-1]
    gradient = mg.function([x, c], mg.grad(mg.sum(mg.exp(x) * y), x), backend="numpy")
    point = [0.5, 1, 2]
    plain = np.exp(point) * np.where([False, True, True], np.log(point) + 1 / np.array(point), 0)
    assert_allclose(gradient(point, [False, True, True]), plain)


@pytest.mark.parametrize("axis", [0, 1])
def test_second_gradients_of_large_concatenations_are_built_in_little_memory(axis):
    n = 20_000
    x = mg.var("x", (n, n))
    half = n // 2
    first_half, second_half = (x[:half], x[half:]) if axis == 0 else (x[:, :half], x[:, half:])
    z = mg.concat([first_half**2, second_half**3], axis)
    tracemalloc.start()
    first = mg.grad(mg.sum(z * z), x)
    second = mg.grad(mg.sum(first * first * x), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert second.shape == x.shape
    assert peak < 10e6


@pytest.mark.parametrize(
    "read",
    [
        lambda x: mg.concat([x[:3] ** 2, x[3:] ** 3], 0),
        lambda x: mg.concat([x[::2] ** 2, x[1::2] ** 3], 0),
        lambda x: mg.concat([x[:5] ** 2, x[2:] ** 3], 0),
        lambda x: mg.concat([x[:, :1] ** 2, x[:, 2:] ** 3], 1),
    ],
)
def test_second_gradients_of_slices_side_by_side_are_what_they_are_as_written(read, rng):
    x = mg.var("x", (7, 3))
    first = mg.grad(mg.sum(read(x)), x)
    second = mg.grad(mg.sum(first * first * x), x)
    at = rng.uniform(0.5, 2, x.shape)
    by_rules, as_written = [
        mg.function([x], mg.simplify(second) if s else second, simplify=s)(at)
        for s in (True, False)
    ]
    assert_allclose(by_rules, as_written, rtol=1e-12)


# --- conditions of what linear ops make ---------------------------------------------------------

MASK = np.array([[[True, False], [True, True]], [[False, False], [True, False]], [[True] * 2] * 2])
LARGER = mg.var("larger", (4, 3, 2, 2))
LINEAR: dict[str, Callable[[mg.Expr], mg.Expr]] = {
    "sum": lambda x: mg.sum(x, 1),
    "sum of all": mg.sum,
    "cumulative sum": lambda x: mg.cumulative_sum(x, axis=0),
    "permute": lambda x: mg.permute_dims(x, (2, 0, 1)),
    "reshape": lambda x: mg.reshape(x, (2, 6)),
    "flat": lambda x: mg.reshape(x, -1),
    "broadcast": lambda x: mg.broadcast_to(x[:, :, None], (5, 3, 2, 4, 2)),
    "index": lambda x: x[1:, None, ::-1, 1],
    "index by arrays": lambda x: x[np.array([0, 2, 2]), :, np.array([1, 0, 1])],
    "place": lambda x: mg.vjp(LARGER[1, ::-1], LARGER, x),
    "places by an array": lambda x: mg.vjp(LARGER[np.array([3, 0, 3]), 1], LARGER, x),
    "concat": lambda x: mg.concat([x, x[:, ::-1] * 2.0], 1),
    "concat of twins": lambda x: mg.concat([x, x * 2.0], 1),
    "numbers": lambda x: -(3.0 * x) / 2.0,
    "difference": lambda x: x - x[::-1],
    "astype": lambda x: mg.astype(x, "float32"),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("shape", list(itertools.product((1, 3), (1, 2), (1, 2))), ids=str)
def test_conditions_of_a_linear_op_leave_out_zeros_only(name, shape):
    """Where they do not hold, the op of any masked numbers is 0; where they do, of some it is not.

    Concatenations know what all parts share.
    """
    c, x = mg.var("c", (3, 2, 2), "bool"), mg.var("x", (3, 2, 2))
    truth = np.broadcast_to(MASK[: shape[0], : shape[1], : shape[2]], (3, 2, 2))
    for condition in (c, mg.broadcast_to(c[: shape[0], : shape[1], : shape[2]], (3, 2, 2))):
        y = LINEAR[name](mg.where(condition, x, 0.0))
        live = Support().condition(y)
        numbers = np.random.default_rng(1).uniform(1, 2, (3, 2, 2))
        at = {c: truth if condition is c else MASK, x: numbers}
        values = y.eval(at)
        holds = np.True_ if live is None else np.broadcast_to(live.eval(at), y.shape)
        assert not np.any(values[~np.broadcast_to(holds, y.shape)])
        if name != "difference" and "concat" not in name:
            assert_array_equal(np.broadcast_to(holds, y.shape), values != 0)
