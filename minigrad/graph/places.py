"""Where a node or a name lies: in a graph, or in the graphs that its loops run step by step."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from minigrad.errors import GraphError
from minigrad.graph.leaves import PLACEHOLDER
from minigrad.graph.node import Expr, describe
from minigrad.graph.walk import toposort
from minigrad.types import Array, as_integer

if TYPE_CHECKING:
    from minigrad.derivatives.sweep import Crossing, Reach, Reverse

_MOST_LISTED = 20


class Inside(Protocol):
    """The graph that a node runs in each of its steps, as its op tells it (`Op.inside`)."""

    @property
    def nodes(self) -> Sequence[Expr]:
        """Its nodes, arguments before users."""

    @property
    def outputs(self) -> Sequence[Expr]:
        """Those of its nodes that its results are made of, in order."""

    @property
    def steps(self) -> int:
        """How often it runs."""

    @property
    def reverse(self) -> bool:
        """Whether it begins with the last step."""

    @property
    def body(self) -> object:
        """The record of the step: one object for equal steps."""

    @property
    def same(self) -> Hashable:
        """What is equal for those nodes alone that run the same steps, whatever they give out."""

    @property
    def segments(self) -> bool:
        """Whether each step is a loop over some of the steps that a user asked for."""

    @property
    def after(self) -> Expr | None:
        """The node with segments that this one goes on from; None where it is the first."""

    def values(self, exprs: Sequence[Expr]) -> list[Expr]:
        """Expressions of its nodes, for all steps: a new first axis."""

    def reach(
        self, results: Collection[int], known: Mapping[Expr, Array]
    ) -> tuple[Sequence[Reach], Collection[int]]:
        """What a differentiable path joins with some of its results: of each step, and which of
        its arguments. known: values of variables around it that decide it."""

    def back(self, cotangents: Sequence[Expr | None], crossing: Crossing | None) -> Reverse:
        """What comes back through the steps, of cotangents of its results, one for each channel.

        crossing: of two, how they go on within.
        """


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A node and where it lies.

    loops: the nodes that it lies in, from the outermost; none for a node of the graph itself.
    """

    loops: tuple[Expr, ...]
    node: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Spot:
    """All places of what a reader takes for one node.

    parts: the places by the part of the steps that they are run in, one number for each loop that
        the user wrote, in order of the stacks: a loop that was cut into segments may have two.
        Those of one part run the same steps, and their adjoints add up: loops that differ in their
        results only are one loop.
    """

    parts: Mapping[tuple[int, ...], tuple[Place, ...]]

    @property
    def node(self) -> Expr:
        """The node itself, in the graph that it is part of."""
        return self.places[0].node

    @property
    def places(self) -> tuple[Place, ...]:
        """Those of all parts."""
        return tuple([place for places in self.parts.values() for place in places])

    def alone(self) -> list[Spot]:
        """One for each of the loops that are one, each with what it alone gives out."""
        count = max(map(len, self.parts.values()))
        parts = [{t: ps[k : k + 1] for t, ps in self.parts.items()} for k in range(count)]
        return [Spot({t: places for t, places in some.items() if places}) for some in parts]

    def argument(self, position: object) -> int:
        """The position of one of the node's arguments. Raises GraphError, or DTypeError for what is
        no whole number."""
        index = as_integer(position, "the position of an argument")
        if not 0 <= index < len(self.node.args):
            raise GraphError(f"{describe(self.node)} has no argument {index}")
        return index

    @property
    def loops(self) -> tuple[Expr, ...]:
        """The loops that the user wrote, from the outermost: one place's, without segments."""
        return _written(self.places[0].loops)

    @property
    def lengths(self) -> list[dict[int, int]]:
        """For each of these loops {part: how many of the steps it runs}."""
        lengths: list[dict[int, int]] = [{} for _ in self.loops]
        for turns, places in self.parts.items():
            for by_turn, turn, steps in zip(lengths, turns, steps_of(places[0].loops), strict=True):
                by_turn[turn] = steps
        return lengths

    @property
    def steps(self) -> tuple[int, ...]:
        """How many steps there are of each of these loops."""
        return tuple([sum(by_turn.values()) for by_turn in self.lengths])

    def __repr__(self) -> str:
        loops = [f", in the loop made at {loop.origin}" for loop in reversed(self.loops)]
        return f"<{describe(self.node)}{''.join(loops)}>"


def _written(loops: Sequence[Expr]) -> tuple[Expr, ...]:
    """Without loops over a single segment."""
    return tuple([n for k, n in enumerate(loops) if not k or not inside_of(loops[k - 1]).segments])


def steps_of(loops: Sequence[Expr]) -> tuple[int, ...]:
    """The steps of each loop that the user wrote, of nested loops and segments."""
    steps: list[int] = []
    cut = False
    for inside in map(inside_of, loops):
        if cut:
            steps[-1] *= inside.steps
        else:
            steps.append(inside.steps)
        cut = inside.segments
    return tuple(steps)


def inside_of(node: Expr) -> Inside:
    """A node that runs a graph, looked into."""
    assert node.op.inside is not None
    return node.op.inside(node)


# --- the user's nodes ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """What stands for a node that a step function made.

    loops: those that run it; body: the record of their step.
    """

    node: Expr
    loops: tuple[Expr, ...]
    body: object


def note_images(images: Mapping[Expr, Expr], loops: Sequence[Expr], body: object) -> None:
    """Note for nodes that a step function made which nodes of these loops stand for them.

    A name goes over: equal expressions have one, the last that was given.
    """
    for node, image in images.items():
        if node is not image:
            object.__setattr__(node, "_image", Image(image, tuple(loops), body))
            if node.label is not None:
                object.__setattr__(image, "label", node.label)


def image_of(node: Expr) -> Image | None:
    """What stands for a node that a step function made; None for others."""
    return getattr(node, "_image", None)


# --- finding -------------------------------------------------------------------------------------


class Places:
    """All nodes of a graph, those of its loops' steps included, each with its places."""

    def __init__(self, outputs: Iterable[Expr]) -> None:
        self._by_node: dict[Expr, list[Place]] = {}
        self._insides: dict[Expr, Inside] = {}
        waiting: list[tuple[tuple[Expr, ...], Sequence[Expr]]] = [((), toposort(outputs))]
        for loops, nodes in waiting:
            of_user = not loops or not self._insides[loops[-1]].segments
            for node in nodes:
                if of_user:
                    self._by_node.setdefault(node, []).append(Place(loops, node))
                if node.op.inside is not None:
                    inside = self._insides.setdefault(node, node.op.inside(node))
                    waiting.append(((*loops, node), inside.nodes))

    def find(self, what: Expr | str | Spot) -> Spot:
        """Where a node lies, or the one node of a name; a place that an equal graph told is found
        again.

        A node that a step of `scan` made stands for what the loop made of it, in that loop; where
        the loop has been rewritten since, in the one loop that has the same step.

        Raises GraphError for what is not in the graph, and lists what several places have.
        """
        if isinstance(what, Spot):
            return self._again(what)
        spots = self.all(what)
        if len(spots) == 1:
            return spots[0]
        if not spots:
            raise self._absent(what)
        listed = "".join([f"\n  {spot!r}" for spot in spots[:_MOST_LISTED]])
        rest = "\n  …" * (len(spots) > _MOST_LISTED)
        raise GraphError(
            f"{_shown(what)} is in {len(spots)} places; give the node that the step made, or one "
            f"of places():{listed}{rest}"
        )

    def _again(self, told: Spot) -> Spot:
        loops = [*map(id, told.loops)]
        for spot in self.all(told.node):
            if [*map(id, spot.loops)] == loops:
                return spot
        raise GraphError(f"{told!r} is not part of the graph: places are told by those of its own")

    def all(self, what: Expr | str) -> list[Spot]:
        """Each place of a node, or of the nodes of a name, in order of the graph; maybe none."""
        if isinstance(what, str):
            named = [n for n in self._by_node if n.name == what and n.op is not PLACEHOLDER]
            return [spot for n in named for spot in self._spots(self._by_node[n])]
        if not isinstance(what, Expr):
            raise GraphError(f"a node or its name is needed, not {what!r:.60}")
        if what in self._by_node:
            return self._spots(self._by_node[what])
        if (image := image_of(what)) is None:
            return []
        spots = self._spots(self._by_node.get(image.node, []))
        meant = set(map(id, self._of_image(image)))
        return [spot for spot in spots if any(id(place) in meant for place in spot.places)]

    def _spots(self, places: Iterable[Place]) -> list[Spot]:
        """The places of one node, by what they are for a reader."""
        groups: dict[Hashable, dict[tuple[int, ...], list[Place]]] = {}
        for place in places:
            ways = self._ways(place.loops)
            parts = groups.setdefault(tuple([first for first, _ in ways]), {})
            parts.setdefault(tuple([turn for _, turn in ways]), []).append(place)
        return [
            Spot({turns: tuple(parts[turns]) for turns in sorted(parts)})
            for parts in groups.values()
        ]

    def names(self) -> list[str]:
        """The names that there are."""
        names = [n.name for n in self._by_node if n.op is not PLACEHOLDER]
        return sorted({name for name in names if name})

    def _of_image(self, image: Image) -> list[Place]:
        """The places of what stands for a node, in the loop that it was made for, if it is there.

        Loops that were made anew since are known by their step.
        """
        places = [
            place
            for place in self._by_node.get(image.node, [])
            if place.loops and self._insides[place.loops[-1]].body is image.body
        ]
        level = 0
        images = [image]
        while images:
            level += 1
            loops = images[0].loops
            images = [i for loop in loops if (i := image_of(loop)) is not None]
            now = {*loops, *(i.node for i in images)}
            places = [p for p in places if _loop_at(p, level) in now] or places
        return places

    def _ways(self, loops: Sequence[Expr]) -> list[tuple[Hashable, int]]:
        """For each loop that the user wrote what it is, and which part of its steps this one runs.

        A loop over segments may go on from another one.
        """
        ways: list[tuple[Hashable, int]] = []
        for loop in _written(loops):
            inside = self._insides[loop]
            first, turn = inside, 0
            while (before := first.after) is not None and before in self._insides:
                first, turn = self._insides[before], turn + 1
            ways.append((first.same, -turn if inside.reverse else turn))
        return ways

    def _absent(self, what: Expr | str) -> GraphError:
        if isinstance(what, Expr):
            return GraphError(
                f"{describe(what)} is not part of the graph, nor of a step of its loops"
            )
        names = self.names()
        listed = ", ".join(map(repr, names[:_MOST_LISTED])) + ", …" * (len(names) > _MOST_LISTED)
        return GraphError(f"no node is named {what!r}; there are {listed or 'no names'}")


def _loop_at(place: Place, level: int) -> Expr | None:
    """The loop that the user wrote so many levels above a node."""
    loops = _written(place.loops)
    return loops[-level] if level <= len(loops) else None


def _shown(what: Expr | str) -> str:
    return describe(what) if isinstance(what, Expr) else f"the name {what!r}"
