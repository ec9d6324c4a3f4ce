"""Graphs and models as pure functions of JAX: under jit, grad and vmap."""

from __future__ import annotations

import numpy as np
import pytest
from jax_peer import assert_close, jax

import lstm
import minigrad as mg

jnp = jax.numpy


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


def net(dtype="float32"):
    """A loop's loss, with what counts for derivatives in it."""
    xs = mg.var("xs", (4, 3), dtype)
    W, b = mg.param("W", np.linspace(-1, 1, 9).reshape(3, 3), dtype), mg.param("b", 0.5, dtype)
    last, ys = mg.scan(lambda c, x: (mg.tanh(c @ W + x), mg.sum(c) * b), mg.zeros(3, dtype), xs)
    return mg.sum(last * last) + mg.sum(ys), xs, W, b


XS = np.random.default_rng(0).normal(size=(4, 3))


def test_value_and_gradient_under_jit(wide):
    loss, xs, W, b = net("float64")
    f = mg.to_jax({"loss": loss, "twice": [2 * loss]})
    values = jax.jit(f)(f.params, {"xs": XS})
    wanted = loss.eval({xs: XS})
    assert_close(np.asarray(values["loss"]), np.asarray(wanted))
    assert_close(np.asarray(values["twice"][0]), np.asarray(2 * wanted))
    gradients = jax.jit(jax.grad(mg.to_jax(loss)))(f.params, {"xs": XS})
    for name, p in {"W": W, "b": b}.items():
        assert_close(np.asarray(gradients[name]), mg.grad(loss, p).eval({xs: XS}))


def test_float32_needs_no_64_bit_numbers():
    loss, xs, *_ = net()
    f = mg.to_jax(loss)
    made = jax.jit(f)(f.params, {"xs": XS.astype("float32")})
    assert made.dtype == "float32"
    np.testing.assert_allclose(made, loss.eval({xs: XS.astype("float32")}), rtol=1e-5)


def test_64_bit_numbers_are_asked_for():
    f = mg.to_jax(net("float64")[0])
    with pytest.raises(mg.GraphError, match=r"jax\.enable_x64\(True\)"):
        f(f.params, {"xs": XS})


def test_under_vmap():
    loss, xs, *_ = net()
    f = mg.to_jax(loss)
    many = np.stack([XS, 2 * XS, -XS]).astype("float32")
    found = jax.vmap(lambda x: f(f.params, {"xs": x}))(many)
    np.testing.assert_allclose(found, [loss.eval({xs: x}) for x in many], rtol=1e-5)


def test_what_steers_derivatives_counts():
    x = mg.var("x", (), "float32")
    own = mg.custom_vjp(lambda x: x * x, lambda ct, y, x: 10.0 * x * ct)
    for y, slope in (
        (mg.stop_gradient(x) * x, 3.0),
        (mg.scale_gradient(x * x, 0.5), 3.0),
        (own(x) + x, 31.0),
        (mg.custom_vjp(lambda x, k: x * k, lambda ct, y, x, k: (ct * 2.0, None))(x, x), 2.0),
        (mg.relu(x - 3.0), 0.0),
    ):
        f = mg.to_jax(y)
        assert jax.grad(lambda x, f=f: f({}, {"x": x}))(np.float32(3.0)) == slope
        assert f({}, {"x": np.float32(3.0)}) == y.eval({x: np.float32(3.0)})


def test_params_that_do_not_go_in_are_constants():
    _, xs, W, b = net()
    f = mg.to_jax(mg.sum(xs @ W) * b, params=[b])
    assert list(f.params) == ["b"]
    made = f({"b": np.float32(2.0)}, {"xs": jnp.ones((4, 3))})
    np.testing.assert_allclose(made, 2 * (np.ones((4, 3)) @ W.value).sum(), atol=1e-5)


def test_what_does_not_fit_is_told():
    f = mg.to_jax(net()[0])
    good = {"xs": jnp.ones((4, 3))}
    with pytest.raises(mg.GraphError, match="params are a dict by name, of 'W', 'b'"):
        f({}, good)
    with pytest.raises(mg.GraphError, match="inputs are a dict by name, of 'xs'"):
        f(f.params, jnp.ones((4, 3)))
    with pytest.raises(mg.ShapeError):
        f(f.params, {"xs": jnp.ones((4, 2))})
    with pytest.raises(mg.DTypeError):
        f(f.params, {"xs": jnp.ones((4, 3), "int32")})
    with pytest.raises(mg.GraphError, match="known by their names"):
        mg.to_jax(mg.param("p", 1.0) + mg.param("p", 2.0))


@pytest.mark.parametrize("cell", [lstm.LSTM, lstm.GRU])
def test_a_model(cell):
    model = lstm.Model.create(cell(2, 5), output_size=3, seed=0)
    xs = np.random.default_rng(0).normal(size=(6, 4, 2)).astype("float32")
    net = model.to_jax()
    out = jax.jit(net)(net.params, xs)
    np.testing.assert_allclose(out, model.output(xs).eval(), rtol=1e-5, atol=1e-6)
    loss = mg.sum(model.output(xs) ** 2)
    gradients = jax.grad(lambda p: jnp.sum(net(p, xs) ** 2))(net.params)
    for name, p in model.flat_params.items():
        wanted = mg.grad(loss, p).eval()
        np.testing.assert_allclose(gradients[name], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(lstm.ConfigError, match="by name"):
        net({}, xs)


def test_a_model_of_padded_sequences():
    model = lstm.Model.create(lstm.LSTM(2, 5), output_size=3, seed=0)
    xs, lengths = np.ones((6, 3, 2), "float32"), np.array([6, 2, 4], "int32")
    net = model.to_jax()
    with jax.enable_x64(True):
        out = net(net.params, xs, lengths)
    wanted = model.output(xs, lengths=lengths).eval()
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-6)
