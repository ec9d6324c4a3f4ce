"""A loop for many values at once: one loop, whose carries have a leading axis where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr
from minigrad.graph.walk import depend_on
from minigrad.loop.body import Body, Call
from minigrad.ops.batch import batched, repeat_along, stacked
from minigrad.ops.tuples import tuple_of


def scan_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """The results of n loops; those that are the same in all are repeated."""
    call = Call.of(node, args)
    body = call.body
    has_axis = dict(zip(body.inputs, many, strict=True))
    differs = _differing(body, many)
    stacks = {v: placeholder(v.attrs[0], stacked(v.type, n)) for v in body.inputs if v in differs}

    def wide(operands: Mapping[Expr, Expr], of_steps: bool = False) -> dict[Expr, Expr]:
        """The wide body's variables, and what they stand for."""
        new: dict[Expr, Expr] = {}
        for v, x in operands.items():
            if v in stacks:
                stack = x if has_axis[v] else repeat_along(x, n)
                new[stacks[v]] = stack.swapaxes(0, 1) if of_steps else stack  # steps come first
            else:
                new[v] = x
        return new

    stepped = iter(batched([o for o in body.outputs if o in differs], stacks, n))
    # A carry that starts to differ may come to be the same for all.
    outputs = [
        next(stepped) if o in differs else repeat_along(o, n) if c in differs else o
        for c, o in zip_longest(body.carries, body.outputs)
    ]
    init, xs, constants = wide(call.init), wide(call.xs, of_steps=True), wide(call.constants)
    results = replace(call, init=init, xs=xs, constants=constants).giving(outputs)
    return tuple_of(
        [
            repeat_along(r, n) if v not in differs else r if k < body.n_carry else r.swapaxes(0, 1)
            for k, (v, r) in enumerate(zip((*body.carries, *body.ys), results, strict=True))
        ]
    )


def _differing(body: Body, many: Sequence[bool]) -> set[Expr]:
    """The nodes of a body that differ from one loop to the other."""
    differs = {v for v, m in zip(body.inputs, many, strict=True) if m}
    while True:
        differs = depend_on(differs, body.outputs)
        pairs = zip(body.carries, body.next_carries, strict=True)
        more = {c for c, after in pairs if after in differs} - differs
        if not more:
            return differs
        differs |= more
