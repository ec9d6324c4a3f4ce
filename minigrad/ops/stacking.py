"""Putting tensors together and taking them apart, by NumPy's names and call forms.

All are compositions of concat, reshape and indexing; there is no op here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, OutOfRangeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops import linalg, shape
from minigrad.ops.core import astype, broadcast_to, explaining, reshape
from minigrad.ops.creation import zeros
from minigrad.ops.index_syntax import flip, take
from minigrad.ops.shape import concat, moveaxis, permute_dims, swapaxes
from minigrad.types import Array, as_array, as_integer, as_items, normalize_axis

Arrays = Sequence[Any]
MOST_PARTS = 1 << 20
"""Parts that a cut gives at most, each of which is an expression."""

# --- as many axes as needed ------------------------------------------------------------------


def _each(function: Any, arrays: Arrays) -> Any:
    results = tuple([function(as_expr(x)) for x in arrays])
    return results[0] if len(results) == 1 else results


@numpy_form()
def atleast_1d(*arrays: Any) -> Any:
    """Scalars as vectors of one element, all else as it is; a tuple of several operands.

    >>> atleast_1d(as_expr(2.0)).shape
    (1,)
    """
    return _each(lambda x: x if x.ndim else reshape(x, 1), arrays)


@numpy_form()
def atleast_2d(*arrays: Any) -> Any:
    """Scalars and vectors as matrices of one row; a tuple of several operands."""
    return _each(lambda x: reshape(x, (1,) * (2 - x.ndim) + x.shape), arrays)


@numpy_form()
def atleast_3d(*arrays: Any) -> Any:
    """Three axes: (1, n, 1) of a vector, (m, n, 1) of a matrix; a tuple of several operands."""
    return _each(_three_axes, arrays)


def _three_axes(x: Expr) -> Expr:
    if x.ndim >= 3:
        return x
    return reshape(x, (*x.shape, 1) if x.ndim == 2 else (1, x.size, 1))


# --- joining -----------------------------------------------------------------------------------


def _joined(arrays: Arrays, axis: int, dtype: Any) -> Expr:
    joined = concat(arrays, axis)
    return joined if dtype is None else astype(joined, dtype)


@numpy_form("vstack", "row_stack")
def vstack(tup: Arrays, *, dtype: Any = None, casting: str = "same_kind") -> Expr:
    """Rows, or stacks of rows, one under the other.

    >>> vstack([as_expr([1, 2]), [3, 4]]).eval()
    array([[1, 2],
           [3, 4]])
    """
    return _joined([atleast_2d(x) for x in as_items(tup, "what vstack joins")], 0, dtype)


@numpy_form()
def hstack(tup: Arrays, *, dtype: Any = None, casting: str = "same_kind") -> Expr:
    """Side by side: along the second axis, vectors along their only one."""
    parts = [atleast_1d(x) for x in as_items(tup, "what hstack joins")]
    return _joined(parts, 0 if parts and parts[0].ndim == 1 else 1, dtype)


@numpy_form()
def dstack(tup: Arrays) -> Expr:
    """Joined along a third axis."""
    return _joined([atleast_3d(x) for x in as_items(tup, "what dstack joins")], 2, None)


@numpy_form()
def column_stack(tup: Arrays) -> Expr:
    """Vectors as columns, and matrices, side by side."""
    exprs = [as_expr(x) for x in as_items(tup, "what column_stack joins")]
    return concat([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in exprs], 1)


@numpy_form()
def append(arr: Any, values: Any, axis: int | None = None) -> Expr:
    """Values joined at the end of an axis; of all elements, where none is given."""
    return concat([arr, values], axis)


@numpy_form()
def block(arrays: Any) -> Expr:
    """A tensor of blocks: the innermost lists are joined along the last axis, and so on outwards.

    >>> block([[as_expr([[1]]), as_expr([[2]])], [as_expr([[3, 4]])]]).eval()
    array([[1, 2],
           [3, 4]])
    """
    depth, leaves = _depth(arrays), _leaves(arrays)
    if not leaves:
        raise ShapeError("block needs at least one tensor")
    ndim = max(depth, *[x.ndim for x in leaves])
    return _joined_blocks(arrays, depth, ndim)


def _depth(arrays: Any) -> int:
    return 1 + _depth(arrays[0]) if isinstance(arrays, list) and arrays else 0


def _leaves(arrays: Any) -> list[Expr]:
    if isinstance(arrays, list):
        return [leaf for part in arrays for leaf in _leaves(part)]
    return [as_expr(arrays)]


def _joined_blocks(arrays: Any, depth: int, ndim: int) -> Expr:
    if not isinstance(arrays, list):
        x = as_expr(arrays)
        return reshape(x, (1,) * (ndim - x.ndim) + x.shape)
    if any(_depth(part) != depth - 1 for part in arrays):
        raise ShapeError("block needs lists nested to one depth")
    return concat([_joined_blocks(part, depth - 1, ndim) for part in arrays], -depth)


# --- taking apart ------------------------------------------------------------------------------


def _cut(x: Expr, bounds: Sequence[int], axis: int) -> list[Expr]:
    before = (slice(None),) * axis
    ends = [*bounds, None]
    starts = [0, *bounds]
    return [x[(*before, slice(i, j))] for i, j in zip(starts, ends, strict=True)]


@numpy_form()
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Expr]:
    """Cut along an axis into n nearly equal parts, or at the given indices.

    >>> [part.shape for part in array_split(as_expr([1, 2, 3]), 2)]
    [(2,), (1,)]
    """
    x = as_expr(ary)
    with explaining("array_split", x):
        k = normalize_axis(axis, x.ndim)
        if not isinstance(indices_or_sections, (int, np.integer)):
            places = as_items(indices_or_sections, "the parts, unless a number of them,")
            return _cut(x, [as_integer(i, "a place to cut at") for i in places], k)
        parts = int(indices_or_sections)
        if not 1 <= parts <= MOST_PARTS:
            raise ShapeError(f"there is no cutting into {parts} parts")
    least, longer = divmod(x.shape[k], parts)
    return _cut(x, [least * j + min(j, longer) for j in range(1, parts)], k)


@numpy_form()
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Expr]:
    """Cut along an axis into n equal parts, or at the given indices."""
    x = as_expr(ary)
    with explaining("split", x):
        n = x.shape[normalize_axis(axis, x.ndim)]
        if isinstance(indices_or_sections, (int, np.integer)) and n % indices_or_sections:
            raise ShapeError(f"{n} elements do not divide into {indices_or_sections} equal parts")
    return array_split(x, indices_or_sections, axis)


@numpy_form()
def vsplit(ary: Any, indices_or_sections: Any) -> list[Expr]:
    """Cut along the first axis."""
    return _split_along(ary, indices_or_sections, 0, 2)


@numpy_form()
def hsplit(ary: Any, indices_or_sections: Any) -> list[Expr]:
    """Cut along the second axis, a vector along its only one."""
    return _split_along(ary, indices_or_sections, min(as_expr(ary).ndim - 1, 1), 1)


@numpy_form()
def dsplit(ary: Any, indices_or_sections: Any) -> list[Expr]:
    """Cut along the third axis."""
    return _split_along(ary, indices_or_sections, 2, 3)


def _split_along(x: Any, where: Any, axis: int, least: int) -> list[Expr]:
    if as_expr(x).ndim < least:
        raise ShapeError(f"an operand of at least {least} axes is needed")
    return split(x, where, axis)


# --- elements in and out -----------------------------------------------------------------------


@numpy_form()
def delete(arr: Any, obj: Any, axis: int | None = None) -> Expr:
    """Without the elements at the given indices of an axis, or of all elements.

    >>> delete(as_expr([1, 2, 3]), 1).eval()
    array([1, 3])
    """
    x, k = (reshape(arr, -1), 0) if axis is None else (as_expr(arr), axis)
    with explaining("delete", x):
        k = normalize_axis(k, x.ndim)
    return take(x, _changed(np.delete, np.arange(x.shape[k]), _static(obj, "delete")), k)


@numpy_form()
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Expr:
    """With values put before the given indices of an axis, or of all elements.

    >>> insert(as_expr([1, 2, 3]), 1, 9).eval()
    array([1, 9, 2, 3])
    """
    x, k = (reshape(arr, -1), 0) if axis is None else (as_expr(arr), axis)
    with explaining("insert", x, values):
        k = normalize_axis(k, x.ndim)
        place = _static(obj, "insert")
        new = astype(values, x.dtype)
        new = reshape(new, (1,) * (x.ndim - new.ndim) + new.shape)
        if np.ndim(place) == 0:  # NumPy's rule: many values at one place, along the axis
            new = moveaxis(new, 0, k)
            count = new.shape[k]
        else:
            count = len(_changed(np.insert, np.arange(x.shape[k]), place, 0)) - x.shape[k]
        new = broadcast_to(new, (*x.shape[:k], count, *x.shape[k + 1 :]))
    n = x.shape[k]
    order = _changed(np.insert, np.arange(n), place, np.arange(n, n + count))
    return take(concat([x, new], k), order, k)


def _static(obj: Any, name: str) -> Any:
    if isinstance(obj, Expr):
        obj = np.asarray(obj)
    if isinstance(obj, slice):
        return obj
    array = as_array(obj, f"the places of {name}")
    if array.size and array.dtype.kind not in "biu":
        raise DTypeError(f"the places of {name} are integers, not {obj!r:.60}")
    return array if array.size else array.astype(np.int64)


def _changed(change: Callable[..., Array], order: Array, *rest: Any) -> Array:
    """The order after np.insert or np.delete. Raises OutOfRangeError."""
    try:
        return change(order, *rest)
    except (IndexError, ValueError) as error:
        raise OutOfRangeError(str(error)) from None


_PAD_BY_INDEX = ("edge", "reflect", "symmetric", "wrap")


@numpy_form()
def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Expr:
    """Elements added on each side of each axis; mode is as in numpy.pad.

    >>> pad(as_expr([1, 2]), (1, 2)).eval()
    array([0, 1, 2, 0, 0])
    """
    x = as_expr(array)
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(k, pad_width.get(k - x.ndim, 0)) for k in range(x.ndim)]
        pad_width = [np.broadcast_to(w, 2) for w in pad_width]
    with explaining("pad", x):
        widths = _pairs(pad_width, x.ndim)
        if mode not in ("constant", *_PAD_BY_INDEX):
            raise DTypeError(
                f"mode {mode!r} is none of constant, {', '.join(_PAD_BY_INDEX)}; write the sides "
                "with minigrad.concat"
            )
    fills = _pairs(constant_values, x.ndim) if mode == "constant" else []
    for k, (left, right) in enumerate(np.asarray(widths).tolist()):
        if mode == "constant":
            x = concat([_side(x, k, left, fills[k][0]), x, _side(x, k, right, fills[k][1])], k)
        elif left or right:
            x = take(x, np.pad(np.arange(x.shape[k]), (left, right), mode), k)  # type: ignore[call-overload]
    return x


def _pairs(values: Any, count: int) -> Any:
    """(before, after) for each axis, of one number, one pair, or a pair for each."""
    if isinstance(values, Expr):
        return [(values, values)] * count
    try:
        return np.broadcast_to(np.asarray(values), (count, 2))
    except ValueError:
        raise ShapeError(
            f"{values!r} is no number, pair, or pair for each of {count} axes"
        ) from None


def _side(x: Expr, axis: int, width: int, value: Any) -> Expr:
    return broadcast_to(astype(value, x.dtype), (*x.shape[:axis], width, *x.shape[axis + 1 :]))


# --- turning -----------------------------------------------------------------------------------


@numpy_form()
def flipud(m: Any) -> Expr:
    """The order along the first axis reversed."""
    return flip(m, 0)


@numpy_form()
def fliplr(m: Any) -> Expr:
    """The order along the second axis reversed."""
    return flip(m, 1)


@numpy_form()
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Expr:
    """Turned by 90 degrees, k times, from the first axis towards the second.

    >>> rot90(as_expr([[1, 2], [3, 4]])).eval()
    array([[2, 4],
           [1, 3]])
    """
    x = as_expr(m)
    with explaining("rot90", x):
        plane = [normalize_axis(a, x.ndim) for a in as_items(axes, "the axes")]
        if len(plane) != 2 or len(set(plane)) != 2:
            raise ShapeError("two different axes are needed")
        (first, second), k = plane, as_integer(k, "the number of turns k")
    if k % 4 == 2:
        return flip(x, (first, second))
    if k % 4 == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second) if k % 4 else x


@numpy_form()
def rollaxis(a: Any, axis: int, start: int = 0) -> Expr:
    """An axis moved to stand before another; moveaxis says it more plainly."""
    x = as_expr(a)
    with explaining("rollaxis", x):
        k = normalize_axis(axis, x.ndim)
        before = x.ndim if start == x.ndim else normalize_axis(start, x.ndim)
    order = [n for n in range(x.ndim) if n != k]
    order.insert(before - (k < before), k)
    return permute_dims(x, order)


@numpy_form()
def diag(v: Any, k: int = 0) -> Expr:
    """A vector as the k-th diagonal of a matrix of zeros, or the k-th diagonal of a matrix.

    >>> diag(as_expr([1, 2])).eval()
    array([[1, 0],
           [0, 2]])
    """
    x = as_expr(v)
    if x.ndim == 2:
        return linalg.diagonal(x, k)
    with explaining("diag", x):
        if x.ndim != 1:
            raise ShapeError("a vector or a matrix is needed")
        k = as_integer(k, "the diagonal k")
    side, n = x.size + abs(k), np.arange(x.size)
    square: Expr = zeros((side, side), x.dtype).at[n + max(-k, 0), n + max(k, 0)].set(x)
    return square


@numpy_form()
def diagflat(v: Any, k: int = 0) -> Expr:
    """All elements as the k-th diagonal of a matrix of zeros."""
    return diag(reshape(v, -1), k)


@numpy_form("meshgrid")
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    grids = shape.open_grid([reshape(x, -1) for x in xi], indexing)
    return tuple(grids) if sparse else shape.broadcast_arrays(*grids)


@numpy_form("resize")
def _resize(a: Any, new_shape: Any) -> Expr:
    x = reshape(a, -1)
    count = int(np.prod(new_shape))
    return reshape(take(x, np.arange(count) % max(x.size, 1)), new_shape)


@numpy_form("ix_")
def _ix(*args: Any) -> tuple[Expr, ...]:
    return tuple(_meshgrid(*args, sparse=True, indexing="ij"))


@numpy_form("unstack")
def _unstack(x: Any, /, *, axis: int = 0) -> tuple[Expr, ...]:
    return shape.unstack(x, axis)
