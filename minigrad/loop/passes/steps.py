"""Passes that take work out of the steps: before the loop, and after it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from minigrad.graph.node import Expr, Op, make
from minigrad.graph.walk import depend_on, substitute, toposort
from minigrad.loop.body import Body, Call
from minigrad.loop.node import SCAN
from minigrad.loop.passes.products import is_product
from minigrad.loop.passes.taken_apart import change_loops, count_uses
from minigrad.ops.arithmetic import add
from minigrad.ops.batch import batch_node, has_leading_axis
from minigrad.ops.core import RESHAPE, SUM, reshape, sum
from minigrad.ops.custom import CUSTOM
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, PERMUTE, concat_bounds, permute_dims


def hoist(outputs: Sequence[Expr]) -> list[Expr]:
    """Products of a loop's inputs that meet no carry are computed for all steps at once, before."""

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body = call.body
        stacked = _apart_from_carries(call)
        # Worth it where a product is saved from being cut into steps, and for what is no machine
        # code, checks and random numbers; the rest is as cheap inside.
        worth = depend_on((n for n in stacked if n.op is MATMUL or n.op.checks), body.outputs)
        lifted = {n for n in stacked if stacked[n] is not None and n in worth and not n.op.view}
        # Of what can leave, only the outermost is handed to the loop.
        needed: dict[Expr, None] = {}
        for n in toposort(body.outputs):
            if n not in lifted:
                needed.update((a, None) for a in n.args if a in lifted)
        needed.update((o, None) for o in body.outputs if o in lifted)
        if not needed:
            return None
        xs = dict(call.xs)
        for n in needed:
            value = stacked[n]
            assert value is not None
            xs[n] = value
        return replace(call, xs=xs).giving(body.outputs)

    return change_loops(outputs, change)


def _apart_from_carries(call: Call) -> dict[Expr, Expr | None]:
    """What depends on the loop's inputs and on no carry, for all steps at once where it can be."""
    body = call.body
    stacked: dict[Expr, Expr | None] = {**call.xs}
    surroundings = dict(call.constants)
    reads = depend_on(body.xs, body.outputs)
    moving = depend_on(body.carries, body.outputs)
    for n in toposort(body.outputs):
        if n in reads and n not in moving and n not in stacked:
            stacked[n] = _at_all_steps(n, stacked, surroundings, call.loop.length)
    return stacked


def _at_all_steps(
    node: Expr,
    stacked: Mapping[Expr, Expr | None],
    surroundings: dict[Expr, Expr],
    length: int,
) -> Expr | None:
    """A step's expression for all steps at once, along a new first axis; None where it has none."""
    args: list[Expr] = []
    for a in node.args:
        value = stacked.get(a) if a in stacked else substitute(a, surroundings)
        if value is None:
            return None
        args.append(value)
    many = [a in stacked for a in node.args]
    return batch_node(node, args, many, length) if _is_cheap_at_once(node, many) else None


def _is_cheap_at_once(node: Expr, many: Sequence[bool]) -> bool:
    """Whether a step's expression costs no more for all steps at once: one product, not a stack."""
    if node.op is MATMUL:
        return many == [True, False] and node.ndim == 2
    return has_leading_axis(node.op) and node.op not in (SCAN, CUSTOM)


def _is_by_rows(op: Op, node: Expr) -> bool:
    """Whether one array of indices reads rows or adds to them: then so does one for all steps."""
    return node.op is op and len(node.args) == 2 and node.attrs[0][0] == ("a",)


def sink_sums(outputs: Sequence[Expr]) -> list[Expr]:
    """A carry that only adds up is summed after the loop where that takes no stack of its own.

    A sum of products becomes one product, rows put back are put back at once, and what the steps
    give out anyway is summed where it lies. The rest stays a carry: the stack of 500 terms of
    (300, 300) takes 360 MB and is no faster than the carry, which takes 1.4 MB.
    """

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body = call.body
        added = _added(body)
        steps = depend_on((*body.carries, *body.xs), body.outputs)
        step_values = {*body.xs, *body.ys}
        step_values |= _parts(step_values).keys()
        needs = {
            k: [] if _source(term, step_values) in step_values else _factors(term, steps)
            for k, term in added.items()
        }
        factors = list(dict.fromkeys(f for term_factors in needs.values() for f in term_factors))
        step_values.update(factors, _parts(factors))
        summed = {
            k: t for k, t in added.items() if needs[k] or _source(t, step_values) in step_values
        }
        return _without_sums(call, summed, factors) if summed else None

    return change_loops(outputs, change)


def _added(body: Body) -> dict[int, Expr]:
    """{carry: summand} for the carries that only add up."""
    uses = count_uses(toposort(body.outputs), body.outputs)
    pairs = enumerate(zip(body.carries, body.next_carries, strict=True))
    summands = {k: _only_added(c, after, uses) for k, (c, after) in pairs}
    return {k: term for k, term in summands.items() if term is not None}


def _without_sums(call: Call, summed: Mapping[int, Expr], factors: Sequence[Expr]) -> list[Expr]:
    """The results of the loop, whose steps give out the factors, with those sums after it."""
    body = call.body
    apart = _apart_from_carries(call)
    stacks = dict(call.xs)
    stacks.update({f: value for f in factors if (value := apart.get(f)) is not None})
    wholes = (*stacks, *body.ys, *factors)
    inner = _parts(wholes)
    emitted = (f for f in factors if f not in stacks and f not in inner)
    ys = list(dict.fromkeys((*body.ys, *emitted)))
    carries_left = [k for k in range(body.n_carry) if k not in summed]
    init = {body.carries[k]: call.init[body.carries[k]] for k in carries_left}
    outputs = replace(call, init=init).giving(
        [*(body.next_carries[k] for k in carries_left), *ys],
    )
    results = dict(zip(carries_left, outputs, strict=False))
    y_stacks = dict(zip(ys, outputs[len(carries_left) :], strict=True))
    stacks = y_stacks | stacks
    for part, (whole, span) in _parts(w for w in wholes if w not in inner).items():
        stacks.setdefault(part, stacks[whole][span])
    for k, term in summed.items():
        results[k] = call.init[body.carries[k]] + _sum_over_steps(term, stacks, call.loop.length)
    return [*(results[k] for k in range(body.n_carry)), *(y_stacks[y] for y in body.ys)]


def _only_added(carry: Expr, after: Expr, uses: Counter[Expr]) -> Expr | None:
    """The summand, where a carry becomes itself plus something and neither is read elsewhere."""
    if after.op is not add.op or uses[carry] != 1 or uses[after] != 1:
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


def _factors(term: Expr, steps: Collection[Expr]) -> list[Expr]:
    """What each step has to give out for products, or rows put back, to be summed all at once.

    Nothing for other terms, nor for a product with what is the same in all steps, whose stack would
    be copies of it.
    """
    core = _core(term)
    if _is_by_rows(SCATTER, core):
        return list(core.args)
    factors = [_left_factor(core), core.args[1]] if is_product(core) else []
    return factors if all(f in steps for f in factors) else []


# What a sum over all steps can wait for: a term's elements are moved, left out or added up.
_WAITING = (SUM, GETITEM, RESHAPE, PERMUTE)


def _source(term: Expr, step_values: Collection[Expr]) -> Expr:
    """What a term is slices and sums of: the first that is given out, or else the innermost."""
    while term not in step_values and term.op in _WAITING and len(term.args) == 1:
        term = term.args[0]
    return term


def _sum_over_steps(term: Expr, stacks: Mapping[Expr, Expr], length: int) -> Expr:
    if (source := _source(term, stacks)) in stacks:
        return sum(_stack_of(term, source, stacks[source], length), 0)
    if term.op is GETITEM:
        return make(GETITEM, (_sum_over_steps(term.args[0], stacks, length),), term.attrs)
    if _is_by_rows(SCATTER, term):
        return make(SCATTER, tuple(stacks[a] for a in term.args), term.attrs)
    right = stacks[term.args[1]]
    rows = reshape(right, (length * right.shape[1], right.shape[2]))
    left = stacks[_left_factor(term)]
    if term.args[0].op is not PERMUTE:
        left = permute_dims(left, (0, 2, 1))
    columns = reshape(left, (length * left.shape[1], left.shape[2]))
    return make(MATMUL, (permute_dims(columns), rows))


def _stack_of(term: Expr, source: Expr, stack: Expr, length: int) -> Expr:
    """All steps of a term that is slices and sums of a source, whose stack is at hand."""
    between: list[Expr] = []
    while term is not source:
        between.append(term)
        term = term.args[0]
    for node in reversed(between):
        stack = batch_node(node, [stack], [True], length)
    return stack
