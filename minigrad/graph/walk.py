"""Walks over graphs: order, substitution, copies. All are loops; none recurses."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from typing import Any, cast

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import PARAM, PLACEHOLDER, VAR, const, param
from minigrad.graph.node import Expr, describe, rebuild
from minigrad.names import public
from minigrad.types import as_items


def roots_of(outputs: Any) -> list[Expr]:
    """An expression, or several, as a list. Raises DTypeError for what is neither."""
    if isinstance(outputs, Expr):
        return [outputs]
    roots = as_items(outputs, "outputs") if isinstance(outputs, Iterable) else [outputs]
    for r in roots:
        if not isinstance(r, Expr):
            raise DTypeError(f"an expression, or a list of them, is needed, not {r!r:.60}")
    return roots


def toposort(outputs: Expr | Iterable[Expr]) -> list[Expr]:
    """All nodes that the outputs depend on, each once, arguments before users.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> [node.op.name for node in mg.toposort(x)]
    ['var']
    """
    roots = roots_of(outputs)
    if _KEPT.orders is None:
        return list(walk(roots, _ARGS_OF))
    key = tuple(map(id, roots))
    if key not in _KEPT.orders:
        _KEPT.orders[key] = list(walk(roots, _ARGS_OF))
    return _KEPT.orders[key].copy()


_ARGS_OF = attrgetter("args")


class _Kept(threading.local):
    orders: dict[tuple[int, ...], list[Expr]] | None = None
    """By the ids of roots, which the orders keep alive."""


_KEPT = _Kept()


@contextmanager
def orders_kept() -> Iterator[None]:
    """Inside, `toposort` walks a graph once however often it is asked for: compiling asks ten
    times, and a third of its time went there."""
    before = _KEPT.orders
    _KEPT.orders = {} if before is None else before
    try:
        yield
    finally:
        _KEPT.orders = before


def walk(
    roots: Iterable[Expr], reads: Callable[[Expr], tuple[Expr, ...]]
) -> dict[Expr, tuple[Expr, ...]]:
    """What each node under the roots reads, in an order in which it comes after what it reads."""
    order: dict[Expr, tuple[Expr, ...]] = {}
    # The node at hand, what it reads, and what of that is still to be seen; and those above it.
    node: Any = None
    needs: tuple[Expr, ...] = ()
    rest = iter(roots)
    above: list[tuple[Any, tuple[Expr, ...], Iterator[Expr]]] = []
    while True:
        for a in rest:
            if a not in order:
                above.append((node, needs, rest))
                node, needs = a, reads(a)
                rest = iter(needs)
                break
        else:
            if not above:
                return order
            order[node] = needs
            node, needs, rest = above.pop()


def map_graph(
    roots: Iterable[Expr],
    change: Callable[[Expr, Mapping[Expr, Expr]], Expr | None],
    start: Mapping[Expr, Expr] | None = None,
) -> list[Expr]:
    """The graphs with another node in the place of each: change(node, new), or else the same op.

    `new` maps each node before it to what took its place; None stands for the node on its new
    arguments. What `start` maps is taken from there.
    """
    roots = list(roots)
    new = {} if start is None else dict(start)
    for node, args in walk(roots, lambda node: () if node in new else node.args).items():
        if node not in new:
            changed = change(node, new)
            if changed is None:
                changed = rebuild(node, tuple([new[a] for a in args]))
            new[node] = changed
    return [new[r] for r in roots]


def first_where(outputs: Iterable[Expr], holds: Callable[[Expr], bool]) -> list[Expr]:
    """The first nodes on the way from the outputs back for which something holds."""
    order = walk(outputs, lambda node: () if holds(node) else node.args)
    return [node for node in order if holds(node)]


def count_uses(outputs: Sequence[Expr]) -> Counter[Expr]:
    """How often each node of a graph is read; being an output counts."""
    uses = Counter(chain.from_iterable(map(_ARGS_OF, toposort(outputs))))
    uses.update(outputs)
    return uses


def depend_on(roots: Iterable[Expr], outputs: Sequence[Expr]) -> set[Expr]:
    """The nodes that depend on any of the roots, the roots among them."""
    dependents = set(roots)
    for node in toposort(outputs):
        if not dependents.isdisjoint(node.args):
            dependents.add(node)
    return dependents


def substitute(outputs: Any, replacements: dict[Expr, Any]) -> Any:
    """Expressions with nodes replaced, all at once; `outputs` is one expression or a sequence.

    A replacement must have the type of what it replaces (numbers are converted); what is inside
    a replacement is not replaced again. Raises ShapeError or DTypeError.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> mg.substitute(x, {x: 2.0}) is mg.const(2.0)
    True
    """
    roots = roots_of(outputs)
    if not isinstance(replacements, Mapping):
        raise DTypeError(f"replacements are a dict {{node: new}}, not {replacements!r:.60}")
    new: dict[Expr, Expr] = {}
    for old, value in replacements.items():
        if not isinstance(old, Expr):
            raise DTypeError(f"cannot replace {old!r:.60}: it is no minigrad expression")
        new[old] = _fit_replacement(old, value)
    result = map_graph(roots, lambda node, done: None, new)
    return result[0] if isinstance(outputs, Expr) else result


def _fit_replacement(old: Expr, value: Any) -> Expr:
    fitted = value if isinstance(value, Expr) else const(value, old.dtype)
    if fitted.type is not old.type:
        kind = ShapeError if fitted.shape != old.shape else DTypeError
        raise kind(
            f"cannot put {describe(fitted)} in the place of {describe(old)}: the types differ"
        )
    return fitted


def free_variables(outputs: Expr | Iterable[Expr]) -> list[Expr]:
    """The variables that the outputs depend on, in the order in which they are first used."""
    return [n for n in toposort(outputs) if n.op in (VAR, PLACEHOLDER)]


@public
def copy_graph(y: Expr, memo: dict[int, Any]) -> Expr:
    """The same graph of new params, of equal value and shared as they were; for copy.deepcopy."""
    params = [n for n in toposort(y) if n.op is PARAM]
    for p in params:
        if id(p) not in memo:
            memo[id(p)] = param(p.attrs[0], p.value)
    return cast(Expr, substitute(y, {p: memo[id(p)] for p in params}))
