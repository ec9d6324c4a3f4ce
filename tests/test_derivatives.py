"""Derivatives where they are hard: saturated units, kinks, masks, elements that nobody read.

The values come from mpmath, from closed forms or from the same graph with harmless numbers.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from lstm import GRU, LSTM, RNN

NAN = np.nan
BACKENDS = ["numpy", "native"]


def nth(build, order, dtype="float64"):
    """The variable and the derivative of that order of a scalar function, as an expression."""
    x = mg.var("x", (), dtype)
    y = build(x)
    for _ in range(order):
        y = mg.grad(y, x)
    return x, y


def at(build, order, point, dtype="float64"):
    x, y = nth(build, order, dtype)
    return y.eval({x: np.asarray(point, dtype)})


# --- digits -------------------------------------------------------------------------------------

DIGITS = {
    "x**x": (lambda x: x**x, 4, 2.0, 64.50134182736849),
    "asin": (mg.asin, 2, 1e-9, 1e-9),
    "acos": (mg.acos, 2, 1e-9, -1e-9),
    "atanh": (mg.atanh, 2, 1e-9, 2e-9),
    "hypot": (lambda x: mg.hypot(x, 1.0), 2, 1e8, 1e-24),
    "hypot of atan2": (lambda x: mg.hypot(mg.atan2(x, 0.5), -x * x), 3, 1e-8, -14.5),
    "a subnormal hypot": (lambda x: mg.hypot(x, 2 * x), 1, 1e-310, 5**0.5),
    "a subnormal hypot, bent": (lambda x: mg.hypot(x, 2 * x), 2, 1e-310, 0.0),
    "softplus by hand": (lambda x: mg.log1p(mg.exp(-mg.abs(x))) + mg.relu(x), 1, 0.0, 0.5),
    "softplus by hand, bent": (lambda x: mg.log1p(mg.exp(-mg.abs(x))) + mg.relu(x), 2, 0.0, 0.25),
    "cross-entropy of a logit": (
        lambda x: mg.relu(x) - 0.25 * x + mg.log1p(mg.exp(-mg.abs(x))), 1, 0.0, 0.25),
    "sigmoid by hand": (lambda x: 1 / (1 + mg.exp(-x)), 1, 37.0, 8.533047625744065e-17),
    "log of sigmoid": (lambda x: mg.log(mg.sigmoid(x)), 2, -40.0, -4.248354255291589e-18),
    "sigmoid of a hundred": (mg.sigmoid, 1, 100.0, 3.720075976020836e-44),
    "tanh of a hundred": (mg.tanh, 1, -100.0, float(mpmath.sech(100) ** 2)),
    "tanh, bent": (mg.tanh, 2, 100.0, float(-2 * mpmath.sech(100) ** 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", DIGITS)
def test_digits(name):
    build, order, point, expected = DIGITS[name]
    assert_allclose(at(build, order, point), expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_slopes_of_saturated_units_keep_their_digits(name, dtype):
    points = np.array([-42.0, -17.5, -9.2, -1.0, 1e-4, 0.0, 0.3, 4.0, 12.0, 30.0, 42.0], dtype)
    exact = {
        "tanh": [mpmath.sech(mpmath.mpf(float(p))) ** 2 for p in points],
        "sigmoid": [1 / (2 * mpmath.cosh(mpmath.mpf(float(p)) / 2)) ** 2 for p in points],
    }[name]
    x = mg.var("x", points.shape, dtype)
    slopes = mg.grad(mg.sum(getattr(mg, name)(x)), x)
    for backend in BACKENDS:
        y = mg.function([x], slopes, backend=backend)(points)
        assert_allclose(y, np.array(exact, float), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("dtype", "point"), [("float64", -709.86), ("float32", -88.73)])
def test_sigmoid_near_underflow(dtype, point):
    x = np.array([point, -2.0, 0.0, np.finfo(dtype).max, -np.finfo(dtype).max, NAN], dtype)
    with mpmath.workdps(30):
        exact = [float(1 / (1 + mpmath.exp(-mpmath.mpf(float(p))))) for p in x[:3]]
    v = mg.var("v", x.shape, dtype)
    y = mg.sigmoid(v).eval({v: x})
    assert y.dtype == dtype
    assert_allclose(y, [*exact, 1, 0, NAN], rtol=2 * np.finfo(dtype).eps, atol=1.5e-45)


def test_hessian_of_a_power_with_exponent_zero():
    v = mg.var("v", (2,))
    hessian = mg.hessian(v[0] ** v[1], v)
    assert_allclose(hessian.eval({v: [2.0, 0.0]}), [[0, 0.5], [0.5, np.log(2) ** 2]], rtol=1e-15)
    assert np.isfinite(hessian.eval({v: [0.0, 0.0]})).all()


def test_log_of_an_element_of_a_softmax():
    z = mg.var("z", (3,))
    y = mg.log(mg.softmax(z)[0])
    point = [-800.0, 0.0, 0.0]
    expected = -800 - np.log(2)
    assert_allclose(mg.function([z], y)(point), expected, rtol=1e-15)
    assert_allclose(mg.grad(y, z).eval({z: point}), [1, -0.5, -0.5], rtol=1e-15)


@pytest.mark.parametrize("bias", [10.0, 12.0])
def test_gradients_of_a_saturated_rnn(bias):
    """With 1 - y² they are 17 times too large at bias 10, and 0 at 12."""
    T, cell = 5, RNN(1, 1)
    params = {"W_h": mg.const(np.array([[0.5], [0.1]], "float32")),
              "b_h": mg.const(np.array([bias], "float32"))}  # fmt: skip
    state, hs = cell.initial_state(1), []
    for _ in range(T):
        state = cell.step(params, state, mg.const(np.ones((1, 1), "float32")))
        hs.append(state.h)
    adjoints = mg.adjoints(mg.sum(hs[-1]))
    measured = [adjoints[h].eval().item() for h in hs]
    h, slopes = mpmath.mpf(0), []
    for _ in range(T):
        z = h / 2 + mpmath.mpf(float(np.float32(0.1))) + bias
        h = mpmath.tanh(z)
        slopes.append(mpmath.sech(z) ** 2)
    exact = [float(mpmath.fprod(s / 2 for s in slopes[t + 1 :])) for t in range(T)]
    # Within the rounding of z, which the slope doubles; the first is subnormal at bias 12.
    assert_allclose(measured, exact, rtol=1e-4, atol=1e-44)


# --- kinks --------------------------------------------------------------------------------------

SMOOTH_AT_THE_KINK = {
    "norm": (lambda x: mg.vector_norm(x) ** 2, [0.0, 0.0], 2 * np.eye(2)),
    "norm, multiplied": (lambda x: mg.vector_norm(x) * mg.vector_norm(x), [0.0, 0.0],
                         2 * np.eye(2)),
    "norm, squared": (lambda x: mg.square(mg.vector_norm(x)), [0.0, 0.0], 2 * np.eye(2)),
    "norm to the fourth": (lambda x: mg.vector_norm(x) ** 4, [0.0, 0.0], np.zeros((2, 2))),
    "hypot": (lambda x: mg.hypot(x[0], x[1]) ** 2, [0.0, 0.0], 2 * np.eye(2)),
    "std": (lambda x: mg.std(x) ** 2, [1.0, 1.0], [[0.5, -0.5], [-0.5, 0.5]]),
    "abs": (lambda x: mg.sum(abs(x) ** 2), [0.0, 0.0], 2 * np.eye(2)),
    "(2 n)²": (lambda x: (2 * mg.vector_norm(x)) ** 2, [0.0, 0.0], 8 * np.eye(2)),
    "(-n)²": (lambda x: (-mg.vector_norm(x)) ** 2, [0.0, 0.0], 2 * np.eye(2)),
    "(n / 4)²": (lambda x: (mg.vector_norm(x) / 4) ** 2, [0.0, 0.0], np.eye(2) / 8),
    "n · 2 n": (lambda x: mg.vector_norm(x) * 2 * mg.vector_norm(x), [0.0, 0.0], 4 * np.eye(2)),
    "square(n / 2)": (lambda x: mg.square(mg.vector_norm(x) * 0.5), [0.0, 0.0], 0.5 * np.eye(2)),
    "(n / 8) n": (lambda x: (0.125 * mg.vector_norm(x)) * mg.vector_norm(x), [0.0, 0.0],
                  0.25 * np.eye(2)),
    "-2 n · n / 4": (lambda x: -(2 * mg.vector_norm(x)) * (mg.vector_norm(x) / 4), [0.0, 0.0],
                     -np.eye(2)),
    "(2 n)⁴": (lambda x: (2 * mg.vector_norm(x)) ** 4, [0.0, 0.0], np.zeros((2, 2))),
    "(3 std)²": (lambda x: (3 * mg.std(x)) ** 2, [1.0, 1.0], [[4.5, -4.5], [-4.5, 4.5]]),
    "std · 3 std": (lambda x: mg.std(x) * 3 * mg.std(x), [1.0, 1.0], [[1.5, -1.5], [-1.5, 1.5]]),
    "(2 |x|)²": (lambda x: mg.sum((2 * abs(x)) ** 2), [0.0, 0.0], 8 * np.eye(2)),
    "|x| · |x| / 2": (lambda x: mg.sum(abs(x) * 0.5 * abs(x)), [0.0, 0.0], np.eye(2)),
    "(2 hypot)²": (lambda x: (2 * mg.hypot(x[0], x[1])) ** 2, [0.0, 0.0], 8 * np.eye(2)),
    "norms of rows": (lambda x: mg.sum((2 * mg.vector_norm(x[:, None], axis=1)) ** 2), [0.0, 0.0],
                      8 * np.eye(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH_AT_THE_KINK)
def test_squares_of_what_has_a_kink_are_smooth(name):
    build, point, expected = SMOOTH_AT_THE_KINK[name]
    x = mg.var("x", (2,))
    y = build(x)
    assert_array_equal(mg.grad(y, x).eval({x: point}), 0)
    assert_array_equal(mg.hessian(y, x).eval({x: point}), expected)
    product = mg.hvp(y, x, [1.0, 2.0]).eval({x: point})
    assert_array_equal(product, np.asarray(expected) @ [1.0, 2.0])


@pytest.mark.parametrize(
    "build",
    [
        mg.vector_norm,
        lambda x: mg.vector_norm(x, ord=3),
        lambda x: mg.matrix_norm(x[None]),
        mg.std,
        lambda x: mg.hypot(x[0], x[1]),
    ],
)
def test_every_derivative_at_the_least_of_a_norm_is_zero(build):
    x = mg.var("x", (2,))
    y = build(x)
    for _ in range(3):
        y = mg.sum(mg.grad(y, x) * np.array([1.0, 0.7]))
        assert y.eval({x: [0.0, 0.0]}) == 0


# --- masks --------------------------------------------------------------------------------------

UNTAKEN = {
    "hypot": lambda x: mg.hypot(mg.log(-x), 1.0),
    "power": lambda x: mg.exp(x) ** (x**x),
    "log to a power": lambda x: mg.log(-x) ** x,
    "atan2": lambda x: mg.atan2(mg.log(-x), x),
    "nested": lambda x: 1 / mg.where(x > 8, x, mg.log(-x)),
    "square root": lambda x: mg.sqrt(mg.sqrt(x - 7)) * mg.log(x - 7),
    "asin": lambda x: mg.asin(x) + mg.acosh(-x) * mg.atanh(x),
    "two that differ": lambda x: mg.where(x > 8, mg.log(-x), 1.0) * mg.log(x - 7) ** 2,
    "a row of it": lambda x: mg.sum(mg.log(mg.stack([x, -x, x - 7]))[1:]),
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_the_side_not_taken_has_no_part_in_any_order(name):
    for swapped in (False, True):
        for order, expected in enumerate([343.0, 147.0, 42.0, 6.0]):

            def build(x, swapped=swapped):
                other = UNTAKEN[name](x)
                return mg.where(x < 5, other, x**3) if swapped else mg.where(x > 5, x**3, other)

            assert at(build, order, 7.0) == pytest.approx(expected, rel=1e-15)


UNREAD = {
    "element": (lambda v: mg.log(v)[2], [0, 0, 0.5]),
    "last element, of two": (lambda v: mg.log(v)[1] + mg.log(v)[2], [0, 1, 0.5]),
    "slice": (lambda v: mg.sum(mg.log(v)[1:]), [0, 1, 0.5]),
    "reversed": (lambda v: mg.sum(mg.log(v)[::-1][:2]), [0, 1, 0.5]),
    "take": (lambda v: mg.sum(mg.take(mg.log(v), [2, 2])), [0, 0, 1]),
    "take by an expression": (
        lambda v: mg.sum(mg.take(mg.log(v), mg.argsort(v)[1:])), [0, 1, 0.5]),
    "boolean mask": (lambda v: mg.sum(mg.log(v)[np.array([False, True, True])]), [0, 1, 0.5]),
    "set": (lambda v: mg.sum(mg.log(v).at[0].set(0)), [0, 1, 0.5]),
    "set by an array": (lambda v: mg.sum(mg.log(v).at[np.array([0, 0])].set(0)), [0, 1, 0.5]),
    "concat": (lambda v: mg.concat([v[2:], mg.log(v)])[0], [0, 0, 1]),
    "across a concat": (lambda v: mg.sum(mg.concat([mg.log(v)[1:], mg.log(v)])[:2]), [0, 1, 0.5]),
    "take of a concat": (lambda v: mg.sum(mg.take(mg.concat([v, mg.log(v)]), [0, 4])), [1, 1, 0]),
    "stack": (lambda v: mg.stack([mg.log(v), v])[0, 1], [0, 1, 0]),
    "transposed": (
        lambda v: mg.sum(mg.log(mg.broadcast_to(v, (2, 3))).T[1:] * 0.5), [0, 1, 0.5]),
    "reshaped": (lambda v: mg.sum(mg.reshape(mg.log(v), (3, 1))[1:]), [0, 1, 0.5]),
    "maximum": (lambda v: mg.sum(mg.maximum(mg.sqrt(v), 0.5)), [0, 0.5, 2**-1.5]),
    "a tie of maximum": (lambda v: mg.sum(mg.maximum(mg.sqrt(v), 1)), [0, 0.25, 2**-1.5]),
    "minimum": (lambda v: -mg.sum(mg.minimum(-mg.sqrt(v), -0.5)), [0, 0.5, 2**-1.5]),
    "clip": (lambda v: mg.sum(mg.clip(mg.sqrt(v), 0.5, 9)), [0, 0.5, 2**-1.5]),
    "max": (lambda v: mg.max(mg.sqrt(v)), [0, 0, 2**-1.5]),
    "sort": (lambda v: mg.sort(mg.log(v))[2], [0, 0, 0.5]),
    "neighbours": (lambda v: mg.sum(mg.diff(mg.log(v))[1:]), [0, -1, 0.5]),
    "slices of slices": (lambda v: mg.sum(mg.log(v)[1:][::-1][:1]), [0, 0, 0.5]),
    "beside a constant": (lambda v: (mg.const(np.ones((2, 3))) * mg.log(v))[0][1], [0, 1, 0]),
    "outer": (lambda v: mg.outer(mg.log(v), v)[2, 1], [0, np.log(2), 0.5]),
    "different masks": (
        lambda v: mg.sum(mg.where(v > 1.5, mg.log(v), 0))
        + mg.sum(mg.where((v > 0.5) & (v < 1.5), mg.log(v), 0)), [0, 1, 0.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREAD)
def test_elements_that_nobody_read_get_zero(name):
    build, expected = UNREAD[name]
    v = mg.var("v", (3,))
    point, harmless = np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.0, 2.0])
    gradient = mg.grad(build(v), v)
    first = mg.function([v], gradient)
    assert_allclose(first(point), expected, rtol=1e-14, atol=0)
    # The next orders: where nobody reads an element, it makes no difference.
    for order in (2, 3):
        gradient = mg.grad(mg.sum(gradient * np.array([0.3, 0.7, 1.1])), v)
        higher = mg.function([v], gradient)
        assert_allclose(higher(point)[1:], higher(harmless)[1:], rtol=1e-13, atol=1e-16)
        assert higher(point)[0] == 0, order


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[2],
        lambda x: mg.sum(x[2:]),
        lambda x: mg.sum(mg.take(x, [2])),
        lambda x: x[2] * 1,
    ],
)
def test_elements_that_nobody_read_get_zero_for_each_of_many(read):
    rows = mg.var("rows", (2, 3))
    each = mg.vmap(lambda v: mg.grad(read(mg.log(v)), v))(rows)
    value = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 4.0]])
    assert_array_equal(each.eval({rows: value}), [[0, 0, 0.5], [0, 0, 0.25]])


@pytest.mark.parametrize("cell", [LSTM(2, 3), GRU(2, 3), RNN(2, 3)], ids=["lstm", "gru", "rnn"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_padding_touches_no_gradient(cell, backend, rng):
    """x is NaN where the mask is off; the gradients are those of x = 0 there."""
    if backend == "native":
        pytest.importorskip("llvmlite", reason="machine code needs llvmlite")
    T, B = 4, 3
    params = {k: mg.param(k, v) for k, v in cell.init(0).items()}
    xs, lengths = mg.var("xs", (T, B, 2), "float32"), np.array([4, 1, 2])
    mask = np.arange(T)[:, None] < lengths

    def step(state, inputs):
        x, m = inputs
        new = cell.step(params, state, x)
        kept = [mg.where(m[:, None], n, s) for n, s in zip(new, state, strict=True)]
        return type(state)(*kept), None

    last, _ = mg.scan(step, cell.initial_state(B), (xs, mg.const(mask)))
    loss = mg.sum(last.h**2)
    points = rng.standard_normal((T, B, 2)).astype("float32")
    outputs = [mg.grad(loss, params[k]) for k in params] + [mg.grad(loss, xs)]
    run = mg.function([xs], outputs, backend=backend)
    padded = np.where(mask[..., None], points, np.float32(NAN))
    harmless = np.where(mask[..., None], points, np.float32(0))
    for found, expected in zip(run(padded), run(harmless), strict=True):
        assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_an_lstm_keeps_six_values_a_step_beside_its_inputs():
    """Products that meet a cotangent, not all that they are made of: eleven values."""
    cell = LSTM(2, 3)
    params = {k: mg.param(k, v) for k, v in cell.init(0).items()}
    xs = mg.var("xs", (5, 4, 2), "float32")
    last, _ = mg.scan(lambda s, x: (cell.step(params, s, x), None), cell.initial_state(4), xs)
    gradients = mg.grad(mg.sum(last.h), list(params.values()))
    bodies = [n.attrs[0].body for n in mg.toposort(gradients) if n.op.name == "scan"]
    stacks = max(len(b.outputs) - b.n_carry for b in bodies if b.n_carry == 2)
    assert stacks == 6 + 1  # and h, for the weights


def test_integers_are_refused_on_either_side_by_name():
    x, k = mg.var("x"), mg.var("k", (), "int64")
    by_k = "cannot differentiate with respect to k: int64"
    of_k = "cannot differentiate the result of multiply: int64"
    calls = [
        (lambda: mg.grad(x * k, k), by_k),
        (lambda: mg.vjp(x * k, k, 1.0), by_k),
        (lambda: mg.jvp(x * k, k, 1), by_k),
        (lambda: mg.jvp(x * k, [x, k], [1.0, 1]), by_k),
        (lambda: mg.grad(k * k, x), of_k),
        (lambda: mg.vjp(k * k, x, 1), of_k),
        (lambda: mg.jvp(k * k, x, 1.0), of_k),
    ]
    for call, words in calls:
        with pytest.raises(mg.DTypeError, match=f"^{words}"):
            call()
