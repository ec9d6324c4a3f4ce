"""Indexing: one op that reads (getitem), its transpose (scatter), and one that overwrites (put).

An index is kept as a static spec, one tuple per entry, so that nodes intern and files load:
("i", k) an integer, ("s", start, length, step) a slice, ("n",) a new axis, ("a",) an integer array,
which is an argument of the node.
"""

from __future__ import annotations

import reprlib
from functools import lru_cache
from typing import Any, TypeAlias, cast

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import CONST, const
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.ops.choice import where
from minigrad.ops.core import SHAPE, broadcast_to
from minigrad.ops.index_batch import getitem_batch, put_batch, scatter_batch
from minigrad.types import Array, Shape, TensorType, broadcast_shapes, require_integers

Entry: TypeAlias = tuple[Any, ...]
Spec: TypeAlias = tuple[Entry, ...]
ARRAY: Entry = ("a",)
NEW: Entry = ("n",)
_WIDE = 64  # elements: longer rows are added up faster by one addition each than by np.add.at


def all_of(shape: Shape) -> Spec:
    """The index of all elements, as they stand.

    >>> all_of((2, 3))
    (('s', 0, 2, 1), ('s', 0, 3, 1))
    """
    return tuple([("s", 0, n, 1) for n in shape])


@lru_cache(maxsize=4096)
def static_index(spec: Spec) -> tuple[Any, ...]:
    """The index of a spec as Python writes it; None in the places of arrays."""
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
    index = static_index(spec)
    if not arrays:
        return index
    waiting = iter(arrays)
    return tuple([next(waiting) if e == ARRAY else i for e, i in zip(spec, index, strict=True)])


def indexed_shape(shape: Shape, spec: Spec, indices: tuple[TensorType, ...]) -> Shape:
    """The shape of x[index]; raises ShapeError for a spec that does not fit x."""
    _check_spec(shape, spec, len(indices))
    for t in indices:
        if t.dtype.kind not in "iu":
            raise DTypeError(f"an index array holds integers, not {t.dtype}")
    rest = tuple([1 if e == NEW else e[2] for e in spec if e[0] in "ns"])
    if not indices:
        return rest
    at = axis_of_arrays(spec)
    return (*rest[:at], *broadcast_shapes(*[t.shape for t in indices]), *rest[at:])


def axis_of_arrays(spec: Spec) -> int:
    """The first of the axes that index arrays give the result.

    NumPy's rule: arrays, and integers beside them, give the axes that the arrays broadcast to,
    where the first of them stands; in front, where something else stands between them.
    """
    points = [e[0] in "ai" for e in spec]
    first = points.index(True)
    return first if all(points[first : first + sum(points)]) else 0


def check_constant_indices(node: Expr) -> None:
    """Raise ShapeError where an index array that is a constant points outside.

    NumPy says so only when the node runs, and a rewrite may leave it out: files are refused.
    """
    whole = node.shape if node.op is SCATTER else node.args[0].shape
    arrays = iter(node.args[2 if node.op is PUT else 1 :])
    lengths = iter(whole)
    for entry in node.attrs[0]:
        n = next(lengths) if entry != NEW else 0
        index = next(arrays) if entry == ARRAY else None
        if index is None or index.op is not CONST or not index.size:
            continue
        if not -n <= int(index.value.min()) <= int(index.value.max()) < n:
            raise ShapeError(f"an index array points outside of an axis of length {n}")


_FORMS = {"n": (str,), "a": (str,), "i": (str, int), "s": (str, int, int, int)}


def _check_spec(shape: Shape, spec: Spec, arrays: int) -> None:
    """Raise ShapeError unless `indexing` makes such a spec: machine code trusts it."""
    if type(spec) is not tuple or not all(map(_has_form, spec)):
        raise ShapeError(f"not an index: {reprlib.repr(spec)}")
    if sum([e != NEW for e in spec]) != len(shape) or sum([e == ARRAY for e in spec]) != arrays:
        raise ShapeError(f"index {spec} does not fit an operand of shape {shape}")
    lengths = iter(shape)
    for entry in spec:
        n = next(lengths) if entry != NEW else 0
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


def _getitem_numpy(x: Array, *rest: Any) -> Any:
    # A NumPy scalar would index as a number does, which gives a view (see plan.is_view).
    return x[_numpy_index(rest[-1], tuple(map(np.asarray, rest[:-1])))]


def _scatter_numpy(values: Array, *rest: Any) -> Array:
    *indices, spec, shape = rest
    out = np.zeros(shape, values.dtype)
    rows = len(indices) == 1 and spec == (ARRAY, *all_of(shape)[1:])
    if rows and values.size > _WIDE * indices[0].size:
        each = zip(indices[0].ravel().tolist(), values.reshape(-1, *shape[1:]), strict=True)
        for k, row in each:
            out[k] += row
    elif indices:
        np.add.at(out, _numpy_index(spec, tuple(indices)), values)
    else:
        out[static_index(spec)] = values
    return out


def _put_numpy(x: Array, values: Array, *rest: Any) -> Array:
    out = np.array(x)
    out[_numpy_index(rest[-1], rest[:-1])] = values
    return out


def _getitem_type(x: TensorType, *rest: Any) -> TensorType:
    return x.with_shape(indexed_shape(x.shape, rest[-1], rest[:-1]))


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
    expected = indexed_shape(shape, spec, indices)
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
    # As a `where`, a mask that derivatives see (derivatives/support).
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
