"""The gradient towards a line in its parts: what entered at a step, what the line carried there
from later steps, and what came around it.

No part is a difference of others, so that one far smaller than the rest is as true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import minigrad as mg
from lstm.gradient_flow.equations import Read, StepGraph, Term
from lstm.gradient_flow.steps import by_unit
from minigrad import Expr


@dataclass(frozen=True)
class Parts:
    """The gradient towards a line, (T, B, H) each; the three sum to the whole at every step."""

    entered: Any
    """What entered at this very step: by no way through another step."""
    carried: Any
    """What the line alone brought from later steps, wherever it entered."""
    around: Any
    """The rest: each of its ways left the line at least once."""

    @cached_property
    def line(self) -> Any:
        """What never left the line: `entered` and `carried`."""
        return self.entered + self.carried


class AtLine(NamedTuple):
    """What a step does to the parts of a line's gradient: expressions (B, H) of the step's values
    and of the cotangents that come to it."""

    factor: Expr
    """What the step multiplies the line by."""
    entered: Expr
    """What comes from above, by way of this step alone, to the state that the step makes."""
    joined: Expr
    """The same to values on the line before that, as the state before gets it: with zoneout."""
    returned: Expr
    """What comes to the state that the step makes from other parts, of what later steps read."""
    mixed: Expr
    """The same to values on the line before that, as the state before gets it."""
    beside: Expr
    """What the state before gets past the line."""


class Cotangents(NamedTuple):
    """What comes to a step, (B, H) each."""

    adjoints: Mapping[str, Expr]
    """{value: its adjoint}, of all values on the line."""
    leaving: Expr
    """From above to what the step gives."""
    returned: Mapping[str, Expr]
    """{another part of the state: what later steps send back to it}"""


def at_line(
    graph: StepGraph, part: str, output: str, comes: Cotangents, terms: Mapping[Term, Expr]
) -> AtLine:
    """What a step does to a line. output: the part that leaves the layer. terms: of all adjoints,
    those that the state before gets."""
    factors = graph.line_factors(part)
    factors = dict(zip(factors, graph.values_of([*factors.values()]), strict=True))
    own, *inner = factors
    adjoints = {name: comes.adjoints[name] for name in factors}
    line = _Line(graph, part, factors, adjoints)
    above = {graph.made[output]: comes.leaving}
    later: dict[str, Expr] = {}
    for other, cotangent in comes.returned.items():
        made = graph.made[other]
        later[made] = later[made] + cotangent if made in later else cotangent
    enters = graph.all_terms({}, seeds=above, ends=factors)
    returns = graph.all_terms(adjoints, seeds=later)
    return AtLine(
        factors[own],
        line.reached(enters, own, above),
        line.passed(enters, inner, above),
        line.reached(returns, own, later),
        line.passed(returns, inner, later),
        line.off(terms, Read(part, before=True)),
    )


class _Line(NamedTuple):
    graph: StepGraph
    part: str
    factors: Mapping[str, Expr]
    adjoints: Mapping[str, Expr]

    def off(self, terms: Mapping[Term, Expr], read: Read) -> Expr:
        """What comes to a value on the line, or to the state before, by ways that are not its."""
        total = mg.zeros_like(self.graph.variables[self.graph.made[self.part]])
        for (reader, what), term in terms.items():
            if what != read:
                continue
            if reader not in self.factors:
                total = total + term
            elif not self.graph.is_pure(reader, self.part):
                ratio = self.factors[reader]
                if not read.before:
                    ratio = ratio / self.factors[read.name]
                total = total + (term - ratio * self.adjoints[reader])
        return total

    def reached(self, terms: Mapping[Term, Expr], name: str, seeds: Mapping[str, Expr]) -> Expr:
        """What comes to a value on the line of what is put in at some values."""
        got = self.off(terms, Read(name, before=False))
        return got + seeds[name] if name in seeds else got

    def passed(
        self, terms: Mapping[Term, Expr], names: list[str], seeds: Mapping[str, Expr]
    ) -> Expr:
        """What comes to several of them, as the state before gets it."""
        total = mg.zeros_like(self.graph.variables[self.graph.made[self.part]])
        for name in names:
            total = total + self.factors[name] * self.reached(terms, name, seeds)
        return total


class Back(NamedTuple):
    """The parts on their way from a step to the one before, (B, H) each."""

    along: Expr
    passing: Expr


def nothing_yet(like: Expr) -> Back:
    """After the last step."""
    zero = mg.zeros_like(like)
    return Back(zero, zero)


def parted(
    after: Back, at: AtLine, whole: Expr, waits: Expr | None, counts: Expr, ends: Expr
) -> tuple[Back, Parts]:
    """The gradient towards a line in its parts at one step, (B, H) each.

    What enters goes along the line, times the factors of the steps; what leaves it is around from
    there on. At the end of each sequence all has entered: how the last state reaches the loss is no
    way around. With zoneout the last state is mixed for a step that is not there, and what the loss
    reads is what it is mixed of: that joins the line a step before.

    whole: the adjoint of the line. waits: what comes from above to the line where the step is
    padding, if that can be. counts, ends: (B,), which sequences are no padding, and which end here.
    """
    zero = mg.zeros_like(whole)
    here, end = by_unit(counts, zero), by_unit(ends, zero)
    amid = here & ~end
    entered = mg.where(end, whole, mg.where(here, at.entered, zero))
    carried = mg.where(amid, after.along, zero)
    around = mg.where(amid, after.passing + at.returned, zero)
    on = at.factor * (entered + carried) + at.joined + mg.where(end, at.mixed, zero)
    by = at.factor * around + at.beside + mg.where(end, zero, at.mixed)
    stays = after.passing if waits is None else after.passing + waits
    back = Back(mg.where(here, on, after.along), mg.where(here, by, stays))
    return back, Parts(entered, carried, around)
