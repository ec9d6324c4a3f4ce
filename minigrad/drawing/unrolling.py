"""Graphs whose loops have their first steps written out, for pictures of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from minigrad.drawing.lanes import line_of
from minigrad.drawing.naming import names_in
from minigrad.graph.node import Expr
from minigrad.graph.walk import map_graph, toposort
from minigrad.loop.body import Call, Loop
from minigrad.ops.shape import concat, stack
from minigrad.ops.tuples import ITEM, item, tuple_of


@dataclass(eq=False)
class Unrolled:
    """A graph with the first steps of its outermost loops as plain nodes, the rest as a loop.

    new: what took the place of each node; names: of nodes of steps, by who wrote these; steps:
    {title: nodes} of those written out; rest: {loop over the other steps: its title}.
    """

    count: int
    new: dict[Expr, Expr] = field(default_factory=dict)
    names: dict[Expr, str] = field(default_factory=dict)
    lines: list[Expr] = field(default_factory=list)
    steps: dict[str, list[Expr]] = field(default_factory=dict)
    rest: dict[Expr, str] = field(default_factory=dict)
    _loops: int = 0

    @classmethod
    def of(cls, roots: Sequence[Expr], count: int) -> tuple[list[Expr], Unrolled]:
        """The graph, and what is known of it."""
        made = cls(count)
        order = toposort(roots)
        changed = map_graph(order, made._change)
        made.new = dict(zip(order, changed, strict=True))
        return [made.new[root] for root in roots], made

    def _change(self, node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node.op is ITEM:
            return item(new[node.args[0]], node.attrs[0])
        if node.op.inside is None:
            return None
        call = Call.of(node)
        # A loop over segments has none of the user's steps to show.
        if call.loop.segments or not call.loop.length:
            return None
        self._loops += 1
        return tuple_of(self._written_out(node, call.loop, [new[a] for a in node.args]))

    def _written_out(self, node: Expr, loop: Loop, operands: Sequence[Expr]) -> list[Expr]:
        body, count = loop.body, min(self.count, loop.length)
        carries, xs, constants = body.split(operands)
        places = list(range(loop.length))[:: -1 if loop.reverse else 1]
        seen, names = set(toposort(operands)), names_in(body)
        rows: dict[int, list[Expr]] = {}
        for t in places[:count]:
            of_step = [*carries, *(x[t] for x in xs), *constants]
            new = dict(zip(body.inputs, of_step, strict=True))
            made = map_graph(body.nodes, lambda node, new: None, new)
            new |= zip(body.nodes, made, strict=True)
            self.names |= {new[n]: name for n, name in names.items() if new[n].name is None}
            self.lines += [new[n] for n in line_of(body)]
            results = [new[y] for y in body.outputs]
            carries, rows[t] = results[: body.n_carry], results[body.n_carry :]
            nodes = [n for n in toposort([*of_step, *results]) if n not in seen and n.args]
            seen.update(nodes)
            self.steps[f"step {t + 1}" + self._which()] = nodes
        ys = [[stack([rows[t][k] for t in sorted(rows)])] for k in range(len(body.ys))]
        if count < loop.length:
            left = range(loop.length - count) if loop.reverse else range(count, loop.length)
            parts = [x[left.start : left.stop] for x in xs]
            after = replace(loop, length=len(left)).of(node.op, [*carries, *parts, *constants])
            title = f"× {len(left):,}: steps {left.start + 1:,} … {left.stop:,}"
            self.rest[after[0].args[0]] = title + self._which()
            carries = after[: body.n_carry]
            for part, rest in zip(ys, after[body.n_carry :], strict=True):
                part.insert(0 if loop.reverse else 1, rest)
        return [*carries, *(concat(part) if len(part) > 1 else part[0] for part in ys)]

    def _which(self) -> str:
        return f" of loop {self._loops}" * (self._loops > 1)
