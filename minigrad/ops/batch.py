"""A leading axis: graphs over many values at once, along a new first axis.

Each op says what it does with such an axis (`Op.stacks`, `Op.batch`, `Attr`); here are the rule
that most ops have, and the walk that carries an axis through a graph. It serves `vmap`, Jacobians
in one sweep, work that leaves loops, and shares of rows for threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minigrad.errors import GraphError, ShapeError
from minigrad.graph.node import Expr, Op, describe, make
from minigrad.graph.walk import toposort
from minigrad.ops.core import BROADCAST, broadcast_to, reshape
from minigrad.types import TensorType, TupleType


def batch_node(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """The op of a node for n values at once, along a new first axis of the result.

    many: which of the args have that axis too; the others are the same for all values.
    """
    op = node.op
    if op.batch is not None:
        value = op.batch(node, args, many, n)
    elif has_leading_axis(op):
        wide = tuple([a if m else repeat_along(a, n) for a, m in zip(args, many, strict=True)])
        attrs = zip(op.attrs, node.attrs, strict=True)
        value = make(op, wide, tuple([kind.lift(value, n) for kind, value in attrs]))
    else:
        raise GraphError(
            f"{describe(node)}: op {op.name} does not say what it does with a leading axis; give "
            "its record stacks=True, where it takes further axes before those that it knows of, or "
            "a rule, batch="
        )
    if isinstance(node.type, TensorType) and value.type is not stacked(node.type, n):
        raise GraphError(
            f"op {op.name} for {n} values at once gives {value.type!r}, not {n} times {node.type!r}"
        )
    return value


def has_leading_axis(op: Op) -> bool:
    """Whether an op says what it does with a leading axis."""
    return op.pointwise or op.stacks or op.batch is not None


def stacked(type_: TensorType, n: int) -> TensorType:
    """The type of n tensors along a new first axis."""
    return type_.with_shape((n, *type_.shape))


def repeat_along(x: Expr, n: int) -> Expr:
    """The same n times, along a new first axis."""
    return broadcast_to(x, (n, *x.shape))


def batched(outputs: Sequence[Expr], stacks: Mapping[Expr, Expr], n: int) -> list[Expr]:
    """The outputs for n values at once, along a new first axis.

    stacks: {node: its n values, along a new first axis}. What depends on none of them is computed
    once. Raises ShapeError for a stack that does not have n values of the node's type.
    """
    for node, stack in stacks.items():
        if stack.type is not stacked(node.type, n):
            raise ShapeError(f"{n} values of {node.type!r} cannot be a stack {stack.type!r}")
    wide: dict[Expr, Expr] = dict(stacks)
    alike: dict[Expr, Expr] = {}  # what turned out to be the same for all
    for node in toposort(outputs):
        many = [a in wide for a in node.args]
        if node in wide or not (any(many) or any(a in alike for a in node.args)):
            continue
        args = [wide[a] if m else alike.get(a, a) for a, m in zip(node.args, many, strict=True)]
        if not any(many):
            alike[node] = make(node.op, tuple(args), node.attrs)
            continue
        value = batch_node(node, args, many, n)
        once = _once(value)
        if once is None:
            wide[node] = value
        else:
            alike[node] = once
    return [wide[o] if o in wide else repeat_along(alike.get(o, o), n) for o in outputs]


def _once(value: Expr) -> Expr | None:
    """What a stack repeats along its first axis; None where its values may differ."""
    if value.op is not BROADCAST or isinstance(value.type, TupleType):
        return None
    source, rest = value.args[0], value.shape[1:]
    if source.ndim <= len(rest):
        return broadcast_to(source, rest)
    return broadcast_to(reshape(source, source.shape[1:]), rest) if source.shape[0] == 1 else None
