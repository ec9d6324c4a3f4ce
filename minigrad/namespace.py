"""The rest of the array API's namespace: dtypes, constants, and functions of dtypes and devices."""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr, const
from minigrad.graph.node import Expr
from minigrad.ops.core import astype, is_python_number
from minigrad.types import (
    BOOL,
    DTYPES,
    FLOAT32,
    FLOAT64,
    INT64,
    MOST_AXES,
    as_dtype,
    check_device,
    promote,
)

DType: TypeAlias = np.dtype[Any]

# --- names ---------------------------------------------------------------------------------------

bool = BOOL
int8, int16, int32, int64, uint8, uint16, uint32, uint64 = DTYPES[1:9]
float32, float64 = FLOAT32, FLOAT64
e, pi, inf, nan, newaxis = math.e, math.pi, math.inf, math.nan, None

# --- making expressions of other things ----------------------------------------------------------


def asarray(
    obj: Any,
    /,
    *,
    dtype: npt.DTypeLike | None = None,
    device: Any = None,
    copy: Any = None,
) -> Expr:
    """An expression as it is, or a number, a nested list or an array as a constant.

    With a dtype, converted to it. Constants are copies: copy=False is for expressions that have the
    dtype, and raises ShapeError, a ValueError, for anything else. Raises DTypeError for other than
    numbers.

    >>> asarray([1, 2], dtype=float32).eval()
    array([1., 2.], dtype=float32)
    """
    check_device(device)
    if isinstance(obj, Expr):
        if copy is False and dtype is not None and as_dtype(dtype) != obj.dtype:
            raise ShapeError(
                f"{obj.dtype} is made {as_dtype(dtype)} by converting; leave out copy=False"
            )
        return obj if dtype is None else astype(obj, dtype)
    if copy is False:
        raise ShapeError("a constant is a copy of what it is made of; leave out copy=False")
    if hasattr(obj, "__dlpack__") and not hasattr(obj, "__array__"):
        obj = np.from_dlpack(obj)
    if is_python_number(obj) or isinstance(obj, np.ndarray):
        return const(obj, dtype)
    return as_expr(obj) if dtype is None else astype(as_expr(obj), dtype)


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Expr:
    """A constant that is a copy of an array of any library that has __dlpack__.

    Raises ShapeError for copy=False.

    >>> from_dlpack(np.arange(3)).eval()
    array([0, 1, 2])
    """
    check_device(device)
    if isinstance(x, Expr):
        return x
    if copy is False:
        raise ShapeError("a constant is a copy of what it is made of; leave out copy=False")
    if not hasattr(x, "__dlpack__"):
        raise DTypeError(f"an array that has __dlpack__ is needed, not {x!r:.60}; see asarray")
    try:
        return const(np.from_dlpack(x))
    except BufferError as error:
        raise DTypeError(f"DLPack cannot hand on {x!r:.60}: {error}") from None


# --- of dtypes -----------------------------------------------------------------------------------

_KINDS: Mapping[str, str] = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "",
    "numeric": "iuf",
}


def isdtype(dtype: DType, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind: a dtype, one of the names below, or a tuple of these.

    "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating"
    (none is), "numeric". Raises DTypeError for another name.

    >>> isdtype(int8, "integral"), isdtype(int8, ("bool", float32))
    (True, False)
    """
    target = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(target, k) for k in kind)
    if not isinstance(kind, str):
        return target == as_dtype(kind)
    if kind not in _KINDS:
        raise DTypeError(f"no kind of dtypes is called {kind!r}; there are {', '.join(_KINDS)}")
    return target.kind in _KINDS[kind]


def _dtype_of(x: Any) -> DType:
    return as_dtype(x.dtype if isinstance(x, (Expr, np.ndarray, np.generic)) else x)


def can_cast(from_: Any, to: DType, /) -> builtins.bool:
    """Whether promotion takes a dtype, or the dtype of an array, to another.

    >>> can_cast(int8, int16), can_cast(float64, float32)
    (True, False)
    """
    target = as_dtype(to)
    return promote(_dtype_of(from_), target) == target


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype in which arrays, dtypes and Python numbers meet; numbers are weak.

    >>> result_type(float32, 2.5), result_type(int8, uint8)
    (dtype('float32'), dtype('int16'))
    """
    if not arrays_and_dtypes:
        raise DTypeError("result_type needs at least one array or dtype")
    return promote(*[x if is_python_number(x) else _dtype_of(x) for x in arrays_and_dtypes])


class FloatInfo(NamedTuple):
    """What `finfo` says of a float dtype, in Python's numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntegerInfo(NamedTuple):
    """What `iinfo` says of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a float dtype, or of that of an array. Raises DTypeError for another kind.

    >>> finfo(float32).eps == 2**-23
    True
    """
    dtype = _dtype_of(type)
    if dtype.kind != "f":
        raise DTypeError(f"finfo is of floats, not {dtype}; see iinfo")
    known = np.finfo(dtype)
    eps, high, low = float(known.eps), float(known.max), float(known.min)
    return FloatInfo(known.bits, eps, high, low, float(known.smallest_normal), dtype)


def iinfo(type: Any, /) -> IntegerInfo:
    """Limits of an integer dtype, or of that of an array. Raises DTypeError for another kind.

    >>> iinfo(int8).max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo is of integers, not {dtype}; see finfo")
    known = np.iinfo(dtype)
    return IntegerInfo(known.bits, int(known.max), int(known.min), dtype)


# --- what the library can do ---------------------------------------------------------------------


class Info:
    """What `__array_namespace_info__` gives: what this implementation of the standard can do."""

    def capabilities(self) -> dict[str, Any]:
        """Masks must be known when the graph is made, and so must shapes."""
        return {
            "boolean indexing": False,
            "data-dependent shapes": False,
            "max dimensions": MOST_AXES,
        }

    def default_device(self) -> str:
        """Where expressions are."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of what is made without one."""
        check_device(device)
        return {"real floating": float64, "integral": int64, "indexing": INT64}

    def devices(self) -> list[str]:
        """Where expressions may be."""
        return ["cpu"]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes of a kind (see isdtype), or all, by name."""
        check_device(device)
        return {d.name: d for d in DTYPES if kind is None or isdtype(d, kind)}
