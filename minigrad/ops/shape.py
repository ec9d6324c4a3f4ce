"""Ops that move elements without changing them: permute, concat, and compositions of indexing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.arithmetic import subtract
from minigrad.ops.choice import where
from minigrad.ops.core import (
    AXIS,
    astype,
    broadcast_to,
    explaining,
    is_python_number,
    reshape,
)
from minigrad.ops.creation import zeros_like
from minigrad.ops.index_syntax import take
from minigrad.tree import flatten
from minigrad.types import (
    Array,
    TensorType,
    as_array,
    as_integer,
    as_items,
    as_shape,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    promote,
    require_integers,
)

# --- permute_dims ------------------------------------------------------------------------------


def _permute_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    require_integers(axes, "the axes")
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"axes {axes} are not a permutation of the {x.ndim} axes of the operand")
    return x.with_shape(x.shape[a] for a in axes)


_ORDER = Attr(
    "axes",
    lambda axes, n: (0, *(a + 1 for a in axes)),
    lambda axes, n: None if axes[0] else tuple([a - 1 for a in axes[1:]]),
)
PERMUTE = register(
    Op(
        "permute_dims",
        _permute_type,
        np.transpose,
        transpose=lambda ct, out: (permute_dims(ct, np.argsort(out.attrs[0]).tolist()),),
        jointly=True,
        attrs=(_ORDER,),
        symbol="ᵀ",
        view=True,
        stacks=True,
    )
)


@public
def permute_dims(x: Any, /, axes: Sequence[int] | None = None) -> Expr:
    """The axes in another order; reversed when none is given.

    >>> permute_dims(as_expr([[1, 2], [3, 4]])).eval()
    array([[1, 3],
           [2, 4]])
    """
    x = as_expr(x)
    with explaining("permute_dims", x):
        numbers = range(x.ndim)[::-1] if axes is None else as_items(axes, "the axes")
        order = tuple([normalize_axis(a, x.ndim) for a in numbers])
    return x if order == tuple(range(x.ndim)) else make(PERMUTE, (x,), (order,))


# --- concat ------------------------------------------------------------------------------------


def _concat_type(*rest: Any) -> TensorType:
    *types, axis = rest
    if not types:
        raise ShapeError("concat needs at least one operand")
    first: TensorType = types[0]
    if type(axis) is not int or axis != normalize_axis(axis, first.ndim):
        raise ShapeError(f"{axis} is not the number of an axis, counted from 0")
    for t in types:
        if t.dtype != first.dtype:
            raise DTypeError(f"cannot concatenate {first.dtype} and {t.dtype}")
        if t.ndim != first.ndim or any(
            k != axis and n != m for k, (n, m) in enumerate(zip(t.shape, first.shape, strict=True))
        ):
            raise ShapeError(
                f"shapes {first.shape} and {t.shape} differ off axis {axis}; they must agree there"
            )
    total = sum(t.shape[axis] for t in types)
    return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _concat_transpose(cotangent: Expr, out: Expr) -> Terms:
    before = (slice(None),) * out.attrs[0]
    return tuple([cotangent[(*before, slice(a, b))] for a, b in pairwise(concat_bounds(out))])


def concat_bounds(node: Expr) -> list[int]:
    """Where the operands of a concat begin along its axis, and after them where the last ends."""
    return [0, *accumulate(a.shape[node.attrs[0]] for a in node.args)]


CONCAT = register(
    Op(
        "concat",
        _concat_type,
        lambda *rest, out=None: np.concatenate(rest[:-1], axis=rest[-1], out=out),
        transpose=_concat_transpose,
        jointly=True,
        attrs=(AXIS,),
        symbol="[ , ]",
        out=True,
        stacks=True,
    )
)


@public
def concat(arrays: Sequence[Any], /, axis: int | None = 0) -> Expr:
    """Join along an axis that exists; None joins all elements along one axis.

    >>> concat([as_expr([1, 2]), [3]]).eval()
    array([1, 2, 3])
    """
    parts = _sequence(arrays, "concat", axis)
    with explaining("concat", *parts):
        dtype = promote(*[a.dtype for a in parts])
        parts = [astype(a, dtype) for a in parts]
        if axis is None:
            parts, axis = [reshape(a, -1) for a in parts], 0
        if any(a.ndim != parts[0].ndim for a in parts):
            raise ShapeError("the operands differ in their number of axes")
        k = normalize_axis(axis, parts[0].ndim)
    return parts[0] if len(parts) == 1 else make(CONCAT, tuple(parts), (k,))


def _sequence(arrays: Sequence[Any], name: str, axis: object) -> list[Expr]:
    if isinstance(axis, Expr):
        raise DTypeError(f"{name} takes a list: write {name}([x, y])")
    exprs = [as_expr(a) for a in as_items(arrays, f"what {name} joins")]
    if not exprs:
        raise ShapeError(f"{name} needs at least one operand")
    return exprs


@public
def stack(arrays: Sequence[Any], /, axis: int = 0) -> Expr:
    """Join along a new axis.

    >>> stack([as_expr(1), as_expr(2)]).eval()
    array([1, 2])
    """
    layers = _sequence(arrays, "stack", axis)
    with explaining("stack", *layers):
        if any(a.shape != layers[0].shape for a in layers):
            raise ShapeError("the operands differ in shape")
        k = normalize_axis(axis, layers[0].ndim + 1)
    return concat([expand_dims(a, k) for a in layers], k)


@public
def stack_nested(values: Sequence[Any]) -> Expr:
    """A nested list of numbers, arrays and expressions as one tensor, as np.array of numbers."""
    leaves, build = flatten(values)
    weak = [x if is_python_number(x) else as_expr(x) for x in leaves]
    with explaining("stack", *leaves):
        dtype = promote(*[x.dtype if isinstance(x, Expr) else x for x in weak])
    return _stack_levels(build(iter([as_expr(x).astype(dtype) for x in weak])))


def _stack_levels(values: Any) -> Expr:
    if isinstance(values, Expr):
        return values
    return stack([_stack_levels(x) for x in values])


@public
def expand_dims(x: Any, /, axis: int | Sequence[int] = 0) -> Expr:
    """New axes of length 1 at the given places of the result.

    >>> expand_dims(as_expr([1, 2]), 1).shape
    (2, 1)
    """
    x = as_expr(x)
    ndim = x.ndim + (len(axis) if isinstance(axis, Sequence) else 1)
    with explaining("expand_dims", x):
        new = normalize_axes(axis, ndim)
    dims = iter(x.shape)
    return reshape(x, [1 if k in new else next(dims) for k in range(ndim)])


@public
def squeeze(x: Any, /, axis: int | Sequence[int] | None = None) -> Expr:
    """Without the given axes, which must have length 1 (all such axes by default).

    >>> squeeze(as_expr([[1, 2]]), 0).shape
    (2,)
    """
    x = as_expr(x)
    if axis is None:
        return reshape(x, [n for n in x.shape if n != 1])
    with explaining("squeeze", x):
        axes = normalize_axes(axis, x.ndim)
        if any(x.shape[a] != 1 for a in axes):
            raise ShapeError(f"axes {axes} are not all of length 1")
    return reshape(x, [n for k, n in enumerate(x.shape) if k not in axes])


@public
def matrix_transpose(x: Any, /) -> Expr:
    """The last two axes swapped; also x.mT."""
    return swapaxes(x, -1, -2)


@public
def swapaxes(x: Any, /, axis1: int, axis2: int) -> Expr:
    """Two axes swapped."""
    x = as_expr(x)
    with explaining("swapaxes", x):
        a, b = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return permute_dims(x, order)


@public
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int], /) -> Expr:
    """Axes moved to other places, the rest in their order.

    >>> moveaxis(as_expr(np.zeros((2, 3, 4))), 0, -1).shape
    (3, 4, 2)
    """
    x = as_expr(x)
    with explaining("moveaxis", x):
        taken = [normalize_axis(a, x.ndim) for a in _listed(source)]
        places = [normalize_axis(a, x.ndim) for a in _listed(destination)]
        if not len(set(taken)) == len(set(places)) == len(taken) == len(places):
            raise ShapeError("give as many destinations as sources, each axis once")
    pairs = dict(zip(places, taken, strict=True))
    rest = iter(k for k in range(x.ndim) if k not in pairs.values())
    return permute_dims(x, [pairs[k] if k in pairs else next(rest) for k in range(x.ndim)])


def _listed(axis: int | Sequence[int]) -> list[int]:
    """One number or several, as a list."""
    return list(axis) if isinstance(axis, Sequence) else [axis]


@public
def roll(x: Any, /, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Expr:
    """Elements shifted along axes (as one row when none is given), coming round at the end.

    One shift for all axes, or one for each.

    >>> roll(as_expr([1, 2, 3]), 1).eval()
    array([3, 1, 2])
    """
    x = as_expr(x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, 0), x.shape)
    with explaining("roll", x):
        shifts = [as_integer(s, "a shift") for s in _listed(shift)]
        axes = [normalize_axis(a, x.ndim) for a in _listed(axis)]
        shifts = shifts * len(axes) if len(shifts) == 1 else shifts
        if len(shifts) != len(axes):
            raise ShapeError(f"{len(shifts)} shifts for {len(axes)} axes; give one, or one each")
    rolled: Expr = x
    for k, by in zip(axes, shifts, strict=True):
        n = rolled.shape[k]
        rolled = take(rolled, (np.arange(n) - by % max(n, 1)) % max(n, 1), k)
    return rolled


@public
def repeat(x: Any, repeats: Any, /, axis: int | None = None) -> Expr:
    """Each element repeated, a fixed number of times.

    >>> repeat(as_expr([1, 2]), 2).eval()
    array([1, 1, 2, 2])
    """
    x = as_expr(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    with explaining("repeat", x):
        k = normalize_axis(axis, x.ndim)
        counts = as_array(repeats, "repeats")
        if counts.dtype.kind not in "iu" or counts.shape not in ((), (1,), (x.shape[k],)):
            raise ShapeError(f"repeats is an integer, or one for each of {x.shape[k]} elements")
        if (counts < 0).any():
            raise ShapeError(f"an element cannot be repeated {counts.min()} times")
    return take(x, np.repeat(np.arange(x.shape[k]), counts), k)


@public
def tile(x: Any, repetitions: int | Sequence[int], /) -> Expr:
    """The whole tensor repeated along each axis.

    >>> tile(as_expr([1, 2]), 2).eval()
    array([1, 2, 1, 2])
    """
    x = as_expr(x)
    with explaining("tile", x):
        reps = as_shape(repetitions)
    ndim = max(x.ndim, len(reps))
    dims = (1,) * (ndim - x.ndim) + x.shape
    reps = (1,) * (ndim - len(reps)) + reps
    split = [k for n in dims for k in (1, n)]
    wide = [k for r, n in zip(reps, dims, strict=True) for k in (r, n)]
    total = [r * n for r, n in zip(reps, dims, strict=True)]
    return reshape(broadcast_to(reshape(x, split), wide), total)


@public
def unstack(x: Any, /, axis: int = 0) -> tuple[Expr, ...]:
    """The slices along an axis, without it."""
    moved = moveaxis(x, axis, 0)
    return tuple([moved[k] for k in range(moved.shape[0])])


@public
def broadcast_arrays(*arrays: Any) -> tuple[Expr, ...]:
    """The operands broadcast to their common shape."""
    exprs = [as_expr(a) for a in arrays]
    with explaining("broadcast_arrays", *exprs):
        shape = broadcast_shapes(*[a.shape for a in exprs])
    return tuple([broadcast_to(a, shape) for a in exprs])


@public
def meshgrid(*arrays: Any, indexing: Literal["xy", "ij"] = "xy") -> tuple[Expr, ...]:
    """Vectors as coordinates of a grid: each repeated along the axes of the others.

    With indexing "ij" the k-th varies along axis k; with "xy" the first two change places.

    >>> [x.eval().tolist() for x in meshgrid([1, 2], [3, 4, 5])]
    [[[1, 2], [1, 2], [1, 2]], [[3, 3], [4, 4], [5, 5]]]
    """
    return broadcast_arrays(*open_grid(arrays, indexing))


def open_grid(arrays: Sequence[Any], indexing: str) -> list[Expr]:
    """Vectors along the axes of a grid, each of length 1 along the others'; see `meshgrid`."""
    vectors = [as_expr(a) for a in arrays]
    with explaining("meshgrid", *vectors):
        if any(a.ndim > 1 for a in vectors):
            raise ShapeError("meshgrid takes vectors and scalars")
        if indexing not in ("xy", "ij"):
            raise ShapeError(f'the indexing is "xy" or "ij", not {indexing!r}')
    order = list(range(len(vectors)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    return [reshape(a, [a.size if j == k else 1 for j in order]) for k, a in enumerate(vectors)]


@public
def tril(x: Any, /, k: int = 0) -> Expr:
    """The lower triangle of the last two axes; zero above diagonal k."""
    x = as_expr(x)
    return where(_triangle(x, k, "tril"), x, zeros_like(x))


@public
def triu(x: Any, /, k: int = 0) -> Expr:
    """The upper triangle of the last two axes; zero below diagonal k."""
    x = as_expr(x)
    return where(~_triangle(x, k, "triu", above=1), x, zeros_like(x))


def _triangle(x: Expr, k: int, name: str, above: int = 0) -> Array:
    with explaining(name, x):
        if x.ndim < 2:
            raise ShapeError("a triangle needs an operand of at least two axes")
        rows, columns = x.shape[-2:]
        k = max(-rows, min(as_integer(k, "the diagonal k") - above, columns))
    return np.tri(rows, columns, k, dtype=np.bool_)


@public
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Expr:
    """n-th difference of neighbours along an axis, of what is prepended and appended too.

    What is put before and behind has as many axes as x, or none: then it is one number for all.

    >>> diff(as_expr([1, 4, 9])).eval()
    array([3, 5])
    """
    y = as_expr(x)
    with explaining("diff", y):
        k = normalize_axis(axis, y.ndim)
        n = as_integer(n, "the order n")
        if n < 0:
            raise ShapeError(f"there is no difference of order {n}")
    pieces = [
        y if piece is y else _slab(piece, y, k)
        for piece in (prepend, y, append)
        if piece is not None
    ]
    y = concat(pieces, k)
    before = (slice(None),) * k
    for _ in range(min(n, y.shape[k])):  # more leave none of none
        y = subtract(y[(*before, slice(1, None))], y[(*before, slice(None, -1))])
    return y


def _slab(x: Any, beside: Expr, axis: int) -> Expr:
    """x as a piece that goes before or behind along an axis; a number becomes one slice."""
    x = as_expr(x)
    shape = [1 if k == axis else n for k, n in enumerate(beside.shape)]
    return x if x.ndim else broadcast_to(x, shape)
