"""Softmax, its logarithm and logsumexp: exponentials beside their sum, without overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import DTypeError
from minigrad.graph.node import Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.arithmetic import subtract
from minigrad.ops.core import AXES, as_float, drop_axes, expand_back, explaining, reduce_with, sum
from minigrad.types import Array, Axis, TensorType, normalize_axes


def _float_reduction(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if not x.is_float:
        raise DTypeError(f"floats are needed, not {x.dtype}")
    return x.with_shape(drop_axes(x.shape, axes))


def _top(x: Array, axes: tuple[int, ...]) -> Array:
    # The largest element; 0 where that is infinite, so that nothing becomes inf - inf.
    top: Array = np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(top), top, top.dtype.type(0))


def _logsumexp_numpy(x: Array, axes: tuple[int, ...]) -> Array:
    top = _top(x, axes)
    total = np.add.reduce(np.exp(x - top), axis=axes)
    return np.log(total) + top.reshape(total.shape)  # type: ignore[no-any-return]


def _softmax_numpy(x: Array, axes: tuple[int, ...]) -> Array:
    e = np.exp(x - _top(x, axes))
    return e / np.add.reduce(e, axis=axes, keepdims=True)  # type: ignore[no-any-return]


def _softmax_vjp(cotangent: Expr, out: Expr) -> Terms:
    (axes,) = out.attrs
    weighted = cotangent * out
    return (weighted - out * expand_back(sum(weighted, axes), out.shape, axes),)


def _softmax_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    _float_reduction(x, axes)
    return x


SOFTMAX = register(
    Op(
        "softmax",
        _softmax_type,
        _softmax_numpy,
        vjp=_softmax_vjp,
        attrs=(AXES,),
        stacks=True,
    )
)


def _logsumexp_vjp(cotangent: Expr, out: Expr) -> Terms:
    (x,), (axes,) = out.args, out.attrs
    return (expand_back(cotangent, x.shape, axes) * make(SOFTMAX, (x,), (axes,)),)


LOGSUMEXP = register(
    Op(
        "logsumexp",
        _float_reduction,
        _logsumexp_numpy,
        vjp=_logsumexp_vjp,
        attrs=(AXES,),
        stacks=True,
    )
)


@public
def logsumexp(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """log Σ exp(x) over axes, without overflow; -inf of no elements.

    >>> logsumexp([1000.0, 1000.0]).eval()
    np.float64(1000.6931471805599)
    """
    return reduce_with(LOGSUMEXP, as_float(x), axis, keepdims)


@public
def softmax(x: Any, /, axis: Axis = -1) -> Expr:
    """exp(x) / Σ exp(x) along an axis, without overflow.

    >>> softmax([0.0, 0.0]).eval()
    array([0.5, 0.5])
    """
    x = as_float(x)
    with explaining("softmax", x):
        axes = normalize_axes(axis, x.ndim)
    return make(SOFTMAX, (x,), (axes,))


@public
def log_softmax(x: Any, /, axis: Axis = -1) -> Expr:
    """log(softmax(x)), without underflow.

    >>> log_softmax([0.0, -2000.0]).eval()
    array([    0., -2000.])
    """
    x = as_float(x)
    with explaining("log_softmax", x):
        return subtract(x, logsumexp(x, axis, keepdims=True))
