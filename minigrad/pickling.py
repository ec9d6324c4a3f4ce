"""Pickling of expressions: a flat text of the graph, since pickle would recurse along a chain.

Params are pickled as objects of their own, so that expressions that share one share its copy too.
"""

from __future__ import annotations

from typing import Any

from minigrad.graph.leaves import PARAM, VAR, param, var
from minigrad.graph.node import Expr
from minigrad.graph.walk import substitute, toposort
from minigrad.names import public
from minigrad.serialise import dumps, loads


@public
def reduce_graph(y: Expr) -> tuple[Any, ...]:
    """How pickle takes an expression apart."""
    if y.op is PARAM:
        return param, (y.attrs[0], y.value)
    order = toposort(y)
    params = [n for n in order if n.op is PARAM]
    names = {str(n.attrs[0]) for n in order if n.op is VAR}
    prefix = "param"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    places = {p: var(f"{prefix}{k}", p.shape, p.dtype) for k, p in enumerate(params)}
    return restore_graph, (dumps(substitute(y, places)), prefix, tuple(params))


def restore_graph(text: str, prefix: str, params: tuple[Expr, ...]) -> Expr:
    """The expression that `reduce_graph` took apart."""
    y: Expr = loads(text)
    values = {var(f"{prefix}{k}", p.shape, p.dtype): p for k, p in enumerate(params)}
    used = set(toposort(y))
    restored: Expr = substitute(y, {v: p for v, p in values.items() if v in used})
    return restored
