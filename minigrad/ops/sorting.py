"""Sorting and searching: what gives places of elements, and what follows them.

Places have no derivative; what is taken from them has that of its elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Attr, Expr, Op, make, register
from minigrad.names import public
from minigrad.ops.batch import repeat_along
from minigrad.ops.comparisons import isnan, logical_and, logical_not, logical_or
from minigrad.ops.core import (
    AXIS,
    astype,
    explaining,
    is_python_number,
    keep_axes,
    meet,
    reshape,
    sum,
)
from minigrad.ops.index_syntax import flip, take, take_along_axis
from minigrad.ops.reduce import along, one_axis
from minigrad.types import INT64, TensorType, normalize_axis, promote


def _arg_type(x: TensorType, axis: int) -> TensorType:
    rest = along(x, axis)
    if x.shape[axis] == 0:
        raise ShapeError(f"no extreme of no elements: shape {x.shape}, axis {axis}")
    return TensorType(rest, INT64)


def _argsort_type(x: TensorType, axis: int) -> TensorType:
    along(x, axis)
    return x.with_dtype(INT64)


ARGMAX = register(
    Op(
        "argmax",
        _arg_type,
        lambda x, axis: np.argmax(x, axis),
        no_gradient=True,
        attrs=(AXIS,),
        stacks=True,
    )
)
ARGMIN = register(
    Op(
        "argmin",
        _arg_type,
        lambda x, axis: np.argmin(x, axis),
        no_gradient=True,
        attrs=(AXIS,),
        stacks=True,
    )
)
ARGSORT = register(
    Op(
        "argsort",
        _argsort_type,
        lambda x, axis: np.argsort(x, axis, kind="stable"),
        no_gradient=True,
        attrs=(AXIS,),
        stacks=True,
    )
)


def _arg(op: Op, x: Any, axis: int | None, keepdims: bool) -> Expr:
    x = as_expr(x)
    y, k = one_axis(x, axis, op.name)
    out = make(op, (y,), (k,))
    if not keepdims:
        return out
    return reshape(out, (1,) * x.ndim if axis is None else keep_axes(x.shape, (k,)))


@public
def argmax(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Expr:
    """Index of the (first) largest element, of all or along an axis.

    >>> argmax(as_expr([3, 9, 4])).eval()
    np.int64(1)
    """
    return _arg(ARGMAX, x, axis, keepdims)


@public
def argmin(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Expr:
    """Index of the (first) smallest element, of all or along an axis."""
    return _arg(ARGMIN, x, axis, keepdims)


@public
def argsort(x: Any, /, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Expr:
    """Indices that sort along an axis, keeping the order of equal elements, whatever `stable` says.

    >>> argsort(as_expr([3, 1, 2])).eval()
    array([1, 2, 0])
    """
    x, k = one_axis(x, axis, "argsort")
    if not descending:
        return make(ARGSORT, (x,), (k,))
    # Sorting the reverse and counting from its end keeps equal elements in order.
    return flip(x.shape[k] - 1 - make(ARGSORT, (flip(x, k),), (k,)), k)


@public
def sort(x: Any, /, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Expr:
    """Elements sorted along an axis; the derivative follows each element to its place.

    >>> sort(as_expr([3, 1, 2])).eval()
    array([1, 2, 3])
    """
    x = as_expr(x)
    with explaining("sort", x):
        normalize_axis(axis, x.ndim)
    return take_along_axis(x, argsort(x, axis, descending=descending), axis)


def _searchsorted_type(sorted_: TensorType, values: TensorType, side: str) -> TensorType:
    if sorted_.ndim != 1 or sorted_.dtype != values.dtype:
        raise ShapeError(f"values of {values!r} are not looked up in {sorted_!r}: that is a vector")
    if side not in ("left", "right"):
        raise ShapeError(f'the side is "left" or "right", not {side!r}')
    return values.with_dtype(INT64)


def _searchsorted_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    if not many[0]:
        return make(node.op, tuple(args), node.attrs)
    values = args[1] if many[1] else repeat_along(args[1], n)
    own = reshape(args[0], (n, *(1,) * (values.ndim - 1), -1))
    asked = reshape(values, (*values.shape, 1))
    # How many stand before it; NaN stands last.
    before = own < asked if node.attrs[0] == "left" else own <= asked
    if values.type.is_float:
        no_number = isnan(asked)
        if node.attrs[0] == "left":
            no_number = logical_and(no_number, logical_not(isnan(own)))
        before = logical_or(before, no_number)
    return sum(before, -1)


SEARCHSORTED = register(
    Op(
        "searchsorted",
        _searchsorted_type,
        np.searchsorted,
        no_gradient=True,
        attrs=(Attr("side"),),
        batch=_searchsorted_batch,
    )
)


@public
def searchsorted(
    x1: Any, x2: Any, /, *, side: Literal["left", "right"] = "left", sorter: Any = None
) -> Expr:
    """Where elements of x2 belong in the sorted vector x1: before equal ones, or behind.

    side: "left" is before elements that are equal, "right" behind them. sorter: the indices that
    sort x1, if it is not sorted.

    >>> searchsorted(as_expr([1, 2, 2, 3]), [0, 2, 9]).eval()
    array([0, 1, 4])
    """
    x1 = as_expr(x1) if sorter is None else take(x1, sorter)
    with explaining("searchsorted", x1, x2):
        values = x2 if is_python_number(x2) else as_expr(x2)
        dtype = promote(x1.dtype, values.dtype if isinstance(values, Expr) else values)
        (values,) = meet("searchsorted", values, dtype=dtype)
        return make(SEARCHSORTED, (astype(x1, dtype), values), (side,))
