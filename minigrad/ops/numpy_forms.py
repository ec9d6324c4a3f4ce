"""NumPy's call forms of functions that are there: NumPy's order of arguments, defaults, options.

`np.sort(x, axis=None)` sorts all elements, `np.trace(x)` takes the first two axes, `np.take(M, i)`
reads the flattened M: what minigrad's own functions, which follow the array API, say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph import Expr, as_expr
from minigrad.names import numpy_form
from minigrad.ops import contraction, factor, linalg, pointwise, reduce, shape
from minigrad.ops.core import (
    as_float,
    astype,
    broadcast_to,
    explaining,
    is_python_number,
    keep_axes,
    reshape,
    sum,
)
from minigrad.ops.index import take
from minigrad.ops.pointwise import where as choose
from minigrad.ops.shape import permute_dims
from minigrad.types import as_shape, broadcast_shapes, normalize_axes

Axis = int | Sequence[int] | None

# --- reductions --------------------------------------------------------------------------------


def _where_else(x: Any, where: Any, neutral: float) -> Expr:
    """x, and a number that the reduction does not notice where it is not to be read."""
    x = as_expr(x)
    return x if where is True else choose(where, x, neutral)


def _cast(x: Any, dtype: npt.DTypeLike | None) -> Expr:
    return as_expr(x) if dtype is None else astype(x, dtype)


def _total(
    reduction: Callable[..., Expr], join: Callable[[Any, Any], Expr], neutral: float
) -> Callable[..., Expr]:
    def form(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        x = _where_else(_cast(a, dtype), where, neutral)
        y = _as_summed(reduction(x, axis, keepdims=keepdims), dtype)
        return y if initial is None or is_neutral(initial) else join(y, initial)

    def is_neutral(initial: Any) -> bool:
        return is_python_number(initial) and initial == neutral

    return form


def _as_summed(y: Expr, dtype: npt.DTypeLike | None) -> Expr:
    """Sums are kept in the widest dtype of the kind, unless one is asked for."""
    return y if dtype is None else astype(y, dtype)


numpy_form("sum")(_total(sum, pointwise.add, 0))
numpy_form("prod")(_total(reduce.prod, pointwise.multiply, 1))


def _lowest(dtype: np.dtype[Any], sign: int) -> float:
    if dtype.kind == "f":
        return sign * np.inf
    if dtype.kind == "b":
        return sign > 0
    info = np.iinfo(dtype)
    return int(info.max if sign > 0 else info.min)


def _extreme(
    reduction: Callable[..., Expr], join: Callable[[Any, Any], Expr], sign: int
) -> Callable[..., Expr]:
    def form(
        a: Any,
        axis: Axis = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        x = as_expr(a)
        if where is not True:
            if initial is None:
                raise ShapeError("the extreme of a selection (where=) needs an initial= value")
            x = _where_else(x, where, _lowest(x.dtype, sign))
        if initial is None:
            return reduction(x, axis, keepdims=keepdims)
        if 0 in [x.shape[k] for k in normalize_axes(axis, x.ndim)]:
            y = sum(x, axis, keepdims=keepdims)
            return broadcast_to(astype(initial, x.dtype), y.shape)
        return join(reduction(x, axis, keepdims=keepdims), initial)

    return form


numpy_form("max", "amax")(_extreme(reduce.max, pointwise.maximum, -1))
numpy_form("min", "amin")(_extreme(reduce.min, pointwise.minimum, 1))


def _counted(x: Expr, axis: Axis, where: Any, keepdims: bool) -> Expr:
    """How many elements a selection reads."""
    mask = broadcast_to(astype(where, np.bool_), x.shape)
    return sum(astype(mask, x.dtype), axis, keepdims=keepdims)


@numpy_form("mean")
def _mean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    where: Any = True,
) -> Expr:
    x = _cast(a, dtype)
    if where is True:
        return reduce.mean(x, axis, keepdims=keepdims)
    x = as_float(x)
    total = sum(_where_else(x, where, 0), axis, keepdims=keepdims)
    return total / _counted(x, axis, where, keepdims)


@numpy_form("var")
def _var(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Expr:
    ddof = ddof if correction is None else correction
    x = _cast(a, dtype)
    if where is True and mean is None:
        return reduce.variance(x, axis, correction=ddof, keepdims=keepdims)
    x = as_float(x)
    centre = _mean(x, axis, keepdims=True, where=where) if mean is None else mean
    spread = _where_else(x - centre, where, 0)
    total = sum(spread * spread, axis, keepdims=keepdims)
    return total / (_counted(x, axis, where, keepdims) - ddof)


@numpy_form("std")
def _std(a: Any, *args: Any, **options: Any) -> Expr:
    return reduce.root(_var(a, *args, **options))


def _logical(reduction: Callable[..., Expr], neutral: bool) -> Callable[..., Expr]:
    def form(
        a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: Any = True
    ) -> Expr:
        x = as_expr(a) if where is True else _where_else(as_expr(a) != 0, where, neutral)
        return reduction(x, axis, keepdims=keepdims)

    return form


numpy_form("all")(_logical(reduce.all, True))
numpy_form("any")(_logical(reduce.any, False))


def _running(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def form(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Expr:
        x = _cast(a, dtype)
        y = function(reshape(x, -1), 0) if axis is None else function(x, axis)
        return _as_summed(y, dtype)

    return form


numpy_form("cumsum")(_running(reduce.cumulative_sum))
numpy_form("cumprod")(_running(reduce.cumulative_prod))

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


numpy_form("argmax")(_searching(reduce.argmax))
numpy_form("argmin")(_searching(reduce.argmin))
numpy_form("sort")(_sorting(reduce.sort))
numpy_form("argsort")(_sorting(reduce.argsort))
numpy_form("partition")(_parting(reduce.sort))
numpy_form("argpartition")(_parting(reduce.argsort))


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
    return take(x, at % n if mode == "wrap" else pointwise.clip(at, 0, n - 1), k)


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
    options = list(choices)
    at = as_expr(a)
    result = options[0]
    for k, option in enumerate(options[1:], 1):
        result = choose(at == k, option, result)
    return as_expr(result)


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
    return _cast(shape.concat(list(arrays), axis), dtype)


@numpy_form("stack")
def _stack(
    arrays: Any,
    axis: int = 0,
    out: None = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Expr:
    return _cast(shape.stack(list(arrays), axis), dtype)


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
    return pointwise.clip(a, min if a_min is None else a_min, max if a_max is None else a_max)


@numpy_form("round", "around")
def _round(a: Any, decimals: int = 0, out: None = None) -> Expr:
    x = as_expr(a)
    if not x.type.is_float or decimals == 0:
        return x if not x.type.is_float and decimals >= 0 else pointwise.round(x)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return pointwise.round(x * scale) / scale
    return pointwise.round(x / scale) * scale


# --- products ----------------------------------------------------------------------------------


@numpy_form("dot")
def _dot(a: Any, b: Any, out: None = None) -> Expr:
    return linalg.dot(a, b)


@numpy_form()
def inner(a: Any, b: Any, /) -> Expr:
    """Sum of products over the last axes; the product where either is a scalar.

    >>> inner(as_expr([1, 2]), [[1, 1], [0, 2]]).eval()
    array([3, 4])
    """
    a, b = as_expr(a), as_expr(b)
    if not a.ndim or not b.ndim:
        return pointwise.multiply(a, b)
    return linalg.tensordot(a, b, ((-1,), (-1,)))


@numpy_form()
def vdot(a: Any, b: Any, /) -> Expr:
    """Sum of the products of all elements."""
    return linalg.dot(reshape(a, -1), reshape(b, -1))


@numpy_form()
def kron(a: Any, b: Any) -> Expr:
    """Kronecker product: each element of a times all of b.

    >>> kron(as_expr([1, 10]), [1, 2]).eval()
    array([ 1,  2, 10, 20])
    """
    a, b = as_expr(a), as_expr(b)
    ndim = max(a.ndim, b.ndim)
    rows = (1,) * (ndim - a.ndim) + a.shape
    columns = (1,) * (ndim - b.ndim) + b.shape
    left = reshape(a, [n for m in rows for n in (m, 1)])
    right = reshape(b, [n for m in columns for n in (1, m)])
    product = pointwise.multiply(left, right)
    return reshape(product, [m * n for m, n in zip(rows, columns, strict=True)])


@numpy_form("einsum")
def _einsum(
    *operands: Any,
    out: None = None,
    optimize: Any = False,
    dtype: Any = None,
    order: str = "K",
    casting: str = "safe",
) -> Expr:
    spec, *arrays = operands
    if not isinstance(spec, str):
        spec, arrays = _spelled(operands)
    return _cast(contraction.einsum(spec, *arrays), dtype)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _spelled(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) in letters."""
    arrays, labels = list(operands[0 : len(operands) // 2 * 2 : 2]), operands[1::2]

    def letters(entries: Sequence[Any]) -> str:
        return "".join(["..." if k is Ellipsis else _LETTERS[k] for k in entries])

    spec = ",".join(map(letters, labels))
    if len(operands) % 2:
        spec += "->" + letters(operands[-1])
    return spec, arrays


@numpy_form("cross")
def _cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Expr:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = shape.moveaxis(a, axisa, -1), shape.moveaxis(b, axisb, -1)
    with explaining("cross", a, b):
        common = broadcast_shapes(a.shape[:-1], b.shape[:-1])
    full = [broadcast_to(x, (*common, x.shape[-1])) for x in (a, b)]
    if full[0].shape[-1] == full[1].shape[-1] == 2:
        u, v = full
        return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    u, v = (_in_space(x) for x in full)
    return shape.moveaxis(linalg.cross(u, v), -1, axisc)


def _in_space(x: Expr) -> Expr:
    return shape.concat([x, x[..., :1] * 0], -1) if x.shape[-1] == 2 else x


@numpy_form("diagonal")
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
    return linalg.diagonal(a, offset, axis1, axis2)


@numpy_form("trace")
def _trace(
    a: Any,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: Any = None,
    out: None = None,
) -> Expr:
    return sum(_cast(linalg.diagonal(a, offset, axis1, axis2), dtype), -1)


@numpy_form("linalg.diagonal")
def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Expr:
    return linalg.diagonal(x, offset)


@numpy_form("linalg.trace")
def _linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Expr:
    return sum(_cast(linalg.diagonal(x, offset), dtype), -1)


@numpy_form("linalg.norm")
def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Expr:
    y = as_expr(x)
    if ord is None:
        return linalg.vector_norm(y, axis, keepdims=keepdims)
    with explaining("norm", y):
        axes = normalize_axes(axis, y.ndim) if not isinstance(axis, tuple) else axis
        if len(axes) == 1:
            if isinstance(ord, str):
                raise DTypeError(f"a norm of vectors has a number as its order, not {ord!r}")
            return linalg.vector_norm(y, axes[0], keepdims=keepdims, ord=ord)
        if len(axes) != 2:
            raise ShapeError(f"a norm of order {ord!r} is of vectors or matrices: name the axes")
        norm = factor.matrix_norm(shape.moveaxis(y, axes, (-2, -1)), ord=ord)
    gone = normalize_axes(tuple(axes), y.ndim)
    return reshape(norm, keep_axes(y.shape, gone)) if keepdims else norm


@numpy_form("linalg.multi_dot")
def _multi_dot(arrays: Sequence[Any], *, out: None = None) -> Expr:
    product = as_expr(arrays[0])
    for x in arrays[1:]:
        product = linalg.matmul(product, x)
    return product


def _from_triangle(a: Any, uplo: str) -> Expr:
    """The symmetric matrix of which NumPy reads one triangle."""
    if uplo not in ("L", "U"):
        raise DTypeError(f"UPLO is 'L' or 'U', not {uplo!r}")
    x = as_expr(a)
    half = shape.tril(x) if uplo == "L" else shape.triu(x)
    rest = shape.tril(x, -1) if uplo == "L" else shape.triu(x, 1)
    return half + shape.matrix_transpose(rest)


@numpy_form("linalg.eigh")
def _eigh(a: Any, UPLO: str = "L") -> Any:
    return factor.eigh(_from_triangle(a, UPLO))


@numpy_form("linalg.eigvalsh")
def _eigvalsh(a: Any, UPLO: str = "L") -> Expr:
    return factor.eigvalsh(_from_triangle(a, UPLO))


@numpy_form("linalg.svd")
def _svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    return factor.svd(a, full_matrices=full_matrices) if compute_uv else factor.svdvals(a)


@numpy_form("linalg.pinv")
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Expr:
    return factor.pinv(a, rtol=rtol if rcond is None else rcond)


@numpy_form("linalg.matrix_rank")
def _matrix_rank(A: Any, tol: None = None, hermitian: bool = False, *, rtol: Any = None) -> Expr:
    if tol is not None:
        raise DTypeError("tol= is not there; rtol= is, relative to the largest singular value")
    return factor.matrix_rank(A, rtol=rtol)


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
    return shape.zeros_like(val)


@numpy_form("angle")
def _angle(z: Any, deg: bool = False) -> Expr:
    x = as_float(z)
    return choose(x < 0, 180.0 if deg else np.pi, 0.0 * pointwise.sign(x))


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
    return shape.zeros_like(x, np.bool_)


@numpy_form("isreal")
def _isreal(x: Any) -> Expr:
    return shape.ones_like(x, np.bool_)
