"""Passes on products of rows that were looked up in a table: each row is multiplied once.

Where letters are read by the thousand and there are dozens, most of such products are the same. Of
gradients, what meets a row is added up first. A row that is never read may hold anything, NaN too.
Masks of whole rows, as padding makes them, go along: what they leave out is read by nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from minigrad.derivatives.conditions import Conditions, conjunction, laid_out, masked_by
from minigrad.graph.node import Expr, make
from minigrad.graph.walk import count_uses, depend_on, map_graph, substitute, toposort
from minigrad.loop.body import Body, Call
from minigrad.loop.node import SCAN
from minigrad.loop.passes.frame import change_loops
from minigrad.loop.passes.products import is_product
from minigrad.loop.passes.rows import (
    add_rows,
    adds_many,
    depends,
    is_read,
    looked_up,
    over_steps,
    reads_many,
    rows_of,
    unmasked,
    within_reshapes,
)
from minigrad.ops.choice import where
from minigrad.ops.core import SUM, broadcast_to, full, reshape, sum
from minigrad.ops.index import GETITEM, SCATTER, Entry, Spec, all_of
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, PERMUTE, concat, permute_dims
from minigrad.ops.tuples import ITEM
from minigrad.rewrite.views import slices


def multiply_tables(outputs: Sequence[Expr]) -> list[Expr]:
    """E[i] · W = (E · W)[i] where i reads many more rows than E has: letters of an embedding.

    Rows that are masked, where(m, E[i], 0), become where(m, (E · W)[i], 0 · W).
    """

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        rows = looked_up(new[node.args[0]]) if is_product(node) else None
        if rows is None:
            return None
        weights = new[node.args[1]]
        product = make(MATMUL, (rows.table, weights))
        read = make(GETITEM, (product, rows.places), (rows_of(product),))
        if rows.conditions:
            nothing = make(
                MATMUL, (full(0, rows.table.type.with_shape((1, rows.table.shape[1]))), weights)
            )
            m = broadcast_to(conjunction(rows.conditions), read.shape)
            read = where(m, read, broadcast_to(nothing, read.shape))
        return reshape(read, node.shape)

    return map_graph(outputs, of_node)


def add_rows_first(outputs: Sequence[Expr]) -> list[Expr]:
    """Rows of a · U added up by an index are those of a, times U: the gradient of a lookup.

    A loop that gives such rows out, and reads them nowhere, gives a out instead.
    """
    left = _leave_products(outputs)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if not adds_many(node):
            return None
        conditions, product = unmasked(new[node.args[0]])
        if not is_product(product) or product.shape[1] != node.shape[1]:
            return None
        index, (a, u) = new[node.args[1]], product.args
        shape = (*index.shape, product.shape[1])
        conditions = tuple(laid_out(c, product.shape, shape) for c in conditions)
        summed = add_rows(a, index, node.shape[0], conditions)
        return where(is_read(index, node.shape[0], conditions), make(MATMUL, (summed, u)), 0)

    return map_graph(left, of_node)


def add_rows_of_weights(outputs: Sequence[Expr]) -> list[Expr]:
    """E[i]ᵀ · G = Eᵀ · (G's rows added up by i): the gradient of what looked-up rows are times.

    A loop that gives such rows out beside others, [h, x], gives out the others alone.
    """
    apart = _leave_inputs(outputs)

    def of_rows(matrix: Expr, right: Expr) -> Expr:
        rows = looked_up(matrix)
        if rows is None:
            return make(MATMUL, (permute_dims(matrix), right))
        n = rows.table.shape[0]
        seen = where(is_read(rows.places, n, rows.conditions), rows.table, 0)
        return make(MATMUL, (permute_dims(seen), add_rows(right, rows.places, n, rows.conditions)))

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if not is_product(node) or node.args[0].op is not PERMUTE:
            return None
        matrix, right = new[node.args[0]].args[0], new[node.args[1]]
        parts = _columns(matrix)
        if all(looked_up(p) is None for p in parts):
            return None
        return concat([of_rows(p, right) for p in parts], 0)

    return map_graph(apart, of_node)


def add_up_sums(outputs: Sequence[Expr]) -> list[Expr]:
    """The sum of rows that are also added up to few, by an index, is the sum of those few.

    So biases' gradients, beside those of a lookup, read a table and not all steps' rows once more:
    0.3 of the 9 ms of a step of a net of 128 units over 2,048 letters.
    """
    order = toposort(outputs)
    added = {_rows(n.args[0]): n for n in order if adds_many(n)}
    totals = {n: t for n in order if (t := _total(n)) is not None and t.rows in added}
    # What is added up where the sums say cannot come before them.
    added = {rows: n for rows, n in added.items() if not totals.keys() & {*toposort(n.args[1])}}

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if node not in totals or totals[node].rows not in added:
            return None
        rows, columns = totals[node]
        scatter = added[rows]
        values = reshape(new[rows.source], scatter.args[0].shape)
        total = sum(make(SCATTER, (values, *scatter.args[1:]), scatter.attrs), 0)
        return make(GETITEM, (total,), ((columns,),))

    return map_graph(outputs, of_node)


class _RowsOf(NamedTuple):
    """The same for tensors that are one, reshaped, and have rows of one width."""

    source: Expr
    width: int


def _rows(node: Expr) -> _RowsOf:
    return _RowsOf(within_reshapes(node), node.shape[-1])


class _Total(NamedTuple):
    """The sum of all rows of a tensor, of some of their columns."""

    rows: _RowsOf
    columns: Entry


def _total(node: Expr) -> _Total | None:
    """What a node is the sum of, over all axes but the last."""
    summed = node
    while summed.op is SUM and summed.args[0].ndim - 1 not in summed.attrs[0]:
        (summed,) = summed.args
    if summed is node or node.ndim != 1 or not node.type.is_float:
        return None
    spec = slices(summed) if summed.op is GETITEM else None
    if spec is not None and spec[:-1] == all_of(summed.args[0].shape)[:-1]:
        return _Total(_rows(summed.args[0]), spec[-1])
    return _Total(_rows(summed), all_of(node.shape)[0])


def _columns(matrix: Expr) -> list[Expr]:
    """The matrices side by side in one, reshaped and masked as it is; or itself alone."""
    conditions, whole = unmasked(matrix)
    if whole.op is not CONCAT or whole.attrs[0] != whole.ndim - 1:
        return [matrix]
    if whole.shape[-1] != matrix.shape[1] or not whole.size:
        return [matrix]
    parts = [masked_by(conditions, p) for p in whole.args]
    return [reshape(p, (matrix.shape[0], p.shape[-1])) for p in parts]


def _leave_inputs(outputs: Sequence[Expr]) -> list[Expr]:
    """Inputs of loops that are looked up, and given out within a concat, are put there after it."""

    def change(call: Call, node: Expr) -> list[Expr] | None:
        body, n = call.body, call.body.n_carry
        read = {v for v, x in call.xs.items() if v.ndim == 2 and reads_many(x)}
        wholes: dict[Expr, list[Expr]] = {}
        outside: dict[Expr, Expr] = {}
        for y in body.ys:
            conditions, whole = unmasked(y)
            if not any(p in read for p in whole.args) or depends(conditions, body.carries):
                continue
            if whole.op is CONCAT and whole.attrs[0] == y.ndim - 1:
                wholes[y] = [masked_by(conditions, p) for p in whole.args]
                here = over_steps(call, conditions)
                pairs = zip(wholes[y], whole.args, strict=True)
                outside |= {m: masked_by(here, call.xs[p]) for m, p in pairs if p in call.xs}
        if not wholes:
            return None
        inside = (p for parts in wholes.values() for p in parts if p not in outside)
        ys = list(dict.fromkeys([*(y for y in body.ys if y not in wholes), *inside]))
        results = call.giving([*body.next_carries, *ys])
        stacks = {**outside, **dict(zip(ys, results[n:], strict=True))}
        stacks |= {y: concat([stacks[p] for p in parts], y.ndim) for y, parts in wholes.items()}
        return [*results[:n], *(stacks[y] for y in body.ys)]

    return change_loops(outputs, change)


class _Left(NamedTuple):
    """A slice of a product that a loop gives out: of a · U, the columns, where conditions hold."""

    a: Expr
    u: Expr
    spec: Spec
    conditions: Conditions


def _leave_products(outputs: Sequence[Expr]) -> list[Expr]:
    """Products with constants that loops only give out, for rows to be added up, come after."""
    uses = count_uses(outputs)
    places: dict[Expr, list[int]] = {}
    for node in toposort(outputs):
        if not adds_many(node):
            continue
        rows = unmasked(node.args[0])[1]
        if rows.op is ITEM and rows.args[0].op is SCAN and uses[rows] == uses[node.args[0]] == 1:
            places.setdefault(rows.args[0], []).append(rows.attrs[0])

    def change(call: Call, node: Expr) -> list[Expr] | None:
        if node not in places:
            return None
        body = call.body
        left = _products(body, places[node])
        if not left:
            return None
        stay = [k for k in range(len(body.outputs)) if k not in left]
        factors = [p.a for p in left.values()]
        results = call.giving([*(body.outputs[k] for k in stay), *factors])
        every = dict(zip(stay, results, strict=False))
        for (k, p), stack in zip(left.items(), results[len(stay) :], strict=True):
            rows = reshape(stack, (stack.shape[0] * stack.shape[1], stack.shape[2]))
            (u,) = substitute([p.u], dict(call.constants))
            wide = make(MATMUL, (rows, make(GETITEM, (u,), (p.spec,))))
            product = reshape(wide, (*stack.shape[:2], wide.shape[1]))
            masked = masked_by(over_steps(call, p.conditions), product)
            every[k] = reshape(masked, (stack.shape[0], *body.outputs[k].shape))
        return [every[k] for k in range(len(body.outputs))]

    return change_loops(outputs, change)


def _products(body: Body, results: Sequence[int]) -> dict[int, _Left]:
    """Of a loop's results, by number, what are slices of products and read by no step."""
    uses = count_uses(body.outputs)
    moving = depend_on((*body.carries, *body.xs), body.outputs)
    products: dict[int, _Left] = {}
    for k in results:
        conditions, part = unmasked(body.outputs[k])
        if k < body.n_carry or uses[body.outputs[k]] > 1 or uses[part] > 1:
            continue
        product = _product(part, moving)
        if product is not None and not depends(conditions, body.carries):
            products[k] = product._replace(conditions=conditions)
    return products


def _product(part: Expr, moving: Collection[Expr]) -> _Left | None:
    """A node of a loop's body as slices of a product with a constant, if that is what it is."""
    cut = part.op is GETITEM
    whole, spec = (part.args[0], slices(part)) if cut else (part, all_of(part.shape))
    if spec is None or not is_product(whole) or spec[0] != all_of(whole.shape)[0]:
        return None
    a, u = whole.args
    same = a in moving and u not in moving
    return _Left(a, u, (all_of(u.shape)[0], spec[1]), ()) if same else None
