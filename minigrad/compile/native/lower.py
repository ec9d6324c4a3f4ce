"""Ops that have no code of their own, written with those that have: softmax and logsumexp."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigrad.body import Body
from minigrad.graph import Expr, make, rebuild
from minigrad.loop_op import SCAN
from minigrad.ops.core import expand_back, sum
from minigrad.ops.pointwise import exp, isfinite, log, where
from minigrad.ops.reduce import LOGSUMEXP, MAX, SOFTMAX
from minigrad.walk import toposort


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


_LOWERED: dict[str, Callable[[Expr, tuple[int, ...]], Expr]] = {
    SOFTMAX.name: _softmax,
    LOGSUMEXP.name: _logsumexp,
}


def lower(outputs: Sequence[Expr]) -> list[Expr]:
    """The same graph of ops that have code, bodies of loops included."""
    new: dict[Expr, Expr] = {}
    for node in toposort(outputs):
        args = tuple([new[a] for a in node.args])
        if node.op.name in _LOWERED and node.args[0].size:
            new[node] = _LOWERED[node.op.name](args[0], *node.attrs)
        elif node.op is SCAN:
            body, *rest = node.attrs
            closed = lower(body.outputs)
            same = Body(body.inputs, closed, body.n_carry, body.n_x)
            new[node] = make(SCAN, args, (same, *rest))
        else:
            new[node] = rebuild(node, args)
    return [new[o] for o in outputs]
