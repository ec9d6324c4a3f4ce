"""Where a cotangent may be other than 0, read off the way it is made: of masks, by linear ops.

A cotangent is 0 at the elements that nobody read: on the side of a `where` that was not taken,
beside the slice or the rows that were looked up; and so is what linear ops make of such zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from minigrad.derivatives.conditions import (
    MOST,
    Conditions,
    always,
    applied,
    conditions_of,
    conjunction,
    either,
    is_where_mask,
    laid_out,
    masked_value,
    shaped,
    true,
    widened,
)
from minigrad.graph.leaves import CONST, const
from minigrad.graph.node import Expr, make
from minigrad.ops.arithmetic import add, divide, multiply, negative, subtract
from minigrad.ops.choice import WHERE
from minigrad.ops.core import (
    ASTYPE,
    BROADCAST,
    RESHAPE,
    SUM,
    astype,
    drop_axes,
    is_zero,
    uniform_value,
)
from minigrad.ops.custom import BARRIER
from minigrad.ops.index import ARRAY, GETITEM, NEW, SCATTER, Entry, all_of, indexed_shape
from minigrad.ops.reduce import CUMSUM
from minigrad.ops.shape import CONCAT, PERMUTE
from minigrad.types import Shape

Rule: TypeAlias = Callable[[Expr, Sequence[Conditions]], Conditions]


class Support:
    """The conditions under which expressions are other than 0; each is looked at once."""

    def __init__(self) -> None:
        self._known: dict[Expr, Conditions] = {}
        self._alike: dict[object, Conditions] = {}

    def note_anywhere(self, x: Expr) -> None:
        """Nothing is known of x: what `of` would find out, of a product in three times as long."""
        self._known[x] = ()

    def of(self, x: Expr) -> Conditions:
        """What must hold where an element of x is other than 0; nothing where nothing is known."""
        known = self._known
        if x in known:
            return known[x]
        # Most of what is not known yet: what an op makes that says nothing, and sums with that.
        if x.op not in _RULES or (
            x.op is add.op and (known.get(x.args[0]) == () or known.get(x.args[1]) == ())
        ):
            known[x] = ()
            return ()
        stack = [x]
        while stack:
            node = stack[-1]
            parts = () if node in known else _parts(node)
            waiting = [p for p in parts if p not in known and p.op in _RULES]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if parts:
                known[node] = self._of_parts(node, [known.get(p, ()) for p in parts])
            elif node not in known:
                known[node] = ()
        return known[x]

    def _of_parts(self, node: Expr, parts: Sequence[Conditions]) -> Conditions:
        rule = _RULES[node.op]
        if rule is not _where and rule is not _sum_of_two:
            return _few(rule(node, parts))
        # These are many, and of few kinds: of a layer's cotangents, one for each of its units.
        key = *parts, *((node.args[0], is_zero(node.args[2])) if rule is _where else ())
        if key not in self._alike:
            self._alike[key] = _few(rule(node, parts))
        return self._alike[key]

    def condition(self, x: Expr) -> Expr | None:
        """The same as one condition; None where nothing is known."""
        conditions = self.of(x)
        return conjunction(conditions) if conditions else None


def _few(conditions: Conditions) -> Conditions:
    """Each condition once, without those that always hold; of many, those of one shape as one."""
    some = [c for c in dict.fromkeys(conditions) if not always(c)]
    if len(some) <= MOST:
        return tuple(some)
    by_shape: dict[Shape, list[Expr]] = {}
    for c in some:
        by_shape.setdefault(c.shape, []).append(c)
    return tuple([conjunction(group) for group in by_shape.values()])


def _parts(node: Expr) -> Sequence[Expr]:
    """What the support of a node follows from; nothing for what may be other than 0 anywhere."""
    if node.op not in _RULES:
        return ()
    if node.op is WHERE:
        return (masked_value(node),) if is_where_mask(node) else ()
    if node.op in (add.op, subtract.op):
        # Most sums have a part that is no mask.
        return node.args if all(a.op in _RULES for a in node.args) else ()
    if node.op in (multiply.op, divide.op):
        if uniform_value(node.args[1]) is not None:
            return node.args[:1]
        scaled = node.op is multiply.op and uniform_value(node.args[0]) is not None
        return node.args[1:] if scaled else ()
    return node.args if node.op is CONCAT else node.args[:1]


def _where(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    return (*conditions_of(node), *parts[0])


def _sum_of_two(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    """What both have in common stays outside."""
    common = frozenset.intersection(*map(frozenset, parts))
    rests = [[c for c in some if c not in common] for some in parts]
    shared = [c for c in parts[0] if c in common]
    if not all(rests):
        return tuple(shared)
    return (*shared, either(*map(conjunction, rests)))


def _summed(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    """SUM and CUMSUM: a sum may be other than 0 where one of its terms may."""
    axes = node.attrs[0] if node.op is SUM else node.attrs
    apart: list[Expr] = []
    mixed: list[Expr] = []
    for c in parts[0]:
        same = all(c.shape[k] == 1 for k in axes)
        (apart if same else mixed).append(c)
    if mixed:
        condition = conjunction(mixed)
        put = _put_along(condition, axes) if node.op is SUM else None
        if put is None:
            put = make(node.op, (astype(condition, node.dtype),), node.attrs) > 0
        apart.append(put)
    if node.op is CUMSUM:
        return tuple(apart)
    return tuple([c if c.ndim == node.ndim else shaped(c, drop_axes(c.shape, axes)) for c in apart])


def _put_along(condition: Expr, axes: Sequence[int]) -> Expr | None:
    """Whether what is put by index arrays alone is put anywhere along axes: by the other arrays.

    One label a step, say, is one in every step, which is known without the labels.
    """
    if condition.op is not SCATTER or set(condition.attrs[0]) != {ARRAY}:
        return None
    (values, *arrays), (spec, shape) = condition.args, condition.attrs
    rest = [k for k in range(len(shape)) if k not in axes]
    if not rest:
        return None
    places = [widened(arrays[k], values.shape) for k in rest]
    return applied(SCATTER, [values, *places], spec[: len(rest)], tuple(shape[k] for k in rest))


def _permuted(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    return tuple([applied(PERMUTE, [c], *node.attrs) for c in parts[0]])


def _repeated(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    new = (1,) * (node.ndim - node.args[0].ndim)
    return tuple([shaped(c, new + c.shape) for c in parts[0]])


def _reshaped(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    return tuple([laid_out(c, node.args[0].shape, node.shape) for c in parts[0]])


def _read(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    """Of an index: the condition at the same index."""
    x, *arrays = node.args
    (spec,) = node.attrs
    if arrays:
        return tuple([applied(GETITEM, [widened(c, x.shape), *arrays], spec) for c in parts[0]])
    at_index = []
    for c in parts[0]:
        lengths = iter(zip(c.shape, x.shape, strict=True))
        entries = [e if e[0] == "n" else _short(e, *next(lengths)) for e in spec]
        at_index.append(applied(GETITEM, [c], tuple(entries)))
    return tuple(at_index)


def _short(entry: Entry, length: int, n: int) -> Entry:
    """The entry for an axis of length n as one for the axis of a condition."""
    if length == n:
        return entry
    return ("i", 0) if entry[0] == "i" else ("s", 0, 1, 1)


def _put(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    """Of what is put among zeros: the places along each axis, and what the values have."""
    spec, shape = node.attrs
    if any(entry[0] in "an" for entry in spec):
        return _put_by_arrays(node, parts[0])
    places = []
    for k, entry in enumerate(spec):
        inside = np.zeros(shape[k], np.bool_)
        inside[list(as_range(entry))] = True
        places.append(const(inside.reshape([-1 if j == k else 1 for j in range(len(shape))])))
    return (*places, *[_put_alone(node, c) for c in parts[0]])


def as_range(entry: Entry) -> range:
    """The places that an entry of an index without arrays names."""
    _, start, *rest = entry
    length, step = rest or (1, 1)
    return range(start, start + length * step, step)


def _put_alone(node: Expr, condition: Expr) -> Expr:
    """A condition of values that are put in place, of which nothing is asked elsewhere."""
    spec, shape = node.attrs
    lengths = iter(condition.shape)
    across = [1 if entry[0] == "i" else next(lengths) for entry in spec]
    short = [n == 1 for n in across]
    # Along an axis where the values have one answer, that is the answer everywhere.
    within = tuple([("s", 0, 1, 1) if one else e for one, e in zip(short, spec, strict=True)])
    values = shaped(condition, tuple(across))
    whole = tuple([1 if one else n for one, n in zip(short, shape, strict=True)])
    return values if within == all_of(whole) else applied(SCATTER, [values], within, whole)


def _put_by_arrays(node: Expr, conditions: Conditions) -> Conditions:
    values, *arrays = node.args
    spec, shape = node.attrs
    if conditions:
        inside = widened(conjunction(conditions), values.shape)
    else:
        # The places are the same along all axes that are filled.
        axes = [e for e in spec if e != NEW]
        filled = [e == ("s", 0, n, 1) for e, n in zip(axes, shape, strict=True)]
        shape = tuple([1 if f else n for f, n in zip(filled, shape, strict=True)])
        full = iter(filled)
        spec = tuple([e if e == NEW or not next(full) else ("s", 0, 1, 1) for e in spec])
        inside = true(indexed_shape(shape, spec, tuple([a.type for a in arrays])))
    return (applied(SCATTER, [inside, *arrays], spec, shape),)


def _concatenated(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    """What holds for all parts and is the same along the axis, as of packed gates."""
    shared = frozenset(parts[0]).intersection(*parts)
    return tuple([c for c in parts[0] if c in shared and c.shape[node.attrs[0]] == 1])


def along(conditions: Conditions, axis: int) -> Conditions:
    """What must hold of all that lies along an axis, for any of it to be other than 0."""
    known = [c for c in conditions if c.op is CONST]
    # Together constants say more than one by one: an element that is read may be masked too.
    together = [conjunction(known)] if known else []
    if any(c.op is not CONST for c in together):  # too large to be kept
        together = known
    some = [const(c.value.any(axis, keepdims=True)) for c in together]
    same = [c for c in conditions if c.op is not CONST and c.shape[axis] == 1]
    return tuple([c for c in (*some, *same) if not always(c)])


def _same(node: Expr, parts: Sequence[Conditions]) -> Conditions:
    return parts[0]


_RULES: dict[object, Rule] = {
    WHERE: _where,
    add.op: _sum_of_two,
    subtract.op: _sum_of_two,
    negative.op: _same,
    multiply.op: _same,  # by a number, as divide
    divide.op: _same,
    ASTYPE: _same,
    BARRIER: _same,
    SUM: _summed,
    CUMSUM: _summed,
    PERMUTE: _permuted,
    BROADCAST: _repeated,
    RESHAPE: _reshaped,
    GETITEM: _read,
    SCATTER: _put,
    CONCAT: _concatenated,
}
