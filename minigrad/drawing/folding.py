"""Levels of detail: long chains of equal steps as one shape a step, or as one shape for many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from minigrad.drawing.amount import UNCONNECTED, Amount, Steps, kind_of
from minigrad.drawing.chain import SINGLE, Chain
from minigrad.drawing.measure import Measured
from minigrad.drawing.outline import MANY, Line, Outline, Term, Vertex

_MOST_REMARKABLE = 6
_JUMP = 1.0  # decades that one step's factor is off the median one


@dataclass(frozen=True, eq=False, slots=True)
class Fold:
    """Steps first … last as one shape.

    vertex: what stands for it among the shapes; rows: what others read of it, the node of each
        step in a row; why: what is remarkable of it.
    """

    first: int
    last: int
    vertex: Vertex
    rows: Sequence[Sequence[Vertex]]
    why: str = ""

    @property
    def title(self) -> str:
        """What it is called."""
        if self.first == self.last:
            return f"step {self.first:,}"
        count = self.last - self.first + 1
        return f"× {count:,}: steps {self.first:,} … {self.last:,}"


@dataclass(frozen=True, eq=False, slots=True)
class Folded:
    """A picture's outline with its steps folded.

    hidden: the fold of each node that is drawn as part of one; amounts: of arrows that stand for
        several uses; leaves: what only steps read.
    """

    drawn: Outline
    numbers: Measured
    hidden: Mapping[Vertex, Fold]
    leaves: Sequence[Vertex]

    @property
    def span(self) -> int:
        """How many ranks all lines together pass, as drawn."""
        shown = {v: fold.vertex for v, fold in self.hidden.items()}
        lines = [x._replace(source=shown.get(x.source, x.source)) for x in self.drawn.lines]
        return replace(self.drawn, lines=lines).span


def sums_of(chain: Chain, drawn: Outline) -> list[tuple[Term, ...]]:
    """Terms of the uses that one step makes of what lies outside of it, where it makes several."""
    together: dict[tuple[Vertex, int], list[Term]] = {}
    for line in drawn.lines:
        step = chain.step_of.get(line.target)
        if step is not None and chain.step_of.get(line.source) != step:
            together.setdefault((line.source, step), []).append(line.term)
    return [tuple(terms) for terms in together.values() if len(terms) > 1]


def fold(chain: Chain, drawn: Outline, numbers: Measured, pinned: Iterable[int] = ()) -> Folded:
    """The same picture with its steps folded, as their numbers ask for and but for those pinned."""
    return _Folding(chain, drawn, numbers, pinned).folded()


class _Folding:
    def __init__(
        self, chain: Chain, drawn: Outline, numbers: Measured, pinned: Iterable[int]
    ) -> None:
        self.chain, self.drawn, self.numbers = chain, drawn, numbers
        self.read = {
            line.source
            for line in drawn.lines
            if line.source in chain.step_of
            and chain.step_of.get(line.target) != chain.step_of[line.source]
        }
        sources = {line.source for line in drawn.lines}
        self.roots = {v for v in chain.step_of if v not in sources}
        self.why = dict.fromkeys(pinned, "pinned")
        if chain.count > SINGLE:
            self.why |= self._remarkable()
        self.folds = list(self._folds())
        self.hidden = {
            v: f for f in self.folds for t in range(f.first, f.last + 1) for v in self._step(t)
        }

    def _step(self, t: int) -> Sequence[Vertex]:
        return self.chain.steps[t - 1]

    def _folds(self) -> Iterator[Fold]:
        first = 1
        while first <= self.chain.count:
            last = first
            while self._goes_on(first, last):
                last += 1
            rows: dict[int, list[Vertex]] = {}
            for t in range(first, last + 1):
                for vertex in self._step(t):
                    if vertex in self.read or vertex in self.roots:
                        rows.setdefault(self.chain.role[vertex], []).append(vertex)
            yield Fold(first, last, self._step(last)[-1], [*rows.values()], self.why.get(first, ""))
            first = last + 1

    def _goes_on(self, first: int, last: int) -> bool:
        """Whether the step after `last` is drawn with it."""
        if self.chain.count <= SINGLE or last + 1 >= self.chain.count or first == 1:
            return False
        return (
            self.chain.is_same(first, last + 1)
            and first not in self.why
            and last + 1 not in self.why
        )

    # --- what is remarkable ----------------------------------------------------------------------

    def _remarkable(self) -> dict[int, str]:
        """Steps that stay visible, and why: not finite, or far off the others."""
        why: dict[int, tuple[float, str]] = {}
        for series in self._series():
            norms = {t: a.norm for t, a in series.items()}
            for t, size in norms.items():
                if not math.isfinite(size):
                    why.setdefault(t, (math.inf, "not finite"))
            logs = {
                t: math.log10(norms[t] / norms[t + 1])
                for t in norms
                if 0.0 < norms[t] < math.inf and 0.0 < norms.get(t + 1, 0.0) < math.inf
            }
            usual = median(logs.values()) if logs else 0.0
            for t, log in logs.items():
                if (off := abs(log - usual)) > _JUMP and off > why.get(t, (0.0, ""))[0]:
                    why[t] = (off, f"the gradient changes by {10.0**log:.3g} in one step")
        strongest = sorted(why, key=lambda t: (-why[t][0], t))[:_MOST_REMARKABLE]
        return {t: why[t][1] for t in sorted(strongest)}

    def _series(self) -> Iterator[dict[int, Amount]]:
        """The gradients, or else values, of each part that is read of steps, by step."""
        known = self.numbers.adjoints or self.numbers.values
        by_role: dict[int, dict[int, Amount]] = {}
        for vertex in sorted(self.read, key=lambda v: self.chain.step_of[v]):
            if vertex in known:
                series = by_role.setdefault(self.chain.role[vertex], {})
                series[self.chain.step_of[vertex]] = known[vertex]
        yield from by_role.values()

    # --- shapes and lines ------------------------------------------------------------------------

    def folded(self) -> Folded:
        shown = {f.vertex for f in self.folds}
        starts = self._starts()
        leaves: dict[Vertex, None] = {}
        lines: dict[tuple[Vertex, Vertex], list[Line]] = {}
        single: list[Line] = []
        for line in self.drawn.lines:
            fold = self.hidden.get(line.target)
            if fold is None:
                single.append(line)
            elif not line.source.node.args and line.source not in starts:
                leaves[line.source._replace(copy=0)] = None
            elif self.hidden.get(line.source) is not fold:
                lines.setdefault((line.source, fold.vertex), []).append(line)
        merged, amounts = self._merged(lines)
        used = {line.source for line in (*single, *merged)}
        vertices = [
            v
            for v in self.drawn.vertices
            if v in shown or (v not in self.hidden and (v.node.args or v in used))
        ]
        drawn = replace(self.drawn, vertices=vertices, lines=[*single, *merged])
        numbers = replace(self.numbers, terms={**self.numbers.terms, **amounts})
        only = [leaf for leaf in leaves if leaf not in used]
        return Folded(drawn, numbers, self.hidden, only)

    def _starts(self) -> set[Vertex]:
        """Leaves that one shape alone reads, such as the first state, where they are few."""
        readers: dict[Vertex, set[Vertex]] = {}
        for line in self.drawn.lines:
            if line.target in self.hidden and not line.source.node.args:
                readers.setdefault(line.source, set()).add(self.hidden[line.target].vertex)
        alone = {leaf for leaf, folds in readers.items() if len(folds) == 1 and not leaf.copy}
        return alone if len(alone) <= MANY else set()

    def _merged(
        self, lines: Mapping[tuple[Vertex, Vertex], Sequence[Line]]
    ) -> tuple[list[Line], dict[Term, Amount]]:
        """One line for all uses that a fold makes of a value, and what its term is."""
        merged: list[Line] = []
        amounts: dict[Term, Amount] = {}
        for (_, target), uses in lines.items():
            line = uses[0]._replace(target=target)
            merged.append(line)
            by_step: dict[int, list[Term]] = {}
            for use in uses:
                by_step.setdefault(self.chain.step_of[use.target], []).append(use.term)
            known = [self.numbers.total(terms) for terms in by_step.values()]
            if self.numbers.terms:
                amounts[line.term] = known[0] if len(known) == 1 else along(known)
        return merged, amounts


def along(amounts: Sequence[Amount]) -> Amount:
    """What one tensor is at every step, as one amount."""
    there = [a for a in amounts if a.kind != "disconnected"]
    if not there:
        return UNCONNECTED
    steps = Steps(tuple([a.norm for a in there]))
    lows = [a.low for a in there if a.low is not None]
    highs = [a.high for a in there if a.high is not None]
    kind = kind_of(steps.most, any(a.kind == "underflow" for a in there))
    low, high = min(lows, default=None), max(highs, default=None)
    return Amount(there[0].shape, steps.most, low, high, (), kind, steps)
