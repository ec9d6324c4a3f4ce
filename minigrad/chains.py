"""How a gradient flows back along a chain of nodes of any graph: norms, factors, parts, fan-ins.

`flow` measures any chain; what other packages measure in ways of their own, `Series` sums up alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.evaluate import eval
from minigrad.derivatives.adjoints import Adjoints
from minigrad.derivatives.sweep import Sweep
from minigrad.display import ShownAsTable, Table, in_a_line
from minigrad.drawing.amount import kind_of
from minigrad.drawing.amount import norms_of as norms_of
from minigrad.drawing.theme import KIND_WORDS, Kind
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, describe, require_expr
from minigrad.graph.places import Spot, inside_of
from minigrad.names import public
from minigrad.ops.core import is_zero
from minigrad.ops.creation import zeros_like
from minigrad.types import Array, as_items

JUMP = 2.0
"""A step belongs to a jump when its factor differs from the median by more than this one."""


@dataclass(frozen=True)
class Series:
    """The norm of one gradient at each place that it passes, t = 1 … T; it arrives at t = 1 last.

    symbol: what it is the gradient towards: h or C.
    kinds: what each norm is; "underflow" is a zero that is none: the product was too small for the
        dtype; "disconnected" is one to which no differentiable path leads.
    """

    symbol: str
    norms: list[float]
    kinds: list[Kind]

    def __repr__(self) -> str:
        return in_a_line(self)

    @property
    def first(self) -> float:
        """The norm at t = 1, where the gradient arrives last."""
        return self.norms[0]

    @property
    def last(self) -> float:
        """The norm at t = T, where it starts."""
        return self.norms[-1]

    def shown(self, t: int) -> str:
        """The norm at step t, counted from 1, as tables have it.

        >>> Series("h", [0.25, 0.0], ["normal", "disconnected"]).shown(2)
        'not connected'
        """
        kind = self.kinds[t - 1]
        return KIND_WORDS[kind] if kind == "disconnected" else f"{self.norms[t - 1]:.2e}"

    @property
    def factors(self) -> list[float]:
        """norm(t) / norm(t + 1) for t = 1 … T - 1: what one step back multiplies it by."""
        return [a / b if b else math.nan for a, b in pairwise(self.norms)]

    @property
    def factor(self) -> float:
        """The median of the factors of steps between norms that are neither zero nor overflown; of
        an even number of steps, the geometric mean of the middle two. NaN where there is none.

        >>> Series("h", [1.0, 1.0, 2.0, 2.0, 400.0], ["normal"] * 5).factor  # 1, .5, 1, .005
        0.7071067811865476
        """
        logs = [step for step in self._logs if step is not None]
        return 10.0 ** median(logs) if logs else math.nan

    @property
    def jumps(self) -> list[Jump]:
        """Runs of steps that all multiply by far more, or all by far less, than the median step;
        the largest first.

        >>> Series("h", [1.0, 1.0, 1.0, 1.0, 1e3, 1e6], ["normal"] * 6).jumps
        [Jump(start=6, end=4, factor=1e-06)]
        """
        middle = math.log10(self.factor) if self.factor == self.factor else 0.0
        away = [0.0 if step is None else step - middle for step in self._logs]
        sides = [(x > 0.0) - (x < 0.0) if abs(x) > math.log10(JUMP) else 0 for x in away]
        runs: list[tuple[float, Jump]] = []
        first = 0
        for k in range(1, len(sides) + 1):
            if k < len(sides) and sides[k] == sides[first]:
                continue
            if sides[first]:
                whole = self.norms[first] / self.norms[k]
                runs.append((abs(sum(away[first:k])), Jump(k + 1, first + 1, whole)))
            first = k
        return [jump for _, jump in sorted(runs, key=lambda pair: -pair[0])]

    @property
    def _logs(self) -> list[float | None]:
        """log10 of each factor, None where a norm is zero or not finite."""
        logs = [math.log10(x) if 0.0 < x < math.inf else None for x in self.norms]
        return [None if a is None or b is None else a - b for a, b in pairwise(logs)]


class Jump(NamedTuple):
    """Steps back, from t = start down to t = end, that together multiply a norm by `factor`."""

    start: int
    end: int
    factor: float

    def __repr__(self) -> str:
        return in_a_line(self)


def series_of(
    symbol: str,
    steps: Array | Sequence[Array],
    enlarged: Array | None = None,
    connected: Sequence[bool] | Array | None = None,
) -> Series:
    """The norms of a gradient (T, ...); enlarged: the same of a much larger ∂L/∂L, where a zero
    stays only if it has a factor of 0; connected: (T,), of `Adjoints.connected`, unless all are."""
    larger = None if enlarged is None else norms_of(enlarged)
    return series_from(symbol, norms_of(steps), larger, connected)


def series_from(
    symbol: str,
    norms: list[float],
    enlarged: list[float] | None = None,
    connected: Sequence[bool] | Array | None = None,
) -> Series:
    """The same of norms that are known."""
    larger = norms if enlarged is None else enlarged
    joined = [True] * len(norms) if connected is None else [*connected]
    kinds: list[Kind] = []
    for size, large, is_joined in zip(norms[::-1], larger[::-1], joined[::-1], strict=True):
        lost = large > 0.0 or bool(kinds and kinds[-1] == "underflow")
        kinds.append(kind_of(size, lost) if is_joined else "disconnected")
    return Series(symbol, norms, kinds[::-1])


def cancellation(terms: Iterable[Array]) -> Array:
    """‖Σ terms‖ / Σ ‖term‖ of stacks of terms (T, ...), at each of T: 1 where all agree, near 0
    where they cancel, NaN where there is nothing.

    >>> a = np.array([[1.0, 0.0], [3.0, 4.0]])
    >>> cancellation([a, -a / 2]).round(3)
    array([0.333, 0.333])
    """
    first, *rest = terms
    with np.errstate(all="ignore"):
        whole = np.array(norms_of(sum(rest, first)))
        return np.asarray(whole / np.sum([norms_of(term) for term in (first, *rest)], axis=0))


class Link(NamedTuple):
    """One link of a chain, from a node back to the one before it."""

    above: str
    below: str
    factor: float
    """‖∂y/∂below‖ / ‖∂y/∂above‖."""

    @property
    def decades(self) -> float:
        """The powers of ten that it wins; what it loses is negative.

        >>> Link("b", "a", 0.01).decades
        -2.0
        """
        return math.log10(self.factor) if 0.0 < self.factor < math.inf else math.nan


@dataclass(frozen=True, repr=False, eq=False)
class Chain(ShownAsTable):
    """What `flow` measures: the gradient at each node of a chain, the one nearest the input first.

    names: what the nodes are called. values, adjoints: theirs, of their own shapes.
    series: ‖∂y/∂node‖ at each.
    along, around: the same of two parts that sum to the whole: what came by every later node of
        the chain, and what left one of them out; None along the steps of a loop.
    cancellation: ‖Σ terms‖ / Σ ‖term‖ over the uses of each node, (K,); NaN in a loop.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    adjoints: tuple[Array, ...]
    series: Series
    along: Series | None
    around: Series | None
    cancellation: Array

    @property
    def links(self) -> list[Link]:
        """The links from the last node back to the first."""
        factors = zip(pairwise(self.names), self.series.factors, strict=True)
        return [Link(above, below, factor) for (below, above), factor in factors][::-1]

    def table(self) -> dict[str, Sequence[Any]]:
        """The numbers of each node by column; `pandas.DataFrame` takes it."""
        columns: dict[str, Sequence[Any]] = {
            "node": self.names,
            "norm": self.series.norms,
            "factor": [*self.series.factors, math.nan],
        }
        if self.along is not None and self.around is not None:
            columns |= {"along": self.along.norms, "around": self.around.norms}
            columns["cancellation"] = [float(x) for x in self.cancellation]
        return columns

    def _table(self) -> Table:
        columns = self.table()
        rows = [
            (str(name), *(f"{x:.3g}" for x in numbers))
            for name, *numbers in zip(*columns.values(), strict=True)
        ]
        title = f"How ∂{self.series.symbol} flows back along {len(self.names)} nodes"
        return Table(title, rows, tuple(columns), self._words())

    def _words(self) -> list[str]:
        sound = [link for link in self.links if link.decades == link.decades]
        if not sound:
            return []
        worst = min(sound, key=lambda link: link.decades)
        whole = sum(link.decades for link in sound)
        return [
            f"From {self.names[-1]} back to {self.names[0]} it changes by {whole:+.1f} decades; "
            f"from {worst.above} to {worst.below} by {worst.decades:+.1f}."
        ]


@public
def flow(y: Expr, along: Sequence[Expr | str], at: Mapping[Any, Any] | None = None) -> Chain:
    """How ∂y flows back along a chain of nodes of its graph, in numbers.

    y: an expression; of one that is no scalar, the sum. along: nodes between input and y, the one
    nearest the input first, each of which the next depends on: the layers of a net, the residual
    stream at each block, the states of a loop that is written out. Or one node of a loop's step,
    or its name: then the chain is what it is at each step, in the order in which the loops run, and
    "c at t" is named by its place in xs: of a loop with reverse=True the last comes first. at:
    values of the variables.

    Raises GraphError for nodes that y does not depend on, for one that the next does not, and for
    several of which one is in a loop.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> h = mg.tanh(0.5 * x).named("h")
    >>> z = (h + mg.tanh(0.1 * h)).named("z")
    >>> chain = flow(mg.sum(z * z), [x, h, z], {x: [0.3, -0.2]})
    >>> [f"{link.above} → {link.below}: {link.factor:.3f}" for link in chain.links]
    ['z → h: 1.100', 'h → x: 0.491']
    """
    require_expr(y, "measure the flow of")
    items = as_items(along, "what a flow goes along")
    if not items:
        raise GraphError("a flow goes along one node at least")
    adjoints = Adjoints(y)
    places = [_place_of(adjoints, item) for item in items]
    if any(spot.loops for spot in places):
        if len(items) > 1:
            raise GraphError("a flow goes along nodes of one graph, or along one node of a loop")
        return _over_steps(adjoints, items[0], places[0], at)
    nodes = [spot.node for spot in places]
    for node in nodes:
        if node not in adjoints:
            raise GraphError(f"{describe(y)} does not depend on {describe(node)}")
    on, off = _parts(adjoints, nodes)
    wanted = (nodes, [adjoints[n] for n in nodes], on, off, _fans(adjoints, nodes))
    values, grads, along_, around, terms = eval(wanted, at)
    symbol = y.name or "y"
    return Chain(
        tuple(n.name or f"node {k}" for k, n in enumerate(nodes, 1)),
        tuple(values),
        tuple(grads),
        series_of(symbol, grads),
        series_of(symbol, along_),
        series_of(symbol, around),
        np.array([float(cancellation([t[None] for t in fan])[0]) for fan in terms]),
    )


def _place_of(adjoints: Adjoints, what: Any) -> Spot:
    """Where a node is, or the node of a name."""
    if not isinstance(what, str):
        require_expr(what, "measure the flow along")
    places = adjoints.places(what)
    if len(places) != 1:
        if isinstance(what, Expr):
            raise GraphError(f"{describe(adjoints.y)} does not depend on {describe(what)}")
        raise GraphError(f"{describe(adjoints.y)} has {len(places)} nodes named {what!r:.40}")
    return places[0]


def _over_steps(adjoints: Adjoints, what: Any, spot: Spot, at: Mapping[Any, Any] | None) -> Chain:
    """The chain of what one node of a loop is at each step."""
    adjoint = adjoints.get(spot)
    if adjoint is None:
        raise GraphError(f"{describe(adjoints.y)} does not depend on {describe(spot.node)}")
    stacks = eval((adjoints.value(spot), adjoint), at)
    reversed_ = tuple(k for k, loop in enumerate(spot.loops) if inside_of(loop).reverse)
    shape = spot.node.shape
    values, grads = (np.flip(stack, reversed_).reshape(-1, *shape) for stack in stacks)
    place = 1 + np.arange(len(values)).reshape(spot.steps)
    name = what if isinstance(what, str) else what.name or "node"
    names = tuple(f"{name} at {t}" for t in np.flip(place, reversed_).ravel())
    series = series_of(adjoints.y.name or "y", list(grads))
    nothing = np.full(len(names), math.nan)
    return Chain(names, tuple(values), tuple(grads), series, None, None, nothing)


def _fans(adjoints: Adjoints, nodes: Sequence[Expr]) -> list[list[Expr]]:
    """The terms of each node's adjoint."""
    by_node: dict[Expr, list[Expr]] = {node: [] for node in nodes}
    for (user, position), term in adjoints.terms().items():
        if user.args[position] in by_node:
            by_node[user.args[position]].append(term)
    return [terms or [adjoints[node]] for node, terms in by_node.items()]


def _parts(adjoints: Adjoints, nodes: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
    """Of each node's adjoint what came by all nodes after it, and what left one of them out."""
    place = {node: k for k, node in enumerate(adjoints.order)}
    on, off = [adjoints[nodes[-1]]], [zeros_like(nodes[-1])]
    for below, above in reversed(list(pairwise(nodes))):
        order = adjoints.order[place[below] : place[above] + 1]  # all that lies between
        passed = Sweep(order, [(above, on[-1])], [below]).get(below)
        if passed is None:
            raise GraphError(f"{describe(above)} does not depend on {describe(below)}")
        on.append(passed)
        _, leap = adjoints.split(below, [above])
        passed = None if is_zero(off[-1]) else Sweep(order, [(above, off[-1])], [below]).get(below)
        off.append(leap if passed is None else passed if is_zero(leap) else passed + leap)
    return on[::-1], off[::-1]
