"""A leading axis: every op's rule for it, `vmap`, and derivatives in one sweep."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from op_cases import CASES, COMPOSITES, Case

import minigrad as mg
from minigrad.loop.node import SCAN

N = 3
rng = np.random.default_rng(0)
# A block is made by a backend, of graphs that have their axes already.
OF_OPS = [c for c in CASES + COMPOSITES if c.op != "block"]


def several(case: Case) -> list[list[np.ndarray]]:
    """The operands of a case, N times, each time others."""
    values = []
    for k in range(N):
        object.__setattr__(case, "seed", 100 + k)
        values.append(case.arrays())
    object.__setattr__(case, "seed", 0)
    return [list(operands) for operands in zip(*values, strict=True)]


def mappings(count: int) -> list[tuple[int | None, ...]]:
    """Which operands have the axis: all, each alone, and all but each."""
    chosen = [(True,) * count]
    chosen += [tuple(k == j for j in range(count)) for k in range(count)]
    chosen += [tuple(k != j for j in range(count)) for k in range(count)]
    return [tuple(0 if c else None for c in m) for m in dict.fromkeys(chosen) if any(m)]


def one_by_one(build, operands, axes):
    """What `build` gives for each of the N values, evaluated one after the other."""
    results = []
    for k in range(N):
        arrays = [o[k] if axis == 0 else o[0] for o, axis in zip(operands, axes, strict=True)]
        variables = [mg.var(f"a{j}", a.shape, a.dtype) for j, a in enumerate(arrays)]
        y = build(*variables)
        results.append(mg.function(variables, y, backend="numpy")(*arrays))
    return np.stack(results)


def at_once(build, operands, axes):
    arrays = [np.stack(o) if axis == 0 else o[0] for o, axis in zip(operands, axes, strict=True)]
    variables = [mg.var(f"a{j}", a.shape, a.dtype) for j, a in enumerate(arrays)]
    y = mg.vmap(build, axes)(*variables)
    mg.verify(y)
    return mg.function(variables, y, backend="numpy")(*arrays)


@pytest.mark.parametrize("case", OF_OPS, ids=lambda c: c.id)
def test_every_op_along_a_leading_axis(case):
    operands = several(case)
    for axes in mappings(len(operands)):
        expected = one_by_one(case.build, operands, axes)
        assert_allclose(at_once(case.build, operands, axes), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_attributes_for_a_leading_axis_lead_back_to_those_without(case):
    variables = [mg.var(f"a{j}", a.shape, a.dtype) for j, a in enumerate(case.arrays())]
    for node in mg.toposort(case.build(*variables)):
        for attr, value in zip(node.op.attrs, node.attrs, strict=False):  # leaves name none
            assert attr.lower(attr.lift(value, N), N) == value, (node.op.name, attr.name)


def gradient(case: Case):
    def of(*operands):
        floats = [a for a in operands if a.type.is_float]
        y = case.build(*operands)
        weights = np.cos(np.arange(y.size)).reshape(y.shape)
        grads = mg.grad(mg.sum(y * weights.astype(y.dtype)), floats)
        return mg.concat([mg.reshape(g, -1) for g in grads])

    return of


@pytest.mark.parametrize("case", [c for c in OF_OPS if c.smooth], ids=lambda c: c.id)
def test_every_derivative_along_a_leading_axis(case):
    operands = several(case)
    for axes in mappings(len(operands))[:2]:
        expected = one_by_one(gradient(case), operands, axes)
        assert_allclose(at_once(gradient(case), operands, axes), expected, rtol=1e-8, atol=1e-10)


# --- vmap ---------------------------------------------------------------------------------------


def test_axes_in_and_out():
    x = mg.var("x", (2, 5, 3))
    value = rng.standard_normal((2, 5, 3))
    y = mg.vmap(lambda m: m @ np.ones(3), 1, 1)(x)
    assert y.shape == (2, 5)
    assert_allclose(y.eval({x: value}), value.sum(2))


def test_nestings_and_arguments_that_are_the_same_for_all():
    a, b, c = mg.var("a", (4, 2)), mg.var("b", (4,)), mg.var("c", (2,))

    def f(pair, same):
        return {"dot": pair["v"] @ same + pair["s"], "same": same * 2}

    out = mg.vmap(f, (0, None))({"v": a, "s": b}, c)
    values = {a: rng.standard_normal((4, 2)), b: np.arange(4.0), c: np.array([1.0, -1.0])}
    assert_allclose(out["dot"].eval(values), values[a] @ values[c] + values[b])
    assert_array_equal(out["same"].eval(values), np.tile(2 * values[c], (4, 1)))


def test_what_is_the_same_for_all_is_computed_once():
    x, w = mg.var("x", (6, 2)), mg.var("w", (2, 2))
    y = mg.vmap(lambda v: v @ mg.tanh(w))(x)
    (tanh,) = [n for n in mg.toposort(y) if n.op.name == "tanh"]
    assert tanh.shape == (2, 2)
    (product,) = [n for n in mg.toposort(y) if n.op.name == "matmul"]
    assert product.shape == (6, 2)


def test_vmap_of_vmap():
    x, y = mg.var("x", (3, 2)), mg.var("y", (4, 2))
    table = mg.vmap(lambda a: mg.vmap(lambda b: mg.sum(a * b))(y))(x)
    a, b = rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
    assert_allclose(table.eval({x: a, y: b}), a @ b.T)


def test_gradients_of_each_sequence():
    """Per-sequence gradients through a loop, as one loop."""
    xs, w = mg.var("xs", (5, 7, 2)), mg.var("w", (2, 2))

    def loss(x):
        last, ys = mg.scan(lambda h, v: (mg.tanh(h @ w + v), h * v), mg.zeros(2), x)
        return mg.sum(last**2) + mg.sum(ys)

    each = mg.vmap(lambda x: mg.grad(loss(x), w))(xs)
    values = {xs: rng.standard_normal((5, 7, 2)), w: rng.standard_normal((2, 2))}
    assert each.shape == (5, 2, 2)
    for k in range(5):
        single = mg.grad(loss(mg.const(values[xs][k])), w).eval({w: values[w]})
        assert_allclose(each.eval(values)[k], single, rtol=1e-12)
    assert sum(n.op is SCAN for n in mg.toposort(each)) <= 3


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("checkpoint", [None, 3])
def test_loops_along_a_leading_axis(reverse, checkpoint):
    def run(start, inputs, scale):
        def step(carry, x):
            h, count = carry
            return (mg.sin(h * scale + x), count + 1.0), (h, count * 2.0)

        (h, count), (hs, counts) = mg.scan(
            step, (start, mg.const(0.0)), inputs, reverse=reverse, checkpoint=checkpoint
        )
        return mg.concat([h, mg.reshape(hs, -1), mg.reshape(count, 1), counts])

    operands = [
        list(rng.standard_normal((N, 2))),
        list(rng.standard_normal((N, 7, 2))),
        list(rng.standard_normal((N,))),
    ]
    for axes in itertools.product((0, None), repeat=3):
        if set(axes) == {None}:
            continue
        expected = one_by_one(run, operands, axes)
        assert_allclose(at_once(run, operands, axes), expected, rtol=1e-12)


def test_carries_that_do_not_differ_stay_as_they_are():
    xs = mg.var("xs", (4, 5))

    def run(x):
        step = lambda c, v: ((c[0] + v, c[1] * 2.0), None)  # noqa: E731
        (a, b), _ = mg.scan(step, (mg.const(0.0), mg.const(1.0)), x)
        return a + b

    y = mg.vmap(run)(xs)
    (loop,) = [n for n in mg.toposort(y) if n.op is SCAN]
    assert [c.shape for c in loop.attrs[0].body.carries] == [(4,), ()]


INDEX = {
    "array first": (lambda x, i: x[i], (4, 3), (2,)),
    "array second": (lambda x, i: x[:, i], (3, 4), (2,)),
    "array of two axes": (lambda x, i: x[:, i, 1:], (3, 4, 3), (2, 2)),
    "apart": (lambda x, i: x[i, :, i], (4, 3, 4), (2,)),
    "integer before": (lambda x, i: x[1, i], (3, 4), (2,)),
    "integer and array apart": (lambda x, i: x[1, :, i], (3, 2, 4), (2,)),
    "new axis": (lambda x, i: x[None, i], (4, 2), (2,)),
    "new axis between": (lambda x, i: x[i, None, i], (4, 4), (2,)),
    "two arrays": (lambda x, i: x[i, i[:, None]], (4, 4), (2,)),
    "set": (lambda x, i: x.at[:, i].set(7.0), (3, 4), (2,)),
    "set apart": (lambda x, i: x.at[i, :, 0].set(mg.sum(x)), (4, 2, 3), (2,)),
    "add": (lambda x, i: x.at[i].add(x[0]), (4, 3), (2,)),
    "add apart": (lambda x, i: x.at[i, :, i].add(1.5), (4, 2, 4), (2,)),
}


@pytest.mark.parametrize("name", INDEX)
def test_index_arrays_along_a_leading_axis(name):
    build, shape, index = INDEX[name]
    operands = [list(rng.standard_normal((N, *shape))), list(rng.integers(0, 4, (N, *index)))]
    for axes in ((0, 0), (0, None), (None, 0)):
        expected = one_by_one(build, operands, axes)
        assert_allclose(at_once(build, operands, axes), expected)


@pytest.mark.parametrize("axes", [(0, 0, 0), (None, 0, None), (0, None, 0), (None, None, 0)])
def test_of_an_index_twice_the_last_value_stays_along_a_leading_axis(axes):
    shapes = [(N, 4, 2), (N, 5), (N, 5, 2)]
    arrays = [rng.standard_normal(shapes[0]), rng.integers(0, 3, shapes[1])]
    arrays.append(rng.standard_normal(shapes[2]))
    arrays[1][:, 3:] = arrays[1][:, :2]  # each has an index twice, apart
    operands = [a if axis == 0 else a[0] for a, axis in zip(arrays, axes, strict=True)]
    x, i, v = named = [mg.var(n, o.shape, o.dtype) for n, o in zip("xiv", operands, strict=True)]
    y = mg.vmap(lambda x, i, v: x.at[i].set(v), axes)(x, i, v)

    into, at, source = (
        a if axis == 0 else np.stack([a[0]] * N) for a, axis in zip(arrays, axes, strict=True)
    )
    expected, stays = into.copy(), np.zeros(shapes[2])
    for n in range(N):
        for k, place in enumerate(at[n]):
            expected[n, place] = source[n, k]
            stays[n, np.flatnonzero(at[n] == place)] = 0.0
            stays[n, k] = 1.0
    if axes[2] is None:
        stays = stays.sum(0)
    for backend in ("numpy", "native"):
        f = mg.function(named, [y, mg.grad(mg.sum(y), v)], backend=backend)
        assert_array_equal(f(*operands)[0], expected)
        assert_array_equal(f(*operands)[1], stays)


def test_errors_of_vmap():
    x, y = mg.var("x", (3, 2)), mg.var("y", (4, 2))
    with pytest.raises(mg.ShapeError, match=r"argument 0: 3, argument 1: 4"):
        mg.vmap(mg.add)(x, y)
    with pytest.raises(mg.GraphError, match="an argument to map over"):
        mg.vmap(mg.sin, None)(x)
    with pytest.raises(mg.GraphError, match="in_axes names 1 arguments; there are 2"):
        mg.vmap(mg.add, (0,))(x, y)
    with pytest.raises(mg.ShapeError, match="axis 2 is out of range"):
        mg.vmap(mg.sin, 2)(x)


# --- jacobians in one sweep ---------------------------------------------------------------------


def test_a_jacobian_is_one_sweep():
    x = mg.var("x", (41,))
    w = np.random.default_rng(1).standard_normal((41, 41))
    sizes = [len(mg.toposort(mg.jacobian(mg.tanh(x[:n] @ w[:n, :n]), x))) for n in (5, 40)]
    assert sizes[0] == sizes[1]


def test_a_hessian_through_a_loop_is_a_few_loops():
    """One sweep with a leading axis: its size does not grow with the number of parameters."""

    def hessian(hidden):
        w = mg.var("w", (hidden, hidden))
        step = lambda h, v: (mg.tanh(h @ w + v), None)  # noqa: E731
        last, _ = mg.scan(step, mg.zeros(hidden), mg.var("xs", (4, hidden)))
        return mg.hessian(mg.sum(last**2), w)

    loops = [sum(n.op is SCAN for n in mg.toposort(hessian(h))) for h in (2, 5)]
    assert loops[0] == loops[1] <= 8


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_hessian_through_an_lstm_is_the_difference_of_gradients(backend):
    if backend == "native":
        pytest.importorskip("llvmlite", reason="machine code needs llvmlite")
    T, H, X = 4, 2, 2
    size = 4 * H * (H + X + 1)
    theta, xs = mg.var("theta", (size,)), mg.const(rng.standard_normal((T, X)))

    def step(state, x):
        h, c = state
        w, b = mg.reshape(theta[: 4 * H * (H + X)], (H + X, 4 * H)), theta[4 * H * (H + X) :]
        z = mg.concat([h, x]) @ w + b
        f, i, o = (mg.sigmoid(z[k * H : (k + 1) * H]) for k in range(3))
        c = f * c + i * mg.tanh(z[3 * H :])
        return (o * mg.tanh(c), c), None

    (h, _), _ = mg.scan(step, (mg.zeros(H), mg.zeros(H)), xs)
    loss = mg.sum(h**2)
    point = 0.5 * rng.standard_normal(size)
    hessian = mg.function([theta], mg.hessian(loss, theta), backend=backend)(point)
    gradient = mg.function([theta], mg.grad(loss, theta), backend="numpy")
    assert_allclose(hessian, hessian.T, atol=1e-12)
    for k in (0, size // 2, size - 1):
        d = np.zeros(size)
        d[k] = 1e-5
        slope = (gradient(point + d) - gradient(point - d)) / 2e-5
        assert_allclose(hessian[k], slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searching_in_several_vectors_knows_where_nan_stands(side):
    vectors = [np.array(v) for v in ([0, 1, 1, 5.0], [-1, 2, 2, np.nan], [np.nan] * 4)]
    asked = [np.array(v) for v in ([1.0, 9, np.nan], [np.nan, 2, -2], [0.0, np.nan, 1])]

    def search(vector, values):
        return mg.searchsorted(vector, values, side=side)

    for axes in ((0, 0), (0, None), (None, 0)):
        expected = one_by_one(search, [vectors, asked], axes)
        assert_array_equal(at_once(search, [vectors, asked], axes), expected)


def test_a_jacobian_has_the_dtype_of_what_it_is_taken_by():
    x = mg.var("x", (3,), "float32")
    for n in (2, 3, 4):  # by rows, and by columns
        y = mg.sum(x.astype("float64")) * mg.const(np.ones(n))
        assert mg.jacobian(y, x).dtype == np.float32
    for wrong in (2.0, mg.var("k", (0,), "int64")):
        with pytest.raises(mg.DTypeError, match="cannot differentiate"):
            mg.jacobian(wrong, x)


def test_what_differs_passes_from_carry_to_carry():
    def sums(xs):
        def step(carry, x):
            a, b, c = carry
            return (a + b, b + c, c + x), a

        return mg.scan(step, (mg.const(0.0),) * 3, xs)

    values = np.arange(12.0).reshape(2, 6)
    xs = mg.var("xs", values.shape)
    (last, *_), firsts = mg.vmap(sums)(xs)
    expected = [np.cumsum(np.cumsum(np.cumsum(v)))[:3] for v in values]  # three steps later
    assert_allclose(firsts.eval({xs: values}), np.pad(expected, ((0, 0), (3, 0))))
    assert last.shape == (2,)
