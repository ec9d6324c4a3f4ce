"""Indexing: one op that reads (getitem), its transpose (scatter), and one that overwrites (put).

An index is kept as a static spec, one tuple per entry, so that nodes intern and files load:
("i", k) an integer, ("s", start, length, step) a slice, ("n",) a new axis, ("a",) an integer array,
which is an argument of the node.
"""

from __future__ import annotations

import operator
import reprlib
from functools import lru_cache
from typing import Any, TypeAlias, cast

import numpy as np

from minigrad.errors import DTypeError, OpenGraphError, OutOfRangeError, ShapeError
from minigrad.graph.leaves import CONST, as_expr, const
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.choice import where
from minigrad.ops.core import SHAPE, broadcast_to, explaining, is_python_number, meet
from minigrad.ops.index_batch import getitem_batch, put_batch, scatter_batch
from minigrad.types import (
    Array,
    Shape,
    TensorType,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    promote,
    require_integers,
)

Entry: TypeAlias = tuple[Any, ...]
Spec: TypeAlias = tuple[Entry, ...]
_ARRAY: Entry = ("a",)
_NEW: Entry = ("n",)


# --- the op's side: from a spec to NumPy's index -----------------------------------------------


@lru_cache(maxsize=4096)
def _static_index(spec: Spec) -> tuple[Any, ...]:
    return tuple(_static_entry(e) for e in spec)


def _static_entry(entry: Entry) -> Any:
    if entry[0] == "s":
        _, start, length, step = entry
        if length == 0:
            return slice(0, 0, 1)
        stop = start + length * step
        return slice(start, stop if stop >= 0 else None, step)
    return entry[1] if entry[0] == "i" else None


def _numpy_index(spec: Spec, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    index = _static_index(spec)
    if not arrays:
        return index
    waiting = iter(arrays)
    return tuple([next(waiting) if e == _ARRAY else i for e, i in zip(spec, index, strict=True)])


def _indexed_shape(shape: Shape, spec: Spec, indices: tuple[TensorType, ...]) -> Shape:
    """The shape of x[index]; raises ShapeError for a spec that does not fit x."""
    _check_spec(shape, spec, len(indices))
    for t in indices:
        if t.dtype.kind not in "iu":
            raise DTypeError(f"an index array holds integers, not {t.dtype}")
    rest = tuple([1 if e == _NEW else e[2] for e in spec if e[0] in "ns"])
    if not indices:
        return rest
    # NumPy's rule: arrays, and integers beside them, give the axes that the arrays broadcast to,
    # where the first of them stands; in front, where something else stands between them.
    points = [e[0] in "ai" for e in spec]
    first = points.index(True)
    beside = all(points[first : first + sum(points)])
    at = first if beside else 0
    return (*rest[:at], *broadcast_shapes(*[t.shape for t in indices]), *rest[at:])


def check_constant_indices(node: Expr) -> None:
    """Raise ShapeError where an index array that is a constant points outside.

    NumPy says so only when the node runs, and a rewrite may leave it out: files are refused.
    """
    whole = node.shape if node.op is SCATTER else node.args[0].shape
    arrays = iter(node.args[2 if node.op is PUT else 1 :])
    lengths = iter(whole)
    for entry in node.attrs[0]:
        n = next(lengths) if entry != _NEW else 0
        index = next(arrays) if entry == _ARRAY else None
        if index is None or index.op is not CONST or not index.size:
            continue
        if not -n <= int(index.value.min()) <= int(index.value.max()) < n:
            raise ShapeError(f"an index array points outside of an axis of length {n}")


_FORMS = {"n": (str,), "a": (str,), "i": (str, int), "s": (str, int, int, int)}


def _check_spec(shape: Shape, spec: Spec, arrays: int) -> None:
    """Raise ShapeError unless `_parse` makes such a spec: machine code trusts it."""
    if type(spec) is not tuple or not all(map(_has_form, spec)):
        raise ShapeError(f"not an index: {reprlib.repr(spec)}")
    if sum([e != _NEW for e in spec]) != len(shape) or sum([e == _ARRAY for e in spec]) != arrays:
        raise ShapeError(f"index {spec} does not fit an operand of shape {shape}")
    lengths = iter(shape)
    for entry in spec:
        n = next(lengths) if entry != _NEW else 0
        if entry[0] == "i" and not 0 <= entry[1] < n:
            raise ShapeError(f"index {entry[1]} is out of range for an axis of length {n}")
        if entry[0] == "s" and not _fits(entry, n):
            raise ShapeError(f"slice {entry} does not fit an axis of length {n}")


def _has_form(entry: Any) -> bool:
    return (
        type(entry) is tuple
        and bool(entry)
        and type(entry[0]) is str
        and _FORMS.get(entry[0]) == tuple(map(type, entry))
    )


def _fits(entry: Entry, n: int) -> bool:
    """Whether a slice is within an axis of length n; of fewer than two elements its step is 1."""
    _, start, length, step = cast("tuple[str, int, int, int]", entry)
    if length < 2:
        return step == 1 and (start == 0 if length == 0 else length == 1 and 0 <= start < n)
    return step != 0 and 0 <= start < n and 0 <= start + (length - 1) * step < n


def normalize_index(index: int, length: int, axis: int) -> int:
    """An index in 0..length-1. Raises OutOfRangeError."""
    if not -length <= index < length:
        raise OutOfRangeError(f"index {index} is out of range for axis {axis} of length {length}")
    return index % length


def _getitem_numpy(x: Array, *rest: Any) -> Any:
    # A NumPy scalar would index as a number does, which gives a view (see plan.is_view).
    return x[_numpy_index(rest[-1], tuple(map(np.asarray, rest[:-1])))]


def _scatter_numpy(values: Array, *rest: Any) -> Array:
    *indices, spec, shape = rest
    out = np.zeros(shape, values.dtype)
    if indices:
        np.add.at(out, _numpy_index(spec, tuple(indices)), values)
    else:
        out[_static_index(spec)] = values
    return out


def _put_numpy(x: Array, values: Array, *rest: Any) -> Array:
    out = np.array(x)
    out[_numpy_index(rest[-1], rest[:-1])] = values
    return out


def _getitem_type(x: TensorType, *rest: Any) -> TensorType:
    return x.with_shape(_indexed_shape(x.shape, rest[-1], rest[:-1]))


def _scatter_type(values: TensorType, *rest: Any) -> TensorType:
    *indices, spec, shape = rest
    require_integers(shape, "the shape")
    return _values_type(values, shape, spec, tuple(indices))


def _put_type(x: TensorType, values: TensorType, *rest: Any) -> TensorType:
    if values.dtype != x.dtype:
        raise DTypeError(f"cannot put {values.dtype} into {x.dtype}")
    return _values_type(values, x.shape, rest[-1], rest[:-1])


def _values_type(
    values: TensorType, shape: Shape, spec: Spec, indices: tuple[TensorType, ...]
) -> TensorType:
    whole = values.with_shape(shape)
    expected = _indexed_shape(shape, spec, indices)
    if values.shape != expected:
        raise ShapeError(f"the values have shape {values.shape}; the index selects {expected}")
    return whole


def _getitem_transpose(cotangent: Expr, out: Expr) -> Terms:
    x, *indices = out.args
    term = make(SCATTER, (cotangent, *indices), (*out.attrs, x.shape))
    return (term, *(None for _ in indices))


def _scatter_transpose(cotangent: Expr, out: Expr) -> Terms:
    _, *indices = out.args
    term = make(GETITEM, (cotangent, *indices), out.attrs[:1])
    return (term, *(None for _ in indices))


def _put_transpose(cotangent: Expr, out: Expr) -> Terms:
    _, values, *indices = out.args
    # As a `where`, a mask that rewrites know.
    none = broadcast_to(const(False), values.shape)
    stays = make(PUT, (broadcast_to(const(True), out.shape), none, *indices), out.attrs)
    around = where(stays, cotangent, 0)
    taken = make(GETITEM, (cotangent, *indices), out.attrs)
    if indices:
        # Where an index occurs twice the last value stays, and only it has a derivative: find out
        # which by putting each value's number.
        number = const(np.arange(values.size).reshape(values.shape))
        winners = make(PUT, (broadcast_to(const(0), out.shape), number, *indices), out.attrs)
        taken = where(make(GETITEM, (winners, *indices), out.attrs) == number, taken, 0)
    return (around, taken, *(None for _ in indices))


_SPEC = Attr(
    "spec",
    lambda spec, n: (("s", 0, n, 1), *spec),
    lambda spec, n: spec[1:] if spec[:1] == (("s", 0, n, 1),) else None,
)
GETITEM = register(
    Op(
        "getitem",
        _getitem_type,
        _getitem_numpy,
        transpose=_getitem_transpose,
        jointly=True,
        attrs=(_SPEC,),
        batch=getitem_batch,
        symbol="[ ]",
        view=True,
    )
)
SCATTER = register(
    Op(
        "scatter",
        _scatter_type,
        _scatter_numpy,
        transpose=_scatter_transpose,
        jointly=True,
        attrs=(_SPEC, SHAPE),
        batch=scatter_batch,
    )
)
PUT = register(
    Op(
        "put",
        _put_type,
        _put_numpy,
        transpose=_put_transpose,
        jointly=True,
        attrs=(_SPEC,),
        batch=put_batch,
    )
)


# --- the user's side: from Python's index to a spec --------------------------------------------


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


def _parse_entry(entry: Any, length: int, axis: int) -> tuple[Entry, Expr | None]:
    if entry is None:
        return _NEW, None
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
        return ("i", normalize_index(entry, length, axis)), None
    if isinstance(entry, np.ndarray):
        bad = entry[(entry < -length) | (entry >= length)]
        if bad.size:
            raise OutOfRangeError(
                f"index {bad.flat[0]} is out of range for axis {axis} of length {length}"
            )
        signed = entry.astype(np.int64)  # a length may be too large for the dtype of indices
        entry = const(np.where(signed < 0, signed + length, signed))
    return _ARRAY, entry


def _slice_of(taken: range) -> Entry:
    """The entry of a slice, one for all that select the same: see `_fits`."""
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
    if spec == tuple([("s", 0, n, 1) for n in operand.shape]):
        return operand
    return make(GETITEM, (operand, *arrays), (spec,))


class _At:
    """`x.at[index]`: what to do there."""

    def __init__(self, x: Expr, index: Any) -> None:
        self._x = x
        with explaining("indexing", x):
            self._spec, self._arrays = _parse(x, index)

    def _values(self, values: Any) -> Expr:
        shape = _indexed_shape(self._x.shape, self._spec, tuple(a.type for a in self._arrays))
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
        return indices
    array = np.asarray(indices)
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
