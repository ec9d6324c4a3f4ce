"""Ops that have no code of their own, written with those that have: softmax, logsumexp and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.graph.node import Expr, Op, make
from minigrad.graph.walk import map_graph, packed
from minigrad.loop.body import Body
from minigrad.loop.node import SCAN
from minigrad.ops.arithmetic import pow
from minigrad.ops.choice import where
from minigrad.ops.comparisons import isfinite
from minigrad.ops.core import SUM, astype, expand_back, sum, uniform_value
from minigrad.ops.custom import CUSTOM
from minigrad.ops.exponential_sums import LOGSUMEXP, SOFTMAX
from minigrad.ops.exponentials import exp, log
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.reduce import ALL, ANY, MAX
from minigrad.types import BOOL, INT64


def _top(x: Expr, axes: tuple[int, ...]) -> Expr:
    """The largest element; 0 where that is infinite, so that nothing becomes inf - inf."""
    top = make(MAX, (x,), (axes,))
    return where(isfinite(top), top, 0)


def _softmax(x: Expr, axes: tuple[int, ...]) -> Expr:
    e = exp(x - expand_back(_top(x, axes), x.shape, axes))
    return e / expand_back(sum(e, axes), x.shape, axes)


def _logsumexp(x: Expr, axes: tuple[int, ...]) -> Expr:
    top = _top(x, axes)
    return log(sum(exp(x - expand_back(top, x.shape, axes)), axes)) + top


_POWERS: dict[float, Callable[[Expr], Expr]] = {
    2: lambda x: x * x,
    3: lambda x: x * x * x,
    4: lambda x: (x * x) * (x * x),
    -1: lambda x: 1.0 / x,
}
"""Powers that a product or two give within 2 ulp; NumPy squares so too."""

LOWERED: dict[Op, Callable[[Expr, tuple[int, ...]], Expr]] = {
    SOFTMAX: _softmax,
    LOGSUMEXP: _logsumexp,
}

_COUNTED: dict[Op, Callable[[Any], Any]] = {
    SUM: lambda dtype: INT64 if dtype == BOOL else None,
    ALL: lambda dtype: BOOL if dtype != BOOL else None,
    ANY: lambda dtype: BOOL if dtype != BOOL else None,
}
"""As what operands of some dtypes are joined, where that is another one."""


def lower(outputs: Sequence[Expr]) -> list[Expr]:
    """The same graph of ops that have code, bodies of loops included."""
    graph = packed(outputs)
    ops = {*graph.ops}
    narrow = any(map(_has_narrow_indices, graph.of(_INDEXED)))
    if ops.isdisjoint({SCAN, CUSTOM, pow.op, *LOWERED, *_COUNTED}) and not narrow:
        return list(outputs)
    return map_graph(outputs, _lowered)


def _lowered(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
    if node.op in LOWERED and node.args[0].size:
        return LOWERED[node.op](new[node.args[0]], *node.attrs)
    if node.op is CUSTOM:
        return new[node.args[0]]  # its derivatives are taken already
    if node.op is pow.op and node.type.is_float:
        power = _POWERS.get(uniform_value(node.args[1]) or 0)
        return power and power(new[node.args[0]])
    if node.op in _COUNTED and (kind := _COUNTED[node.op](node.args[0].dtype)):
        return make(node.op, (astype(new[node.args[0]], kind),), node.attrs)
    if _has_narrow_indices(node):
        wide = [astype(new[a], INT64) for a in node.args[1:]]
        return make(node.op, (new[node.args[0]], *wide), node.attrs)
    if node.op is not SCAN:
        return None
    (loop,) = node.attrs
    body = loop.body
    same = Body(body.inputs, lower(body.outputs), body.n_carry, body.n_x)
    return make(SCAN, tuple([new[a] for a in node.args]), (replace(loop, body=same),))


_INDEXED = {GETITEM, SCATTER}


def _has_narrow_indices(node: Expr) -> bool:
    """Whether all index arrays fit in int64, and one is something else."""
    dtypes = {a.dtype for a in node.args[1:]} if node.op in _INDEXED else set()
    return bool(dtypes - {INT64}) and np.dtype(np.uint64) not in dtypes
