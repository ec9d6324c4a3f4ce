"""The arrows of a picture as DOT: their colours, their numbers, and their corners."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

import graphviz

from minigrad.drawing.amount import Amount
from minigrad.drawing.escape import tooltip
from minigrad.drawing.html import numbers, table
from minigrad.drawing.palette import LIGHT, PAGE
from minigrad.drawing.picture import Edge, Picture, adjoint_text
from minigrad.drawing.theme import EdgeStyle, Scale, fmt

NUMBERED = 40  # edges; a picture with more keeps its numbers in the tooltips
WIRE = LIGHT["wire"]


def edge_style(amount: Amount, scale: Scale) -> EdgeStyle:
    """The look of a measured amount."""
    return scale.look(amount.norm, amount.kind)


def add_arrow(
    graph: graphviz.Digraph, edge: Edge, picture: Picture, names: Mapping[str, str]
) -> None:
    """Add an edge of a picture; names: what the nodes are called, by their ids."""
    attributes = {"id": edge.id, "color": WIRE, "penwidth": "1.1"}
    if edge.term is not None:
        style = edge_style(edge.term, picture.scale)
        attributes |= {"color": style.color, "penwidth": f"{style.width:g}", "style": style.dash}
        attributes["tooltip"] = tooltip(_notes(edge, edge.term, names))
        is_told = len(picture.edges) <= NUMBERED or edge.is_from_lane or edge.is_back
        if is_told and not picture.is_slide:
            # Where places are given, a label lies on its line: it needs a ground of its own.
            ground = PAGE if picture.is_placed else "transparent"
            said = adjoint_text(edge.term)
            if picture.is_placed and len(edge.term.elements) > 1:  # there is room for a number
                said = f"‖{fmt(edge.term.norm)}‖"
            shown = numbers("", said, size=8, bgcolor=ground)
            # What Graphviz places lies beside its line, and keeps clear of the tip.
            label = table([shown], cellpadding="0" if picture.is_placed else "4")
            attributes["label"] = f"<{label}>"
            attributes["labeltooltip"] = attributes["tooltip"]
    if edge.is_back:
        attributes["constraint"] = "false"
    elif edge.is_between_boxes:
        # Boxes stand side by side. A weight would pull them over each other: of arrows between
        # boxes Graphviz takes the direction for a wish.
        attributes["minlen"] = "2"
    elif edge.is_in_lane or edge.is_on_line:
        attributes["weight"] = "100"
    source = edge.source if edge.row is None else f"{edge.source}:r{edge.row}"
    if edge.bends and picture.is_placed:
        _add_bent(graph, edge, attributes, {n.id: n.place for n in picture.nodes})
    else:
        graph.edge(source, edge.target, **attributes)


def _add_bent(
    graph: graphviz.Digraph,
    edge: Edge,
    attributes: Mapping[str, str],
    places: Mapping[str, tuple[float, float] | None],
) -> None:
    """An edge with corners, as straight pieces between dots as wide as itself; what is written
    beside it stands at the longest."""
    corners = [places[edge.source] or (0.0, 0.0), *edge.bends, places[edge.target] or (0.0, 0.0)]
    dots = [f"{edge.id}dot{k}" for k in range(len(edge.bends))]
    for name, (x, y) in zip(dots, edge.bends, strict=True):
        look = {"color": attributes["color"], "fillcolor": attributes["color"]}
        wide = f"{float(attributes['penwidth']) / 72:.4f}"
        graph.node(
            name, id=name, shape="point", width=wide, height=wide, pos=f"{x:g},{-y:g}", **look
        )
    lengths = [math.dist(a, b) for a, b in pairwise(corners)]
    for k, (a, b) in enumerate(pairwise([edge.source, *dots, edge.target])):
        piece = dict(attributes)
        if lengths[k] < max(lengths):
            piece = {key: v for key, v in piece.items() if not key.startswith("label")}
        if k < len(dots):
            piece |= {"id": f"{edge.id}piece{k}", "arrowhead": "none", "headclip": "false"}
        if k:
            piece["tailclip"] = "false"
        graph.edge(a, b, **piece)


def _notes(edge: Edge, term: Amount, names: Mapping[str, str]) -> Iterable[str]:
    way = "to the next step" if edge.is_back else f"operand {edge.position + 1}"
    yield f"{names[edge.source]} → {names[edge.target]}, {way}"
    if term.kind == "disconnected":
        yield "no derivative passes here"
    else:
        note = " (underflow: nonzero factors, product 0)" * (term.kind == "underflow")
        yield f"term of the adjoint of {names[edge.source]}: {term.long()}{note}"
