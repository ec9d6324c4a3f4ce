"""Indexing as it is written: Python's and NumPy's indices become the specs of `index`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, OpenGraphError, OutOfRangeError, ShapeError
from minigrad.graph.leaves import CONST, as_expr, const
from minigrad.graph.node import Expr, make
from minigrad.names import public
from minigrad.ops.core import broadcast_to, explaining, is_python_number, meet
from minigrad.ops.index import ARRAY, GETITEM, NEW, PUT, SCATTER, Entry, Spec, all_of, indexed_shape
from minigrad.types import (
    Shape,
    as_array,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    promote,
)


def _parse(x: Expr, index: Any) -> tuple[Spec, tuple[Expr, ...]]:
    entries = list(index) if isinstance(index, tuple) else [index]
    entries = [_as_entry(e) for e in entries]
    used = sum(e.ndim if _is_mask(e) else e is not None and e is not Ellipsis for e in entries)
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ShapeError("an index has at most one ellipsis (...)")
    if used > x.ndim:
        raise OutOfRangeError(f"too many indices: {used} for an operand with {x.ndim} axes")
    at = dots[0] if dots else len(entries)
    entries[at : at + 1] = [slice(None)] * (x.ndim - used)
    spec: list[Entry] = []
    arrays: list[Expr] = []
    axis = 0
    for entry in entries:
        for item in _expand_mask(entry, x.shape, axis):
            parsed, array = _parse_entry(item, x.shape[axis] if item is not None else 0, axis)
            spec.append(parsed)
            arrays += [] if array is None else [array]
            axis += item is not None
    return tuple(spec), tuple(arrays)


def _is_mask(entry: Any) -> bool:
    return isinstance(entry, np.ndarray) and entry.dtype == np.bool_


def _as_entry(entry: Any) -> Any:
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return entry
    if isinstance(entry, Expr) and entry.op is CONST:
        entry = entry.value
    if isinstance(entry, Expr):
        if entry.dtype != np.bool_:
            return entry
        entry = _known_mask(entry)
    if isinstance(entry, (bool, np.bool_)):
        raise DTypeError("a single boolean is an index by itself only; use None or where")
    array = np.asarray(entry)
    if array.size == 0 and not isinstance(entry, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise DTypeError(f"an index is integers, slices, None, ... or booleans, not {entry!r:.60}")
    return array if array.ndim else operator.index(array[()])


def _lone_boolean(index: Any) -> bool | None:
    """The value of a boolean without axes that is all of an index; None of any other index."""
    if isinstance(index, tuple) and len(index) == 1:
        (index,) = index
    if isinstance(index, Expr) and not index.shape and index.dtype == np.bool_:
        index = _known_mask(index)
    is_one = isinstance(index, (bool, np.bool_)) or (_is_mask(index) and not index.ndim)
    return bool(index) if is_one else None


def _known_mask(mask: Expr) -> Any:
    try:
        return np.asarray(mask)[()]
    except OpenGraphError:
        raise DTypeError(
            "indexing with a symbolic boolean array would give a shape known only later; "
            "use minigrad.where(mask, x, 0), or a NumPy mask"
        ) from None


def _expand_mask(entry: Any, shape: Shape, axis: int) -> list[Any]:
    if not _is_mask(entry):
        return [entry]
    if entry.shape != shape[axis : axis + entry.ndim]:
        raise OutOfRangeError(
            f"a boolean index of shape {entry.shape} does not fit axes of lengths "
            f"{shape[axis : axis + entry.ndim]}"
        )
    return list(np.nonzero(entry))


def _normalize_index(index: int, length: int, axis: int) -> int:
    """An index in 0..length-1. Raises OutOfRangeError."""
    if not -length <= index < length:
        raise OutOfRangeError(f"index {index} is out of range for axis {axis} of length {length}")
    return index % length


def _parse_entry(entry: Any, length: int, axis: int) -> tuple[Entry, Expr | None]:
    if entry is None:
        return NEW, None
    if isinstance(entry, slice):
        if isinstance(entry.step, int) and entry.step == 0:
            raise ShapeError("the step of a slice is not 0")
        try:
            taken = range(*entry.indices(length))
        except TypeError:
            raise DTypeError(
                "the bounds of a slice are integers known now; to index by an expression use "
                "minigrad.take(x, indices)"
            ) from None
        return _slice_of(taken), None
    if isinstance(entry, int):
        return ("i", _normalize_index(entry, length, axis)), None
    if isinstance(entry, np.ndarray):
        bad = entry[(entry < -length) | (entry >= length)]
        if bad.size:
            raise OutOfRangeError(
                f"index {bad.flat[0]} is out of range for axis {axis} of length {length}"
            )
        signed = entry.astype(np.int64)  # a length may be too large for the dtype of indices
        entry = const(np.where(signed < 0, signed + length, signed))
    return ARRAY, entry


def _slice_of(taken: range) -> Entry:
    """The entry of a slice, one for all that select the same: see `index._fits`."""
    n = len(taken)
    return ("s", taken.start if n else 0, n, taken.step if n > 1 else 1)


@public
def getitem(x: Any, index: Any, /) -> Expr:
    """x[index], with integers, slices, None, ..., integer and boolean arrays as in NumPy.

    Raises ShapeError for an index out of range, DTypeError for one of another kind.

    >>> x = const([[1, 2, 3], [4, 5, 6]])
    >>> getitem(x, (slice(None), -1)).eval()
    array([3, 6])
    """
    operand = as_expr(x)
    with explaining("indexing", operand):
        alone = _lone_boolean(index)
        if alone is not None:  # one element or none along a new axis
            return getitem(getitem(operand, None), slice(0, int(alone)))
        spec, arrays = _parse(operand, index)
    if spec == all_of(operand.shape):
        return operand
    return make(GETITEM, (operand, *arrays), (spec,))


class _At:
    """`x.at[index]`: what to do there."""

    def __init__(self, x: Expr, index: Any) -> None:
        self._x = x
        with explaining("indexing", x):
            self._spec, self._arrays = _parse(x, index)

    def _values(self, values: Any) -> Expr:
        shape = indexed_shape(self._x.shape, self._spec, tuple(a.type for a in self._arrays))
        dtype = self._x.dtype
        weak = is_python_number(values)
        with explaining("at", self._x, values):
            source_dtype = promote(dtype, values) if weak else as_expr(values).dtype
            if not np.can_cast(source_dtype, dtype, "same_kind"):
                raise DTypeError(f"cannot put {source_dtype} into {dtype}")
            (fitting,) = meet("at", values, dtype=dtype)
            if broadcast_shapes(fitting.shape, shape) != shape:
                raise ShapeError(f"values of shape {fitting.shape} do not fit {shape}")
        return broadcast_to(fitting, shape)

    def get(self) -> Expr:
        """The elements there: x[index]."""
        return make(GETITEM, (self._x, *self._arrays), (self._spec,))

    def set(self, values: Any) -> Expr:
        """x with the elements there replaced; where an index occurs twice the last stays."""
        return make(PUT, (self._x, self._values(values), *self._arrays), (self._spec,))

    def add(self, values: Any) -> Expr:
        """x with values added there; where an index occurs twice both are added."""
        added = make(SCATTER, (self._values(values), *self._arrays), (self._spec, self._x.shape))
        return self._x + added


class _AtIndexer:
    def __init__(self, x: Expr) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> _At:
        return _At(self._x, index)


@public
def at(x: Expr) -> _AtIndexer:
    """x.at[index]: functional update; see its `set`, `add` and `get`."""
    return _AtIndexer(as_expr(x))


@public
def take(x: Any, indices: Any, /, axis: int | None = None) -> Expr:
    """Elements along an axis by integer indices; the axis may be left out for one-axis operands.

    >>> take(const([10, 20, 30]), [2, 0]).eval()
    array([30, 10])
    """
    x, indices = as_expr(x), _as_indices(indices)
    with explaining("take", x, indices):
        if axis is None and x.ndim != 1:
            raise ShapeError("say which axis to take along")
        k = normalize_axis(axis or 0, x.ndim)
        if indices.dtype.kind not in "iu":
            raise DTypeError(f"indices are integers, not {indices.dtype}")
        return getitem(x, ((slice(None),) * k) + (indices,))


def _as_indices(indices: Any) -> Expr:
    """Indices as an expression; of no elements, they are integers."""
    if isinstance(indices, Expr):
        return as_expr(indices)
    array = as_array(indices, "indices")
    return const(array if array.size else array.astype(np.int64))


@public
def take_along_axis(x: Any, indices: Any, /, axis: int = -1) -> Expr:
    """out[..., j, ...] = x[..., indices[..., j, ...], ...] along an axis.

    >>> take_along_axis(const([[3, 1, 2]]), const([[1, 2, 0]])).eval()
    array([[1, 2, 3]])
    """
    x, indices = as_expr(x), as_expr(indices)
    grid = [
        np.arange(n).reshape([n if j == d else 1 for j in range(x.ndim)])
        for d, n in enumerate(x.shape)
    ]
    with explaining("take_along_axis", x, indices):
        k = normalize_axis(axis, x.ndim)
        if indices.ndim != x.ndim:
            raise ShapeError("the indices need as many axes as the operand")
        return getitem(x, tuple([indices if d == k else g for d, g in enumerate(grid)]))


@public
def flip(x: Any, /, axis: int | tuple[int, ...] | None = None) -> Expr:
    """The order of elements reversed along axes (all by default).

    >>> flip(const([1, 2, 3])).eval()
    array([3, 2, 1])
    """
    x = as_expr(x)
    with explaining("flip", x):
        flipped = normalize_axes(axis, x.ndim)
    return getitem(x, tuple([slice(None, None, -1 if d in flipped else 1) for d in range(x.ndim)]))
