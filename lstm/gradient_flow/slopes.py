"""The nonlinearity that a state comes out of, found in the graph of a step, and its slope.

Where a step makes its state by a function of each unit by itself, as the tanh of a sum, the slope
of that function is a factor of all that comes back through the step. Nothing here looks at a cell's
name, or at which function it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import minigrad as mg
from lstm.gradient_flow.equations import StepGraph
from minigrad import Expr


class Nonlinearity(NamedTuple):
    """What a state comes out of."""

    name: str
    """As "tanh"; empty where it is of several ops."""
    slope: Expr
    """(B, H), of the variables of a `StepGraph`."""


def nonlinearity(graph: StepGraph, part: str) -> Nonlinearity | None:
    """What the step makes a part of the state by, of what it reads of the state before; None where
    that comes in by several ways, as along a line and through a gate, or only linearly.

    It is the ops between the state and what the weights make, without those that only add or
    multiply by what is no state, above them and below.

    >>> from lstm import RNN, LSTM, Model
    >>> from lstm.gradient_flow.tensors import looped
    >>> import numpy as np
    >>> def of(cell, part):
    ...     model = Model.create(cell(input_size=2, hidden_size=4), output_size=1, seed=0)
    ...     bend = nonlinearity(StepGraph(looped(model, np.ones((6, 3, 2), "float32")).loop), part)
    ...     return bend and bend.name
    >>> of(RNN, "h"), of(LSTM, "C")
    ('tanh', None)
    """
    made = graph.nodes[graph.made[part]]
    order = mg.toposort(made)
    place, leading = {node: k for k, node in enumerate(order)}, {*graph.before.values()}
    for node in order:
        if any(a in leading for a in node.args):
            leading.add(node)
    ways, bends, top, below = {made} & leading, False, made, None
    while ways:
        node = max(ways, key=place.__getitem__)
        if not node.op.pointwise:
            break
        towards = [a for a in node.args if a in leading]
        bends = bends or _bends(node, towards, leading)
        ways = (ways - {node}) | {*towards}
        if len(ways) == 1:
            (here,) = ways
            if bends:
                below, bends = here, False
            elif below is None:
                top = here
    if below is None:
        return None
    name = top.op.name if leading & {*top.args} == {below} else ""
    return Nonlinearity(name, *graph.values_of([mg.vjp(top, below, mg.ones_like(top))]))


def _bends(node: Expr, towards: Sequence[Expr], leading: Collection[Expr]) -> bool:
    """Whether the derivative of an op depends on the state."""
    if not node.type.is_float:  # a comparison
        return True
    slopes = [mg.vjp(node, a, mg.ones_like(node)) for a in towards if a.type.is_float]
    return len(slopes) < len(towards) or any(n in leading for n in mg.toposort(slopes))
