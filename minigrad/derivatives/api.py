"""What users call: adjoints, grad, vjp, jvp, jacobian, hessian, hvp; all are expressions again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, overload

import numpy as np

from minigrad.derivatives.adjoints import Adjoints
from minigrad.derivatives.sweep import Sweep
from minigrad.derivatives.tangents import push_forward
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import const, is_leaf, placeholder
from minigrad.graph.node import Expr, describe, gc_paused, rebuild, require_expr
from minigrad.graph.walk import map_graph, packed, toposort
from minigrad.names import public
from minigrad.ops.batch import batched
from minigrad.ops.core import astype, reshape
from minigrad.ops.creation import zeros, zeros_like
from minigrad.ops.custom import BARRIER, barrier
from minigrad.ops.shape import moveaxis
from minigrad.rewrite.rules import may_be_unstable, stabilise


@public
def adjoints(y: Expr) -> Adjoints:
    """Every adjoint of one reverse sweep, and every edge's own term of the chain rule.

    `adj[node]` is ∂y/∂node, the sum of `adj.edge(user, position)` over the node's uses; the graph
    is taken as it is, without rewrites. For y that is no scalar the cotangent is all ones.
    Raises DTypeError when y is not of a float dtype.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> y = x * x
    >>> adj = mg.adjoints(y)
    >>> adj[x].eval({x: 3.0}), adj.edge(y, 0).eval({x: 3.0})
    (np.float64(6.0), np.float64(3.0))

    Within loops, a node that a step made, or its name, stands for all steps:

    >>> xs = mg.var("xs", (3,))
    >>> last, _ = mg.scan(lambda c, x: ((c * x).named("c"), None), mg.const(1.0), xs)
    >>> adj = mg.adjoints(last)
    >>> [adj.value("c").eval({xs: [2, 3, 5]}), adj["c"].eval({xs: [2, 3, 5]})]
    [array([ 2.,  6., 30.]), array([15.,  5.,  1.])]
    """
    _require_differentiable(y)
    return Adjoints(y)


def _require_float(x: Any, what: str) -> None:
    require_expr(x, what)
    if not x.type.is_float:
        raise DTypeError(
            f"cannot {what} {describe(x)}: derivatives need a float dtype; "
            "convert with minigrad.astype, or make the variable a float"
        )


def _require_differentiable(y: Any) -> None:
    """Raise DTypeError, with what to write instead of what others differentiate."""
    if isinstance(y, (list, tuple, Mapping)):
        raise DTypeError(
            f"one expression is differentiated, not {y!r:.60}; of several write "
            "[minigrad.grad(y, x) for y in ys], or put them together with minigrad.stack(ys)"
        )
    if callable(y):
        raise DTypeError(
            f"an expression is differentiated, no function: write y = f(x), minigrad.grad(y, x), "
            f"not {y!r:.60}"
        )
    _require_float(y, "differentiate")


# --- grad, vjp, jvp ----------------------------------------------------------------------------


def _as_list(wrt: Any) -> tuple[list[Expr], Callable[[list[Expr]], Any]]:
    """Expressions to differentiate by, and how to give the answers back in the same shape."""
    if isinstance(wrt, Expr):
        return [wrt], lambda answers: answers[0]
    if isinstance(wrt, Mapping):
        leaves, _ = _as_list(list(wrt.values()))
        return leaves, lambda answers: dict(zip(wrt, answers, strict=True))
    if isinstance(wrt, (list, tuple)):
        for w in wrt:
            require_expr(w, "differentiate with respect to")
        return list(wrt), list
    raise DTypeError(f"cannot differentiate with respect to {wrt!r:.60}: it is no expression")


Derive: TypeAlias = "Callable[[Expr, Sequence[Expr], Sequence[Expr]], list[Expr]]"


def _with_stable(y: Expr, wrt: Sequence[Expr], derive: Derive) -> list[Expr]:
    """derive(y, wrt, order) on the stabilised y, in which inner nodes of `wrt` stay whole."""
    if all(is_leaf(w) for w in wrt):
        graph = packed([y])
        if not may_be_unstable(graph):  # one order for all: a tenth of the time of a gradient
            return derive(y, wrt, graph.nodes)
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

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> str(mg.grad(x**3, x))
    '3 * x ^ 2'
    """
    _require_differentiable(y)
    if y.shape:
        raise ShapeError(
            f"grad needs a scalar; {describe(y)} has shape {y.shape}. Differentiate "
            "minigrad.sum(y), or use minigrad.vjp (a weighted sum) or minigrad.jacobian"
        )
    return vjp(y, wrt, 1.0)


@public
def vjp(y: Expr, wrt: Any, cotangent: Any) -> Any:
    """Cotangent · ∂y/∂wrt (reverse mode); the cotangent has the shape of y.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> mg.vjp(x * x, x, [1.0, 10.0]).eval({x: [3.0, 4.0]})
    array([ 6., 80.])
    """
    _require_differentiable(y)
    leaves, pack = _as_list(wrt)
    for w in leaves:
        _require_float(w, "differentiate with respect to")
    seed = _like(cotangent, y, "cotangent")

    def derive(stable: Expr, by: Sequence[Expr], order: Sequence[Expr]) -> list[Expr]:
        sweep = Sweep(order, [(stable, seed)], by)
        adjoints = [sweep.get(w) for w in by]
        return [zeros_like(w) if a is None else a for w, a in zip(by, adjoints, strict=True)]

    with gc_paused():
        return pack(_with_stable(y, leaves, derive))


@public
def jvp(y: Expr, wrt: Any, tangent: Any) -> Expr:
    """∂y/∂wrt · tangent (forward mode); one tangent for each of `wrt`, of its shape.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> mg.jvp(x * x, x, [1.0, 0.0]).eval({x: [3.0, 4.0]})
    array([6., 0.])
    """
    _require_differentiable(y)
    leaves, _ = _as_list(wrt)
    tangents = _one_each(wrt, tangent)
    for w in leaves:
        _require_float(w, "differentiate with respect to")
    seeds = [_like(t, w, "tangent") for w, t in zip(leaves, tangents, strict=True)]

    def derive(stable: Expr, by: Sequence[Expr], order: Sequence[Expr]) -> list[Expr]:
        (out_tangent,) = push_forward([stable], dict(zip(by, seeds, strict=True)), order)
        return [zeros_like(y) if out_tangent is None else out_tangent]

    return _with_stable(y, leaves, derive)[0]


def _one_each(wrt: Any, tangent: Any) -> list[Any]:
    if isinstance(wrt, Expr):
        return [tangent]
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


# --- matrices of derivatives -------------------------------------------------------------------


@public
def jacobian(y: Expr, wrt: Any) -> Any:
    """∂y/∂wrt with shape y.shape + wrt.shape: one sweep for all elements of the smaller of the two.

    Its dtype is that of `wrt`, as a gradient's is.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> mg.jacobian(x * x, x).eval({x: [3.0, 4.0]})
    array([[6., 0.],
           [0., 8.]])
    """
    _require_differentiable(y)
    leaves, pack = _as_list(wrt)
    return pack([_jacobian(y, w) for w in leaves])


def _jacobian(y: Expr, x: Expr) -> Expr:
    if not y.size or not x.size:
        return zeros(y.shape + x.shape, x.dtype)
    if y.size <= x.size:
        return reshape(_for_each_unit(y, lambda unit: vjp(y, x, unit)), y.shape + x.shape)
    columns = _for_each_unit(x, lambda unit: jvp(y, x, unit))
    return astype(reshape(moveaxis(columns, 0, -1), y.shape + x.shape), x.dtype)


def _for_each_unit(like: Expr, derive: Callable[[Expr], Expr]) -> Expr:
    """A derivative for a cotangent or tangent of one 1 among zeros, for each place of it: (n, ...).

    One sweep with a leading axis: a sweep for each place took 184 s to compile the Hessian of an
    LSTM of 35 parameters and 4 steps.
    """
    n = like.size
    if n == 1:
        return reshape(derive(const(np.ones(like.shape, like.dtype))), (1, -1))
    one = placeholder("unit", like.type)
    units = const(np.eye(n, dtype=like.dtype).reshape((n, *like.shape)))
    (rows,) = batched([derive(one)], {one: units}, n)
    return rows


@public
def hessian(y: Expr, wrt: Expr) -> Expr:
    """Second derivatives of a scalar, with shape wrt.shape + wrt.shape.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> mg.hessian(mg.sum(x * x * x), x).eval({x: [1.0, 2.0]})
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    if not isinstance(wrt, Expr):
        raise DTypeError(
            f"a hessian is by one expression, not {wrt!r:.60}; of several, ws, the table of its "
            "blocks is [minigrad.jacobian(g, ws) for g in minigrad.grad(y, ws)]"
        )
    return _jacobian(grad(y, wrt), wrt)


@public
def hvp(y: Expr, wrt: Any, vector: Any) -> Any:
    """Hessian · vector for a scalar y: forward mode over reverse mode, one sweep each.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> mg.hvp(mg.sum(x * x * x), x, [1.0, 0.0]).eval({x: [1.0, 2.0]})
    array([6., 0.])
    """
    leaves, pack = _as_list(wrt)
    vectors = _one_each(wrt, vector)
    return pack([jvp(g, leaves, vectors) for g in grad(y, leaves)])
