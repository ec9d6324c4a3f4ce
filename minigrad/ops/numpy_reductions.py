"""NumPy's call forms of reductions: dtype=, initial=, where=, ddof=, out= in NumPy's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.names import numpy_form
from minigrad.ops import arithmetic, choice, reduce
from minigrad.ops.choice import where as choose
from minigrad.ops.core import (
    as_float,
    astype,
    broadcast_to,
    is_python_number,
    reshape,
    sum,
)
from minigrad.types import Axis, normalize_axes


def _where_else(x: Any, where: Any, neutral: float) -> Expr:
    """x, and a number that the reduction does not notice where it is not to be read."""
    x = as_expr(x)
    return x if where is True else choose(where, x, neutral)


def in_dtype(x: Any, dtype: npt.DTypeLike | None) -> Expr:
    """x in the dtype that is asked for, if one is."""
    return as_expr(x) if dtype is None else astype(x, dtype)


def _total(
    reduction: Callable[..., Expr], join: Callable[[Any, Any], Expr], neutral: float
) -> Callable[..., Expr]:
    def form(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        x = _where_else(in_dtype(a, dtype), where, neutral)
        y = in_dtype(reduction(x, axis, keepdims=keepdims), dtype)
        return y if initial is None or is_neutral(initial) else join(y, initial)

    def is_neutral(initial: Any) -> bool:
        return is_python_number(initial) and initial == neutral

    return form


numpy_form("sum")(_total(sum, arithmetic.add, 0))
numpy_form("prod")(_total(reduce.prod, arithmetic.multiply, 1))


def _lowest(dtype: np.dtype[Any], sign: int) -> float:
    if dtype.kind == "f":
        return sign * np.inf
    if dtype.kind == "b":
        return sign > 0
    info = np.iinfo(dtype)
    return int(info.max if sign > 0 else info.min)


def _extreme(
    reduction: Callable[..., Expr], join: Callable[[Any, Any], Expr], sign: int
) -> Callable[..., Expr]:
    def form(
        a: Any,
        axis: Axis = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        x = as_expr(a)
        if where is not True:
            if initial is None:
                raise ShapeError("the extreme of a selection (where=) needs an initial= value")
            x = _where_else(x, where, _lowest(x.dtype, sign))
        if initial is None:
            return reduction(x, axis, keepdims=keepdims)
        if 0 in [x.shape[k] for k in normalize_axes(axis, x.ndim)]:
            y = sum(x, axis, keepdims=keepdims)
            return broadcast_to(astype(initial, x.dtype), y.shape)
        return join(reduction(x, axis, keepdims=keepdims), initial)

    return form


numpy_form("max", "amax")(_extreme(reduce.max, choice.maximum, -1))
numpy_form("min", "amin")(_extreme(reduce.min, choice.minimum, 1))


def _counted(x: Expr, axis: Axis, where: Any, keepdims: bool) -> Expr:
    """How many elements a selection reads."""
    mask = broadcast_to(astype(where, np.bool_), x.shape)
    return sum(astype(mask, x.dtype), axis, keepdims=keepdims)


@numpy_form("mean")
def mean_where(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    where: Any = True,
) -> Expr:
    x = in_dtype(a, dtype)
    if where is True:
        return reduce.mean(x, axis, keepdims=keepdims)
    x = as_float(x)
    total = sum(_where_else(x, where, 0), axis, keepdims=keepdims)
    return total / _counted(x, axis, where, keepdims)


@numpy_form("var")
def variance_where(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Expr:
    ddof = ddof if correction is None else correction
    x = in_dtype(a, dtype)
    if where is True and mean is None:
        return reduce.variance(x, axis, correction=ddof, keepdims=keepdims)
    x = as_float(x)
    centre = mean_where(x, axis, keepdims=True, where=where) if mean is None else mean
    spread = _where_else(x - centre, where, 0)
    total = sum(spread * spread, axis, keepdims=keepdims)
    return total / (_counted(x, axis, where, keepdims) - ddof)


@numpy_form("std")
def _std(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Expr:
    spread = variance_where(
        a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean, correction=correction
    )
    return reduce.root(spread)


def _logical(reduction: Callable[..., Expr], neutral: bool) -> Callable[..., Expr]:
    def form(
        a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: Any = True
    ) -> Expr:
        x = as_expr(a) if where is True else _where_else(as_expr(a) != 0, where, neutral)
        return reduction(x, axis, keepdims=keepdims)

    return form


numpy_form("all")(_logical(reduce.all, True))
numpy_form("any")(_logical(reduce.any, False))


def running(
    function: Callable[..., Expr], prepare: Callable[[Any], Expr] = as_expr
) -> Callable[..., Expr]:
    """NumPy's form of a running sum or product: of all elements, where no axis is given."""

    def form(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Expr:
        x = in_dtype(prepare(a), dtype)
        y = function(reshape(x, -1), 0) if axis is None else function(x, axis)
        return in_dtype(y, dtype)

    return form


numpy_form("cumsum")(running(reduce.cumulative_sum))
numpy_form("cumprod")(running(reduce.cumulative_prod))
