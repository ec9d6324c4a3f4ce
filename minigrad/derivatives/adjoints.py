"""The reverse sweep: every node's adjoint, and every edge's own term of the chain rule.

It reads what each op states about itself and knows no op by name. What is structurally zero is None
until somebody asks for a tensor.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from minigrad.derivatives.masked import Masked
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, Terms, describe, gc_paused, require_expr
from minigrad.graph.origin import origins
from minigrad.graph.walk import toposort
from minigrad.ops.core import full_like, is_zero, uniform_value
from minigrad.ops.creation import ones_like, zeros_like
from minigrad.ops.tuples import TUPLE, tuple_of

EdgeTerms: TypeAlias = dict[tuple[Expr, int], Expr]


# --- one edge ----------------------------------------------------------------------------------


def times(factor: Expr, partial: Expr | int | None, masked: Masked) -> Expr | None:
    """cotangent or tangent × local derivative, with the factors 1, -1 and 0 left out."""
    if partial is None:
        return None
    if isinstance(partial, int):
        return factor if partial == 1 else masked.negated(factor)
    if partial.type is not factor.type:
        raise GraphError(f"a partial derivative is {partial.type!r} where {factor.type!r} is due")
    if uniform_value(partial) == 1:
        return factor
    return partial if uniform_value(factor) == 1 else masked.times(factor, partial)


def partial_of(node: Expr, i: int) -> Expr | int | None:
    assert node.op.partials is not None
    partial = node.op.partials[i]
    if not callable(partial):
        return partial
    value = partial(node, *node.args)
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
            times(cotangent, partial_of(node, i), masked)
            if active is None or arg in active
            else None
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
        total = term if total is None else total if term is None else _added(total, term)
    return total


def _added(a: Expr, b: Expr) -> Expr:
    """a + b; of tuples item by item, where most items are zero."""
    if a.op is not TUPLE:
        return a + b
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
        if starts or (not node.op.no_gradient and any(a in active for a in node.args)):
            active.add(node)
    return active


class Adjoints:
    """Every adjoint of one reverse sweep from y; see `adjoints`."""

    def __init__(
        self,
        y: Expr,
        cotangent: Expr | None = None,
        wrt: Sequence[Expr] | None = None,
        order: Sequence[Expr] | None = None,
    ) -> None:
        self.y = y
        self.order = toposort(y) if order is None else order
        self._seed = ones_like(y) if cotangent is None else cotangent
        self._active = active_nodes(self.order, wrt)
        self._masked = Masked()
        self._terms: EdgeTerms = {}
        self._adjoints = self._sweep()

    @cached_property
    def _nodes(self) -> frozenset[Expr]:
        return frozenset(self.order)

    def _sweep(self) -> dict[Expr, Expr]:
        adjoint = self._start()
        with origins() as mark, gc_paused():
            for node in reversed(self.order):
                if node in adjoint and node.args:
                    mark(node)
                    for i, term in self._passed_back(node, adjoint[node]):
                        self._terms[node, i] = term
                        _add_term(adjoint, node.args[i], term)
        return adjoint

    def _start(self) -> dict[Expr, Expr]:
        return {self.y: self._seed} if self.y in self._active else {}

    def _passed_back(self, node: Expr, cotangent: Expr) -> Iterator[tuple[int, Expr]]:
        """What the arguments get through which a derivative flows, and which they are."""
        for i, term in enumerate(edge_terms(cotangent, node, self._active, self._masked)):
            if term is not None and node.args[i] in self._active:
                yield i, term

    def __repr__(self) -> str:
        reached = f"{len(self._adjoints):,} of {len(self.order):,} nodes"
        return f"<Adjoints of {self.y!r}: {reached}, {len(self._terms):,} edges>"

    def __contains__(self, node: Expr) -> bool:
        """Whether y depends on the node through a differentiable path."""
        return node in self._adjoints

    def get(self, node: Expr) -> Expr | None:
        """∂y/∂node, or None where no differentiable path connects the two."""
        return self._adjoints.get(node)

    def __getitem__(self, node: Expr) -> Expr:
        """∂y/∂node; zeros where no differentiable path connects the two."""
        return _or_zeros(self._adjoints, node)

    def terms(self) -> Mapping[tuple[Expr, int], Expr]:
        """All edge terms that are not structurally zero, by (user, position)."""
        return self._terms

    def edge(self, user: Expr, position: int) -> Expr:
        """The term that one use of a value contributes: of user.args[position], through user.

        Raises GraphError for an edge that the graph of y does not have.
        """
        require_expr(user, "take the edge of")
        if not 0 <= position < len(user.args):
            raise GraphError(f"{describe(user)} has no argument {position}")
        if user not in self._nodes:
            raise GraphError(f"{describe(user)} is not part of the differentiated graph")
        term = self._terms.get((user, position))
        return zeros_like(user.args[position]) if term is None else term

    def split(self, node: Expr, through: Iterable[Expr]) -> tuple[Expr, Expr]:
        """∂y/∂node as (through, around): the paths that pass a node of the set, and the rest.

        The two sum to the adjoint. Both ends of a path count as passed.
        """
        return self.splits([node], through)[node]

    def splits(
        self, nodes: Iterable[Expr], through: Iterable[Expr]
    ) -> dict[Expr, tuple[Expr, Expr]]:
        """`split` for several nodes and one set, in one sweep: linear in the graph."""
        wanted = dict.fromkeys(nodes)
        gates = set(through)
        passed: dict[Expr, Expr] = {}
        around = self._start()
        left = len(wanted)
        for n in reversed(self.order):
            if n in gates and n in around:
                _add_term(passed, n, around.pop(n))
            left -= n in wanted
            if not left:
                break
            for part in (passed, around):
                if n in part and n.args:
                    for i, term in self._passed_back(n, part[n]):
                        _add_term(part, n.args[i], term)
        return {n: (_or_zeros(passed, n), _or_zeros(around, n)) for n in wanted}


def _or_zeros(sums: Mapping[Expr, Expr], node: Expr) -> Expr:
    adjoint = sums.get(node)
    return zeros_like(node) if adjoint is None else adjoint


def _add_term(sums: dict[Expr, Expr], node: Expr, term: Expr) -> None:
    before = sums.get(node)
    sums[node] = term if before is None else _added(before, term)
