"""A pass on where-masks, as padding makes them: one in the place of several, after sums and slices.

A mask that stands on each of a sum's products keeps them apart, and so does one before a slice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import reduce

from minigrad.derivatives.conditions import conditions_of, is_where_mask, masked_by, masked_value
from minigrad.graph.node import Expr, make
from minigrad.graph.walk import count_uses, map_graph, toposort
from minigrad.loop.passes.frame import sums_in
from minigrad.ops.arithmetic import add
from minigrad.ops.choice import where
from minigrad.ops.core import full_like, is_zero
from minigrad.ops.index import GETITEM, Spec, all_of
from minigrad.rewrite.views import slices


def gather_masks(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """where(m, a, 0) + where(m, 0, b) + where(m, c, 0) = where(m, a + c, b): one mask for a sum.

    And where(m, x, 0)[s] = where(m, x[s], 0), of what slices alone read, each with the same m. The
    reverse step of an LSTM over padded sequences has one product so, and without this four.
    """
    uses, sums = count_uses(outputs), sums_in(outputs)
    cuts = Counter(n.args[0] for n in toposort(outputs) if n.op is GETITEM and slices(n))

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node in sums:
            return _sum([new[t] for t in sums[node]], [uses[t] == 1 for t in sums[node]])
        if node.op is GETITEM and cuts[node.args[0]] == uses[node.args[0]]:
            spec = slices(node)
            return None if spec is None else _slice(new[node.args[0]], spec)
        return None

    return map_graph(outputs, of_node)


def _sum(terms: Sequence[Expr], alone: Sequence[bool]) -> Expr | None:
    """The sum of terms, with masks of one condition as one; None where no two have one.

    alone: which of them nothing else reads; masks that are there anyway save nothing.
    """
    groups: dict[Expr, list[Expr]] = {}
    others: list[Expr] = []
    for term, only_here in zip(terms, alone, strict=True):
        if only_here and is_where_mask(term):
            groups.setdefault(term.args[0], []).append(term)
        else:
            others.append(term)
    if all(len(group) == 1 for group in groups.values()):
        return None
    sums = [where(m, _side(group, 1), _side(group, 2)) for m, group in groups.items()]
    return reduce(add, [*others, *sums])


def _side(masks: Sequence[Expr], side: int) -> Expr:
    """The sum of what masks of one condition take on one side of it."""
    values = [m.args[side] for m in masks if not is_zero(m.args[side])]
    return reduce(add, values) if values else full_like(masks[0], 0)


def _slice(mask: Expr, spec: Spec) -> Expr | None:
    """A slice of a mask as a mask of a slice, where the mask is the same across the cut."""
    if not is_where_mask(mask):
        return None
    conditions, value = conditions_of(mask), masked_value(mask)
    across = [k for k, whole in enumerate(all_of(mask.shape)) if spec[k] != whole]
    if any(c.shape[k] > 1 for c in conditions for k in across):
        return None
    return masked_by(conditions, make(GETITEM, (value,), (spec,)))
