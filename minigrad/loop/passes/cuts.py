"""Passes that compute no more of a product or a concatenation than slices read of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from minigrad.graph.node import Expr, make
from minigrad.graph.walk import count_uses, map_graph
from minigrad.loop.passes.products import is_product
from minigrad.ops.index import GETITEM, Spec, all_of
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, concat
from minigrad.rewrite.views import slices

_OfSlice: TypeAlias = Callable[[Expr, Spec, Mapping[Expr, Expr]], "Expr | None"]


def _change_slices(outputs: Sequence[Expr], change: _OfSlice) -> list[Expr]:
    """The graph with change(whole, spec, new) for slices of what is read nowhere else."""
    uses = count_uses(outputs)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is not GETITEM or uses[node.args[0]] > 1:
            return None
        spec = slices(node)
        return None if spec is None else change(node.args[0], spec, new)

    return map_graph(outputs, of_node)


def cut_products(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """(a · U)[:, j:k] = a · U[:, j:k] where the product is read nowhere else."""

    def change(whole: Expr, spec: Spec, new: Mapping[Expr, Expr]) -> Expr | None:
        if not is_product(whole) or spec[0] != all_of(whole.shape)[0]:
            return None
        a, u = (new[x] for x in whole.args)
        return make(MATMUL, (a, make(GETITEM, (u,), ((all_of(u.shape)[0], spec[1]),))))

    return _change_slices(outputs, change)


def cut_concats(outputs: Sequence[Expr]) -> list[Expr]:
    """A slice of a concat that is read nowhere else is a concat of slices: less is put together."""

    def change(whole: Expr, spec: Spec, new: Mapping[Expr, Expr]) -> Expr | None:
        if whole.op is not CONCAT or spec[whole.attrs[0]] != all_of(whole.shape)[whole.attrs[0]]:
            return None
        (axis,) = whole.attrs
        specs = [(*spec[:axis], all_of(p.shape)[axis], *spec[axis + 1 :]) for p in whole.args]
        parts = [make(GETITEM, (new[p],), (s,)) for p, s in zip(whole.args, specs, strict=True)]
        return concat(parts, axis)

    return _change_slices(outputs, change)
