"""scale_gradient: values as they are, of derivatives a share, in every order and backend."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.graph.node import make
from minigrad.ops.custom import SCALE

BACKENDS = ["numpy", "native"]


def compiled(inputs, outputs, backend, **options):
    if backend == "native":
        pytest.importorskip("llvmlite")
    return mg.function(inputs, outputs, backend=backend, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_stay_and_derivatives_are_scaled(backend, rng):
    x, w, f = mg.var("x", (2, 3)), mg.var("w", (2, 3)), mg.var("f", (3,))
    y = mg.sum(mg.sin(mg.scale_gradient(x * x, f) * w))
    t = rng.standard_normal((2, 3))
    a, b, c = rng.uniform(0.5, 1.5, (2, 3)), rng.uniform(0.5, 1.5, (2, 3)), np.array([0, -2.0, 0.3])
    value, dx, dw, forward = compiled(
        [x, w, f], (y, *mg.grad(y, [x, w]), mg.jvp(y, [x, w], [t, 2 * t])), backend
    )(a, b, c)
    slope = np.cos(a * a * b)
    assert_allclose(value, np.sin(a * a * b).sum(), rtol=1e-14)
    assert_allclose(dx, slope * b * c * 2 * a, rtol=1e-13)
    assert_allclose(dw, slope * a * a, rtol=1e-13)
    assert_allclose(forward, np.sum(dx * t + dw * 2 * t), rtol=1e-13)


def test_orders_are_scaled_one_after_the_other():
    """The gradient is a graph in which x is scaled once more: d/dx f·g(s(x)) = f·f·g'."""
    x = mg.var("x")
    y = mg.sin(mg.scale_gradient(x, 0.5))
    g = mg.grad(y, x)
    assert_allclose(g.eval({x: 0.7}), 0.5 * np.cos(0.7))
    assert_allclose(mg.grad(g, x).eval({x: 0.7}), -0.25 * np.sin(0.7))


def test_a_derivative_by_the_factor():
    """Of the value there is none; a gradient that has passed is a product with the factor."""
    x, f = mg.var("x"), mg.var("f")
    y = mg.scale_gradient(x, f) ** 2
    assert f not in mg.adjoints(y)
    assert mg.grad(mg.grad(y, x), f).eval({x: 3.0, f: 0.5}) == 6.0


def test_the_number_0_is_a_stop_and_1_is_nothing():
    x = mg.var("x", (2,))
    assert mg.scale_gradient(x, 0) is mg.stop_gradient(x)
    assert mg.scale_gradient(x, -0.0) is mg.stop_gradient(x)
    assert mg.scale_gradient(x, 1.0) is x
    assert x not in mg.adjoints(mg.sum(mg.scale_gradient(x, 0.0)))
    # Also where the number comes later.
    f = mg.var("f")
    y = mg.substitute(mg.sum(mg.scale_gradient(x, f)), {f: 0.0})
    assert any(n.op is SCALE for n in mg.toposort(y))
    assert x not in mg.adjoints(y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_cut_is_cut_be_it_infinite(backend):
    x, f = mg.var("x", (3,)), mg.var("f", (3,))
    y = mg.sum(mg.sqrt(mg.scale_gradient(x, f)))  # of slope infinity at 0
    gradient = compiled([x, f], mg.grad(y, x), backend)(np.array([0, 0, 4.0]), np.array([0, 1, 0]))
    assert_array_equal(gradient, [0, np.inf, 0])
    forward = mg.jvp(mg.sum(mg.scale_gradient(x, f)), x, [np.nan, 1.0, 1.0])
    assert compiled([x, f], forward, backend)(np.ones(3), np.array([0, 1, 0.5])) == 1.5


def test_a_factor_is_a_number_an_array_or_an_expression_that_broadcasts():
    x = mg.var("x", (2, 3), "float32")
    mask = mg.var("mask", (2, 1), bool)
    for factor in (0.3, np.float64(0.3), [1, 2, 3], np.ones((2, 1)), mask, mg.var("f")):
        y = mg.scale_gradient(x, factor)
        assert y.type is x.type and y.op is SCALE
        mg.verify(y)
    gradient = mg.grad(mg.sum(mg.scale_gradient(x, mask)), x)
    found = gradient.eval({x: np.ones((2, 3)), mask: [[True], [False]]})
    assert_array_equal(found, np.array([[1] * 3, [0] * 3], np.float32), strict=True)


@pytest.mark.parametrize("without", [(), ["let go of stopped gradients"]], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_operand_that_is_broadcast_is_handed_on_whole(backend, without):
    x, f = mg.var("x", (3,)), mg.var("f", (2, 3))
    y = mg.sum(mg.scale_gradient(mg.broadcast_to(x, (2, 3)), f), axis=1)
    call = compiled([x, f], [y, mg.grad(mg.sum(y * y), x)], backend, without=without)
    assert any(n.op is SCALE for n in mg.toposort(call.outputs)) == bool(without)
    found, gradient = call([1, 2, 3], [[1, 0, 2], [0, 0, 1]])
    assert_array_equal(found, [6, 6])
    assert_array_equal(gradient, [12, 0, 36])


def test_what_is_refused():
    x, k = mg.var("x", (2, 3)), mg.var("k", (), "int64")
    with pytest.raises(mg.ShapeError, match=r"in scale_gradient"):
        mg.scale_gradient(x, np.ones((4, 2, 3)))
    with pytest.raises(mg.ShapeError, match=r"in scale_gradient"):
        mg.scale_gradient(x, np.ones(2))
    with pytest.raises(mg.DTypeError, match="takes floats"):
        mg.scale_gradient(k, 0.5)
    with pytest.raises(mg.DTypeError, match="takes floats"):
        make(SCALE, (k, k))
    with pytest.raises(mg.ShapeError):
        make(SCALE, (x, mg.var("f")))


def test_a_leading_axis_a_file_and_text():
    x, f = mg.var("x", (3,)), mg.var("f", (3,))
    y = mg.sum(mg.scale_gradient(x, f) ** 2)
    assert mg.loads(mg.dumps(y)) is y
    assert str(mg.scale_gradient(x, f)) == "scale_gradient(x, f)"
    assert str(mg.scale_gradient(x, 0.5)) == "scale_gradient(x, 0.5)"
    rows, factors = np.arange(6.0).reshape(2, 3), np.array([[1, 0, 2], [0.5, 1, 1.0]])
    gradients = mg.vmap(lambda a, b: mg.grad(mg.substitute(y, {x: a, f: b}), a))
    assert_allclose(gradients(mg.const(rows), mg.const(factors)).eval(), 2 * rows * factors)


@pytest.mark.parametrize("without", [(), ["let go of stopped gradients"]], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_in_a_loop_it_costs_nothing_and_scales_each_step(backend, without, rng):
    w, xs, fs = mg.var("w"), mg.var("xs", (5,)), mg.var("fs", (5,))

    def step(c, now):
        c = mg.scale_gradient(c, now[1])
        return mg.tanh(w * c + now[0]), None

    last, _ = mg.scan(step, mg.const(0.3), (xs, fs))
    a, b = rng.standard_normal(5), np.array([1.0, 0.5, 0.0, 2.0, -1.0])
    call = compiled([w, xs, fs], (last, mg.grad(last, w)), backend, without=without)
    assert not call.notes
    value, gradient = call(0.8, a, b)
    c, dc = 0.3, 0.0
    for x, f in zip(a, b, strict=True):  # forward, by hand: the tangent of c by w
        new = np.tanh(0.8 * c + x)
        dc, c = (1 - new**2) * (c + 0.8 * f * dc), new
    assert_allclose([value, gradient], [c, dc], rtol=1e-13)
    # The forward pass alone reads no factor.
    forward = mg.function([w, xs, fs], last, without=without)
    (run,) = [n for n in mg.toposort(forward.outputs) if n.op.name == "scan"]
    assert len(run.args) == 3 + bool(without)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_compiled_is_as_stable_as_without(backend):
    """log(sigmoid(x)) is -softplus(-x), whatever of its gradient is let through in between."""
    x, f = mg.var("x"), mg.var("f")
    for between in (mg.stop_gradient, lambda y: mg.scale_gradient(y, f)):
        y = compiled([x, f], mg.log(between(mg.sigmoid(x))), backend)
        assert y(-800.0, 0.5) == -800.0
    y = compiled([x, f], mg.sin(mg.scale_gradient(x, mg.log(f))), backend)
    assert not any(n.op.name in ("log", "scale_gradient") for n in mg.toposort(y.outputs))
