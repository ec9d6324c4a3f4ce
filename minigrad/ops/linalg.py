"""Linear algebra: matmul, and the products and norms that are made of it and of sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr, Op, Terms, make, register
from minigrad.names import public, public_op
from minigrad.ops.arithmetic import abs, multiply, subtract
from minigrad.ops.batch import repeat_along
from minigrad.ops.core import (
    BROADCAST,
    RESHAPE,
    as_float,
    astype,
    broadcast_to,
    explaining,
    reshape,
    sum,
)
from minigrad.ops.index_syntax import getitem
from minigrad.ops.reduce import max as max_of
from minigrad.ops.reduce import min as min_of
from minigrad.ops.reduce import root
from minigrad.ops.shape import matrix_transpose, moveaxis, permute_dims
from minigrad.types import (
    TensorType,
    as_integer,
    as_items,
    as_number,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    promote,
)

# --- matmul ------------------------------------------------------------------------------------


def matmul_type(a: TensorType, b: TensorType) -> TensorType:
    """The type of a @ b, of equal stacks of matrices; raises ShapeError or DTypeError."""
    if a.dtype != b.dtype:
        raise DTypeError(f"cannot multiply {a.dtype} and {b.dtype}")
    if min(a.ndim, b.ndim) < 2 or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"matrices of shapes {a.shape} and {b.shape} do not multiply")
    return a.with_shape((*a.shape[:-1], b.shape[-1]))


def _matmul_transpose(cotangent: Expr, out: Expr) -> Terms:
    a, b = out.args
    return (
        make(MATMUL, (cotangent, matrix_transpose(b))),
        make(MATMUL, (matrix_transpose(a), cotangent)),
    )


def _matmul_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    a, b = args
    if all(many) or node.ndim > 2:
        wide = [x if m else repeat_along(x, n) for x, m in zip(args, many, strict=True)]
        return make(MATMUL, tuple(wide))
    if many[0]:  # one large product, of all rows
        rows = reshape(a, (n * node.shape[0], a.shape[-1]))
        return reshape(make(MATMUL, (rows, b)), (n, *node.shape))
    columns = reshape(permute_dims(b, (0, 2, 1)), (n * node.shape[1], b.shape[1]))
    product = make(MATMUL, (columns, permute_dims(a)))
    return permute_dims(reshape(product, (n, *node.shape[::-1])), (0, 2, 1))


def _matmul_jacobian(out: Expr, i: int) -> Expr | None:
    """B.T of a row a @ B, and A of a column A @ b."""
    a, b = out.args
    if out.ndim == 2 and (a, b)[i].shape[i] == 1:
        return a if i else matrix_transpose(b)
    return None


MATMUL = register(
    Op(
        "matmul",
        matmul_type,
        np.matmul,
        transpose=_matmul_transpose,
        batch=_matmul_batch,
        symbol="@",
        infix=5,
        latex="{0} \\, {1}",
        rule="product rule for matrices",
        jacobian=_matmul_jacobian,
        out=True,
    )
)


@public_op(MATMUL)
def matmul(a: Any, b: Any, /) -> Expr:
    """Matrix product, also `a @ b`: vectors, matrices and stacks of them, as in NumPy.

    Raises ShapeError when the inner dimensions differ.

    >>> matmul(as_expr([[1, 2], [3, 4]]), [1, 1]).eval()
    array([3, 7])
    """
    a, b = as_expr(a), as_expr(b)
    with explaining("matmul", a, b):
        if not a.ndim or not b.ndim:
            raise ShapeError("matmul takes no scalars; use * to scale")
        if a.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
            raise ShapeError(
                f"inner dimensions differ: {a.shape[-1]} and {b.shape[max(b.ndim - 2, 0)]}"
            )
        dtype = promote(a.dtype, b.dtype)
        return _matmul_shaped(astype(a, dtype), astype(b, dtype))


def _matmul_shaped(a: Expr, b: Expr) -> Expr:
    if a.ndim == 1 or b.ndim == 1:
        rows = reshape(a, (1, -1)) if a.ndim == 1 else a
        columns = reshape(b, (-1, 1)) if b.ndim == 1 else b
        out = _matmul_shaped(rows, columns)
        matrix_axes = (out.shape[-2],) * (a.ndim > 1) + (out.shape[-1],) * (b.ndim > 1)
        return reshape(out, (*out.shape[:-2], *matrix_axes))
    if b.ndim == 2 and a.ndim > 2:
        # One large product, where a stack of products would also repeat b in its gradient.
        rows = reshape(a, (-1, a.shape[-1])) if a.size else reshape(a, (_rows(a), a.shape[-1]))
        return reshape(make(MATMUL, (rows, b)), (*a.shape[:-1], b.shape[-1]))
    stack = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = broadcast_to(a, (*stack, *a.shape[-2:]))
    b = broadcast_to(b, (*stack, *b.shape[-2:]))
    return make(MATMUL, (a, b))


def _rows(a: Expr) -> int:
    return int(np.prod(a.shape[:-1]))


def as_matmul(
    node: Expr, is_shown: Callable[[Expr], object]
) -> tuple[Expr, tuple[Expr, Expr]] | None:
    """(product of matrices, (a, b)) of a node that is `a @ b` in another shape; None for others.

    is_shown: what a reader is to see, so that neither it nor what it is made of is left out.

    >>> import minigrad as mg
    >>> x, W = mg.var("x", (5, 2, 3)), mg.var("W", (3, 4))
    >>> matrices, (a, b) = as_matmul(x @ W, lambda node: False)
    >>> matrices.shape, a is x, b is W
    ((10, 4), True, True)
    """
    inner = node
    while inner.op is RESHAPE:
        inner = inner.args[0]
        if is_shown(inner):
            return None
    if inner is node or inner.op is not MATMUL:
        return None
    for a, b in product(*[_unshaped(x, is_shown) for x in inner.args]):
        try:
            if a.ndim and b.ndim and _matmul_shaped(a, b) is node:
                return inner, (a, b)
        except ShapeError:
            continue
    return None


def _unshaped(x: Expr, is_shown: Callable[[Expr], object]) -> Iterator[Expr]:
    """An operand, and what it is another shape of."""
    yield x
    while x.op in (RESHAPE, BROADCAST) and not is_shown(x):
        x = x.args[0]
        yield x


# --- compositions of products ------------------------------------------------------------------


@public
def tensordot(a: Any, b: Any, /, axes: int | Sequence[Sequence[int]] = 2) -> Expr:
    """Sum of products over pairs of axes, as numpy.tensordot.

    >>> tensordot(as_expr([1.0, 2.0]), as_expr([3.0, 4.0]), axes=1).eval()
    np.float64(11.0)
    """
    a, b = as_expr(a), as_expr(b)
    with explaining("tensordot", a, b):
        left, right = _paired_axes(a, b, axes)
        if [a.shape[k] for k in left] != [b.shape[k] for k in right]:
            raise ShapeError("the paired axes differ in length")
    rest_a = [k for k in range(a.ndim) if k not in left]
    rest_b = [k for k in range(b.ndim) if k not in right]
    shape = [a.shape[k] for k in rest_a], [b.shape[k] for k in rest_b]
    inner = int(np.prod([a.shape[k] for k in left]))
    rows, columns = int(np.prod(shape[0])), int(np.prod(shape[1]))
    flat_a = reshape(permute_dims(a, rest_a + left), (rows, inner))
    flat_b = reshape(permute_dims(b, right + rest_b), (inner, columns))
    return reshape(matmul(flat_a, flat_b), shape[0] + shape[1])


def _paired_axes(a: Expr, b: Expr, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(f"cannot sum over {axes} axes: the operands have {a.ndim}, {b.ndim}")
        axes = range(a.ndim - axes, a.ndim), range(axes)
    first, second = _pair(axes)
    left = [normalize_axis(k, a.ndim) for k in first]
    right = [normalize_axis(k, b.ndim) for k in second]
    if len(set(left)) != len(left) or len(set(right)) != len(right):
        raise ShapeError(f"axes {axes} name an axis twice")
    return left, right


def _pair(axes: Any) -> list[list[Any]]:
    """Axes of each operand as two lists. Raises ShapeError."""
    pair = as_items(axes, "axes")
    if len(pair) != 2:
        raise ShapeError(f"axes are a number, or a list for each of two operands, not {axes!r:.60}")
    return [[k] if isinstance(k, int) else as_items(k, "the axes of an operand") for k in pair]


@public
def vecdot(a: Any, b: Any, /, axis: int = -1) -> Expr:
    """Sum of products along an axis, in the dtype of the products.

    >>> vecdot([[1, 2], [3, 4]], [1, 10]).eval()
    array([21, 43])
    """
    a, b = as_expr(a), as_expr(b)
    with explaining("vecdot", a, b):
        lengths = [x.shape[normalize_axis(axis, x.ndim)] for x in (a, b)]
        if lengths[0] != lengths[1]:
            raise ShapeError(f"the axes that are summed have lengths {lengths[0]} and {lengths[1]}")
    products = multiply(a, b)
    return sum(products, axis, dtype=products.dtype)


@public
def dot(a: Any, b: Any, /) -> Expr:
    """NumPy's dot: product of scalars, inner product of vectors, matrix product."""
    a, b = as_expr(a), as_expr(b)
    if not a.ndim or not b.ndim:
        return multiply(a, b)
    return matmul(a, b) if b.ndim <= 2 else tensordot(a, b, ((-1,), (-2,)))


@public
def outer(a: Any, b: Any, /) -> Expr:
    """All products of elements of two vectors."""
    return multiply(reshape(a, (-1, 1)), reshape(b, (1, -1)))


@public
def cross(a: Any, b: Any, /, axis: int = -1) -> Expr:
    """Vector product of three-element vectors along an axis.

    >>> cross(as_expr([1, 0, 0]), [0, 1, 0]).eval()
    array([0, 0, 1])
    """
    a, b = moveaxis(a, axis, -1), moveaxis(b, axis, -1)
    with explaining("cross", a, b):
        if a.shape[-1] != 3 or b.shape[-1] != 3:
            raise ShapeError("cross takes vectors of three elements")
    ahead, behind = (..., np.array([1, 2, 0])), (..., np.array([2, 0, 1]))
    product = subtract(
        multiply(a[ahead], b[behind]),
        multiply(a[behind], b[ahead]),
    )
    return moveaxis(product, -1, axis)


@public
def diagonal(x: Any, /, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Expr:
    """The diagonal of two axes, as the last axis.

    >>> diagonal(as_expr([[1, 2], [3, 4]])).eval()
    array([1, 4])
    """
    x = as_expr(x)
    with explaining("diagonal", x):
        axes = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
        offset = as_integer(offset, "the offset")
    x = moveaxis(x, axes, (-2, -1))
    rows, columns = x.shape[-2:]
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    k = np.arange(n)
    below, above = (-min(offset, 0), max(offset, 0)) if n else (0, 0)
    return getitem(x, (..., k + below, k + above))


@public
def trace(x: Any, /, offset: int = 0, *, dtype: npt.DTypeLike | None = None) -> Expr:
    """Sum of the diagonal of the last two axes; dtype as for `sum`."""
    return sum(diagonal(x, offset), -1, dtype=dtype)


def largest(
    sizes: Expr, axis: int | Sequence[int] | None = None, *, keepdims: bool = False
) -> Expr:
    """The largest of numbers that are not negative; 0 of none."""
    some = sizes.size or 0 not in [sizes.shape[k] for k in normalize_axes(axis, sizes.ndim)]
    return (max_of if some else sum)(sizes, axis, keepdims=keepdims)


@public
def vector_norm(
    x: Any, /, axis: int | Sequence[int] | None = None, *, keepdims: bool = False, ord: float = 2
) -> Expr:
    """The norm (Σ|x|^ord)^(1/ord) over axes; ord may be ±inf, 0, 1, 2 or another number.

    The derivatives of the norm of zeros are 0.

    >>> vector_norm(as_expr([3.0, 4.0])).eval()
    np.float64(5.0)
    """
    x = as_float(x)
    with explaining("vector_norm", x):
        as_number(ord, "the ord of a vector norm")
    if ord == 2:
        return root(sum(x * x, axis, keepdims=keepdims))
    size = abs(x)
    if ord == np.inf:
        return largest(size, axis, keepdims=keepdims)
    if ord == -np.inf:
        return min_of(size, axis, keepdims=keepdims)
    if ord == 1:
        return sum(size, axis, keepdims=keepdims)
    if ord == 0:
        return sum(astype(x != 0, x.dtype), axis, keepdims=keepdims)
    total = sum(size**ord, axis, keepdims=keepdims)
    return root(total, ord) if ord > 0 else total ** (1 / ord)
