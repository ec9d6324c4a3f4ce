"""EXACT rules: the value stays for every input, infinities and NaN included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.graph.leaves import CONST, const
from minigrad.graph.node import Expr
from minigrad.graph.numpy_call import numpy_call
from minigrad.ops.arithmetic import abs, negative
from minigrad.ops.choice import WHERE
from minigrad.ops.core import (
    ASTYPE,
    BROADCAST,
    CONSTANTS,
    RESHAPE,
    SUM,
    broadcast_to,
    full,
    full_like,
    reshape,
    uniform_value,
)
from minigrad.ops.shape import PERMUTE, permute_dims
from minigrad.rewrite.driver import Rule, rule
from minigrad.rewrite.views import VIEWS
from minigrad.types import TupleType

_FOLD_LIMIT = 1 << 16  # elements: larger constants are cheaper to compute than to keep


def _fold(node: Expr) -> Expr | None:
    """Evaluate a node all of whose arguments are constants, and which is none itself."""
    if not node.args or node.op in CONSTANTS:
        return None
    if isinstance(node.type, TupleType) or node.size > _FOLD_LIMIT:
        return None
    if node.op.pointwise:
        values = [uniform_value(a) for a in node.args]
        if None not in values:
            data = [np.asarray(v, a.dtype) for v, a in zip(values, node.args, strict=True)]
            return _evaluate(node, data, ())
    if all(a.op is CONST for a in node.args):
        return _evaluate(node, [a.value for a in node.args], node.shape)
    return None


def folded(node: Expr) -> Expr:
    """The node, or the constant that it is, as a compiled function would rewrite it."""
    constant = _fold(node)
    return node if constant is None else constant


def _evaluate(node: Expr, data: Sequence[Any], shape: tuple[int, ...]) -> Expr | None:
    try:
        with np.errstate(all="ignore"):
            value = numpy_call(node)(*data, *node.attrs)
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None  # left for evaluation to report
    return broadcast_to(const(np.reshape(value, shape), node.dtype), node.shape)


def _reshape_twice(node: Expr) -> Expr | None:
    inner = node.args[0]
    return reshape(inner.args[0], node.shape) if inner.op is RESHAPE else None


def _broadcast_twice(node: Expr) -> Expr | None:
    inner = node.args[0]
    return broadcast_to(inner.args[0], node.shape) if inner.op is BROADCAST else None


def _moved_number(node: Expr) -> Expr | None:
    """A number, however broadcast and reshaped, is a scalar broadcast once."""
    value = uniform_value(node)
    return None if value is None else full(value, node.type)


def _permute_twice(node: Expr) -> Expr | None:
    inner = node.args[0]
    if inner.op is not PERMUTE:
        return None
    return permute_dims(inner.args[0], [inner.attrs[0][k] for k in node.attrs[0]])


def _where_known(node: Expr) -> Expr | None:
    condition, a, b = node.args
    known = uniform_value(condition)
    return None if known is None else a if known else b


def _sum_of_nothing(node: Expr) -> Expr | None:
    x, (axes,) = node.args[0], node.attrs
    if x.dtype == node.dtype and all(x.shape[k] == 1 for k in axes):
        return reshape(x, node.shape)
    return None


def _same_astype(node: Expr) -> Expr | None:
    x = node.args[0]
    return x if x.dtype == node.dtype else None


ARITHMETIC: tuple[Rule, ...] = (
    rule("a + 0", lambda a: a + 0.0, lambda a: a, exact=True),
    rule("a - 0", lambda a: a - 0.0, lambda a: a, exact=True),
    rule("0 - a", lambda a: 0.0 - a, lambda a: -a, exact=True),
    rule("a * 1", lambda a: a * 1.0, lambda a: a, exact=True),
    rule("a * -1", lambda a: a * -1.0, lambda a: -a, exact=True),
    rule("a / 1", lambda a: a / 1.0, lambda a: a, exact=True),
    rule("a / -1", lambda a: a / -1.0, lambda a: -a, exact=True),
    rule("a ** 1", lambda a: a**1.0, lambda a: a, exact=True),
    rule("a ** 0", lambda a: a**0.0, lambda a: full_like(a, 1), exact=True),
    rule("-(-a)", lambda a: negative(negative(a)), lambda a: a, exact=True),
    rule("a + (-b)", lambda a, b: a + (-b), lambda a, b: a - b, exact=True),
    rule("a - (-b)", lambda a, b: a - (-b), lambda a, b: a + b, exact=True),
    rule("(-a) * b", lambda a, b: (-a) * b, lambda a, b: -(a * b), exact=True),
    rule("(-a) / b", lambda a, b: (-a) / b, lambda a, b: -(a / b), exact=True),
    rule("a / (-b)", lambda a, b: a / (-b), lambda a, b: -(a / b), exact=True),
    rule("-(a - b)", lambda a, b: -(a - b), lambda a, b: b - a, exact=True),
    # -a of an unsigned integer wraps round.
    rule("|-a|", lambda a: abs(-a), lambda a: None if a.dtype.kind == "u" else abs(a), exact=True),
    rule("| |a| |", lambda a: abs(abs(a)), lambda a: abs(a), exact=True),
)

EXACT: tuple[Rule, ...] = (
    Rule("fold constants", None, _fold, True, only=CONSTANTS),
    *ARITHMETIC,
    Rule("reshape of reshape", RESHAPE, _reshape_twice, True, RESHAPE),
    Rule("broadcast of broadcast", BROADCAST, _broadcast_twice, True, BROADCAST),
    *(Rule("number in a shape", op, _moved_number, True) for op in (BROADCAST, RESHAPE)),
    Rule("permute of permute", PERMUTE, _permute_twice, True, PERMUTE),
    Rule("where of a known condition", WHERE, _where_known, True, first=CONSTANTS),
    Rule("where of twins", WHERE, lambda node: node.args[1], True, twins=True),
    Rule("sum over axes of length 1", SUM, _sum_of_nothing, True),
    Rule("astype to the same", ASTYPE, _same_astype, True),
    *VIEWS,
)
