"""Derivatives: conventions at kinks and ties, stability, the public functions and their errors."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

INF = np.inf
x = mg.var("x")
p = mg.var("p")
v = mg.var("v", (3,))


def derivatives(y, wrt, at):
    """Value, first and second derivative of a scalar by a scalar."""
    first = mg.grad(y, wrt)
    return [float(e.eval(at)) for e in (y, first, mg.grad(first, wrt))]


# --- kinks and ties -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "at", "first"),
    [
        (abs(x), 0.0, 0.0),
        (abs(x), -0.0, 0.0),
        (abs(x), -2.0, -1.0),
        (mg.relu(x), 0.0, 0.0),
        (mg.sign(x), 0.0, 0.0),
        (mg.floor(x), 1.0, 0.0),
        (mg.ceil(x), 1.0, 0.0),
        (mg.round(x), 0.5, 0.0),
        (mg.trunc(x), 1.0, 0.0),
        (mg.sqrt(x), 0.0, INF),
        (mg.log(x), 0.0, INF),
        (mg.maximum(x, 1.0), 1.0, 0.5),
        (mg.minimum(1.0, x), 1.0, 0.5),
        (mg.maximum(x, x), 3.0, 1.0),
        (mg.clip(x, -1, 1), 1.0, 0.5),
        (mg.clip(x, -1, 1), 2.0, 0.0),
        (mg.clip(x, -1, 1), 0.5, 1.0),
        (x**0, 0.0, 0.0),
        (x**0, 2.0, 0.0),
        (x**1, 0.0, 1.0),
        (x**2, 0.0, 0.0),
        (x**3, -2.0, 12.0),
        (x**-1, -2.0, -0.25),
        (x**-2, 2.0, -0.25),
        (x**0.5, 0.0, INF),
        (x**1.5, 0.0, 0.0),
        (0.0**x, 2.0, 0.0),
        (0.0**x, 0.0, 0.0),
        (2.0**x, 3.0, 8.0 * math.log(2)),
        (mg.hypot(x, 0.0), 0.0, 0.0),
        (mg.copysign(x, -1.0), 2.0, -1.0),
        (mg.copysign(x, 1.0), 0.0, 0.0),
        (x % 3.0, 7.5, 1.0),
        (7.5 % x, 2.0, -3.0),
        (x // 2.0, 3.0, 0.0),
        (mg.where(x > 0, x, -x), 0.0, -1.0),
        (mg.stop_gradient(x) * x, 3.0, 3.0),
    ],
    ids=str,
)
def test_first_derivative_at_kinks(y, at, first):
    assert float(mg.grad(y, x).eval({x: at})) == pytest.approx(first, rel=1e-15, abs=0)


@pytest.mark.parametrize("a", [0.0, -0.0, 2.0])
@pytest.mark.parametrize("b", [0.0, 1.0, 2.0, 3.0])
def test_symbolic_powers_at_zero_and_at_whole_exponents(a, b):
    y = x**p
    at = {x: a, p: b}
    assert mg.grad(y, x).eval(at) == (b * a ** (b - 1) if b else 0.0)
    assert mg.grad(y, p).eval(at) == (a**b * math.log(a) if a else 0.0)
    second = mg.grad(mg.grad(y, x), x).eval(at)
    assert second == (b * (b - 1) * a ** (b - 2) if b > 1 else 0.0)


def test_symbolic_and_constant_exponents_agree():
    for b in (0.0, 1.0, 2.0, 3.0, 0.5, -1.0):
        for a in (0.5, 2.0, 0.0):
            constant = derivatives(x**b, x, {x: a})[:2]
            assert derivatives(x**p, x, {x: a, p: b})[:2] == pytest.approx(constant, rel=1e-15)


def test_a_negative_base_has_a_derivative_towards_itself():
    assert mg.grad(x**p, x).eval({x: -2.0, p: 3.0}) == 12.0
    assert mg.grad(x**3.0, x).eval({x: -2.0}) == 12.0


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (mg.max, [1.0, 5.0, 5.0], [0.0, 0.5, 0.5]),
        (mg.min, [5.0, 5.0, 5.0], [1 / 3, 1 / 3, 1 / 3]),
        (lambda e: mg.sort(e)[0], [2.0, 2.0, 3.0], [1.0, 0.0, 0.0]),
        (lambda e: mg.sort(e, descending=True)[0], [2.0, 3.0, 3.0], [0.0, 1.0, 0.0]),
        (lambda e: mg.cumulative_prod(e)[2], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
        (mg.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
        (mg.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
        (mg.vector_norm, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        (mg.std, [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
        (lambda e: mg.vector_norm(e, ord=1), [0.0, -2.0, 3.0], [0.0, -1.0, 1.0]),
        (lambda e: mg.vector_norm(e, ord=INF), [1.0, -2.0, 2.0], [0.0, -0.5, 0.5]),
        (lambda e: mg.sum(mg.relu(e)), [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
    ],
)
def test_ties_and_zeros_of_reductions(function, at, expected):
    assert_allclose(mg.grad(function(v), v).eval({v: at}), expected, rtol=1e-15, atol=0)


def test_second_derivative_of_a_product_of_zeros():
    hessian = mg.hessian(mg.prod(v), v).eval({v: [0.0, 0.0, 3.0]})
    assert_array_equal(hessian, [[0, 3, 0], [3, 0, 0], [0, 0, 0]])


# --- stability ----------------------------------------------------------------------------------


def exact_sigmoid(t: Decimal) -> Decimal:
    return 1 / (1 + (-t).exp())


def assert_right(found, expected):
    """To 1e-12 relative, where the number is one that a float can hold."""
    for got, want in zip(found, expected, strict=True):
        want = float(want)
        assert math.isfinite(got)
        assert abs(got - want) <= 1e-12 * abs(want) + 1e-300, (found, expected)


LOGISTIC = {
    "log(sigmoid(x))": (mg.log(mg.sigmoid(x)), -1, lambda s: 1 - s),
    "log1p(-sigmoid(x))": (mg.log1p(-mg.sigmoid(x)), 1, lambda s: -s),
    "log(1 - sigmoid(x))": (mg.log(1 - mg.sigmoid(x)), 1, lambda s: -s),
}
SOFTPLUS = {
    "log(1 + exp(x))": mg.log(1 + mg.exp(x)),
    "log(exp(x) + 1)": mg.log(mg.exp(x) + 1.0),
    "log1p(exp(x))": mg.log1p(mg.exp(x)),
    "softplus(x)": mg.softplus(x),
    "logaddexp(x, 0)": mg.logaddexp(x, 0.0),
    "log(exp(x) + exp(0))": mg.log(mg.exp(x) + mg.exp(0.0 * x)),
    "-log(sigmoid(-x))": -mg.log(mg.sigmoid(-x)),
    "-log(1 / (1 + exp(x)))": -mg.log(1 / (1 + mg.exp(x))),
}
POINTS = [1000.0, -1000.0, 0.0, 3.0, -3.0]


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize("name", LOGISTIC)
def test_logarithms_of_the_logistic_function(name, at):
    y, sign, slope = LOGISTIC[name]
    with localcontext(prec=60):
        t = Decimal(at)
        s = exact_sigmoid(t)
        expected = [-(1 + (sign * t).exp()).ln(), slope(s), -s * (1 - s)]
    assert_right(derivatives(y, x, {x: at}), expected)


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize("name", SOFTPLUS)
def test_softplus_however_written(name, at):
    with localcontext(prec=60):
        t = Decimal(at)
        s = exact_sigmoid(t)
        expected = [(1 + t.exp()).ln(), s, s * (1 - s)]
    assert_right(derivatives(SOFTPLUS[name], x, {x: at}), expected)


@pytest.mark.parametrize("at", POINTS)
def test_tanh(at):
    with localcontext(prec=60):
        t = Decimal(at)
        e = (-2 * abs(t)).exp()
        value = (1 - e) / (1 + e) * (1 if at >= 0 else -1)
        slope = 4 * e / (1 + e) ** 2
        expected = [value, slope, -2 * value * slope]
    assert_right(derivatives(mg.tanh(x), x, {x: at}), expected)


VECTORS = [[1000.0, 1000.0, -1000.0], [-1000.0, -1000.0, -1000.0], [1000.0, -1000.0, 999.0]]
LOGSUMEXP = {
    "log(sum(exp(v)))": mg.log(mg.sum(mg.exp(v))),
    "keepdims": mg.log(mg.sum(mg.exp(v), keepdims=True))[0],
    "logsumexp": mg.logsumexp(v),
    "logaddexp": mg.logaddexp(mg.logaddexp(v[0], v[1]), v[2]),
}


def exact_softmax(at):
    powers = [Decimal(t).exp() for t in at]
    return sum(powers), [e / sum(powers) for e in powers]


@pytest.mark.parametrize("at", VECTORS)
@pytest.mark.parametrize("name", LOGSUMEXP)
def test_logarithm_of_a_sum_of_exponentials(name, at):
    y = LOGSUMEXP[name]
    with localcontext(prec=60):
        total, s = exact_softmax(at)
        hessian = [s[i] * ((i == j) - s[j]) for i in range(3) for j in range(3)]
        assert_right([float(y.eval({v: at}))], [total.ln()])
        assert_right(mg.grad(y, v).eval({v: at}), s)
        assert_right(mg.hessian(y, v).eval({v: at}).ravel(), hessian)


LOG_SOFTMAX = {
    "log(softmax(v))": mg.log(mg.softmax(v)),
    "by hand": mg.log(mg.exp(v) / mg.sum(mg.exp(v))),
    "log_softmax": mg.log_softmax(v),
}


@pytest.mark.parametrize("at", VECTORS)
@pytest.mark.parametrize("name", LOG_SOFTMAX)
def test_logarithm_of_softmax(name, at):
    y = LOG_SOFTMAX[name]
    with localcontext(prec=60):
        total, s = exact_softmax(at)
        value = [Decimal(t) - total.ln() for t in at]
        jacobian = [(i == j) - s[j] for i in range(3) for j in range(3)]
        second = [-s[i] * ((i == j) - s[j]) for i in range(3) for j in range(3)]
    assert_right(y.eval({v: at}), value)
    assert_right(mg.jacobian(y, v).eval({v: at}).ravel(), jacobian)
    assert_right(mg.hessian(y[1], v).eval({v: at}).ravel(), second)


@pytest.mark.parametrize("inner", [mg.log, mg.sqrt, lambda e: e**-0.5, lambda e: 1 / e, mg.acosh])
@pytest.mark.parametrize("at", [0.0, -0.0, -1.0, -1000.0])
def test_a_masked_pole_gives_no_gradient(inner, at):
    y = mg.where(x > 0, inner(x), 0.0)
    assert derivatives(y, x, {x: at}) == [0.0, 0.0, 0.0]
    third = mg.grad(mg.grad(mg.grad(y, x), x), x)
    assert third.eval({x: at}) == 0.0
    scaled = mg.sum(mg.where(v > 0, 2.0 * inner(3.0 * v), 0.0) * v)
    assert_array_equal(mg.grad(scaled, v).eval({v: [at, at, at]}), [0.0] * 3)


def test_a_masked_pole_keeps_its_gradient_elsewhere():
    y = mg.sum(mg.where(v > 0, mg.log(v), 0.0))
    assert_array_equal(mg.grad(y, v).eval({v: [-1.0, 0.0, 4.0]}), [0.0, 0.0, 0.25])


# --- the public functions -----------------------------------------------------------------------


def test_the_published_example_of_micrograd():
    a, b = mg.var("a"), mg.var("b")
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + mg.relu(b + a)
    d = d + 3 * d + mg.relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    g = g + 10.0 / f
    at = {a: -4.0, b: 2.0}
    assert f"{g.eval(at):.4f}" == "24.7041"
    assert f"{mg.grad(g, a).eval(at):.4f}" == "138.8338"
    assert f"{mg.grad(g, b).eval(at):.4f}" == "645.5773"


def test_grad_answers_in_the_shape_of_the_question():
    y = x * p
    assert mg.grad(y, x) is p
    by_x, by_p = mg.grad(y, [x, p])
    assert by_x is p
    assert by_p is x
    by_name = mg.grad(y, {"one": x, "two": p})
    assert by_name["one"] is p
    assert by_name["two"] is x


def test_grad_by_an_inner_node():
    inner = mg.sigmoid(x)
    y = mg.log(inner) * inner
    slope = mg.grad(y, inner).eval({x: 0.3})
    s = 1 / (1 + math.exp(-0.3))
    assert slope == pytest.approx(math.log(s) + 1, rel=1e-14)


def test_grad_of_what_does_not_depend_is_zero():
    assert_array_equal(mg.grad(x * x, v).eval({}), np.zeros(3))
    assert mg.grad(x, x).eval({}) == 1


def test_fan_out_and_fan_in():
    y = x
    for _ in range(40):
        y = y + y
    assert mg.grad(y, x).eval({x: 1.0}) == 2.0**40


def test_integer_parts_of_a_graph():
    k = mg.var("k", (2,), "int64")
    y = mg.sum(v[k] * mg.astype(k, "float64"))
    assert_array_equal(mg.grad(y, v).eval({v: [1, 2, 3], k: [2, 1]}), [0, 1, 2])
    through = mg.sum(mg.astype(mg.astype(v, "int64"), "float64") * v)
    assert_array_equal(mg.grad(through, v).eval({v: [1.5, 2.5, -3.5]}), [1, 2, -3])


def test_conversions_between_floats():
    w = mg.var("w", (2,), "float32")
    y = mg.sum(mg.astype(w, "float64") ** 2)
    g = mg.grad(y, w)
    assert g.dtype == np.float32
    assert_array_equal(g.eval({w: [1, 2]}), [2, 4])
    assert (w * v[:2]).dtype == np.float64
    assert mg.grad(mg.sum(w * v[:2]), w).dtype == np.float32


def test_jacobian_and_hessian_shapes_and_values():
    w = mg.var("w", (2, 3))
    y = w @ v
    at = {w: np.arange(6.0).reshape(2, 3), v: [1.0, 2.0, 3.0]}
    assert_array_equal(mg.jacobian(y, v).eval(at), at[w])
    assert mg.jacobian(y, w).shape == (2, 2, 3)
    assert_array_equal(mg.jacobian(mg.sum(v), v).eval({}), [1, 1, 1])
    assert_array_equal(mg.jacobian(x * v, x).eval(at), at[v])
    hessian = mg.hessian(mg.sum(v**3), v).eval(at)
    assert_array_equal(hessian, np.diag([6.0, 12.0, 18.0]))
    assert mg.jacobian(mg.var("e", (0,)), v).shape == (0, 3)


def test_jacobians_by_the_two_modes_agree(rng):
    wide = mg.tanh(mg.outer(v, v))
    narrow = mg.jacobian(wide, v)  # forward: three columns
    rows = mg.stack([mg.grad(wide[i, j], v) for i in range(3) for j in range(3)])
    at = {v: rng.standard_normal(3)}
    assert_allclose(narrow.eval(at).reshape(9, 3), rows.eval(at), rtol=1e-14)


def test_hvp_is_the_hessian_times_the_vector(rng):
    w = mg.var("w", (2, 3))
    y = mg.sum(mg.tanh(w @ v) ** 2)
    at = {w: rng.standard_normal((2, 3)), v: rng.standard_normal(3)}
    vector = rng.standard_normal(3)
    expected = mg.hessian(y, v).eval(at) @ vector
    assert_allclose(mg.hvp(y, v, vector).eval(at), expected, rtol=1e-12)
    dw = rng.standard_normal((2, 3))
    both = mg.hvp(y, [v, w], [vector, dw])
    assert_allclose(
        both[0].eval(at),
        expected + np.tensordot(mg.jacobian(mg.grad(y, v), w).eval(at), dw, 2),
        rtol=1e-12,
    )


def test_jvp_of_a_dict():
    found = mg.jvp(x * p, {"a": x, "b": p}, {"a": 2.0, "b": 3.0}).eval({x: 5.0, p: 7.0})
    assert found == 2 * 7 + 3 * 5


def test_a_custom_gradient_serves_both_modes_and_orders():
    square = mg.custom_vjp(lambda a: a * a, lambda ct, y, a: 10 * a * ct)
    y = square(x)
    assert y.eval({x: 3.0}) == 9.0
    assert mg.grad(y, x).eval({x: 3.0}) == 30.0
    assert mg.jvp(y, x, 1.0).eval({x: 3.0}) == 30.0
    assert mg.grad(mg.grad(y, x), x).eval({x: 3.0}) == 10.0


def test_a_custom_gradient_of_two_inputs_may_leave_one_out():
    product = mg.custom_vjp(lambda a, b: a * b, lambda ct, y, a, b: (ct * b, None))
    y = product(x, p)
    assert mg.grad(y, x).eval({x: 2.0, p: 3.0}) == 3.0
    assert mg.grad(y, p).eval({x: 2.0, p: 3.0}) == 0.0


# --- adjoints -----------------------------------------------------------------------------------


def test_adjoints_of_nodes_and_edges():
    a = mg.sigmoid(x)
    y = a * a + a
    adj = mg.adjoints(y)
    at = {x: 0.5}
    s = float(a.eval(at))
    product = a * a
    assert adj.edge(product, 0).eval(at) == adj.edge(product, 1).eval(at) == s
    assert adj.edge(y, 1).eval(at) == 1
    assert adj[a].eval(at) == pytest.approx(2 * s + 1)
    assert isinstance(adj, mg.Adjoints)
    assert x in adj
    assert p not in adj
    assert adj.get(p) is None
    assert adj[p].eval({}) == 0


def test_split_by_the_paths_through_a_node():
    a, b = mg.sin(x), mg.cos(x)
    y = a * b + x
    through, around = mg.adjoints(y).split(x, through=[a])
    at = {x: 0.4}
    assert through.eval(at) == pytest.approx(math.cos(0.4) ** 2)
    assert around.eval(at) == pytest.approx(1 - math.sin(0.4) ** 2)
    everything, nothing = mg.adjoints(y).split(x, through=[y])
    assert nothing.eval(at) == 0
    assert everything.eval(at) == pytest.approx(math.cos(0.8) + 1)


def test_a_backward_that_is_not_linear_has_no_forward_mode():
    limited = mg.custom_vjp(lambda a: a, lambda ct, y, a: mg.clip(ct, -1, 1))
    assert mg.grad(5 * limited(x), x).eval({x: 3.0}) == 1.0
    with pytest.raises(mg.GraphError, match=r"backward of .* is not linear in its cotangent"):
        mg.jvp(limited(x), x, 1.0)
    doubled = mg.custom_vjp(lambda a: a, lambda ct, y, a: 2 * ct)
    assert mg.jvp(doubled(x), x, 1.0).eval({x: 3.0}) == 2.0


# --- check_grad itself --------------------------------------------------------------------------


def test_check_grad_finds_a_wrong_gradient():
    wrong = mg.custom_vjp(lambda a: a**3, lambda ct, y, a: 2.999 * a**2 * ct)
    with pytest.raises(mg.GradientError, match="order 1: the gradient says"):
        mg.check_grad(wrong(x), x, {x: 1.3})


def test_check_grad_finds_a_wrong_second_derivative():
    flat = mg.custom_vjp(lambda a: a**3, lambda ct, y, a: 3 * mg.stop_gradient(a) ** 2 * ct)
    mg.check_grad(flat(x), x, {x: 1.3})
    with pytest.raises(mg.GradientError, match="order 2"):
        mg.check_grad(flat(x), x, {x: 1.3}, order=2)


def test_check_grad_refuses_differences_that_say_nothing():
    rough = mg.stop_gradient(mg.sign(mg.sin(1e9 * x))) * 1e3 + mg.stop_gradient(x)
    with pytest.raises(mg.GradientError, match="differences do not settle"):
        mg.check_grad(rough + x * 0.0, x, {x: 1.3})


def test_check_grad_trusts_no_rewrite(monkeypatch):
    options = []
    function = mg.check.function
    monkeypatch.setattr(
        mg.check, "function", lambda *a, **o: (options.append(o), function(*a, **o))[1]
    )
    mg.check_grad(mg.sin(x), x, {x: 1.3})
    assert {"simplify": False} in options


def test_check_grad_writes_to_no_param():
    W = mg.param("W", [1.0, 2.0])
    held = W.value
    mg.check_grad(mg.sum(W**3), W, order=2)
    assert W.value is held


def test_check_grad_leaves_params_as_they_were():
    W = mg.param("W", [1.0, 2.0])
    before = W.value
    assert mg.check_grad(mg.sum(W**2), W) < 1e-9
    assert W.value is before or np.array_equal(W.value, [1.0, 2.0])


def test_a_rule_is_asked_once_a_node_whatever_the_number_of_arguments():
    asked = []

    def backward(cotangent, out, *inputs):
        asked.append(out)
        return [k * cotangent for k, _ in enumerate(inputs)]

    total = mg.custom_vjp(lambda *inputs: mg.sum(mg.stack(inputs)), backward)
    xs = [mg.var(f"x{k}") for k in range(20)]
    terms = mg.grad(2.0 * total(*xs), xs)
    assert len(asked) == 1
    assert [float(t.eval()) for t in terms] == [2.0 * k for k in range(20)]


def test_the_reverse_of_a_loop_is_made_once():
    made = []
    W, c = mg.param("W", np.eye(2)), mg.param("c", np.ones(2))
    xs = mg.var("xs", (5, 2))
    last, _ = mg.scan(lambda h, x: (mg.tanh(h @ W + x + c), None), c, xs)
    rule = last.args[0].op.vjp
    object.__setattr__(last.args[0].op, "vjp", lambda *a: made.append(a) or rule(*a))
    try:
        mg.grad(mg.sum(last), [W, c, xs])
    finally:
        object.__setattr__(last.args[0].op, "vjp", rule)
    assert len(made) == 1


def test_a_gradient_has_no_numbers_and_signs_that_compiling_would_take_out():
    x, w = mg.var("x"), mg.var("w")
    y = mg.relu(1.0 - w * mg.tanh(1.0 - mg.relu(x * w) * 1.0)) - x * -1.0
    gradients = mg.grad(y, [x, w])
    assert mg.simplify(gradients, [*mg.RULES["exact"], *mg.RULES["stability"]]) == gradients
    both = [mg.function([x, w], gradients, simplify=s)(0.3, 0.7) for s in (True, False)]
    assert both[0] == both[1]


def test_of_constants_signs_and_zeros_of_a_random_graph_nothing_is_left_to_rewrite(rng):
    x = mg.var("x")
    made = [x, x * 0.5]
    for k in range(300):
        a, b = (made[-int(n)] for n in rng.integers(1, min(len(made), 20) + 1, 2))
        made.append([(a + b) * 0.5, a * b - b, mg.tanh(a - b), mg.relu(a) - b * 0.5][k % 4])
    y = made[-1] - made[-2] + sum(made[-9:])  # 1 - 1 + 1 come back, and halves of halves
    (gradient,) = mg.grad(y, [x])
    assert mg.simplify(gradient, [*mg.RULES["exact"], *mg.RULES["stability"]]) is gradient


def test_a_cotangent_that_is_zero_is_left_out_of_sums():
    x = mg.var("x")
    z = mg.tanh(x)
    assert mg.grad((z * x + z) - z, z) is x
