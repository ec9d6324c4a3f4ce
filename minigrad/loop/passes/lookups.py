"""Passes on products of rows that were looked up in a table: each row is multiplied once.

Where letters are read by the thousand and there are dozens, most of such products are the same. Of
gradients, what meets a row is added up first. A row that is never read may hold anything, NaN too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from minigrad.graph.leaves import const
from minigrad.graph.node import Expr, make
from minigrad.graph.walk import count_uses, depend_on, map_graph, substitute, toposort
from minigrad.loop.body import Body, Call
from minigrad.loop.node import SCAN
from minigrad.loop.passes.frame import change_loops
from minigrad.loop.passes.products import is_product
from minigrad.ops.choice import where
from minigrad.ops.core import RESHAPE, broadcast_to, reshape
from minigrad.ops.index import ARRAY, GETITEM, SCATTER, Spec, all_of
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import CONCAT, PERMUTE, concat, permute_dims
from minigrad.ops.tuples import ITEM
from minigrad.rewrite.views import slices

# Rows read, to rows of the table, and the width of its rows. Below, what the product saves is about
# what it costs to read, and add up, the products' rows. A step of a net of 64 units over 2,048 rows
# of 64, native, one thread: 5.4 ms became 2.8 with rows of 128, 3.7 2.8 with 64, 3.0 2.5 with 32,
# and 2.8 stayed 2.8 with 16.
_MANY, _WIDE = 2, 32


def multiply_tables(outputs: Sequence[Expr]) -> list[Expr]:
    """E[i] · W = (E · W)[i] where i reads many more rows than E has: letters of an embedding."""

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        rows = _looked_up(node.args[0]) if is_product(node) else None
        if rows is None:
            return None
        table, index = (new[a] for a in rows.args)
        product = make(MATMUL, (table, new[node.args[1]]))
        return reshape(make(GETITEM, (product, index), (_rows_of(product),)), node.shape)

    return map_graph(outputs, of_node)


def add_rows_first(outputs: Sequence[Expr]) -> list[Expr]:
    """Rows of a · U added up by an index are those of a, times U: the gradient of a lookup.

    A loop that gives such rows out, and reads them nowhere, gives a out instead.
    """
    left = _leave_products(outputs)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        product = _within_reshapes(node.args[0]) if _adds_many(node) else None
        if product is None or not is_product(product) or product.shape[1] != node.shape[1]:
            return None
        index = new[node.args[1]]
        a, u = (new[x] for x in product.args)
        summed = _add_rows(a, index, node.shape[0])
        return where(_is_read(index, node.shape[0]), make(MATMUL, (summed, u)), 0)

    return map_graph(left, of_node)


def add_rows_of_weights(outputs: Sequence[Expr]) -> list[Expr]:
    """E[i]ᵀ · G = Eᵀ · (G's rows added up by i): the gradient of what looked-up rows are times.

    A loop that gives such rows out beside others, [h, x], gives out the others alone.
    """
    apart = _leave_inputs(outputs)

    def of_rows(matrix: Expr, right: Expr) -> Expr:
        rows = _looked_up(matrix)
        if rows is None:
            return make(MATMUL, (permute_dims(matrix), right))
        table, index = rows.args
        seen = where(_is_read(index, table.shape[0]), table, 0)
        return make(MATMUL, (permute_dims(seen), _add_rows(right, index, table.shape[0])))

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        if not is_product(node) or node.args[0].op is not PERMUTE:
            return None
        matrix, right = new[node.args[0]].args[0], new[node.args[1]]
        parts = _columns(matrix)
        if all(_looked_up(p) is None for p in parts):
            return None
        return concat([of_rows(p, right) for p in parts], 0)

    return map_graph(apart, of_node)


def _columns(matrix: Expr) -> list[Expr]:
    """The matrices that stand side by side in one, through reshapes; else itself alone."""
    whole = _within_reshapes(matrix)
    if whole.op is not CONCAT or whole.attrs[0] != whole.ndim - 1:
        return [matrix]
    if whole.shape[-1] != matrix.shape[1] or not whole.size:
        return [matrix]
    return [reshape(p, (matrix.shape[0], p.shape[-1])) for p in whole.args]


def _leave_inputs(outputs: Sequence[Expr]) -> list[Expr]:
    """Inputs of loops that are looked up, and given out within a concat, are put there after it."""

    def change(call: Call, node: Expr) -> list[Expr] | None:
        read = {v for v, x in call.xs.items() if v.ndim == 2 and _reads_many(x)}
        wholes = {
            y
            for y in call.body.ys
            if y.op is CONCAT and y.attrs[0] == y.ndim - 1 and read.intersection(y.args)
        }
        if not wholes:
            return None
        parts = (p for y in call.body.ys if y in wholes for p in y.args if p not in call.xs)
        ys = list(dict.fromkeys([*(y for y in call.body.ys if y not in wholes), *parts]))
        n = call.body.n_carry
        results = call.giving([*call.body.next_carries, *ys])
        stacks = {**call.xs, **dict(zip(ys, results[n:], strict=True))}
        stacks |= {y: concat([stacks[p] for p in y.args], y.ndim) for y in wholes}
        return [*results[:n], *(stacks[y] for y in call.body.ys)]

    return change_loops(outputs, change)


class _Left(NamedTuple):
    """A slice of a product that a loop gives out: of a · U, the columns."""

    a: Expr
    u: Expr
    spec: Spec


def _leave_products(outputs: Sequence[Expr]) -> list[Expr]:
    """Products with constants that loops only give out, for rows to be added up, come after."""
    uses = count_uses(outputs)
    places: dict[Expr, list[int]] = {}
    for node in toposort(outputs):
        rows = node.args[0] if _adds_many(node) else None
        if rows is not None and rows.op is ITEM and uses[rows] == 1 and rows.args[0].op is SCAN:
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
            every[k] = reshape(wide, (*stack.shape[:2], wide.shape[1]))
        return [every[k] for k in range(len(body.outputs))]

    return change_loops(outputs, change)


def _products(body: Body, results: Sequence[int]) -> dict[int, _Left]:
    """Of a loop's results, by number, what are slices of products and read by no step."""
    uses = count_uses(body.outputs)
    moving = depend_on((*body.carries, *body.xs), body.outputs)
    unread = [k for k in results if k >= body.n_carry and uses[body.outputs[k]] == 1]
    products = {k: _product(body.outputs[k], moving) for k in unread}
    return {k: product for k, product in products.items() if product is not None}


def _product(part: Expr, moving: Collection[Expr]) -> _Left | None:
    """A node of a loop's body as slices of a product with a constant, if that is what it is."""
    cut = part.op is GETITEM
    whole, spec = (part.args[0], slices(part)) if cut else (part, all_of(part.shape))
    if spec is None or not is_product(whole) or spec[0] != all_of(whole.shape)[0]:
        return None
    a, u = whole.args
    same = a in moving and u not in moving
    return _Left(a, u, (all_of(u.shape)[0], spec[1])) if same else None


def _add_rows(rows: Expr, index: Expr, n: int) -> Expr:
    """(n, ·): the rows added up, each where the index says."""
    values = reshape(rows, (*index.shape, rows.shape[-1]))
    return make(SCATTER, (values, index), (_rows_of(rows), (n, rows.shape[-1])))


def _is_read(index: Expr, n: int) -> Expr:
    """(n, 1): which of n rows an index reads."""
    read = make(SCATTER, (broadcast_to(const(True), index.shape), index), ((ARRAY,), (n,)))
    return reshape(read, (n, 1))


def _adds_many(node: Expr) -> bool:
    """Whether many floating rows are added up to few, by one array of indices."""
    if node.op is not SCATTER or not node.type.is_float:
        return False
    return _many_rows(node, node.attrs[0], node.args[1:])


def _reads_many(node: Expr) -> bool:
    """Whether many whole rows of a table are read by one array of indices."""
    return node.op is GETITEM and _many_rows(node.args[0], node.attrs[0], node.args[1:])


def _many_rows(table: Expr, spec: Spec, arrays: Sequence[Expr]) -> bool:
    """Whether an index is one array, for whole rows of a table of few, wide ones."""
    if len(arrays) != 1 or table.ndim != 2 or spec != _rows_of(table):
        return False
    return arrays[0].size >= _MANY * table.shape[0] and table.shape[1] >= _WIDE


def _looked_up(matrix: Expr) -> Expr | None:
    """What reads many rows of a table, if those are the matrix's rows."""
    read = _within_reshapes(matrix)
    if not _reads_many(read):
        return None
    table, index = read.args
    return read if matrix.shape == (index.size, table.shape[1]) else None


def _rows_of(matrix: Expr) -> Spec:
    """The index of whole rows, by an array."""
    return (ARRAY, *all_of(matrix.shape)[1:])


def _within_reshapes(node: Expr) -> Expr:
    while node.op is RESHAPE:
        node = node.args[0]
    return node
