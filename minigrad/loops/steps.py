"""Passes that take work out of the steps: before the loop, and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from minigrad.graph import Expr, Op, make
from minigrad.loops.loop import Loop, change_loops, count_uses, depend_on
from minigrad.loops.products import is_product
from minigrad.ops.core import ASTYPE, BROADCAST, RESHAPE, SUM, broadcast_to, reshape, sum
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.reduce import CUMSUM, LOGSUMEXP, MAX, MIN, SOFTMAX
from minigrad.ops.shape import CONCAT, PERMUTE, permute_dims
from minigrad.walk import substitute, toposort


def hoist(outputs: Sequence[Expr]) -> list[Expr]:
    """Products of a loop's inputs that meet no carry are computed for all steps at once, before."""

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        body = loop.body
        stacked = _apart_from_carries(loop)
        # Worth it where a product is saved from being cut into steps; the rest is as cheap inside.
        products = depend_on((n for n in stacked if n.op is MATMUL), body.outputs)
        lifted = {n for n in stacked if stacked[n] is not None and n in products and not n.op.view}
        # Of what can leave, only the outermost is handed to the loop.
        needed: dict[Expr, None] = {}
        for n in toposort(body.outputs):
            if n not in lifted:
                needed.update((a, None) for a in n.args if a in lifted)
        needed.update((o, None) for o in body.outputs if o in lifted)
        if not needed:
            return None
        xs = dict(zip(body.xs, loop.xs, strict=True))
        for n in needed:
            value = stacked[n]
            assert value is not None
            xs[n] = value
        return loop.with_outputs(body.outputs, None, xs)

    return change_loops(outputs, change)


def _apart_from_carries(loop: Loop) -> dict[Expr, Expr | None]:
    """What depends on the loop's inputs and on no carry, for all steps at once where it can be."""
    body = loop.body
    stacked: dict[Expr, Expr | None] = dict(zip(body.xs, loop.xs, strict=True))
    surroundings = loop.surroundings()
    reads = depend_on(body.xs, body.outputs)
    moving = depend_on(body.carries, body.outputs)
    for n in toposort(body.outputs):
        if n in reads and n not in moving and n not in stacked:
            stacked[n] = _at_all_steps(n, stacked, surroundings, loop.length)
    return stacked


_SHIFT_AXES = (SUM, MAX, MIN, LOGSUMEXP, SOFTMAX)


def _at_all_steps(
    node: Expr,
    stacked: Mapping[Expr, Expr | None],
    surroundings: dict[Expr, Expr],
    length: int,
) -> Expr | None:
    """A step's expression for all steps at once, along a new first axis; None where it has none."""
    args: list[Expr] = []
    many: list[bool] = []
    for a in node.args:
        found = stacked.get(a) if a in stacked else substitute(a, surroundings)
        if found is None:
            return None
        args.append(found)
        many.append(a in stacked)
    op, attrs = node.op, node.attrs
    first = args[0]
    if op.pointwise:
        full_shape = (length, *node.shape)
        return make(op, tuple(broadcast_to(a, full_shape) for a in args), attrs)
    if op is MATMUL and many == [True, False] and node.ndim == 2:
        rows = reshape(first, (length * node.shape[0], first.shape[-1]))
        return reshape(make(MATMUL, (rows, args[1])), (length, *node.shape))
    if op is CONCAT:
        wide = [broadcast_to(a, (length, *n.shape)) for a, n in zip(args, node.args, strict=True)]
        return make(CONCAT, tuple(wide), (attrs[0] + 1,))
    if op in _SHIFT_AXES:
        return make(op, (first,), (tuple(a + 1 for a in attrs[0]),))
    if op is CUMSUM:
        return make(op, (first,), (attrs[0] + 1,))
    if op is RESHAPE:
        return reshape(first, (length, *node.shape))
    if op is BROADCAST:
        inner = node.args[0].shape
        ones = (1,) * (node.ndim - len(inner))
        return broadcast_to(reshape(first, (length, *ones, *inner)), (length, *node.shape))
    if op is PERMUTE:
        return permute_dims(first, (0, *(a + 1 for a in attrs[0])))
    if op is GETITEM and len(args) == 1:
        return make(GETITEM, (first,), ((("s", 0, length, 1), *attrs[0]),))
    if _is_by_rows(GETITEM, node) and many == [False, True]:
        return make(GETITEM, tuple(args), attrs)
    return make(op, (first,), attrs) if op is ASTYPE else None


def _is_by_rows(op: Op, node: Expr) -> bool:
    """Whether one array of indices reads rows or adds to them: then so does one for all steps."""
    return node.op is op and len(node.args) == 2 and node.attrs[0][0] == ("a",)


def sink_sums(outputs: Sequence[Expr]) -> list[Expr]:
    """A carry that only adds up is summed after the loop; a sum of products becomes one product."""

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        body = loop.body
        uses = count_uses(toposort(body.outputs), body.outputs)
        summed = {
            k: term
            for k, (c, after) in enumerate(zip(body.carries, body.next_carries, strict=True))
            if (term := _only_added(c, after, uses)) is not None
        }
        if not summed or loop.recompute:
            return None
        factors = _factors(list(summed.values()))
        apart = _apart_from_carries(loop)
        stacks = {n: value for n in factors if (value := apart.get(n)) is not None}
        emitted = [n for n in factors if n not in stacks]
        kept = [k for k in range(body.n_carry) if k not in summed]
        found = loop.with_outputs(
            [*(body.next_carries[k] for k in kept), *body.ys, *emitted],
            {body.carries[k]: loop.init[k] for k in kept},
        )
        there = dict(zip(kept, found, strict=False))
        ys = found[len(kept) : len(kept) + len(body.ys)]
        stacks.update(zip(emitted, found[len(kept) + len(body.ys) :], strict=True))
        for k, term in summed.items():
            there[k] = loop.init[k] + _sum_over_steps(term, stacks)
        return [*(there[k] for k in range(body.n_carry)), *ys]

    return change_loops(outputs, change)


def _only_added(carry: Expr, after: Expr, uses: Counter[Expr]) -> Expr | None:
    """The summand, where a carry becomes itself plus something and neither is read elsewhere."""
    if after.op.name != "add" or uses[carry] != 1 or uses[after] != 1:
        return None
    if after.args[0] is carry:
        return after.args[1]
    return after.args[0] if after.args[1] is carry else None


def _left_factor(term: Expr) -> Expr:
    """What to keep of the left side of a product: the rows, not their transpose."""
    left = term.args[0]
    return left.args[0] if left.op is PERMUTE else left


def _core(term: Expr) -> Expr:
    """What a summand is a slice of."""
    while term.op is GETITEM and len(term.args) == 1:
        term = term.args[0]
    return term


def _parts(wholes: Iterable[Expr]) -> dict[Expr, Expr]:
    """What can be read from concatenations, and from which."""
    return {part: whole for whole in wholes if whole.op is CONCAT for part in whole.args}


def _factors(terms: Sequence[Expr]) -> list[Expr]:
    """What each step has to give out so that the terms can be summed over all steps."""
    found: dict[Expr, None] = {}
    for term in terms:
        if is_product(core := _core(term)):
            found.update({_left_factor(core): None, core.args[1]: None})
        elif _is_by_rows(SCATTER, core):
            found.update(dict.fromkeys(core.args))
    parts = _parts(found)
    for term in terms:
        core = _core(term)
        # A sum over an axis of what is given out already can wait as well.
        waits = core.op is SUM and (core.args[0] in found or core.args[0] in parts)
        if not is_product(core) and not _is_by_rows(SCATTER, core) and not waits:
            found[term] = None
    return list(found)


def _sum_over_steps(term: Expr, stacks: Mapping[Expr, Expr]) -> Expr:
    if term in stacks:
        return sum(stacks[term], 0)
    if term.op is GETITEM:
        return make(GETITEM, (_sum_over_steps(term.args[0], stacks),), term.attrs)
    if term.op is SUM:
        axes = tuple(a + 1 for a in term.attrs[0])
        return sum(_stack_of(term.args[0], stacks), (0, *axes))
    if _is_by_rows(SCATTER, term):
        return make(SCATTER, tuple(stacks[a] for a in term.args), term.attrs)
    right = stacks[term.args[1]]
    rows = reshape(right, (right.shape[0] * right.shape[1], right.shape[2]))
    left = stacks[_left_factor(term)]
    if term.args[0].op is not PERMUTE:
        left = permute_dims(left, (0, 2, 1))
    columns = reshape(left, (left.shape[0] * left.shape[1], left.shape[2]))
    return make(MATMUL, (permute_dims(columns), rows))


def _stack_of(value: Expr, stacks: Mapping[Expr, Expr]) -> Expr:
    """All steps of a value: given out as it is, or as a part of a concatenation."""
    if value in stacks:
        return stacks[value]
    whole = _parts(stacks)[value]
    axis = whole.attrs[0]
    start = 0
    for part in whole.args:
        if part is value:
            break
        start += part.shape[axis]
    span = slice(start, start + value.shape[axis])
    return stacks[whole][(slice(None),) * (axis + 1) + (span,)]
