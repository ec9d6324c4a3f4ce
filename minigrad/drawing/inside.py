"""Numbers of what lies in loops, at all their steps: asked of the loops, nothing is unrolled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.derivatives.adjoints import lifted, ways_to
from minigrad.derivatives.sweep import Sweep, edge_terms
from minigrad.drawing.amount import UNCONNECTED, Amount
from minigrad.drawing.outline import Level, Outline, Term, Vertex
from minigrad.graph.node import Expr
from minigrad.graph.places import Place, inside_of, steps_of
from minigrad.ops.tuples import ITEM
from minigrad.types import Array, TupleType


@dataclass(frozen=True, eq=False, slots=True)
class Within:
    """What is asked of one loop that is drawn with its body inside.

    Each expression is a stack over the steps, of the loops around it too; None is nothing.
    """

    level: Level
    values: dict[Vertex, Expr | None]
    adjoints: dict[Vertex, Expr | None]
    terms: dict[Term, Expr | None]

    @property
    def exprs(self) -> list[Expr]:
        """All that is to be evaluated, in order."""
        asked = [*self.values.values(), *self.adjoints.values(), *self.terms.values()]
        return [e for e in asked if e is not None]

    def read(
        self,
        arrays: Iterator[Array],
        values: dict[Vertex, Amount],
        adjoints: dict[Vertex, Amount],
        terms: dict[Term, Amount],
    ) -> None:
        """Note what the arrays say, which come in the order of `exprs`."""
        axes = len(steps_of(self.level.loops))
        for vertex, expr in self.values.items():
            if expr is not None:
                values[vertex] = Amount.over(next(arrays), axes)
        for vertex, expr in self.adjoints.items():
            adjoints[vertex] = UNCONNECTED if expr is None else Amount.over(next(arrays), axes)
        for term, expr in self.terms.items():
            if expr is None:
                terms[term] = UNCONNECTED
            else:
                array = next(arrays)
                shown = self._sent_back(array, axes) if term.is_back else array
                terms[term] = Amount.over(shown, axes)

    def _sent_back(self, array: Array, axes: int) -> Array:
        """Without the step that runs last, whose carry no other step takes."""
        last = 0 if self.level.reverse else self.level.steps - 1
        return np.delete(array, last, axis=axes - 1)


def within(level: Level, drawn: Outline, sweep: Sweep | None) -> Within:
    """What is to be evaluated of a loop; sweep: over the graph, where gradients are wanted."""
    loops = level.loops
    vertices = [
        v for v in drawn.vertices if v.is_in(loops) and not isinstance(v.node.type, TupleType)
    ]
    uses = (*drawn.lines, *drawn.written.values())
    terms = list(dict.fromkeys([use.term for use in uses if use.term.loops in {loops}]))
    return _asked(level, vertices, terms, sweep)


def carried_by(level: Level, sweep: Sweep | None) -> Within:
    """What is to be evaluated of a loop that is one shape: its carries."""
    return _asked(level, [Vertex(level.loops, c) for c in level.body.carries], [], sweep)


def _asked(
    level: Level, vertices: Sequence[Vertex], terms: Sequence[Term], sweep: Sweep | None
) -> Within:
    loops = level.loops
    place = Place(loops, level.node)
    stackers = [inside_of(loop).values for loop in loops]
    values = lifted(place, [v.node for v in vertices], stackers)
    asked = Within(level, dict(zip(vertices, values, strict=True)), {}, {})
    if sweep is not None:
        ways = ways_to(sweep, loops)
        if len(ways) < len(loops):
            stacks: list[Expr | None] = [None] * (len(vertices) + len(terms))
        else:
            inner = ways[-1].sweep
            picked = [inner.get(v.node) for v in vertices] + [_term(t, inner) for t in terms]
            stacks = lifted(place, picked, [way.stacks for way in ways])
        asked.adjoints.update(zip(vertices, stacks, strict=False))
        asked.terms.update(zip(terms, stacks[len(vertices) :], strict=True))
    return asked


def _term(term: Term, sweep: Sweep) -> Expr | None:
    """A term in a sweep over one step."""
    if term.is_back:
        return sweep.seeds[term.position][1]
    if term.user.op is ITEM:
        return sweep.get(term.user)
    return carried_back(sweep.terms.get((term.user, term.position)), term.between)


def carried_back(term: Expr | None, between: Sequence[Expr]) -> Expr | None:
    """A term behind the ops without arithmetic that it passes."""
    # By linearity the terms so carried back sum to the adjoint of the source.
    for op in between:
        term = None if term is None else edge_terms(term, op)[0]
    return term
