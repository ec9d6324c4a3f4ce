"""What users read of a reverse sweep: adjoints, edge terms and splits, within loops too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from minigrad.derivatives.chained import Chained, links_of
from minigrad.derivatives.sweep import Reach, Reverse, Split, Sweep, reach, sum_or_none
from minigrad.errors import GraphError
from minigrad.graph.leaves import PLACEHOLDER
from minigrad.graph.node import Expr, describe, require_expr
from minigrad.graph.places import Place, Places, Spot, image_of, inside_of, steps_of
from minigrad.graph.walk import free_variables, toposort
from minigrad.lazy import lazy
from minigrad.ops.core import reshape
from minigrad.ops.creation import ones_like, zeros, zeros_like
from minigrad.ops.shape import concat
from minigrad.types import Array, as_items

T = TypeVar("T")

What: TypeAlias = Expr | str | Spot
"""A node, of the graph or of a loop's step; its name; or one of several places that have it."""
Stacker: TypeAlias = "Callable[[Sequence[Expr]], list[Expr]]"
"""Expressions of a step, stacked over the steps of one loop."""
Pick: TypeAlias = "Callable[[Sweep, Expr], list[Expr | None]]"
"""What is read of a node in the sweep over the graph that it is in; None is zero."""


class Adjoints:
    """Every adjoint of one reverse sweep from y; see `adjoints`.

    A node is given by itself, by its name (`named`), or by its place. What a step of `scan` made
    stands for all steps of its loop: what is read of it is stacked over them, (T, ...), and over
    those of the loops around, the outermost first; row t is of the step that reads xs[t]. It is
    computed by the loops themselves, and nothing is unrolled. Raises GraphError for a name that no
    node has, or several have, and for what a step made and its loop does not read.

    >>> import minigrad as mg
    >>> xs = mg.var("xs", (3,))
    >>> def step(c, x):
    ...     c = (x * c).named("kept") + (2 * c).named("added")
    ...     return c.named("c"), None
    >>> adj = mg.adjoints(mg.scan(step, mg.const(1.0), xs)[0])
    >>> adj.value("c").eval({xs: [1, 2, 3]}), adj["c"].eval({xs: [1, 2, 3]})
    (array([ 3., 12., 60.]), array([20.,  5.,  1.]))
    >>> adj.edge("kept", 1).eval({xs: [1, 2, 3]})  # c's term of x * c
    array([20., 10.,  3.])
    >>> [part.eval({xs: [1, 2, 3]}) for part in adj.split("c", through=["added"])]
    [array([14.,  2.,  0.]), array([6., 3., 1.])]
    >>> adj.connected("c")
    array([ True,  True,  True])
    """

    def __init__(self, y: Expr, cotangent: Expr | None = None) -> None:
        self.y = y
        self.order = toposort(y)
        self._sweep = Sweep(self.order, [(y, ones_like(y) if cotangent is None else cotangent)])

    def __repr__(self) -> str:
        terms = self._sweep.terms
        reached = {self.y} | {user.args[position] for user, position in terms}
        nodes = f"{len(reached):,} of {len(self.order):,} nodes"
        return f"<Adjoints of {self.y!r}: {nodes}, {len(terms):,} edges>"

    @lazy
    def _nodes(self) -> frozenset[Expr]:
        return frozenset(self.order)

    @lazy
    def _places(self) -> Places:
        return Places([self.y])

    def places(self, what: What) -> list[Spot]:
        """Where a node is, or all nodes of a name, in order of the graph: maybe none.

        Each is taken in the place of a node by all that reads one: it tells several of one name
        apart.
        """
        return [what] if isinstance(what, Spot) else self._places.all(what)

    def __contains__(self, node: Expr) -> bool:
        """Whether y depends on the node through a differentiable path."""
        return self.get(node) is not None

    def get(self, node: What) -> Expr | None:
        """∂y/∂node, or None where no differentiable path connects the two."""
        (adjoint,) = _parts(self._find(node), self._sweep)
        return adjoint

    def __getitem__(self, node: What) -> Expr:
        """∂y/∂node; zeros where no differentiable path connects the two.

        Of a node in a loop's step the stack over its steps, (T, ...); of nested loops (T_outer,
        T_inner, ...). Row t is of the step that reads xs[t].
        """
        spot = self._find(node)
        return _or_zeros(_parts(spot, self._sweep), spot)[0]

    def value(self, node: What) -> Expr:
        """The node itself; of a node in a loop's step the stack of its values, (T, ...)."""
        spot = self._find(node)
        # Where several places run the same steps, the values are the same.
        stacks = {turns: _values(places[0]) for turns, places in spot.parts.items()}
        return _or_zeros(_joined(spot, stacks), spot)[0]

    def terms(self) -> Mapping[tuple[Expr, int], Expr]:
        """All edge terms that are not structurally zero, by (user, position)."""
        return self._sweep.terms

    def edge(self, user: What, position: int) -> Expr:
        """The term that one use of a value contributes: of user.args[position], through user.

        Raises GraphError for an edge that the graph of y does not have.
        """
        if not isinstance(user, (str, Spot)):
            require_expr(user, "take the edge of")
        spot = self._find(user)
        position = spot.argument(position)
        if not spot.loops and spot.node not in self._nodes:
            raise GraphError(f"{describe(spot.node)} is not part of the differentiated graph")
        terms = read(spot, self._sweep, lambda s, n: [s.terms.get((n, position))], 1)
        return _or_zeros(terms, spot, spot.node.args[position])[0]

    def edges(self, node: What) -> dict[tuple[Expr, int], Expr]:
        """The terms of all uses of a node by (user, position), which add up to its adjoint.

        What the loop takes out of a step is a use too, by the loop: (loop, k) is its k-th result;
        the last carries come first, and of one the term is what the next step sends back.
        """
        terms: dict[tuple[Expr, int], Expr] = {}
        for spot in self._find(node).alone():
            for use, term in self._edges(spot).items():
                terms[use] = terms[use] + term if use in terms else term
        return terms

    def _edges(self, spot: Spot) -> dict[tuple[Expr, int], Expr]:
        """Those of a node in one loop."""
        loops, node = spot.places[0].loops, spot.node
        inside = inside_of(loops[-1]) if loops else None
        order, outputs = (inside.nodes, inside.outputs) if inside else (self.order, ())
        uses = [(user, i) for user in order for i, a in enumerate(user.args) if a is node]
        results = [k for k, output in enumerate(outputs) if output is node]

        def pick(sweep: Sweep, node: Expr) -> list[Expr | None]:
            return [*map(sweep.terms.get, uses), *(sweep.seeds[k][1] for k in results)]

        keys = [*uses, *((loops[-1], k) for k in results)]
        terms = read(spot, self._sweep, pick, len(keys))
        return {use: t for use, t in zip(keys, terms, strict=True) if t is not None}

    def connected(self, node: What) -> bool | Array:
        """Whether a differentiable path joins y and the node, whatever the numbers are.

        A bool; of a node in a loop's step an array of bools, one a step: (T,).
        """
        spot = self._find(node)
        of_parts = {
            turns: np.logical_or.reduce([self._joined(place) for place in places])
            for turns, places in spot.parts.items()
        }
        return put_together(of_parts, np.concatenate) if spot.loops else bool(of_parts[()])

    def _joined(self, place: Place) -> Array:
        reaches: list[Reach | None] = [self._reach]
        for loop in place.loops:
            nowhere = [None] * inside_of(loop).steps
            within = [nowhere if r is None else r.within.get(loop, nowhere) for r in reaches]
            reaches = [step for steps in within for step in steps]
        joined = [r is not None and place.node in r.joined for r in reaches]
        return np.array(joined, np.bool_).reshape(steps_of(place.loops))

    @lazy
    def _reach(self) -> Reach:
        return reach(self.order, self._sweep.terms, [self.y], {})

    def split(self, node: What, through: What | Iterable[What]) -> tuple[Expr, Expr]:
        """∂y/∂node as (through, around): the paths that pass a node of the set, and the rest.

        The two sum to the adjoint. Both ends of a path count as passed. A node of a loop's step
        stands for all steps: passing it in any of them counts.
        """
        return self.splits([node], through)[node]

    def splits(
        self, nodes: What | Iterable[What], through: What | Iterable[What]
    ) -> dict[What, tuple[Expr, Expr]]:
        """`split` for several nodes and one set, in one sweep: linear in the graph."""
        wanted = {node: self._find(node) for node in _listed(nodes, "the nodes of splits")}
        passed_by = _listed(through, "what a split goes through")
        gates = [place for what in passed_by for place in self._find(what).places]
        until = [p.loops[0] if p.loops else p.node for s in wanted.values() for p in s.places]
        split = Split(self.order, [], self._sweep.seeds, gates, until=until)
        parts = {n: _or_zeros(_parts(s, split), s) for n, s in wanted.items()}
        return {node: (passed, around) for node, (passed, around) in parts.items()}

    def along(self, chain: What | Iterable[What]) -> list[tuple[Expr, Expr]]:
        """For each node of a chain, ∂y/∂node as (along, around): what came by every later node of
        the chain, and what left one of them out. The two sum to the adjoint.

        chain: nodes, the one nearest the input first, each of which the next depends on. A node of
        a loop's step stands for all steps, which a path passes one by one; of several in one loop
        it passes all of them in each. Raises GraphError where one does not depend on the one
        before.

        >>> import minigrad as mg
        >>> xs = mg.var("xs", (3,))
        >>> step = lambda c, x: ((x * c + 1.0).named("c"), None)
        >>> adj = mg.adjoints(mg.scan(step, mg.const(1.0), xs)[0])
        >>> [(along, around)] = adj.along(["c"])
        >>> along.eval({xs: [1, 2, 3]})
        array([6., 3., 1.])
        """
        spots = [self._find(what) for what in _listed(chain, "a chain")]
        sweep = Chained(self.order, self._sweep.seeds, [], links_of(spots))
        parts = [_or_zeros(_parts(spot, sweep), spot) for spot in spots]
        return [(along, around) for along, around in parts]

    # --- places ----------------------------------------------------------------------------------

    def _find(self, what: What) -> Spot:
        """Where a node is that is meant: in the graph of y, or within its loops."""
        if isinstance(what, Spot):
            return what
        if isinstance(what, Expr) and (what in self._nodes or self._is_elsewhere(what)):
            return Spot({(): (Place((), what),)})
        return self._places.find(what)

    def _is_elsewhere(self, node: Expr) -> bool:
        """Whether a node has nothing to do with y, nor with a step of a loop: y is constant in it.

        Raises GraphError for what a step made and its loop does not read.
        """
        if image_of(node) is not None or self._places.all(node):
            return False
        return all(v.op is not PLACEHOLDER for v in free_variables(node))


def _listed(what: What | Iterable[What], said: str) -> list[What]:
    """Several of what is read, or one, as a list."""
    return [what] if isinstance(what, (str, Expr, Spot)) else as_items(what, said)


# --- stacks over the steps of loops --------------------------------------------------------------


def _parts(spot: Spot, sweep: Sweep) -> list[Expr | None]:
    return read(spot, sweep, lambda s, n: s.parts(n), sweep.channels)


def read(spot: Spot, sweep: Sweep, pick: Pick, count: int) -> list[Expr | None]:
    """What `pick` reads of a node; of one in a loop's step, stacked over the steps.

    count: how many expressions that is, which are None where nothing comes back to its loop.
    """
    of_parts: dict[tuple[int, ...], list[Expr | None]] = {}
    for turns, places in spot.parts.items():
        of_places = [_read_at(place, sweep, pick, count) for place in places]
        of_parts[turns] = list(map(sum_or_none, zip(*of_places, strict=True)))
    return _joined(spot, of_parts)


def _read_at(place: Place, sweep: Sweep, pick: Pick, count: int) -> list[Expr | None]:
    ways = ways_to(sweep, place.loops)
    if len(ways) < len(place.loops):
        return [None] * count
    picked = pick(ways[-1].sweep if ways else sweep, place.node)
    return lifted(place, picked, [way.stacks for way in ways])


def ways_to(sweep: Sweep, loops: Sequence[Expr]) -> list[Reverse]:
    """What comes back through each of the loops, down to one through which nothing does."""
    ways: list[Reverse] = []
    for loop in loops:
        way = sweep.within(loop)
        if way is None:
            break
        ways.append(way)
        sweep = way.sweep
    return ways


def _values(place: Place) -> list[Expr | None]:
    return lifted(place, [place.node], [inside_of(loop).values for loop in place.loops])


def lifted(
    place: Place, exprs: Sequence[Expr | None], stackers: Sequence[Stacker]
) -> list[Expr | None]:
    """Expressions of a step as expressions of the graph: a new axis for each loop around it.

    stackers: of each of the loops, from the outermost, what stacks expressions of its steps.
    """
    stacks = [e for e in exprs if e is not None]
    for loop, stacker in zip(reversed(place.loops), reversed(stackers), strict=True):
        stacks = stacker(stacks) if stacks else []
        if inside_of(loop).segments:
            stacks = [reshape(s, (s.shape[0] * s.shape[1], *s.shape[2:])) for s in stacks]
    rest = iter(stacks)
    return [None if e is None else next(rest) for e in exprs]


def _joined(
    spot: Spot, of_parts: Mapping[tuple[int, ...], Sequence[Expr | None]]
) -> list[Expr | None]:
    """The stacks of all steps, of those of the parts; None where there is nothing anywhere."""
    if len(of_parts) == 1:
        return list(*of_parts.values())
    joined: list[Expr | None] = []
    for stacks in zip(*of_parts.values(), strict=True):
        like = next((s for s in stacks if s is not None), None)
        if like is None:
            joined.append(None)
            continue
        rest = like.shape[len(spot.loops) :]
        filled = {
            turns: zeros((*steps_of(spot.parts[turns][0].loops), *rest), like.dtype)
            if stack is None
            else stack
            for turns, stack in zip(of_parts, stacks, strict=True)
        }
        joined.append(put_together(filled, concat))
    return joined


def put_together(parts: Mapping[tuple[int, ...], T], concatenate: Callable[[list[T], int], T]) -> T:
    """Parts of a stack put together along the axes that their turns count."""
    for axis in reversed(range(len(next(iter(parts))))):
        rows: dict[tuple[int, ...], list[T]] = {}
        for turns, part in parts.items():
            rows.setdefault(turns[:axis], []).append(part)
        parts = {turns: concatenate(row, axis) for turns, row in rows.items()}
    return parts[()]


def _or_zeros(parts: Sequence[Expr | None], spot: Spot, like: Expr | None = None) -> list[Expr]:
    node = spot.node if like is None else like
    if not spot.loops:
        return [zeros_like(node) if part is None else part for part in parts]
    shape = (*spot.steps, *node.shape)
    return [zeros(shape, node.dtype) if part is None else part for part in parts]
