"""A `Picture` as DOT text. Shapes, colours and words are chosen here; Graphviz places them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import graphviz

from minigrad.drawing.amount import Amount
from minigrad.drawing.arrows import WIRE, add_arrow, edge_style
from minigrad.drawing.escape import esc, plain, tooltip, words
from minigrad.drawing.html import FEW_BINS, cell, chip, legend, numbers, strip, table
from minigrad.drawing.palette import INK, LIGHT, MUTED, PAGE
from minigrad.drawing.picture import Box, Node, Picture, Row, adjoint_text
from minigrad.drawing.routing import Rect, Router
from minigrad.drawing.spread import Place, height_of, margin_of, spread, width_of
from minigrad.drawing.theme import FONT, Scale, fmt, short

_SYMBOL = 4  # characters of a title that stands beside a name where words are few
_SHAPES = {
    "input": "ellipse",
    "param": "cylinder",
    "const": "note",
    "op": "box",
    "carry": "box",
    "slice": "ellipse",
    "steps": "box",
}
_FILLS = {
    "input": "input",
    "param": "param",
    "const": "constant",
    "op": "page",
    "carry": "lane",
    "slice": "input",
    "steps": "group",
}


def to_dot(picture: Picture) -> str:
    """The DOT text of a picture; the same picture gives the same text."""
    if picture.is_placed:
        picture = _spread(picture)
    graph = graphviz.Digraph("minigrad")
    graph.attr(
        "graph",
        rankdir=picture.direction,
        bgcolor=PAGE,
        fontname=FONT,
        nodesep="0.22",
        ranksep="0.35",
        pad="0.2",
        labelloc="b",
        labeljust="l",
        tooltip=" ",
        id="graph",
        label="" if picture.is_slide else f"<{_caption(picture)}>",
    )
    if picture.is_slide:
        graph.attr("graph", nodesep="0.14", ranksep="0.1", pad="0.05")
    margin = "0.06,0.05" if picture.is_slide else "0.09,0.04"
    graph.attr("node", fontname=FONT, fontsize="10", margin=margin, height="0.3", width="0.3")
    graph.attr("edge", fontname=FONT, fontsize="8", arrowsize="0.6")
    if picture.is_hurried:
        graph.attr("graph", splines="line", nslimit="0.2", nslimit1="0.2", mclimit="0.05")
    if picture.is_placed:
        graph.attr("graph", layout="nop", splines="line", outputorder="nodesfirst")
        _bands(graph, picture)
    else:
        _clusters(graph, picture)
    for node in picture.nodes:
        if node.group is None or picture.is_placed:
            _add_node(graph, node, picture)
    names = {n.id: plain(n.name or n.title) for n in picture.nodes}
    for edge in picture.edges:
        add_arrow(graph, edge, picture, names)
    return str(graph.source)


def _spread(picture: Picture) -> Picture:
    """With the places that leave room for what the boxes hold, and arrows that go around them."""
    labels = [_label(node, picture) for node in picture.nodes]
    widths = [width_of(label) for label in labels]
    outermost = {box.key: picture.outermost(box.key) for box in picture.boxes}
    boxes: list[str | None] = [outermost.get(node.group or "") for node in picture.nodes]
    corners = [corner for edge in picture.edges for corner in edge.bends]
    wanted = [node.place or (0.0, 0.0) for node in picture.nodes] + corners
    places = iter(spread(wanted, widths + [0.0] * len(corners), boxes + [None] * len(corners)))
    at = {node.id: next(places) for node in picture.nodes}
    router = Router.of(
        [_outline(at[n.id], label, n) for n, label in zip(picture.nodes, labels, strict=True)]
    )
    edges = []
    for edge in picture.edges:
        way = [at[edge.source], *(next(places) for _ in edge.bends), at[edge.target]]
        edges.append(replace(edge, bends=tuple(router.around(way))))
    nodes = [replace(node, place=at[node.id]) for node in picture.nodes]
    return replace(picture, nodes=nodes, edges=edges)


# As Graphviz draws them: how much higher its cylinders are than what is in them, for the lid, and
# how far the second line around a root lies from the first, in points.
_LIDDED, _RING = 1.375, 4


def _outline(at: Place, label: str, node: Node) -> Rect:
    """About where the shape of a node lies: left, top, right, bottom."""
    wide, high = width_of(label), height_of(label)
    if _SHAPES[node.role] == "ellipse":
        wide, high = sqrt(2) * wide, sqrt(2) * high  # an ellipse around a box has its proportions
    if _SHAPES[node.role] == "cylinder":
        high *= _LIDDED
    ring = _RING * node.is_root
    wide, high = wide / 2 + ring, high / 2 + ring
    return at[0] - wide, at[1] - high, at[0] + wide, at[1] + high


def _clusters(graph: graphviz.Digraph, picture: Picture) -> None:
    """Groups as clusters, made from the inside out: a cluster is added whole to the one around."""
    clusters = {
        box.key: _cluster(k, box, 12 if picture.is_slide else 11)
        for k, box in enumerate(picture.boxes)
    }
    for node in picture.nodes:
        if node.group is not None:
            _add_node(clusters[node.group], node, picture)
    for box in reversed(picture.boxes):
        outer = picture.around.get(box.key)
        (graph if outer is None else clusters[outer]).subgraph(clusters[box.key])


def _cluster(k: int, box: Box, size: float) -> graphviz.Digraph:
    is_loop = box.kind == "loop"
    title = f"↻ {box.title}" if is_loop else box.title
    cluster = graphviz.Digraph(f"cluster_{k}")
    cluster.attr(
        "graph",
        label=f"<{table([cell(title, bold=True, size=size)])}>",
        id=f"cluster{k}",
        tooltip=tooltip([box.title]),
        style="rounded,filled",
        fillcolor=LIGHT["group"],
        color=LIGHT["wire" if is_loop else "faint"],
        penwidth="1.6" if is_loop else "1",
        labeljust="l",
        labelloc="t",
    )
    return cluster


def _bands(graph: graphviz.Digraph, picture: Picture) -> None:
    """Where places are given: boxes behind groups and lanes, which Graphviz then leaves to us."""
    keys = [box.key for box in picture.boxes]
    depth: dict[str, int] = dict.fromkeys(keys, 0)  # of the boxes that lie in a box
    members: dict[str, list[Node]] = {key: [] for key in keys}
    for node in picture.nodes:
        if node.group is not None:
            members[node.group].append(node)
    for name in reversed(keys):
        if (outer := picture.around.get(name)) is not None:
            depth[outer] = max(depth[outer], depth[name] + 1)
            members[outer] += members[name]
    for k, box in enumerate(picture.boxes):
        room = 8 * depth[box.key], 44 + 16 * depth[box.key]
        sides = [margin_of(width_of(_label(n, picture))) + room[0] for n in members[box.key]]
        _band(graph, f"group{k}", box.title, members[box.key], sides, room[1])
    for name, k in picture.lanes.items():
        on_lane = [n for n in picture.nodes if n.lane == name]
        _band(graph, f"lane{k}", name, on_lane, [52.0] * len(on_lane), 29)


def _band(
    graph: graphviz.Digraph,
    id: str,
    label: str,
    nodes: Sequence[Node],
    sides: Sequence[float],
    above: float,
) -> None:
    """A box behind nodes: how far it goes to each side of the centre of each, and above it."""
    places = [(*n.place, side) for n, side in zip(nodes, sides, strict=True) if n.place is not None]
    if not places:
        return
    left, right = min(x - side for x, _, side in places), max(x + side for x, _, side in places)
    top, bottom = min(y for _, y, _ in places) - above, max(y for _, y, _ in places) + above
    is_lane = id.startswith("lane")
    left -= max(90.0, 8.0 * len(label)) * is_lane  # room for its label, where the state starts
    graph.node(
        id,
        id=id,
        shape="box",
        style="filled" if is_lane else "rounded,filled",
        fillcolor=LIGHT["lane" if is_lane else "group"],
        color=LIGHT["lane" if is_lane else "faint"],
        fixedsize="true",
        width=f"{(right - left) / 72:.4f}",
        height=f"{(bottom - top) / 72:.4f}",
        pos=f"{(left + right) / 2:g},{-(top + bottom) / 2:g}",
        tooltip=tooltip([label]),
        labelloc="t",
        fontsize="11",
        fontcolor=INK,
        label=words(label, "\\l"),
    )


def _add_node(graph: graphviz.Digraph, node: Node, picture: Picture) -> None:
    attributes = {
        "shape": _SHAPES[node.role],
        "style": "rounded,filled" if node.role in ("op", "carry", "steps") else "filled",
        "fillcolor": LIGHT[_FILLS[node.role]],
        "color": WIRE,
        "penwidth": "1",
        "id": node.id,
        "tooltip": tooltip([node.name or node.title, *node.notes]),
    }
    if node.is_root:
        attributes["peripheries"] = "2"
    if node.adjoint is not None and not node.is_copy:
        style = edge_style(node.adjoint, picture.scale)
        attributes["color"] = style.color
        attributes["penwidth"] = f"{min(style.width, 3.0):g}"
        if style.dash != "solid":
            attributes["style"] += f",{style.dash}"
    if picture.is_placed and node.place is not None:
        attributes["pos"] = f"{node.place[0]:g},{-node.place[1]:g}"
    if node.lane is not None and not picture.boxes:
        attributes["group"] = f"lane{picture.lanes[node.lane]}"
    graph.node(node.id, label=f"<{_label(node, picture)}>", **attributes)


def _label(node: Node, picture: Picture) -> str:
    scale = picture.scale
    if picture.is_slide:
        return _short_label(node, scale)
    rows = []
    if node.name:
        rows.append(_named(node.name, node.title, 10))
    else:
        rows.append(cell(node.title, size=12 if len(node.title) < 3 else 10, bold=True))
    if node.is_copy:
        return table(rows)  # the caption has its numbers
    if node.value is not None:
        rows.append(numbers("", value_text(node.value, picture.shows_shapes)))
    if node.adjoint is not None:
        rows.append(chip("∂ ", adjoint_text(node.adjoint), edge_style(node.adjoint, scale)))
    for name, amount in node.strips:
        rows += _strip(name, amount, scale)
    for k, row in enumerate(node.rows):
        rows += _row(k, row, picture)
    for name, term in node.inlined:
        rows.append(chip(f"∂{name} ", adjoint_text(term), edge_style(term, scale), 8.0))
    return table(rows)


def _named(name: str, title: str, size: float) -> str:
    """A table cell of a name and of what it is the name of."""
    return (
        f'<TD><FONT COLOR="{INK}" POINT-SIZE="{size:g}"><B>{esc(name)}</B></FONT>'
        f'<FONT COLOR="{MUTED}" POINT-SIZE="{size:g}">  {esc(title)}</FONT></TD>'
    )


def _short_label(node: Node, scale: Scale) -> str:
    """What can be read from afar: a name, a gradient, and how it goes step by step."""
    title = node.title.removeprefix("· ")
    if node.name and 0 < len(title) <= _SYMBOL:
        rows = [_named(node.name, title, 12)]
    else:
        rows = [cell(node.name or title, size=12, bold=True, limit=28)]
    if node.adjoint is not None and not node.is_copy:
        style = edge_style(node.adjoint, scale)
        rows.append(chip("∂", _size_text(node.adjoint), style, 12.0))
    for name, amount in node.strips:
        if amount.steps is not None and len(amount.steps.norms) > 1:
            rows += [cell(f"∂ {name}", size=12)] * bool(name)
            rows.append(strip(amount.steps, scale, FEW_BINS))
    for k, row in enumerate(node.rows):
        rows.append(cell(row.name, size=12, bold=True, port=f"r{k}"))
        if row.adjoint is not None:
            style = edge_style(row.adjoint, scale)
            rows.append(chip("∂", _size_text(row.adjoint), style, 12.0))
            if row.adjoint.steps is not None:
                rows.append(strip(row.adjoint.steps, scale, FEW_BINS))
    return table(rows, cellpadding="2")


def _size_text(amount: Amount) -> str:
    """A gradient in one number: the element that there is, or the norm; of many steps the most."""
    if amount.kind in ("disconnected", "underflow") or len(amount.elements) == 1:
        return adjoint_text(amount)
    return short(amount.norm)


def _row(k: int, row: Row, picture: Picture) -> list[str]:
    """What one value of steps is: its name, the value, and what comes back to it."""
    shown = "" if row.value is None else value_text(row.value, picture.shows_shapes)
    name = f'<FONT COLOR="{INK}"><B>{esc(row.name)}</B></FONT>'
    value = f'<FONT COLOR="{MUTED}" POINT-SIZE="9">  {esc(shown)}</FONT>' if shown else ""
    rows = [f'<TD PORT="r{k}">{name}{value}</TD>']
    if row.adjoint is not None:
        style = edge_style(row.adjoint, picture.scale)
        rows.append(chip("∂ ", adjoint_text(row.adjoint), style))
        rows += _strip("", row.adjoint, picture.scale)
    return rows


def _strip(name: str, amount: Amount, scale: Scale) -> list[str]:
    steps = amount.steps
    if steps is None or len(steps.norms) < 2:
        return []
    words = f"min {fmt(steps.least)}, median {fmt(steps.middle)}, max {fmt(steps.most)}"
    said = f"∂ {name}, step by step: {words}" if name else words
    return [strip(steps, scale), cell(said, color=MUTED, size=8, limit=None)]


def value_text(amount: Amount, shapes: bool = True) -> str:
    """A value in a few characters: a number, a few numbers, or shape and range."""
    if amount.elements:
        return amount.short(lambda x: f"{x:.4g}")
    if amount.size and not amount.shape:
        return f"{fmt(amount.low or 0.0)} … {fmt(amount.high or 0.0)}"
    if not amount.size:
        return f"{_shape(amount)} empty"
    span = f"{fmt(amount.low or 0.0)} … {fmt(amount.high or 0.0)}"
    return f"{_shape(amount)} {span}" if shapes else span


def _shape(amount: Amount) -> str:
    return "×".join(map(str, amount.shape))


def _caption(picture: Picture) -> str:
    rows = [cell(picture.title, size=11, bold=True, limit=200, align="left")]
    rows += [cell(note, size=9, color=MUTED, limit=400, align="left") for note in picture.notes]
    if picture.has_gradients:
        kinds = {edge_style(a, picture.scale).kind for a in picture.gradients()}
        if any(a.steps is not None and any(a.steps.lost) for a in picture.gradients()):
            kinds.add("underflow")  # strips have its colour
        caption = (
            "Gradient that flows back along an arrow: its colour and width are the norm of its own "
            "term; ∂ in a node is the sum of these terms"
        )
        if any(a.steps is not None for a in picture.gradients()):
            caption += "; of many steps both are those of the step with the largest"
        rows.append(f'<TD ALIGN="LEFT">{legend(picture.scale, caption, kinds)}</TD>')
    return table(rows, cellpadding="2")
