"""The rule tables: algebra, stability, constants; and the functions that apply them.

EXACT rules change no value; STABILITY rules keep the mathematics and mend its floating point;
REAL rules are the algebra of real numbers, for reading (0·x is 0, x/x is 1). `simplify` applies
all; a compiled function applies EXACT and STABILITY; a derivative is taken of what STABILITY makes,
so that it is stable too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from minigrad.errors import GraphError
from minigrad.graph import CONST, Expr, const, make
from minigrad.mask_rules import MASKS
from minigrad.names import public
from minigrad.ops.core import (
    ASTYPE,
    BROADCAST,
    RESHAPE,
    SUM,
    broadcast_to,
    full,
    full_like,
    keep_axes,
    reshape,
    uniform_value,
)
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.ops.pointwise import (
    WHERE,
    abs,
    add,
    divide,
    equal,
    exp,
    hypot,
    log,
    log1p,
    logaddexp,
    maximum,
    multiply,
    negative,
    pow,
    relu,
    sigmoid,
    softplus,
    sqrt,
    square,
    subtract,
)
from minigrad.ops.reduce import SOFTMAX, log_softmax, logsumexp, root, softmax
from minigrad.ops.shape import PERMUTE, permute_dims
from minigrad.rewrite import Rewriter, Rule, rule
from minigrad.types import TupleType
from minigrad.view_rules import VIEWS
from minigrad.walk import roots_of

_FOLD_LIMIT = 1 << 16  # elements: larger constants are cheaper to compute than to keep


# --- exact -------------------------------------------------------------------------------------


def _fold(node: Expr) -> Expr | None:
    """Evaluate a node all of whose arguments are constants."""
    for a in node.args:
        if a.op is not CONST and a.op is not BROADCAST and a.op is not RESHAPE:
            return None
    if not node.args or node.op in (BROADCAST, RESHAPE, SCATTER):
        return None  # a scatter is a mask: see mask_rules
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


def _evaluate(node: Expr, data: Sequence[Any], shape: tuple[int, ...]) -> Expr | None:
    try:
        with np.errstate(all="ignore"):
            value = node.op.numpy(*data, *node.attrs)
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
    if a is b:
        return a
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


EXACT: tuple[Rule, ...] = (
    Rule("fold constants", None, _fold, True),
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
    Rule("reshape of reshape", RESHAPE, _reshape_twice, True, RESHAPE),
    Rule("broadcast of broadcast", BROADCAST, _broadcast_twice, True, BROADCAST),
    *(Rule("number in a shape", op, _moved_number, True) for op in (BROADCAST, RESHAPE)),
    Rule("permute of permute", PERMUTE, _permute_twice, True, PERMUTE),
    Rule("where of a known condition", WHERE, _where_known, True),
    Rule("sum over axes of length 1", SUM, _sum_of_nothing, True),
    Rule("astype to the same", ASTYPE, _same_astype, True),
    *VIEWS,
)


# --- stability ---------------------------------------------------------------------------------


_READS = (GETITEM, RESHAPE, PERMUTE)


def _log_of_sum(node: Expr) -> Expr | None:
    """log(Σ exp(v)), with the kept axes of keepdims between."""
    inner = node.args[0]
    total = inner.args[0] if inner.op is RESHAPE else inner
    if total.op is not SUM or total.args[0].op.name != "exp":
        return None
    return reshape(logsumexp(total.args[0].args[0], total.attrs[0]), node.shape)


def _log_of_softmax(node: Expr) -> Expr | None:
    """log of a softmax or a sigmoid, also of elements that were read from it."""
    views: list[Expr] = []
    inner = node.args[0]
    while inner.op in _READS:
        views.append(inner)
        inner = inner.args[0]
    if inner.op is SOFTMAX:
        y = log_softmax(inner.args[0], inner.attrs[0])
    elif inner.op is sigmoid.op:
        y = -softplus(-inner.args[0])
    else:
        return None
    for view in reversed(views):
        y = make(view.op, (y, *view.args[1:]), view.attrs)
    return y


def _softmax_by_hand(node: Expr) -> Expr | None:
    """exp(v) / Σ exp(v), broadcast back along the summed axes."""
    top, bottom = node.args
    while bottom.op is BROADCAST or bottom.op is RESHAPE:
        bottom = bottom.args[0]
    if bottom.op is not SUM or bottom.args[0] is not top or top.op.name != "exp":
        return None
    (axes,) = bottom.attrs
    backs = [broadcast_to(reshape(bottom, keep_axes(top.shape, axes)), top.shape)]
    if axes == tuple(range(len(axes))):  # leading axes come back without keepdims
        backs.append(broadcast_to(bottom, top.shape))
    return softmax(top.args[0], axes) if any(b is node.args[1] for b in backs) else None


def _square_of(x: Expr) -> Expr | None:
    """The square of what has a kink at 0 only: |a|, the root of a sum of squares, hypot(a, b)."""
    if x.op is abs.op:
        return x.args[0] * x.args[0]
    if x.op is hypot.op:
        a, b = x.args
        return a * a + b * b
    if x.op is WHERE and x.args[0].op is equal.op:
        inside = x.args[0].args[0]
        if inside.type.is_float and x is root(inside):
            return inside
    return None


def _even_power(node: Expr) -> Expr | None:
    """|a|² = a², root(s)² = s: smooth at 0, where the derivatives of |a| and root(s) are not."""
    if node.op is pow.op:
        exponent = uniform_value(node.args[1])
    else:
        exponent = 2 if node.args[0] is node.args[-1] else None
    if exponent is None or exponent <= 0 or exponent % 2:
        return None
    square = _square_of(node.args[0])
    return square if square is None or exponent == 2 else square ** (exponent / 2)


def _softplus_by_hand(total: Expr) -> Expr | None:
    """max(a, 0) + softplus(-|a|) = softplus(a): smooth at 0, where its parts are not.

    Also max(a, 0) - b + softplus(-|a|), the cross-entropy of a logit as it is often written.
    """
    for left, bend in (total.args, total.args[::-1]):
        kept, less = left.args if left.op is subtract.op else (left, None)
        a = _rectified(kept)
        if a is not None and bend is softplus(-abs(a)):
            return softplus(a) if less is None else softplus(a) - less
    return None


def _rectified(x: Expr) -> Expr | None:
    """a of relu(a) and of maximum(a, 0)."""
    if x.op is relu.op:
        return x.args[0] if x.type.is_float else None
    if x.op is maximum.op and x.type.is_float:
        for a, b in (x.args, x.args[::-1]):
            if uniform_value(b) == 0:
                return a
    return None


STABILITY: tuple[Rule, ...] = (
    rule("log(sigmoid(a))", lambda a: log(sigmoid(a)), lambda a: -softplus(-a)),
    rule("log(1 - sigmoid(a))", lambda a: log(1.0 - sigmoid(a)), lambda a: -softplus(a)),
    rule("log1p(-sigmoid(a))", lambda a: log1p(-sigmoid(a)), lambda a: -softplus(a)),
    rule("log(1 + exp(a))", lambda a: log(1.0 + exp(a)), lambda a: softplus(a)),
    rule("log1p(exp(a))", lambda a: log1p(exp(a)), lambda a: softplus(a)),
    rule("log(exp(a))", lambda a: log(exp(a)), lambda a: a),
    rule("log(exp(a) + exp(b))", lambda a, b: log(exp(a) + exp(b)), lambda a, b: logaddexp(a, b)),
    rule("1 / (1 + exp(-a))", lambda a: 1.0 / (1.0 + exp(-a)), lambda a: sigmoid(a)),
    rule("1 / (1 + exp(a))", lambda a: 1.0 / (1.0 + exp(a)), lambda a: sigmoid(-a)),
    rule("exp(a) / (1 + exp(a))", lambda a: exp(a) / (1.0 + exp(a)), lambda a: sigmoid(a)),
    rule("sqrt(a * a)", lambda a: sqrt(a * a), lambda a: abs(a)),
    rule("sqrt(square(a))", lambda a: sqrt(square(a)), lambda a: abs(a)),
    rule("sqrt(a ** 2)", lambda a: sqrt(a**2.0), lambda a: abs(a)),
    Rule("log(sum(exp))", log.op, _log_of_sum, False),
    *(
        Rule("log(softmax)", log.op, _log_of_softmax, False, child)
        for child in (SOFTMAX, *_READS)
    ),
    Rule("softmax by hand", divide.op, _softmax_by_hand, False,
         exp.op),
    *(
        Rule("even power", op, _even_power, False, child)
        for op in (pow.op, square.op, multiply.op) for child in (abs.op, hypot.op, WHERE)
    ),
    Rule("softplus by hand", add.op, _softplus_by_hand, False, softplus.op),
    *MASKS,
)  # fmt: skip


# --- algebra of the reals ----------------------------------------------------------------------


REAL: tuple[Rule, ...] = (
    rule("a * 0", lambda a: a * 0.0, lambda a: full_like(a, 0)),
    rule("0 / a", lambda a: 0.0 / a, lambda a: full_like(a, 0)),
    rule("a - a", lambda a: a - a, lambda a: full_like(a, 0)),
    rule("a / a", lambda a: a / a, lambda a: full_like(a, 1)),
    rule("a + a", lambda a: a + a, lambda a: full_like(a, 2) * a),
    rule("(a / b) * b", lambda a, b: (a / b) * b, lambda a, b: a),
    rule("(a * b) / b", lambda a, b: (a * b) / b, lambda a, b: a),
    rule("a * (1 / b)", lambda a, b: a * (1.0 / b), lambda a, b: a / b),
    rule(
        "c * (d * a)",
        lambda c, d, a: c * (d * a),
        lambda c, d, a: (c * d) * a,
        numbers="c d",
    ),
    rule(
        "c * a + d * a",
        lambda c, d, a: c * a + d * a,
        lambda c, d, a: (c + d) * a,
        numbers="c d",
    ),
    rule(
        "c * a + a",
        lambda c, a: c * a + a,
        lambda c, a: (c + full_like(c, 1)) * a,
        numbers="c",
    ),
    rule("exp(log(a))", lambda a: exp(log(a)), lambda a: a),
    rule("square(sqrt(a))", lambda a: square(sqrt(a)), lambda a: a),
    rule("sqrt(a) * sqrt(a)", lambda a: sqrt(a) * sqrt(a), lambda a: a),
)

RULES: Mapping[str, tuple[Rule, ...]] = {"exact": EXACT, "stability": STABILITY, "real": REAL}

_all = Rewriter(EXACT + STABILITY + REAL)
_safe = Rewriter(EXACT + STABILITY)
_stable = Rewriter((*STABILITY, *VIEWS))


@overload
def simplify(y: Expr, rules: Iterable[Rule] | None = None) -> Expr: ...
@overload
def simplify(y: Sequence[Expr], rules: Iterable[Rule] | None = None) -> list[Expr]: ...
@public
def simplify(y: Any, rules: Iterable[Rule] | None = None) -> Any:
    """Expressions rewritten until no rule fits: all tables, or the rules given.

    The result has the same type and, where the mathematics is finite, the same value.
    `minigrad.RULES` lists the rules by table. Raises RewriteLoopError when given rules
    do not end.

    >>> from minigrad.graph import var
    >>> x = var("x")
    >>> simplify(x * 1 + 0) is x, str(simplify(log(sigmoid(x))))
    (True, '-softplus(-x)')
    """
    if rules is not None and not isinstance(rules, Iterable):
        raise GraphError(f"rules are a list, such as minigrad.RULES['exact'], not {rules!r:.60}")
    driver = _all if rules is None else Rewriter(rules)
    found = driver(roots_of(y))
    return found[0] if isinstance(y, Expr) else found


def simplify_safely(outputs: Sequence[Expr]) -> list[Expr]:
    """What a compiled function runs: EXACT and STABILITY rules only."""
    return _safe(outputs)


def may_be_unstable(nodes: Iterable[Expr]) -> bool:
    """Whether `stabilise` may change a graph of these nodes."""
    return _stable.may_fit(nodes)


def stabilise(outputs: Sequence[Expr]) -> list[Expr]:
    """What a derivative is taken of: STABILITY rules, and slices moved to the parts they read."""
    return _stable(outputs)
