"""The four ops that all others lean on: astype, reshape, broadcast_to and its transpose, sum.

Also how operands meet: promotion and broadcasting happen here, before an op is made, so that ops
themselves take equal shapes and dtypes and un-broadcasting is written once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, MinigradError, ShapeError
from minigrad.graph.leaves import CONST, as_expr, const
from minigrad.graph.node import Attr, Expr, Op, Terms, explain, make, register
from minigrad.names import public, public_op
from minigrad.types import (
    BOOL,
    DTYPES,
    FLOAT64,
    INT64,
    UINT64,
    Array,
    Shape,
    TensorType,
    as_dtype,
    as_integer,
    as_items,
    as_shape,
    broadcast_shapes,
    check_device,
    normalize_axes,
    promote,
    require_integers,
)

# --- errors ------------------------------------------------------------------------------------


class explaining:  # noqa: N801 - read as a verb: `with explaining("sum", x):`
    """Inside, an error is given the operation's name and its operands before it goes on."""

    __slots__ = ("name", "operands")

    def __init__(self, name: str, *operands: object) -> None:
        self.name, self.operands = name, operands

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        if isinstance(error, MinigradError):
            raise explain(error, self.name, self.operands) from None


# --- attributes that many ops have, and what a leading axis makes of them -----------------------


AXES = Attr(
    "axes",
    lambda axes, n: tuple([a + 1 for a in axes]),
    lambda axes, n: None if 0 in axes else tuple([a - 1 for a in axes]),
)
AXIS = Attr("axis", lambda axis, n: axis + 1, lambda axis, n: axis - 1 if axis else None)
SHAPE = Attr(
    "shape",
    lambda shape, n: (n, *shape),
    lambda shape, n: shape[1:] if shape[:1] == (n,) else None,
)

# --- astype ------------------------------------------------------------------------------------


def _astype_transpose(cotangent: Expr, out: Expr) -> Terms:
    source = out.args[0].type
    return (astype(cotangent, source.dtype) if source.is_float and out.type.is_float else None,)


def _astype_type(x: TensorType, dtype: np.dtype[Any]) -> TensorType:
    # Exactly one of ours: text like "float64" is equal to the dtype, and ">f8" is another.
    if not isinstance(dtype, np.dtype) or dtype not in DTYPES:
        raise DTypeError(f"the dtype of astype is {dtype!r:.60}, none of minigrad's")
    return x.with_dtype(dtype)


ASTYPE = register(
    Op(
        "astype",
        _astype_type,
        lambda x, dtype: x.astype(dtype),
        transpose=_astype_transpose,
        attrs=(Attr("dtype"),),
        stacks=True,
    )
)


@public
def astype(x: Any, dtype: npt.DTypeLike, /, *, copy: bool = True, device: Any = None) -> Expr:
    """The elements converted to a dtype. Differentiable from float to float only.

    copy is taken and without effect, since expressions never change; the device is "cpu".

    >>> astype(const([1.7, -1.7]), "int64").eval()
    array([ 1, -1])
    """
    check_device(device)
    x, target = as_expr(x), as_dtype(dtype)
    return x if x.dtype == target else make(ASTYPE, (x,), (target,))


# --- reshape -----------------------------------------------------------------------------------


def _reshape_type(x: TensorType, shape: Shape) -> TensorType:
    require_integers(shape, "the shape")
    if math.prod(shape) != x.size:
        raise ShapeError(f"cannot reshape {x.shape} ({x.size} elements) to {shape}")
    return x.with_shape(shape)


RESHAPE = register(
    Op(
        "reshape",
        _reshape_type,
        np.reshape,
        transpose=lambda ct, out: (reshape(ct, out.args[0].shape),),
        jointly=True,
        attrs=(SHAPE,),
        view=True,
        stacks=True,
    )
)


@public
def reshape(x: Any, /, shape: int | Iterable[int], *, copy: bool | None = None) -> Expr:
    """The same elements, in row-major order, in another shape; one dimension may be -1.

    copy is taken and without effect, since expressions never change.

    >>> reshape(const([[1, 2], [3, 4]]), -1).eval()
    array([1, 2, 3, 4])
    """
    x = as_expr(x)
    target = _resolve_shape(x, shape)
    return x if x.shape == target else make(RESHAPE, (x,), (target,))


def _resolve_shape(x: Expr, shape: int | Iterable[int]) -> Shape:
    with explaining("reshape", x):
        listed = [shape] if isinstance(shape, (int, np.integer)) else as_items(shape, "the shape")
        dims = [as_integer(d, "a dimension") for d in listed]
        unknown = [k for k, d in enumerate(dims) if d == -1]
        if len(unknown) > 1:
            raise ShapeError(f"only one dimension may be -1, not {tuple(dims)}")
        if unknown:
            known = math.prod(d for d in dims if d != -1)
            if known <= 0 or x.size % known:
                raise ShapeError(f"{x.size} elements do not divide into {tuple(dims)}")
            dims[unknown[0]] = x.size // known
        return as_shape(dims)


# --- broadcast_to and sum, each the other's transpose ------------------------------------------


def _broadcast_type(x: TensorType, shape: Shape) -> TensorType:
    require_integers(shape, "the shape")
    if broadcast_shapes(x.shape, shape) != shape:
        raise ShapeError(f"cannot broadcast {x.shape} to {shape}")
    return x.with_shape(shape)


def _broadcast_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    # Broadcasting counts axes from the right: those that it adds go between.
    (x,) = args
    added = (1,) * (node.ndim - node.args[0].ndim)
    return broadcast_to(reshape(x, (n, *added, *x.shape[1:])), (n, *node.shape))


BROADCAST = register(
    Op(
        "broadcast_to",
        _broadcast_type,
        np.broadcast_to,
        transpose=lambda ct, out: (sum_to(ct, out.args[0].shape),),
        jointly=True,
        attrs=(SHAPE,),
        batch=_broadcast_batch,
        view=True,
    )
)


@public_op(BROADCAST)
def broadcast_to(x: Any, /, shape: int | Iterable[int]) -> Expr:
    """The operand repeated along new axes and along axes of length 1.

    >>> broadcast_to(const([1, 2]), (2, 2)).eval()
    array([[1, 2],
           [1, 2]])
    """
    x = as_expr(x)
    if shape is x.type.shape:  # most often, and then it takes a tenth of the time
        return x  # type: ignore[no-any-return]
    with explaining("broadcast_to", x):
        target = as_shape(shape)
    return x if x.shape == target else make(BROADCAST, (x,), (target,))


def sum_to(x: Expr, shape: Shape) -> Expr:
    """Sum over what broadcasting `shape` to x.shape would repeat."""
    new = x.ndim - len(shape)
    axes = tuple(k for k, n in enumerate(x.shape) if k < new or (shape[k - new] == 1 and n != 1))
    return reshape(make(SUM, (x,), (axes,)) if axes else x, shape)


def summed_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which sums and products of a dtype are kept: the widest of its kind."""
    return UINT64 if dtype.kind == "u" else INT64 if dtype.kind in "bi" else dtype


def _sum_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    return TensorType(drop_axes(x.shape, axes), summed_dtype(x.dtype))


def _sum_transpose(cotangent: Expr, out: Expr) -> Terms:
    return (expand_back(cotangent, out.args[0].shape, out.attrs[0]),)


SUM = register(
    Op(
        "sum",
        _sum_type,
        lambda x, axes, out=None: np.add.reduce(x, axis=axes, out=out),
        transpose=_sum_transpose,
        jointly=True,
        attrs=(AXES,),
        symbol="Σ",
        rule="sum rule",
        out=True,
        stacks=True,
    )
)


def drop_axes(shape: Shape, axes: Sequence[int]) -> Shape:
    """A shape without some axes. Raises ShapeError unless they are sorted, and axes of it."""
    require_integers(axes, "the axes")
    if axes != normalize_axes(axes, len(shape)):
        raise ShapeError(f"{axes} are not the sorted axes of an operand of shape {shape}")
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def keep_axes(shape: Shape, axes: Sequence[int]) -> Shape:
    """A shape with some axes of length 1, as keepdims leaves them."""
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


def expand_back(x: Expr, shape: Shape, axes: tuple[int, ...]) -> Expr:
    """Repeat a reduced tensor along the axes that were reduced away."""
    return broadcast_to(reshape(x, keep_axes(shape, axes)), shape)


def reduce_with(
    op: Op, x: Any, axis: int | Sequence[int] | None, keepdims: bool, *attrs: Any
) -> Expr:
    """Make a reduction with NumPy's axis and keepdims; the op itself always drops its axes."""
    x = as_expr(x)
    with explaining(op.name, x):
        axes = normalize_axes(axis, x.ndim)
    out = make(op, (x,), (axes, *attrs))
    return reshape(out, keep_axes(x.shape, axes)) if keepdims else out


@public
def sum(
    x: Any,
    /,
    axis: int | Sequence[int] | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    keepdims: bool = False,
) -> Expr:
    """Sum over axes (all by default). Booleans and integers sum to int64, unsigned to uint64.

    With a dtype, the elements are converted to it first, and the sum is of it.

    >>> sum(const([[1.0, 2.0], [3.0, 4.0]]), axis=0).eval()
    array([4., 6.])
    """
    if dtype is None:
        return reduce_with(SUM, x, axis, keepdims)
    # Integers that are summed in the widest of their kind come out the same, modulo 2ⁿ.
    return astype(reduce_with(SUM, astype(x, dtype), axis, keepdims), dtype)


# --- how operands meet -------------------------------------------------------------------------


def is_python_number(x: object) -> bool:
    """Whether x is weak in promotion: a bool, int or float that is not NumPy's."""
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


def meet(name: str, *operands: Any, dtype: np.dtype[Any] | None = None) -> tuple[Expr, ...]:
    """Operands promoted to one dtype and broadcast to one shape.

    Raises ShapeError or DTypeError that names the operation and its operands.
    """
    if dtype is None:
        kinds = {x.type if type(x) is Expr else None for x in operands}
        if len(kinds) == 1 and isinstance(kinds.pop(), TensorType):
            return operands  # they have met; finding it out otherwise takes ten times as long
    with explaining(name, *operands):
        values = [x if is_python_number(x) else as_expr(x) for x in operands]
        if dtype is None:
            dtype = promote(*[x.dtype if isinstance(x, Expr) else x for x in values])
        exprs = [
            astype(x, dtype) if isinstance(x, Expr) else _weak_scalar(x, dtype) for x in values
        ]
        shape = broadcast_shapes(*[x.shape for x in exprs])
    return tuple([broadcast_to(x, shape) for x in exprs])


def _weak_scalar(x: float, dtype: np.dtype[Any]) -> Expr:
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= x <= np.iinfo(dtype).max:
        raise DTypeError(f"{x} does not fit in {dtype}")
    return full(x, TensorType((), dtype))


def as_float(x: Any) -> Expr:
    """An expression of a float dtype: integers and booleans become float64."""
    x = as_expr(x)
    return x if x.type.is_float else astype(x, FLOAT64)


def same_type(*types: TensorType) -> TensorType:
    """The common type of the arguments of a pointwise op."""
    first = types[0]
    for t in types:
        if t is not first:
            raise ShapeError(f"operands must have one type; got {', '.join(map(repr, types))}")
    return first


def bool_type(*types: TensorType) -> TensorType:
    """The type of a pointwise test."""
    return same_type(*types).with_dtype(BOOL)


CONSTANTS = frozenset({CONST, BROADCAST, RESHAPE})
"""The ops of constants, however broadcast and reshaped: those that may be a number."""


def uniform_value(x: Expr) -> float | int | bool | None:
    """The number that every element of a constant is, however broadcast; None if there is none."""
    while x.op is BROADCAST or x.op is RESHAPE:
        x = x.args[0]
    if x.op is not CONST:
        return None
    array: Array = x.attrs[0].array
    return array.item() if array.size == 1 else None


def is_zero(x: Expr) -> bool:
    """Whether every element is known to be zero."""
    return uniform_value(x) == 0


def full(value: float, type_: TensorType) -> Expr:
    """A Python number as a constant of a type."""
    if value == 0:  # 0.0 and -0.0 are equal keys; keep them apart
        return _zero(math.copysign(1, value), type_)
    return nonzero(value, type_)


@lru_cache(maxsize=256)
def _zero(sign: float, type_: TensorType) -> Expr:
    return broadcast_to(const(sign * 0.0, type_.dtype), type_.shape)


@lru_cache(maxsize=256)
def nonzero(value: float, type_: TensorType) -> Expr:
    """A Python number other than zero as a constant of a type."""
    return broadcast_to(const(value, type_.dtype), type_.shape)


def full_like(x: Expr, value: float) -> Expr:
    """A Python number as a constant of the type of x."""
    return full(value, x.type)
