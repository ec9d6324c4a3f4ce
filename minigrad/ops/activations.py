"""What neural nets put after a sum, and their slopes: sigmoid, softplus, relu, erf."""

from __future__ import annotations

import math

import numpy as np

from minigrad.ops.choice import where
from minigrad.ops.core import full_like
from minigrad.ops.exponentials import exp
from minigrad.ops.pointwise import UnaryFunction, binary, unary
from minigrad.ops.trigonometry import tanh, twice_cosh
from minigrad.types import Array


def _sigmoid_numpy(x: Array, out: Array | None = None) -> Array:
    y = np.reciprocal(1 + np.exp(-x))
    if not y.all():  # where exp(-x) overflows the 1 counts for nothing, and exp(x) is not 0 yet
        y = np.where(y == 0, np.exp(x), y)
    return np.positive(y, out=out)  # type: ignore[no-any-return]


def _sigmoid_slope_numpy(x: Array, out: Array | None = None) -> Array:
    root = np.reciprocal(twice_cosh(np.multiply(x, 0.5, out=out), out), out=out)
    return np.square(root, out=out)


def _softplus_numpy(x: Array, out: Array | None = None) -> Array:
    return np.logaddexp(x, x.dtype.type(0), out=out)  # type: ignore[no-any-return]


_erf_scalar = np.frompyfunc(math.erf, 1, 1)


def _erf_numpy(x: Array, out: Array | None = None) -> Array:
    result: Array = np.asarray(_erf_scalar(x), dtype=x.dtype)
    if out is None:
        return result
    np.copyto(out, result)
    return out


def _relu_numpy(x: Array, out: Array | None = None) -> Array:
    return np.maximum(x, x.dtype.type(0), out=out)  # type: ignore[no-any-return]


sigmoid: UnaryFunction = unary(
    "sigmoid",
    "1 / (1 + exp(-x)), without overflow.",
    _sigmoid_numpy,
    lambda y, x: sigmoid_slope(x),
    symbol="σ",
    latex=r"\sigma\left({0}\right)",
)
sigmoid_slope: UnaryFunction = unary(
    "sigmoid_slope",
    "The derivative of sigmoid, σ(x) σ(-x), with all its digits where sigmoid is saturated.",
    _sigmoid_slope_numpy,
    lambda y, x: -tanh(0.5 * x) * y,  # σ(-x) - σ(x), which cancels near 0
    symbol="σ′",
    latex=r"\sigma'\left({0}\right)",
    paper=lambda x: sigmoid(x) * (1.0 - sigmoid(x)),
)
logaddexp = binary(
    "logaddexp",
    "log(exp(a) + exp(b)) without overflow.",
    np.logaddexp,
    (lambda y, a, b: sigmoid(a - b), lambda y, a, b: sigmoid(b - a)),
    takes="f",
    commutative=True,
)
softplus = unary(
    "softplus", "log(1 + exp(x)), without overflow.", _softplus_numpy, lambda y, x: sigmoid(x)
)
relu = unary(
    "relu",
    "max(x, 0). Derivative 0 at 0.",
    _relu_numpy,
    lambda y, x: where(x > 0.0, full_like(x, 1), full_like(x, 0)),
    takes="n",
)
erf = unary(
    "erf",
    "Error function, 2/√π ∫₀ˣ exp(-t²) dt.",
    _erf_numpy,
    lambda y, x: (2 / math.sqrt(math.pi)) * exp(-(x * x)),
    latex=r"\operatorname{{erf}}\left({0}\right)",
)
