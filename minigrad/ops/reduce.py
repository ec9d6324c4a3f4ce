"""Reductions, and sums and products of the first elements along an axis.

A tie of max or min shares the derivative equally. Products are trees of multiplications, so their
derivatives are right where factors are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.arithmetic import sqrt
from minigrad.ops.choice import where
from minigrad.ops.core import (
    AXES,
    AXIS,
    as_float,
    astype,
    drop_axes,
    expand_back,
    explaining,
    keep_axes,
    reduce_with,
    reshape,
    sum,
    summed_dtype,
)
from minigrad.ops.creation import full, ones
from minigrad.ops.index_syntax import flip
from minigrad.ops.shape import concat, moveaxis
from minigrad.types import BOOL, Axis, Shape, TensorType, as_number, normalize_axes, normalize_axis

# --- extremes ----------------------------------------------------------------------------------


def _extreme_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    out_shape = drop_axes(x.shape, axes)
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"no extreme of no elements: shape {x.shape}, axes {axes}")
    return x.with_shape(out_shape)


def _extreme_vjp(cotangent: Expr, out: Expr) -> Terms:
    (x,), (axes,) = out.args, out.attrs
    best = x == expand_back(out, x.shape, axes)
    ties = sum(best.astype(x.dtype), axes)
    return (where(best, expand_back(cotangent / ties, x.shape, axes), 0),)


MAX = register(
    Op(
        "max",
        _extreme_type,
        lambda x, axes, out=None: np.maximum.reduce(x, axis=axes, out=out),
        vjp=_extreme_vjp,
        attrs=(AXES,),
        out=True,
        stacks=True,
    )
)
MIN = register(
    Op(
        "min",
        _extreme_type,
        lambda x, axes, out=None: np.minimum.reduce(x, axis=axes, out=out),
        vjp=_extreme_vjp,
        attrs=(AXES,),
        out=True,
        stacks=True,
    )
)


@public
def max(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Largest element over axes; NaN if there is one. Tied elements share the derivative.

    >>> max(as_expr([[1, 5], [3, 2]]), axis=1).eval()
    array([5, 3])
    """
    return reduce_with(MAX, x, axis, keepdims)


@public
def min(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Smallest element over axes; NaN if there is one. Tied elements share the derivative."""
    return reduce_with(MIN, x, axis, keepdims)


# --- logical -----------------------------------------------------------------------------------


def _test_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    return TensorType(drop_axes(x.shape, axes), BOOL)


ALL = register(
    Op(
        "all",
        _test_type,
        lambda x, axes: np.all(x, axis=axes),
        no_gradient=True,
        attrs=(AXES,),
        stacks=True,
    )
)
ANY = register(
    Op(
        "any",
        _test_type,
        lambda x, axes: np.any(x, axis=axes),
        no_gradient=True,
        attrs=(AXES,),
        stacks=True,
    )
)


@public
def all(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Whether all elements are true (not 0)."""
    return reduce_with(ALL, x, axis, keepdims)


@public
def any(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Whether any element is true (not 0)."""
    return reduce_with(ANY, x, axis, keepdims)


@public
def count_nonzero(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """How many elements are not 0."""
    return sum(as_expr(x) != 0, axis, keepdims=keepdims)


# --- means and spread --------------------------------------------------------------------------


def _count(x: Expr, axis: Axis) -> int:
    return int(np.prod([x.shape[a] for a in normalize_axes(axis, x.ndim)], dtype=np.int64))


@public
def mean(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Arithmetic mean over axes; NaN of no elements.

    >>> mean(as_expr([1.0, 2.0, 6.0])).eval()
    np.float64(3.0)
    """
    x = as_float(x)
    total = sum(x, axis, keepdims=keepdims)
    return total / _count(x, axis)


@public
def variance(
    x: Any, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False
) -> Expr:
    """Variance over axes: Σ(x - mean)² / (n - correction). NumPy's `var`.

    NaN where the correction is n or more, as the array API says.

    >>> variance(as_expr([1.0, 3.0])).eval()
    np.float64(1.0)
    """
    x = as_float(x)
    centred = x - mean(x, axis, keepdims=True)
    with explaining("variance", x):
        freedom = _count(x, axis) - as_number(correction, "the correction")
    return sum(centred * centred, axis, keepdims=keepdims) / (freedom if freedom > 0 else np.nan)


def root(x: Expr, degree: float = 2) -> Expr:
    """x^(1/degree) whose derivatives at 0 are 0: of a norm or a deviation, which is least there.

    The root is of 1 there, so that the next derivatives are 0 as well, not 0·∞.
    """
    zero = x == 0
    inside = where(zero, 1.0, x)
    return where(zero, 0.0, sqrt(inside) if degree == 2 else inside ** (1 / degree))


@public
def std(x: Any, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Expr:
    """Standard deviation over axes: the square root of `variance`. Its derivative at 0 is 0."""
    return root(variance(x, axis, correction=correction, keepdims=keepdims))


# --- products ----------------------------------------------------------------------------------


def _widened(x: Any, dtype: npt.DTypeLike | None) -> Expr:
    """x, converted to a dtype if there is one, in the dtype in which it is added up."""
    x = _in_dtype(as_expr(x), dtype)
    return astype(x, summed_dtype(x.dtype))


def _in_dtype(x: Expr, dtype: npt.DTypeLike | None) -> Expr:
    return x if dtype is None else astype(x, dtype)


def _last(x: Expr, axis: Axis) -> Expr:
    """The given axes merged into one, at the end."""
    axes = normalize_axes(axis, x.ndim)
    moved = moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
    return reshape(moved, (*drop_axes(x.shape, axes), _count(x, axis)))


@public
def prod(
    x: Any,
    /,
    axis: Axis = None,
    *,
    dtype: npt.DTypeLike | None = None,
    keepdims: bool = False,
) -> Expr:
    """Product over axes; 1 of no elements. Its derivative is right where factors are 0.

    Its dtype is that of `sum`.

    >>> prod(as_expr([2.0, 3.0, 4.0])).eval()
    np.float64(24.0)
    """
    x = _widened(x, dtype)
    with explaining("prod", x):
        y = _last(x, axis)
    n = y.shape[-1]
    if n == 0:
        y, n = ones((*y.shape[:-1], 1), y.dtype), 1
    while n > 1:
        half = n // 2
        paired = y[..., :half] * y[..., half : 2 * half]
        y = paired if n % 2 == 0 else concat([paired, y[..., -1:]], -1)
        n = y.shape[-1]
    shape_left = keep_axes(x.shape, normalize_axes(axis, x.ndim))
    return _in_dtype(reshape(y, shape_left if keepdims else y.shape[:-1]), dtype)


@public
def cumulative_prod(
    x: Any,
    /,
    axis: int | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    include_initial: bool = False,
) -> Expr:
    """Products of the first 1, 2, ... elements along an axis; dtype and the rest as cumulative_sum.

    >>> cumulative_prod(as_expr([1, 2, 3, 4])).eval()
    array([ 1,  2,  6, 24])
    """
    y, k = one_axis(_widened(x, dtype), axis, "cumulative_prod")
    y = moveaxis(y, k, -1)
    shift = 1
    while shift < y.shape[-1]:
        y = concat([y[..., :shift], y[..., shift:] * y[..., :-shift]], -1)
        shift *= 2
    y = _in_dtype(moveaxis(y, -1, k), dtype)
    return _behind(1, y, k) if include_initial else y


def _behind(first: int, y: Expr, axis: int) -> Expr:
    """A slice of one number, then y."""
    return concat([full((*y.shape[:axis], 1, *y.shape[axis + 1 :]), first, y.dtype), y], axis)


def one_axis(x: Any, axis: int | None, name: str) -> tuple[Expr, int]:
    """x and the number of an axis of it; of all its elements in a row where none is given."""
    x = as_expr(x)
    if axis is None:
        x = reshape(x, -1)
    with explaining(name, x):
        return x, normalize_axis(axis or 0, x.ndim)


# --- cumulative sum ----------------------------------------------------------------------------


def along(x: TensorType, axis: int) -> Shape:
    """The shape without an axis; raises ShapeError for one that is not an axis of x."""
    return drop_axes(x.shape, (axis,))


def _cumsum_type(x: TensorType, axis: int) -> TensorType:
    along(x, axis)
    if x.dtype != summed_dtype(x.dtype):
        raise DTypeError(f"cumulative sums are kept in {summed_dtype(x.dtype)}, not {x.dtype}")
    return x


def _cumsum_transpose(cotangent: Expr, out: Expr) -> Terms:
    (axis,) = out.attrs
    return (flip(make(out.op, (flip(cotangent, axis),), (axis,)), axis),)


CUMSUM = register(
    Op(
        "cumulative_sum",
        _cumsum_type,
        lambda x, axis, out=None: np.add.accumulate(x, axis=axis, out=out),
        transpose=_cumsum_transpose,
        jointly=True,
        attrs=(AXIS,),
        out=True,
        stacks=True,
    )
)


@public
def cumulative_sum(
    x: Any,
    /,
    axis: int | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    include_initial: bool = False,
) -> Expr:
    """Sums of the first 1, 2, ... elements along an axis (all elements when none is given).

    dtype as for `sum`. With include_initial the sum of no elements, 0, comes first.

    >>> cumulative_sum(as_expr([1, 2, 3])).eval()
    array([1, 3, 6])
    """
    x, k = one_axis(_widened(x, dtype), axis, "cumulative_sum")
    y = _in_dtype(make(CUMSUM, (x,), (k,)), dtype)
    return _behind(0, y, k) if include_initial else y
