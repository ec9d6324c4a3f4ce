"""Differences, integrals, interpolation and convolution of samples, by NumPy's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr, const
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops.arithmetic import abs, floor
from minigrad.ops.choice import where
from minigrad.ops.core import (
    as_float,
    astype,
    broadcast_to,
    explaining,
    is_python_number,
    meet,
    reshape,
    sum,
)
from minigrad.ops.creation import linspace, zeros
from minigrad.ops.index_syntax import flip, take
from minigrad.ops.linalg import matmul
from minigrad.ops.reduce import cumulative_sum
from minigrad.ops.shape import concat, moveaxis, stack
from minigrad.ops.sorting import searchsorted
from minigrad.ops.stacking import pad
from minigrad.types import Axis, as_number, normalize_axis

# --- differences -------------------------------------------------------------------------------


@numpy_form()
def gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """Central differences of samples along each axis: an expression, or a tuple of several.

    varargs are spacings, or coordinates, one for all axes or one each, as in numpy.gradient.

    >>> gradient(as_expr([1.0, 4.0, 9.0])).eval()
    array([3., 4., 5.])
    """
    x = as_float(f)
    with explaining("gradient", x):
        axes = [normalize_axis(k, x.ndim) for k in _listed(axis, x.ndim)]
        if len(varargs) not in (0, 1, len(axes)):
            raise ShapeError(f"give no spacing, one, or one for each of {len(axes)} axes")
        if edge_order not in (1, 2):
            raise DTypeError(f"edge_order is 1 or 2, not {edge_order!r}")
        spacings = varargs if len(varargs) == len(axes) else (varargs or (1.0,)) * len(axes)
        slopes = []
        for k, spacing in zip(axes, spacings, strict=True):
            if x.shape[k] <= edge_order:
                raise ShapeError(f"axis {k} needs at least {edge_order + 1} elements")
            moved = _slopes(moveaxis(x, k, -1), as_expr(spacing), edge_order)
            slopes.append(moveaxis(moved, -1, k))
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _listed(axis: Axis, ndim: int) -> Sequence[int]:
    if axis is None:
        return range(ndim)
    return [axis] if isinstance(axis, int) else axis


def _slopes(y: Expr, spacing: Expr, edge_order: int) -> Expr:
    """dy/dx along the last axis: weighted slopes of the two neighbouring intervals."""
    if spacing.ndim > 1 or (spacing.ndim == 1 and spacing.shape != y.shape[-1:]):
        raise ShapeError("coordinates are a vector as long as their axis")
    h = astype(spacing[1:] - spacing[:-1] if spacing.ndim else spacing, y.dtype)
    steep = (y[..., 1:] - y[..., :-1]) / h
    left, right = steep[..., :-1], steep[..., 1:]
    first, last = (h[:-1], h[1:]) if h.ndim else (h, h)
    inner = (last * left + first * right) / (first + last)
    if edge_order == 1:
        return concat([steep[..., :1], inner, steep[..., -1:]], -1)
    # The parabola through the three points at each end: its slope changes as between them.
    begin = 2.0 * steep[..., :1] - inner[..., :1]
    end = 2.0 * steep[..., -1:] - inner[..., -1:]
    return concat([begin, inner, end], -1)


@numpy_form("ediff1d")
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Expr:
    x = reshape(ary, -1)
    parts = [x[1:] - x[:-1]]
    if to_begin is not None:
        parts.insert(0, reshape(astype(to_begin, x.dtype), -1))
    if to_end is not None:
        parts.append(reshape(astype(to_end, x.dtype), -1))
    return concat(parts)


@numpy_form()
def unwrap(
    p: Any, discont: float | None = None, axis: int = -1, *, period: float = 2 * np.pi
) -> Expr:
    """Jumps of more than half a period along an axis taken out, by whole periods."""
    x = as_float(p)
    with explaining("unwrap", x):
        k = normalize_axis(axis, x.ndim)
    y = moveaxis(x, k, -1)
    jumps = y[..., 1:] - y[..., :-1]
    half = as_number(period, "the period of unwrap") / 2
    turns = floor((jumps + half) / period)
    # A jump up of half a period, and whole ones, stays half a period up.
    turns = where((jumps + half == turns * period) & (jumps > 0), turns - 1.0, turns)
    limit = half if discont is None else max(as_number(discont, "the discont of unwrap"), half)
    turns = where(abs(jumps) < limit, 0.0, turns)
    lifted = y[..., 1:] - period * cumulative_sum(turns, turns.ndim - 1)
    return moveaxis(concat([y[..., :1], lifted], -1), -1, k)


# --- integrals ---------------------------------------------------------------------------------


@numpy_form("trapezoid", "trapz")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Expr:
    """The integral of samples along an axis by the trapezoidal rule.

    >>> trapezoid(as_expr([1.0, 2.0, 3.0])).eval()
    np.float64(4.0)
    """
    y = as_float(y)
    with explaining("trapezoid", y):
        k = normalize_axis(axis, y.ndim)
    width: Any = dx if is_python_number(dx) else as_expr(dx)
    if x is not None:
        points = as_expr(x)
        points = points if points.ndim == 1 else moveaxis(points, k, -1)
        width = points[..., 1:] - points[..., :-1]
    y = moveaxis(y, k, -1)
    return sum(width * (y[..., 1:] + y[..., :-1]) / 2.0, -1)


# --- convolution -------------------------------------------------------------------------------


@numpy_form()
def convolve(a: Any, v: Any, mode: str = "full") -> Expr:
    """Convolution of two vectors; mode is "full", "same" or "valid", as in numpy.convolve.

    >>> convolve(as_expr([1, 2, 3]), [1, 1]).eval()
    array([1, 3, 5, 3])
    """
    a, v = as_expr(a), as_expr(v)
    with explaining("convolve", a, v):
        a, v = (reshape(x, 1) if not x.ndim else x for x in (a, v))
        if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
            raise ShapeError("two vectors that are not empty are needed")
        if mode not in ("full", "same", "valid"):
            raise DTypeError(f"mode is 'full', 'same' or 'valid', not {mode!r}")
    if v.size > a.size:
        a, v = v, a
    n = v.size
    before, after = {"full": (n - 1, n - 1), "same": (n // 2, (n - 1) // 2), "valid": (0, 0)}[mode]
    return _weighed(pad(a, (before, after)), flip(v))


def _weighed(x: Expr, v: Expr) -> Expr:
    """Σ v[k] x[i + k] for each i where all of v has an element to weigh.

    v is cut in pieces of about √n elements: each piece weighs x, then their sums are added, each
    from where its piece begins. So it takes √n times the memory of x, where one matrix of all that
    is weighed would take n times as much.
    """
    n, piece = v.size, math.isqrt(v.size)
    whole = n // piece * piece
    shifted = _slanted(broadcast_to(x, (piece, x.size)), 1, x.size - piece + 1)
    sums = matmul(reshape(v[:whole], (-1, piece)), shifted)
    y = astype(sum(_slanted(sums, piece, x.size - n + 1), 0), sums.dtype)
    return y if whole == n else y + _weighed(x[whole:], v[whole:])


def _slanted(rows: Expr, step: int, length: int) -> Expr:
    """`length` elements of each row: of the first from 0 on, of the next from step on, ..."""
    n, width = rows.shape
    # Laid out again in rows that are longer by a step, each begins a step further in its own.
    longer = reshape(pad(reshape(rows, -1), (0, n * step)), (n, width + step))
    return longer[:, :length]


@numpy_form()
def correlate(a: Any, v: Any, mode: str = "valid") -> Expr:
    """Cross-correlation of two vectors: Σ a[n + k] v[n], as in numpy.correlate."""
    a, v = as_expr(a), as_expr(v)
    if v.size > a.size:  # NumPy's own way to centre "same"
        return flip(convolve(v, flip(a), mode))
    return convolve(a, flip(v), mode)


# --- interpolation and polynomials -------------------------------------------------------------


@numpy_form()
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: None = None
) -> Expr:
    """Piecewise linear interpolation through the points (xp, fp), xp increasing.

    Outside it is `left` and `right`, the end values by default. At a point the derivative is
    that of the piece on its right.

    >>> interp(as_expr(1.5), [1.0, 2.0], [10.0, 20.0]).eval()
    np.float64(15.0)
    """
    x, xp, fp = as_float(x), as_float(xp), as_float(fp)
    with explaining("interp", x, xp, fp):
        if period is not None:
            raise DTypeError("period is not there; take x and xp modulo it, sorted")
        if xp.ndim != 1 or fp.shape != xp.shape or not xp.size:
            raise ShapeError("xp and fp are vectors of one length, not empty")
    first, last = fp[0] if left is None else left, fp[-1] if right is None else right
    if xp.size == 1:
        inside = x * 0.0 + fp[0]
    else:
        piece = searchsorted(xp[1:-1], x, side="right")
        start, end = take(xp, piece), take(xp, piece + 1)
        low, high = take(fp, piece), take(fp, piece + 1)
        inside = low + (high - low) * ((x - start) / (end - start))
    return where(x < xp[0], first, where(x > xp[-1], last, inside))


@numpy_form()
def polyval(p: Any, x: Any) -> Expr:
    """The polynomial with coefficients p, the highest power first, at x.

    >>> polyval([1.0, 0.0, -2.0], as_expr(3.0)).eval()
    np.float64(7.0)
    """
    coefficients = as_expr(p)
    with explaining("polyval", coefficients, x):
        if coefficients.ndim != 1:
            raise ShapeError("the coefficients are a vector")
    x = x if is_python_number(x) else as_expr(x)
    y: Expr = zeros(np.shape(x) if is_python_number(x) else x.shape, coefficients.dtype)
    for k in range(coefficients.shape[0]):
        y = y * x + coefficients[k]
    return y


@numpy_form("vander")
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Expr:
    column = as_expr(x)
    n = column.size if N is None else N
    powers = np.arange(n) if increasing else np.arange(n)[::-1]
    return reshape(column, (-1, 1)) ** const(powers, column.dtype)


@numpy_form("linspace")
def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    points = moveaxis(linspace(start, stop, num, endpoint=endpoint, dtype=dtype), 0, axis)
    if not retstep:
        return points
    a, b = meet("linspace", as_float(start), as_float(stop))
    steps = num - 1 if endpoint else num
    return points, (b - a) / steps if steps > 0 else const(np.nan)  # of no step, NumPy says NaN


@numpy_form("apply_along_axis")
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **options: Any) -> Expr:
    x = as_expr(arr)
    lines = moveaxis(x, axis, -1)
    flat = reshape(lines, (-1, lines.shape[-1]))
    rows = stack([as_expr(func1d(row, *args, **options)) for row in flat])
    shaped = reshape(rows, (*lines.shape[:-1], *rows.shape[1:]))
    inner = rows.ndim - 1
    places = [normalize_axis(axis, x.ndim) + k for k in range(inner)]
    return moveaxis(shaped, list(range(shaped.ndim - inner, shaped.ndim)), places)


@numpy_form("digitize")
def _digitize(x: Any, bins: Any, right: bool = False) -> Expr:
    return searchsorted(bins, x, side="left" if right else "right")


@numpy_form("searchsorted")
def _searchsorted(
    a: Any, v: Any, side: Literal["left", "right"] = "left", sorter: Any = None
) -> Expr:
    return searchsorted(a, v, side=side, sorter=sorter)
