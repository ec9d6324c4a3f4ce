"""`vmap`: a function of one value as a function of many, along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.errors import GraphError, ShapeError
from minigrad.graph.leaves import as_expr, placeholder
from minigrad.graph.node import Expr
from minigrad.names import public
from minigrad.ops.batch import batched
from minigrad.ops.core import explaining
from minigrad.ops.shape import moveaxis
from minigrad.tree import flatten, paths
from minigrad.types import as_integer, normalize_axis, require_callable

Axis = int | None


@public
def vmap(
    f: Callable[..., Any], in_axes: Axis | Sequence[Axis] = 0, out_axes: int = 0
) -> Callable[..., Any]:
    """A function that applies f to each value along an axis, as one graph with that axis.

    in_axes: the axis of each argument along which the values lie, one for all or one each; None
        for an argument that is the same for all. An argument may be any nesting of tensors.
    out_axes: where the axis stands in the results.

    f is called once, with expressions of one value; what it returns may be any nesting. The new
    function raises GraphError where no argument is mapped, and ShapeError where the arguments
    differ in the number of values.

    >>> import minigrad as mg
    >>> x = mg.var("x", (3, 2))
    >>> norms = vmap(lambda row: mg.sum(row * row))(x)
    >>> norms.shape, norms.eval({x: [[1, 2], [0, 3], [1, 1]]})
    ((3,), array([5., 9., 2.]))
    """

    require_callable(f, "what vmap applies")
    for axis in in_axes if isinstance(in_axes, (list, tuple)) else [in_axes]:
        if axis is not None:
            as_integer(axis, "an axis in in_axes, unless None,")
    out_axes = as_integer(out_axes, "out_axes")

    def mapped(*args: Any) -> Any:
        axes = _one_each(in_axes, len(args))
        stacks: dict[Expr, Expr] = {}
        operands: list[Any] = []
        sizes: dict[str, int] = {}
        for k, (arg, axis) in enumerate(zip(args, axes, strict=True)):
            leaves, build = flatten(arg)
            ones = [as_expr(leaf) for leaf in leaves]
            if axis is not None:
                names = paths(arg, f"argument {k}")
                values = [_values_first(x, axis) for x in ones]
                sizes |= {n: v.shape[0] for n, v in zip(names, values, strict=True)}
                ones = [placeholder("one", v.type.with_shape(v.shape[1:])) for v in values]
                stacks |= dict(zip(ones, values, strict=True))
            operands.append(build(iter(ones)))
        n = _common(sizes)
        leaves, build = flatten(f(*operands))
        outputs = batched([as_expr(y) for y in leaves], stacks, n)
        return build(iter([moveaxis(y, 0, out_axes) if out_axes else y for y in outputs]))

    mapped.__name__ = getattr(f, "__name__", "mapped")
    mapped.__doc__ = f.__doc__
    return mapped


def _one_each(in_axes: Axis | Sequence[Axis], count: int) -> list[Axis]:
    if in_axes is None or not isinstance(in_axes, Sequence):
        return [in_axes] * count
    if len(in_axes) != count:
        raise GraphError(f"vmap: in_axes names {len(in_axes)} arguments; there are {count}")
    return list(in_axes)


def _values_first(x: Expr, axis: int) -> Expr:
    with explaining("vmap", x):
        return moveaxis(x, normalize_axis(axis, x.ndim), 0)


def _common(sizes: dict[str, int]) -> int:
    if not sizes:
        raise GraphError("vmap needs an argument to map over: every axis in in_axes is None")
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name}: {n}" for name, n in sizes.items())
        raise ShapeError(f"vmap needs as many values of each argument; there are {listed}")
    return next(iter(sizes.values()))
