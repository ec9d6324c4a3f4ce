"""Losses against their definitions, and at logits where a literal formula overflows."""

import numpy as np
import pytest

import minigrad as mg
from lstm.errors import ConfigError
from lstm.losses import binary_cross_entropy, cross_entropy, mse


def test_mse():
    a, b = np.array([[1.0], [4.0]]), np.array([[0.0], [2.0]])
    assert mse(mg.const(a), mg.const(b)).eval() == 2.5


def test_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((5, 3, 4)), rng.integers(0, 4, (5, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(softmax, labels[..., None], -1)).mean()
    x = mg.param("x", logits)
    loss = cross_entropy(x, mg.const(labels))
    np.testing.assert_allclose(loss.eval(), expected, rtol=1e-12)
    onehot = np.eye(4)[labels]
    np.testing.assert_allclose(mg.grad(loss, x).eval(), (softmax - onehot) / 15, atol=1e-15)


def test_binary_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((5, 2)), rng.random((5, 2))
    p = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    x = mg.param("x", logits)
    loss = binary_cross_entropy(x, mg.const(targets))
    np.testing.assert_allclose(loss.eval(), expected, rtol=1e-12)
    np.testing.assert_allclose(mg.grad(loss, x).eval(), (p - targets) / 10, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_stay_finite(dtype):
    x = mg.param("x", np.array([[1000.0, -1000.0], [1000.0, -1000.0]]), dtype)
    right = cross_entropy(x, mg.const([0, 0]))
    wrong = cross_entropy(x, mg.const([1, 1]))
    assert (right.eval(), wrong.eval()) == (0.0, 2000.0)
    np.testing.assert_array_equal(mg.grad(wrong, x).eval(), [[0.5, -0.5], [0.5, -0.5]])
    binary = binary_cross_entropy(x, mg.const(np.array([[1.0, 0.0], [0.0, 1.0]]), dtype))
    assert binary.eval() == 500.0
    np.testing.assert_array_equal(mg.grad(binary, x).eval(), [[0.0, 0.0], [0.25, -0.25]])


def test_what_does_not_fit():
    x = mg.var("x", (3, 1))
    with pytest.raises(ConfigError, match=r"\(3, 1\) and target \(3,\) must have one shape"):
        mse(x, mg.var("y", (3,)))
    with pytest.raises(ConfigError, match="must have one shape"):
        binary_cross_entropy(x, mg.var("y", (1,)))
    with pytest.raises(ConfigError, match=r"labels must be integers of shape \(3,\)"):
        cross_entropy(x, mg.var("y", (3, 1), "int64"))
    with pytest.raises(ConfigError, match="labels must be integers"):
        cross_entropy(x, mg.var("y", (3,)))
