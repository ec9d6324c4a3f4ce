"""Routes of a gradient, changed in the graph: the same values, and of some edges a share.

What it cuts is named by edges and nodes, inside loops too; there a factor may differ by the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import const, placeholder
from minigrad.graph.node import Expr, describe, rebuild
from minigrad.graph.places import Places, Spot, inside_of
from minigrad.graph.walk import map_graph, roots_of
from minigrad.loop.body import Call
from minigrad.names import public
from minigrad.ops.core import astype, broadcast_to, reshape
from minigrad.ops.custom import scale_gradient
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.types import Shape, TupleType


@dataclass(frozen=True, eq=False)
class _Route:
    """A node, or one use of it, and how much of what comes back there goes on."""

    loops: tuple[Expr, ...]
    """That it lies in, from the outermost."""
    node: Expr
    position: int | None
    """Of the edge, among the arguments of the node; None: all uses of the node itself."""
    factor: Expr
    """The axes of the steps, of all loops, first; or a single number."""


@public
def reroute(y: Any, factors: Mapping[Any, Any]) -> Any:
    """The same graph, in which some edges let a share of the gradient through: {what: factor}.

    y: an expression, or several, which stay one graph. Their values are what they were. What is
        given a factor is
        (user, position)  an edge: what comes back to user.args[position] through user;
        a node            all that comes back to it;
        a name            the node of that name (`Expr.named`), for a user, too.
        A node that the step of a loop made stands for what is in the loop, at all of its steps.
    factor: a number, or numbers that broadcast to the node; 0 cuts. Of a node in the step of a loop
        a number holds for all steps; others begin with the axis of the steps, (T, ...), T in the
        order of xs, and (T_outer, T_inner, ...) of nested loops.

    The gradient of what comes of it less that of y is what the edge contributes, exactly, to a
    parameter, or to any node that lies before all edges; nodes behind them are others, as in
    `substitute`: give y and the node, and take what becomes of both. Factors for one node and its
    edges multiply.

    Raises GraphError for what is not in the graph of y, and for a name of none or of several nodes;
    ShapeError for a factor that does not broadcast; DTypeError where no gradient comes back.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> a, b = mg.sin(x).named("a"), 3 * x
    >>> y = a * b
    >>> adj, cut = mg.adjoints(y), mg.grad(mg.reroute(y, {"a": 0}), x)
    >>> float(mg.grad(y, x).eval({x: 2.0}) - cut.eval({x: 2.0})) == float(
    ...     adj.edge(a, 0).eval({x: 2.0}))
    True
    """
    roots = roots_of(y)
    if not isinstance(factors, Mapping):
        raise GraphError(f"factors are a dict {{what: factor}}, not {factors!r:.60}")
    places = Places(roots)
    routes = [r for what, factor in factors.items() for r in _routes(what, factor, places)]
    changed = _rerouted(roots, routes)
    return changed[0] if isinstance(y, Expr) else changed


def _rerouted(roots: Sequence[Expr], routes: Iterable[_Route]) -> list[Expr]:
    nodes: dict[Expr, list[Expr]] = {}
    edges: dict[tuple[Expr, int], list[Expr]] = {}
    below: dict[Expr, list[_Route]] = {}
    for route in routes:
        if route.loops:
            below.setdefault(route.loops[0], []).append(route)
        elif route.position is None:
            nodes.setdefault(route.node, []).append(route.factor)
        else:
            edges.setdefault((route.node, route.position), []).append(route.factor)

    def change(node: Expr, new: Mapping[Expr, Expr]) -> Expr:
        args = [_scaled(new[a], edges.get((node, k), ())) for k, a in enumerate(node.args)]
        if node in below:
            changed = _in_loop(Call.of(node, args), below[node])
        elif node.op is ITEM:
            changed = item(args[0], node.attrs[0])
        else:
            changed = rebuild(node, tuple(args))
        return _scaled(changed, nodes.get(node, ()))

    return map_graph(roots, change)


def _scaled(x: Expr, factors: Iterable[Expr]) -> Expr:
    for factor in factors:
        x = scale_gradient(x, factor)
    return x


def _in_loop(call: Call, routes: Iterable[_Route]) -> Expr:
    """The loop over a body with these routes; factors that differ by the step are inputs of it."""
    xs, inner = dict(call.xs), []
    for route in routes:
        factor = route.factor
        if factor.ndim:
            v = placeholder("x", factor.type.with_shape(factor.shape[1:]))
            xs[v], factor = factor, v
        inner.append(replace(route, loops=route.loops[1:], factor=factor))
    return tuple_of(replace(call, xs=xs).giving(_rerouted(call.body.outputs, inner)))


# --- what is meant -------------------------------------------------------------------------------


def _routes(what: Any, factor: Any, places: Places) -> Iterator[_Route]:
    """A route for each place of what is given a factor."""
    named, position = what if isinstance(what, tuple) and len(what) == 2 else (what, None)
    if not isinstance(named, Expr | str | Spot):
        raise GraphError(f"{what!r:.60} is no node, no name, and no edge (user, position)")
    spot = places.find(named)
    position = None if position is None else spot.argument(position)
    x = spot.node if position is None else spot.node.args[position]
    fitted = _fitted(factor, x, spot.steps)
    for turns, part in spot.parts.items():
        of_part = _of_part(fitted, turns, spot)
        for place in part:
            yield _Route(place.loops, place.node, position, of_part)


def _of_part(factor: Expr, turns: tuple[int, ...], spot: Spot) -> Expr:
    """What of a factor is for the steps that one part runs, as its loops run them."""
    if not factor.ndim:
        return factor
    cuts = []
    for by_turn, turn in zip(spot.lengths, turns, strict=True):
        start = sum(n for t, n in by_turn.items() if t < turn)
        cuts.append(slice(start, start + by_turn[turn]))
    steps = tuple([inside_of(loop).steps for loop in spot.parts[turns][0].loops])
    return reshape(factor[tuple(cuts)], steps + factor.shape[len(cuts) :])


def _fitted(factor: Any, x: Expr, steps: Shape) -> Expr:
    """The factor of a node in steps of so many: a single number, or the axes of all steps first,
    and then what broadcasts to the node. Raises GraphError, DTypeError or ShapeError."""
    if isinstance(x.type, TupleType):
        raise GraphError(f"{describe(x)} has several results; give a factor to one of them")
    if not x.type.is_float:
        raise DTypeError(f"no gradient comes back to {describe(x)}: it is of no float dtype")
    f = astype(factor, x.dtype) if isinstance(factor, Expr) else const(factor, x.dtype)
    if not f.ndim:
        return f
    rest = f.shape[len(steps) :]
    if (
        f.ndim < len(steps)
        or not _broadcasts(f.shape[: len(steps)], steps)
        or not _broadcasts(rest, x.shape)
    ):
        raise ShapeError(
            f"a factor of shape {f.shape} is given for {describe(x)}; give a number, or numbers "
            f"that broadcast to {steps + x.shape}" + ", with the axes of the steps" * bool(steps)
        )
    return broadcast_to(f, steps + rest)


def _broadcasts(shape: Shape, to: Shape) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)
