"""Why a loss or a gradient is not finite: where the first NaN or infinity was born, and what helps.

The bad step is computed once more, op by op, on the graph that was compiled: loops unrolled, stable
forms in place. From what is not finite the way goes back to the op, or to the edge of the backward
pass, whose own operands still are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.training.remedies import exploded, remedy_backward, remedy_forward
from minigrad import Expr, NonFiniteError

Array: TypeAlias = NDArray[Any]
Place: TypeAlias = tuple[int, ...]

LONGEST = 2000  # steps of loops that are unrolled to look into them, unless told
LARGEST = 2**28  # elements of all values together that are kept to look at


class Bad(NamedTuple):
    """A step that failed, with the parameters still as they were."""

    loss: Expr
    grads: Mapping[str, Expr]
    """Of the parameters, and what else is read of the way back."""
    params: Mapping[str, Expr]
    inputs: Sequence[Expr]
    values: Sequence[Any]
    norms: Sequence[float]
    """Of the gradient in the steps before, the last one last."""
    counts: Mapping[Expr, Expr] = MappingProxyType({})
    """Of inputs, a mask over their first axes: False is padding, which has no part in the loss."""
    axes: Mapping[Expr, Sequence[str]] = MappingProxyType({})
    """Of inputs, what their first axes count: ("step", "sequence")."""


def diagnosis(bad: Bad, longest: int = LONGEST) -> list[str]:
    """What was not finite first, where, and what to do: sentences; none where it cannot be told.

    longest: so many steps of loops are written out to look into them; beyond, an op is named.
    """
    with np.errstate(all="ignore"):
        bad = bad._replace(values=_without_padding(bad))
        return _in_the_data(bad) or _in_the_graph(bad, longest) or _at_an_op(bad)


def _without_padding(bad: Bad) -> list[Array]:
    """The values, with 0 for what is not finite in padding: nothing there is to blame."""
    values = [np.asarray(value) for value in bad.values]
    masks = mg.function(bad.inputs, list(bad.counts.values()))(*values) if bad.counts else []
    for leaf, mask in zip(bad.counts, masks, strict=True):
        k = next(k for k, x in enumerate(bad.inputs) if x is leaf)
        counts = np.reshape(mask, np.shape(mask) + (1,) * (values[k].ndim - np.ndim(mask)))
        values[k] = np.where(counts | np.isfinite(values[k]), values[k], 0)
    return values


# --- what was not finite before -----------------------------------------------------------------


def _in_the_data(bad: Bad) -> list[str]:
    inputs = zip(bad.inputs, map(np.asarray, bad.values), strict=True)
    for leaf, value in [*inputs, *((p, p.value) for p in bad.params.values())]:
        held = value.astype(leaf.dtype)
        place = _bad_place(held)
        if place is None:
            continue
        others = int(np.sum(~np.isfinite(held))) - 1
        more = f" (and {others} more are not finite)" if others else ""
        counted = zip(bad.axes.get(leaf, ()), place, strict=False)
        where = " of ".join(f"{axis} {k + 1}" for axis, k in counted)
        wide = f", more than {leaf.dtype} holds" if np.isfinite(value[place]) else ""
        what = f"{leaf.name}{_at(place)} is {value[place]}{wide}{where and f', in {where}'}{more}"
        if leaf.op.name == "param":
            return [f"{what}: the parameter was so already; set it anew"]
        return [f"{what}: it came with the data; mend it, or leave it out by a mask"]
    return []


def _bad_place(value: Array) -> Place | None:
    """The first element that is not finite; None where all are."""
    if value.dtype.kind != "f" or np.isfinite(value).all():
        return None
    return tuple(int(k) for k in np.argwhere(~np.isfinite(value))[0])


def _at(place: Place) -> str:
    return f"[{', '.join(map(str, place))}]" if place else ""


# --- what was born in the graph -----------------------------------------------------------------


def _in_the_graph(bad: Bad, longest: int) -> list[str]:
    loops = [n.attrs[0] for n in mg.toposort(bad.loss) if n.op.name == "scan"]
    if sum(loop.length for loop in loops) > longest:
        return []
    (loss,) = _stable([mg.unroll(bad.loss)])
    nodes = [n for n in mg.toposort(loss) if isinstance(n.dtype, np.dtype)]
    if sum(int(np.prod(n.shape)) for n in nodes) > LARGEST:
        return []
    values = dict(zip(nodes, _evaluated(bad, nodes), strict=True))
    if _bad_place(values[loss]) is not None:
        return _born_forward(bad, loss, values)
    return _too_large(bad) or _born_backward(bad, loss, values)


def _stable(exprs: Sequence[Expr]) -> list[Expr]:
    return mg.simplify(exprs, [*mg.RULES["exact"], *mg.RULES["stability"]])


def _evaluated(bad: Bad, exprs: Sequence[Expr]) -> list[Array]:
    run = mg.function(bad.inputs, list(exprs), backend="numpy", simplify=False)
    return [np.asarray(value) for value in run(*bad.values)]


def _born_forward(bad: Bad, loss: Expr, values: Mapping[Expr, Array]) -> list[str]:
    node, place = loss, _bad_place(values[loss])
    while place is not None and (cause := _bad_operand(node, place, values)) is not None:
        node, place = cause
    assert place is not None
    if not node.args:  # it was computed when the graph was made
        return []
    operands = _operands(node, place, values)
    said = ", ".join(map(_number, operands)) if operands else _ranges(node, values)
    value = values[node][place]
    what = "NaN" if np.isnan(value) else "infinity"
    where = f"{what} born at op {node.op.name}{_made(bad, node)}, element {_at(place) or '()'}"
    return [f"{where}: {node.op.name}({said}) is {value}", *remedy_forward(node, operands, bad)]


def _bad_operand(
    node: Expr, place: Place, values: Mapping[Expr, Array]
) -> tuple[Expr, Place] | None:
    """An operand that was not finite before the node was, and where."""
    args = [a for a in node.args if a in values]
    if node.op.name == "where":  # only the side that was taken counts
        args = [node.args[1 if values[node.args[0]][place] else 2]]
    for arg in args:
        if node.op.pointwise and arg.shape == node.shape:
            if values[arg].dtype.kind == "f" and not np.isfinite(values[arg][place]):
                return arg, place
        elif (bad := _bad_place(values[arg])) is not None:
            return arg, bad
    return None


def _operands(node: Expr, place: Place, values: Mapping[Expr, Array]) -> list[float]:
    """What a pointwise op was given at a place; nothing for other ops."""
    if not node.op.pointwise:
        return []
    return [float(values[a][place]) for a in node.args]


def _ranges(node: Expr, values: Mapping[Expr, Array]) -> str:
    arrays = [values[a] for a in node.args if a in values and values[a].size]
    return ", ".join(f"values {_number(x.min())} to {_number(x.max())}" for x in arrays)


def _number(value: Any) -> str:
    return f"{float(value):.6g}"


def _made(bad: Bad, node: Expr) -> str:
    """Which step of a loop it was in, and the line of code that made it."""
    step = ""
    try:
        mg.function(bad.inputs, bad.loss, check_finite=True)(*bad.values)
    except NonFiniteError as error:
        same = error.node is not None and error.node.op is node.op
        if same and error.node.origin == node.origin and error.steps:
            step = f" in step {error.steps[-1] + 1} of a loop"
    line = f", made at {node.origin}" if node.origin else ""
    return f"{step}{line}"


# --- what was born on the way back --------------------------------------------------------------


def _too_large(bad: Bad) -> list[str]:
    """A gradient that is finite, and whose norm is not."""
    grads = dict(zip(bad.grads, _grads(bad), strict=True))
    if np.isfinite(sum(np.square(g).sum() for g in grads.values())):
        return []
    if any(_bad_place(g) is not None for g in grads.values()):
        return []
    name, most = max(((n, float(np.abs(g).max())) for n, g in grads.items()), key=lambda x: x[1])
    said = f"its elements are finite, up to {most:.2g} in {name}, but the square of that overflows"
    return [said, *(exploded(bad) or ["a smaller loss, or float64, helps"])]


def _grads(bad: Bad) -> list[Array]:
    run = mg.function(bad.inputs, list(bad.grads.values()))
    return [np.asarray(g) for g in run(*bad.values)]


def _born_backward(bad: Bad, loss: Expr, values: Mapping[Expr, Array]) -> list[str]:
    adjoints = mg.adjoints(loss)
    nodes = [n for n in values if n in adjoints]
    edges = list(adjoints.terms())
    exprs = [adjoints[n] for n in nodes] + list(adjoints.terms().values())
    arrays = _evaluated(bad, _stable(exprs))
    adjoint = dict(zip(nodes, arrays, strict=False))
    terms = dict(zip(edges, arrays[len(nodes) :], strict=True))
    uses: dict[Expr, list[tuple[Expr, int]]] = {}
    for user, i in edges:
        uses.setdefault(user.args[i], []).append((user, i))
    # Where none comes to a parameter, it is what is read beside them; the last is nearest the loss.
    node = next((p for p in (*bad.params.values(), *nodes[::-1]) if _is_bad(adjoint.get(p))), None)
    while node is not None:
        edge = next((e for e in uses.get(node, ()) if _is_bad(terms[e])), None)
        if edge is None:
            return []
        if not _is_bad(adjoint[edge[0]]):
            return _edge(bad, edge, values, adjoint[edge[0]], terms[edge])
        node = edge[0]
    return []


def _is_bad(value: Array | None) -> bool:
    return value is not None and _bad_place(value) is not None


def _edge(
    bad: Bad,
    edge: tuple[Expr, int],
    values: Mapping[Expr, Array],
    cotangent: Array,
    term: Array,
) -> list[str]:
    user, i = edge
    place = _bad_place(term)
    assert place is not None
    operands = _operands(user, place, values)
    what = "NaN" if np.isnan(term[place]) else "infinity"
    arg = user.args[i].name or user.args[i].op.name
    line = f", made at {user.origin}" if user.origin else ""
    where = f"{what} born backward, at element {_at(place) or '()'} of the edge from op "
    where += f"{user.op.name}{line}, to its operand {i + 1}, {arg}"
    if not operands:
        return [where, *exploded(bad)]
    at = ", ".join(map(_number, operands))
    gradient = float(cotangent[place])
    said = (
        f"{where}: the derivative of {user.op.name}({at}) meets a gradient of {_number(gradient)}"
    )
    return [said, *remedy_backward(user, operands, gradient, bad)]


# --- where the graph is too large to be looked at whole ------------------------------------------


def _at_an_op(bad: Bad) -> list[str]:
    try:
        mg.function(bad.inputs, [bad.loss, dict(bad.grads)], check_finite=True)(*bad.values)
    except NonFiniteError as error:
        return [str(error), *exploded(bad)]
    return exploded(bad)
