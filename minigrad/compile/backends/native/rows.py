"""Loops whose rows are independent: which ones they are, and the same loop over fewer rows.

Where every carry has the batch as its first axis and no step mixes rows, the rows can be computed
by several threads from the first step to the last, each with a share of the batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from minigrad.compile.backends.native.stages import is_elementwise
from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import PLACEHOLDER, placeholder
from minigrad.graph.node import Expr, make
from minigrad.graph.walk import map_graph, toposort
from minigrad.loop.body import Body, body_var
from minigrad.ops.batch import batch_node, has_leading_axis
from minigrad.ops.core import BROADCAST
from minigrad.ops.linalg import MATMUL
from minigrad.ops.tuples import ITEM
from minigrad.types import TensorType, TupleType


class _MixedRowsError(Exception):
    """The rows of a loop depend on each other."""


def independent_rows(body: Body) -> frozenset[Expr] | None:
    """The nodes whose first axis is the batch; None where rows are mixed, or there are not two.

    The body knows it once it was asked: compiling asks six times for each loop.
    """
    key = "independent rows"
    if key not in body.derived:
        body.derived[key] = _independent_rows(body)
    rows: frozenset[Expr] | None = body.derived[key]
    return rows


def _independent_rows(body: Body) -> frozenset[Expr] | None:
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
    return frozenset(finder.rows | finder.stretched)


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
        if node.op is MATMUL and node.args[1].ndim == 2:
            self._require_row(node.args[0])
            self._require_shared(node.args[1])
        elif is_elementwise(node) or _one_row(node, self.batch) is not None:
            for a in node.args:
                self._require_row(a)
        else:
            raise _MixedRowsError
        self.rows.add(node)

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


def _one_row(node: Expr, batch: int) -> Expr | None:
    """The node of one row of which a node is the same for all rows; None where it mixes them."""
    if not has_leading_axis(node.op):
        return None
    if any(t.shape[:1] != (batch,) for t in (node, *node.args) if isinstance(t.type, TensorType)):
        return None
    attrs = [a.lower(value, batch) for a, value in zip(node.op.attrs, node.attrs, strict=True)]
    if None in attrs or isinstance(node.type, TupleType) or node.op is ITEM:
        return None
    ones = [placeholder("row", a.type.with_shape(a.shape[1:]), k) for k, a in enumerate(node.args)]
    try:
        one = make(node.op, tuple(ones), tuple(attrs))
    except (ShapeError, DTypeError):
        return None
    # The rule for a leading axis is what says whether it is one: it must lead back to the node.
    return one if batch_node(one, node.args, [True] * len(ones), batch) is node else None


def take_rows(body: Body, rows: Collection[Expr], count: int) -> Body:
    """The same body over so many rows. It is kept with the body, and with it its code."""
    key = "rows", count
    if key not in body.derived:
        body.derived[key] = _with_rows(body, rows, count)
    taken: Body = body.derived[key]
    return taken


def _with_rows(body: Body, rows: Collection[Expr], count: int) -> Body:
    variables: dict[Expr, Expr] = {}
    for k, v in enumerate(body.inputs):
        type_ = v.type.with_shape((count, *v.shape[1:])) if v in rows else v.type
        variables[v] = body_var(k, v.attrs[0], type_)

    def of_node(node: Expr, new: Mapping[Expr, Expr]) -> Expr:
        return make(node.op, tuple([new[a] for a in node.args]), _fewer(node, rows, count))

    outputs = map_graph(body.outputs, of_node, variables)
    return Body(list(variables.values()), outputs, body.n_carry, body.n_x)


def _fewer(node: Expr, rows: Collection[Expr], count: int) -> tuple[Any, ...]:
    """A node's attributes, where they say how many rows there are."""
    if node not in rows:
        return node.attrs
    pairs = list(zip(node.op.attrs, node.attrs, strict=True))
    return tuple([a.lift(a.lower(value, node.shape[0]), count) for a, value in pairs])
