"""The way back through a layer's steps, beside the loop that trains: one loop in which all that is
told of a step is computed where its numbers are at hand.

A step's numbers are in the cache then, all steps' are not, and no stack lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import minigrad as mg
from lstm.gradient_flow.equations import Read, StepGraph, Term, over_steps
from lstm.gradient_flow.parts import AtLine, Cotangents, Parts, at_line, nothing_yet, parted
from lstm.gradient_flow.slopes import Nonlinearity, nonlinearity
from lstm.layers import Looped
from minigrad import Expr


class Row(NamedTuple):
    """One step on the way back: expressions (B, H)."""

    rows: Mapping[Expr, Expr]
    """{variable of a `StepGraph`: what it is at this step}"""
    values: Mapping[str, Expr]
    adjoints: Mapping[str, Expr]
    """{value: its adjoint}, of the state that the step makes, and of all values on the line."""
    factors: Mapping[str, Expr]
    """{value on the line: what the step has multiplied the line by up to there}"""
    terms: Mapping[Term, Expr]
    """What the main part of the state gets in this step."""
    leaving: Expr
    """What comes back from above to what the step gives."""
    counts: Expr | None
    """(B,): which sequences are no padding; None: all."""
    ends: Expr
    """(B,): which of them end here."""
    earlier: Expr | None
    """(B,): of which a step before counts; None: of all."""
    parts: Parts | None
    """Of the line's gradient; None without a line."""
    onward: Expr | None
    """What the line brings to the step before."""
    beside: Mapping[Expr, Expr]
    """{a stack that is read beside: what it is at this step}"""
    slope: Expr | None
    """That of the nonlinearity that the main part of the state comes out of, if there is one."""


class Teller(Protocol):
    """What tells something of each step, from the one that is read last."""

    def start(self) -> Any:
        """What is carried from step to step at first."""

    def step(self, carry: Any, row: Row) -> tuple[Any, dict[str, Any]]:
        """What is carried on, and what is told of this step."""


class _Local(NamedTuple):
    """What a step does, in expressions of its variables, and the stacks that these stand for."""

    stacks: Mapping[Expr, Expr]
    adjoints: Mapping[str, Expr]
    leaving: Expr
    terms: Mapping[Term, Expr]
    factors: Mapping[str, Expr]
    slope: Mapping[str, Expr]
    """{the main part of the state: that of its nonlinearity}; nothing where there is none."""
    at_line: AtLine | None

    @property
    def expressions(self) -> list[Expr]:
        """All of them."""
        local = (self.terms, self.factors, self.slope)
        return [*(x for of in local for x in of.values()), *(self.at_line or ())]


class WayBack:
    """What comes back through the steps of a layer.

    line: the part of the state that is the line, if there is one; output: that which leaves the
    layer. mask: (T, B), which steps count; None: all. reverse: the layer reads from the last step.
    """

    def __init__(
        self,
        graph: StepGraph,
        adjoints: mg.Adjoints,
        loop: Looped,
        line: str | None,
        output: str,
        mask: Expr | None,
        reverse: bool,
    ) -> None:
        self.graph, self._adjoints, self._loop = graph, adjoints, loop
        self.line, self.output, self._mask, self._reverse = line, output, mask, reverse

    @property
    def main(self) -> str:
        """The part of the state that is made to last: the line, or else the output."""
        return self.output if self.line is None else self.line

    @cached_property
    def stacks(self) -> dict[str, Any]:
        """What the loops that train give, as expressions: stacks (T, ...) in the order of xs."""
        adjoints, graph = self._adjoints, self.graph
        every = self._values()
        wanted = dict.fromkeys([*graph.made.values(), *self._factors])
        return {
            "values": {name: every[name] for name in graph.nodes},
            "adjoints": {name: adjoints[graph.nodes[name]] for name in wanted},
            "x": self._loop.xs,
            "leaving": adjoints[self._loop.outputs],
            "last": {part: adjoints[v] for part, v in self._loop.last._asdict().items()},
        }

    def _values(self) -> dict[str, Expr]:
        """{value: its stack}; of what nobody reads computed of the others, for no loop does it."""
        graph, value = self.graph, self._adjoints.value
        read = {name: n for name, n in graph.nodes.items() if name not in graph.unread}
        values = {name: value(n) for name, n in read.items()}
        if graph.unread:
            stacks = {graph.variables[name]: stack for name, stack in values.items()}
            stacks |= {v: value(v) for v in graph.before.values()} | {graph.x: self._loop.xs}
            stand_ins = {n: graph.variables[name] for name, n in read.items()}
            unread = mg.substitute([graph.nodes[name] for name in graph.unread], stand_ins)
            values |= zip(graph.unread, over_steps(unread, stacks), strict=True)
        return values

    @cached_property
    def terms(self) -> list[Term]:
        """What comes to the main part of the state in a step."""
        return list(self._local.terms)

    @cached_property
    def nonlinearity(self) -> Nonlinearity | None:
        """What the main part of the state comes out of."""
        return nonlinearity(self.graph, self.main)

    @cached_property
    def _factors(self) -> dict[str, Expr]:
        """{value on the line: what a step multiplies the line by up to there}"""
        return {} if self.line is None else self.graph.line_factors(self.line)

    @cached_property
    def _local(self) -> _Local:
        graph, grads, leaving = self.graph, self.stacks["adjoints"], self.stacks["leaving"]
        returned = self._returned()
        cotangents, others = _variables("∂L/∂", grads), _variables("later ", returned)
        above = mg.var("leaving", leaving.shape[1:], leaving.dtype)
        stacks = {graph.variables[name]: stack for name, stack in self.stacks["values"].items()}
        stacks |= {v: self._adjoints.value(v) for v in graph.before.values()}
        stacks |= {inner: self._adjoints.value(node) for inner, node in graph.inner.items()}
        stacks |= {graph.x: self.stacks["x"], above: leaving}
        stacks |= {cotangents[n]: g for n, g in grads.items()}
        stacks |= {others[part]: stack for part, stack in returned.items()}
        reads = Read(self.main, before=True), Read(graph.made[self.main], before=False)
        every = graph.all_terms(cotangents).items()
        terms = {term: expr for term, expr in every if term.read in reads}
        factors = zip(self._factors, graph.values_of([*self._factors.values()]), strict=True)
        line, bend = None, self.nonlinearity
        slope = {} if bend is None else {self.main: bend.slope}
        if self.line is not None:
            comes = Cotangents(cotangents, above, others)
            line = at_line(graph, self.line, self.output, comes, terms)
        return _Local(stacks, cotangents, above, terms, dict(factors), slope, line)

    def _returned(self) -> dict[str, Expr]:
        """{a part of the state that is not the line: what comes to it after each step from the
        steps that read it, (T, B, H)}; nothing without a line."""
        made: dict[str, Expr] = {}
        loop = self._loop.outputs.args[0]
        for k, (part, after) in enumerate(self._loop.after._asdict().items()):
            if self.line is not None and part != self.line:
                sent = self._adjoints.edges(after).get((loop, k))
                made[part] = mg.zeros_like(self._adjoints.value(after)) if sent is None else sent
        return made

    def told(
        self, tellers: Mapping[str, Teller], beside: Sequence[Expr] = ()
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """By teller what it carries at the end, and what it tells, (T, ...) in the order of xs;
        beside: stacks that a teller reads, too."""
        local, batch = self._local, self.stacks["leaving"].shape[1]
        begun = () if local.at_line is None else nothing_yet(local.at_line.factor)
        start = (begun, mg.zeros((batch,), bool), {n: t.start() for n, t in tellers.items()})

        def step(carry: tuple[Any, Expr, Any], now: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            after, ended, rest = carry
            now |= {"beside": dict(zip(beside, now["beside"], strict=True))}
            after, ended, row = self._row(after, ended, now)
            told = {name: teller.step(rest[name], row) for name, teller in tellers.items()}
            on = {name: carried for name, (carried, _) in told.items()}
            return (after, ended, on), {name: said for name, (_, said) in told.items()}

        stacks: dict[str, Any] = {"rows": [*local.stacks.values()], "beside": [*beside]}
        if self._mask is not None:
            stacks |= {"counts": self._mask, "earlier": self._begun(self._mask)}
        (*_, last), said = mg.scan(step, start, stacks, reverse=not self._reverse)
        return last, said

    def _row(self, after: Any, ended: Expr, now: dict[str, Any]) -> tuple[Any, Expr, Row]:
        """A step, with what it hands to the one before."""
        local, counts = self._local, now.get("counts")
        rows = dict(zip(local.stacks, now["rows"], strict=True))
        inside = iter(mg.substitute(local.expressions, rows))
        terms = {term: next(inside) for term in local.terms}
        factors = {name: next(inside) for name in local.factors}
        slope = next(inside) if local.slope else None
        adjoints = {name: rows[v] for name, v in local.adjoints.items()}
        values = {name: rows[v] for name, v in self.graph.variables.items()}
        leaving, parts, onward = rows[local.leaving], None, None
        here = mg.ones_like(ended) if counts is None else counts
        ends = here & ~ended
        if self.line is not None:
            made, output = (self.graph.made[part] for part in (self.line, self.output))
            waits = leaving if made == output else None
            after, parts = parted(after, AtLine(*inside), adjoints[made], waits, here, ends)
            onward = after.along
        row = Row(
            rows, values, adjoints, factors, terms, leaving, counts, ends, now.get("earlier"),
            parts, onward, now["beside"], slope,
        )  # fmt: skip
        return after, ended | here, row

    def _begun(self, mask: Expr) -> Expr:
        """(T, B): of which sequences a step before counts."""
        none = mg.zeros(mask.shape[1:], bool)
        begun: Expr
        _, begun = mg.scan(lambda seen, now: (seen | now, seen), none, mask, reverse=self._reverse)
        return begun

    def arrays(self) -> dict[str, Any]:
        """Stacks of the factors and the parts of the line's gradient."""
        return dict(self.told({"arrays": _Arrays()})[1]["arrays"])


class _Arrays:
    """Tells a line's factors and parts as they are."""

    def start(self) -> tuple[()]:
        return ()

    def step(self, carry: Any, row: Row) -> tuple[Any, dict[str, Any]]:
        parts = {} if row.parts is None else dict(vars(row.parts))
        return carry, {"factors": dict(row.factors), "parts": parts}


def _variables(prefix: str, stacks: Mapping[str, Expr]) -> dict[str, Expr]:
    """What stands for a step's row of each stack."""
    return {n: mg.var(f"{prefix}{n}", s.shape[1:], s.dtype) for n, s in stacks.items()}


def in_order(named: Any, steps: slice) -> Any:
    """Stacks in any nesting of dicts, with their steps in another order."""
    if isinstance(named, dict):
        return {name: in_order(stack, steps) for name, stack in named.items()}
    return named[steps]
