"""How a picture is to be made: what callers may choose, and that each choice means something.

An option for a node that the graph has not, or of a kind that nothing reads, would change nothing
without a word: it is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from minigrad.drawing.theme import Scale
from minigrad.errors import DTypeError, GraphError
from minigrad.graph.leaves import VAR
from minigrad.graph.node import Expr, describe
from minigrad.graph.places import image_of
from minigrad.graph.walk import free_variables
from minigrad.types import as_integer, as_items

LIMIT = 2000
_LOOPS = ("rolled", "folded")
_DIRECTIONS = ("LR", "TB", "RL", "BT")


@dataclass(frozen=True, slots=True)
class Options:
    """How to make a picture; see `minigrad.drawing`, whose arguments these are."""

    names: Mapping[Expr, str] = field(default_factory=dict)
    groups: Mapping[str, Iterable[Expr]] = field(default_factory=dict)
    lanes: Mapping[str, Iterable[Expr]] = field(default_factory=dict)
    places: Mapping[Expr, tuple[float, float]] = field(default_factory=dict)
    bends: Mapping[tuple[Expr, Expr], Sequence[tuple[float, float]]] = field(default_factory=dict)
    shapes: bool = True
    inline: Iterable[Expr] = ()
    scale: Scale | None = None
    direction: str = "LR"
    limit: int | None = LIMIT
    title: str | None = None
    loops: str | int = "rolled"
    fold: bool = True
    pin: Iterable[int] = ()
    is_slide: bool = False
    lines: Iterable[Expr] = ()
    """What the lines of loops pass whose steps are written out."""


def check_options(options: Options) -> Options:
    """The options, each of its kind, with lists in place of what is gone through once.

    Raises DTypeError or GraphError.
    """
    if options.direction not in _DIRECTIONS:
        raise GraphError(f"direction is 'LR', 'RL', 'TB' or 'BT', not {options.direction!r:.60}")
    if options.limit is not None and (type(options.limit) is not int or options.limit < 1):
        raise GraphError(
            f"limit is how many nodes a picture may have, at least 1, or None for any number of "
            f"them; not {options.limit!r:.60}"
        )
    _check_loops(options.loops)
    if type(options.fold) is not bool:
        raise DTypeError(f"fold is True or False, not {options.fold!r:.60}")
    if not isinstance(options.title, str | None):
        raise DTypeError(f"title is text, not {options.title!r:.60}")
    if not isinstance(options.scale, Scale | None):
        raise DTypeError(f"scale is a minigrad.drawing.Scale, not {options.scale!r:.60}")
    _check_notes("names", options.names, _is_text, '{x: "input"}')
    _check_notes("places", options.places, _is_place, "{x: (0.0, 40.0)}")
    _check_bends(options.bends)
    inline = as_items(options.inline, "inline")
    for node in inline:
        _require_node(node, "inline")
    return Options(
        names=options.names,
        groups=_sets("groups", options.groups),
        lanes=_sets("lanes", options.lanes),
        places=options.places,
        bends=options.bends,
        shapes=options.shapes,
        inline=inline,
        scale=options.scale,
        direction=options.direction,
        limit=options.limit,
        title=options.title,
        loops=options.loops,
        fold=options.fold,
        pin=_steps(options.pin),
        is_slide=options.is_slide,
    )


def _steps(pin: Any) -> list[int]:
    """Numbers of steps that stay visible."""
    return [as_integer(step, "a step of pin=") for step in as_items(pin, "pin")]


def _check_loops(loops: object) -> None:
    if loops not in _LOOPS and (type(loops) is not int or loops < 1):
        raise GraphError(
            "loops is 'rolled', 'folded', or how many of their first steps are written out, at "
            f"least 1; not {loops!r:.60}"
        )


def of_other_nodes(
    options: Options, new: Mapping[Expr, Expr], steps: Mapping[str, Iterable[Expr]]
) -> Options:
    """The options for a graph of other nodes, with boxes around steps beside the groups."""

    def all_new(nodes: Iterable[Expr]) -> list[Expr]:
        return [new.get(n, n) for n in nodes]

    return replace(
        options,
        names={new.get(n, n): name for n, name in options.names.items()},
        places={new.get(n, n): place for n, place in options.places.items()},
        bends={(new.get(n, n), new.get(u, u)): at for (n, u), at in options.bends.items()},
        groups={**{t: all_new(ns) for t, ns in options.groups.items()}, **steps},
        lanes={t: all_new(ns) for t, ns in options.lanes.items()},
        inline=all_new(options.inline),
    )


def check_nodes(options: Options, nodes: Collection[Expr]) -> None:
    """Raise GraphError where an option speaks of a node that is none of the graph's nodes."""
    spoken_of: dict[str, Iterable[Expr]] = {
        "names": options.names,
        "places": options.places,
        "bends": [node for ends in options.bends for node in ends],
        "inline": options.inline,
    }
    spoken_of |= {f"groups[{title!r}]": members for title, members in options.groups.items()}
    spoken_of |= {f"lanes[{key!r}]": members for key, members in options.lanes.items()}
    for what, members in spoken_of.items():
        for node in members:
            if meant_by(node)[0] not in nodes:
                raise GraphError(
                    f"{what} has {describe(node)}, which is no part of the graph that is drawn"
                )


def meant_by(node: Expr) -> tuple[Expr, object]:
    """The node that stands for one, and the record of its step: of what a step of `scan` made,
    what the loop made of it; of others themselves, and None."""
    image = image_of(node)
    return (node, None) if image is None else (image.node, image.body)


def check_bindings(at: Mapping[Any, Any], roots: Sequence[Expr]) -> None:
    """Raise GraphError where `at` gives a value to a variable that the graph has not."""
    if not isinstance(at, Mapping):
        raise GraphError(f"at is a dict of values, as in at={{x: 1.0}}, not {at!r:.60}")
    variables = dict.fromkeys(free_variables(roots))
    for key in at:
        if isinstance(key, Expr) and key.op is VAR and key not in variables:
            names = ", ".join([str(v.name) for v in variables][:5]) or "none"
            raise GraphError(
                f"at gives a value to {describe(key)}, which is no part of the graph that is "
                f"drawn; its variables: {names}"
            )


def _check_notes(what: str, notes: Any, is_right: Callable[[object], bool], example: str) -> None:
    """Raise DTypeError unless something is noted of nodes in a dict, as in the example."""
    if not isinstance(notes, Mapping):
        raise DTypeError(f"{what} is a dict, such as {example}, not {notes!r:.60}")
    for node, value in notes.items():
        _require_node(node, what)
        if not is_right(value):
            raise DTypeError(f"{what} is a dict, such as {example}; it has {value!r:.60}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_place(value: object) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(isinstance(x, Real) for x in value)


def _check_bends(bends: Any) -> None:
    """Raise DTypeError unless arrows have corners."""
    example = "{(x, y): [(0.0, 40.0)]}"
    if not isinstance(bends, Mapping):
        raise DTypeError(f"bends is a dict, such as {example}, not {bends!r:.60}")
    for ends, corners in bends.items():
        if not isinstance(ends, tuple) or len(ends) != 2:
            raise DTypeError(f"bends is of pairs (node, user), such as {example}, not {ends!r:.60}")
        for node in ends:
            _require_node(node, "bends")
        if not isinstance(corners, (list, tuple)) or not all(map(_is_place, corners)):
            raise DTypeError(f"bends is a dict, such as {example}; it has {corners!r:.60}")


def _require_node(node: object, what: str) -> None:
    if not isinstance(node, Expr):
        raise DTypeError(f"{what} holds {node!r:.60}, which is no expression")


def _sets(what: str, sets: Any) -> dict[str, list[Expr]]:
    """Sets of nodes by their titles, each as a list."""
    if not isinstance(sets, Mapping):
        raise DTypeError(f"{what} is {{title: [nodes]}}, not {sets!r:.60}")
    checked: dict[str, list[Expr]] = {}
    for title, nodes in sets.items():
        if isinstance(nodes, Expr):
            raise DTypeError(f"{what}[{title!r}] is a list of nodes, not {describe(nodes)}")
        checked[str(title)] = as_items(nodes, f"{what}[{title!r}]")
        for node in checked[str(title)]:
            _require_node(node, f"{what}[{title!r}]")
    return checked
