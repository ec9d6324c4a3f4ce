"""NumPy's call forms of products, and of what numpy.linalg has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops import arithmetic, contraction, factor, linalg, shape
from minigrad.ops.core import (
    broadcast_to,
    explaining,
    keep_axes,
    reshape,
    sum,
)
from minigrad.ops.numpy_reductions import in_dtype
from minigrad.types import Axis, broadcast_shapes, normalize_axes


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
        return arithmetic.multiply(a, b)
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
    product = arithmetic.multiply(left, right)
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
    return in_dtype(contraction.einsum(spec, *arrays), dtype)


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
    return sum(in_dtype(linalg.diagonal(a, offset, axis1, axis2), dtype), -1)


@numpy_form("linalg.diagonal")
def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Expr:
    return linalg.diagonal(x, offset)


@numpy_form("linalg.trace")
def _linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Expr:
    return sum(in_dtype(linalg.diagonal(x, offset), dtype), -1)


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
