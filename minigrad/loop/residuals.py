"""What the forward loop keeps for the reverse one: residuals, one stack for each value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from minigrad.graph.node import Expr
from minigrad.graph.walk import count_uses, depend_on, first_where, map_graph
from minigrad.loop.body import Body
from minigrad.ops.arithmetic import multiply


def gather_factors(terms: Sequence[Expr], cotangents: Iterable[Expr]) -> list[Expr]:
    """(u · a) · b = u · (a · b), where u depends on the cotangents and a and b do not.

    Then one residual serves for two, and the forward loop, which has a and b at hand, multiplies
    them: an LSTM keeps six values a step, and without this eleven, at a third more time.
    """
    moving = depend_on(cotangents, terms)
    uses = count_uses(terms)
    products: dict[Expr, tuple[Expr, Expr]] = {}

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        fixed = [a for a in node.args if a not in moving]
        if node.op is not multiply.op or len(fixed) != 1 or node not in moving:
            return None
        (inner,) = (a for a in node.args if a in moving)
        if inner not in products or uses[inner] != 1:
            products[node] = new[inner], new[fixed[0]]
            return None
        u, factor = products[inner]
        products[node] = u, factor * new[fixed[0]]
        return u * products[node][1]

    return map_graph(terms, of_node)


def residuals(
    body: Body, outputs: Sequence[Expr], terms: Sequence[Expr], cotangents: Iterable[Expr]
) -> list[Expr]:
    """The values of a forward step that the reverse step needs for its terms.

    Either values that the forward step computes anyway, or the elementwise results of them that
    meet a cotangent, whichever take less memory. Slopes of saturated units are computed from what
    comes before the unit, so that it would have to be kept beside the unit's own value. What
    follows from a step's inputs and the constants alone is at hand in the reverse loop too.
    """
    forward = depend_on(body.carries, outputs)
    met = depend_on(body.carries, [*outputs, *terms]) - depend_on(cotangents, terms)

    def is_computed(node: Expr) -> bool:
        return node in forward and not node.op.view  # a view is read again from what it views

    def is_met(node: Expr) -> bool:
        return node in met if node.op.pointwise else is_computed(node)

    return min((first_where(terms, is_met), first_where(terms, is_computed)), key=_size)


def _size(values: Collection[Expr]) -> int:
    return sum(v.size * v.dtype.itemsize for v in values)
