"""What a picture of a graph shows, as plain records: nodes, edges, their words and their numbers.

Every view (DOT today; text or HTML tomorrow) is made from a `Picture` alone. Nothing here knows of
files, formats or layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from minigrad.drawing.amount import Amount
from minigrad.drawing.escape import plain
from minigrad.drawing.theme import Kind, Scale
from minigrad.graph.node import Expr

Role = Literal["input", "param", "const", "op", "carry", "slice", "steps"]
"""What a node is; a carry and a slice are what a step of a loop gets, of the step before it and of
the inputs; steps are one or many of a chain of equal steps."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value that steps give, in the node that stands for them; of many, over all of them."""

    name: str
    value: Amount | None
    adjoint: Amount | None


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
    """The key of the innermost of the boxes around it."""
    lane: str | None
    """Nodes of one lane are laid out on one straight line."""
    place: tuple[float, float] | None
    """Its centre in points, y downwards, where the caller chose one."""
    is_copy: bool = False
    """Whether it is one of several shapes of a leaf, each beside a use of it."""
    strips: tuple[tuple[str, Amount], ...] = ()
    """Gradients that are shown step by step, by the names of what they are of."""
    rows: tuple[Row, ...] = ()
    """Of steps: what others read of them."""
    shows: Expr | None = field(default=None, compare=False, repr=False)
    """The node of the graph that it stands for; None of steps."""


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
    is_back: bool = False
    """Whether it goes from one step of a loop to the next."""
    is_on_line: bool = False
    """Whether it is part of the line of a loop."""
    is_between_boxes: bool = False
    """Whether it goes from one box to another that lies beside it, such as to the next step."""
    row: int | None = None
    """The row of its source from which it starts."""
    bends: tuple[tuple[float, float], ...] = ()
    """Its corners in points, where all nodes have places."""
    uses: tuple[tuple[Expr, int], ...] = field(default=(), compare=False, repr=False)
    """The use, (user, position), whose term is shown, and those by ops without arithmetic through
    which that is carried back to the source."""


@dataclass(frozen=True, slots=True)
class Box:
    """A frame around nodes and other boxes: a group of the caller's, or a loop and its body."""

    key: str
    title: str
    kind: Literal["group", "loop"] = "group"


@dataclass(frozen=True)
class Picture:
    """Everything that is drawn, in an order in which sources come before targets."""

    title: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    boxes: Sequence[Box]
    """Each after the boxes around it."""
    around: Mapping[str, str]
    """The box in which another one lies directly, by their keys."""
    lanes: Mapping[str, int]
    """The keys of the lanes that are drawn, numbered."""
    scale: Scale
    has_values: bool
    has_gradients: bool
    direction: str = "LR"
    shows_shapes: bool = True
    is_slide: bool = False
    """Whether it is to be read from afar: few words, no caption."""
    is_hurried: bool = False
    """Whether it is so wide-meshed that only a coarse layout ends in seconds."""
    notes: Sequence[str] = ()
    """Sentences about the whole picture, for its caption."""

    @property
    def groups(self) -> list[str]:
        """The titles of the caller's groups, each after those around it."""
        return [box.title for box in self.boxes if box.kind == "group"]

    @cached_property
    def is_placed(self) -> bool:
        """Whether every node has a place, so that nothing is left to lay out."""
        return all(n.place is not None for n in self.nodes)

    def outermost(self, key: str) -> str:
        """The box around all that a box lies in."""
        while key in self.around:
            key = self.around[key]
        return key

    def gradients(self) -> Iterator[Amount]:
        """Every gradient that is shown: of nodes, of edges, and of what is written into nodes."""
        shown = [n.adjoint for n in self.nodes] + [e.term for e in self.edges]
        yield from (amount for amount in shown if amount is not None)
        yield from (term for node in self.nodes for _, term in node.inlined)
        yield from (amount for node in self.nodes for _, amount in node.strips)
        yield from (r.adjoint for n in self.nodes for r in n.rows if r.adjoint is not None)

    def summary(self) -> str:
        """A few lines of text that say what the picture says."""
        lines = [f"{self.title}: {len(self.nodes)} nodes, {len(self.edges)} edges"]
        shown = [n for n in self.nodes if n.role in ("input", "param") or n.is_root or n.name]
        shown = list({(n.id if not n.is_copy else n.title): n for n in shown}.values())
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

    >>> import numpy as np
    >>> adjoint_text(Amount.of(np.array(0.0))), adjoint_text(Amount.of(np.array([0.5, -1.0])))
    ('0', '[0.5, -1]')
    """
    words: dict[Kind, str] = {"disconnected": "not connected", "underflow": "underflow (≈0)"}
    return words.get(amount.kind) or amount.short()
