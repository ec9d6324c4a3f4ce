"""The forward sweep: tangents of outputs, given those of some nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minigrad.derivatives.masked import Masked
from minigrad.derivatives.sweep import (
    Sweep,
    active_nodes,
    edge_terms,
    partial_of,
    sum_or_none,
    times,
)
from minigrad.errors import GraphError
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, describe, gc_paused, make
from minigrad.graph.origin import origins
from minigrad.graph.walk import toposort
from minigrad.ops.core import full_like, sum
from minigrad.ops.creation import ones_like


def push_forward(
    outputs: Sequence[Expr],
    tangents: Mapping[Expr, Expr],
    order: Sequence[Expr] | None = None,
) -> list[Expr | None]:
    """The tangents of the outputs, given those of some nodes; None where there is no dependence."""
    order = toposort(outputs) if order is None else order
    active = active_nodes(order, list(tangents))
    known = dict(tangents)
    masked = Masked()
    with origins() as mark, gc_paused():
        for node in order:
            if node in known or node not in active:
                continue
            mark(node)
            tangent = _pushed_tangent(node, [known.get(a) for a in node.args], masked)
            if tangent is not None:
                known[node] = tangent
    return [known.get(y) for y in outputs]


def _pushed_tangent(node: Expr, tangents: Sequence[Expr | None], masked: Masked) -> Expr | None:
    """The tangent of a node, given those of its arguments."""
    op = node.op
    if op.partials is not None:
        return sum_or_none(
            times(t, partial_of(node, i), masked) for i, t in enumerate(tangents) if t is not None
        )
    if op.transpose is not None and op.jointly:
        args = [
            t if t is not None else full_like(a, 0) if a.type.is_float else a
            for a, t in zip(node.args, tangents, strict=True)
        ]
        return make(op, tuple(args), node.attrs)
    if op.transpose is not None:
        return sum_or_none(
            make(op, (*node.args[:i], t, *node.args[i + 1 :]), node.attrs)
            for i, t in enumerate(tangents)
            if t is not None
        )
    if op.jvp is not None:
        return op.jvp(node, tangents)
    return None if op.vjp is None else _transposed_vjp(node, tangents)


def _transposed_vjp(node: Expr, tangents: Sequence[Expr | None]) -> Expr | None:
    # An adjoint rule is linear in its cotangent u, so the tangent is the derivative by u of
    # Σ vjp(u)·t: any op that states a vjp has forward mode too.
    u = placeholder("cotangent", node.type)
    total = sum_or_none(
        sum(term * tangent)
        for tangent, term in zip(tangents, edge_terms(u, node), strict=True)
        if tangent is not None and term is not None
    )
    adjoint = None if total is None else _derivative(total, u)
    if adjoint is not None and u in frozenset(toposort(adjoint)):
        raise GraphError(
            f"the backward of {describe(node)} is not linear in its cotangent; "
            "forward mode needs that"
        )
    return adjoint


def _derivative(total: Expr, u: Expr) -> Expr | None:
    return Sweep(toposort(total), [(total, ones_like(total))], [u]).get(u)
