"""How a gradient flows back along a chain of nodes of any graph: norms, factors, parts, fan-ins.

`flow` measures any chain; what other packages measure in ways of their own, `Series` sums up alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.evaluate import eval
from minigrad.derivatives.adjoints import Adjoints
from minigrad.display import ShownAsTable, Table, in_a_line
from minigrad.drawing.amount import kind_of, norms_of, told
from minigrad.drawing.theme import Kind
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, describe, require_expr
from minigrad.graph.places import Spot, inside_of
from minigrad.names import public
from minigrad.ops.core import is_zero
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

    @property
    def start(self) -> float:
        """The norm where the gradient starts: of the last step that any comes to; 0 where none is.

        >>> Series("h", [0.25, 0.5, 0.0], ["normal", "normal", "disconnected"]).start
        0.5
        """
        return next((x for x in reversed(self.norms) if x), 0.0)

    def shown(self, t: int, digits: int = 2) -> str:
        """The norm at step t, counted from 1, as tables have it.

        >>> Series("h", [0.25, 0.0], ["normal", "disconnected"]).shown(2)
        'not connected'
        """
        return told(self.norms[t - 1], self.kinds[t - 1], digits)

    @property
    def factors(self) -> list[float]:
        """norm(t) / norm(t + 1) for t = 1 … T - 1: what one step back multiplies it by."""
        return [a / b if b else math.nan for a, b in pairwise(self.norms)]

    @cached_property
    def factor(self) -> float:
        """The median of the factors of steps between norms that are neither zero nor overflown; of
        an even number of steps, the geometric mean of the middle two. NaN where there is none.

        >>> Series("h", [1.0, 1.0, 2.0, 2.0, 400.0], ["normal"] * 5).factor  # 1, .5, 1, .005
        0.7071067811865476
        """
        logs = [step for step in self._logs if step is not None]
        return 10.0 ** median(logs) if logs else math.nan

    @cached_property
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

    @cached_property
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
        the chain, and what left one of them out.
    cancellation: ‖Σ terms‖ / Σ ‖term‖ over the uses of each node, (K,). What the next step of a
        loop, or what comes after it, sends back to a step is one term.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    adjoints: tuple[Array, ...]
    series: Series
    along: Series
    around: Series
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
        columns |= {"along": self.along.norms, "around": self.around.norms}
        return columns | {"cancellation": [float(x) for x in self.cancellation]}

    def _table(self) -> Table:
        columns = self.table()
        rows = [
            (
                str(name),
                f"{size:.3g}" if kind == "normal" else told(size, kind),
                *(f"{x:.3g}" for x in numbers),
            )
            for kind, (name, size, *numbers) in zip(
                self.series.kinds, zip(*columns.values(), strict=True), strict=True
            )
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

    y: an expression; of one that is no scalar, the sum. along: nodes between input and y, or their
    names, the one nearest the input first, each of which the next depends on: the layers of a net,
    the residual stream at each block. A node of a loop's step is a chain by itself, of what it is
    at each step, in the order in which the loop runs: "c at t" is named by its place in xs, and of
    a loop with reverse=True the last comes first. Nodes before the loop, after it, and others of
    the same step may stand beside it. at: values of the variables.

    Raises GraphError for nodes that y does not depend on, and for one that the next does not.

    >>> import minigrad as mg
    >>> x = mg.var("x", (2,))
    >>> h = mg.tanh(0.5 * x).named("h")
    >>> z = (h + mg.tanh(0.1 * h)).named("z")
    >>> chain = flow(mg.sum(z * z), [x, h, z], {x: [0.3, -0.2]})
    >>> [f"{link.above} → {link.below}: {link.factor:.3f}" for link in chain.links]
    ['z → h: 1.100', 'h → x: 0.491']

    A gradient that goes back through a loop, and what cancels on its way:

    >>> step = lambda c, x: ((0.5 * c * mg.cos(x)).named("c"), None)
    >>> last, _ = mg.scan(step, mg.const(1.0), x)
    >>> chain = flow(last, ["c"], {x: [0.3, -0.2]})
    >>> [f"{name}: {size:.3f}" for name, size in zip(chain.names, chain.along.norms)]
    ['c at 1: 0.490', 'c at 2: 1.000']

    Attention: its weights, and what is read by them beside.

    >>> keys = mg.var("keys", (3, 2))
    >>> weights = mg.softmax(x @ keys.T).named("weights")
    >>> read = (weights @ keys).named("read")
    >>> seen = {x: [0.3, -0.2], keys: [[1, 0], [0, 1], [1, 1]]}
    >>> chain = flow(mg.sum(read * read), [keys, weights, read], seen)
    >>> [f"{size:.2f}" for size in chain.around.norms]  # keys are read past the weights, too
    ['1.12', '0.00', '0.00']
    """
    require_expr(y, "measure the flow of")
    items = as_items(along, "what a flow goes along")
    if not items:
        raise GraphError("a flow goes along one node at least")
    adjoints = Adjoints(y)
    spots = [_place_of(adjoints, item) for item in items]
    split = adjoints.along(spots)
    for k, (spot, (on, _)) in enumerate(zip(spots, split, strict=True)):
        if not spot.loops and is_zero(on):
            above = spots[k + 1].node if k + 1 < len(spots) else y
            raise GraphError(f"{describe(above)} does not depend on {describe(spot.node)}")
    fans = _fans(adjoints, spots)
    wanted = [
        (adjoints.value(spot), adjoints[spot], *both, fan)
        for spot, both, fan in zip(spots, split, fans, strict=True)
    ]
    names = [
        item if isinstance(item, str) else spot.node.name or f"node {k}"
        for k, (item, spot) in enumerate(zip(items, spots, strict=True), 1)
    ]
    rows = [_rows(adjoints, *one) for one in zip(names, spots, eval(wanted, at), strict=True)]
    called, values, grads, ons, offs, shares, joined = zip(*_run_in_order(spots, rows), strict=True)
    symbol = y.name or "y"
    whole, by_all, past = (
        series_of(symbol, steps, connected=joined) for steps in (grads, ons, offs)
    )
    return Chain(called, values, grads, whole, by_all, past, np.array(shares))


def _place_of(adjoints: Adjoints, what: Any) -> Spot:
    """Where a node is, or the node of a name. Raises GraphError where y does not depend on it."""
    if not isinstance(what, str):
        require_expr(what, "measure the flow along")
    places = adjoints.places(what)
    if len(places) > 1 or (not places and isinstance(what, str)):
        raise GraphError(f"{describe(adjoints.y)} has {len(places)} nodes named {what!r:.40}")
    if not places or adjoints.get(places[0]) is None:
        node = places[0].node if places else what
        raise GraphError(f"{describe(adjoints.y)} does not depend on {describe(node)}")
    return places[0]


def _fans(adjoints: Adjoints, spots: Sequence[Spot]) -> list[list[Expr]]:
    """The terms of each node's adjoint."""
    of_node: dict[Expr, list[Expr]] = {}
    for (user, position), term in adjoints.terms().items():
        of_node.setdefault(user.args[position], []).append(term)
    return [
        (_of_uses(adjoints.edges(spot)) if spot.loops else of_node.get(spot.node, []))
        or [adjoints[spot]]
        for spot in spots
    ]


def _of_uses(terms: Mapping[tuple[Expr, int], Expr]) -> list[Expr]:
    """The terms of a node of a loop's step, by uses; loops that differ in their results only are
    one, so that what the next step sends back is one term."""
    by_use: dict[Any, Expr] = {}
    for (user, position), term in terms.items():
        use = (user if user.op.inside is None else inside_of(user).same, position)
        by_use[use] = by_use[use] + term if use in by_use else term
    return [*by_use.values()]


def _rows(adjoints: Adjoints, name: str, spot: Spot, numbers: Any) -> list[tuple[Any, ...]]:
    """Of a node, once for each step of its loops as they run: what it is called, its value, its
    adjoint, the two parts, how far its terms agree, and whether it is connected."""

    def in_order(stack: Any) -> Array:
        rest = np.shape(stack)[len(spot.loops) :]
        return np.asarray(np.flip(stack, back).reshape(count, *rest))

    back = tuple(k for k, loop in enumerate(spot.loops) if inside_of(loop).reverse)
    count = math.prod(spot.steps)
    *stacks, terms = numbers
    place = in_order(1 + np.arange(count).reshape(spot.steps))
    names = [f"{name} at {t}" for t in place] if spot.loops else [name]
    shares = cancellation([in_order(term) for term in terms])
    joined = in_order(np.asarray(adjoints.connected(spot)))
    return list(zip(names, *map(in_order, stacks), shares, joined, strict=True))


def _run_in_order(spots: Sequence[Spot], rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The rows of all nodes; those of one loop that follow one another, step by step."""
    ordered: list[Any] = []
    for _, group in groupby(range(len(spots)), key=lambda k: spots[k].loops or k):
        ordered += [row for step in zip(*[rows[k] for k in group], strict=True) for row in step]
    return ordered
