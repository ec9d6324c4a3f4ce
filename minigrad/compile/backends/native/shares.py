"""Shares of a stage for several threads: of a loop whose rows are independent, of a product, or of
pointwise ops.

A share is the same ops over some rows of the batch, from the first step to the last, or over some
rows or columns of the product, or elements. It reads and writes its part of the whole arrays, where
they lie.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from minigrad.compile.backends.native.rows import independent_rows, take_rows
from minigrad.compile.backends.native.stages import Stage
from minigrad.graph.leaves import const
from minigrad.graph.node import Expr, make
from minigrad.loop.node import SCAN
from minigrad.ops.core import broadcast_to, uniform_value
from minigrad.ops.index import GETITEM, Spec, all_of
from minigrad.ops.linalg import MATMUL
from minigrad.ops.tuples import item

# Columns of a share: whole panels of the kernel. Rows: as many as packing the right side pays for.
UNIT = 64

Share = tuple[int, int]
"""The first row or column, and how many."""


def cut(stage: Stage, most: int) -> list[Share]:
    """At most so many shares of a stage; none where it cannot be cut."""
    node = stage.nodes[0]
    if stage.pointwise:
        axis = _longest_axis(node)
        shares = _evenly(node.shape[axis], most, UNIT if axis == node.ndim - 1 else 1)
    elif node.op is MATMUL and node.ndim == 2 and max(node.shape) >= 2 * UNIT:
        shares = _evenly(node.shape[_longer_side(node)], most, UNIT)
    elif node.op is SCAN and independent_rows(node.attrs[0].body) is not None:
        shares = _evenly(node.attrs[0].body.carries[0].shape[0], most, 1)
    else:
        return []
    return shares if len(shares) > 1 else []


def take_share(stage: Stage, share: Share) -> tuple[Stage, dict[Expr, tuple[Expr, Spec]]]:
    """The stage of a share; for each of its results, of what it is a part, and which."""
    if stage.pointwise:
        return _take_elements(stage, share)
    return (_take_rows if stage.nodes[0].op is SCAN else _take_product)(stage, share)


def _take_elements(stage: Stage, share: Share) -> tuple[Stage, dict[Expr, tuple[Expr, Spec]]]:
    axis = _longest_axis(stage.nodes[0])
    spec = _some(stage.nodes[0], axis, share)
    own: dict[Expr, Expr] = {}
    for n in stage.nodes:
        for a in n.args:
            if a not in own:
                own[a] = _elements(a, spec)
        own[n] = make(n.op, tuple([own[a] for a in n.args]), n.attrs)
    places = {own[n]: (n, spec) for n in stage.nodes}
    return replace(stage, nodes=[*places]), places


def _elements(node: Expr, spec: Spec) -> Expr:
    part, value = make(GETITEM, (node,), (spec,)), uniform_value(node)
    return part if value is None else broadcast_to(const(value, node.dtype), part.shape)


def _longest_axis(node: Expr) -> int:
    return node.shape.index(max(node.shape))


def _take_product(stage: Stage, share: Share) -> tuple[Stage, dict[Expr, tuple[Expr, Spec]]]:
    (node,) = stage.nodes
    axis, factors = _longer_side(node), list(node.args)
    factors[axis] = make(GETITEM, (factors[axis],), (_some(factors[axis], axis, share),))
    part = make(MATMUL, tuple(factors))
    return Stage([part]), {part: (node, _some(node, axis, share))}


def _longer_side(node: Expr) -> int:
    """The axis along which a product is cut; its shares are then packed if the whole is."""
    return int(node.shape[1] >= node.shape[0])


def _take_rows(stage: Stage, share: Share) -> tuple[Stage, dict[Expr, tuple[Expr, Spec]]]:
    node, *items = stage.nodes
    (loop,) = node.attrs
    step = loop.body
    rows = independent_rows(step) or ()
    is_x = [k in range(step.n_carry, step.n_carry + step.n_x) for k in range(len(step.inputs))]
    args = [
        make(GETITEM, (a,), (_some(a, int(x), share),)) if v in rows else a
        for v, a, x in zip(step.inputs, node.args, is_x, strict=True)
    ]
    part = make(SCAN, tuple(args), (replace(loop, body=take_rows(step, rows, share[1])),))
    places = {}
    for whole in items:
        (k,) = whole.attrs
        places[item(part, k)] = whole, _some(whole, int(k >= step.n_carry), share)
    return Stage([part, *places]), places


def _some(node: Expr, axis: int, share: Share) -> Spec:
    """The index of a share along an axis."""
    spec = list(all_of(node.shape))
    spec[axis] = ("s", *share, 1)
    return tuple(spec)


def _evenly(size: int, threads: int, unit: int) -> list[Share]:
    """At most so many even shares, each but the last of whole units."""
    units = -(-size // unit)
    threads = min(threads, units)
    bounds = [min(size, units * k // threads * unit) for k in range(threads + 1)]
    return [(a, b - a) for a, b in itertools.pairwise(bounds)]
