"""What computes a node with NumPy: minigrad's ops as they are, users' own ones watched.

Buffers, machine code and every later op rely on what an op's record says: its result's type, and
that its arguments stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.errors import GraphError
from minigrad.graph.node import OPS, Expr, Op, describe
from minigrad.types import TensorType, TupleType

_OURS: set[Op] = set()


def end_of_ours() -> None:
    """Count the ops that are registered by now as minigrad's, which its tests hold to account."""
    _OURS.update(OPS.values())


def is_ours(op: Op) -> bool:
    """Whether an op is one of minigrad's."""
    return op in _OURS


_APART: dict[Op, Op] = {}  # by the op
_APARTS: set[Op] = set()


def apart(op: Op) -> Op:
    """The op under a record of its own, of whose nodes nothing is known but their types and what
    computes them: for backends that leave some nodes of an op to NumPy."""
    if op not in _APART:
        new = replace(op, pointwise=False, stacks=False, batch=None)
        _APARTS.add(new)
        if is_ours(op):
            _OURS.add(new)
        _APART[op] = new
    return _APART[op]


def is_apart(op: Op) -> bool:
    """Whether an op is such a record."""
    return op in _APARTS


def numpy_call(node: Expr, checks_finite: bool = False) -> Callable[..., Any]:
    """What computes a node: (*arrays, *attrs) -> array, with out= where the op takes it.

    checks_finite: NonFiniteError is raised within, by ops that hold a graph of their own.
    """
    function = (node.op.numpy_checked if checks_finite else None) or node.op.numpy
    return function if is_ours(node.op) else Watched(node, function)


class Watched:
    """The function of an op that is not ours: its arguments are read-only, its result is checked.

    It takes 2 µs a call.
    """

    __slots__ = ("_count", "_function", "_node", "_types")

    def __init__(self, node: Expr, function: Callable[..., Any]) -> None:
        self._node, self._function, self._count = node, function, len(node.args)
        type_: TensorType | TupleType = node.type
        self._types = type_.items if isinstance(type_, TupleType) else None

    def __call__(self, *rest: Any, **out: Any) -> Any:
        """The result. Raises GraphError where the function breaks its record's word."""
        operands = [_read_only(a) for a in rest[: self._count]]
        try:
            result = self._function(*operands, *rest[self._count :], **out)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise GraphError(
                f"the `numpy` of op {self._node.op.name} writes into an argument, which others "
                "read too: let it write into a copy (x = x.copy())"
            ) from error
        op = f"op {self._node.op.name}"
        if self._types is None:
            return self._checked(op, result, self._node.type, operands)
        if not isinstance(result, (tuple, list)) or len(result) != len(self._types):
            raise GraphError(
                f"the `numpy` of {op} must return {len(self._types)} arrays, not {result!r:.60}"
            )
        pairs = enumerate(zip(result, self._types, strict=True))
        return tuple([self._checked(f"result {k} of {op}", *p, operands) for k, p in pairs])

    def _checked(self, what: str, result: Any, type_: TensorType, operands: list[Any]) -> Any:
        """A result of the type, which shares memory with an argument only where the op says so."""
        array = np.asarray(result)
        if array.shape != type_.shape or array.dtype != type_.dtype:
            name = self._node.op.name
            raise GraphError(
                f"NumPy computed {array.dtype}{array.shape} for {what}, of which the graph says "
                f"{type_!r}: the `numpy` of {name} must return an array of the type that its "
                f"`infer` gives\n  {describe(self._node)}"
            )
        # A buffer is written again once nobody needs what an op's record says lies in it.
        others = operands[1:] if self._node.op.view else operands
        if any(np.may_share_memory(array, a) for a in others):
            return array.copy()
        return result if isinstance(result, np.ndarray | np.generic) else array


def _read_only(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view
