"""Derivatives as graphs: adjoints of nodes and of edges, grad, vjp, jvp, jacobian, hessian.

One reverse sweep and one forward sweep serve everything here; both read what each op states about
itself and know no op by name. What is structurally zero is None until somebody asks for a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias, overload

import numpy as np

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph import (
    Expr,
    Terms,
    const,
    describe,
    gc_paused,
    is_leaf,
    make,
    origins,
    placeholder,
    rebuild,
)
from minigrad.names import public
from minigrad.ops.core import full_like, reshape, sum, uniform_value
from minigrad.ops.custom import BARRIER, barrier
from minigrad.ops.pointwise import multiply
from minigrad.ops.shape import ones_like, stack, zeros, zeros_like
from minigrad.ops.tuples import TUPLE, is_zero, tuple_of
from minigrad.simplify import may_be_unstable, stabilise
from minigrad.walk import map_graph, toposort

EdgeTerms: TypeAlias = dict[tuple[Expr, int], Expr]


# --- one edge ----------------------------------------------------------------------------------


def _times(factor: Expr, partial: Expr | int | None) -> Expr | None:
    """cotangent or tangent × local derivative, with the factors 1, -1 and 0 left out."""
    if partial is None:
        return None
    if isinstance(partial, int):
        return factor if partial == 1 else -factor
    if uniform_value(partial) == 1:
        return factor
    return partial if uniform_value(factor) == 1 else multiply(factor, partial)


def _partial(node: Expr, i: int) -> Expr | int | None:
    assert node.op.partials is not None
    partial = node.op.partials[i]
    return partial(node, *node.args) if callable(partial) else partial


def edge_terms(cotangent: Expr, node: Expr, active: Container[Expr] | None = None) -> Terms:
    """What each argument of a node gets of the node's cotangent.

    None without dependence; what is not among the active nodes, if they are given, may be None too.
    """
    op = node.op
    if op.partials is not None:
        return [
            _times(cotangent, _partial(node, i)) if active is None or arg in active else None
            for i, arg in enumerate(node.args)
        ]
    rule = op.transpose or op.vjp
    return (None,) * len(node.args) if rule is None else rule(cotangent, node)


def _pushed_tangent(node: Expr, tangents: Sequence[Expr | None]) -> Expr | None:
    """The tangent of a node, given those of its arguments."""
    op = node.op
    if op.partials is not None:
        return _sum_or_none(
            _times(t, _partial(node, i)) for i, t in enumerate(tangents) if t is not None
        )
    if op.transpose is not None and op.jointly:
        args = [
            t if t is not None else full_like(a, 0) if a.type.is_float else a
            for a, t in zip(node.args, tangents, strict=True)
        ]
        return make(op, tuple(args), node.attrs)
    if op.transpose is not None:
        return _sum_or_none(
            make(op, (*node.args[:i], t, *node.args[i + 1 :]), node.attrs)
            for i, t in enumerate(tangents)
            if t is not None
        )
    if op.jvp is not None:
        return op.jvp(node, tangents)
    return None if op.vjp is None else _transposed_vjp(node, tangents)


def _transposed_vjp(node: Expr, tangents: Sequence[Expr | None]) -> Expr | None:
    # An adjoint rule is linear in its cotangent u, so the tangent is the derivative by u of
    # Σ vjp(u)·t: any op that states a vjp has forward mode too.
    u = placeholder("cotangent", node.type)
    pieces = []
    for tangent, term in zip(tangents, edge_terms(u, node), strict=True):
        if tangent is not None and term is not None:
            pieces.append(sum(term * tangent))
    total = _sum_or_none(pieces)
    found = None if total is None else Adjoints(total, wrt=[u]).get(u)
    if found is not None and u in frozenset(toposort(found)):
        raise GraphError(
            f"the backward of {describe(node)} is not linear in its cotangent; "
            "forward mode needs that"
        )
    return found


def _sum_or_none(terms: Iterable[Expr | None]) -> Expr | None:
    total: Expr | None = None
    for term in terms:
        total = term if total is None else total if term is None else _added(total, term)
    return total


def _added(a: Expr, b: Expr) -> Expr:
    """a + b; of tuples item by item, where most items are zero."""
    if a.op is not TUPLE:
        return a + b
    pairs = zip(a.args, b.args, strict=True)
    return tuple_of([y if is_zero(x) else x if is_zero(y) else x + y for x, y in pairs])


# --- the reverse sweep -------------------------------------------------------------------------


def _active(order: Sequence[Expr], wrt: Sequence[Expr] | None) -> set[Expr]:
    """The float nodes through which a derivative towards `wrt` (None: any leaf) can flow."""
    chosen = None if wrt is None else set(wrt)
    active: set[Expr] = set()
    for node in order:
        if not node.type.is_float:
            continue
        starts = chosen is None or node in chosen
        if starts or (not node.op.no_gradient and any(a in active for a in node.args)):
            active.add(node)
    return active


class Adjoints:
    """Every adjoint of one reverse sweep from y; see `adjoints`."""

    def __init__(
        self,
        y: Expr,
        cotangent: Expr | None = None,
        wrt: Sequence[Expr] | None = None,
        order: Sequence[Expr] | None = None,
    ) -> None:
        self.y = y
        self.order = toposort(y) if order is None else order
        self._seed = ones_like(y) if cotangent is None else cotangent
        self._active = _active(self.order, wrt)
        self._terms: EdgeTerms = {}
        self._adjoints = self._sweep()

    @cached_property
    def _nodes(self) -> frozenset[Expr]:
        return frozenset(self.order)

    def _sweep(self) -> dict[Expr, Expr]:
        adjoint: dict[Expr, Expr] = {}
        if self.y in self._active:
            adjoint[self.y] = self._seed
        active, terms = self._active, self._terms
        with origins() as mark, gc_paused():
            for node in reversed(self.order):
                cotangent = adjoint.get(node)
                if cotangent is None or not node.args:
                    continue
                mark(node)
                for i, term in enumerate(edge_terms(cotangent, node, active)):
                    arg = node.args[i]
                    if term is not None and arg in active:
                        terms[node, i] = term
                        before = adjoint.get(arg)
                        adjoint[arg] = term if before is None else _added(before, term)
        return adjoint

    def __contains__(self, node: Expr) -> bool:
        """Whether y depends on the node through a differentiable path."""
        return node in self._adjoints

    def get(self, node: Expr) -> Expr | None:
        """∂y/∂node, or None where no differentiable path connects the two."""
        return self._adjoints.get(node)

    def __getitem__(self, node: Expr) -> Expr:
        """∂y/∂node; zeros where no differentiable path connects the two."""
        found = self._adjoints.get(node)
        return zeros_like(node) if found is None else found

    def terms(self) -> Mapping[tuple[Expr, int], Expr]:
        """All edge terms that are not structurally zero, by (user, position)."""
        return self._terms

    def edge(self, user: Expr, position: int) -> Expr:
        """The term that one use of a value contributes: of user.args[position], through user.

        Raises GraphError for an edge that the graph of y does not have.
        """
        _require_expr(user, "take the edge of")
        if not 0 <= position < len(user.args):
            raise GraphError(f"{describe(user)} has no argument {position}")
        if user not in self._nodes:
            raise GraphError(f"{describe(user)} is not part of the differentiated graph")
        term = self._terms.get((user, position))
        return zeros_like(user.args[position]) if term is None else term

    def split(self, node: Expr, through: Iterable[Expr]) -> tuple[Expr, Expr]:
        """∂y/∂node as (through, around): the paths that pass a node of the set, and the rest.

        The two sum to the adjoint. Both ends of a path count as passed.
        """
        return self.splits([node], through)[node]

    def splits(
        self, nodes: Iterable[Expr], through: Iterable[Expr]
    ) -> dict[Expr, tuple[Expr, Expr]]:
        """`split` for several nodes and one set, in one sweep: linear in the graph."""
        wanted = dict.fromkeys(nodes)
        gates = set(through)
        passed: dict[Expr, Expr] = {}
        around: dict[Expr, Expr] = {}
        left = len(wanted)
        if self.y in self._active:
            around[self.y] = self._seed
        for n in reversed(self.order):
            if n in gates and n in around:
                _add_term(passed, n, around.pop(n))
            left -= n in wanted
            if not left:
                break
            for part in (passed, around):
                if n in part and n.args:
                    for i, term in enumerate(edge_terms(part[n], n, self._active)):
                        if (n, i) in self._terms:
                            _add_term(part, n.args[i], term)
        return {n: (_or_zeros(passed, n), _or_zeros(around, n)) for n in wanted}


def _or_zeros(sums: Mapping[Expr, Expr], node: Expr) -> Expr:
    found = sums.get(node)
    return zeros_like(node) if found is None else found


def _add_term(sums: dict[Expr, Expr], node: Expr, term: Expr | None) -> None:
    total = _sum_or_none((sums.get(node), term))
    if total is not None:
        sums[node] = total


@public
def adjoints(y: Expr) -> Adjoints:
    """Every adjoint of one reverse sweep, and every edge's own term of the chain rule.

    `adj[node]` is ∂y/∂node, the sum of `adj.edge(user, position)` over the node's uses; the graph
    is taken as it is, without rewrites. For y that is no scalar the cotangent is all ones.
    Raises DTypeError when y is not of a float dtype.

    >>> from minigrad.graph import var
    >>> x = var("x")
    >>> y = x * x
    >>> adj = adjoints(y)
    >>> adj[x].eval({x: 3.0}), adj.edge(y, 0).eval({x: 3.0})
    (np.float64(6.0), np.float64(3.0))
    """
    _require_float(y, "differentiate")
    return Adjoints(y)


def _require_expr(x: Any, what: str) -> None:
    if not isinstance(x, Expr):
        raise DTypeError(f"cannot {what} {x!r:.60}: it is no minigrad expression")


def _require_float(x: Any, what: str) -> None:
    _require_expr(x, what)
    if not x.type.is_float:
        raise DTypeError(
            f"cannot {what} {describe(x)}: derivatives need a float dtype; "
            "convert with minigrad.astype, or make the variable a float"
        )


# --- grad, vjp, jvp ----------------------------------------------------------------------------


def _as_list(wrt: Any) -> tuple[list[Expr], Callable[[list[Expr]], Any]]:
    """Expressions to differentiate by, and how to give the answers back in the same shape."""
    if isinstance(wrt, Expr):
        return [wrt], lambda found: found[0]
    if isinstance(wrt, Mapping):
        return list(wrt.values()), lambda found: dict(zip(wrt, found, strict=True))
    if isinstance(wrt, (list, tuple)):
        return list(wrt), list
    raise DTypeError(f"cannot differentiate with respect to {wrt!r:.60}: it is no expression")


Derive: TypeAlias = "Callable[[Expr, Sequence[Expr], Sequence[Expr]], list[Expr]]"


def _with_stable(y: Expr, wrt: Sequence[Expr], derive: Derive) -> list[Expr]:
    """derive(y, wrt, order) on the stabilised y, in which inner nodes of `wrt` stay whole."""
    if all(is_leaf(w) for w in wrt):
        order = toposort(y)
        if not may_be_unstable(order):  # one order for all: a tenth of the time of a gradient
            return derive(y, wrt, order)
        (changed,) = stabilise([y])
        return derive(changed, wrt, toposort(changed))
    wanted = {w for w in wrt if not is_leaf(w)}

    def behind_barriers(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node not in wanted:
            return None
        return barrier(rebuild(node, tuple([new[a] for a in node.args])))

    stable = stabilise(map_graph([y, *wrt], behind_barriers))
    derivatives = derive(stable[0], stable[1:], toposort(stable[0]))
    return map_graph(derivatives, lambda n, new: new[n.args[0]] if n.op is BARRIER else None)


@overload
def grad(y: Expr, wrt: Expr) -> Expr: ...
@overload
def grad(y: Expr, wrt: Mapping[str, Expr]) -> dict[str, Expr]: ...
@overload
def grad(y: Expr, wrt: Sequence[Expr]) -> list[Expr]: ...
@public
def grad(y: Expr, wrt: Any) -> Any:
    """The gradient of a scalar, as expressions: one for one, a list or a dict for several.

    Zeros where y does not depend on `wrt`. Differentiate the result again for higher orders.
    Raises ShapeError when y is no scalar, DTypeError for dtypes that are not float.

    >>> from minigrad.graph import var
    >>> x = var("x")
    >>> str(grad(x**3, x))
    '3 * x ^ 2'
    """
    _require_float(y, "differentiate")
    if y.shape:
        raise ShapeError(
            f"grad needs a scalar; {describe(y)} has shape {y.shape}. Differentiate "
            "minigrad.sum(y), or use minigrad.vjp (a weighted sum) or minigrad.jacobian"
        )
    return vjp(y, wrt, 1.0)


@public
def vjp(y: Expr, wrt: Any, cotangent: Any) -> Any:
    """Cotangent · ∂y/∂wrt (reverse mode); the cotangent has the shape of y.

    >>> from minigrad.graph import var
    >>> x = var("x", (2,))
    >>> vjp(x * x, x, [1.0, 10.0]).eval({x: [3.0, 4.0]})
    array([ 6., 80.])
    """
    _require_float(y, "differentiate")
    leaves, pack = _as_list(wrt)
    for w in leaves:
        _require_float(w, "differentiate with respect to")
    seed = _like(cotangent, y, "cotangent")

    def derive(stable: Expr, by: Sequence[Expr], order: Sequence[Expr]) -> list[Expr]:
        found = Adjoints(stable, seed, by, order)
        return [found[w] for w in by]

    with gc_paused():
        return pack(_with_stable(y, leaves, derive))


@public
def jvp(y: Expr, wrt: Any, tangent: Any) -> Expr:
    """∂y/∂wrt · tangent (forward mode); one tangent for each of `wrt`, of its shape.

    >>> from minigrad.graph import var
    >>> x = var("x", (2,))
    >>> jvp(x * x, x, [1.0, 0.0]).eval({x: [3.0, 4.0]})
    array([6., 0.])
    """
    _require_float(y, "differentiate")
    leaves, _ = _as_list(wrt)
    given = [tangent] if isinstance(wrt, Expr) else _matching(wrt, tangent)
    seeds = []
    for w, t in zip(leaves, given, strict=True):
        _require_float(w, "differentiate with respect to")
        seeds.append(_like(t, w, "tangent"))

    def derive(stable: Expr, by: Sequence[Expr], order: Sequence[Expr]) -> list[Expr]:
        (found,) = push_forward([stable], dict(zip(by, seeds, strict=True)), order)
        return [zeros_like(y) if found is None else found]

    return _with_stable(y, leaves, derive)[0]


def _matching(wrt: Any, tangent: Any) -> list[Any]:
    if isinstance(wrt, Mapping):
        tangent = [tangent[name] for name in wrt]
    if len(tangent) != len(wrt):
        raise GraphError(f"{len(tangent)} tangents for {len(wrt)} expressions; give one each")
    return list(tangent)


def _like(value: Any, like: Expr, what: str) -> Expr:
    """A cotangent or tangent as an expression of the type it must have."""
    x = value if isinstance(value, Expr) else const(value, like.dtype)
    if x.type is not like.type:
        kind = ShapeError if x.shape != like.shape else DTypeError
        raise kind(f"the {what} of {describe(like)} must have that type, not {x.type!r}")
    return x


def push_forward(
    outputs: Sequence[Expr],
    tangents: Mapping[Expr, Expr],
    order: Sequence[Expr] | None = None,
) -> list[Expr | None]:
    """The tangents of the outputs, given those of some nodes; None where there is no dependence."""
    order = toposort(outputs) if order is None else order
    active = _active(order, list(tangents))
    known = dict(tangents)
    with origins() as mark, gc_paused():
        for node in order:
            if node in known or node not in active:
                continue
            mark(node)
            found = _pushed_tangent(node, [known.get(a) for a in node.args])
            if found is not None:
                known[node] = found
    return [known.get(y) for y in outputs]


# --- matrices of derivatives -------------------------------------------------------------------


@public
def jacobian(y: Expr, wrt: Any) -> Any:
    """∂y/∂wrt with shape y.shape + wrt.shape, by the mode that needs fewer sweeps.

    The graph grows by one sweep for each element of the smaller of the two.

    >>> from minigrad.graph import var
    >>> x = var("x", (2,))
    >>> jacobian(x * x, x).eval({x: [3.0, 4.0]})
    array([[6., 0.],
           [0., 8.]])
    """
    leaves, pack = _as_list(wrt)
    return pack([_jacobian(y, w) for w in leaves])


def _jacobian(y: Expr, x: Expr) -> Expr:
    if not y.size or not x.size:
        return zeros(y.shape + x.shape, y.dtype)
    if y.size <= x.size:
        rows = [vjp(y, x, unit) for unit in _units(y)]
        return reshape(stack(rows, 0), y.shape + x.shape)
    columns = [jvp(y, x, unit) for unit in _units(x)]
    return reshape(stack(columns, -1), y.shape + x.shape)


def _units(like: Expr) -> Iterable[Expr]:
    for k in range(like.size):
        unit = np.zeros(like.size, like.dtype)
        unit[k] = 1
        yield const(unit.reshape(like.shape))


@public
def hessian(y: Expr, wrt: Expr) -> Expr:
    """Second derivatives of a scalar, with shape wrt.shape + wrt.shape.

    >>> from minigrad.graph import var
    >>> x = var("x", (2,))
    >>> hessian(sum(x * x * x), x).eval({x: [1.0, 2.0]})
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    _require_expr(wrt, "take the hessian by")  # one: of several it is a table of blocks
    return _jacobian(grad(y, wrt), wrt)


@public
def hvp(y: Expr, wrt: Any, vector: Any) -> Any:
    """Hessian · vector for a scalar y: forward mode over reverse mode, one sweep each.

    >>> from minigrad.graph import var
    >>> x = var("x", (2,))
    >>> hvp(sum(x * x * x), x, [1.0, 0.0]).eval({x: [1.0, 2.0]})
    array([6., 0.])
    """
    if isinstance(wrt, Expr):
        return jvp(grad(y, wrt), wrt, vector)
    leaves, pack = _as_list(wrt)
    vectors = _matching(wrt, vector)
    return pack([jvp(g, leaves, vectors) for g in grad(y, leaves)])
