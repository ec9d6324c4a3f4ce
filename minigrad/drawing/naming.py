"""What the nodes of a picture are called: by the caller, by whoever wrote the graph, by the op."""

from __future__ import annotations

import re
from collections.abc import Mapping

from minigrad.drawing.outline import Level, Line, Outline, Vertex
from minigrad.drawing.parts import Parts, display_name
from minigrad.graph.local_variables import local_names
from minigrad.graph.node import Expr
from minigrad.loop.body import Body, Call
from minigrad.ops.index import GETITEM
from minigrad.ops.tuples import ITEM
from minigrad.text import op_text
from minigrad.types import TupleType


def names_in(body: Body) -> dict[Expr, str]:
    """What the writer of a step calls its nodes: what `named` says, and else the local variables of
    the step function, those of a name for elements that only move being for what is drawn."""
    names: dict[Expr, str] = {}
    parts = Parts((), (), {})
    for node, name in local_names(body.nodes).items():
        drawn = node
        while parts.is_plumbing(drawn, drawn):
            drawn = drawn.args[0]
        names[drawn] = name
    return names | {n: n.label for n in body.nodes if n.label is not None}


class Naming:
    """Names and titles of what is drawn.

    chosen: names by the caller of `draw`; titles: of loops over the steps that are not written out.
    """

    def __init__(
        self,
        drawn: Outline,
        chosen: Mapping[Vertex, str],
        parts: Parts,
        titles: Mapping[Expr, str],
        uses: Mapping[tuple[Vertex, int], Line],
    ) -> None:
        self._drawn, self._chosen, self._parts = drawn, chosen, parts
        self._titles, self._uses = titles, uses
        self._inside: dict[Body, Mapping[Expr, str]] = {}

    def level(self, vertex: Vertex) -> Level | None:
        """The loop of which a shape is a variable."""
        level = self._drawn.levels.get(vertex.loops)
        return level if level is not None and vertex.node in level.outside else None

    def name(self, vertex: Vertex) -> str:
        """What the caller calls a shape, or whoever made its node; "" where nobody does."""
        chosen = self._chosen.get(vertex._replace(copy=0))
        if chosen is not None:
            return chosen
        level = self._drawn.levels.get(vertex.loops)
        if level is None:
            return display_name(vertex.node)
        return "" if vertex.node in level.outside else self._within(level.body, vertex.node)

    def _within(self, body: Body, node: Expr) -> str:
        """What the writer of a step calls one of its nodes."""
        if body not in self._inside:
            self._inside[body] = names_in(body)
        return self._inside[body].get(node, "")

    # --- what a step gets ------------------------------------------------------------------------

    def carry(self, level: Level, k: int) -> str:
        """What a step gets from the one before, called after its key or after what that gives."""
        after = Vertex(level.loops, level.body.next_carries[k])
        name = self._chosen.get(after) or self._carried(level.body, k)
        if name:
            return f"{name} before"
        return "carry" if level.body.n_carry == 1 else f"carry {k + 1}"

    def _carried(self, body: Body, k: int) -> str:
        key = dict(enumerate(body.called.inputs)).get(k)
        return key or self._within(body, body.next_carries[k])

    def start(self, vertex: Vertex) -> str:
        """What a carry starts with, if that is written into it."""
        use = self._drawn.written.get((vertex, 0))
        text = None if use is None else self._parts.written(use.source.node)
        return "" if text is None else f"from {text}"

    def slice(self, level: Level, vertex: Vertex) -> str:
        """What a step gets of the inputs is called after its key, or after these."""
        called = dict(zip(level.body.inputs, level.body.called.inputs, strict=False))
        use = self._uses.get((vertex, 0))
        source = ""
        if use is not None:
            source = self._parts.written(use.source.node) or self.name(use.source)
        return f"{called.get(vertex.node) or source or 'x'}[t]"

    # --- what a node does ------------------------------------------------------------------------

    def op_title(self, vertex: Vertex) -> str:
        """The op's symbol; with `·` for what is drawn where another operand is written inside."""
        node = self._drawn.op_of(vertex)
        if isinstance(node.type, TupleType):
            return self._titles.get(node) or _title_of_several(node)
        if node.op is ITEM:
            return self._item_title(vertex)
        uses = [self._uses.get((vertex, i)) for i in range(len(node.args))]
        texts = [None if u is None else self._parts.written(u.source.node) for u in uses]
        if any(t is not None for t in texts) or node.op is GETITEM:
            text = op_text(node, [t or "·" for t in texts]).replace(" * ", " × ")
            return re.sub(r"(, :)+\]$", "]", text) if node.op is GETITEM else text
        return node.op.symbol.replace("-", "−") or node.op.name

    def _item_title(self, vertex: Vertex) -> str:
        """Which result of a node with several it is, counted from 1 where it has no name."""
        (k,) = vertex.node.attrs
        body = _step_of(vertex.node.args[0])
        if body is None:
            return f"result {k + 1}"
        if k < body.n_carry:
            return f"last {self._carried(body, k) or f'carry {k + 1}'}"
        name = self._within(body, body.outputs[k])
        return f"{name} of every step" if name else f"output {k + 1 - body.n_carry}"


def steps_in_words(count: int) -> str:
    """A number of steps.

    >>> steps_in_words(1), steps_in_words(1000)
    ('1 step', '1,000 steps')
    """
    return f"{count:,} step{'s' * (count != 1)}"


def title_of_loop(node: Expr, steps: int) -> str:
    """What a loop is called, and how many steps it has."""
    body = _step_of(node)
    name = "" if body is None else body.called.loop
    return f"{name or node.op.name}, {steps_in_words(steps)}"


def _title_of_several(node: Expr) -> str:
    """The title of a node with several results, such as a loop."""
    if node.op.inside is None:
        return node.op.name
    return title_of_loop(node, Call.of(node).loop.length)


def _step_of(node: Expr) -> Body | None:
    """The step of a loop, as it was written; None for what is none."""
    if node.op.inside is None:
        return None
    level = Level.of(node, ())
    return Call.of(node).body if level is None else level.body
