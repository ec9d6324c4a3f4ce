"""REAL rules: the algebra of real numbers, for reading (0·x is 0, x/x is 1)."""

from __future__ import annotations

from minigrad.ops.arithmetic import sqrt, square
from minigrad.ops.core import (
    full_like,
)
from minigrad.ops.exponentials import exp, log
from minigrad.rewrite.driver import Rule, rule

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
