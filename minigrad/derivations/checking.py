"""Every step of a derivation beside differences of values.

The derivatives that a line still has to take are measured along one direction in which x moves, by
differences of the nodes' values: so each term is a number, or a vector, of no derivative of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.binding import bind, resolve
from minigrad.compile.compiled import function
from minigrad.derivations.coefficients import Coefficients
from minigrad.derivations.steps import Move, Term
from minigrad.errors import DTypeError, GradientError
from minigrad.graph.leaves import PARAM, placeholder
from minigrad.graph.node import Expr, describe
from minigrad.graph.walk import free_variables, substitute
from minigrad.types import Array

_DOUBTS = 10.0  # what the doubts of single elements may add up to
_TINY = 1e-290  # below, floats have fewer digits


def checked(
    moves: Sequence[Move],
    y: Expr,
    x: Expr,
    kind: Coefficients[Any],
    at: Mapping[Any, Any] | None,
    seed: int,
    rtol: float,
) -> float:
    """The largest error of a step, relative to the largest of its terms and to ∂y.

    Raises GradientError, which names the step, where what comes is not what goes.
    """
    if x.dtype != np.float64 or y.dtype != np.float64:
        raise DTypeError(f"a check by differences needs float64, not {describe(x)}, {describe(y)}")
    rng = np.random.default_rng([seed, 0x9E3779B9])
    direction = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.0, x.shape)
    inputs = free_variables([y, x])
    values = _values(inputs, at, rng)
    terms = list(dict.fromkeys(t for m in moves for t in (*m.gone, *m.come)))
    nodes = list(dict.fromkeys(t.node for t in terms))
    tangents = [placeholder("tangent", n.type) for n in nodes]
    slopes, doubts = _slopes(nodes, x, values, direction)
    of_node = dict(zip(nodes, tangents, strict=True))
    along = kind.along([t.coefficient for t in terms], [of_node[t.node] for t in terms])
    run = function([*inputs, *tangents], along, backend="numpy", simplify=False)
    point = [values[v] for v in inputs]
    numbers, unsure = ([np.asarray(n) for n in run(*point, *s)] for s in (slopes, doubts))
    by_term = {
        t: (n, float(np.max(abs(u), initial=0.0)))
        for t, n, u in zip(terms, numbers, unsure, strict=True)
    }
    errors = [_error(m, by_term, k, rtol) for k, m in enumerate(moves, 1)]
    return max(errors, default=0.0)


def _values(
    inputs: Sequence[Expr], at: Mapping[Any, Any] | None, rng: np.random.Generator
) -> dict[Expr, Array]:
    """Values of the variables, drawn from U(0.2, 0.8) where none are given."""
    if at is not None:
        chosen = resolve(list(inputs), at, "pass at={x: value, ...}")
        return {v: bind(v, value) for v, value in chosen.items()}
    return {v: bind(v, rng.uniform(0.2, 0.8, v.shape).astype(v.dtype)) for v in inputs}


def _slopes(
    nodes: Sequence[Expr], x: Expr, values: Mapping[Expr, Array], direction: Array
) -> tuple[list[Array], list[Array]]:
    """How each node changes along a direction of x, by differences, and how unsure these are."""
    moved = placeholder("moved", x.type)
    start = x.value if x.op is PARAM else values[x]
    still = [v for v in values if v is not x]
    run = function([*still, moved], substitute(nodes, {x: moved}), backend="numpy", simplify=False)

    def at(h: float) -> Array:
        reached = run(*[values[v] for v in still], start + h * direction)
        return np.concatenate([np.ravel(r) for r in reached])

    cuts = np.cumsum([n.size for n in nodes])[:-1]
    parts = [np.split(flat, cuts) for flat in _ridders(at)]
    shaped = [
        [np.reshape(part, n.shape) for part, n in zip(each, nodes, strict=True)] for each in parts
    ]
    return shaped[0], shaped[1]


def _ridders(f: Callable[[float], Array], h: float = 0.02, levels: int = 6) -> tuple[Array, Array]:
    """f'(0) by extrapolated central differences (Ridders 1982), for each element the surest, and
    the doubt that is left, that of rounding among it."""
    rounding = np.finfo(np.float64).eps * abs(f(0.0)) / h
    shrink = 1.6**2
    rows: list[list[Array]] = []
    best = doubt = np.zeros(0)
    for k in range(levels):
        row = [(f(h) - f(-h)) / (2 * h)]
        for j in range(k):
            power = shrink ** (j + 1)
            row.append((row[j] * power - rows[-1][j]) / (power - 1))
            error = np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - rows[-1][j]))
            if not doubt.size:
                best, doubt = row[-1], error
            best, doubt = np.where(error <= doubt, row[-1], best), np.minimum(error, doubt)
        rows.append(row)
        h /= 1.6
    return best, doubt + rounding


def _error(
    move: Move, numbers: Mapping[Term, tuple[Array, float]], number: int, rtol: float
) -> float:
    """By how much what comes differs from what goes, relative to the terms, beyond their doubts."""
    gone, come = ([numbers[t][0] for t in part] for part in (move.gone, move.come))
    doubt = _DOUBTS * max(numbers[t][1] for t in (*move.gone, *move.come))
    scale = max([float(np.max(abs(part), initial=0.0)) for part in (*gone, *come)])
    difference = float(np.max(abs(sum(gone) - sum(come, np.zeros(()))), initial=0.0))
    if not difference <= rtol * scale + doubt + _TINY:
        raise GradientError(
            f"step {number}, {move.rule.text()}: what it makes differs from what was there by "
            f"{difference:.3g} of {scale:.3g}, at {describe(move.at)}; where the point is outside "
            "of what an op takes, or at a kink, pass another with at={x: value, ...}"
        )
    return max(difference - doubt, 0.0) / scale if scale > _TINY else 0.0
