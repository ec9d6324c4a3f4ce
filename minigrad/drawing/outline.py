"""What is drawn of a graph: its shapes, the lines between them, and the loops that they lie in.

Structure alone. Nothing here knows of numbers, words, boxes or layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import is_
from typing import NamedTuple

from minigrad.drawing.parts import Parts
from minigrad.graph.node import Expr
from minigrad.graph.places import steps_of
from minigrad.graph.walk import toposort
from minigrad.loop.body import Body, Call
from minigrad.ops.linalg import as_matmul
from minigrad.ops.tuples import ITEM

MANY = 4
"""Uses: a leaf that has more is drawn where it is used. Lines across all steps of an unrolled loop
made Graphviz take 36 s for an LSTM of 15 steps, which it draws so in one."""


class Vertex(NamedTuple):
    """One shape: a node, and the loops that it lies in, from the outermost.

    copy: 0, or which of the shapes this is of a leaf that is drawn where it is used.
    """

    loops: tuple[Expr, ...]
    node: Expr
    copy: int = 0

    def is_within(self, loops: Sequence[Expr]) -> bool:
        """Whether it lies in these loops, and maybe in more; == of nodes would make a node."""
        return len(self.loops) >= len(loops) and all(map(is_, self.loops, loops))

    def is_in(self, loops: Sequence[Expr]) -> bool:
        """Whether it lies in these loops, and in no more."""
        return len(self.loops) == len(loops) and self.is_within(loops)


class Term(NamedTuple):
    """One term of the chain rule: what a use of a value adds to the value's adjoint.

    user, position: a node in these loops, and which of its arguments; of a term that goes back from
        step to step, the loop and which of its carries.
    between: ops without arithmetic, from the user outwards, through which it is carried back.
    """

    loops: tuple[Expr, ...]
    user: Expr
    position: int
    between: tuple[Expr, ...] = ()
    is_back: bool = False


class Line(NamedTuple):
    """One use of a value, by a node, by a loop, or by the next step."""

    source: Vertex
    target: Vertex
    position: int
    term: Term

    @property
    def is_back(self) -> bool:
        """Whether it goes from one step to the next."""
        return self.term.is_back


@dataclass(frozen=True, eq=False, slots=True)
class Level:
    """A loop that is drawn with its body inside; one that was cut into segments is one.

    node, outer: the loop's node, and the loops that it lies in; loops: those of what lies in it.
    outside: what the variables of the step stand for; positions: which arguments of the node;
    constants: those that are the same in every step.
    """

    node: Expr
    outer: tuple[Expr, ...]
    loops: tuple[Expr, ...]
    body: Body
    reverse: bool
    outside: Mapping[Expr, Expr]
    positions: Mapping[Expr, int]
    constants: frozenset[Expr]

    @property
    def steps(self) -> int:
        """The number of steps."""
        return steps_of(self.loops[len(self.outer) :])[0]

    @property
    def is_cut(self) -> bool:
        """Whether it is computed again by segments."""
        return len(self.loops) > len(self.outer) + 1

    def carry(self, variable: Expr) -> int | None:
        """Which of the carries a variable of the step is; None for others."""
        return next((k for k, c in enumerate(self.body.carries) if c is variable), None)

    @staticmethod
    def of(node: Expr, outer: tuple[Expr, ...]) -> Level | None:
        """A loop looked into; None where it has no steps, or segments of another kind."""
        call = Call.of(node)
        if not call.loop.length:
            return None
        outside = dict(zip(call.body.inputs, node.args, strict=True))
        positions = {v: k for k, v in enumerate(call.body.inputs)}
        loops = (*outer, node)
        if call.loop.segments:
            inner = next((n for n in call.body.nodes if n.op is node.op), None)
            if inner is None or any(o.op is not ITEM for o in call.body.outputs):
                return None
            within = Call.of(inner)
            pairs = list(zip(within.body.inputs, inner.args, strict=True))
            outside = {v: outside.get(a, a) for v, a in pairs}
            positions = {v: positions[a] for v, a in pairs if a in positions}
            loops, call = (*loops, inner), within
        body, constants = call.body, frozenset(call.body.constants)
        return Level(node, outer, loops, body, call.loop.reverse, outside, positions, constants)


@dataclass(frozen=True, eq=False, slots=True)
class Outline:
    """All that is drawn, sources before what uses them but for lines back.

    written: {(shape, position): the use of a leaf that is written into its user}.
    folded: the loops that are one shape.
    products: {a shape: the product of matrices that it has in the shape that `a @ b` gives}.
    """

    vertices: list[Vertex]
    lines: list[Line]
    written: Mapping[tuple[Vertex, int], Line]
    levels: Mapping[tuple[Expr, ...], Level]
    folded: Mapping[Vertex, Level]
    products: Mapping[Vertex, Expr]

    def op_of(self, vertex: Vertex) -> Expr:
        """The node whose op, and whose arguments, a shape shows."""
        return self.products.get(vertex, vertex.node)

    def is_leaf(self, vertex: Vertex) -> bool:
        """Whether nothing leads to a shape, as something does to the variables of a step."""
        level = self.levels.get(vertex.loops)
        return not vertex.node.args and (level is None or vertex.node not in level.outside)

    @property
    def span(self) -> int:
        """How many ranks all lines together pass: what the time of a layout grows with."""
        rank = dict.fromkeys(self.vertices, 0)
        into: dict[Vertex, list[Vertex]] = {}
        for line in self.lines:
            if not line.is_back:
                into.setdefault(line.target, []).append(line.source)
        for vertex in self.vertices:
            rank[vertex] = max([rank[v] + 1 for v in into.get(vertex, ())], default=0)
        return sum(rank[v] - rank[source] for v in into for source in into[v])


def outline(
    roots: Sequence[Expr],
    order: Sequence[Expr],
    parts: Parts,
    looks_into: Callable[[Expr], bool],
) -> Outline:
    """The outline of a graph, its nodes in order; looks_into: which loops are drawn with bodies."""
    return _Tracing(roots, order, parts, looks_into).outline(order)


class _Tracing:
    """The way back from the roots, to all that they are made of."""

    def __init__(
        self,
        roots: Sequence[Expr],
        order: Sequence[Expr],
        parts: Parts,
        looks_into: Callable[[Expr], bool],
    ) -> None:
        self.parts, self.looks_into = parts, looks_into
        self.products: dict[Vertex, Expr] = {}
        self._readers: dict[tuple[Expr, ...], Counter[Expr]] = {(): _readers(order, roots)}
        self.levels: dict[tuple[Expr, ...], Level] = {}
        self._at: dict[tuple[tuple[Expr, ...], Expr], Level | None] = {}
        self.uses: dict[Vertex, list[Line]] = {}
        waiting = [Vertex((), root) for root in roots]
        for vertex in waiting:
            if vertex not in self.uses:
                self.uses[vertex] = list(self._into(vertex))
                waiting += [u.source for u in self.uses[vertex] if not self._is_written(u)]

    def outline(self, order: Sequence[Expr]) -> Outline:
        vertices = list(self._ordered(order))
        uses = [use for vertex in vertices for use in self.uses[vertex]]
        lines = [use for use in uses if use.source in self.uses]
        written = {(u.target, u.position): u for u in uses if self._is_written(u)}
        folded = {
            vertex: level
            for vertex in vertices
            if vertex.node.op.inside is not None
            and (level := Level.of(vertex.node, vertex.loops)) is not None
        }
        return Outline(vertices, lines, written, self.levels, folded, self.products)

    def _is_written(self, use: Line) -> bool:
        return self.parts.written(use.source.node) is not None

    def _ordered(self, order: Sequence[Expr]) -> Iterator[Vertex]:
        """What is drawn, the inside of a loop in the place of its node."""
        stack: list[tuple[tuple[Expr, ...], Iterator[Expr]]] = [((), iter(order))]
        while stack:
            loops, nodes = stack[-1]
            node = next(nodes, None)
            if node is None:
                stack.pop()
            elif (level := self._at.get((loops, node))) is not None:
                stack.append((level.loops, iter(level.body.nodes)))
            elif Vertex(loops, node) in self.uses:
                yield Vertex(loops, node)

    def _level(self, loops: tuple[Expr, ...], node: Expr) -> Level | None:
        """A node that runs steps, looked into; None for others."""
        if node.op.inside is None or not self.looks_into(node):
            return None
        if (loops, node) not in self._at:
            level = self._at[loops, node] = Level.of(node, loops)
            if level is not None:
                self.levels[level.loops] = level
                self._readers[level.loops] = _readers(level.body.nodes, level.body.outputs)
        return self._at[loops, node]

    def _into(self, vertex: Vertex) -> Iterator[Line]:
        """The uses that a shape makes of others."""
        loops, node, _ = vertex
        around = self.levels.get(loops)
        if around is not None and node in around.outside:
            yield from self._into_variable(vertex, around)
        elif node.op is ITEM and (level := self._level(loops, node.args[0])) is not None:
            source, _ = self._source(level.loops, level.body.outputs[node.attrs[0]])
            yield Line(source, vertex, 0, Term(loops, node, 0))
        else:
            product, operands = self._as_matmul(vertex) or (node, node.args)
            for k, (argument, operand) in enumerate(zip(product.args, operands, strict=True)):
                moved = tuple(_down_to(argument, operand))
                source, between = self._source(loops, operand, product)
                yield Line(source, vertex, k, Term(loops, product, k, (*moved, *between)))

    def _as_matmul(self, vertex: Vertex) -> tuple[Expr, tuple[Expr, Expr]] | None:
        """The product that a shape is, and its operands, where nothing else reads the matrices."""
        whole = as_matmul(vertex.node, self.parts.is_shown)
        if whole is None:
            return None
        _, *between = _down_to(vertex.node, whole[0])
        if any(self._readers[vertex.loops][n] > 1 for n in (*between, whole[0])):
            return None
        self.products[vertex] = whole[0]
        return whole

    def _into_variable(self, vertex: Vertex, level: Level) -> Iterator[Line]:
        """What a variable of a step stands for: at first, and then from step to step."""
        if (position := level.positions.get(vertex.node)) is not None:
            argument = level.node.args[position]
            source, between = self._source(level.outer, argument, level.node)
            yield Line(source, vertex, 0, Term(level.outer, level.node, position, between))
        if (k := level.carry(vertex.node)) is not None:
            source, _ = self._source(level.loops, level.body.next_carries[k])
            yield Line(source, vertex, 1, Term(level.loops, level.node, k, is_back=True))

    def _source(
        self, loops: tuple[Expr, ...], node: Expr, user: Expr | None = None
    ) -> tuple[Vertex, tuple[Expr, ...]]:
        """Where a line starts, and the ops without arithmetic on its way."""
        between: list[Expr] = []
        while True:
            level = self.levels.get(loops)
            if user is not None and self.parts.is_plumbing(node, user):
                between.append(node)
                node = node.args[0]
            elif level is not None and node in level.constants:
                node, loops = level.outside[node], level.outer
            else:
                return Vertex(loops, node), tuple(between)


def _readers(nodes: Iterable[Expr], outputs: Iterable[Expr]) -> Counter[Expr]:
    """How often each node is an argument, or an output."""
    return Counter([*chain.from_iterable(n.args for n in nodes), *outputs])


def _down_to(node: Expr, below: Expr) -> Iterator[Expr]:
    """The nodes from one down to another that is its first argument's first argument and so on."""
    while node is not below:
        yield node
        node = node.args[0]


def with_copies(
    whole: Outline, box_of: Callable[[Vertex], Hashable | None], fixed: Collection[Vertex]
) -> Outline:
    """The same with leaves of many uses drawn where they are used: once a box, or once a user.
    Those that are used in three boxes are such, too.

    fixed: what is drawn once, wherever it is used.
    """
    uses: dict[Vertex, dict[Hashable, list[int]]] = {}
    for k, line in enumerate(whole.lines):
        if whole.is_leaf(line.source) and line.source not in fixed:
            uses.setdefault(line.source, {}).setdefault(box_of(line.target), []).append(k)
    lines = list(whole.lines)
    before: dict[Vertex, list[Vertex]] = {}
    copied: set[Vertex] = set()
    for leaf, by_box in uses.items():
        if sum(map(len, by_box.values())) <= MANY and len(by_box) < 3:
            continue
        copied.add(leaf)
        copies: dict[Hashable, Vertex] = {}
        for box, indices in by_box.items():
            together = box is not None and len(indices) <= MANY
            for k in indices:
                key = box if together else lines[k].target
                if key not in copies:
                    copies[key] = leaf._replace(copy=len(copies) + 1)
                    before.setdefault(lines[k].target, []).append(copies[key])
                lines[k] = lines[k]._replace(source=copies[key])
    vertices = [v for old in whole.vertices for v in (*before.get(old, ()), old)]
    return replace(whole, vertices=[v for v in vertices if v not in copied], lines=lines)


def first_of(vertices: Iterable[Vertex]) -> list[Vertex]:
    """One shape of each node: of copies, the first."""
    first: dict[Vertex, Vertex] = {}
    for vertex in vertices:
        first.setdefault(vertex._replace(copy=0), vertex)
    return list(first.values())


def all_nodes(roots: Sequence[Expr]) -> set[Expr]:
    """The nodes of a graph, and of all steps that its loops run."""
    nodes: set[Expr] = set()
    waiting = [toposort(roots)]
    for order in waiting:
        loops = [n for n in order if n.op.inside is not None and n not in nodes]
        waiting.extend(Call.of(loop).body.nodes for loop in loops)
        nodes.update(order)
    return nodes
