"""Which nodes of a loop's steps a differentiable path joins with its results: step by step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import cast

from minigrad.derivatives.sweep import Reach, Sweep, reach
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr
from minigrad.loop.body import Body, Call
from minigrad.loop.reverse import StepSeeds
from minigrad.ops.choice import WHERE
from minigrad.ops.core import BROADCAST, RESHAPE
from minigrad.ops.custom import STOP
from minigrad.types import Array


class _Paths:
    """The edges of a step along which a derivative flows, and those that not all steps have.

    stops: {edge: the input that is true where it is cut}: where `truncate` stops a carry.
    decisive: the inputs that decide this, in loops within too.
    """

    def __init__(self, body: Body) -> None:
        self.order = body.nodes
        seeds = StepSeeds(body, [None] * len(body.ys)).of(body.outputs)
        self.edges = Sweep(self.order, seeds).terms.keys()
        self.stops: dict[tuple[Expr, int], Expr] = {}
        self.decisive: set[Expr] = set()
        for node in self.order:
            if node.op is WHERE and node.args[1].op is STOP:
                condition = node.args[0]
                while condition.op in (BROADCAST, RESHAPE):
                    (condition,) = condition.args
                if not condition.shape and node.args[1].args[0] is node.args[2]:
                    self.stops[node, 2] = condition
                    self.decisive.add(condition)
            elif node.op.inside is not None:
                call = Call.of(node)
                operands = {**call.xs, **call.constants}
                self.decisive |= {operands[v] for v in _paths(call.body).decisive if v in operands}


def _paths(body: Body) -> _Paths:
    if "paths" not in body.derived:
        body.derived["paths"] = _Paths(body)
    return cast(_Paths, body.derived["paths"])


def reach_of_steps(
    call: Call, results: Collection[int], known: Mapping[Expr, Array]
) -> tuple[list[Reach], set[int]]:
    """What is joined with some results of a loop: of each step, and which arguments of the loop."""
    body, n, length = call.body, call.body.n_carry, call.loop.length
    paths = _paths(body)
    fixed, changing = _decided(paths, call.constants, known), _decided(paths, call.xs, known)
    outputs = [body.outputs[k] for k in results if k >= n]
    carried = frozenset([k for k in results if k < n])
    seen: dict[object, Reach] = {}
    steps: dict[int, Reach] = {}
    for t in range(length) if call.loop.reverse else reversed(range(length)):
        now = fixed | {v: values[t] for v, values in changing.items()}
        key = (carried, *[value.tobytes() for value in now.values()])
        if key not in seen:
            roots = [*outputs, *[body.outputs[k] for k in carried]]
            seen[key] = _reach_of_step(paths, roots, now)
        steps[t] = seen[key]
        carried = frozenset([k for k, v in enumerate(body.carries) if v in steps[t].joined])
    joined = set().union(*[step.joined for step in seen.values()])
    arguments = {k for k, v in enumerate(body.inputs) if k >= n and v in joined}
    return [steps[t] for t in range(length)], arguments | carried


def _reach_of_step(paths: _Paths, roots: Iterable[Expr], now: Mapping[Expr, Array]) -> Reach:
    cut = {edge for edge, v in paths.stops.items() if v in now and now[v].all()}
    edges = paths.edges - cut if cut else paths.edges
    return reach(paths.order, edges, [r for r in roots if r.type.is_float], now)


def _decided(
    paths: _Paths, operands: Mapping[Expr, Expr], known: Mapping[Expr, Array]
) -> dict[Expr, Array]:
    """The values of the inputs that decide, where they are known."""
    values = {v: known.get(x, x.value if x.op is CONST else None) for v, x in operands.items()}
    return {v: value for v, value in values.items() if value is not None and v in paths.decisive}
