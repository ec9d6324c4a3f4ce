"""Factorisations (eigh, svd, qr) and what is made of them: pinv, matrix_rank, matrix_norm.

Derivatives: of eigh Giles, "Collected matrix derivative results for forward and reverse mode AD"
(2008); of svd Townsend, "Differentiating the singular value decomposition" (2016); of qr Seeger et
al., "Auto-differentiating linear algebra" (2017), and for wide matrices Roberts & Roberts, "QR and
LQ decomposition matrix backpropagation algorithms for square, wide, and deep matrices" (2020); of
pinv Golub & Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems
whose variables separate" (1973).

Vectors that belong to equal values may be turned among themselves. By convention they do not turn:
where two eigenvalues or singular values are equal to rounding, the term with 1/(their difference)
is 0; so is that with 1/s where a singular value is 0 to rounding.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.arithmetic import abs
from minigrad.ops.choice import where
from minigrad.ops.cofactor import square_type
from minigrad.ops.core import as_float, astype, broadcast_to, explaining, is_zero, sum
from minigrad.ops.creation import eye
from minigrad.ops.linalg import largest, vector_norm
from minigrad.ops.matrix_functions import solve
from minigrad.ops.reduce import count_nonzero
from minigrad.ops.reduce import min as min_of
from minigrad.ops.shape import concat, expand_dims, matrix_transpose, tril
from minigrad.ops.tuples import items_of
from minigrad.types import TensorType, TupleType

# --- shared pieces -----------------------------------------------------------------------------


def _matrix_type(x: TensorType) -> TensorType:
    if not x.is_float:
        raise DTypeError(f"matrix functions take floats, not {x.dtype}")
    if x.ndim < 2:
        raise ShapeError(f"a matrix is needed, not shape {x.shape}")
    return x


def _is_complete(mode: str) -> bool:
    """Whether orthogonal factors are square. Raises ShapeError for a mode that there is not."""
    if not isinstance(mode, str) or mode not in ("reduced", "complete"):
        raise ShapeError(f'the mode is "reduced" or "complete", not {mode!r}')
    return mode == "complete"


def _columns(v: Expr) -> Expr:
    """A vector as a factor for the columns of a matrix."""
    return expand_dims(v, -2)


def _rows(v: Expr) -> Expr:
    """A vector as a factor for the rows of a matrix."""
    return expand_dims(v, -1)


def _rounding(values: Expr, n: int) -> Expr:
    """By how much values that are equal may differ: n roundings of the largest."""
    return float(n * np.finfo(values.dtype).eps) * largest(abs(values), -1, keepdims=True)


def _reciprocal(x: Expr, near_zero: Expr) -> Expr:
    """1 / x, and 0 where x is zero to rounding. Derivatives of every order are 0 there too."""
    return where(near_zero, 0.0, 1.0 / where(near_zero, 1.0, x))


# --- eigh --------------------------------------------------------------------------------------


class EighResult(NamedTuple):
    """Eigenvalues in ascending order (..., n), and eigenvectors as columns (..., n, n)."""

    eigenvalues: Expr
    eigenvectors: Expr


def _eigh_type(x: TensorType) -> Any:
    return TupleType((square_type(x).with_shape(x.shape[:-1]), x))


def _eigh_vjp(cotangent: Expr, out: Expr) -> Terms:
    # Giles (2008), section 3.1: V (diag(w̄) + F∘(Vᵀ V̄)) Vᵀ with F_ij = 1/(w_j - w_i).
    w, v = items_of(out)
    w_bar, v_bar = items_of(cotangent)
    turned = matrix_transpose(v)
    total = (v * _columns(w_bar)) @ turned
    if not is_zero(v_bar):
        gaps = _columns(w) - _rows(w)
        close = abs(gaps) <= _rows(_rounding(w, w.shape[-1]))
        total = total + v @ (_reciprocal(gaps, close) * (turned @ v_bar)) @ turned
    return (total,)  # of the symmetric part: eigh takes it, and its transpose takes that of this


EIGH = register(
    Op(
        "eigh",
        _eigh_type,
        lambda x: tuple(np.linalg.eigh(x)),
        vjp=_eigh_vjp,
        stacks=True,
    )
)


@public
def eigh(x: Any, /) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric matrices (..., n, n), as (values, vectors).

    Of an x that is not symmetric, the symmetric part (x + x.mT) / 2 is taken. Where eigenvalues
    are equal, their vectors do not turn (see this module). Raises ShapeError unless x is square.

    >>> values, vectors = eigh([[2.0, 0.0], [0.0, 1.0]])
    >>> values.eval()
    array([1., 2.])
    """
    x = as_float(x)
    with explaining("eigh", x):
        square_type(x.type)
    values, vectors = items_of(make(EIGH, (0.5 * (x + matrix_transpose(x)),)))
    return EighResult(values, vectors)


@public
def eigvalsh(x: Any, /) -> Expr:
    """Eigenvalues of symmetric matrices (..., n, n), in ascending order; see `eigh`."""
    return eigh(x).eigenvalues


# --- svd ---------------------------------------------------------------------------------------


class SVDResult(NamedTuple):
    """x = U @ diag(S) @ Vh, with S in descending order."""

    U: Expr
    S: Expr
    Vh: Expr


def _svd_type(x: TensorType, mode: str) -> Any:
    *stack, m, n = _matrix_type(x).shape
    k = min(m, n)
    u, vh = ((m, m), (n, n)) if _is_complete(mode) else ((m, k), (k, n))
    return TupleType([x.with_shape((*stack, *dims)) for dims in (u, (k,), vh)])


def _thin(q: Expr, q_bar: Expr, k: int) -> tuple[Expr, Expr]:
    """The first k columns and their cotangent, into which that of the other columns goes.

    Those complete an orthogonal matrix. They follow the first and do not turn among themselves:
    dQ₂ = -Q₁ dQ₁ᵀ Q₂.
    """
    if q.shape[-1] == k:
        return q, q_bar
    first, others = q[..., :k], q[..., k:]
    moved = others @ (matrix_transpose(q_bar[..., k:]) @ first)
    return first, q_bar[..., :k] - moved


def _svd_vjp(cotangent: Expr, out: Expr) -> Terms:
    # Townsend (2016), section 1.1, with F_ij = 1/(s_j² - s_i²) and A = U S Vᵀ.
    (u, s, vh), (u_bar, s_bar, vh_bar) = items_of(out), items_of(cotangent)
    k = s.shape[-1]
    total = (_thin(u, u_bar, k)[0] * _columns(s_bar)) @ vh[..., :k, :]
    if is_zero(u_bar) and is_zero(vh_bar):
        return (total,)
    u, u_bar = _thin(u, u_bar, k)
    v, v_bar = _thin(matrix_transpose(vh), matrix_transpose(vh_bar), k)
    m, n = out.args[0].shape[-2:]
    tiny = _rounding(s, max(m, n))
    gaps, sums = _columns(s) - _rows(s), _columns(s) + _rows(s)
    f = _reciprocal(gaps * sums, abs(gaps) <= _rows(tiny))  # so are the sums that are tiny
    ut, vt = matrix_transpose(u), matrix_transpose(v)
    by_u, by_v = ut @ u_bar, vt @ v_bar
    inner = (f * (by_u - matrix_transpose(by_u))) * _columns(s)
    inner = inner + _rows(s) * (f * (by_v - matrix_transpose(by_v)))
    total = total + u @ inner @ vt
    inverse = _columns(_reciprocal(s, s <= tiny))
    if m > k:
        total = total + ((u_bar - u @ by_u) * inverse) @ vt
    if n > k:
        total = total + u @ matrix_transpose((v_bar - v @ by_v) * inverse)
    return (total,)


SVD = register(
    Op(
        "svd",
        _svd_type,
        lambda x, mode: tuple(np.linalg.svd(x, full_matrices=_is_complete(mode))),
        vjp=_svd_vjp,
        attrs=(Attr("mode"),),
        stacks=True,
    )
)


@public
def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular value decomposition x = U @ diag(S) @ Vh of matrices (..., m, n).

    S is (..., min(m, n)), descending; U and Vh are square, or with `full_matrices=False` have
    min(m, n) columns and rows. Where singular values are equal or 0, their vectors do not turn
    (see this module); of the columns beyond min(m, n) only the space they span has a derivative.

    >>> svd([[3.0, 0.0], [0.0, 4.0]]).S.eval()
    array([4., 3.])
    """
    mode = "complete" if full_matrices else "reduced"
    u, s, vh = items_of(make(SVD, (as_float(x),), (mode,)))
    return SVDResult(u, s, vh)


@public
def svdvals(x: Any, /) -> Expr:
    """Singular values of matrices (..., m, n), in descending order; see `svd`."""
    return svd(x, full_matrices=False).S


# --- qr ----------------------------------------------------------------------------------------


class QRResult(NamedTuple):
    """x = Q @ R."""

    Q: Expr
    R: Expr


def _qr_type(x: TensorType, mode: str) -> Any:
    *stack, m, n = _matrix_type(x).shape
    k = m if _is_complete(mode) else min(m, n)
    return TupleType((x.with_shape((*stack, m, k)), x.with_shape((*stack, k, n))))


def _qr_vjp(cotangent: Expr, out: Expr) -> Terms:
    # Seeger et al. (2017), section 4.1: (Q̄ + Q copyltu(R R̄ᵀ - Q̄ᵀ Q)) R⁻ᵀ, where copyltu mirrors
    # the lower triangle. The columns of a wide matrix beyond the first square are Q R₂.
    (q, r), (q_bar, r_bar) = items_of(out), items_of(cotangent)
    (x,) = out.args
    k = min(x.shape[-2:])
    q, q_bar = _thin(q, q_bar, k)
    r, r_bar, beyond = r[..., :k, :k], r_bar[..., :k, :k], r_bar[..., :k, k:]
    q_bar = q_bar + x[..., k:] @ matrix_transpose(beyond)
    mixed = r @ matrix_transpose(r_bar) - matrix_transpose(q_bar) @ q
    below = tril(mixed, -1)
    mirrored = tril(mixed) + matrix_transpose(below)
    left = q_bar + q @ mirrored
    first = matrix_transpose(solve(r, matrix_transpose(left)))
    return (concat([first, q @ beyond], axis=-1),)


QR = register(
    Op(
        "qr",
        _qr_type,
        lambda x, mode: tuple(np.linalg.qr(x, mode)),
        vjp=_qr_vjp,
        attrs=(Attr("mode"),),
        stacks=True,
    )
)


@public
def qr(x: Any, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """x = Q @ R of matrices (..., m, n): Q with orthonormal columns, R upper triangular.

    Q has min(m, n) columns, or m where mode is "complete"; of those beyond min(m, n) only the
    space they span has a derivative. A derivative needs the first min(m, n) columns of x to be
    independent: evaluating it raises LinAlgError else.

    >>> abs(qr([[3.0], [4.0]]).R).eval()
    array([[5.]])
    """
    q, r = items_of(make(QR, (as_float(x),), (mode,)))
    return QRResult(q, r)


# --- pseudo-inverse and rank -------------------------------------------------------------------


def _pinv_type(x: TensorType, rtol: TensorType) -> TensorType:
    *stack, m, n = _matrix_type(x).shape
    if rtol is not x.with_shape(stack):
        raise ShapeError(f"rtol is one number a matrix, not {rtol!r}")
    return x.with_shape((*stack, n, m))


def _pinv_vjp(cotangent: Expr, out: Expr) -> Terms:
    # Golub & Pereyra (1973), (4.12), of matrices whose rank does not change.
    x, _ = out.args
    p, pt, ct = out, matrix_transpose(out), matrix_transpose(cotangent)
    m, n = x.shape[-2:]
    off_columns = eye(m, dtype=x.dtype) - x @ p
    off_rows = eye(n, dtype=x.dtype) - p @ x
    total = off_columns @ ct @ p @ pt + pt @ p @ ct @ off_rows - pt @ cotangent @ pt
    return total, None


PINV = register(
    Op(
        "pinv",
        _pinv_type,
        lambda x, rtol: np.linalg.pinv(x, rtol),
        vjp=_pinv_vjp,
        latex="{{{0}}}^{{+}}",
        stacks=True,
    )
)


def _tolerance(x: Expr, rtol: Any) -> Expr:
    """A relative tolerance for each matrix; that of rounding unless told."""
    if rtol is None:
        rtol = max(*x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    return broadcast_to(astype(rtol, x.dtype), x.shape[:-2])


@public
def pinv(x: Any, /, *, rtol: Any = None) -> Expr:
    """Moore-Penrose pseudo-inverse (..., n, m) of matrices (..., m, n).

    Singular values of at most rtol times the largest count as 0; rtol is a number or one for each
    matrix, by default max(m, n) times the rounding of the dtype. Its derivative is that among
    matrices of the same rank.

    >>> pinv([[2.0, 0.0], [0.0, 0.0]]).eval()
    array([[0.5, 0. ],
           [0. , 0. ]])
    """
    x = as_float(x)
    with explaining("pinv", x):
        _matrix_type(x.type)
        return make(PINV, (x, _tolerance(x, rtol)))


@public
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Expr:
    """How many singular values exceed rtol times the largest (see `pinv`), as int64.

    >>> matrix_rank([[1.0, 2.0], [2.0, 4.0]]).eval()
    np.int64(1)
    """
    x = as_float(x)
    with explaining("matrix_rank", x):
        _matrix_type(x.type)
        limit = _rows(_tolerance(x, rtol))
    s = svdvals(x)
    return count_nonzero(s > limit * s[..., :1], axis=-1)


# --- norms -------------------------------------------------------------------------------------


@public
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: float | str | None = "fro") -> Expr:
    """The norm of matrices (..., m, n), over the last two axes.

    ord: "fro" (Frobenius), "nuc" (sum of the singular values), 2 and -2 (the largest and the
    smallest), 1 and -1 (of the sums of |x| over columns), inf and -inf (over rows).
    The derivative of a norm of zeros is 0.

    >>> matrix_norm([[3.0, 0.0], [0.0, 4.0]], ord="nuc").eval()
    np.float64(7.0)
    """
    x = as_float(x)
    with explaining("matrix_norm", x):
        _matrix_type(x.type)
        if not (ord is None or isinstance(ord, (str, int, float))) or ord not in _NORMS:
            listed = ", ".join(map(repr, _NORMS))
            raise ShapeError(f"the ord of a matrix norm is one of {listed}, not {ord!r}")
    if ord in ("fro", None):
        return vector_norm(x, (-2, -1), keepdims=keepdims)
    axis, pick = _NORMS[ord]
    # |s|, for its derivative is 0 where s is.
    sizes = sum(abs(x), axis) if axis is not None else abs(svdvals(x))
    norm: Expr = pick(sizes, -1)
    return norm[..., None, None] if keepdims else norm


# ord: the axis over which |x| is summed (None: the singular values), and what is taken of the sums.
_NORMS: dict[Any, tuple[int | None, Any]] = {
    "fro": (None, None),
    None: (None, None),
    "nuc": (None, sum),
    2: (None, largest),
    -2: (None, min_of),
    1: (-2, largest),
    -1: (-2, min_of),
    np.inf: (-1, largest),
    -np.inf: (-1, min_of),
}
