"""What is said of each node and arrow of a picture, in its labels, its tooltips and its caption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

import numpy as np

from minigrad.drawing.amount import Amount
from minigrad.drawing.escape import plain
from minigrad.drawing.folding import Fold, Folded, along
from minigrad.drawing.frames import Frames
from minigrad.drawing.naming import Naming
from minigrad.drawing.options import Options
from minigrad.drawing.outline import Line, Vertex, first_of
from minigrad.drawing.parts import Parts, display_name
from minigrad.drawing.picture import Edge, Node, Picture, Role, Row, adjoint_text
from minigrad.drawing.theme import fmt
from minigrad.graph.leaves import CONST, PARAM, VAR
from minigrad.graph.node import Expr
from minigrad.graph.walk import toposort
from minigrad.ops.tuples import ITEM
from minigrad.text import formula, to_str

_WIDEST_TITLE = 80  # characters of an expression without a name
_MOST_COPIED = 12  # leaves that the caption lists


class Builder:
    """Puts what is drawn into words: the records of a picture."""

    def __init__(
        self,
        roots: Sequence[Expr],
        folded: Folded,
        frames: Frames,
        parts: Parts,
        options: Options,
        grad: bool,
        titles: Mapping[Expr, str],
    ) -> None:
        drawn, numbers = folded.drawn, folded.numbers
        self.folded = folded
        self.roots, self.drawn, self.frames, self.parts = roots, drawn, frames, parts
        self.root_set = {Vertex((), root) for root in roots}
        self.numbers, self.options, self.grad = numbers, options, grad
        self.ids = {v: f"n{k}" for k, v in enumerate(drawn.vertices)}
        self.ids |= {v: self.ids[f.vertex] for v, f in folded.hidden.items()}
        uses = dict(drawn.written)
        uses |= {(line.target, line.position): line for line in drawn.lines}
        self.box = {v: frames.groups.innermost.get(v) for v in drawn.vertices}
        self.naming = Naming(drawn, frames.names, parts, titles, uses)
        self.terms_of: dict[Vertex, list[Amount]] = {}
        for use in [*drawn.lines, *drawn.written.values()]:
            if use.source.copy:
                self.box[use.source] = self.box[use.target]
            if use.term in numbers.terms:
                source = use.source._replace(copy=0)
                self.terms_of.setdefault(source, []).append(numbers.terms[use.term])

    def picture(self, is_hurried: bool) -> Picture:
        return Picture(
            title=self.options.title or self._title(),
            nodes=[self._node(v) for v in self.drawn.vertices],
            edges=[self._edge(k, line) for k, line in enumerate(self.drawn.lines)],
            boxes=self.frames.boxes,
            around=self.frames.groups.around,
            lanes={lane: k for k, lane in enumerate(dict.fromkeys(self.frames.lane.values()))},
            scale=self.options.scale or self.numbers.scale(),
            has_values=bool(self.numbers.values),
            has_gradients=self.grad,
            direction=self.options.direction,
            shows_shapes=self.options.shapes,
            notes=tuple(self._sentences(is_hurried)),
            is_hurried=is_hurried,
            is_slide=self.options.is_slide,
        )

    def _title(self) -> str:
        # What a loop gives has a name; the loop itself would be told as a record of its steps.
        items = [n for n in toposort(self.roots) if n.op is ITEM and n.args[0].op.inside]
        of_loops = {n: self.naming.op_title(Vertex((), n)) for n in items}
        names = [
            display_name(r, self.options.names)
            or plain(formula(r, limit=12, names=of_loops)[0], _WIDEST_TITLE)
            for r in self.roots
        ]
        what = "Gradients of " if self.grad else "Graph of "
        return what + ", ".join(names)

    def _sentences(self, is_hurried: bool) -> Iterable[str]:
        """What the caption says besides."""
        if is_hurried:
            yield "Laid out in a hurry: arrows are straight, and may pass behind nodes"
        copied = first_of([v for v in self.drawn.vertices if v.copy])
        words = [self._words_of_copied(v) for v in copied[:_MOST_COPIED]]
        if words:
            more = f" and {len(copied) - len(words)} more" * (len(copied) > len(words))
            yield f"Drawn beside each use: {', '.join(words)}{more}"
        words = [self._words_of_copied(v) for v in self.folded.leaves[:_MOST_COPIED]]
        if words:
            yield f"Read by the steps: {', '.join(words)}"

    def _words_of_copied(self, vertex: Vertex) -> str:
        adjoint = self.numbers.adjoints.get(vertex._replace(copy=0))
        name = plain(self.naming.name(vertex) or display_name(vertex.node) or "const", 24)
        return name + (f" (∂ {adjoint_text(adjoint)})" if adjoint is not None else "")

    def _edge(self, k: int, line: Line) -> Edge:
        lane = self.frames.lane.get(line.source)
        return Edge(
            f"e{k}",
            self.ids[line.source],
            self.ids[line.target],
            line.position,
            self.numbers.terms.get(line.term),
            is_from_lane=lane is not None,
            is_in_lane=lane is not None and lane == self.frames.lane.get(line.target),
            is_back=line.is_back,
            is_on_line={line.source, line.target} <= self.frames.lines,
            is_between_boxes=self._is_between_boxes(line),
            row=self._row_of(line.source),
            bends=tuple(self.frames.bends.get((line.source, line.target), ())),
            uses=((line.term.user, line.term.position), *((op, 0) for op in line.term.between)),
        )

    def _is_between_boxes(self, line: Line) -> bool:
        around = self.frames.groups.around
        ends = [self.box.get(line.source), self.box.get(line.target)]
        outer = {box and around.get(box) for box in ends}
        return None not in ends and ends[0] != ends[1] and len(outer) == 1

    def _row_of(self, vertex: Vertex) -> int | None:
        fold = self.folded.hidden.get(vertex)
        rows = fold.rows if fold is not None else ()
        return next((k for k, row in enumerate(rows) if vertex in {*row}), None)

    def _steps_node(self, fold: Fold) -> Node:
        """The node that stands for steps."""
        known = self.numbers.values, self.numbers.adjoints
        rows = []
        for row in fold.rows:
            names = [self.naming.name(v) or self.naming.op_title(v) for v in (row[0], row[-1])]
            of_row = [[m[v] for v in row if v in m] for m in known]
            value, adjoint = [
                None if not a else a[0] if len(row) == 1 else along(a) for a in of_row
            ]
            rows.append(Row(" … ".join(dict.fromkeys(names)), value, adjoint))
        return Node(
            id=self.ids[fold.vertex],
            role="steps",
            title=fold.title,
            name="",
            value=None,
            adjoint=None,
            notes=tuple(self._notes_on_steps(fold, rows)),
            inlined=(),
            is_root=any(v in self.root_set for row in fold.rows for v in row),
            group=None,
            lane=None,
            place=None,
            rows=tuple(rows),
        )

    def _notes_on_steps(self, fold: Fold, rows: Iterable[Row]) -> Iterable[str]:
        if fold.why:
            yield f"drawn by itself: {fold.why}"
        if fold.first < fold.last:
            yield "each is the same graph"
        for row in rows:
            if row.value is not None:
                yield f"{row.name}, value: {row.value.long()}"
            if row.adjoint is not None:
                yield f"{row.name}, adjoint: {row.adjoint.long()}"

    def _node(self, vertex: Vertex) -> Node:
        if (fold := self.folded.hidden.get(vertex)) is not None:
            return self._steps_node(fold)
        node, first = vertex.node, vertex._replace(copy=0)
        role = self._role(vertex)
        name, title = self.naming.name(first), ""
        level = self.naming.level(vertex)
        k = None if level is None else level.carry(node)
        if level is not None and k is not None:
            name, title = name or self.naming.carry(level, k), self.naming.start(vertex)
        elif level is not None:
            name, title = "", name or self.naming.slice(level, vertex)
        elif node.args:
            title = self.naming.op_title(vertex)
        else:
            name, title = "", name or display_name(node) or "const"
        return Node(
            id=self.ids[vertex],
            role=role,
            title=title,
            name=name,
            value=self.numbers.values.get(first),
            adjoint=self.numbers.adjoints.get(first),
            notes=tuple(self._notes(first)),
            inlined=tuple(self._inlined(vertex)),
            is_root=vertex in self.root_set,
            group=self.box[vertex],
            lane=self.frames.lane.get(vertex),
            place=self.frames.places.get(vertex),
            is_copy=vertex.copy > 0,
            strips=tuple(self._strips(vertex)),
            shows=node,
        )

    def _strips(self, vertex: Vertex) -> Iterable[tuple[str, Amount]]:
        """What is shown step by step: of a carry, or of the carries of a loop that is one shape."""
        shown = [("", vertex)] if self._role(vertex) == "carry" else []
        if (level := self.drawn.folded.get(vertex)) is not None:
            carries = enumerate(level.body.carries)
            shown = [(self.naming.carry(level, k), Vertex(level.loops, c)) for k, c in carries]
        for name, carry in shown:
            adjoint = self.numbers.adjoints.get(carry)
            if adjoint is not None and adjoint.steps is not None:
                yield name, adjoint

    def _role(self, vertex: Vertex) -> Role:
        level, node = self.naming.level(vertex), vertex.node
        if level is not None:
            return "slice" if level.carry(node) is None else "carry"
        if node.op is VAR:
            return "input"
        return "param" if node.op is PARAM else "const" if node.op is CONST else "op"

    def _inlined(self, vertex: Vertex) -> Iterable[tuple[str, Amount]]:
        for i in range(len(self.drawn.op_of(vertex).args)):
            use = self.drawn.written.get((vertex, i))
            term = None if use is None else self.numbers.terms.get(use.term)
            if use is not None and use.source.node.op is PARAM and term is not None:
                yield display_name(use.source.node, self.options.names), term

    # --- tooltips --------------------------------------------------------------------------------

    def _notes(self, vertex: Vertex) -> Iterable[str]:
        """The lines of the tooltip."""
        node = vertex.node
        if self.naming.level(vertex) is not None:
            yield f"{self._role(vertex)} of a step: {node.type!r}"
        else:
            yield f"{self.drawn.op_of(vertex).op.name}: {node.type!r}"
        if node.args:
            yield to_str(node, 8)
        if node.origin:
            # The folder is nobody's business once the picture is published.
            yield f"made at {PurePath(node.origin).name}"
        value = self.numbers.values.get(vertex)
        if value is not None:
            yield f"value: {value.long()}"
        adjoint = self.numbers.adjoints.get(vertex)
        if adjoint is None:
            return
        if adjoint.kind == "disconnected":
            yield "adjoint: none, no differentiable path leads here"
            return
        yield f"adjoint: {adjoint.long()}" + (" (underflow)" * (adjoint.kind == "underflow"))
        yield from _notes_on_terms(adjoint, self.terms_of.get(vertex, ()))


def _notes_on_terms(adjoint: Amount, uses: Sequence[Amount]) -> Iterable[str]:
    terms = [t for t in uses if t.kind != "disconnected"]
    if len(terms) < 2:
        return
    if adjoint.steps is not None or any(t.steps is not None for t in terms):
        over = " at every step" if adjoint.steps is not None else " over all steps"
        yield f"the sum of {len(terms)} terms{over}"
        return
    norms = ", ".join(fmt(t.norm) for t in terms[:8])
    yield f"the sum of {len(terms)} terms, norms {norms}"
    if (left := _left_over(adjoint, terms)) is not None:
        yield f"|sum of terms| / sum of |terms|: {fmt(left)}"


def _left_over(adjoint: Amount, terms: Sequence[Amount]) -> float | None:
    """1 where all terms pull one way, near 0 where they cancel."""
    total = sum(t.norm for t in terms)
    return adjoint.norm / total if 0.0 < total < np.inf else None
