"""Zeros within loops: which of them are products too small to hold, step by step.

A term that is 0 did underflow where its rule gives more for a cotangent of 1, and that cotangent is
no zero itself; so did an adjoint that is 0 where a term of it did, in its step or the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from minigrad.derivatives.adjoints import lifted, ways_to
from minigrad.derivatives.sweep import Sweep, edge_terms
from minigrad.drawing.amount import Amount, kind_of
from minigrad.drawing.inside import carried_back
from minigrad.drawing.outline import Level, Line, Outline, Term, Vertex
from minigrad.graph.node import Expr
from minigrad.graph.places import Place, steps_of
from minigrad.ops.choice import where
from minigrad.ops.creation import ones_like
from minigrad.ops.reduce import max as largest
from minigrad.ops.tuples import ITEM
from minigrad.types import Array, TupleType

Bools: TypeAlias = Any  # an array, or one bool for all of it


@dataclass(frozen=True, eq=False)
class Suspects:
    """The terms of a loop's steps that are 0 at some, and what tells which of them were lost.

    lines: the uses within the steps; into: those by which values get there from around the loop.
    """

    level: Level
    lines: Sequence[Line]
    into: Sequence[Line]
    probes: Mapping[Term, Expr]

    @classmethod
    def of(
        cls, level: Level, drawn: Outline, sweep: Sweep, terms: Mapping[Term, Amount]
    ) -> Suspects | None:
        """None where no term is 0, or none comes back."""
        loops = level.loops
        uses = (*drawn.lines, *drawn.written.values())
        lines = [use for use in uses if use.term.loops in {loops}]
        ways = ways_to(sweep, loops)
        zeros = [use.term for use in lines if 0.0 in _norms(terms.get(use.term))]
        if len(ways) < len(loops) or not zeros:
            return None
        inner = ways[-1].sweep
        asked = {t: probe for t in dict.fromkeys(zeros) if (probe := _probed(t, inner)) is not None}
        stacks = lifted(Place(loops, level.node), [*asked.values()], [w.stacks for w in ways])
        probes = {t: s for t, s in zip(asked, stacks, strict=True) if s is not None}
        starts = [use for use in uses if use.target.is_in(loops) and use.term.user is level.node]
        return cls(level, lines, [use for use in starts if not use.is_back], probes)

    def tell(
        self, arrays: Iterator[Array], adjoints: dict[Vertex, Amount], terms: dict[Term, Amount]
    ) -> list[Line]:
        """Note what was lost, of what the probes came to; the uses of what lies around the loop by
        which something was."""
        *outer, steps = steps_of(self.level.loops)
        passing = {t: next(arrays).reshape(*outer, steps, -1).any(axis=-1) for t in self.probes}
        told = _Told(self, adjoints, terms, (*outer, steps), passing)
        told.run()
        return told.outwards(self.into)


def _norms(amount: Amount | None) -> Sequence[float]:
    return () if amount is None or amount.steps is None else amount.steps.norms


def _probed(term: Term, sweep: Sweep) -> Expr | None:
    """What the rule of a use gives for its cotangent scaled to 1, or for ones where that is 0."""
    cotangent = None if term.is_back or term.user.op is ITEM else sweep.get(term.user)
    if cotangent is None or isinstance(term.user.type, TupleType):
        return None
    top = largest(abs(cotangent))
    scaled = cotangent / where(top > 0.0, top, 1.0)
    probe = where(top > 0.0, scaled, ones_like(cotangent))
    return carried_back(edge_terms(probe, term.user)[term.position], term.between)


class _Told:
    """The way back through the steps; each array has an axis for every loop, that of steps last."""

    def __init__(
        self,
        of: Suspects,
        adjoints: dict[Vertex, Amount],
        terms: dict[Term, Amount],
        shape: tuple[int, ...],
        passing: Mapping[Term, Bools],
    ) -> None:
        self.level, self.adjoints, self.terms, self.shape = of.level, adjoints, terms, shape
        loops = of.level.loops
        self.zero = {
            node: zero
            for node in of.level.body.nodes
            if (zero := self._zeros(adjoints.get(Vertex(loops, node)))) is not None
        }
        self.lost = {node: np.zeros(shape, np.bool_) for node in self.zero}
        self.by_user: dict[Expr, list[Line]] = {}
        self.small: dict[Term, Bools] = {}
        """Of terms that may be lost, where they are if what comes back to their users is not 0."""
        for line in of.lines:
            zero = None if line.is_back else self._zeros(terms.get(line.term))
            if zero is not None and (line.term in passing or line.term.user.op is ITEM):
                self.small[line.term] = zero & passing.get(line.term, np.True_)
                self.by_user.setdefault(line.term.user, []).append(line)
        self.lost_terms = {term: np.zeros(shape, np.bool_) for term in self.small}
        self.users = [n for n in of.level.body.nodes[::-1] if n in self.zero or n in self.by_user]

    def _zeros(self, amount: Amount | None) -> Bools | None:
        """Where the steps of an amount are 0; None where none is, or it has not all steps."""
        norms = _norms(amount)
        return np.reshape(np.equal(norms, 0.0), self.shape) if 0.0 in norms else None

    def run(self) -> None:
        body, steps = self.level.body, self.shape[-1]
        order = range(steps) if self.level.reverse else range(steps)[::-1]
        entering = [self._entering(k) for k in range(len(body.outputs))]
        small = [array.reshape(-1, steps).any(axis=0) for array in self.small.values()]
        begins = np.any(small, axis=0) if small else np.zeros(steps, np.bool_)
        after: int | None = None
        for t in order:
            arriving: dict[Expr, Bools] = {}
            for k, node in enumerate(body.outputs):
                came: Bools = entering[k]
                if k < body.n_carry and after is not None:
                    lost = self.lost.get(body.carries[k])
                    came = False if lost is None else lost[..., after]
                if np.any(came):
                    arriving[node] = arriving.get(node, np.False_) | came
            if arriving or begins[t]:
                self._step(t, arriving)
            after = t
        self._note()

    def outwards(self, into: Sequence[Line]) -> list[Line]:
        """The uses of what lies around the loop in which something was lost: of a carry it is the
        step that runs first which counts."""
        first = self.shape[-1] - 1 if self.level.reverse else 0
        lost = []
        for line in into:
            there = self.lost.get(line.target.node)
            if there is not None and self.level.carry(line.target.node) is not None:
                there = there[..., first]
            if there is not None and there.any():
                lost.append(line)
        loops = self.level.loops
        around = [line for lines in self.by_user.values() for line in lines]
        around = [line for line in around if not line.source.is_in(loops)]
        return lost + [line for line in around if self.lost_terms[line.term].any()]

    def _entering(self, k: int) -> bool:
        """Whether what comes back to a result of the loop was lost behind it."""
        return any(
            amount.kind == "underflow"
            for vertex, amount in self.adjoints.items()
            if vertex.node.op is ITEM
            and vertex.node.args[0] is self.level.node
            and vertex.node.attrs[0] == k
        )

    def _step(self, t: int, arriving: dict[Expr, Bools]) -> None:
        loops = self.level.loops
        for user in self.users:
            own: Bools = np.True_
            if user in self.zero:
                zero = self.zero[user][..., t]
                lost = zero & arriving.get(user, np.False_)
                self.lost[user][..., t] = lost
                own = lost if user.op is ITEM else ~zero | lost
            for line in self.by_user.get(user, ()):
                gone = self.small[line.term][..., t] & own
                self.lost_terms[line.term][..., t] = gone
                if line.source.is_in(loops):
                    source = line.source.node
                    arriving[source] = arriving.get(source, np.False_) | gone

    def _note(self) -> None:
        for node, lost in self.lost.items():
            vertex = Vertex(self.level.loops, node)
            self.adjoints[vertex] = _with_lost(self.adjoints[vertex], lost)
        for term, lost in self.lost_terms.items():
            self.terms[term] = _with_lost(self.terms[term], lost)
        last = 0 if self.level.reverse else self.shape[-1] - 1
        for k, carry in enumerate(self.level.body.carries):
            term = Term(self.level.loops, self.level.node, k, is_back=True)
            if term in self.terms and carry in self.lost:
                sent = np.roll(self.lost[carry], 1 if self.level.reverse else -1, axis=-1)
                self.terms[term] = _with_lost(self.terms[term], np.delete(sent, last, axis=-1))


def _with_lost(amount: Amount, lost: Bools) -> Amount:
    if amount.steps is None or not lost.any():
        return amount
    steps = replace(amount.steps, lost=tuple(lost.reshape(-1).tolist()))
    return replace(amount, steps=steps, kind=kind_of(amount.norm, is_lost=True))
