"""A loop for many values at once: one loop, whose carries have a leading axis where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import cast

from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr
from minigrad.graph.walk import substitute, toposort
from minigrad.loop.body import Body, Loop, close
from minigrad.ops.batch import batched, repeat_along, stacked
from minigrad.ops.tuples import tuple_of


def scan_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """The results of n loops; those that are the same in all are repeated."""
    loop = cast(Loop, node.attrs[0])
    body = loop.body
    differs = _differing(body, many)
    wide_types = {v: stacked(v.type, n) for v in body.inputs if v in differs}
    stacks = {v: placeholder(v.attrs[0], t) for v, t in wide_types.items()}
    stepped = iter(batched([o for o in body.outputs if o in differs], stacks, n))
    # A carry that starts to differ may come to be the same for all.
    outputs = [
        next(stepped) if o in differs else repeat_along(o, n) if c in differs else o
        for c, o in zip_longest(body.carries, body.outputs)
    ]
    split = body.n_carry + body.n_x
    inputs = [stacks.get(v, v) for v in body.inputs]
    wide, outside = close(inputs[: body.n_carry], inputs[body.n_carry : split], outputs)
    operands = [
        _operand(x, has, v in differs, body.n_carry <= k < split, n)
        for k, (x, has, v) in enumerate(zip(args, many, body.inputs, strict=True))
    ]
    init, xs, _ = body.split(operands)
    constants = substitute(outside, dict(zip(inputs[split:], operands[split:], strict=True)))
    results = replace(loop, body=wide).of(node.op, init, xs, constants)
    last = [
        y if c in differs else repeat_along(y, n)
        for y, c in zip(results[: body.n_carry], body.carries, strict=True)
    ]
    ys = [
        y.swapaxes(0, 1) if o in differs else repeat_along(y, n)
        for y, o in zip(results[body.n_carry :], body.ys, strict=True)
    ]
    return tuple_of([*last, *ys])


def _differing(body: Body, many: Sequence[bool]) -> set[Expr]:
    """The nodes of a body that differ from one loop to the other."""
    order = toposort(body.outputs)
    differs = {v for v, m in zip(body.inputs, many, strict=True) if m}
    while True:
        for node in order:
            if any(a in differs for a in node.args):
                differs.add(node)
        pairs = zip(body.carries, body.next_carries, strict=True)
        more = {c for c, after in pairs if after in differs} - differs
        if not more:
            return differs
        differs |= more


def _operand(x: Expr, has: bool, wanted: bool, is_x: bool, n: int) -> Expr:
    """An argument as the wide body takes it: slices of inputs have the new axis second."""
    if not wanted:
        return x
    stack = x if has else repeat_along(x, n)
    return stack.swapaxes(0, 1) if is_x else stack
