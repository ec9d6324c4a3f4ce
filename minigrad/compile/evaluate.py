"""The one-off evaluation of expressions: `eval`, and what float(e) and np.asarray(e) ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.compile.binding import resolve
from minigrad.compile.compiled import function
from minigrad.errors import ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr, describe
from minigrad.graph.walk import free_variables, require_closed, require_constant
from minigrad.names import public
from minigrad.syntax.asked import Asked
from minigrad.tree import flatten


@public
def eval(node: Any, bindings: Mapping[Any, Any] | None = None) -> Any:
    """The value of an expression (or a nesting of them) under {variable or its name: value}.

    Returns arrays, NumPy scalars for shape (). Raises GraphError for a missing or unknown variable.

    >>> from minigrad.graph.leaves import var
    >>> x = var("x")
    >>> eval(x * x, {"x": 3.0})
    np.float64(9.0)
    """
    leaves, _ = flatten(node)
    variables = free_variables([as_expr(e) for e in leaves])
    values = resolve(variables, bindings or {})
    return function(variables, node, backend="numpy")(*[values[v] for v in variables])


@public
def concrete(node: Expr, asked: Asked) -> Any:
    """The value of a closed expression, for float(e), np.asarray(e), bool(e)."""
    require_constant(node, asked) if asked.is_array else require_closed(node, asked)
    if asked.is_scalar:
        if node.size != 1:
            raise ShapeError(f"{asked} needs one element; {describe(node)} has {node.size}")
        return np.reshape(eval(node), ())[()]
    return eval(node)
