"""Passes that take work out of the steps: before the loop, and after it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from minigrad.graph.node import Expr, make
from minigrad.graph.walk import count_uses, depend_on, first_where, substitute, toposort
from minigrad.loop.body import Body, Call
from minigrad.loop.node import SCAN
from minigrad.loop.passes.frame import change_loops
from minigrad.loop.passes.products import is_product
from minigrad.ops.arithmetic import add
from minigrad.ops.batch import batch_node, batched, has_leading_axis
from minigrad.ops.core import RESHAPE, SUM, reshape, sum
from minigrad.ops.custom import CUSTOM
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, PERMUTE, concat_bounds, permute_dims


def hoist(outputs: Sequence[Expr]) -> list[Expr]:
    """Products of a loop's inputs that meet no carry are computed for all steps at once, before."""

    def change(call: Call, node: Expr) -> list[Expr] | None:
        stacks = _before_loop(call)
        # Worth it where a product is saved from being cut into steps, and for what is no machine
        # code, checks and random numbers; the rest is as cheap inside.
        first = (n for n in stacks if n.op is MATMUL or n.op.checks)
        worth = depend_on(first, call.body.outputs)
        # Of what can leave, only the outermost is handed to the loop.
        handed = first_where(
            call.body.outputs, lambda n: n in worth and n in stacks and not n.op.view
        )
        if not handed:
            return None
        xs = {**call.xs, **{n: stacks[n] for n in handed}}
        return replace(call, xs=xs).giving(call.body.outputs)

    return change_loops(outputs, change)


def _before_loop(call: Call) -> dict[Expr, Expr]:
    """What depends on the loop's inputs and on no carry, for all steps at once where it can be."""
    body = call.body
    stacks, constants = dict(call.xs), dict(call.constants)
    of_step = depend_on(body.xs, body.outputs)
    moving = depend_on(body.carries, body.outputs)
    for n in toposort(body.outputs):
        many = [a in of_step for a in n.args]
        if (
            any(many)
            and n not in moving
            and all(a in stacks for a in n.args if a in of_step)
            and _is_cheap_at_once(n, many)
        ):
            args = [stacks[a] if a in stacks else substitute(a, constants) for a in n.args]
            stacks[n] = batch_node(n, args, many, call.loop.length)
    return stacks


def _is_cheap_at_once(node: Expr, many: Sequence[bool]) -> bool:
    """Whether a step's expression costs no more for all steps at once: one product, not a stack."""
    if node.op is MATMUL:
        return many == [True, False] and node.ndim == 2
    return has_leading_axis(node.op) and node.op not in (SCAN, CUSTOM)


def sink_sums(outputs: Sequence[Expr]) -> list[Expr]:
    """A carry that only adds up is summed after the loop where that takes no stack of its own.

    A sum of products becomes one product, rows put back are put back at once, and what the steps
    give out anyway is summed where it lies. The rest stays a carry: the stack of 500 terms of
    (300, 300) takes 360 MB and is no faster than the carry, which takes 1.4 MB.
    """

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body = call.body
        summands = _summands(body)
        steps = depend_on((*body.carries, *body.xs), body.outputs)
        at_hand = {*body.xs, *body.ys}
        at_hand |= _parts(at_hand).keys()
        sources = [_source(t, at_hand) for t in summands.values()]
        factors = list(
            dict.fromkeys(f for s in sources if s not in at_hand for f in _factors(s, steps))
        )
        at_hand.update(factors, _parts(factors))
        summed = {
            c: t
            for c, t in summands.items()
            if (s := _source(t, at_hand)) in at_hand or _factors(s, steps)
        }
        return _without_sums(call, summed, factors) if summed else None

    return change_loops(outputs, change)


def _summands(body: Body) -> dict[Expr, Expr]:
    """{carry: summand} for carries that become themselves plus something, read nowhere else."""
    uses = count_uses(body.outputs)
    summands: dict[Expr, Expr] = {}
    for carry, after in zip(body.carries, body.next_carries, strict=True):
        if after.op is add.op and uses[carry] == uses[after] == 1:
            others = [a for a in after.args if a is not carry]
            if len(others) == 1:
                (summands[carry],) = others
    return summands


def _without_sums(call: Call, summed: Mapping[Expr, Expr], factors: Sequence[Expr]) -> list[Expr]:
    """The results of the loop, whose steps give out the factors, with those sums after it."""
    body = call.body
    apart = _before_loop(call)
    stacks = {**call.xs, **{f: apart[f] for f in factors if f in apart}}
    wholes = (*stacks, *body.ys, *factors)
    inner = _parts(wholes)
    emitted = (f for f in factors if f not in stacks and f not in inner)
    ys = list(dict.fromkeys((*body.ys, *emitted)))
    after = dict(zip(body.carries, body.next_carries, strict=True))
    init = {c: x for c, x in call.init.items() if c not in summed}
    outputs = replace(call, init=init).giving([*(after[c] for c in init), *ys])
    results = dict(zip(init, outputs, strict=False))
    y_stacks = dict(zip(ys, outputs[len(init) :], strict=True))
    stacks = y_stacks | stacks
    for part, (whole, span) in _parts(w for w in wholes if w not in inner).items():
        stacks.setdefault(part, stacks[whole][span])
    for carry, term in summed.items():
        results[carry] = call.init[carry] + _sum_over_steps(term, stacks, call.loop.length)
    return [*(results[c] for c in body.carries), *(y_stacks[y] for y in body.ys)]


def _parts(wholes: Iterable[Expr]) -> dict[Expr, tuple[Expr, tuple[slice, ...]]]:
    """What can be read from stacks of concatenations: from which, and where in its stack.

    So the gates of a textbook LSTM are given out once, for its weights and its biases: 38 MB, not
    52, for 200 steps of (32, 128).
    """
    places: dict[Expr, tuple[Expr, tuple[slice, ...]]] = {}
    waiting = [w for w in wholes if w.op is CONCAT]
    while waiting:
        whole = waiting.pop()
        spans = itertools.pairwise(concat_bounds(whole))
        for part, (start, stop) in zip(whole.args, spans, strict=True):
            if part not in places:
                places[part] = whole, (*(slice(None),) * (whole.attrs[0] + 1), slice(start, stop))
                if part.op is CONCAT:
                    waiting.append(part)
    return places


def _factors(source: Expr, steps: Collection[Expr]) -> list[Expr]:
    """What each step has to give out for products, or rows put back, to be summed all at once.

    Nothing for other terms, nor for a product with what is the same in all steps, whose stack would
    be copies of it; nor for integers, of which sums may be wider than what they add up.
    """
    if not source.type.is_float:
        return []
    if _adds_rows(source):
        return list(source.args)
    factors = [_rows(source), source.args[1]] if is_product(source) else []
    return factors if all(f in steps for f in factors) else []


def _adds_rows(node: Expr) -> bool:
    """Whether one array of indices adds rows to rows: then so does one for all steps."""
    return node.op is SCATTER and len(node.args) == 2 and node.attrs[0][0] == ("a",)


def _rows(product: Expr) -> Expr:
    """The left side of a product; of a transpose, what it turns."""
    left = product.args[0]
    return left.args[0] if left.op is PERMUTE else left


# What a sum over all steps can wait for: a term's elements are moved, left out or added up.
_WAITING = (SUM, GETITEM, RESHAPE, PERMUTE)


def _source(term: Expr, at_hand: Collection[Expr]) -> Expr:
    """What a term is slices and sums of: the first that is at hand, or else the innermost."""
    while term not in at_hand and term.op in _WAITING and len(term.args) == 1:
        term = term.args[0]
    return term


def _sum_over_steps(term: Expr, stacks: Mapping[Expr, Expr], length: int) -> Expr:
    source = _source(term, stacks)
    if source in stacks:
        (stack,) = batched([term], {source: stacks[source]}, length)
        return sum(stack, 0)
    if _adds_rows(source):
        total = make(SCATTER, tuple(stacks[a] for a in source.args), source.attrs)
    else:
        left, right = stacks[_rows(source)], stacks[source.args[1]]
        if source.args[0].op is not PERMUTE:
            left = permute_dims(left, (0, 2, 1))
        columns, rows = (reshape(x, (length * x.shape[1], x.shape[2])) for x in (left, right))
        total = make(MATMUL, (permute_dims(columns), rows))
    (summed,) = substitute([term], {source: total})
    return cast(Expr, summed)
