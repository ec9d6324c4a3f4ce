"""Every step of a derivation beside differences of values.

The derivatives that a line still has to take are measured along one direction in which x moves, by
differences of the nodes' values: so each term is a number, or a vector, of no derivative of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.compile.binding import bind, resolve
from minigrad.compile.compiled import function
from minigrad.derivations.coefficients import Coefficients
from minigrad.derivations.steps import Move, Term
from minigrad.derivatives.adjoints import Adjoints
from minigrad.errors import DTypeError, GradientError
from minigrad.graph.leaves import PARAM, const, placeholder
from minigrad.graph.node import Expr, describe
from minigrad.graph.walk import free_variables, substitute
from minigrad.types import Array

_STEP, _SHRINK, _STEPS = 0.02, 1.6, 6  # of differences: the largest, and how often it shrinks
_EPS = float(np.finfo(np.float64).eps)
_DOUBTS = 10.0  # times a bound of first order: what ops round within themselves, and doubts miss
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
    at = values | dict(zip(tangents, slopes, strict=True))
    measured = _Measured(
        dict(zip(terms, along, strict=True)),
        dict(zip(terms, _run(along, at), strict=True)),
        at,
        dict(zip(nodes, zip(tangents, doubts, strict=True), strict=True)),
    )
    return max([measured.error(m, k, rtol) for k, m in enumerate(moves, 1)], default=0.0)


def _run(exprs: Sequence[Expr], at: Mapping[Expr, Array]) -> list[Array]:
    run = function([*at], [*exprs], backend="numpy", simplify=False)
    return [np.asarray(value) for value in run(*at.values())]


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


def _ridders(f: Callable[[float], Array]) -> tuple[Array, Array]:
    """f'(0) by extrapolated central differences (Ridders 1982), for each element the surest, and
    the doubt that is left."""
    h, shrink = _STEP, _SHRINK**2
    rows: list[list[Array]] = []
    best = doubt = np.zeros(0)
    for k in range(_STEPS):
        row = [(f(h) - f(-h)) / (2 * h)]
        for j in range(k):
            power = shrink ** (j + 1)
            row.append((row[j] * power - rows[-1][j]) / (power - 1))
            error = np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - rows[-1][j]))
            if not doubt.size:
                best, doubt = row[-1], error
            best, doubt = np.where(error <= doubt, row[-1], best), np.minimum(error, doubt)
        rows.append(row)
        h /= _SHRINK
    return best, doubt


@dataclass(frozen=True)
class _Measured:
    """The numbers of a derivation's terms.

    along, numbers: each term times the slope of its node, as an expression and its value.
    at: values of variables, and of what stands for slopes.
    slopes: {node: what stands for its slope, and how unsure each element of that is}.
    """

    along: Mapping[Term, Expr]
    numbers: Mapping[Term, Array]
    at: Mapping[Expr, Array]
    slopes: Mapping[Expr, tuple[Expr, Array]]

    def error(self, move: Move, number: int, rtol: float) -> float:
        """By how much what comes differs from what goes, relative to the largest of the terms,
        beyond what may be due to how they are computed."""
        terms = (*move.gone, *move.come)
        gone, come = ([self.numbers[t] for t in part] for part in (move.gone, move.come))
        differences = np.ravel(sum(gone) - sum(come, np.zeros(())))
        worst = int(np.argmax(abs(differences))) if differences.size else 0
        difference = float(np.max(abs(differences), initial=0.0))
        scale = max([float(np.max(abs(self.numbers[t]), initial=0.0)) for t in terms])
        beyond = difference
        if difference > rtol * scale + _TINY:
            beyond = max(difference - self._doubt(move, worst), 0.0)
        if not beyond <= rtol * scale + _TINY:
            raise GradientError(
                f"step {number}, {move.rule.text()}: what it makes differs from what was there by "
                f"{difference:.3g} of {scale:.3g}, at {describe(move.at)}; where the point is "
                "outside of what an op takes, or at a kink, pass another with at={x: value, ...}"
            )
        return beyond / scale if scale > _TINY else 0.0

    def _doubt(self, move: Move, element: int) -> float:
        """What an element of the difference may be for no other reason than how it is computed.

        It is linear in the slopes. So there are their doubts, each times its coefficient; what was
        rounded in the nodes at two points, over their distance; and what was rounded in adding up
        terms, and in coefficients, that cancel: to first order by Linnainmaa, "Taylor expansion of
        the accumulated rounding error", 1976, the sum of all numbers on the way, each times what
        one unit of it does to the result, times the machine's epsilon. 0 where that is no number.
        """
        terms = [self.along[t] for t in move.gone] + [-self.along[t] for t in move.come]
        whole: Expr = sum(terms[1:], terms[0]).reshape(-1)[element]
        nodes = list(dict.fromkeys([t.node for t in (*move.gone, *move.come)]))
        slopes = [self.slopes[node] for node in nodes]
        swept = Adjoints(whole)
        *weights, rounded = _run([*(swept[s] for s, _ in slopes), _sizes(swept)], self.at)
        weights = [abs(weight) for weight in weights]
        parts = [(const(w) * n).sum() for w, n in zip(weights, nodes, strict=True)]
        (moved,) = _run([_sizes(Adjoints(sum(parts[1:], parts[0])))], self.at)
        unsure = sum(float((w * u).sum()) for w, (_, u) in zip(weights, slopes, strict=True))
        least = _STEP / _SHRINK ** (_STEPS - 1)
        doubt = _DOUBTS * (unsure + _EPS * (float(moved) / least + float(rounded)))
        return doubt if np.isfinite(doubt) else 0.0


def _sizes(swept: Adjoints) -> Expr:
    """Of all nodes, the sum of |node · ∂y/∂node|."""
    total: Expr = const(0.0)
    for node in swept.order:
        if (adjoint := swept.get(node)) is not None:
            total = total + abs(node * adjoint).sum()
    return total
