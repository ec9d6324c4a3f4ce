"""Numbers for a picture: values, adjoints and edge terms of a graph, from one compiled function.

The function is compiled without rewrites, from the very nodes that are drawn. Nothing here knows
of DOT, colours or layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any

import numpy as np

from minigrad.compile.function import function, resolve
from minigrad.drawing.theme import Kind, Scale, fmt
from minigrad.errors import GraphError
from minigrad.grad import Adjoints, edge_terms
from minigrad.graph import Expr, const
from minigrad.types import Array, Shape
from minigrad.walk import free_variables, toposort

EdgeKey = tuple[Expr, int]

_LISTED = 4  # tensors of up to so many elements are written out


@dataclass(frozen=True, slots=True)
class Amount:
    """What a picture says of one measured tensor.

    `norm` is the 2-norm of all elements (|x| for a scalar); `low` and `high` are the extremes, None
    for an empty tensor; `elements` holds up to four elements, and nothing for larger tensors.
    `kind` is what `Scale.style` would call the norm, except that a zero known to stand for a
    product too small for its dtype is "underflow".
    """

    shape: Shape
    norm: float
    low: float | None
    high: float | None
    elements: tuple[float, ...]
    kind: Kind

    @staticmethod
    def of(array: Array) -> Amount:
        """Sum up an array.

        >>> Amount.of(np.array([3.0, -4.0]))
        Amount(shape=(2,), norm=5.0, low=-4.0, high=3.0, elements=(3.0, -4.0), kind='normal')
        """
        flat = np.asarray(array).reshape(-1)
        listed = tuple(float(x) for x in flat) if flat.size <= _LISTED else ()
        low, high = (float(flat.min()), float(flat.max())) if flat.size else (None, None)
        size = norm(flat)
        return Amount(np.shape(array), size, low, high, listed, _kind(size))

    @property
    def is_scalar(self) -> bool:
        """Whether the tensor has no axes."""
        return not self.shape

    def short(self, number: Any = fmt) -> str:
        """The element of a scalar, a few elements, or the norm.

        >>> Amount.of(np.array(-2.5)).short(), Amount.of(np.zeros((2, 3))).short()
        ('-2.5', '‖0‖')
        """
        if self.is_scalar:
            return str(number(self.elements[0]))
        if self.elements and len(self.shape) == 1:
            return f"[{', '.join(number(x) for x in self.elements)}]"
        return f"‖{fmt(self.norm)}‖"

    def long(self) -> str:
        """Everything, at full precision, for a tooltip.

        >>> Amount.of(np.array([3.0, -4.0])).long()
        '[3.0, -4.0], norm 5.0'
        """
        if self.is_scalar:
            return repr(self.elements[0])
        if not self.size:
            return f"empty, shape {self.shape}"
        if self.elements:
            return f"{list(self.elements)}, norm {self.norm!r}"
        return f"norm {self.norm!r}, from {self.low!r} to {self.high!r}, shape {self.shape}"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=int))


def norm(array: Array) -> float:
    """The 2-norm of all elements, without overflow or underflow on the way; NaN wins over inf.

    >>> norm(np.array([3e300, 4e300])) > 4e300, norm(np.array([np.inf, 1.0])), norm(np.zeros(0))
    (True, inf, 0.0)
    """
    flat = np.abs(np.asarray(array).astype(np.float64, copy=False)).reshape(-1)
    if not flat.size:
        return 0.0
    top = float(flat.max())
    if not np.isfinite(top):
        return nan if np.isnan(flat).any() else inf
    if top == 0.0 or flat.size == 1:
        return top
    # A power of two, so that scaling rounds nothing; halved, as 1/top may overflow.
    scale = float(np.ldexp(1.0, int(np.frexp(top)[1]) - 1))
    with np.errstate(under="ignore"):
        return scale * float(np.sqrt(np.square(flat / scale).sum()))


def _kind(size: float) -> Kind:
    if size != size:
        return "nan"
    return "inf" if size == inf else "zero" if size == 0.0 else "normal"


UNCONNECTED = Amount((), 0.0, None, None, (), "disconnected")


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one picture; adjoints and terms are empty when no gradient was asked for.

    A node or an edge that no derivative passes is `UNCONNECTED`.
    """

    values: Mapping[Expr, Amount]
    adjoints: Mapping[Expr, Amount]
    terms: Mapping[EdgeKey, Amount]

    def scale(self) -> Scale:
        """The colour scale that covers every gradient measured."""
        amounts = [*self.adjoints.values(), *self.terms.values()]
        return Scale.of(a.norm for a in amounts if a.kind != "disconnected")


def measure(
    roots: Sequence[Expr],
    at: Mapping[Any, Any],
    adjoints: Adjoints | None,
    edges: Mapping[EdgeKey, Sequence[Expr]],
) -> Measured:
    """Evaluate every node under the roots and, given the adjoints, every adjoint and edge term.

    `edges` says which edges to measure. It maps (user, position) to the ops without arithmetic,
    from the user outwards, that lie between the user and the source that the picture draws; the
    term is carried back through them to that source.
    """
    if not isinstance(at, Mapping):
        raise GraphError(f"at is a dict of values, as in at={{x: 1.0}}, not {at!r}")
    at = resolve(free_variables(roots), at)  # names mean variables of the graph that is drawn
    nodes = toposort(roots)
    around: dict[Expr, Expr] = {}
    terms: dict[EdgeKey, Expr] = {}
    if adjoints is not None:
        around = {n: a for n in nodes if (a := adjoints.get(n)) is not None}
        known = adjoints.terms()
        for key, between in edges.items():
            if (term := _carried(known.get(key), between)) is not None:
                terms[key] = term
    found = iter(_evaluate([*nodes, *around.values(), *terms.values()], at))
    values = {n: Amount.of(next(found)) for n in nodes}
    if adjoints is None:
        return Measured(values, {}, {})
    cotangents = {n: next(found) for n in around}
    adjoint = dict.fromkeys(nodes, UNCONNECTED)
    adjoint |= {n: Amount.of(x) for n, x in cotangents.items()}
    arrived = dict.fromkeys(edges, UNCONNECTED) | {k: Amount.of(next(found)) for k in terms}
    _tell_underflow(nodes, edges, cotangents, adjoint, arrived, at)
    return Measured(values, adjoint, arrived)


def _carried(term: Expr | None, between: Sequence[Expr]) -> Expr | None:
    # By linearity the terms so carried back sum to the adjoint of the source.
    for op in between:
        term = None if term is None else edge_terms(term, op)[0]
    return term


def _evaluate(outputs: Sequence[Expr], at: Mapping[Any, Any]) -> list[Array]:
    variables = free_variables(outputs)
    bound = resolve(variables, at)
    with np.errstate(all="ignore"):
        run = function(variables, list(outputs), simplify=False)
        return [np.asarray(x) for x in run(*[bound[v] for v in variables])]


# --- zero or underflow? --------------------------------------------------------------------------


def _tell_underflow(
    nodes: Sequence[Expr],
    edges: Mapping[EdgeKey, Sequence[Expr]],
    cotangents: Mapping[Expr, Array],
    adjoints: dict[Expr, Amount],
    terms: dict[EdgeKey, Amount],
    at: Mapping[Any, Any],
) -> None:
    """Rename the zeros that are too small products: their rule gives more for more cotangent."""
    zeros = [k for k, a in terms.items() if a.kind == "zero" and a.size]
    probes = [
        _carried(edge_terms(_probe(user, cotangents[user]), user)[i], edges[user, i])
        for user, i in zeros
    ]
    asked = {k: p for k, p in zip(zeros, probes, strict=True) if p is not None}
    passing = {k for k, x in zip(asked, _evaluate([*asked.values()], at), strict=True) if x.any()}
    if not passing:
        return
    # Users come before what they use, so that each zero can be called by its cause.
    drawn: dict[Expr, list[EdgeKey]] = {}
    for key in edges:
        drawn.setdefault(key[0], []).append(key)
    for user in reversed(nodes):
        lost = adjoints[user].kind != "zero"
        for key in drawn.get(user, ()):
            if key in passing and lost:
                terms[key] = replace(terms[key], kind="underflow")
                source = source_of(user, key[1], edges[key])
                if adjoints[source].kind == "zero":
                    adjoints[source] = replace(adjoints[source], kind="underflow")


def _probe(user: Expr, cotangent: Array) -> Expr:
    """The cotangent scaled up to 1, or ones where it is zero throughout."""
    top = float(np.abs(cotangent).max(initial=0.0))
    if not np.isfinite(top):
        return const(np.zeros_like(cotangent))
    scaled = np.ones_like(cotangent) if top == 0.0 else cotangent / cotangent.dtype.type(top)
    return const(scaled, user.dtype)


def source_of(user: Expr, position: int, between: Sequence[Expr]) -> Expr:
    """The node from which a drawn edge starts."""
    return between[-1].args[0] if between else user.args[position]
