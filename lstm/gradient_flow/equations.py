"""One step of a recurrent layer, taken apart: which value reads which, and by what derivatives.

All here is local: given the values of a step and the cotangents of what it computes, each equation
says what each of the values that it reads gets. Nothing looks at a cell's name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import minigrad as mg
from lstm.cells.anatomy import follow
from lstm.layers import Looped
from minigrad import Expr

MIXED = "zoneout "
"""What stands before a part of the state where zoneout mixes what the equations give."""


class Read(NamedTuple):
    """What an equation reads: a value of the same step, or (`before`) a part of the last state."""

    name: str
    before: bool


class Term(NamedTuple):
    """A summand of the adjoint of what is read: what comes to it from one equation."""

    reader: str
    read: Read


@dataclass(frozen=True)
class Equation:
    """One value as a function of what it reads: other values, the state before, x, parameters."""

    name: str
    whole: Expr
    """The value, of variables that stand for the others."""
    reads: dict[Read, Expr]


class StepGraph:
    """A step's values by name and their equations, in the order in which they are computed.

    loop: what a layer noted of itself. Of values that are one node, the first name stands. Where
    zoneout mixes old and new, what it makes of a part C is named "zoneout C". What the new state
    does not depend on is `unread`: it is computed nowhere, and no gradient comes to it or from it.
    """

    def __init__(self, loop: Looped) -> None:
        self.before: dict[str, Expr] = loop.before._asdict()
        self.x = loop.x
        named: dict[Expr, str] = {}
        for name, value in loop.values.items():
            if value.type.is_float:
                named.setdefault(value, name)
        self.made: dict[str, str] = {
            part: named.setdefault(value, MIXED + part)
            for part, value in loop.made._asdict().items()
        }
        order = [n for n in mg.toposort([*named]) if n in named]
        self.nodes: dict[str, Expr] = {named[n]: n for n in order}
        of_state = {*mg.toposort([*loop.made])}
        self.unread = tuple([name for name, n in self.nodes.items() if n not in of_state])
        self.variables = {
            name: mg.var(f"the value {name}", node.shape, node.dtype)
            for name, node in self.nodes.items()
        }

    @cached_property
    def equations(self) -> dict[str, Equation]:
        """By name, each with the others' values as variables."""
        stand_ins = {node: self.variables[name] for name, node in self.nodes.items()}
        known = {v: Read(name, before=False) for name, v in self.variables.items()}
        known |= {v: Read(part, before=True) for part, v in self.before.items()}
        made = {}
        for name, node in self.nodes.items():
            others = {n: v for n, v in stand_ins.items() if n is not node}
            whole = mg.substitute(node, others)
            inside = [n for n in mg.toposort(whole) if n in known]
            made[name] = Equation(name, whole, {known[n]: n for n in inside})
        return made

    @cached_property
    def inner(self) -> dict[Expr, Expr]:
        """{what an equation computes on its way, of variables: the node of the step that it is}:
        derivatives ask for it again."""
        known = {v: self.nodes[name] for name, v in self.variables.items()}
        ways: list[Expr] = []
        for name, equation in self.equations.items():
            moving = {*equation.reads.values(), self.x}
            for node in mg.toposort(equation.whole) if name not in self.unread else ():
                if any(a in moving for a in node.args) and node is not equation.whole:
                    moving.add(node)
                    if node.type.is_float:
                        ways.append(node)
        return dict(zip(ways, mg.substitute(ways, known), strict=True)) if ways else {}

    def terms(
        self, name: str, cotangent: Expr, only: Collection[Read] | None = None
    ) -> dict[Read, Expr]:
        """What each value that an equation reads, or only some, gets of its own cotangent."""
        equation = self.equations[name]
        reads = {r: v for r, v in equation.reads.items() if only is None or r in only}
        parts = mg.vjp(equation.whole, list(reads.values()), cotangent) if reads else []
        value = {equation.whole: self.variables[name]}
        return dict(zip(reads, mg.substitute(parts, value) if parts else [], strict=True))

    def all_terms(
        self,
        adjoints: Mapping[str, Expr],
        seeds: Mapping[str, Expr] | None = None,
        ends: Collection[str] = (),
    ) -> dict[Term, Expr]:
        """What each value gets from each equation that reads it.

        adjoints: of the state that the step makes, and of others that are known. What is no state
        is read in its own step alone, so that its adjoint is the sum of what comes from there.
        seeds: what some values get from elsewhere, beside what comes from the step. ends: values
        that nothing comes through.
        """
        known, made = {**(seeds or {}), **adjoints}, {}
        for name in reversed(self.nodes):
            if name not in known or name in ends:
                continue
            for read, term in self.terms(name, known[name]).items():
                made[Term(name, read)] = term
                if not read.before and read.name not in adjoints:
                    before = known.get(read.name)
                    known[read.name] = term if before is None else before + term
        return made

    def values_of(self, values: Sequence[Expr]) -> list[Expr]:
        """Expressions of a step's nodes, as expressions of the variables that stand for them."""
        stand_ins = {n: self.variables[s] for s, n in self.nodes.items()}
        inside: list[Expr] = mg.substitute(list(values), stand_ins)
        return inside

    # --- the line --------------------------------------------------------------------------------

    def line_factors(self, part: str) -> dict[str, Expr]:
        """What a step multiplies a line by, up to each value on it: {name: factor (B, H)}, the
        state that the step makes first. Raises KeyError for a part that is no line."""
        old, new = self.before[part], self.nodes[self.made[part]]
        order = mg.toposort(new)
        follower, _ = follow(order, old)
        path = follower.path(new, old)
        names = {node: name for name, node in self.nodes.items()}
        factors = {names[n]: follower.factors[n] for n in path if n in names}
        return {
            name: mg.ones_like(new) if f is None else mg.broadcast_to(f, new.shape)
            for name, f in factors.items()
        }

    def is_pure(self, name: str, part: str) -> bool:
        """Whether a value on a line reads the state before, or the values on it, only so."""
        factors = self.line_factors(part)
        equation = self.equations[name]
        along = [
            v
            for read, v in equation.reads.items()
            if read == Read(part, before=True) or (not read.before and read.name in factors)
        ]
        line = {*along}
        for start in along:
            follower, _ = follow(mg.toposort(equation.whole), start)
            line.update(follower.path(equation.whole, start))
        return all(n in line for n in mg.toposort(equation.whole) if {*n.args} & line)


def over_steps(outputs: Sequence[Expr], stacks: Mapping[Expr, Expr]) -> list[Expr]:
    """Expressions of a step's variables, for all steps at once: (T, ...) of stacks (T, ...)."""
    variables = list(stacks)

    def one(*values: Expr) -> Any:
        return mg.substitute(list(outputs), dict(zip(variables, values, strict=True)))

    result: list[Expr] = mg.vmap(one)(*stacks.values())
    return result


# --- routes: ways from a state back to the same state a step before ------------------------------


class Link(NamedTuple):
    """One local derivative on a route, and what it is called: f, σ′, W_f."""

    label: str
    back: Callable[[Expr], Expr]
    """From the cotangent of what it makes to that of what it reads."""


@dataclass(frozen=True)
class Route:
    """One way of the gradient through a step: from a part of the state to one of the last step."""

    name: str
    part: str
    """Where it starts, and where it ends a step before."""
    stations: tuple[str, ...]
    """The values that it passes, from the state back, that one first."""


def routes(graph: StepGraph) -> dict[str, Route]:
    """For each value the shortest way through it that ends, a step before, where it starts.

    >>> from lstm.cells import RNN
    >>> from lstm.gradient_flow.equations import StepGraph, routes
    >>> from lstm.gradient_flow.tensors import looped
    >>> from lstm import Model
    >>> import numpy as np
    >>> model = Model.create(RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> routes(StepGraph(looped(model, np.ones((6, 3, 2), "float32")).loop))
    {'h': Route(name='h', part='h', stations=('h',))}
    """
    parts = {made: part for part, made in graph.made.items()}
    ways: dict[tuple[str, ...], Route] = {}
    for name in sorted(graph.nodes, key=lambda n: n in parts):  # a way through a gate is the gate's
        cycle = _cycle(graph, name)
        if cycle:
            ways.setdefault(cycle, Route(name, parts[cycle[0]], cycle))
    return {route.name: route for route in ways.values()}


_Place: TypeAlias = "tuple[str, bool]"
"""A value, of the step at hand or of the one before."""


def _cycle(graph: StepGraph, name: str) -> tuple[str, ...]:
    """The shortest way from a value to itself a step before, from a state on; () for none."""
    start = (name, False)
    came: dict[_Place, _Place | None] = {start: None}
    queue = [start]
    for place in queue:  # breadth first: grows while it is read
        station, crossed = place
        for read in graph.equations[station].reads:
            if read.before and crossed:
                continue
            onto = (graph.made[read.name] if read.before else read.name, crossed or read.before)
            if onto == (name, True):
                return _from_a_state(_traced(came, place))
            if onto not in came:
                came[onto] = place
                queue.append(onto)
    return ()


def _traced(came: Mapping[_Place, _Place | None], end: _Place) -> list[_Place]:
    way: list[_Place] = []
    place: _Place | None = end
    while place is not None:
        way.append(place)
        place = came[place]
    return way[::-1]


def _from_a_state(way: Sequence[_Place]) -> tuple[str, ...]:
    """The stations from the first one that is read as a state on; () where one comes twice."""
    stations = tuple(station for station, _ in way)
    first = next((k for k, (_, crossed) in enumerate(way) if crossed), 0)
    return stations[first:] + stations[:first] if len({*stations}) == len(stations) else ()


# --- the ops of an equation, as links ------------------------------------------------------------


def links(graph: StepGraph, route: Route) -> list[Link]:
    """The local derivatives of a route, those of ops that only add or move merged with the one
    before. Together they are the route's whole derivative."""
    made: list[tuple[str, list[Callable[[Expr], Expr]]]] = []
    for k, station in enumerate(route.stations):
        last = k == len(route.stations) - 1
        target = route.part if last else route.stations[k + 1]
        for label, back in _links_of(graph, graph.equations[station], Read(target, before=last)):
            if label or not made:
                made.append((label, [back]))
            else:
                made[-1][1].append(back)
    while len(made) > 1 and not made[0][0]:
        made[0:2] = [(made[1][0], made[0][1] + made[1][1])]
    return [Link(label or "1", _composed(backs)) for label, backs in made]


def _composed(backs: Iterable[Callable[[Expr], Expr]]) -> Callable[[Expr], Expr]:
    steps = list(backs)

    def back(cotangent: Expr) -> Expr:
        for step in steps:
            cotangent = step(cotangent)
        return cotangent

    return back


def _links_of(
    graph: StepGraph, equation: Equation, read: Read
) -> list[tuple[str, Callable[[Expr], Expr]]]:
    """From an equation's value down to what it reads; all in one from where its ways part, or lead
    through what has no derivative, such as a comparison."""
    target, node = equation.reads[read], equation.whole
    leading: set[Expr] = {target}
    for n in mg.toposort(node):
        if any(a in leading for a in n.args):
            leading.add(n)
    made: list[tuple[str, Callable[[Expr], Expr]]] = []
    value = {equation.whole: graph.variables[equation.name]}
    while node is not target:
        towards = [k for k, a in enumerate(node.args) if a in leading]
        below = node.args[towards[0]]
        if len(towards) > 1 or below.dtype.kind != "f":
            made.append((f"∂{equation.name}/∂{read.name}", _back(node, target, value)))
            break
        made.append((_label(graph, node, towards[0]), _back(node, below, value)))
        node = below
    return made


def _back(node: Expr, below: Expr, value: dict[Expr, Expr]) -> Callable[[Expr], Expr]:
    def back(cotangent: Expr) -> Expr:
        stand_in = mg.var("the cotangent", node.shape, node.dtype)
        term = mg.substitute(mg.vjp(node, below, stand_in), value)
        back_here: Expr = mg.substitute(term, {stand_in: cotangent})
        return back_here

    return back


_PLAIN = {
    op.op
    for op in (mg.add, mg.subtract, mg.negative, mg.astype, mg.reshape, mg.broadcast_to, mg.sum)
    if hasattr(op, "op")
}
_SPELLED = {mg.sigmoid.op: "σ′", mg.tanh.op: "tanh′"}


def _label(graph: StepGraph, node: Expr, k: int) -> str:
    """What a derivative is called; nothing where it only adds or moves."""
    if node.op in _SPELLED:
        return _SPELLED[node.op]
    if node.op in (mg.multiply.op, mg.matmul.op):
        return _words(graph, node.args[1 - k])
    if node.op.partials is not None and len(node.args) == 1 and node.op not in _PLAIN:
        return f"{node.op.name}′"
    return ""


def _words(graph: StepGraph, factor: Expr) -> str:
    """A factor in symbols of the equations."""
    names = {v: mg.var(s, v.shape, v.dtype) for s, v in graph.variables.items()}
    names |= {v: mg.var(f"{p}ₜ₋₁", v.shape, v.dtype) for p, v in graph.before.items()}
    for leaf in mg.toposort(factor):  # a parameter, without the place of its layer
        if leaf not in names and not leaf.args and "." in (leaf.name or ""):
            names[leaf] = mg.var(str(leaf.name).rpartition(".")[2], leaf.shape, leaf.dtype)
    text = str(mg.substitute(factor, names))
    return text.replace("-", "−") if len(text) <= 24 else "×"
