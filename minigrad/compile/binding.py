"""Values for variables: what a function's inputs, updates and bindings must be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, GraphError, OpenGraphError, ShapeError
from minigrad.graph.leaves import PARAM, PLACEHOLDER, VAR, as_expr
from minigrad.graph.node import Expr, describe
from minigrad.graph.walk import free_variables, toposort
from minigrad.types import FLOAT64, Array, TensorType, as_items, require_unmasked

_DOUBLE = TensorType((), FLOAT64)


def check_inputs(inputs: Sequence[Expr]) -> list[Expr]:
    if isinstance(inputs, Expr):
        raise GraphError("inputs is a list of variables: write function([x], ...)")
    checked = as_items(inputs, "inputs")
    for v in checked:
        if not isinstance(v, Expr) or v.op not in (VAR, PLACEHOLDER):
            shown = describe(v) if isinstance(v, Expr) else repr(v)
            raise GraphError(f"an input must be a variable made with minigrad.var, not {shown}")
    names = [v.name for v in checked if v.op is VAR]
    if len(set(names)) != len(names):
        raise GraphError(f"two inputs have the same name: {', '.join(map(str, names))}")
    return checked


def check_updates(updates: Mapping[Expr, Any]) -> dict[Expr, Expr]:
    if not isinstance(updates, Mapping):
        raise GraphError("updates is a dict {param: the expression it becomes}")
    written = {}
    for p, value in updates.items():
        if not isinstance(p, Expr) or p.op is not PARAM:
            raise GraphError(f"only params can be updated, not {p!r}; make one with minigrad.param")
        new = as_expr(value)
        if new.type is not p.type:
            kind = ShapeError if new.shape != p.shape else DTypeError
            raise kind(f"cannot update {describe(p)} with a value of type {new.type!r}")
        written[p] = new
    return written


def check_bound(roots: Sequence[Expr], inputs: Sequence[Expr]) -> None:
    known = set(inputs)
    loose = [v for v in free_variables(roots) if v not in known]
    if loose:
        lines = [f"  {describe(v)}" for v in loose]
        if any(v.op is PLACEHOLDER for v in loose):
            lines.append(
                "  (a carry or x of a loop has no value outside the step: give it out as y)"
            )
        raise GraphError(
            "the outputs depend on variables that are given no value:\n" + "\n".join(lines)
        )


def check_divided(divided: Iterable[Any], roots: Sequence[Expr], inputs: Collection[Expr]) -> None:
    """Raises GraphError unless each input or param that shall be divided is the function's."""
    own = {*inputs, *toposort(roots)}
    for leaf in divided:
        if isinstance(leaf, Expr) and leaf not in own:
            raise GraphError(
                f"shard= divides {describe(leaf)}, which is no input of this function, nor a param "
                "that it reads"
            )


def bind(v: Expr, value: Any) -> Array:
    """A value as an array of the variable's type. Raises ShapeError or DTypeError."""
    wanted = v.type
    if type(value) is np.ndarray and value.dtype == wanted.dtype and value.shape == wanted.shape:
        return value
    if wanted is _DOUBLE and (type(value) is float or type(value) is np.float64):
        return np.array(value)  # a third of the time, and a net of scalars has hundreds
    require_unmasked(value)
    try:
        array = np.asarray(value)
    except OpenGraphError:
        what = describe(value) if isinstance(value, Expr) else "a nesting with expressions in it"
        raise OpenGraphError(
            f"{what}, was given for {describe(v)}: a value is numbers, those of an expression "
            "expr.eval({...}), of a param param.value; to put an expression in the place of a "
            "variable write minigrad.substitute(y, {x: expr})"
        ) from None
    except ValueError as error:
        raise ShapeError(f"the value of {describe(v)} is no array: {error}") from None
    except (TypeError, RuntimeError) as error:  # of a tensor of torch's, which says what to do
        raise DTypeError(f"the value of {describe(v)} is no array here: {error}") from None
    if array.dtype.kind in "OSU":
        raise DTypeError(
            f"{value!r:.60}, which is no array of numbers, was given for {describe(v)}"
        )
    if not _keeps_kind(array.dtype, v.dtype):
        raise DTypeError(f"a value of dtype {array.dtype} was given for {describe(v)}")
    if array.shape != v.shape:
        raise ShapeError(f"a value of shape {array.shape} was given for {describe(v)}")
    if array.dtype == v.dtype:
        return array
    converted = array.astype(v.dtype)
    if v.dtype.kind in "iu" and not np.array_equal(converted, array):
        raise DTypeError(f"a value that does not fit in {v.dtype} was given for {describe(v)}")
    return converted


def _keeps_kind(source: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether a value may become one of the wanted dtype: a bool an integer, an integer a float."""
    ranks = {"b": 0, "i": 1, "u": 1, "f": 2}
    return source.kind in ranks and ranks[source.kind] <= ranks[wanted.kind]


def resolve(
    variables: Sequence[Expr],
    bindings: Mapping[Any, Any],
    how: str = "pass eval({x: value, ...})",
) -> dict[Expr, Any]:
    """The value of each variable, from bindings by variable or by name; `how` they are passed.

    Raises GraphError.
    """
    if not isinstance(bindings, Mapping):
        raise GraphError(
            f"bindings are a dict {{variable or its name: value}}, not {bindings!r:.60}"
        )
    by_name = {v.name: v for v in variables}
    values: dict[Expr, Any] = {}
    for key, value in bindings.items():
        v = by_name.get(key) if isinstance(key, str) else key
        if not isinstance(v, Expr):
            raise GraphError(f"no variable {key!r} here; there are: {_listed(variables)}")
        if v.op is not VAR:
            raise GraphError(
                f"bindings give values to variables, not to {describe(v)}; to replace an inner "
                "node use minigrad.substitute"
            )
        # Variables that are known but not used here are let pass, so that one dict serves many.
        values[v] = value
    missing = [v for v in variables if v not in values]
    if missing:
        raise GraphError(f"no value for {_listed(missing)}; {how}")
    return values


def _listed(variables: Sequence[Expr]) -> str:
    return ", ".join(f"{v.name}: {v.type!r}" for v in variables) or "none"
