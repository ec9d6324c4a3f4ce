"""Rules that move slices inwards and permutations outwards, past each other and concatenations.

Concatenations of the same that differ only in how they lie become one, which exists once.
"""

from __future__ import annotations

from itertools import pairwise

from minigrad.graph.node import Expr, make
from minigrad.ops.index import GETITEM, Spec, all_of
from minigrad.ops.shape import CONCAT, PERMUTE, concat, concat_bounds, permute_dims
from minigrad.rewrite.driver import Rule


def slices(node: Expr) -> Spec | None:
    """A slice for each axis, where that is all a getitem does."""
    (spec, *_) = node.attrs
    plain = len(spec) == node.args[0].ndim and all(entry[0] == "s" for entry in spec)
    return spec if plain else None


def _slice_of_all(node: Expr) -> Expr | None:
    x, spec = node.args[0], slices(node)
    return x if spec == all_of(x.shape) else None


def _slice_of_permute(node: Expr) -> Expr | None:
    inner, spec = node.args[0], slices(node)
    if spec is None or inner.op is not PERMUTE:
        return None
    (axes,) = inner.attrs
    turned = tuple(spec[axes.index(k)] for k in range(len(axes)))
    return permute_dims(make(GETITEM, inner.args, (turned,)), axes)


def _slice_of_part(node: Expr) -> Expr | None:
    """A slice or an element of what lies within one part of a concatenation."""
    whole, (spec, *_) = node.args[0], node.attrs
    if len(node.args) > 1 or whole.op is not CONCAT or any(entry[0] == "n" for entry in spec):
        return None
    (axis,) = whole.attrs
    kind, start, *rest = spec[axis]
    length, step = rest or (1, 1)
    for part, (begin, end) in zip(whole.args, pairwise(concat_bounds(whole)), strict=True):
        if step == 1 and begin <= start and start + length <= end:
            within = (*spec[:axis], (kind, start - begin, *rest), *spec[axis + 1 :])
            return make(GETITEM, (part,), (within,))
    return None


def _concat_of_permutes(node: Expr) -> Expr | None:
    (axis,), axes = node.attrs, node.args[0].attrs
    if any(p.op is not PERMUTE or p.attrs != axes for p in node.args):
        return None
    return permute_dims(concat([p.args[0] for p in node.args], axes[0][axis]), axes[0])


VIEWS: tuple[Rule, ...] = (
    Rule("slice of all", GETITEM, _slice_of_all, True),
    Rule("slice of permute", GETITEM, _slice_of_permute, True, PERMUTE),
    Rule("slice of a part of concat", GETITEM, _slice_of_part, True, CONCAT),
    Rule("concat of permutes", CONCAT, _concat_of_permutes, True, PERMUTE),
)
