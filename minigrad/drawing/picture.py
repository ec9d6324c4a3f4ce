"""What a picture of a graph shows, as plain records: nodes, edges, their words and their numbers.

Every view (DOT today; text or HTML tomorrow) is made from a `Picture` alone. Nothing here knows of
files, formats or layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

from minigrad.derivatives.api import adjoints
from minigrad.drawing.amount import Amount
from minigrad.drawing.escape import plain
from minigrad.drawing.groups import apart, nested
from minigrad.drawing.measure import EdgeKey, Measured, measure, source_of
from minigrad.drawing.options import Options, check_bindings, check_nodes, check_options
from minigrad.drawing.parts import Parts, display_name, reachable
from minigrad.drawing.theme import Kind, Scale, fmt
from minigrad.errors import DTypeError, GraphError
from minigrad.graph.leaves import CONST, PARAM, VAR
from minigrad.graph.node import Expr
from minigrad.graph.walk import free_variables, toposort
from minigrad.loop.body import Loop
from minigrad.ops.index import GETITEM
from minigrad.ops.tuples import ITEM
from minigrad.text import op_text, to_str
from minigrad.types import TupleType

Role = Literal["input", "param", "const", "op"]
_WIDEST_TITLE = 80  # characters of an expression without a name


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the picture; `title` is the op or the name, `name` what the user calls it."""

    id: str
    role: Role
    title: str
    name: str
    value: Amount | None
    adjoint: Amount | None
    notes: tuple[str, ...]
    inlined: tuple[tuple[str, Amount], ...]
    """Terms that this node's use contributes to the params that are written into it, by name."""
    is_root: bool
    group: str | None
    """The innermost of the boxes around it."""
    lane: str | None
    """Nodes of one lane are laid out on one straight line."""
    place: tuple[float, float] | None
    """Its centre in points, y downwards, where the caller chose one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One use of a value: `term` is what this use contributes to the adjoint of the source."""

    id: str
    source: str
    target: str
    position: int
    term: Amount | None
    is_from_lane: bool = False
    """Whether its source lies on a lane."""
    is_in_lane: bool = False
    """Whether both its ends lie on the same one."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is drawn, in an order in which sources come before targets."""

    title: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    groups: Sequence[str]
    """Titles of boxes, each after the boxes around it."""
    around: Mapping[str, str]
    """The box in which another one lies directly."""
    lanes: Mapping[str, int]
    """The keys of the lanes that are drawn, numbered."""
    scale: Scale
    has_values: bool
    has_gradients: bool
    direction: str = "LR"
    shows_shapes: bool = True

    @property
    def is_placed(self) -> bool:
        """Whether every node has a place, so that nothing is left to lay out."""
        return all(n.place is not None for n in self.nodes)

    def gradients(self) -> Iterator[Amount]:
        """Every gradient that is shown: of nodes, of edges, and of what is written into nodes."""
        shown = [n.adjoint for n in self.nodes] + [e.term for e in self.edges]
        yield from (amount for amount in shown if amount is not None)
        yield from (term for node in self.nodes for _, term in node.inlined)

    def summary(self) -> str:
        """A few lines of text that say what the picture says."""
        lines = [f"{self.title}: {len(self.nodes)} nodes, {len(self.edges)} edges"]
        shown = [n for n in self.nodes if n.role in ("input", "param") or n.is_root or n.name]
        for node in shown[:12]:
            words = [f"  {node.name or node.title}"]
            if node.value is not None:
                words.append(f"value {node.value.short()}")
            if node.adjoint is not None:
                words.append(f"adjoint {adjoint_text(node.adjoint)}")
            if len(words) > 1:
                lines.append(", ".join(words))
        return "\n".join(map(plain, lines))


def adjoint_text(amount: Amount) -> str:
    """A gradient in a few characters; the kinds of nothing differ in words too.

    >>> adjoint_text(Amount.of(np.array(0.0))), adjoint_text(Amount.of(np.array([0.5, -1.0])))
    ('0', '[0.5, -1]')
    """
    words: dict[Kind, str] = {"disconnected": "not connected", "underflow": "underflow (≈0)"}
    return words.get(amount.kind) or amount.short()


def make_picture(y: Any, at: Mapping[Any, Any] | None, grad: bool, options: Options) -> Picture:
    """Measure a graph and put it into words. Raises GraphError, or what the evaluation raises."""
    roots = list(y) if isinstance(y, (list, tuple)) else [y]
    _check(roots, at, grad)
    options = check_options(options)
    order = toposort(roots)
    _check_size(len(order), options.limit)
    check_nodes(options, frozenset(order))
    if at is not None:
        check_bindings(at, roots)
    parts = Parts(roots, options.inline, options.names)
    drawn = reachable(order, roots, parts)
    edges = {(n, i): parts.between(n, i) for n in drawn for i in range(len(n.args))}
    wants_values = at is not None or grad
    numbers = (
        measure(roots, at or {}, adjoints(roots[0]) if grad else None, edges)
        if wants_values
        else Measured({}, {}, {})
    )
    return _Builder(roots, drawn, edges, parts, numbers, options, grad).picture()


def _check(roots: Sequence[Expr], at: Mapping[Any, Any] | None, grad: bool) -> None:
    if not roots or not all(isinstance(r, Expr) for r in roots):
        wrong = next((r for r in roots if not isinstance(r, Expr)), roots)
        raise DTypeError(f"draw needs an expression or a list of them, not {wrong!r:.60}")
    if grad and len(roots) > 1:
        raise GraphError(
            "draw(grad=True) shows the gradient of one expression; draw them one by one"
        )
    if grad and at is None and (free := free_variables(roots)):
        names = ", ".join(str(v.name) for v in free[:5])
        raise GraphError(
            f"draw(grad=True) shows measured gradients, so it needs values for {names}: "
            "pass at={x: value, ...}"
        )


def _check_size(count: int, limit: int | None) -> None:
    if limit is not None and count > limit:
        raise GraphError(
            f"this graph has {count:,} nodes, and nobody can read a picture of more than "
            f"{limit:,}. Draw an inner expression, fewer steps of an unrolled loop, or a loop that "
            "mg.scan has left rolled; str(y) and mg.adjoints(y) take any size; "
            "mg.draw(..., limit=None) draws everything"
        )


# --- words and numbers ---------------------------------------------------------------------------


class _Builder:
    def __init__(
        self,
        roots: Sequence[Expr],
        drawn: Sequence[Expr],
        edges: Mapping[EdgeKey, Sequence[Expr]],
        parts: Parts,
        numbers: Measured,
        options: Options,
        grad: bool,
    ) -> None:
        self.roots, self.drawn, self.parts = roots, drawn, parts
        self.root_set = set(roots)
        self.numbers, self.options, self.grad = numbers, options, grad
        self.ids = {n: f"n{k}" for k, n in enumerate(drawn)}
        self.sources = {key: source_of(*key, between) for key, between in edges.items()}
        self.groups = nested(options.groups, self.ids)
        self.lane = apart(options.lanes, self.ids)
        self.terms_of: dict[Expr, list[Amount]] = {}
        for key, source in self.sources.items():
            if key in numbers.terms:
                self.terms_of.setdefault(source, []).append(numbers.terms[key])

    def picture(self) -> Picture:
        nodes = [self._node(n) for n in self.drawn]
        pairs = [key for key, source in self.sources.items() if source in self.ids]
        edges = [self._edge(k, key) for k, key in enumerate(pairs)]
        return Picture(
            title=self.options.title or self._title(),
            nodes=nodes,
            edges=edges,
            groups=self.groups.names,
            around=self.groups.around,
            lanes={lane: k for k, lane in enumerate(dict.fromkeys(self.lane.values()))},
            scale=self.options.scale or self.numbers.scale(),
            has_values=bool(self.numbers.values),
            has_gradients=self.grad,
            direction=self.options.direction,
            shows_shapes=self.options.shapes,
        )

    def _title(self) -> str:
        names = [
            display_name(r, self.options.names) or plain(to_str(r, 12), _WIDEST_TITLE)
            for r in self.roots
        ]
        what = "Gradients of " if self.grad else "Graph of "
        return what + ", ".join(names)

    def _edge(self, k: int, key: EdgeKey) -> Edge:
        user, position = key
        source = self.sources[key]
        lane = self.lane.get(source)
        return Edge(
            f"e{k}",
            self.ids[source],
            self.ids[user],
            position,
            self.numbers.terms.get(key),
            is_from_lane=lane is not None,
            is_in_lane=lane is not None and lane == self.lane.get(user),
        )

    def _node(self, node: Expr) -> Node:
        name = display_name(node, self.options.names)
        return Node(
            id=self.ids[node],
            role=_role(node),
            title=self._op_title(node) if node.args else name or display_name(node) or "const",
            name=name if node.args else "",
            value=self.numbers.values.get(node),
            adjoint=self.numbers.adjoints.get(node),
            notes=tuple(self._notes(node)),
            inlined=tuple(self._inlined(node)),
            is_root=node in self.root_set,
            group=self.groups.innermost.get(node),
            lane=self.lane.get(node),
            place=self.options.places.get(node),
        )

    def _op_title(self, node: Expr) -> str:
        """The op's symbol; with `·` for what is drawn where another operand is written inside."""
        if isinstance(node.type, TupleType):
            return _title_of_several(node)
        if node.op is ITEM:
            return _item_title(node)
        texts = [self.parts.written(self.sources[node, i]) for i in range(len(node.args))]
        if any(t is not None for t in texts) or node.op is GETITEM:
            return op_text(node, [t or "·" for t in texts]).replace(" * ", " × ")
        return node.op.symbol.replace("-", "−") or node.op.name

    def _inlined(self, node: Expr) -> Iterable[tuple[str, Amount]]:
        for i in range(len(node.args)):
            source = self.sources[node, i]
            term = self.numbers.terms.get((node, i))
            if source.op is PARAM and source not in self.ids and term is not None:
                yield display_name(source, self.options.names), term

    def _notes(self, node: Expr) -> Iterable[str]:
        """The lines of the tooltip."""
        yield f"{node.op.name}: {node.type!r}"
        if node.args:
            yield to_str(node, 8)
        if node.origin:
            # The folder is nobody's business once the picture is published.
            yield f"made at {PurePath(node.origin).name}"
        value = self.numbers.values.get(node)
        if value is not None:
            yield f"value: {value.long()}"
        adjoint = self.numbers.adjoints.get(node)
        if adjoint is None:
            return
        if adjoint.kind == "disconnected":
            yield "adjoint: none, no differentiable path leads here"
            return
        yield f"adjoint: {adjoint.long()}" + (" (underflow)" * (adjoint.kind == "underflow"))
        terms = [t for t in self.terms_of.get(node, ()) if t.kind != "disconnected"]
        if len(terms) > 1:
            norms = ", ".join(fmt(t.norm) for t in terms[:8])
            yield f"the sum of {len(terms)} terms, norms {norms}"
            if (left := _left_over(adjoint, terms)) is not None:
                yield f"|sum of terms| / sum of |terms|: {fmt(left)}"


def _left_over(adjoint: Amount, terms: Sequence[Amount]) -> float | None:
    """1 where all terms pull one way, near 0 where they cancel."""
    total = sum(t.norm for t in terms)
    return adjoint.norm / total if 0.0 < total < np.inf else None


def _title_of_several(node: Expr) -> str:
    """The title of a node with several results, such as a loop."""
    loop = _loop_of(node)
    return node.op.name if loop is None else f"{node.op.name}, {loop.length} steps"


def _item_title(node: Expr) -> str:
    """Which result of a node with several it is, counted from 1."""
    (k,) = node.attrs
    loop = _loop_of(node.args[0])
    if loop is None:
        return f"result {k + 1}"
    carries = loop.body.n_carry
    return f"last carry {k + 1}" if k < carries else f"output {k + 1 - carries}"


def _loop_of(node: Expr) -> Loop | None:
    return next((a for a in node.attrs if isinstance(a, Loop)), None)


def _role(node: Expr) -> Role:
    if node.op is VAR:
        return "input"
    return "param" if node.op is PARAM else "const" if node.op is CONST else "op"
