"""NumPy's call forms of functions that are there: NumPy's order of arguments, defaults, options.

`np.sort(x, axis=None)` sorts all elements, `np.trace(x)` takes the first two axes, `np.take(M, i)`
reads the flattened M: what minigrad's own functions, which follow the array API, say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, OutOfRangeError, ShapeError
from minigrad.graph.leaves import CONST, as_expr
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops import arithmetic, choice, comparisons, creation, shape, sorting
from minigrad.ops.choice import where as choose
from minigrad.ops.core import (
    as_float,
    astype,
    broadcast_to,
    explaining,
    reshape,
)
from minigrad.ops.index_syntax import take, take_along_axis
from minigrad.ops.numpy_reductions import in_dtype
from minigrad.ops.shape import permute_dims
from minigrad.types import INT64, as_shape

# --- sorting and taking ------------------------------------------------------------------------


def _sorting(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def form(
        a: Any,
        axis: int | None = -1,
        kind: str | None = None,
        order: None = None,
        *,
        stable: bool | None = None,
    ) -> Expr:
        # Every sort here is a stable one, so a kind only says how fast it may be.
        return function(reshape(a, -1), 0) if axis is None else function(a, axis)

    return form


def _parting(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def form(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect") -> Expr:
        x = reshape(a, -1) if axis is None else as_expr(a)
        k = -1 if axis is None else axis
        for n in np.atleast_1d(kth):
            if not -x.shape[k] <= n < x.shape[k]:
                raise ShapeError(f"kth = {n} is out of range for {x.shape[k]} elements")
        return function(x, k)  # what is sorted is partitioned at every kth

    return form


def _searching(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def form(a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Expr:
        return function(a, axis, keepdims=keepdims)

    return form


numpy_form("argmax")(_searching(sorting.argmax))
numpy_form("argmin")(_searching(sorting.argmin))
numpy_form("sort")(_sorting(sorting.sort))
numpy_form("argsort")(_sorting(sorting.argsort))
numpy_form("partition")(_parting(sorting.sort))
numpy_form("argpartition")(_parting(sorting.argsort))


@numpy_form("take")
def _take(
    a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise"
) -> Expr:
    x, k = (reshape(a, -1), 0) if axis is None else (as_expr(a), axis)
    if mode == "raise":
        return take(x, indices, k)
    if mode not in ("wrap", "clip"):
        raise DTypeError(f"mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    n = x.shape[k]
    at = as_expr(indices)
    return take(x, at % n if mode == "wrap" else choice.clip(at, 0, n - 1), k)


@numpy_form("compress")
def _compress(condition: Any, a: Any, axis: int | None = None, out: None = None) -> Expr:
    return _take(a, np.flatnonzero(_known(condition, "compress")), axis)


@numpy_form("extract")
def _extract(condition: Any, arr: Any) -> Expr:
    return _take(arr, np.flatnonzero(_known(condition, "extract")))


def _known(condition: Any, name: str) -> Any:
    if isinstance(condition, Expr):
        raise DTypeError(
            f"np.{name} by a symbolic condition would give a shape known only later; use "
            "minigrad.where, or a NumPy condition"
        )
    return np.asarray(condition, dtype=np.bool_)


@numpy_form("choose")
def _choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Expr:
    at, options = as_expr(a), [as_expr(x) for x in choices]
    with explaining("choose", at, *options):
        if mode not in ("raise", "wrap", "clip"):
            raise DTypeError(f"mode is 'raise', 'wrap' or 'clip', not {mode!r}")
        if at.type.is_float:
            raise DTypeError(f"what chooses is integers, not {at.dtype}")
        if not options:
            raise ShapeError("there is nothing to choose from")
        at = _in_range(at, len(options), mode)
        at, *options = shape.broadcast_arrays(at, *options)
        return take_along_axis(shape.stack(options), at[None], 0)[0]


def _in_range(at: Expr, n: int, mode: str) -> Expr:
    """Which of n choices, by NumPy's modes; "raise" raises now for constants, or at evaluation."""
    if at.op is CONST:
        values = at.attrs[0].array
        wrong = values[(values < 0) | (values >= n)]
        if mode == "raise" and wrong.size:
            raise OutOfRangeError(
                f"there is no choice {wrong[0]} of {n}; write mode='clip' or mode='wrap'"
            )
    at = astype(at, INT64)
    if mode == "wrap":
        return at % n
    if mode == "clip":
        return choice.clip(at, 0, n - 1)
    # A lookup raises for n, but takes -1 for the last.
    return choose(at < 0, n, at)


# --- joining and choosing ----------------------------------------------------------------------


@numpy_form("concatenate", "concat")
def _concatenate(
    arrays: Any,
    axis: int | None = 0,
    out: None = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Expr:
    return in_dtype(shape.concat(list(arrays), axis), dtype)


@numpy_form("stack")
def _stack(
    arrays: Any,
    axis: int = 0,
    out: None = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Expr:
    return in_dtype(shape.stack(list(arrays), axis), dtype)


@numpy_form("where")
def _where(condition: Any, x: Any, y: Any, /) -> Expr:
    return choose(condition, x, y)


@numpy_form("clip")
def _clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: None = None,
    *,
    min: Any = None,
    max: Any = None,
) -> Expr:
    return choice.clip(a, min if a_min is None else a_min, max if a_max is None else a_max)


@numpy_form("round", "around")
def _round(a: Any, decimals: int = 0, out: None = None) -> Expr:
    x = as_expr(a)
    if decimals >= 0 and not x.type.is_float:
        return x
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return arithmetic.round(x * scale) / scale
    if decimals == 0:
        return arithmetic.round(x)
    # Integers are rounded as floats, as NumPy does.
    return astype(arithmetic.round(as_float(x) / scale) * scale, x.dtype)


# --- what asks about an array, or makes another of its kind ------------------------------------


@numpy_form("shape")
def _shape(a: Any) -> tuple[int, ...]:
    return as_expr(a).shape


@numpy_form("ndim")
def _ndim(a: Any) -> int:
    return as_expr(a).ndim


@numpy_form("size")
def _size(a: Any, axis: int | None = None) -> int:
    x = as_expr(a)
    return x.size if axis is None else x.shape[axis]


@numpy_form("result_type")
def _result_type(*operands: Any) -> np.dtype[Any]:
    return np.result_type(*[x.dtype if isinstance(x, Expr) else x for x in operands])


@numpy_form("iscomplexobj", "isfortran")
def _never(x: Any) -> bool:
    return False


@numpy_form("isrealobj")
def _always(x: Any) -> bool:
    return True


@numpy_form("real", "real_if_close", "conj", "conjugate", "copy")
def _itself(a: Any, *args: Any, **options: Any) -> Expr:
    return as_expr(a)


@numpy_form("imag")
def _imag(val: Any) -> Expr:
    return creation.zeros_like(val)


@numpy_form("angle")
def _angle(z: Any, deg: bool = False) -> Expr:
    x = as_float(z)
    # That of -0.0 is π, as that of other numbers left of 0; NaN stays NaN, whatever its sign.
    is_left = comparisons.signbit(x) & ~comparisons.isnan(x)
    return choose(is_left, 180.0 if deg else np.pi, 0.0 * arithmetic.sign(x))


def _like(value: int) -> Callable[..., Expr]:
    def form(
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Expr:
        return _full_like(a, value, dtype, shape=shape)

    return form


numpy_form("zeros_like", "empty_like")(_like(0))
numpy_form("ones_like")(_like(1))


@numpy_form("full_like")
def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Expr:
    x = as_expr(a)
    value = astype(fill_value, x.dtype if dtype is None else dtype)
    return broadcast_to(value, x.shape if shape is None else as_shape(shape))


@numpy_form("reshape")
def _reshape(
    a: Any,
    /,
    shape: Any = None,
    order: str = "C",
    *,
    newshape: Any = None,
    copy: bool | None = None,
) -> Expr:
    target = newshape if shape is None else shape
    if order in ("C", "A"):
        return reshape(a, target)
    if order != "F":
        raise DTypeError(f"order is 'C' or 'F', not {order!r}")
    backwards = [target] if isinstance(target, int) else list(target)[::-1]
    return permute_dims(reshape(permute_dims(a), backwards))


@numpy_form()
def ravel(a: Any, order: str = "C") -> Expr:
    """All elements along one axis."""
    return _reshape(a, -1, "F" if order == "F" else "C")


@numpy_form("iscomplex")
def _iscomplex(x: Any) -> Expr:
    return creation.zeros_like(x, np.bool_)


@numpy_form("isreal")
def _isreal(x: Any) -> Expr:
    return creation.ones_like(x, np.bool_)
