"""Comparisons and tests, which have no derivative; logic, and ops on bits."""

from __future__ import annotations

import numpy as np

from minigrad.ops.pointwise import binary, unary

equal = binary("equal", "a == b.", np.equal, test=True, symbol="==", infix=1, latex="{0} = {1}")
not_equal = binary(
    "not_equal", "a != b.", np.not_equal, test=True, symbol="!=", infix=1, latex=r"{0} \ne {1}"
)
less = binary("less", "a < b.", np.less, test=True, symbol="<", infix=1, latex="{0} < {1}")
less_equal = binary(
    "less_equal", "a <= b.", np.less_equal, test=True, symbol="<=", infix=1, latex=r"{0} \le {1}"
)
greater = binary("greater", "a > b.", np.greater, test=True, symbol=">", infix=1, latex="{0} > {1}")
greater_equal = binary(
    "greater_equal",
    "a >= b.",
    np.greater_equal,
    test=True,
    symbol=">=",
    infix=1,
    latex=r"{0} \ge {1}",
)
isnan = unary("isnan", "Whether x is NaN.", np.isnan, test=True)
isinf = unary("isinf", "Whether x is infinite.", np.isinf, test=True)
isfinite = unary("isfinite", "Whether x is neither NaN nor infinite.", np.isfinite, test=True)
signbit = unary("signbit", "Whether the sign bit is set.", np.signbit, test=True)
logical_not = unary("logical_not", "Whether x is false (0).", np.logical_not, takes="a", test=True)
logical_and = binary("logical_and", "Whether both are true.", np.logical_and, test=True)
logical_or = binary("logical_or", "Whether either is true.", np.logical_or, test=True)
logical_xor = binary("logical_xor", "Whether just one is true.", np.logical_xor, test=True)
bitwise_and = binary(
    "bitwise_and", "a & b.", np.bitwise_and, takes="l", symbol="&", infix=2, latex=r"{0} \wedge {1}"
)
bitwise_or = binary(
    "bitwise_or", "a | b.", np.bitwise_or, takes="l", symbol="|", infix=2, latex=r"{0} \vee {1}"
)
bitwise_xor = binary(
    "bitwise_xor", "a ^ b.", np.bitwise_xor, takes="l", symbol="⊕", infix=2, latex=r"{0} \oplus {1}"
)
bitwise_left_shift = binary(
    "bitwise_left_shift", "a << b.", np.left_shift, takes="i", symbol="<<", infix=2
)
bitwise_right_shift = binary(
    "bitwise_right_shift", "a >> b.", np.right_shift, takes="i", symbol=">>", infix=2
)
bitwise_invert = unary(
    "bitwise_invert",
    "~x; logical not for booleans.",
    np.invert,
    takes="l",
    steps=True,
    symbol="~",
    infix=7,
    latex=r"\neg {0}",
)
