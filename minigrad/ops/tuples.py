"""Nodes with several results: `item` reads one of a tuple, `tuple_of` makes one of several tensors.

Loops have several results. Users never meet a tuple: what they hold are its items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.ops.batch import repeat_along
from minigrad.ops.core import full
from minigrad.types import TensorType, TupleType


def _tuple_type(*items: TensorType) -> Any:
    return TupleType(items)


def _item_type(whole: Any, i: int) -> TensorType:
    if not isinstance(whole, TupleType) or type(i) is not int or not 0 <= i < len(whole.items):
        raise ShapeError(f"{whole!r} has no item {i!r:.60}")
    return whole.items[i]


def _item_transpose(cotangent: Expr, out: Expr) -> Terms:
    types = cast(TupleType, out.args[0].type).items
    parts = [cotangent if k == out.attrs[0] else full(0, t) for k, t in enumerate(types)]
    return (tuple_of(parts),)


def _tuple_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    return tuple_of([a if m else repeat_along(a, n) for a, m in zip(args, many, strict=True)])


TUPLE = register(
    Op(
        "tuple",
        _tuple_type,
        lambda *items: tuple([np.array(x) for x in items]),  # results share no memory
        transpose=lambda ct, out: tuple([item(ct, k) for k in range(len(out.args))]),
        jointly=True,
        batch=_tuple_batch,
    )
)
ITEM = register(
    Op(
        "item",
        _item_type,
        lambda whole, i: whole[i],
        transpose=_item_transpose,
        jointly=True,
        of_tuple=True,
        attrs=(Attr("index"),),
        batch=lambda node, args, many, n: item(args[0], node.attrs[0]),
    )
)


def tuple_of(items: Sequence[Expr]) -> Expr:
    """Several tensors as one node."""
    return make(TUPLE, tuple(items))


def item(whole: Expr, i: int) -> Expr:
    """One tensor of a tuple."""
    return whole.args[i] if whole.op is TUPLE else make(ITEM, (whole,), (i,))


def items_of(whole: Expr) -> list[Expr]:
    """All tensors of a tuple."""
    return [item(whole, k) for k in range(len(cast(TupleType, whole.type).items))]
