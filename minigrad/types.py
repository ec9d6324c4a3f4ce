"""Tensor types: shape and dtype, and the rules by which they promote and broadcast.

The rules are the Python array API standard's, with weak Python scalars; where the standard leaves
mixed kinds open (int64 with float32), the answer is NumPy's. Nothing here knows of graphs.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, MinigradError, OutOfRangeError, ShapeError
from minigrad.interning import Table

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = npt.NDArray[Any]
Axis: TypeAlias = int | Sequence[int] | None

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)
UINT64 = np.dtype(np.uint64)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
DTYPES = (
    BOOL,
    *(np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    FLOAT32,
    FLOAT64,
)
MOST_AXES = 32  # what all of NumPy takes: np.broadcast and its kin stop there
MOST_BYTES = 2**63 - 1


# NumPy makes equal dtypes anew; of each of ours there is one object.
_DTYPES = {d: d for d in DTYPES}


class TensorType:
    """Shape and dtype of an expression. Interned: equal types are one object.

    >>> TensorType((2, 3), np.float64)
    float64(2, 3)
    >>> TensorType((), "float32") is TensorType((), np.float32)
    True
    """

    __slots__ = ("__weakref__", "dtype", "is_float", "shape")
    shape: Shape
    dtype: np.dtype[Any]
    is_float: bool
    """Whether derivatives exist for this type."""

    def __new__(cls, shape: Iterable[int] | int, dtype: npt.DTypeLike) -> TensorType:
        try:  # mostly the type is known, and its shape and dtype are as they must be
            entry = _TENSORS.get((shape, dtype))
        except TypeError:
            entry = None
        if entry is not None and (known := entry()) is not None:
            return known
        key = as_shape(shape), as_dtype(dtype)
        _check_size(*key)
        new = object.__new__(cls)
        object.__setattr__(new, "shape", key[0])
        object.__setattr__(new, "dtype", key[1])
        object.__setattr__(new, "is_float", key[1].kind == "f")
        return _TENSORS.intern(key, new)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a TensorType cannot be changed; make a new one")

    def __reduce__(self) -> tuple[type[TensorType], tuple[Shape, str]]:
        return TensorType, (self.shape, self.dtype.name)

    def __repr__(self) -> str:
        return f"{self.dtype}{self.shape}" if self.shape else str(self.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def with_shape(self, shape: Iterable[int]) -> TensorType:
        """The same dtype in another shape."""
        return TensorType(shape, self.dtype)

    def with_dtype(self, dtype: npt.DTypeLike) -> TensorType:
        """The same shape in another dtype."""
        return TensorType(self.shape, dtype)


class TupleType:
    """The type of a node with several results (a loop); only `item` reads such a node.

    What a tensor's type answers, it answers for each result; `size` counts all elements.

    >>> loop = TupleType((TensorType((2,), np.float64), TensorType((), np.int64)))
    >>> loop, loop.shape, loop.ndim, loop.size
    ((float64(2,), int64), ((2,), ()), (1, 0), 3)
    """

    __slots__ = ("__weakref__", "is_float", "items")
    items: tuple[TensorType, ...]
    is_float: bool

    def __new__(cls, items: Iterable[TensorType]) -> TupleType:
        new = object.__new__(cls)
        new.items = tuple(items)
        new.is_float = any(t.is_float for t in new.items)
        return _TUPLES.intern(new.items, new)

    def __repr__(self) -> str:
        return f"({', '.join(map(repr, self.items))})"

    @property
    def shape(self) -> tuple[Shape, ...]:
        """Lengths of the axes, of each result."""
        return tuple([t.shape for t in self.items])

    @property
    def dtype(self) -> tuple[np.dtype[Any], ...]:
        """Element type of each result."""
        return tuple([t.dtype for t in self.items])

    @property
    def ndim(self) -> tuple[int, ...]:
        """Number of axes of each result."""
        return tuple([t.ndim for t in self.items])

    @property
    def size(self) -> int:
        """Number of elements of all results."""
        return sum(t.size for t in self.items)


def require_tensors(types: Iterable[TensorType | TupleType]) -> None:
    """Raise ShapeError where an operand is a node with several results."""
    if TupleType in map(type, types):
        raise ShapeError("a node with several results is no operand: read one with `item`")


_TENSORS: Table[TensorType] = Table()
_TUPLES: Table[TupleType] = Table()


def as_shape(shape: Iterable[int] | int) -> Shape:
    """Normalise a shape; an int means one axis. Raises ShapeError.

    >>> as_shape(3), as_shape([2, np.int64(3)])
    ((3,), (2, 3))
    """
    try:
        dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        result = tuple(operator.index(d) for d in dims)
    except TypeError:
        raise ShapeError(f"a shape is a tuple of integers, not {shape!r}") from None
    if any(d < 0 for d in result):
        raise ShapeError(f"a shape has no negative dimension: {result}")
    return result


def check_device(device: object) -> None:
    """Raise ShapeError, a ValueError, unless a device is None or "cpu": expressions have no other.

    A compiled function may run elsewhere; that is its backend's.
    """
    if device not in (None, "cpu"):
        raise ShapeError(f'expressions are on the device "cpu", not {device!r}')


def _check_size(shape: Shape, dtype: np.dtype[Any]) -> None:
    if len(shape) > MOST_AXES:
        raise ShapeError(f"a tensor has at most {MOST_AXES} axes, not {len(shape)}")
    # As in NumPy, axes of length 0 do not count here.
    if math.prod(n for n in shape if n) * dtype.itemsize > MOST_BYTES:
        raise ShapeError(f"{dtype}{shape} has more bytes than can be counted")


def as_integer(value: Any, what: str) -> int:
    """An integer of any library as Python's. Raises DTypeError, with what it is for.

    >>> as_integer(np.int64(3), "the number of rows")
    3
    """
    try:
        return operator.index(value)
    except TypeError as error:
        if isinstance(error, MinigradError):  # an expression that has no value yet says so
            raise
        raise DTypeError(f"{what} must be an integer, not {reprlib.repr(value)}") from None


def as_number(value: Any, what: str) -> float:
    """A real number, a Python or a NumPy one, as it is. Raises DTypeError, with what it is for."""
    if isinstance(value, (int, float, np.integer, np.floating)):
        return value  # type: ignore[return-value]
    raise DTypeError(f"{what} must be a number, not {reprlib.repr(value)}")


def require_callable(value: object, what: str) -> None:
    """Raise DTypeError unless a value can be called as a function."""
    if not callable(value):
        raise DTypeError(f"{what} must be a function, not {reprlib.repr(value)}")


def as_items(value: Any, what: str) -> list[Any]:
    """The items of a list, or of what can be gone through like one. Raises DTypeError."""
    try:
        return list(value)
    except TypeError as error:
        if isinstance(error, MinigradError):
            raise
        raise DTypeError(f"{what} must be a list, not {reprlib.repr(value)}") from None


def as_array(value: Any, what: str) -> Array:
    """Numbers as NumPy's array. Raises DTypeError for what is none: a ragged list, say."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        if isinstance(error, MinigradError):
            raise
        raise DTypeError(f"{what} must be an array of numbers: {error}") from None


def require_unmasked(value: object) -> None:
    """Raise DTypeError for a masked array: NumPy would give the numbers below its mask."""
    # Asked of subclasses alone, since asking loads numpy.ma.
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray and np.ma.is_masked(value):
        raise DTypeError(
            "a masked array has elements that are missing: fill them, as by .filled(0), and give "
            "the mask too, for minigrad.where(mask, a, b)"
        )


def require_integers(value: object, what: str) -> None:
    """Raise ShapeError unless an op's attribute is a tuple of Python integers.

    That is how constructors make shapes and axes. Equality alone does not tell: `(True, 2.0)` is
    equal to `(1, 2)`, and text may be a sequence of digits.
    """
    if type(value) is not tuple or not _INTEGERS.issuperset(map(type, value)):
        raise ShapeError(f"{what} must be a tuple of integers, not {reprlib.repr(value)}")


_INTEGERS = frozenset({int})


def as_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Normalise a dtype; only bool, the integers, float32 and float64. Raises DTypeError."""
    try:
        result = np.dtype(dtype).newbyteorder("=")
    except (TypeError, ValueError, DeprecationWarning):
        raise DTypeError(f"not a dtype: {dtype!r}; use one of {_dtype_names()}") from None
    if result not in _DTYPES:
        raise DTypeError(f"dtype {result} is not supported; use one of {_dtype_names()}")
    return _DTYPES[result]


def _dtype_names() -> str:
    return ", ".join(d.name for d in DTYPES)


def promote(*operands: np.dtype[Any] | bool | int | float) -> np.dtype[Any]:
    """The dtype in which operands meet; Python scalars are weak.

    >>> promote(np.dtype("float32"), 2.5), promote(np.dtype("int8"), np.dtype("int16"))
    (dtype('float32'), dtype('int16'))
    """
    return as_dtype(np.result_type(*operands))


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that all broadcast to. Raises ShapeError.

    >>> broadcast_shapes((3, 1), (4,), ())
    (3, 4)
    """
    result: list[int] = []
    for lengths in zip_longest(*[s[::-1] for s in shapes], fillvalue=1):
        longer = {n for n in lengths if n != 1}
        if len(longer) > 1:
            listed = " and ".join(str(s) for s in shapes)
            raise ShapeError(
                f"shapes {listed} do not broadcast: counted from the right, "
                "each pair of dimensions must be equal or 1"
            )
        result.append(longer.pop() if longer else 1)
    return tuple(result[::-1])


def normalize_axis(axis: int, ndim: int) -> int:
    """An axis in 0..ndim-1. Raises OutOfRangeError.

    >>> normalize_axis(-1, 3)
    2
    """
    try:
        index = operator.index(axis)
    except TypeError:
        raise ShapeError(f"an axis is an integer, not {axis!r}") from None
    if not -ndim <= index < ndim:
        has = f"axes {-ndim} to {ndim - 1}" if ndim else "no axes (it is a scalar)"
        raise OutOfRangeError(f"axis {index} is out of range: the operand has {has}")
    return index % ndim


def normalize_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Sorted distinct axes; None means all. Raises ShapeError.

    >>> normalize_axes(None, 2), normalize_axes((-1, 0), 3)
    ((0, 1), (0, 2))
    """
    if axis is None:
        return tuple(range(ndim))
    numbers = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = sorted(normalize_axis(a, ndim) for a in numbers)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis {axis} names an axis twice")
    return tuple(axes)
