"""Each op of a step: the norms of its value, of its gradient, and of what each use of it sends
back, at all steps. All are asked of the adjoints of the loops that train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import minigrad as mg
from lstm.gradient_flow.equations import over_steps
from lstm.gradient_flow.fans import Fans
from lstm.gradient_flow.steps import Floats, Sizes, quiet, wide_norms
from lstm.gradient_flow.tensors import Meter
from lstm.gradient_flow.way_back import Row, Teller, in_order
from minigrad import Expr

Use: TypeAlias = tuple[tuple[int, int], ...]
"""A use of a value: the user, by its place in the step's order, and which of its arguments; then
the ops without arithmetic that lie between."""
Onward: TypeAlias = tuple[int, str]
"""What comes back to a state that the step makes, by its place in the step's order, from NEXT or
OUT."""
NEXT, OUT = "next", "out"
"""The step that is read next; what is out of the layer."""


def order_of(meter: Meter) -> list[Expr]:
    """The nodes of a step, as the loop that trains runs it, sources first."""
    return mg.toposort([*meter.loop.made])


def same_ops(meter: Meter, other: Meter) -> bool:
    """Whether the steps of two meters are the same ops in the same order. Those of one layer in two
    dtypes need not be: a cast to float64 is no op in float64."""
    return _ops(meter) == _ops(other)


def _ops(meter: Meter) -> list[Any]:
    order = order_of(meter)
    places = {node: k for k, node in enumerate(order)}
    return [(node.op.name, [places[arg] for arg in node.args]) for node in order]


def moving(meter: Meter) -> set[Expr]:
    """Those of them that differ from step to step."""
    moves = {*meter.graph.before.values(), meter.graph.x}
    for node in order_of(meter):
        if any(a in moves for a in node.args):
            moves.add(node)
    return moves


def onward_of(meter: Meter) -> dict[Onward, Expr]:
    """What comes back to the states of each step from outside of it, as stacks over the steps."""
    places = {node: k for k, node in enumerate(order_of(meter))}
    inside = {_run(meter, node) for node in places}
    comes: dict[Onward, Expr] = {}
    for made in dict.fromkeys(meter.loop.made):
        for (user, k), term in meter.adjoints.edges(made).items():
            if user not in inside:
                is_output = user.op.inside is not None and k >= len(meter.loop.made)
                onward = places[made], OUT if is_output else NEXT
                comes[onward] = comes[onward] + term if onward in comes else term
    return comes


def _run(meter: Meter, node: Expr) -> Expr:
    """The node that the loop runs for one of the step as it was written."""
    places = meter.adjoints.places(node)
    return places[0].node if places else node


class Asked(NamedTuple):
    """What is asked of ops: of nodes their values and gradients, and of uses their terms, by places
    in the step's order; a meter of the same layer in another dtype takes it, too, where `same_ops`
    is true of both."""

    nodes: tuple[int, ...] = ()
    uses: tuple[Use, ...] = ()
    onward: tuple[Onward, ...] = ()


class OpsOfStep:
    """Rows of how large arrays are over the steps, each of them once.

    values, gradients, terms, onward: {what was asked: which row}; what has no number, or what no
    derivative leads to, is in none. sizes: what is told instead of norms.
    """

    def __init__(self, meter: Meter, asked: Asked, sizes: Sizes = wide_norms) -> None:
        self._sizes = sizes
        self._meter, self._order, self._adjoints = meter, order_of(meter), meter.adjoints
        self._rows: dict[Expr, int] = {}
        nodes = {k: self._order[k] for k in asked.nodes}
        floats = {k: n for k, n in nodes.items() if n.type.is_float}
        self.values = self._of({k: self._adjoints.value(n) for k, n in floats.items()})
        self.gradients = self._of({k: self._gradient(n) for k, n in nodes.items()})
        self.terms = self._of({use: self._term(use) for use in asked.uses})
        comes = onward_of(meter) if asked.onward else {}
        self.onward = self._of({onward: comes[onward] for onward in asked.onward})

    def _of(self, stacks: Mapping[Any, Expr | None]) -> dict[Any, int]:
        return {
            what: self._rows.setdefault(stack, len(self._rows))
            for what, stack in stacks.items()
            if stack is not None
        }

    def _gradient(self, node: Expr) -> Expr | None:
        """Of a state before, what this step sends back to it, and not what padding hands on."""
        if node not in {*self._meter.graph.before.values()}:
            return self._adjoints.get(node)
        inside = {_run(self._meter, n) for n in self._order}
        comes = [term for (user, _), term in self._adjoints.edges(node).items() if user in inside]
        return sum(comes[1:], comes[0]) if comes else None

    def _term(self, use: Use) -> Expr | None:
        """What a use sends back to its source."""
        (user, position), *between = use
        source = self._order[user].args[position]
        edges = self._adjoints.edges(source)
        term = edges.get((_run(self._meter, self._order[user]), position))
        for k, _ in between:
            if term is not None:
                op = self._order[k]
                comes = mg.var("the cotangent", op.shape, op.dtype)
                (term,) = over_steps([mg.vjp(op, op.args[0], comes)], {comes: term})
        return term

    @property
    def stacks(self) -> list[Expr]:
        """Those of which the rows are norms, (T, ...) in the order of xs."""
        return [*self._rows]

    def start(self) -> tuple[()]:
        """Nothing is carried."""
        return ()

    def step(self, carry: Any, row: Row) -> tuple[Any, dict[str, Expr]]:
        """By row how large it is at one step."""
        return carry, self._sizes({str(k): row.beside[stack] for stack, k in self._rows.items()})


class ToldOps(NamedTuple):
    """fans: what `Fans` tell, over the steps; rows: those of an `OpsOfStep`, (rows, T); beside: by
    name what other tellers told."""

    fans: Mapping[str, Any]
    rows: Floats
    beside: Mapping[str, Any]


def told_of_ops(
    meter: Meter,
    asked: Asked,
    batch: Sequence[Any],
    seed: float = 1.0,
    beside: Mapping[str, Teller] | None = None,
    sizes: Sizes = wide_norms,
) -> ToldOps:
    """What a batch gives, and what other tellers tell of it, by one function: two would take half
    as long again to compile. sizes: what is told of each array, its norm or else."""

    def outputs() -> dict[str, Any]:
        ops = OpsOfStep(meter, asked, sizes)
        tellers: dict[str, Teller] = {"fans": Fans(meter.way, sizes), "ops": ops, **(beside or {})}
        return meter.way.told(tellers, ops.stacks)[1]

    run = meter.compiled((*(beside or ()), asked, sizes), outputs)
    told = in_order(quiet(run, *batch, seed), meter.steps)
    by_row = told.pop("ops")
    rows = [by_row[str(k)] for k in range(len(by_row))]
    return ToldOps(told.pop("fans"), np.reshape(rows, (-1, len(batch[0]))), told)
