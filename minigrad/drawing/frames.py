"""Which shapes of a picture lie in which boxes, on which lanes, and have which names and places."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from minigrad.drawing.groups import apart, nested
from minigrad.drawing.lanes import line_of
from minigrad.drawing.naming import title_of_loop
from minigrad.drawing.options import Options, meant_by
from minigrad.drawing.outline import Level, Outline, Vertex
from minigrad.drawing.picture import Box
from minigrad.graph.node import Expr


class Frames:
    """Which shapes lie in which boxes and on which lanes: the caller's groups, and loops."""

    def __init__(self, options: Options, order: Iterable[Expr], drawn: Outline) -> None:
        self._around = set(order)
        self._by_node: dict[Expr, list[Vertex]] = {}
        for vertex in drawn.vertices:
            self._by_node.setdefault(vertex.node, []).append(vertex)
        self._levels = drawn.levels
        sets = {title: self.shapes(nodes) for title, nodes in options.groups.items()}
        self._titles = {title: Box(title, title) for title in sets}
        for k, level in enumerate(drawn.levels.values(), 1):
            key = _unused(f"loop {k}", sets)
            self._titles[key] = Box(key, _loop_title(level), "loop")
            sets[key] = self._all_of(level, drawn.vertices)
        self.groups = nested(sets, set(drawn.vertices))
        lanes = {key: self.shapes(nodes) for key, nodes in options.lanes.items()}
        self.lane = apart(lanes, set(drawn.vertices))
        self.lines = {*self.shapes(options.lines)}
        self.lines |= {Vertex(v.loops, n) for v in drawn.levels.values() for n in line_of(v.body)}
        self.names = {v: name for n, name in options.names.items() for v in self.shapes([n])}
        self.places = {v: p for n, p in options.places.items() for v in self.shapes([n])}
        self.bends = {
            (v, u): [(float(x), float(y)) for x, y in corners]
            for (node, user), corners in options.bends.items()
            for v in self.shapes([node])
            for u in self.shapes([user])
        }
        self.spoken_of = {*self.lane, *self.places}
        self.spoken_of |= {v for title in options.groups for v in sets[title]}

    def shapes(self, nodes: Iterable[Expr]) -> list[Vertex]:
        """All shapes of some nodes, of a loop with all that lies in it, and of those left out."""
        shapes: dict[Vertex, None] = {}
        for node in nodes:
            meant, body = meant_by(node)
            known = [
                v
                for v in self._by_node.get(meant, [])
                if body is None or self._levels[v.loops].body is body
            ]
            inner = [loops for loops, level in self._levels.items() if level.node is node]
            for loops in inner:
                among = (v for vs in self._by_node.values() for v in vs)
                known += [v for v in among if v.is_within(loops)]
            left_out = [Vertex((), node)] if node in self._around else []
            shapes |= dict.fromkeys([*known, *left_out])
        return list(shapes)

    def _all_of(self, level: Level, vertices: Iterable[Vertex]) -> list[Vertex]:
        """A loop's own node and those of loops in it, none of which are drawn, and all that is."""
        loops = [Vertex(other.outer, other.node) for other in self._levels.values()]
        within = [v for v in (*loops, *vertices) if v.is_within(level.loops)]
        return [Vertex(level.outer, level.node), *within]

    @property
    def boxes(self) -> list[Box]:
        """The boxes that are drawn, each after those around it."""
        return [self._titles[key] for key in self.groups.names]

    def box_of(self, vertex: Vertex) -> Hashable | None:
        """The innermost box of a shape."""
        return self.groups.innermost.get(vertex)


def _unused(key: str, taken: Mapping[str, Any]) -> str:
    while key in taken:
        key += "′"
    return key


def _loop_title(level: Level) -> str:
    backwards = ", from the last" * level.reverse
    again = ", computed again by segments" * level.is_cut
    return f"{title_of_loop(level.node, level.steps)}{backwards}{again}"
