"""One of several values, element by element: where, maximum, minimum, clip."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.errors import DTypeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr, Op, Terms, make, register
from minigrad.names import public, public_op
from minigrad.ops.core import astype, broadcast_to, explaining, full_like, meet, same_type
from minigrad.ops.pointwise import binary
from minigrad.types import BOOL, TensorType, broadcast_shapes, require_tensors


@lru_cache(maxsize=256)
def _where_type(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    require_tensors((condition, a, b))
    if condition.dtype != BOOL:
        raise DTypeError(f"where takes a boolean condition, not {condition.dtype}")
    same_type(condition.with_dtype(a.dtype), a, b)
    return a


def _where_transpose(cotangent: Expr, out: Expr) -> Terms:
    condition, zero = out.args[0], full_like(cotangent, 0)
    sides = (condition, cotangent, zero), (condition, zero, cotangent)
    return (None, *(make(WHERE, side) for side in sides))


WHERE = register(
    Op("where", _where_type, np.where, transpose=_where_transpose, jointly=True, pointwise=True)
)


@public_op(WHERE)
def where(condition: Any, a: Any, b: Any, /) -> Expr:
    """a where the condition holds, b elsewhere. The side not taken gets derivative 0, never NaN.

    >>> where(as_expr([True, False]), 1.0, [2.0, 3.0]).eval()
    array([1., 3.])
    """
    a, b = meet("where", a, b)
    condition = astype(condition, BOOL)
    with explaining("where", condition, a, b):
        shape = broadcast_shapes(condition.shape, a.shape)
    return make(WHERE, tuple(broadcast_to(x, shape) for x in (condition, a, b)))


def _larger(a: Expr, b: Expr) -> Expr:
    # One mask outside, known for one: what meets it is not 0·∞ on the other side.
    return where(a >= b, where(a == b, full_like(a, 0.5), 1), 0)


maximum = binary(
    "maximum",
    "The larger of a and b; NaN if either is. A tie gives half the derivative to each.",
    np.maximum,
    (lambda y, a, b: _larger(a, b), lambda y, a, b: _larger(b, a)),
    commutative=True,
)
minimum = binary(
    "minimum",
    "The smaller of a and b; NaN if either is. A tie gives half the derivative to each.",
    np.minimum,
    (lambda y, a, b: _larger(b, a), lambda y, a, b: _larger(a, b)),
    commutative=True,
)


@public
def clip(x: Any, /, min: Any = None, max: Any = None) -> Expr:
    """x limited to [min, max]; None leaves a side open. At a limit the derivative is half.

    >>> clip(as_expr([-2.0, 0.5, 2.0]), -1, 1).eval()
    array([-1. ,  0.5,  1. ])
    """
    x, *limits = meet("clip", *[a for a in (as_expr(x), min, max) if a is not None])
    if min is not None:
        x = maximum(x, limits.pop(0))
    return x if max is None else minimum(x, limits.pop())
