"""Rules for masks: tensors that are 0 in places where what they are multiplied by may be infinite.

A cotangent is 0 at the elements that nobody read: on the side of a `where` that was not taken,
beside the slice or the rows that were looked up. Its next factor may be infinite or NaN just there,
so the factor moves into the mask: where(c, a, 0) * b = where(c, a * b, 0), and a scatter's factor
moves to the elements that are put in place. That keeps 0·∞ out of derivatives of every order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

from minigrad.graph.node import Expr, make
from minigrad.ops.arithmetic import add, divide, multiply, negative
from minigrad.ops.batch import batch_node, repeat_along
from minigrad.ops.choice import WHERE, where
from minigrad.ops.comparisons import logical_not
from minigrad.ops.core import (
    BROADCAST,
    RESHAPE,
    SUM,
    broadcast_to,
    full,
    full_like,
    is_zero,
    reshape,
    sum,
    uniform_value,
)
from minigrad.ops.index import GETITEM, NEW, SCATTER, Entry, Spec, all_of
from minigrad.ops.shape import PERMUTE, permute_dims
from minigrad.rewrite.boxes import cover
from minigrad.rewrite.conditions import conditions_of, is_where_mask, masked_by
from minigrad.rewrite.driver import Rule
from minigrad.rewrite.masked_products import PRODUCT_MASKS
from minigrad.types import Shape

Change: TypeAlias = Callable[[Expr], Expr]


# --- factors move into masks --------------------------------------------------------------------


def _may_be_masked(x: Expr) -> bool:
    return x.op in (add.op, PERMUTE, RESHAPE, SCATTER) or is_where_mask(x)


def _is_masked(x: Expr) -> bool:
    """Whether x is a mask, or made of nothing but masks by adding them up and turning them."""
    stack = [x]
    while stack:
        node = stack.pop()
        if not _may_be_masked(node):
            return False
        if node.op in (add.op, PERMUTE, RESHAPE):
            # Before going deeper: most sums have a part that is no mask.
            if not all(_may_be_masked(a) for a in node.args):
                return False
            stack += node.args
    return True


def _fills(total: Expr) -> bool:
    """Whether slices put in place side by side leave nothing out: then no element is a mask's 0."""
    boxes: list[list[range]] = []
    stack = [total]
    while stack:
        node = stack.pop()
        if node.op is add.op:
            stack += node.args
        elif node.op is SCATTER and len(node.args) == 1:
            boxes.append([_range(entry) for entry in node.attrs[0] if entry != NEW])
        else:
            return False
    # Where it takes long to tell, the answer is no: a mask that fills all is slower, never wrong.
    return cover(total.shape, boxes)


def _indexed(x: Expr, arrays: Sequence[Expr], spec: Spec, shape: Shape) -> Expr:
    """x at an index, which gives that shape; what is the same along a sliced axis stays so."""
    value = uniform_value(x)
    if value is not None:
        return full(value, x.type.with_shape(shape))
    if x.op is logical_not.op:
        return logical_not(_indexed(x.args[0], arrays, spec, shape))
    if x.op is BROADCAST and all(entry[0] == "s" for entry in spec):
        source = reshape(x.args[0], (1,) * (x.ndim - x.args[0].ndim) + x.args[0].shape)
        within = tuple(
            ("s", 0, 1, 1) if n == 1 else e for n, e in zip(source.shape, spec, strict=True)
        )
        if within != all_of(source.shape):
            source = make(GETITEM, (source,), (within,))
        return broadcast_to(source, shape)
    return make(GETITEM, (x, *arrays), (spec,))


def _taken(x: Expr, scatter: Expr) -> Expr:
    """The elements of x in the places that a scatter fills."""
    return _indexed(x, scatter.args[1:], scatter.attrs[0], scatter.args[0].shape)


def _move_into_mask(node: Expr) -> Expr | None:
    """A product or quotient of a mask as a mask of products or quotients."""
    for k, mask in enumerate(node.args[:1] if node.op is divide.op else node.args):

        def product(part: Expr, change: Change, k: int = k) -> Expr:
            args = [part if j == k else change(a) for j, a in enumerate(node.args)]
            return make(node.op, tuple(args))

        moved = _moved(_views_within(mask), product)
        if moved is not None:
            return moved
    return None


def _moved(mask: Expr, product: Callable[[Expr, Change], Expr]) -> Expr | None:
    if is_where_mask(mask):
        condition, *sides = mask.args
        zero = full_like(mask, 0)
        return where(condition, *[zero if is_zero(s) else product(s, lambda a: a) for s in sides])
    if mask.op is SCATTER:
        values = product(mask.args[0], lambda a: _taken(a, mask))
        return make(SCATTER, (values, *mask.args[1:]), mask.attrs)
    if mask.op is GETITEM:
        return _moved_past_index(mask, product)
    if mask.op not in (add.op, PERMUTE, RESHAPE) or not _is_masked(mask):
        return None
    inner = mask.args[0]
    if mask.op is PERMUTE:
        (axes,) = mask.attrs
        back = [axes.index(j) for j in range(len(axes))]
        return permute_dims(product(inner, lambda a: permute_dims(a, back)), axes)
    if mask.op is RESHAPE:
        return reshape(product(inner, lambda a: reshape(a, inner.shape)), mask.shape)
    if _fills(mask):
        return None
    return reduce(_sum, [product(term, lambda a: a) for term in mask.args])


def _moved_past_index(read: Expr, product: Callable[[Expr, Change], Expr]) -> Expr | None:
    """A product of what was read from a scatter: the factor, put there, is read where that puts."""
    scatter = read.args[0]
    if scatter.op is not SCATTER or len(read.args) > 1 or len(scatter.args) == 1:
        return None  # static ones have met already: see _slice_of_scatter

    def met(factor: Expr) -> Expr:
        value = uniform_value(factor)
        if value is not None:
            return full(value, scatter.args[0].type)
        return _taken(make(SCATTER, (factor,), (*read.attrs, scatter.shape)), scatter)

    values = product(scatter.args[0], met)
    return make(GETITEM, (make(SCATTER, (values, *scatter.args[1:]), scatter.attrs),), read.attrs)


def _sum(a: Expr, b: Expr) -> Expr:
    return b if is_zero(a) else a if is_zero(b) else a + b


def _views_within(x: Expr) -> Expr:
    """An indexed where-mask as a mask of what is indexed; anything else as it is."""
    if x.op is not GETITEM or not is_where_mask(x.args[0]):
        return x
    conditions, value = conditions_of(x.args[0])
    parts = [_indexed(part, x.args[1:], x.attrs[0], x.shape) for part in (*conditions, value)]
    return masked_by(parts[:-1], parts[-1])


# --- masks of masks and sums of masks -----------------------------------------------------------


def _mask_of_mask(node: Expr) -> Expr | None:
    """where(c, where(d, a, 0), 0) = where(c & d, a, 0).

    Keeps masks one deep: each later factor moves into a mask, and through a hundred nested ones it
    would do so a hundred times.
    """
    if not is_where_mask(node):
        return None
    outer, inner = conditions_of(node)
    if not is_where_mask(inner):
        return None
    deeper, value = conditions_of(inner)
    return masked_by([*outer, *deeper], value)


def _add_masks(node: Expr) -> Expr | None:
    """where(c, a, 0) + where(c & d, b, 0) = where(c, a + where(d, b, 0), 0), and the like.

    What all terms on a side not taken have in common stays outside their sum.
    """
    first, second = node.args
    if not (is_where_mask(first) and is_where_mask(second)):
        return None
    if first.args[0] is second.args[0]:
        sides = [_sum(a, b) for a, b in zip(first.args[1:], second.args[1:], strict=True)]
        return where(first.args[0], *sides)
    (mine, a), (others, b) = conditions_of(first), conditions_of(second)
    common = frozenset(mine) & frozenset(others)
    if not common:
        return None
    rest = masked_by([c for c in mine if c not in common], a)
    return masked_by(
        [c for c in mine if c in common],
        rest + masked_by([c for c in others if c not in common], b),
    )


def _broadcast_mask(node: Expr) -> Expr | None:
    """A broadcast or reshaped mask: what it masks is masked after, so that products move in."""
    inner = node.args[0]
    if not is_where_mask(inner):
        return None
    move = broadcast_to if node.op is BROADCAST else reshape
    return where(*[move(x, node.shape) for x in inner.args])


def _repeated_scatter(node: Expr) -> Expr | None:
    """What is put in place, repeated along new first axes: repeated, and then put in place.

    So the gradient of a slice is a mask along the axis of `vmap` too.
    """
    scatter = node.args[0]
    new = node.shape[: node.ndim - scatter.ndim]
    if not new or node.shape[len(new) :] != scatter.shape:
        return None
    for n in reversed(new):
        values, *indices = scatter.args
        many = [True, *(False for _ in indices)]
        scatter = batch_node(scatter, [repeat_along(values, n), *indices], many, n)
    return scatter


def _sum_of_scatter(node: Expr) -> Expr | None:
    """The sum over axes of what is put in place: summed, and then put in place."""
    scatter, (axes,) = node.args[0], node.attrs
    spec, shape = scatter.attrs
    if len(scatter.args) > 1 or any(entry[0] == "n" for entry in spec):
        return None
    sliced = [k for k, entry in enumerate(spec) if entry[0] == "s"]
    summed = [place for place, k in enumerate(sliced) if k in axes]
    values = sum(scatter.args[0], summed) if summed else scatter.args[0]
    left = [k for k in range(len(shape)) if k not in axes]
    return _placed(values, tuple([spec[k] for k in left]), node.shape)


def _scatter_twice(node: Expr) -> Expr | None:
    """What is put in place of what is put in place: at once."""
    inner = node.args[0]
    (outer, shape), (within, _) = node.attrs, inner.attrs
    if len(node.args) + len(inner.args) > 2 or any(e[0] == "n" for e in (*outer, *within)):
        return None
    entries = iter(within)
    places = [entry if entry[0] == "i" else _composed(entry, next(entries)) for entry in outer]
    return _placed(inner.args[0], tuple(places), shape)


def _placed(values: Expr, places: Spec, shape: Shape) -> Expr:
    """The values in their places; the values themselves, where that is all of them."""
    return values if places == all_of(shape) else make(SCATTER, (values,), (places, shape))


def _composed(outer: Entry, inner: Entry) -> Entry:
    """The places in a slice that an entry names, as places of what is sliced."""
    _, start, _, step = outer
    first = start + inner[1] * step
    if inner[0] == "i":
        return ("i", first)
    _, _, length, inner_step = inner
    return ("s", first if length else 0, length, step * inner_step if length > 1 else 1)


def _slice_of_scatter(node: Expr) -> Expr | None:
    """What is read beside what was put in place is 0; the rest is read from what was put."""
    scatter = node.args[0]
    (read,), (put, _) = node.attrs, scatter.attrs
    if len(node.args) + len(scatter.args) > 2 or any(e[0] == "n" for e in (*read, *put)):
        return None
    met = [_meet(_range(r), _range(p)) for r, p in zip(read, put, strict=True)]
    entries = [m for m in met if m is not None]
    if len(entries) < len(met):
        return full_like(node, 0)
    pairs = list(zip(entries, read, put, strict=True))
    # An axis that one of the two indexes by a number, the other has and it has not.
    taken = tuple([v if r[0] == "s" else _number(v) for (_, v), r, p in pairs if p[0] == "s"])
    places = tuple([t if p[0] == "s" else _number(t) for (t, _), r, p in pairs if r[0] == "s"])
    (values,) = scatter.args
    if taken != all_of(values.shape):
        values = make(GETITEM, (values,), (taken,))
    return _placed(values, places, node.shape)


def _number(entry: Entry) -> Entry:
    return ("i", entry[1])


def _range(entry: Entry) -> range:
    _, start, *rest = entry
    length, step = rest or (1, 1)
    return range(start, start + length * step, step)


def _meet(read: range, put: range) -> tuple[Entry, Entry] | None:
    """Where two ranges of an axis meet, as slices of the one and of the other; None: nowhere."""
    if read.step == put.step == 1:
        first, stop = max(read.start, put.start), min(read.stop, put.stop)
        both = range(first, stop)
    else:
        places = [k for k in read if k in put]  # an arithmetic series, since both are
        both = range(0)
        if places:
            step = places[1] - places[0] if len(places) > 1 else 1
            both = range(places[0], places[-1] + (1 if step > 0 else -1), step)
    if not both:
        return None
    second = both[min(1, len(both) - 1)]
    starts = [(r.index(both[0]), r.index(second)) for r in (read, put)]
    slices = [("s", first, len(both), next_ - first or 1) for first, next_ in starts]
    return slices[0], slices[1]


MASKS: tuple[Rule, ...] = (
    *(
        Rule("move into a mask", op, _move_into_mask, False, child)
        for op in (multiply.op, divide.op, negative.op)
        for child in (WHERE, SCATTER, GETITEM, PERMUTE, RESHAPE, add.op)
    ),
    Rule("slice of what is put in place", GETITEM, _slice_of_scatter, False, SCATTER),
    Rule("repeat what is put in place", BROADCAST, _repeated_scatter, False, SCATTER),
    Rule("sum of what is put in place", SUM, _sum_of_scatter, False, SCATTER),
    Rule("put in place twice", SCATTER, _scatter_twice, False, SCATTER),
    Rule("mask of a mask", WHERE, _mask_of_mask, False, WHERE),
    Rule("add masks", add.op, _add_masks, False, WHERE),
    *(Rule("broadcast a mask", op, _broadcast_mask, False, WHERE) for op in (BROADCAST, RESHAPE)),
    *PRODUCT_MASKS,
)
