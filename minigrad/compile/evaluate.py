"""The one-off evaluation of expressions: `eval`, and what float(e) and np.asarray(e) ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from minigrad.compile.binding import resolve
from minigrad.compile.compiled import function
from minigrad.errors import OpenGraphError, ShapeError
from minigrad.graph.leaves import PARAM, as_expr
from minigrad.graph.node import Expr, describe
from minigrad.graph.walk import free_variables, toposort
from minigrad.names import public
from minigrad.syntax.asked import Asked
from minigrad.tree import flatten


@public
def eval(node: Any, bindings: Mapping[Any, Any] | None = None) -> Any:
    """The value of an expression (or a nesting of them) under {variable or its name: value}.

    Returns arrays, NumPy scalars for shape (). Raises GraphError for a missing or unknown variable.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> mg.eval(x * x, {"x": 3.0})
    np.float64(9.0)
    """
    leaves, _ = flatten(node)
    variables = free_variables([as_expr(e) for e in leaves])
    values = resolve(variables, bindings or {})
    return function(variables, node, backend="numpy")(*[values[v] for v in variables])


@public
def concrete(node: Expr, asked: Asked) -> Any:
    """The value of a closed expression, for float(e), np.asarray(e), bool(e)."""
    _require_closed(node, asked)
    if asked.is_array:
        _require_constant(node, asked)
    if asked.is_scalar:
        if node.size != 1:
            raise ShapeError(f"{asked} needs one element; {describe(node)} has {node.size}")
        return np.reshape(eval(node), ())[()]
    return eval(node)


def _require_closed(node: Expr, asked: Asked) -> None:
    """Raise OpenGraphError when a concrete value is asked of a graph with free variables."""
    names = [cast(str, v.name) for v in free_variables(node)]
    if names:
        hint = "bind them with expr.eval({...})"
        if asked.is_array:
            hint = f"{_TO_BUILD}; for values {hint}"
        elif asked is Asked.BOOL:
            hint = _TO_CHOOSE
        elif asked is Asked.FLOAT:
            hint = f"functions of expressions are minigrad's, not math's; for values {hint}"
        elif asked is Asked.FORMAT:
            hint = f"format its text, str(expr), or its value: {hint}"
        raise OpenGraphError(f"{asked} of an expression that depends on {_shortly(names)}: {hint}")


_TO_CHOOSE = (
    "`if`, `and`, `or`, `while` and `a < x < b` need a value now; to choose within the graph write "
    "minigrad.where(condition, a, b), and (a < x) & (x < b) for both"
)
_TO_BUILD = (
    "an array would lose the graph, and with it the gradient; of a list of expressions write "
    "minigrad.stack([...]), minigrad.concat([...]) or minigrad.asarray([[...]]), to put one "
    "into an array minigrad.const(array).at[index].set(expr)"
)


def _require_constant(node: Expr, asked: Asked) -> None:
    """Raise OpenGraphError when an array is asked of a graph that a gradient may be taken of."""
    names = [cast(str, n.name) for n in toposort(node) if n.op is PARAM]
    if names:
        raise OpenGraphError(
            f"{asked} of an expression that holds the param {_shortly(names)}: {_TO_BUILD}; for "
            "values write expr.eval(), or param.value"
        )


def _shortly(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
