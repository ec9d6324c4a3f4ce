"""Functions of square matrices: inv, solve, det, slogdet, cholesky, matrix_power.

Derivatives: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008); of
Cholesky: Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph.node import Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.arithmetic import multiply, negative
from minigrad.ops.cofactor import cofactors, square_type
from minigrad.ops.core import as_float, astype, broadcast_to, explaining, reshape, uniform_value
from minigrad.ops.creation import eye
from minigrad.ops.linalg import matmul, matmul_type
from minigrad.ops.shape import matrix_transpose, tril
from minigrad.types import TensorType, as_integer, broadcast_shapes, promote


def _determinant_type(x: TensorType) -> TensorType:
    return square_type(x).with_shape(x.shape[:-2])


def _solve_type(a: TensorType, b: TensorType) -> TensorType:
    square_type(a)
    matmul_type(a, b)
    return b


def _scale(cotangent: Expr, matrix: Expr) -> Expr:
    if uniform_value(cotangent) == 1:
        return matrix
    column = reshape(cotangent, (*cotangent.shape, 1, 1))
    return multiply(broadcast_to(column, matrix.shape), matrix)


def _inv_vjp(cotangent: Expr, out: Expr) -> Terms:
    turned = matrix_transpose(out)
    return (negative(matmul(matmul(turned, cotangent), turned)),)


def _solve_vjp(cotangent: Expr, out: Expr) -> Terms:
    a, _ = out.args
    towards_b = make(SOLVE, (matrix_transpose(a), cotangent))
    return negative(matmul(towards_b, matrix_transpose(out))), towards_b


def _cholesky_vjp(cotangent: Expr, out: Expr) -> Terms:
    # Murray (2016), eq. 10, symmetrised: L⁻ᵀ Φ(Lᵀ L̄) L⁻¹, Φ the lower triangle with half diagonal.
    n = out.shape[-1]
    turned = matrix_transpose(out)
    half = np.tri(n) - 0.5 * np.eye(n)
    phi = (turned @ tril(cotangent)) * astype(half, out.dtype)
    left = make(SOLVE, (turned, phi))
    s = matrix_transpose(make(SOLVE, (turned, matrix_transpose(left))))
    return (0.5 * (s + matrix_transpose(s)),)


INV = register(
    Op(
        "inv",
        square_type,
        np.linalg.inv,
        vjp=_inv_vjp,
        latex="{{{0}}}^{{-1}}",
        stacks=True,
    )
)
SOLVE = register(
    Op(
        "solve",
        _solve_type,
        np.linalg.solve,
        vjp=_solve_vjp,
        stacks=True,
    )
)
DET = register(
    Op(
        "det",
        _determinant_type,
        np.linalg.det,
        vjp=lambda ct, out: (_scale(ct, cofactors(*out.args)),),
        stacks=True,
    )
)
LOGABSDET = register(
    Op(
        "logabsdet",
        _determinant_type,
        lambda x: np.linalg.slogdet(x)[1],
        vjp=lambda ct, out: (_scale(ct, matrix_transpose(inv(out.args[0]))),),
        stacks=True,
    )
)
SIGNDET = register(
    Op(
        "signdet",
        _determinant_type,
        lambda x: np.linalg.slogdet(x)[0],
        no_gradient=True,
        stacks=True,
    )
)
CHOLESKY = register(
    Op(
        "cholesky",
        square_type,
        np.linalg.cholesky,
        vjp=_cholesky_vjp,
        stacks=True,
    )
)


@public
def inv(x: Any, /) -> Expr:
    """Inverse of square matrices. Evaluating raises LinAlgError for a singular one."""
    return make(INV, (as_float(x),))


@public
def solve(a: Any, b: Any, /) -> Expr:
    """The x of a @ x = b, for square a; b is a vector or a matrix.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).eval()
    array([1., 1.])
    """
    a, b = as_float(a), as_float(b)
    with explaining("solve", a, b):
        dtype = promote(a.dtype, b.dtype)
        a, b = astype(a, dtype), astype(b, dtype)
        columns = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
        if columns.ndim < 2 or a.shape[-1:] != columns.shape[-2:-1]:
            raise ShapeError(f"a of shape {a.shape} does not go with b of shape {b.shape}")
        stack = broadcast_shapes(a.shape[:-2], columns.shape[:-2])
        wide_a = broadcast_to(a, (*stack, *a.shape[-2:]))
        out = make(SOLVE, (wide_a, broadcast_to(columns, (*stack, *columns.shape[-2:]))))
    return reshape(out, out.shape[:-1]) if b.ndim == 1 else out


@public
def det(x: Any, /) -> Expr:
    """Determinant of square matrices (..., n, n); 1 of an empty one.

    Its derivatives, to every order, are those of the polynomial, for singular matrices too.

    >>> det([[1.0, 2.0], [3.0, 5.0]]).eval().round(12)
    np.float64(-1.0)
    """
    return make(DET, (as_float(x),))


class SlogdetResult(NamedTuple):
    """det x = sign · exp(logabsdet)."""

    sign: Expr
    logabsdet: Expr


@public
def slogdet(x: Any, /) -> SlogdetResult:
    """Sign and logarithm of the absolute value of the determinant of square matrices."""
    x = as_float(x)
    return SlogdetResult(make(SIGNDET, (x,)), make(LOGABSDET, (x,)))


@public
def cholesky(x: Any, /, *, upper: bool = False) -> Expr:
    """The triangular L with L @ L.mT = x, of a symmetric positive definite x.

    Of an x that is not symmetric, the symmetric part (x + x.mT) / 2 is taken.
    """
    x = as_float(x)
    with explaining("cholesky", x):
        square_type(x.type)
    lower = make(CHOLESKY, (0.5 * (x + matrix_transpose(x)),))
    return matrix_transpose(lower) if upper else lower


@public
def matrix_power(x: Any, n: int, /) -> Expr:
    """x multiplied by itself n times; the inverse for negative n."""
    x = as_float(x)
    with explaining("matrix_power", x):
        square_type(x.type)
        n = as_integer(n, "the power")
    base, left = (inv(x), -n) if n < 0 else (x, n)
    result = broadcast_to(eye(x.shape[-1], dtype=x.dtype), x.shape) if n == 0 else None
    while left:
        if left & 1:
            result = base if result is None else matmul(result, base)
        left >>= 1
        base = matmul(base, base)
    assert result is not None
    return result
