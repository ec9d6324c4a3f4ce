"""What the forward loop keeps for the reverse one: residuals, one stack for each value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from minigrad.graph.node import Expr
from minigrad.graph.walk import depend_on, map_graph, toposort
from minigrad.loop.body import Body
from minigrad.ops.arithmetic import multiply


def gather_factors(terms: Sequence[Expr], cotangents: Iterable[Expr]) -> list[Expr]:
    """(u · a) · b = u · (a · b), where u depends on the cotangents and a and b do not.

    Then one residual serves for two, and the forward loop, which has a and b at hand, multiplies
    them: an LSTM keeps six values a step, and without this eleven, at a third more time.
    """
    order = toposort(terms)
    moving = depend_on(cotangents, terms)
    uses = Counter(a for node in order for a in node.args)
    uses.update(terms)
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
    comes before the unit, so that it would have to be kept beside the unit's own value.
    """
    forward = depend_on(body.carries, outputs)
    both = depend_on(body.carries, [*outputs, *terms])
    reverse = depend_on(cotangents, terms)

    def as_computed(node: Expr) -> bool:
        return node in forward

    def as_met(node: Expr) -> bool:
        return node in forward if not node.op.pointwise else node in both and node not in reverse

    return min((_first_values(terms, as_met), _first_values(terms, as_computed)), key=_size)


def _first_values(terms: Sequence[Expr], is_residual: Callable[[Expr], bool]) -> list[Expr]:
    """The first values that are kept on the way from the terms back.

    What follows from the step's inputs and the constants alone is at hand in the reverse loop too,
    and a view is read again from what it views.
    """
    values: dict[Expr, None] = {}
    seen: set[Expr] = set()
    stack = list(terms)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if is_residual(node) and not node.op.view:
            values[node] = None
        else:
            stack.extend(node.args)
    return list(values)


def _size(values: Collection[Expr]) -> int:
    return sum(v.size * v.dtype.itemsize for v in values)
