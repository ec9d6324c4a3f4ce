"""What machine code can be made for; all else is NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.compile.backends.native.callbacks import is_called_back
from minigrad.compile.backends.native.gather import check_indices
from minigrad.compile.backends.native.pointwise import NARROW, check
from minigrad.compile.backends.native.stages import is_elementwise, is_leaf, is_view
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr, Op
from minigrad.graph.walk import toposort
from minigrad.loop.body import Body
from minigrad.loop.node import SCAN
from minigrad.ops.core import SUM, uniform_value
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.reduce import ALL, ANY, CUMSUM, MAX, MIN
from minigrad.ops.shape import CONCAT
from minigrad.ops.sorting import ARGMAX, ARGMIN
from minigrad.ops.tuples import ITEM
from minigrad.types import BOOL, FLOAT32, FLOAT64, INT64

_FLOATS: frozenset[np.dtype[Any]] = frozenset({FLOAT32, FLOAT64})
_NUMBERS = _FLOATS | {INT64}
_ALL = _NUMBERS | {BOOL}
SINGLE: dict[Op, frozenset[np.dtype[Any]]] = {
    MATMUL: _FLOATS,
    SUM: _NUMBERS,
    MAX: _NUMBERS,
    MIN: _NUMBERS,
    ALL: frozenset({BOOL}),
    ANY: frozenset({BOOL}),
    ARGMAX: _NUMBERS,
    ARGMIN: _NUMBERS,
    CUMSUM: _NUMBERS,
    CONCAT: _ALL | NARROW,
    GETITEM: _ALL | NARROW,
    SCATTER: _NUMBERS,
}
"""What is a stage of its own: the dtypes of operands of which there is code for it."""

# Steps of a loop, at some nanoseconds each: an hour. Python sees no Ctrl-C before they are done;
# between the steps of NumPy's loop it does.
MOST_TURNS = 10**12


def check_node(node: Expr) -> None:
    """Raise UnsupportedError for a node that no code can be made for. Its operands do not count."""
    if is_elementwise(node):
        check(node)
    elif node.op is SCAN:
        if _turns(node) > MOST_TURNS:
            raise UnsupportedError(f"a loop of {_turns(node)} turns, which nobody could interrupt,")
        check_body(node.attrs[0].body)
    elif not is_called_back(node):
        _check_single(node)


def _check_single(node: Expr) -> None:
    if node.op not in SINGLE:
        raise UnsupportedError(f"op {node.op.name}")
    dtype = node.args[0].dtype
    if dtype not in SINGLE[node.op]:
        raise UnsupportedError(f"op {node.op.name} of {dtype}")
    if node.op in (GETITEM, SCATTER) and len(node.args) > 1:
        check_indices(node)
    if node.op is MATMUL and 0 in (*node.shape, node.args[0].shape[-1]):
        raise UnsupportedError("an empty matrix product")


def _turns(loop: Expr) -> int:
    """How many steps a loop takes, those of the loops in it included."""
    total, waiting = 0, [(loop, 1)]
    while waiting:
        node, times = waiting.pop()
        times *= node.attrs[0].length
        total += times
        inner = toposort(node.attrs[0].body.outputs) if times else []
        waiting += [(n, times) for n in inner if n.op is SCAN]
    return total


def check_body(body: Body) -> None:
    """Raise UnsupportedError for a body that no code can be made for."""
    nodes = toposort(body.outputs)
    for node in nodes:
        if node.op is CONST and uniform_value(node) is None:
            raise UnsupportedError("an array of constants within a body")
        if not (is_leaf(node) or is_view(node) or node.op is ITEM):
            check_node(node)
