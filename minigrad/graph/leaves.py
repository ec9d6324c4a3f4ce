"""Leaves: variables, parameters and where their values lie, constants, placeholders."""

from __future__ import annotations

import hashlib
import itertools
import reprlib
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, GraphError, MinigradError, OpenGraphError, ShapeError
from minigrad.graph.node import (
    Expr,
    Op,
    as_name,
    make,
    register,
)
from minigrad.graph.origin import is_librarys, users_own_line
from minigrad.names import FUNCTIONS, public
from minigrad.tree import flatten
from minigrad.types import (
    Array,
    TensorType,
    TupleType,
    as_dtype,
    as_shape,
    require_tensors,
    require_unmasked,
)


def _numbers(value: npt.ArrayLike, dtype: npt.DTypeLike | None) -> tuple[Array, TensorType]:
    """A copy of numbers, and its type. Raises DTypeError for what is none, or no tensor's dtype."""
    require_unmasked(value)
    if hasattr(value, "__array__") and not isinstance(value, np.ndarray | np.generic):
        value = np.asarray(value)  # a tensor of torch's knows no copy=
    array = np.array(value, dtype=dtype, order="C", copy=True)
    if array.dtype.kind in "OSUV":
        large = ", which 64 bits do not hold" if isinstance(value, int) else ""
        raise DTypeError(f"a number or an array of numbers is needed, not {value!r:.60}{large}")
    type_ = TensorType(array.shape, array.dtype)
    return array.astype(type_.dtype, copy=False), type_


class ConstData:
    """A constant's array, compared by dtype, shape and bits (so -0.0 and NaN stay themselves)."""

    __slots__ = ("_key", "array", "type")

    def __init__(self, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> None:
        self.array, self.type = _numbers(value, dtype)
        self.array.flags.writeable = False
        bits = self.array.tobytes()
        # Long arrays are known by a digest, so that the table does not hold their bytes twice.
        self._key = self.type, bits if len(bits) <= 64 else hashlib.blake2b(bits).digest()

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConstData) and self._key == other._key

    def __repr__(self) -> str:
        return np.array2string(self.array, threshold=8)


class Storage(Protocol):
    """Where the value of a parameter lives: in the host's memory, or where a backend wants it."""

    def load(self) -> Array:
        """The value as an array of the param's type; calls that are given another raise."""

    def store(self, value: Array) -> None:
        """Put another value of the same type in its place."""


class HostStorage:
    """A writable array in the host's memory, changed in place."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def load(self) -> Array:
        """The array itself: live."""
        return self.array

    def store(self, value: Array) -> None:
        """Copy a value into the array."""
        self.array[...] = value  # np.copyto takes twice as long for a small one


class ParamCell:
    """What a parameter holds: a value of a fixed type, in a storage."""

    __slots__ = ("__weakref__", "storage", "type")
    storage: Storage

    def __init__(self, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> None:
        array, self.type = _numbers(value, dtype)
        self.storage = HostStorage(array)

    @property
    def array(self) -> Array:
        """The value; in the host's memory it is live."""
        return self.storage.load()

    def require_type(self, name: str, loaded: Array) -> None:
        """Raise GraphError where what the storage loaded is not of the param's type."""
        if loaded.shape == self.type.shape and loaded.dtype == self.type.dtype:
            return
        now = f"{loaded.dtype}{loaded.shape}, but a param keeps its type, {self.type!r}"
        if isinstance(self.storage, HostStorage):
            raise GraphError(
                f"the value of param {name} was made {now}; to replace it assign to .value"
            )
        kind = type(self.storage).__name__
        raise GraphError(
            f"the storage of param {name} loaded {now}; {kind}.load must return such an array"
        )

    def require_writable(self, name: str) -> None:
        """Raise GraphError where an array of the host was made in place what no update fits."""
        if not isinstance(self.storage, HostStorage):
            return
        self.require_type(name, self.storage.array)
        if not self.storage.array.flags.writeable:
            raise GraphError(
                f"the value of param {name} was made read-only, so no param was updated; to "
                "replace it assign to .value"
            )

    def assign(self, value: npt.ArrayLike, name: str) -> None:
        """Replace the value; shape must match, and the dtype must convert without losing kind."""
        require_unmasked(value)
        try:
            new = np.asarray(value)
        except OpenGraphError:
            raise OpenGraphError(
                f"param {name} holds numbers: assign those of an expression, expr.eval({{...}}), "
                f"or let a function update it, updates={{{name}: expr}}"
            ) from None
        if new.shape != self.type.shape:
            raise ShapeError(
                f"param {name} has shape {self.type.shape}; cannot assign a value of shape "
                f"{new.shape}"
            )
        if not np.can_cast(new.dtype, self.type.dtype, "same_kind"):
            raise DTypeError(f"param {name} holds {self.type.dtype}; cannot assign {new.dtype}")
        own = np.array(new, dtype=self.type.dtype, order="C", copy=True)
        if isinstance(self.storage, HostStorage):
            self.storage = HostStorage(own)  # who holds the array of before keeps it as it was
        else:
            self.storage.store(own)


_Holder = TypeVar("_Holder", ConstData, ParamCell)


def _leaf(name: str, *kinds: Any) -> Op:
    """The op of a leaf, whose attributes are of these kinds; the last is its type, or has one."""

    def infer(*attrs: Any) -> Any:
        sound = len(attrs) == len(kinds) and isinstance(attrs[-1], kinds[-1])
        if not sound or tuple(map(type, attrs[:-1])) != kinds[:-1]:
            raise DTypeError(f"no {name} is made of {reprlib.repr(attrs)}")
        return getattr(attrs[-1], "type", attrs[-1])

    def value(*attrs: Any) -> Any:
        return getattr(attrs[-1], "array", None)  # of a variable, others say it

    names, holds = kinds[0] is str, kinds[-1] in (ParamCell, ConstData)
    return register(Op(name, infer, value, no_gradient=True, names=names, holds=holds))


VAR = _leaf("var", str, TensorType)
PARAM = _leaf("param", str, ParamCell)
CONST = _leaf("const", ConstData)
PLACEHOLDER = _leaf("placeholder", str, int, TensorType | TupleType)


def var(name: str, shape: Iterable[int] | int = (), dtype: npt.DTypeLike = np.float64) -> Expr:
    """A symbolic input; a float64 scalar unless told.

    The same name and type give the same variable, wherever they are written: two nets whose inputs
    are both called "x" read one input. Errors name both lines.

    >>> x = var("x"); v = var("v", (3,), "float32")
    >>> x is var("x"), v.shape, v.dtype
    (True, (3,), dtype('float32'))
    """
    if not isinstance(name, str) and hasattr(name, "shape"):
        raise GraphError("var makes a variable of a name; the variance is minigrad.variance(x)")
    node = make(VAR, (), (as_name(name), TensorType(as_shape(shape), as_dtype(dtype))))
    here = users_own_line()
    if here is not None and here != node._origin:
        first = is_librarys(node._origin)  # which made it for itself, and is not who is told of it
        object.__setattr__(node, "_origin" if first else "_again", here)
    return node


_SERIAL = itertools.count(1)


def placeholder(name: str, type_: TensorType, number: int | None = None) -> Expr:
    """A variable of the engine's own: an input of a body, a cotangent, what a rule matches.

    A number makes it the same one each time, as the inputs of bodies are; without, it is new.
    """
    return make(PLACEHOLDER, (), (name, -next(_SERIAL) if number is None else number, type_))


def const(value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Expr:
    """A constant tensor; the value is copied. Raises DTypeError for other than numbers and bools.

    >>> const([1.0, 2.0]).shape, const(2) is const(2), const(0.0) is const(-0.0)
    ((2,), True, False)
    """
    if isinstance(value, Expr):
        raise DTypeError("const() takes a number or an array, not an expression")
    return make(CONST, (), (_holder(ConstData, value, dtype),))


def _holder(kind: type[_Holder], value: npt.ArrayLike, dtype: npt.DTypeLike | None) -> _Holder:
    """What holds a constant's or a param's numbers. Raises DTypeError."""
    if _holds_expr(value):
        raise DTypeError(
            "a list of expressions is no constant; write minigrad.stack([...]) or "
            "minigrad.concat([...])"
        )
    try:
        return kind(value, None if dtype is None else as_dtype(dtype))
    except OpenGraphError:
        raise OpenGraphError(
            "a param starts with numbers; those of an expression are expr.eval({...})"
        ) from None
    except (ValueError, TypeError, OverflowError) as error:
        if isinstance(error, MinigradError):
            raise
        to = f" to {dtype}" if dtype is not None else ""
        raise DTypeError(f"cannot make a constant of {value!r:.80}{to}: {error}") from None


def param(name: str, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Expr:
    """A leaf that carries a value, copied here; training updates it in place.

    Every call makes a new parameter. `p.value` reads it, `p.value = array` writes it.

    >>> W = param("W", np.zeros((4, 3)))
    >>> W.shape, float(W.value.sum())
    ((4, 3), 0.0)
    """
    cell = _holder(ParamCell, value, dtype)
    return make(PARAM, (), (as_name(name), cell))


@public
def as_expr(value: Any) -> Expr:
    """An expression as it is, a list with some in it stacked, anything else as a constant."""
    if isinstance(value, Expr):
        if type(value.type) is not TensorType:
            require_tensors([value.type])
        return value
    return FUNCTIONS["stack_nested"](value) if _holds_expr(value) else const(value)


def _holds_expr(value: object) -> bool:
    return isinstance(value, (list, tuple)) and any(isinstance(x, Expr) for x in flatten(value)[0])


def is_leaf(node: Expr) -> bool:
    """Whether the node is a variable, a parameter, a constant or a placeholder."""
    return node.op in (VAR, PARAM, CONST, PLACEHOLDER)
