"""Routes of a gradient, changed in the graph: the same values, and of some edges a share.

What it cuts is named by edges and nodes, inside loops too; there a factor may differ by the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import const, placeholder
from minigrad.graph.node import Expr, describe, rebuild
from minigrad.graph.walk import map_graph, roots_of, toposort
from minigrad.loop.body import Call
from minigrad.loop.node import SCAN
from minigrad.names import did_you_mean, public
from minigrad.ops.core import astype, broadcast_to
from minigrad.ops.custom import scale_gradient
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.types import Shape, TupleType

Path: TypeAlias = tuple[Expr, ...]
"""Loops, from the outermost to the one that something lies in; () is outside of all."""


@dataclass(frozen=True, eq=False)
class _Route:
    """A node, or one use of it, and how much of what comes back there goes on."""

    path: Path
    node: Expr
    position: int | None
    """Of the edge, among the arguments of the node; None: all uses of the node itself."""
    factor: Expr
    """The axes of the steps, of all loops on the path, first; or a single number."""


@public
def reroute(y: Any, factors: Mapping[Any, Any]) -> Any:
    """The same graph, in which some edges let a share of the gradient through: {what: factor}.

    y: an expression, or several, which stay one graph. Their values are what they were. What is
        given a factor is
        (user, position)  an edge: what comes back to user.args[position] through user;
        a node            all that comes back to it;
        a name            the node of that name (`Expr.named`), for a user, too.
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
    graphs = _graphs(roots)
    routes = [_route(what, factor, graphs) for what, factor in factors.items()]
    changed = _rerouted(roots, routes)
    return changed[0] if isinstance(y, Expr) else changed


def _rerouted(roots: Sequence[Expr], routes: Iterable[_Route]) -> list[Expr]:
    nodes: dict[Expr, list[Expr]] = {}
    edges: dict[tuple[Expr, int], list[Expr]] = {}
    below: dict[Expr, list[_Route]] = {}
    for route in routes:
        if route.path:
            below.setdefault(route.path[0], []).append(route)
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
        inner.append(replace(route, path=route.path[1:], factor=factor))
    return tuple_of(replace(call, xs=xs).giving(_rerouted(call.body.outputs, inner)))


# --- what is meant -------------------------------------------------------------------------------


def _graphs(roots: Sequence[Expr]) -> dict[Path, dict[Expr, None]]:
    """The nodes of a graph and of all bodies in it, by the loops that these are the bodies of."""
    graphs: dict[Path, dict[Expr, None]] = {}
    waiting: list[tuple[Path, Sequence[Expr]]] = [((), roots)]
    for path, outputs in waiting:
        graphs[path] = dict.fromkeys(toposort(outputs))
        waiting += [((*path, n), n.attrs[0].body.outputs) for n in graphs[path] if n.op is SCAN]
    return graphs


def _route(what: Any, factor: Any, graphs: Mapping[Path, Mapping[Expr, None]]) -> _Route:
    edge = isinstance(what, tuple) and len(what) == 2 and type(what[1]) is int
    named, position = what if edge else (what, None)
    path, node = _place(named, graphs)
    if position is not None and not 0 <= position < len(node.args):
        raise GraphError(f"{describe(node)} has no argument {position}")
    x = node if position is None else node.args[position]
    steps = tuple([loop.attrs[0].length for loop in path])
    return _Route(path, node, position, _fitted(factor, x, steps))


def _place(what: Any, graphs: Mapping[Path, Mapping[Expr, None]]) -> tuple[Path, Expr]:
    """Where the node is that is meant. Raises GraphError."""
    if isinstance(what, Expr):
        shown = describe(what)
        places = [(path, what) for path, nodes in graphs.items() if what in nodes]
    elif isinstance(what, str):
        shown = repr(what)
        places = [(path, n) for path, nodes in graphs.items() for n in nodes if n.name == what]
    else:
        raise GraphError(f"{what!r:.60} is no node, no name, and no edge (user, position)")
    if len(places) == 1:
        return places[0]
    if places:
        listed = "".join([f"\n  {describe(n)}{_within(path)}" for path, n in places])
        raise GraphError(f"there are {len(places)} nodes {shown}:{listed}")
    names = {n.name for nodes in graphs.values() for n in nodes if n.name}
    hint = did_you_mean(what, names) if isinstance(what, str) else ""
    raise GraphError(f"{shown} is not part of the graph{hint}")


def _within(path: Path) -> str:
    return "".join([f", in a loop of {loop.attrs[0].length} steps" for loop in reversed(path)])


def _fitted(factor: Any, x: Expr, steps: Shape) -> Expr:
    """The factor of a node in steps of so many: a single number, or the axes of all steps first,
    and then what broadcasts to the node. Raises DTypeError or ShapeError."""
    if isinstance(x.type, TupleType):
        raise GraphError(f"{describe(x)} has several results; give a factor to one of them")
    if not x.type.is_float:
        raise DTypeError(f"no gradient comes back to {describe(x)}: it is of no float dtype")
    f = astype(factor, x.dtype) if isinstance(factor, Expr) else const(factor, x.dtype)
    if not f.ndim:
        return f
    rest = f.shape[len(steps) :]
    fits = all(n in (1, m) for n, m in zip(f.shape, steps, strict=False)) and _broadcasts(
        rest, x.shape
    )
    if len(f.shape) < len(steps) or not fits:
        raise ShapeError(
            f"a factor of shape {f.shape} is given for {describe(x)}; give a number, or numbers "
            f"that broadcast to {steps + x.shape}" + ", with the axes of the steps" * bool(steps)
        )
    return broadcast_to(f, steps + rest)


def _broadcasts(shape: Shape, to: Shape) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)
