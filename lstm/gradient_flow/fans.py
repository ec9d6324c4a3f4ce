"""What comes to each value of a step from what reads it: its fan, which sums to its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import minigrad as mg
from lstm.gradient_flow.equations import Read
from lstm.gradient_flow.steps import LEAVES, Sizes, by_unit, wide_norms
from lstm.gradient_flow.way_back import Row, WayBack
from minigrad import Expr

Fan = Mapping[str, Expr]
"""{what reads a value: its term of the value's gradient, (B, H)}"""


class Coming(NamedTuple):
    """A term of this step: what it comes from, and whether it goes to the state before."""

    reader: str
    before: bool
    term: Expr


def fan_of_state(
    later: Fan, coming: list[Coming], counts: Expr | None
) -> tuple[dict[str, Expr], dict[str, Expr]]:
    """What goes on to the step before of what comes to a part of the state, and its fan here.

    later: what comes from later steps, and from above. counts: (B,), which sequences are no
    padding; None: all. Past padding it waits for the last step that counts.
    """
    fan, waits = dict(later), {reader: mg.zeros_like(x) for reader, x in later.items()}
    if counts is not None:
        for reader, comes in later.items():
            here, none = by_unit(counts, comes), mg.zeros_like(comes)
            fan[reader] = mg.where(here, comes, none)
            waits[reader] = mg.where(here, none, comes)
    on = dict(waits)
    for reader, before, term in coming:
        into = on if before else fan
        into[reader] = into[reader] + term
    return on, fan


class Fans:
    """Tells of each value of a step how large it is, its gradient, and the terms of its fan.

    Told are "values" and "gradients", {value: (T,)}, and "terms", {value: {reader: (T,)}}.
    sizes: what is told instead of norms.
    """

    def __init__(self, way: WayBack, sizes: Sizes = wide_norms) -> None:
        self._way, self._sizes = way, sizes

    def start(self) -> dict[str, dict[str, Expr]]:
        """{part of the state: what comes to it after the last step}"""
        last, begun, graph = self._way.stacks["last"], {}, self._way.graph
        for part in graph.made:
            read = Read(part, before=True)
            readers = [
                n for n, of in graph.equations.items() if read in of.reads and n not in graph.unread
            ]
            begun[part] = {r: mg.zeros_like(last[part]) for r in readers} | {LEAVES: last[part]}
        return begun

    def step(
        self, carry: dict[str, dict[str, Expr]], row: Row
    ) -> tuple[dict[str, dict[str, Expr]], dict[str, Any]]:
        """The fans of one step."""
        graph = self._way.graph
        terms = graph.all_terms(row.adjoints)
        known = dict(zip(terms, mg.substitute([*terms.values()], dict(row.rows)), strict=True))
        on: dict[str, dict[str, Expr]] = {}
        fans: dict[str, dict[str, Expr]] = {name: {} for name in graph.nodes}
        for (reader, read), term in known.items():
            if not read.before:
                fans[read.name][reader] = term
        for part, later in carry.items():
            comes = dict(later)
            if part == self._way.output:
                comes[LEAVES] = comes[LEAVES] + row.leaving
            before = [Coming(r, True, t) for (r, read), t in known.items() if read == (part, True)]
            on[part], came = fan_of_state(comes, before, row.counts)
            own = fans[graph.made[part]]
            for reader, term in came.items():
                own[reader] = own[reader] + term if reader in own else term
        every: dict[tuple[str, ...], Expr] = {("values", n): row.values[n] for n in fans}
        every |= {("gradients", n): _sum(fan) for n, fan in fans.items() if fan}
        every |= {("terms", n, r): term for n, fan in fans.items() for r, term in fan.items()}
        norms = self._sizes(every)
        return on, {
            "values": {n: norms["values", n] for n in fans},
            "gradients": {n: norms["gradients", n] for n, fan in fans.items() if fan},
            "terms": {n: {r: norms["terms", n, r] for r in fan} for n, fan in fans.items()},
        }


def _sum(fan: Fan) -> Expr:
    first, *others = fan.values()
    for term in others:
        first = first + term
    return first
