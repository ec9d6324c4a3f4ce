"""Checks: of derivatives against differences, and of a graph against its invariants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.binding import bind, resolve
from minigrad.compile.compiled import function
from minigrad.derivatives.api import grad
from minigrad.errors import DTypeError, GradientError, GraphError
from minigrad.graph.leaves import PARAM, VAR, placeholder
from minigrad.graph.node import Expr, describe, get_op, make, require_expr
from minigrad.graph.walk import free_variables, roots_of, substitute, toposort
from minigrad.names import public
from minigrad.ops.core import sum
from minigrad.types import Array, TensorType, TupleType, as_integer, as_number


@public
def check_grad(
    y: Expr,
    wrt: Any,
    at: Mapping[Expr, Any] | None = None,
    *,
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
) -> float:
    """Compare the gradient of Σ y·r, r random, with differences along a random direction.

    The numerical side is Ridders' extrapolation of central differences (Ridders 1982), in float64,
    of the graph as it stands: no rewrite is trusted. order=2 checks the gradient of the gradient
    too, and so on.

    wrt: one variable or param, or a list; at: values of all variables.
    Returns the largest relative error. Raises GradientError when it is above rtol (and atol), or
    when the differences are not that sure themselves, as at a jump or where all is noise;
    DTypeError unless all that is differentiated is float64.
    """
    require_expr(y, "check the gradient of")
    leaves = roots_of(wrt)
    if not leaves:
        raise GraphError("check_grad needs a variable or a param to differentiate by")
    for leaf in leaves:
        if leaf.dtype != np.float64 or leaf.op not in (VAR, PARAM):
            raise DTypeError(f"check_grad needs float64 variables or params, not {describe(leaf)}")
    # A stream of its own: directions drawn as the caller draws points may be those in which the
    # function does not change.
    rng = np.random.default_rng([_at_least(0, seed, "seed"), 0x9E3779B9])
    variables, bindings = free_variables([y, *leaves]), {} if at is None else at
    chosen = resolve(variables, bindings, "pass at={x: value, ...}")
    values = {v: bind(v, x) for v, x in chosen.items()}
    rtol, atol = as_number(rtol, "rtol"), as_number(atol, "atol")
    order, worst = _at_least(1, order, "order"), 0.0
    for level in range(1, order + 1):
        y = sum(y * rng.uniform(0.5, 1.5, y.shape)) if y.shape else y
        worst = max(worst, _check_once(y, leaves, values, rng, level, rtol, atol))
        if level == order:
            break
        grads = grad(y, leaves)
        y = sum(grads[0] * rng.uniform(0.5, 1.5, grads[0].shape))
        for g in grads[1:]:
            y = y + sum(g * rng.uniform(0.5, 1.5, g.shape))
    return worst


def _at_least(least: int, value: Any, what: str) -> int:
    """An integer option. Raises DTypeError for what is none, GraphError for less than the least."""
    number = as_integer(value, what)
    if number < least:
        raise GraphError(f"{what} is at least {least}, not {number}")
    return number


def _check_once(
    y: Expr,
    leaves: Sequence[Expr],
    values: Mapping[Expr, Array],
    rng: np.random.Generator,
    level: int,
    rtol: float,
    atol: float,
) -> float:
    inputs = free_variables([y, *leaves])
    # What moves is a variable in the place of each leaf, so that params stay as they are.
    moved = {x: placeholder("moved", x.type) for x in leaves}
    start = {x: x.value if x.op is PARAM else values[x] for x in leaves}
    # Every element moves, and none further than the longest step: a kink beyond it is not met.
    direction = {
        x: rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.0, x.shape) for x in leaves
    }
    still = [v for v in inputs if v not in moved]
    f = function([*still, *moved.values()], substitute(y, moved), simplify=False)
    slope = function(inputs, _directional(y, leaves, direction))

    def along(h: float) -> float:
        point = [start[x] + h * direction[x] for x in leaves]
        return float(f(*[values[v] for v in still], *point))

    exact = float(slope(*[values[v] for v in inputs]))
    estimate, doubt = _ridders(along)
    error = abs(exact - estimate)
    scale = max(abs(exact), abs(estimate))
    shown = f"{describe(y)} by {', '.join(str(x.name) for x in leaves)}"
    if not doubt <= max(rtol * scale, atol):
        raise GradientError(
            f"order {level}: differences do not settle (at {estimate:.12g}, uncertain by "
            f"{doubt:.1g}; the gradient says {exact:.12g}), for {shown}"
        )
    if not error <= rtol * scale + atol:
        raise GradientError(
            f"order {level}: the gradient says {exact:.12g} along a random direction, "
            f"differences say {estimate:.12g} (uncertain by {doubt:.1g}), for {shown}"
        )
    return error / scale if scale else 0.0


def _directional(y: Expr, leaves: Sequence[Expr], direction: Mapping[Expr, Array]) -> Expr:
    """The directional derivative, from the reverse-mode gradient."""
    total = None
    for x, g in zip(leaves, grad(y, leaves), strict=True):
        term = sum(g * direction[x])
        total = term if total is None else total + term
    assert total is not None
    return total


def _ridders(f: Any, h: float = 0.05, shrink: float = 1.6, levels: int = 12) -> tuple[float, float]:
    """f'(0) and an estimate of its error, by polynomial extrapolation of central differences."""
    table = [[(f(h) - f(-h)) / (2 * h)]]
    best, doubt = table[0][0], float("inf")
    for k in range(1, levels):
        h /= shrink
        row = [(f(h) - f(-h)) / (2 * h)]
        factor = shrink**2
        for j in range(1, k + 1):
            row.append((row[j - 1] * factor - table[k - 1][j - 1]) / (factor - 1))
            factor *= shrink**2
            error = max(abs(row[j] - row[j - 1]), abs(row[j] - table[k - 1][j - 1]))
            if error <= doubt:
                best, doubt = row[j], error
        if abs(row[k] - table[k - 1][k - 1]) >= 2 * doubt:
            break
        table.append(row)
    return best, doubt


@public
def verify(outputs: Expr | Sequence[Expr]) -> None:
    """Check the invariants of a graph; raises GraphError naming the node that breaks one.

    Every op is the registered one, every type is what its rule infers, every node is the interned
    one, and no two variables share a name.

    >>> import minigrad as mg
    >>> mg.verify(mg.var("x") * 2.0)
    """
    names: dict[str, Expr] = {}
    for node in toposort(outputs):
        if get_op(node.op.name) is not node.op:
            raise GraphError(f"{describe(node)}: its op is not the registered {node.op.name}")
        inferred = node.op.infer(*[a.type for a in node.args], *node.attrs)
        if not isinstance(node.type, (TensorType, TupleType)) or inferred is not node.type:
            raise GraphError(f"{describe(node)}: its type rule says {inferred!r}")
        if make(node.op, node.args, node.attrs) is not node:
            raise GraphError(f"{describe(node)}: it is not the interned node")
        if node.op is VAR and names.setdefault(str(node.name), node) is not node:
            other = describe(names[str(node.name)])
            raise GraphError(f"two variables are named alike: {describe(node)}, and {other}")
