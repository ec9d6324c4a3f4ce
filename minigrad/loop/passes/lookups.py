"""A pass on products of rows that were looked up in a table: each row is multiplied once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minigrad.graph.node import Expr, make
from minigrad.graph.walk import map_graph
from minigrad.loop.passes.products import is_product
from minigrad.ops.core import RESHAPE, reshape
from minigrad.ops.index import ARRAY, GETITEM, all_of
from minigrad.ops.linalg import MATMUL

# Rows read, to rows of the table: below it the product saves less than the wider rows cost to read.
_MANY = 2


def multiply_tables(outputs: Sequence[Expr]) -> list[Expr]:
    """E[i] · W = (E · W)[i] where i reads many more rows than E has: letters of an embedding.

    A row's product is of that row alone: one that is never read may hold anything, NaN too.
    """

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
        rows = _looked_up(node.args[0]) if is_product(node) else None
        if rows is None:
            return None
        table, index = (new[a] for a in rows.args)
        product = make(MATMUL, (table, new[node.args[1]]))
        spec = (ARRAY, *all_of(product.shape)[1:])
        return reshape(make(GETITEM, (product, index), (spec,)), node.shape)

    return map_graph(outputs, of_node)


def _looked_up(matrix: Expr) -> Expr | None:
    """What reads many rows of a table by one array of indices, if those are the matrix's rows."""
    read = matrix
    while read.op is RESHAPE:
        read = read.args[0]
    if read.op is not GETITEM or len(read.args) != 2:
        return None
    table, index = read.args
    whole_rows = table.ndim == 2 and read.attrs[0] == (ARRAY, *all_of(table.shape)[1:])
    same_rows = whole_rows and matrix.shape == (index.size, table.shape[1])
    return read if same_rows and index.size >= _MANY * table.shape[0] else None
