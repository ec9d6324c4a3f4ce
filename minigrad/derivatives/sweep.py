"""The reverse sweep: every node's adjoint, and every edge's own term of the chain rule.

It reads what each op states about itself and knows no op by name. What is structurally zero is None
until somebody asks for a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from minigrad.derivatives.masked import Masked
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, Terms, gc_paused, make_typed
from minigrad.graph.origin import origins
from minigrad.graph.places import Place, inside_of
from minigrad.ops.arithmetic import add, negative, subtract
from minigrad.ops.core import CONSTANTS, full_like, is_zero, uniform_value
from minigrad.ops.tuples import ITEM, TUPLE, tuple_of
from minigrad.rewrite.exact import folded
from minigrad.types import Array

EdgeTerms: TypeAlias = dict[tuple[Expr, int], Expr]
Seeding: TypeAlias = "Sequence[tuple[Expr, Expr | None]]"


# --- one edge ----------------------------------------------------------------------------------


def times(factor: Expr, partial: Expr | int | None, masked: Masked) -> Expr | None:
    """cotangent or tangent × local derivative, with the factors 1, -1 and 0 left out."""
    if partial is None:
        return None
    if isinstance(partial, int):
        return factor if partial == 1 else masked.negated(factor)
    if partial.type is not factor.type:
        raise GraphError(f"a partial derivative is {partial.type!r} where {factor.type!r} is due")
    if partial.op in CONSTANTS and uniform_value(partial) == 1:
        return factor
    if factor.op in CONSTANTS and uniform_value(factor) == 1:
        return partial
    return masked.times(factor, partial)


def partial_of(node: Expr, i: int) -> Expr | int | None:
    assert node.op.partials is not None
    partial = node.op.partials[i]
    if not callable(partial):
        return partial
    value = partial(node, *node.args)
    if isinstance(value, Expr):
        return value
    return full_like(node, value) if isinstance(value, (int, float)) else value


def edge_terms(
    cotangent: Expr,
    node: Expr,
    active: Container[Expr] | None = None,
    masked: Masked | None = None,
) -> Terms:
    """What each argument of a node gets of the node's cotangent.

    None without dependence; what is not among the active nodes, if they are given, may be None too.
    """
    op = node.op
    masked = Masked() if masked is None else masked
    if op.partials is not None:
        return [
            None
            if active is not None and arg not in active
            else times(cotangent, partial_of(node, i), masked)
            for i, arg in enumerate(node.args)
        ]
    rule = op.transpose or op.vjp
    if rule is None:
        return (None,) * len(node.args)
    terms = _checked(rule(cotangent, node), node)
    return terms if op.jointly else masked.terms(terms, cotangent, node)


def _checked(terms: Terms, node: Expr) -> Terms:
    """The terms of a rule. Raises GraphError unless there is one of the right type for each."""
    if not isinstance(terms, (tuple, list)) or len(terms) != len(node.args):
        raise GraphError(
            f"the derivative of {node.op.name} must give a tuple of {len(node.args)} terms, one "
            f"for each argument, None for none; it gave {terms!r:.80}"
        )
    for i, (term, arg) in enumerate(zip(terms, node.args, strict=True)):
        if term is not None and term.type is not arg.type:
            raise GraphError(
                f"the derivative of {node.op.name} gives argument {i} a term of type "
                f"{term.type!r}; the argument is {arg.type!r}"
            )
    return terms


def sum_or_none(terms: Iterable[Expr | None]) -> Expr | None:
    total: Expr | None = None
    for term in terms:
        total = term if total is None else total if term is None else added(total, term)
    return total


def added(a: Expr, b: Expr) -> Expr:
    """a + b; of tuples item by item, where most items are zero."""
    if a.op is not TUPLE:
        if a.type is not b.type:
            return a + b
        # As a compiled function would rewrite it, and all that reads it after it.
        if a.op in CONSTANTS or b.op in CONSTANTS:
            if is_zero(a) or is_zero(b):
                return b if is_zero(a) else a
            if a.op in CONSTANTS and b.op in CONSTANTS:
                return folded(make_typed(add.op, (a, b), a.type))
        if b.op is negative.op:
            return make_typed(subtract.op, (a, b.args[0]), a.type)
        if a.op is negative.op:
            return make_typed(subtract.op, (b, a.args[0]), a.type)
        return make_typed(add.op, (a, b), a.type)
    pairs = zip(a.args, b.args, strict=True)
    return tuple_of([y if is_zero(x) else x if is_zero(y) else x + y for x, y in pairs])


# --- the reverse sweep -------------------------------------------------------------------------


def active_nodes(order: Sequence[Expr], wrt: Sequence[Expr] | None) -> set[Expr]:
    """The float nodes through which a derivative towards `wrt` (None: any leaf) can flow."""
    chosen = None if wrt is None else set(wrt)
    active: set[Expr] = set()
    for node in order:
        if not node.type.is_float:
            continue
        starts = chosen is None or node in chosen
        if starts or not (node.op.no_gradient or active.isdisjoint(node.args)):
            active.add(node)
    return active


class Reverse(Protocol):
    """What comes back through the steps of a node that runs a graph, as its op makes it."""

    @property
    def sweep(self) -> Sweep:
        """The sweep over the graph of a step, of expressions of what the step has."""

    def terms(self) -> Sequence[Terms]:
        """For each channel, what the arguments of the node get."""

    def stacks(self, exprs: Sequence[Expr]) -> list[Expr]:
        """Expressions of a step's values and cotangents, for all steps: a new first axis."""


@dataclass(frozen=True, eq=False, slots=True)
class Crossing:
    """How two channels go on within a node that runs a graph, step by step.

    sweep: the sweep over the graph of a step, of its nodes and the seeds of both channels.
    in_turn: whether a path stays in the first channel through all steps alone, from the one that is
        run last to the one that is run first: it comes in and leaves at these.
    """

    sweep: Callable[[Sequence[Expr], Seeding, Seeding], Sweep]
    in_turn: bool = False


class Sweep:
    """One reverse sweep over a graph.

    order: the nodes, arguments before users.
    seeds: outputs of the graph, each with what its cotangent gets from outside of it.
    wrt: the nodes that adjoints are wanted of; None for all.
    """

    channels: ClassVar[int] = 1
    """How many cotangents go back side by side."""

    def __init__(
        self,
        order: Sequence[Expr],
        seeds: Seeding,
        wrt: Sequence[Expr] | None = None,
    ) -> None:
        self.order = order
        self.terms: EdgeTerms = {}
        self.seeds = seeds
        self._active = active_nodes(order, wrt)
        self._masked = Masked()
        self._reverse: dict[Expr, Reverse] = {}
        self._adjoints = self._started(seeds)
        with origins() as mark, gc_paused():
            self._run(mark)

    def _run(self, mark: Callable[[Expr], None]) -> None:
        adjoint, active, masked = self._adjoints, self._active, self._masked
        for node in reversed(self.order):
            args, cotangent = node.args, adjoint.get(node)
            if cotangent is None or not args:
                continue
            mark(node)
            # Those of a pointwise op are made one by one: a list of all takes a tenth of a sweep.
            one_by_one = node.op.partials is not None
            terms = () if one_by_one else edge_terms(cotangent, node, active, masked)
            for i, arg in enumerate(args):
                if arg not in active:
                    continue
                term = times(cotangent, partial_of(node, i), masked) if one_by_one else terms[i]
                if term is not None:
                    self.terms[node, i] = term
                    before = adjoint.get(arg)
                    adjoint[arg] = term if before is None else added(before, term)

    def _started(self, seeds: Seeding) -> dict[Expr, Expr]:
        adjoint: dict[Expr, Expr] = {}
        for node, cotangent in seeds:
            if cotangent is not None and node in self._active:
                add_term(adjoint, node, cotangent)
        return adjoint

    def _edge_terms(self, node: Expr, cotangent: Expr) -> Terms:
        return edge_terms(cotangent, node, self._active, self._masked)

    def _flowing(self, node: Expr, terms: Terms) -> Iterator[tuple[int, Expr]]:
        """What the arguments get through which a derivative flows, and which they are."""
        for i, term in enumerate(terms):
            if term is not None and node.args[i] in self._active:
                yield i, term

    def get(self, node: Expr) -> Expr | None:
        """The adjoint of a node; None where no differentiable path leads to it."""
        return self._adjoints.get(node)

    def parts(self, node: Expr) -> list[Expr | None]:
        """The adjoint of a node by channels."""
        return [self.get(node)]

    def within(self, node: Expr) -> Reverse | None:
        """What goes on in a node that runs a graph; None where nothing comes back to it."""
        if node not in self._reverse:
            parts = self.parts(node)
            if all(part is None for part in parts):
                return None
            self._reverse[node] = inside_of(node).back(parts, self._crossing(node))
        return self._reverse[node]

    def _crossing(self, node: Expr) -> Crossing | None:
        """How two channels go on within a node; None of one."""
        return None


class TwoChannels(Sweep):
    """A sweep of two cotangents at once.

    first, second: seeds of the two.
    """

    channels = 2

    def __init__(self, order: Sequence[Expr], first: Seeding, second: Seeding) -> None:
        self._first: dict[Expr, Expr] = {}
        self._first_seeds = first
        super().__init__(order, second)

    @property
    def _second(self) -> dict[Expr, Expr]:
        return self._adjoints

    def _terms_of(self, node: Expr) -> Sequence[Terms]:
        """What the arguments of a node get, by channels."""
        if self._is_crossed(node) and (reverse := self.within(node)) is not None:
            return reverse.terms()
        return [() if ct is None else self._edge_terms(node, ct) for ct in self.parts(node)]

    def _is_crossed(self, node: Expr) -> bool:
        """Whether something goes over from one channel to the other within a node."""
        raise NotImplementedError

    def parts(self, node: Expr) -> list[Expr | None]:
        return [self._first.get(node), self._second.get(node)]


class Split(TwoChannels):
    """A sweep in two channels: what has passed one of some nodes, and what went around them.

    passed, around: seeds of the two.
    gates: the places of those nodes, in this graph or within its nodes.
    until: the nodes that are wanted: the sweep ends at the last of them; None for all.
    """

    def __init__(
        self,
        order: Sequence[Expr],
        passed: Seeding,
        around: Seeding,
        gates: Iterable[Place],
        until: Iterable[Expr] | None = None,
    ) -> None:
        self._gates: set[Expr] = set()
        self._below: dict[Expr, list[Place]] = {}
        for place in gates:
            if place.loops:
                inner = Place(place.loops[1:], place.node)
                self._below.setdefault(place.loops[0], []).append(inner)
            else:
                self._gates.add(place.node)
        self._until = set(order if until is None else until)
        super().__init__(order, passed, around)

    def _run(self, mark: Callable[[Expr], None]) -> None:
        self._first = self._started(self._first_seeds)
        left = len(self._until)
        for node in reversed(self.order):
            if node in self._gates and node in self._second:
                add_term(self._first, node, self._second.pop(node))
            left -= node in self._until
            if not left:
                break
            if node.args and (node in self._first or node in self._second):
                mark(node)
                channels = zip((self._first, self._second), self._terms_of(node), strict=True)
                for sums, terms in channels:
                    for i, term in self._flowing(node, terms):
                        add_term(sums, node.args[i], term)

    def _is_crossed(self, node: Expr) -> bool:
        return node in self._below

    def _crossing(self, node: Expr) -> Crossing:
        gates = self._below.get(node, ())
        return Crossing(lambda order, passed, around: Split(order, passed, around, gates))


@dataclass(frozen=True, eq=False, slots=True)
class Reach:
    """Which nodes a differentiable path joins with what is differentiated: structure, no numbers.

    within: for a node that runs a graph, the same of each of its steps, by their places.
    """

    joined: Collection[Expr]
    within: Mapping[Expr, Sequence[Reach]]


def reach(
    order: Sequence[Expr],
    edges: Container[tuple[Expr, int]],
    roots: Iterable[Expr],
    known: Mapping[Expr, Array],
) -> Reach:
    """What is joined with some roots by edges.

    known: values of variables that decide, within loops, whether a path is there.
    """
    joined = set(roots)
    within: dict[Expr, Sequence[Reach]] = {}
    results: dict[Expr, set[int]] = {}
    for node in reversed(order):
        if node not in joined:
            continue
        if node.op.inside is not None:
            within[node], reached = inside_of(node).reach(results.get(node, ()), known)
            joined.update([node.args[i] for i in reached])
            continue
        joined.update([a for i, a in enumerate(node.args) if (node, i) in edges])
        if node.op is ITEM:
            results.setdefault(node.args[0], set()).add(node.attrs[0])
    return Reach(joined, within)


def add_term(sums: dict[Expr, Expr], node: Expr, term: Expr) -> None:
    before = sums.get(node)
    sums[node] = term if before is None else added(before, term)
