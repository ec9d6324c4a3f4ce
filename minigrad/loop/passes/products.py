"""Passes on matrix products within a loop: fewer and larger ones, and none larger than is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

from minigrad.graph.node import Expr, make, rebuild
from minigrad.graph.walk import count_uses, map_graph, toposort
from minigrad.loop.passes.frame import sums_in
from minigrad.ops.arithmetic import add
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, concat, concat_bounds


def distribute(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """[h, x] · W = h · W_h + x · W_x where only a part moves: the rest can leave the loop."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is not MATMUL or node.args[1] in moving:
            return None
        left, right = node.args
        if left.op is not CONCAT or left.attrs[0] != left.ndim - 1:
            return None
        if len({a in moving for a in left.args}) < 2:
            return None
        sides: list[Expr] = []
        spans = list(zip(left.args, pairwise(concat_bounds(left)), strict=True))
        for moves in (True, False):
            parts = [(a, slice(*span)) for a, span in spans if (a in moving) is moves]
            rows = concat([new[right][..., span, :] for _, span in parts], -2)
            sides.append(make(MATMUL, (concat([new[a] for a, _ in parts], -1), rows)))
        return sides[0] + sides[1]

    return map_graph(outputs, of_node)


_Key: TypeAlias = tuple[Expr, bool]


def merge_products(outputs: Sequence[Expr], moving: Collection[Expr] | None) -> list[Expr]:
    """a · U, a · V, ... = a · [U, V, ...], one product cut in columns.

    In a body, constants are put side by side, and what moves; outside a loop (`moving` None) all.
    """
    order = toposort(outputs)
    groups: dict[_Key, list[Expr]] = {}
    for node in order:
        if is_product(node):
            moves = moving is not None and node.args[1] in moving
            groups.setdefault((node.args[0], moves), []).append(node)
    groups = {key: group for key, group in groups.items() if len(group) > 1}
    if not groups:
        return list(outputs)
    wholes = [n for n in order if n.op is CONCAT and n.attrs[0] == n.ndim - 1]
    sides = {frozenset(n.args): n.args for n in wholes if len(set(n.args)) == len(n.args)}
    new: dict[Expr, Expr] = {}
    for step in _rights_first(order, groups):
        if isinstance(step, tuple):
            # In the order in which the right sides are put side by side already, if they are.
            products = {n.args[1]: n for n in groups[step]}
            rights = sides.get(frozenset(products), tuple(products))
            wide = make(MATMUL, (new[step[0]], concat([new[r] for r in rights], -1)))
            start = 0
            for right in rights:
                new[products[right]] = wide[:, start : start + right.shape[-1]]
                start += right.shape[-1]
        elif step not in new:
            new[step] = rebuild(step, tuple([new[a] for a in step.args]))
    return [new[o] for o in outputs]


def _rights_first(order: Iterable[Expr], groups: dict[_Key, list[Expr]]) -> list[Expr | _Key]:
    """The order with every group's key after its right sides and before its products.

    Groups for which there is none, because a product needs another one of it, even by way of other
    groups, are taken out of `groups`. Without that order one group became several wide products:
    x · (b · C) and x · (b · D) took 448 columns, not the 256 as written.
    """
    while True:
        needs: TopologicalSorter[Expr | _Key] = TopologicalSorter()
        for node in order:
            needs.add(node, *node.args)
        for key, group in groups.items():
            needs.add(key, key[0], *(n.args[1] for n in group))
            for node in group:
                needs.add(node, key)
        try:
            return list(needs.static_order())
        except CycleError as error:
            del groups[next(n for n in error.args[1] if isinstance(n, tuple))]


def merge_sums(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """a · U + b · V + ... = [a, b, ...] · [U; V; ...]: one product for a sum of them."""
    uses = count_uses(outputs)
    sums = sums_in(outputs)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        products = dict.fromkeys(
            t for t in sums.get(node, ())
            if is_product(t) and uses[t] == 1 and t.args[1] not in moving and t.args[0] in moving
        )  # fmt: skip
        if len(products) < 2:
            return None
        left = concat([new[t.args[0]] for t in products], -1)
        right = concat([new[t.args[1]] for t in products], -2)
        others = [new[t] for t in sums[node] if t not in products]
        return reduce(add, others, make(MATMUL, (left, right)))

    return map_graph(outputs, of_node)


def is_product(term: Expr) -> bool:
    return term.op is MATMUL and term.ndim == 2
