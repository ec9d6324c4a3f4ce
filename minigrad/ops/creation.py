"""Functions that make tensors of a shape: zeros, full, arange, linspace and their kin.

All take the array API's device, which is "cpu": see types.check_device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import ShapeError
from minigrad.graph.leaves import as_expr, const
from minigrad.graph.node import Expr
from minigrad.names import public
from minigrad.ops.core import as_float, astype, broadcast_to, meet
from minigrad.ops.core import full as number
from minigrad.types import (
    FLOAT64,
    Array,
    TensorType,
    as_dtype,
    as_integer,
    as_number,
    as_shape,
    check_device,
)


def _float64_unless(dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    return FLOAT64 if dtype is None else as_dtype(dtype)


def full(
    shape: int | Iterable[int],
    fill_value: Any,
    dtype: npt.DTypeLike | None = None,
    *,
    device: Any = None,
) -> Expr:
    """A tensor of one value, a number or an expression, in its dtype unless told.

    >>> full((2,), 0.5).eval()
    array([0.5, 0.5])
    """
    check_device(device)
    x = as_expr(fill_value) if dtype is None else meet("full", fill_value, dtype=as_dtype(dtype))[0]
    return broadcast_to(x, as_shape(shape))


def zeros(
    shape: int | Iterable[int], dtype: npt.DTypeLike | None = None, *, device: Any = None
) -> Expr:
    """A tensor of zeros, of float64 unless told."""
    check_device(device)
    return number(0, TensorType(shape, _float64_unless(dtype)))


def ones(
    shape: int | Iterable[int], dtype: npt.DTypeLike | None = None, *, device: Any = None
) -> Expr:
    """A tensor of ones, of float64 unless told."""
    check_device(device)
    return number(1, TensorType(shape, _float64_unless(dtype)))


def empty(
    shape: int | Iterable[int], dtype: npt.DTypeLike | None = None, *, device: Any = None
) -> Expr:
    """A tensor whose values do not matter: zeros."""
    return zeros(shape, dtype, device=device)


@public
def zeros_like(x: Any, /, dtype: npt.DTypeLike | None = None, *, device: Any = None) -> Expr:
    """Zeros of the shape and, unless told, the dtype of x."""
    x = as_expr(x)
    return zeros(x.shape, x.dtype if dtype is None else dtype, device=device)


@public
def ones_like(x: Any, /, dtype: npt.DTypeLike | None = None, *, device: Any = None) -> Expr:
    """Ones of the shape and, unless told, the dtype of x."""
    x = as_expr(x)
    return ones(x.shape, x.dtype if dtype is None else dtype, device=device)


@public
def empty_like(x: Any, /, dtype: npt.DTypeLike | None = None, *, device: Any = None) -> Expr:
    """A tensor like x whose values do not matter: zeros."""
    return zeros_like(x, dtype, device=device)


@public
def full_like(
    x: Any, /, fill_value: Any, dtype: npt.DTypeLike | None = None, *, device: Any = None
) -> Expr:
    """One value in the shape and, unless told, the dtype of x."""
    x = as_expr(x)
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype, device=device)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    dtype: npt.DTypeLike | None = None,
    *,
    device: Any = None,
) -> Expr:
    """Evenly spaced numbers, the end excluded, as a constant."""
    check_device(device)
    first, last = (0, start) if stop is None else (start, stop)
    for name, value in (("start", first), ("stop", last), ("step", step)):
        as_number(value, f"the {name} of arange")
    if not step:
        raise ShapeError("the step of arange is not 0")
    kind = None if dtype is None else as_dtype(dtype)
    return _constant("arange", lambda: np.arange(first, last, step, dtype=kind))


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int = 50,
    *,
    endpoint: bool = True,
    dtype: npt.DTypeLike | None = None,
    device: Any = None,
) -> Expr:
    """Evenly spaced numbers between two numbers or expressions, as a new first axis.

    The end is the last of them, or with endpoint=False would be the next one.

    >>> linspace(0, 1, 4, endpoint=False).eval()
    array([0.  , 0.25, 0.5 , 0.75])
    """
    check_device(device)
    count = as_integer(num, "the num of linspace")
    if count < 0:
        raise ShapeError(f"there are no {count} numbers")
    if not isinstance(start, Expr) and not isinstance(stop, Expr):
        start, stop = const(start).value, const(stop).value
        kind = _float64_unless(dtype)
        return _constant("linspace", lambda: np.linspace(start, stop, count, endpoint, dtype=kind))
    start, stop = meet("linspace", start, stop)
    start, stop = as_float(start), as_float(stop)
    weights = np.linspace(0, 1, count, endpoint).reshape(-1, *(1,) * start.ndim).astype(start.dtype)
    points = (1 - weights) * start + weights * stop
    return points if dtype is None else astype(points, dtype)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: npt.DTypeLike | None = None,
    device: Any = None,
) -> Expr:
    """Ones on the k-th diagonal, zeros elsewhere, as a constant of float64 unless told."""
    check_device(device)
    rows = as_shape(n_rows)
    shape = rows + (rows if n_cols is None else as_shape(n_cols))
    if len(shape) != 2:
        raise ShapeError(f"eye takes two numbers of rows and columns, not {n_rows!r}, {n_cols!r}")
    offset, kind = as_integer(k, "the k of eye"), _float64_unless(dtype)
    TensorType(shape, kind)  # raises for more bytes than can be counted
    return _constant("eye", lambda: np.eye(*shape, offset, dtype=kind))


def _constant(name: str, make_array: Callable[[], Array]) -> Expr:
    """The constant of an array that NumPy makes. Raises ShapeError where NumPy cannot."""
    try:
        return const(make_array())
    except (ValueError, OverflowError) as error:
        raise ShapeError(f"in {name}: {error}") from None
