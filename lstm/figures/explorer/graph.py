"""A step of a flow's layer as a graph, op by op: drawn once, and filled by the script with numbers
of the step that is looked at."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import minigrad as mg
from lstm.cells import Place
from lstm.errors import ConfigError
from lstm.figures.cell_places import places_of
from lstm.figures.lane import node_spelled
from lstm.gradient_flow import Flow
from lstm.gradient_flow.ops import (
    NEXT,
    Asked,
    Onward,
    OpsOfStep,
    moving,
    onward_of,
    order_of,
    same_ops,
)
from lstm.gradient_flow.tensors import Meter
from lstm.layers import Decoder
from minigrad import Expr
from minigrad.drawing import Diagram, Edge, EdgeStyle, Node, Picture, RenderError, Scale, draw
from minigrad.drawing.amount import Amount, Kind
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import text_on

KINDS: tuple[Kind, ...] = ("below", "underflow", "zero", "disconnected", "even", "nan", "inf")
"""What has a look of its own."""
_OUTLINE = 3.0  # points: of a node at most
_MOST = 150
"""So many ops a step has, at most: to compile what measures each of them takes ever longer."""
_BESIDE = 150.0  # points: of other steps beside this one
_BELOW = 75.0  # of what is under a state
_LOWER = 30.0  # of what a step reads, as it has numbers


_WHOLE, _SENT = "‖∂L/∂value‖", "‖what this step sends back to it‖"


def _room(number: float) -> Amount:
    """Room for a number as wide as this."""
    return Amount((), 1.0, number, number, (number,), "normal")


_SVG = "{http://www.w3.org/2000/svg}"
_OF_EDGES = {
    f"{_SVG}path": "line",
    f"{_SVG}polygon": "line tip",
    f"{_SVG}ellipse": "line tip",
    f"{_SVG}text": "gradient fill-muted",
}
_VALUE, _GRADIENT = _room(-8.888e-108), _room(-8.88e-88)


def prefix_of(model: int) -> str:
    """What the ids of a model's picture begin with."""
    return f"step{model}"


def arrows_on(scale: Scale) -> dict[str, str]:
    """How arrows of each class and kind look, and the nodes that they come from, as style."""
    classes = {str(k): scale.class_style(k) for k in range(scale.classes)}
    kinds: dict[str, EdgeStyle] = {kind: scale.look(0.0, kind) for kind in KINDS}
    return {name: _css(style) for name, style in (classes | kinds).items()}


def _css(style: EdgeStyle) -> str:
    is_filled = style.kind in ("normal", "inf", "nan")
    return (
        f"--color:{style.color};--width:{style.width:g};--outline:{min(style.width, _OUTLINE):g};"
        f"--dashes:{style.dasharray};--chip:{style.color if is_filled else 'none'};"
        f"--ink:{text_on(style.color) if is_filled else 'var(--muted)'}"
    )


@dataclass(frozen=True, eq=False)
class StepPicture:
    """The graph of a step, and in which row of numbers is what it shows.

    Rows are two of each value that equations name, of it and of its gradient, and then those that
    are asked of ops. steps: {id of a node: how many steps from this one it stands for}. values,
    gradients, terms: {id of a node or of an edge: its row}. doubtful: rows of those that are asked
    of ops, in which a 0 may be an underflow.
    """

    picture: Picture
    asked: Asked
    steps: Mapping[str, int]
    values: Mapping[str, int]
    gradients: Mapping[str, int]
    terms: Mapping[str, int]
    doubtful: Sequence[int]

    @staticmethod
    def of(meter: Meter, heading: str) -> StepPicture:
        """That of a layer; heading: what its cell is called."""
        return _Drawing(meter).picture(heading)

    def svg(self, prefix: str) -> str:
        """It as a picture, whose ids begin so, and in which the parts that the script fills in have
        classes. Raises RenderError where it cannot be drawn."""
        drawn = Diagram.of(replace(self.picture, scale=Scale(-1.0, 1.0)))
        said = "Each op of a step, with the numbers of the step that is looked at."
        svg = Diagram(drawn.dot, title=drawn.title, description=said, prefix=prefix).svg
        root = ET.fromstring(svg)
        root.set("role", "group")  # the parts of an image would be hidden from a screen reader
        nodes = {f"{prefix}-{node.id}": node for node in self.picture.nodes}
        for group in root.iter(f"{_SVG}g"):
            id = re.sub(r"(piece|dot)\d+$", "", group.get("id", ""))
            if id in nodes:
                _mark_node(group, nodes[id], self.steps.get(nodes[id].id, 0))
            elif group.get("class") in ("node", "edge"):
                for shape in group:
                    if name := _OF_EDGES.get(shape.tag):
                        _mark_arrow(shape, name)
                for title in group.findall(f"{_SVG}title"):
                    group.remove(title)  # it has no numbers yet
            if group.get("class") in ("node", "edge"):
                group.set("data-op", id)
        return ET.tostring(root, encoding="unicode")

    def told(self, prefix: str) -> dict[str, Any]:
        """What the script reads: nodes and arrows by their ids, with the rows of their numbers."""
        called = {n.id: _called(n) for n in self.picture.nodes}
        terms: dict[str, list[tuple[str, int]]] = {}
        for e in self.picture.edges:
            terms.setdefault(e.source, []).append((called[e.target], self.terms.get(e.id, -1)))
        nodes = {
            f"{prefix}-{n.id}": {
                "name": called[n.id],
                "row": self.gradients.get(n.id, -1),
                "value": self.values.get(n.id, -1),
                "words": [plain(note) for note in n.notes[1:]] if n.role == "op" else [],
                "what": _SENT if self.steps.get(n.id) == -1 else _WHOLE,
                "terms": terms.get(n.id, []),
            }
            for n in self.picture.nodes
            if n.adjoint is not None
        }
        edges = {
            f"{prefix}-{e.id}": {
                "name": f"{called[e.source]} gets from {called[e.target]}",
                "row": self.terms[e.id],
                "value": -1,
                "words": [],
                "what": "",
            }
            for e in self.picture.edges
            if e.id in self.terms
        }
        return nodes | edges

    @property
    def parts(self) -> list[str]:
        """Which ops nodes are, and what arrows join, for graphs to be told apart."""
        nodes = self.picture.nodes
        places = {n.id: str(k) for k, n in enumerate(nodes)}
        joined = [f"{places[e.source]}→{places[e.target]}" for e in self.picture.edges]
        return [*(n.title if n.shows is None else n.shows.op.name for n in nodes), *joined]


def _called(node: Node) -> str:
    return plain(f"{node.name} {node.title}".strip())


class Opened(NamedTuple):
    """The picture of a step, drawn, or neither; and in words what is not to be seen, and why."""

    picture: StepPicture | None
    svg: str | None
    closed: str


def opened_of(flow: Flow, prefix: str) -> Opened:
    """The step of a flow's layer; prefix: what its ids begin with."""
    picture, closed = picture_of(flow), closed_of(flow)
    if picture is None:
        return Opened(None, None, closed)
    try:
        return Opened(picture, picture.svg(prefix), closed)
    except RenderError as error:
        return Opened(None, None, f"No step can be opened: {plain(str(error))}")


def picture_of(flow: Flow) -> StepPicture | None:
    """That of a flow's layer; None of numbers alone, and of too many ops."""
    if flow.source is None or len(order_of(flow.source.meter)) > _MOST:
        return None
    return StepPicture.of(flow.source.meter, flow.called)


def closed_of(flow: Flow) -> str:
    """What of a flow's model is not to be seen in its step, and why; nothing where all is."""
    if flow.source is None:
        return (
            "This flow is of numbers alone, so that none of its steps can be opened: lstm.flow, or "
            "lstm.FlowWatch(arrays=True), keeps what is asked for."
        )
    meter = flow.source.meter
    ops = len(order_of(meter))
    if ops > _MOST:
        return (
            f"A step of the {plain(flow.called)} has {ops} ops; up to {_MOST} are measured one by "
            "one, so that none of its steps can be opened."
        )
    others = [place for place in meter.model.recurrent() if place != meter.place]
    words = ""
    if others:
        words = (
            f"Opened is the layer {flow.place}, which this flow is of; of {', '.join(others)} "
            "nothing is measured here: lstm.flow(…, layer=…, direction=…) measures another. "
        )
    if isinstance(meter.model.readout, Decoder):
        words += (
            "A decoder’s steps are not measured, so they cannot be opened: these are the "
            "encoder’s. "
        )
    if not same_ops(meter, meter.wide()):
        words += (
            "The cell casts to dtypes of its own, so that in its graph a 0 of an op without a name "
            "may be an underflow."
        )
    return words.strip()


class _Drawing:
    """A step on its way to a picture."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.order, self.moves = meter, order_of(meter), moving(meter)
        self.at = {node: k for k, node in enumerate(self.order)}
        values = enumerate(meter.graph.nodes.values())
        self.named = {self.at[n]: k for k, n in values if n in self.at}
        before = {v: f"{part}ₜ₋₁" for part, v in meter.graph.before.items()}
        self.before = {v for v in before if v in self.at}
        read = {v: name for v, name in (before | {meter.graph.x: "xₜ"}).items() if v in self.at}
        stand_ins = {v: mg.var(plain(name), v.shape, v.dtype) for v, name in read.items()}
        self.new = dict(zip(self.order, mg.substitute(self.order, stand_ins), strict=True))
        self.old = {new: old for old, new in self.new.items()}

    def picture(self, heading: str) -> StepPicture:
        alone, onward = self._alone(heading), onward_of(self.meter)
        shown = {n.id: self.old[n.shows] for n in alone.nodes if n.shows is not None}
        nodes = {id: self.at[node] for id, node in shown.items() if node in self.moves}
        beside, edges = self._beside(alone, [*onward], {k: id for id, k in nodes.items()})
        every = [e for e in alone.edges if e.source in nodes] + edges
        goes = dict(zip((e.id for e in edges), onward, strict=True))
        readers = Counter(nodes[e.source] for e in every)
        many = [e for e in every if readers[nodes[e.source]] > 1]  # else a term is the gradient
        asked = Asked(
            nodes=tuple(dict.fromkeys(k for k in nodes.values() if k not in self.named)),
            uses=tuple([self._use(e) for e in many if e.id not in goes]),
            onward=tuple([goes[e.id] for e in many if e.id in goes]),
        )
        ops, first = OpsOfStep(self.meter, asked), 2 * len(self.meter.graph.nodes)
        values = {k: first + row for k, row in ops.values.items()}
        gradients = {k: first + row for k, row in ops.gradients.items()}
        values |= {k: 2 * name for k, name in self.named.items()}
        gradients |= {k: 2 * name + 1 for k, name in self.named.items()}
        terms = {e.id: gradients.get(nodes[e.source], -1) for e in every}
        for e in many:
            row = ops.onward.get(goes[e.id]) if e.id in goes else ops.terms.get(self._use(e))
            terms[e.id] = -1 if row is None else first + row
        room = {e.id: _GRADIENT for e in many}
        back = [row for (_, where), row in ops.onward.items() if where == NEXT]
        steps = {id: -1 for id, k in nodes.items() if self.order[k] in self.before}
        return StepPicture(
            replace(
                alone,
                nodes=[*(_with_room(n, nodes, values) for n in alone.nodes), *beside],
                edges=[replace(e, term=room.get(e.id)) for e in (*alone.edges, *edges)],
            ),
            asked,
            steps | {e.target: 1 for e in edges if goes[e.id][1] == NEXT},
            {id: values[k] for id, k in nodes.items() if k in values},
            {id: gradients[k] for id, k in nodes.items() if k in gradients},
            terms,
            [*ops.gradients.values(), *ops.terms.values(), *back],
        )

    def _alone(self, heading: str) -> Picture:
        """The step without what is around it."""
        made = dict.fromkeys(self.new[made] for made in self.meter.loop.made)
        names = {self.new[n]: plain(s) for s, n in self.meter.graph.nodes.items() if n in self.new}
        leaves = [new for old, new in self.new.items() if not new.args and old not in self.moves]
        drawn = draw(
            [*made],
            names=names,
            places=self._places(),
            inline=leaves,
            shapes=False,
            title=f"One step of the {heading}, op by op: ‖value‖, and ∂ is ‖∂L/∂value‖",
        ).picture
        assert drawn is not None
        nodes = [
            replace(n, role="carry")
            if n.shows is not None and self.old[n.shows] in self.before
            else n
            for n in drawn.nodes
        ]
        return replace(drawn, nodes=nodes)

    def _places(self) -> dict[Expr, Place]:
        """Where ops stand, as the cell says; where it does not say it of all, Graphviz decides."""
        graph, loop, of_cell = self.meter.graph, self.meter.loop, places_of(self.meter.layer.cell)
        values, places = {"x": loop.x, **loop.values}, {}
        for spelled, (x, y) in of_cell.ops.items():
            with suppress(ConfigError):  # of what a model around the cell makes otherwise
                node = node_spelled(values, spelled)
                if node in self.new:
                    places[self.new[node]] = x, y + _LOWER * (node is loop.x)
        for part, variable in graph.before.items():
            if variable in self.new:
                places[self.new[variable]] = (-_BESIDE, of_cell.start[part])
        return places

    def _use(self, edge: Edge) -> tuple[tuple[int, int], ...]:
        return tuple((self.at[self.old[user]], k) for user, k in edge.uses)

    @staticmethod
    def _beside(
        alone: Picture, onward: Sequence[Onward], ids: Mapping[int, str]
    ) -> tuple[list[Node], list[Edge]]:
        """What reads the states that the step makes, and arrows to it."""
        of_id = {node.id: node for node in alone.nodes}
        right = max((n.place[0] for n in alone.nodes if n.place), default=0.0) + _BESIDE
        nodes, edges = [], []
        for k, (made, where) in enumerate(onward):
            source = of_id[ids[made]]
            name, title = ("", "step t + 1") if where == NEXT else ("y", "out of the layer")
            place = source.place and (right, source.place[1] + _BELOW * (where != NEXT))
            beside = Node(
                f"o{k}", "steps", title, name, None, None, (), (), False, None, None, place
            )
            nodes.append(beside)
            edges.append(Edge(f"eo{k}", source.id, beside.id, 0, None))
        return nodes, edges


def _with_room(node: Node, nodes: Mapping[str, int], values: Mapping[int, int]) -> Node:
    """A node with room for its numbers; it is a copy of none, as each tells all."""
    k = nodes.get(node.id)
    value = _VALUE if k in values else None
    gradient = None if k is None else _GRADIENT
    return replace(node, value=value, adjoint=gradient, is_root=False, is_copy=False)


def _mark_node(group: ET.Element, node: Node, steps: int) -> None:
    """Classes of the parts of a node, which takes the focus where it tells something; steps: how
    many from this one it stands for."""
    if node.adjoint is None and not steps:
        return
    group.set("tabindex", "0")
    group.set("role", "button" if steps else "img")
    if steps:
        group.set("data-by", str(steps))
    _add_class(group[1], "line")
    texts = group.findall(f"{_SVG}text")
    if node.adjoint is None:
        _add_class(texts[-1], "when")
        return
    chip = next(shape for shape in group[2:] if shape.tag == f"{_SVG}polygon")
    _add_class(chip, "chip")
    xs = [float(point.split(",")[0]) for point in chip.get("points", "").split()]
    names = ("value", "gradient") if node.value is not None else ("gradient",)
    for text, name in zip(texts[-len(names) :], names, strict=True):
        _add_class(text, name)
        text.set("text-anchor", "middle")
        text.set("x", f"{(min(xs) + max(xs)) / 2:g}")


def _mark_arrow(shape: ET.Element, name: str) -> None:
    """The class of a part of an arrow, in place of that of a colour; what is written beside it has
    a ground."""
    if shape.get("stroke") != "none":
        shape.set("class", name)


def _add_class(element: ET.Element, name: str) -> None:
    element.set("class", f"{element.get('class', '')} {name}".strip())
