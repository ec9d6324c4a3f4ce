"""STABILITY rules: the mathematics stays, its floating point is mended."""

from __future__ import annotations

from minigrad.graph.node import Expr, make
from minigrad.ops.activations import logaddexp, relu, sigmoid, softplus
from minigrad.ops.arithmetic import (
    abs,
    add,
    divide,
    multiply,
    negative,
    pow,
    sqrt,
    square,
    subtract,
)
from minigrad.ops.choice import WHERE, maximum
from minigrad.ops.comparisons import equal
from minigrad.ops.core import (
    BROADCAST,
    RESHAPE,
    SUM,
    broadcast_to,
    keep_axes,
    reshape,
    uniform_value,
)
from minigrad.ops.exponential_sums import SOFTMAX, log_softmax, logsumexp, softmax
from minigrad.ops.exponentials import exp, log, log1p
from minigrad.ops.index import GETITEM
from minigrad.ops.reduce import root
from minigrad.ops.shape import PERMUTE
from minigrad.ops.trigonometry import hypot
from minigrad.rewrite.driver import Rule, rule

_READS = (GETITEM, RESHAPE, PERMUTE)
_SCALINGS = (multiply.op, divide.op, negative.op)
_MAY_BEND = frozenset({abs.op, hypot.op, WHERE, *_SCALINGS})
_MOST_SCALINGS = 8  # few, or a long chain of products would be walked again for each square of it


def _log_of_sum(node: Expr) -> Expr | None:
    """log(Σ exp(v)), with the kept axes of keepdims between."""
    inner = node.args[0]
    total = inner.args[0] if inner.op is RESHAPE else inner
    if total.op is not SUM or total.args[0].op is not exp.op:
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
    if bottom.op is not SUM or bottom.args[0] is not top or top.op is not exp.op:
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


def _scaled(x: Expr) -> int | None:
    """Which argument of -a, c * a, a * c or a / c is a, if c is a number."""
    if x.op is negative.op:
        return 0
    if x.op in _SCALINGS and uniform_value(x.args[1]) is not None:
        return 0
    return 1 if x.op is multiply.op and uniform_value(x.args[0]) is not None else None


def _unscaled(x: Expr) -> tuple[Expr, list[tuple[Expr, int]]]:
    """x without the numbers that scale it, also within the mask of a root; and these scalings."""
    scalings: list[tuple[Expr, int]] = []
    mask = None
    while len(scalings) < _MOST_SCALINGS:
        place = _scaled(x)
        if place is not None:
            scalings.append((x, place))
            x = x.args[place]
        elif mask is None and x.op is WHERE and uniform_value(x.args[1]) == 0:
            mask, x = x, x.args[2]
        else:
            break
    return (x if mask is None else make(WHERE, (*mask.args[:2], x))), scalings


def _even_power(node: Expr) -> Expr | None:
    """|a|² = a², root(s)² = s: smooth at 0, where the derivatives of |a| and root(s) are not.

    Numbers come out: (c * |a|) * |a| = c * a². One at a time, since c² may overflow.
    """
    exponent = uniform_value(node.args[1]) if node.op is pow.op else 2
    if exponent is None or exponent <= 0 or exponent % 2:
        return None
    if node.args[0].op not in _MAY_BEND:
        return None
    a, scalings = _unscaled(node.args[0])
    b, more = _unscaled(node.args[1]) if node.op is multiply.op else (a, scalings)
    square = _square_of(a) if a is b else None
    if square is None:
        return None
    for scaling, place in reversed(scalings + more):
        args = [square if k == place else c for k, c in enumerate(scaling.args)]
        square = make(scaling.op, tuple(args))
    return square if exponent == 2 else square ** (exponent / 2)


def _softplus_by_hand(total: Expr) -> Expr | None:
    """max(a, 0) + softplus(-|a|) = softplus(a): smooth at 0, where its parts are not.

    Also max(a, 0) - b + softplus(-|a|), the cross-entropy of a logit as it is often written.
    """
    for left, bend in (total.args, total.args[::-1]):
        whole, less = left.args if left.op is subtract.op else (left, None)
        a = _rectified(whole)
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
        for op in (pow.op, square.op)
        for child in (abs.op, hypot.op, WHERE, *_SCALINGS)
    ),
    # No walk down a chain of products: of most products one factor does not bend.
    Rule("even power", multiply.op, _even_power, False, only=_MAY_BEND),
    Rule("softplus by hand", add.op, _softplus_by_hand, False, softplus.op),
)  # fmt: skip
