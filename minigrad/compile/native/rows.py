"""Loops whose rows are independent: which ones they are, and the same loop over fewer rows.

Where every carry has the batch as its first axis and no step mixes rows, the rows can be computed
by several threads from the first step to the last, each with a share of the batch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minigrad.compile.native.stages import is_elementwise
from minigrad.graph import PLACEHOLDER, Expr, make
from minigrad.loop.body import Body, body_var
from minigrad.loop.node import SCAN
from minigrad.ops.core import BROADCAST, RESHAPE, SUM
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.reduce import MAX, MIN
from minigrad.ops.shape import CONCAT, PERMUTE
from minigrad.ops.tuples import ITEM
from minigrad.walk import toposort


class _MixedRowsError(Exception):
    """The rows of a loop depend on each other."""


def independent_rows(body: Body) -> set[Expr] | None:
    """The nodes whose first axis is the batch; None where rows are mixed, or there are not two."""
    if not body.carries or any(not c.shape for c in body.carries):
        return None
    (batch, *others) = {c.shape[0] for c in body.carries}
    if others or batch < 2:
        return None
    finder = _Finder(body, batch)
    try:
        for node in toposort(body.outputs):
            finder.visit(node)
        finder.check_results()
    except _MixedRowsError:
        return None
    return finder.rows | finder.stretched


class _Finder:
    """Walks a body once; every node is a row node or one that all rows share."""

    def __init__(self, body: Body, batch: int) -> None:
        self.body, self.batch = body, batch
        self.rows: set[Expr] = {*body.carries}
        self.rows.update(x for x in body.xs if x.shape[:1] == (batch,))
        self.shared: set[Expr] = set()  # read as a whole by every row
        self.stretched: set[Expr] = set()  # repeats for each row what all share

    def visit(self, node: Expr) -> None:
        """Find out what a node is; its arguments are known."""
        if not node.args:
            return
        if not any(a in self.rows for a in node.args):
            return
        if is_elementwise(node) or (node.op is MATMUL and self._is_stack(node)):
            for a in node.args:
                self._require_row(a)
        elif node.op is MATMUL and node.args[1].ndim == 2:
            self._require_row(node.args[0])
            self._require_shared(node.args[1])
        elif node.op is CONCAT and node.attrs[0] != 0:
            for a in node.args:
                self._require_row(a)
        elif node.op in (SCAN, ITEM) or not self._keeps_rows(node):
            raise _MixedRowsError
        self.rows.add(node)

    def _is_stack(self, node: Expr) -> bool:
        """Whether a product is one of matrices for each row."""
        return all(a.ndim == node.ndim > 2 and a.shape[0] == self.batch for a in node.args)

    def _keeps_rows(self, node: Expr) -> bool:
        source, attrs = node.args[0], node.attrs
        whole = source.shape[:1] == (self.batch,) == node.shape[:1]
        if node.op in (SUM, MAX, MIN):
            return 0 not in attrs[0]
        if node.op is PERMUTE:
            return bool(attrs[0][0] == 0)
        if node.op is GETITEM:
            return len(node.args) == 1 and attrs[0][0] == ("s", 0, self.batch, 1)
        if node.op is BROADCAST:
            return whole and source.ndim == node.ndim
        return node.op is RESHAPE and whole

    def _require_row(self, node: Expr) -> None:
        """A row node, or one that is the same for every row."""
        if node in self.rows or not node.shape:
            return
        if node.op is BROADCAST and (
            node.args[0].ndim < node.ndim or node.args[0].shape[0] != self.batch
        ):
            self._require_shared(node.args[0])
            self.stretched.add(node)
        elif node.op is PLACEHOLDER and node.shape[0] == self.batch:
            self.rows.add(node)
        else:
            raise _MixedRowsError

    def _require_shared(self, node: Expr) -> None:
        for n in toposort(node):
            if n in self.rows:
                raise _MixedRowsError
            self.shared.add(n)

    def check_results(self) -> None:
        """Every result must be of rows, and nothing found late may have been read as shared."""
        mixed = (self.rows | self.stretched) & self.shared
        if mixed or any(o not in self.rows for o in self.body.outputs):
            raise _MixedRowsError


def take_rows(body: Body, rows: Collection[Expr], count: int) -> Body:
    """The same body over so many rows."""
    new: dict[Expr, Expr] = {}
    for k, v in enumerate(body.inputs):
        type_ = v.type.with_shape((count, *v.shape[1:])) if v in rows else v.type
        new[v] = body_var(k, v.attrs[0], type_)
    for node in toposort(body.outputs):
        if node not in new:
            args = tuple([new[a] for a in node.args])
            new[node] = make(node.op, args, _fewer(node, rows, count))
    inputs = [new[v] for v in body.inputs]
    return Body(inputs, [new[o] for o in body.outputs], body.n_carry, body.n_x)


def _fewer(node: Expr, rows: Collection[Expr], count: int) -> tuple[Any, ...]:
    """A node's attributes, where they say how many rows there are."""
    if node in rows and node.op in (RESHAPE, BROADCAST):
        return ((count, *node.attrs[0][1:]),)
    if node in rows and node.op is GETITEM:
        return ((("s", 0, count, 1), *node.attrs[0][1:]),)
    return node.attrs
