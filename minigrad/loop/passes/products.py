"""Passes on matrix products within a loop: fewer and larger ones, and none larger than is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

from minigrad.graph.node import Expr, make, rebuild
from minigrad.graph.walk import depend_on, map_graph, toposort
from minigrad.loop.body import Call
from minigrad.loop.passes.taken_apart import (
    Pass,
    change_loops,
    count_uses,
    sums_in,
)
from minigrad.ops.arithmetic import add
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, concat, concat_bounds


def in_bodies(
    change: Callable[[Sequence[Expr], Collection[Expr]], list[Expr]],
) -> Pass:
    """A pass that changes the bodies of loops: change(outputs, what moves with the loop)."""

    def run(outputs: Sequence[Expr]) -> list[Expr]:
        def change_one(call: Call, node: Expr) -> list[Expr] | None:
            body = call.body
            new = change(body.outputs, depend_on(body.carries, body.outputs))
            if all(a is b for a, b in zip(new, body.outputs, strict=True)):
                return None
            return call.giving(new)

        return change_loops(outputs, change_one)

    return run


def distribute(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """[h, x] · W = h · W_h + x · W_x where only a part moves: the rest can leave the loop."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is not MATMUL or node.args[1] in moving:
            return None
        left, right = node.args
        if left.op is not CONCAT or left.attrs[0] != left.ndim - 1:
            return None
        fixed = [a for a in left.args if a not in moving]
        if not fixed or len(fixed) == len(left.args):
            return None
        return _in_parts(left, new[right], new, moving)

    return map_graph(outputs, of_node)


def _in_parts(left: Expr, right: Expr, new: Mapping[Expr, Expr], moving: Collection[Expr]) -> Expr:
    parts: dict[bool, list[tuple[Expr, Expr]]] = {True: [], False: []}
    for a, (start, stop) in zip(left.args, pairwise(concat_bounds(left)), strict=True):
        parts[a in moving].append((new[a], right[..., start:stop, :]))
    sides = []
    for pairs in parts.values():
        a = concat([p for p, _ in pairs], -1)
        sides.append(make(MATMUL, (a, concat([w for _, w in pairs], -2))))
    return sides[0] + sides[1]


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
    order = toposort(outputs)
    uses = count_uses(order, outputs)
    sums = sums_in(order, outputs)

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


def cut_products(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """(a · U)[:, j:k] = a · U[:, j:k] where the product is read nowhere else."""
    order = toposort(outputs)
    users: dict[Expr, set[Expr]] = {}
    for node in order:
        for a in node.args:
            users.setdefault(a, set()).add(node)
    results = set(outputs)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        product = node.args[0] if node.op is GETITEM and len(node.args) == 1 else None
        if (
            product is not None
            and product.op is MATMUL
            and product.ndim == 2
            and len(users[product]) == 1
            and product not in results
            and node.attrs[0][0] == ("s", 0, product.shape[0], 1)
            and node.attrs[0][1][0] == "s"
        ):
            a, u = (new[x] for x in product.args)
            whole = ("s", 0, u.shape[0], 1)
            columns = make(GETITEM, (u,), ((whole, node.attrs[0][1]),))
            return make(MATMUL, (a, columns))
        return None

    return map_graph(outputs, of_node)


def is_product(term: Expr) -> bool:
    return term.op is MATMUL and term.ndim == 2
