"""Statistics by NumPy's names: averages, quantiles, spreads, and those that skip NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops import reduce, sorting
from minigrad.ops.arithmetic import sqrt
from minigrad.ops.choice import clip, where
from minigrad.ops.comparisons import isnan
from minigrad.ops.core import (
    as_float,
    astype,
    broadcast_to,
    explaining,
    keep_axes,
    reshape,
    sum,
)
from minigrad.ops.index_syntax import take
from minigrad.ops.linalg import matmul, outer
from minigrad.ops.numpy_reductions import in_dtype, mean_where, running, variance_where
from minigrad.ops.reduce import root
from minigrad.ops.shape import concat, moveaxis, permute_dims
from minigrad.ops.stacking import atleast_2d, diag
from minigrad.types import Array, Axis, as_array, as_number, normalize_axes

# --- averages and quantiles --------------------------------------------------------------------


@numpy_form()
def average(
    a: Any,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Weighted mean over axes; `returned` gives the sum of weights too.

    >>> average(as_expr([1.0, 4.0]), weights=[2, 1]).eval()
    np.float64(2.0)
    """
    x = as_float(a)
    if weights is None:
        w = as_expr(np.ones((), x.dtype))
    else:
        w = as_expr(weights)
        with explaining("average", x, w):
            w = _weights_along(x, w, axis)
    w = broadcast_to(astype(w, np.result_type(x.dtype, w.dtype)), x.shape)
    scale = sum(w, axis, keepdims=keepdims)
    y = sum(x * w, axis, keepdims=keepdims) / scale
    return (y, scale) if returned else y


def _weights_along(x: Expr, w: Expr, axis: Axis) -> Expr:
    if w.shape == x.shape:
        return w
    axes = normalize_axes(axis, x.ndim)
    if axis is None or w.shape != tuple(x.shape[k] for k in axes):
        raise ShapeError("weights have the operand's shape, or the lengths of the given axes")
    return reshape(w, [n if k in axes else 1 for k, n in enumerate(x.shape)])


def _sorted_last(x: Expr, axis: Axis) -> tuple[Expr, tuple[int, ...]]:
    """x sorted along its axes merged into one, at the end; and the shape with them kept."""
    axes = normalize_axes(axis, x.ndim)
    rest = [k for k in range(x.ndim) if k not in axes]
    moved = permute_dims(x, [*rest, *axes])
    merged = reshape(moved, (*[x.shape[k] for k in rest], math.prod(x.shape[k] for k in axes)))
    return sorting.sort(merged, -1), keep_axes(x.shape, axes)


@numpy_form()
def quantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Expr:
    """Quantiles, interpolated linearly between the sorted elements; NaN where there is one.

    q is a number or an array of numbers in [0, 1], whose axes come first in the result.

    >>> quantile(as_expr([1.0, 2.0, 4.0]), 0.75).eval()
    np.float64(3.0)
    """
    x = as_float(a)
    with explaining("quantile", x):
        if method != "linear":
            raise DTypeError(f"method {method!r} is not there; 'linear' is")
        at = _probabilities(q)
        if not ((at >= 0) & (at <= 1)).all():
            raise ShapeError("quantiles lie in [0, 1]")
        ordered, axes_left = _sorted_last(x, axis)
        n = ordered.shape[-1]
        if not n:
            raise ShapeError("no quantile of no elements")
    place = at * (n - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, n - 1)
    share = (place - low).astype(x.dtype)
    below, above = take(ordered, low, -1), take(ordered, high, -1)
    # Halves of both, and the lower alone where it is exact: infinities stay themselves.
    between = (below + above) * 0.5 if (share == 0.5).all() else below + (above - below) * share
    y = where(share == 0, below, between)
    last = ordered[..., -1:]  # NaN sorts to the end
    y = where(isnan(reshape(last, (*last.shape[:-1], *(1,) * at.ndim))), np.nan, y)
    leading = range(y.ndim - at.ndim, y.ndim)
    y = moveaxis(y, list(leading), list(range(at.ndim))) if at.ndim else y
    return reshape(y, (*at.shape, *axes_left)) if keepdims else y


def _probabilities(q: Any) -> Array:
    """Numbers that a quantile is asked for. Raises DTypeError for what is none, or not known."""
    array = as_array(q, "quantiles")
    if array.dtype.kind not in "fiu":
        raise DTypeError(f"quantiles are asked for by numbers, not {q!r:.60}")
    return array.astype(np.float64)


@numpy_form()
def percentile(
    a: Any,
    q: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Expr:
    """Quantiles at percentages; see `quantile`."""
    return quantile(a, _probabilities(q) / 100, axis, None, False, method, keepdims)


@numpy_form()
def median(
    a: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Expr:
    """The middle element in order, or the mean of the middle two; NaN where there is one.

    That of no elements is NaN, as their mean is; NumPy warns of it too.

    >>> median(as_expr([3.0, 1.0, 2.0, 10.0])).eval()
    np.float64(2.5)
    """
    x = as_float(a)
    with explaining("median", x):
        is_empty = 0 in [x.shape[k] for k in normalize_axes(axis, x.ndim)]
    if is_empty:
        return reduce.mean(x, axis, keepdims=keepdims)
    return quantile(x, 0.5, axis, keepdims=keepdims)


@numpy_form()
def ptp(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False) -> Expr:
    """Largest less smallest element over axes."""
    return reduce.max(a, axis, keepdims=keepdims) - reduce.min(a, axis, keepdims=keepdims)


# --- skipping NaN ------------------------------------------------------------------------------


def _numbers(a: Any) -> tuple[Expr, Expr]:
    """x as floats, and where it is a number."""
    x = as_float(a)
    return x, ~isnan(x)


def _without_nan(neutral: float) -> Callable[[Any], Expr]:
    def replaced(a: Any) -> Expr:
        x = as_expr(a)
        return where(isnan(x), neutral, x) if x.type.is_float else x

    return replaced


def _skipping(reduction: Callable[..., Expr], neutral: float, name: str, doc: str) -> Any:
    replaced = _without_nan(neutral)

    def function(
        a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False
    ) -> Expr:
        y = reduction(in_dtype(replaced(a), dtype), axis, keepdims=keepdims)
        return in_dtype(y, dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return numpy_form()(function)


nansum = _skipping(sum, 0, "nansum", "Sum over axes of what is not NaN.")
nanprod = _skipping(reduce.prod, 1, "nanprod", "Product over axes of what is not NaN.")


numpy_form("nancumsum")(running(reduce.cumulative_sum, _without_nan(0)))
numpy_form("nancumprod")(running(reduce.cumulative_prod, _without_nan(1)))


def _nan_extreme(reduction: Callable[..., Expr], neutral: float, name: str, doc: str) -> Any:
    def function(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False) -> Expr:
        if not as_expr(a).type.is_float:
            return reduction(a, axis, keepdims=keepdims)
        x, number = _numbers(a)
        y = reduction(where(number, x, neutral), axis, keepdims=keepdims)
        return where(reduce.any(number, axis, keepdims=keepdims), y, np.nan)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return numpy_form()(function)


nanmax = _nan_extreme(reduce.max, -np.inf, "nanmax", "Largest element that is not NaN.")
nanmin = _nan_extreme(reduce.min, np.inf, "nanmin", "Smallest element that is not NaN.")


@numpy_form()
def nanmean(
    a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False
) -> Expr:
    """Mean over axes of what is not NaN.

    >>> nanmean(as_expr([1.0, float("nan"), 3.0])).eval()
    np.float64(2.0)
    """
    x, number = _numbers(in_dtype(a, dtype))
    return mean_where(x, axis, keepdims=keepdims, where=number)


@numpy_form()
def nanvar(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Expr:
    """Variance over axes of what is not NaN."""
    x, number = _numbers(in_dtype(a, dtype))
    return variance_where(x, axis, ddof=ddof, keepdims=keepdims, where=number)


@numpy_form()
def nanstd(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Expr:
    """Standard deviation over axes of what is not NaN."""
    return root(nanvar(a, axis, dtype, None, ddof, keepdims))


# --- covariance --------------------------------------------------------------------------------


@numpy_form()
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
) -> Expr:
    """Covariances of variables, one a row (a column, unless rowvar), of observations.

    >>> cov(as_expr([[1.0, 3.0], [2.0, 6.0]])).eval()
    array([[2., 4.],
           [4., 8.]])
    """
    x = atleast_2d(as_float(m))
    if not rowvar and as_expr(m).ndim > 1:
        x = permute_dims(x)
    if y is not None:
        other = atleast_2d(as_float(y))
        x = concat([x, permute_dims(other) if not rowvar and other.shape[0] != 1 else other])
    free = (0 if bias else 1) if ddof is None else as_number(ddof, "the ddof of cov")
    centred = x - reduce.mean(x, 1, keepdims=True)
    products = matmul(centred, permute_dims(centred)) / (x.shape[1] - free)
    return reshape(products, ()) if products.size == 1 else products


@numpy_form()
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Expr:
    """Correlation coefficients of variables: covariances over the deviations of both."""
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    deviation = sqrt(diag(c))
    return clip(c / outer(deviation, deviation), -1.0, 1.0)
