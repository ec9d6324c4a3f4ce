"""Pointwise ops: each is one row that states type rule, NumPy call, partial derivatives, notation.

Conventions where no derivative exists are the field's: |x|, relu and sign have 0 at 0; a tie of
maximum or minimum gives half to each side; steps (floor, round, comparisons ...) have 0 everywhere;
sqrt at 0 and log at 0 have infinity; x**0 has 0 towards x, and 0**p has 0 towards p.

A partial that would cancel (1 - y² of a saturated unit, 1/y - a²/y³ of a hypot) is an op of its
own, so that every order keeps its digits. One that would divide by 0 divides by 1 there, under a
`where` outside it: the same where inside and out, or the next order were 0·∞.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr, Op, Partial, Terms, explain, make, register
from minigrad.names import public
from minigrad.ops.core import (
    as_float,
    astype,
    bool_type,
    broadcast_to,
    explaining,
    full_like,
    meet,
    nonzero,
    same_type,
    uniform_value,
)
from minigrad.types import BOOL, FLOAT64, Array, TensorType, broadcast_shapes, require_tensors


class UnaryFunction(Protocol):
    """A function that makes a node of one op, which is its `op`."""

    op: Op

    def __call__(self, x: Any, /) -> Expr:
        """The op of x."""


class BinaryFunction(Protocol):
    """A function that makes a node of one op, which is its `op`, of two operands."""

    op: Op

    def __call__(self, a: Any, b: Any, /) -> Expr:
        """The op of a and b."""


_TAKES = {
    "f": ("f", "floats"),
    "n": ("fiu", "numbers"),
    "i": ("iu", "integers"),
    "l": ("biu", "booleans or integers"),
    "a": ("fiub", "numbers or booleans"),
}


def _declare(
    arity: int,
    name: str,
    numpy: Callable[..., Any],
    partials: tuple[Partial, ...] | None,
    takes: str,
    test: bool,
    symbol: str,
    infix: int,
    latex: str,
    commutative: bool = False,
    plain: str = "",
) -> Op:
    kinds, what = _TAKES[takes]
    rule = bool_type if test else same_type

    @lru_cache(maxsize=256)  # finding out again takes ten times as long
    def infer(*types: TensorType) -> TensorType:
        if len(types) != arity:
            raise ShapeError(f"{name} takes {arity} operands, not {len(types)}")
        require_tensors(types)
        for t in types:
            if t.dtype.kind not in kinds:
                raise DTypeError(f"{name} takes {what}, not {t.dtype}")
        return rule(*types)

    return register(
        Op(
            name,
            infer,
            numpy,
            partials=partials,
            no_gradient=partials is None,
            pointwise=True,
            commutative=commutative,
            symbol=symbol,
            plain=plain,
            infix=infix,
            latex=latex,
            out=True,
        )
    )


def _name(function: Any, op: Op, doc: str) -> Any:
    function.op = op
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = doc
    function.__module__ = __name__
    return public(function)


def _unary(
    name: str,
    doc: str,
    numpy: Callable[..., Any],
    partial: Partial = None,
    *,
    takes: str = "f",
    test: bool = False,
    steps: bool = False,
    rounds: bool = False,
    symbol: str = "",
    infix: int = 0,
    latex: str = "",
) -> UnaryFunction:
    # steps: flat wherever it is smooth, so its derivative is declared, not forgotten.
    # rounds: it also gives integers, and gives integers as they are.
    partials = None if test or steps or rounds else (partial,)
    op = _declare(1, name, numpy, partials, takes, test, symbol, infix, latex)

    def function(x: Any, /) -> Expr:
        if type(x) is Expr and x.type.is_float:
            return make(op, (x,))
        x = as_expr(x)
        if rounds and x.dtype.kind in "iu":
            return x  # type: ignore[no-any-return]
        return make(op, (as_float(x) if takes == "f" else as_expr(x),))

    return _name(function, op, doc)  # type: ignore[no-any-return]


def _binary(
    name: str,
    doc: str,
    numpy: Callable[..., Any],
    partials: tuple[Partial, Partial] | None = None,
    *,
    takes: str = "a",
    test: bool = False,
    symbol: str = "",
    infix: int = 0,
    latex: str = "",
    commutative: bool = False,
    plain: str = "",
) -> BinaryFunction:
    op = _declare(2, name, numpy, partials, takes, test, symbol, infix, latex, commutative, plain)

    def function(a: Any, b: Any, /) -> Expr:
        # Floats of one type, or a float and a number: most nodes there are, and every op takes
        # them. Meeting them here instead of in `meet` takes a third off the cost of a node.
        if type(a) is Expr and a.type.is_float:
            if type(b) is Expr:
                if a.type is b.type:
                    return make(op, (a, b))
            elif type(b) is float and b:
                return make(op, (a, nonzero(b, a.type)))
        elif type(a) is float and a and type(b) is Expr and b.type.is_float:
            return make(op, (nonzero(a, b.type), b))
        a, b = meet(name, a, b, dtype=_float_dtype(a, b) if takes == "f" else None)
        if takes == "l" and a.dtype.kind == "f":
            raise explain(DTypeError(f"{name} takes booleans or integers"), name, (a, b))
        return make(op, (a, b))

    return _name(function, op, doc)  # type: ignore[no-any-return]


def _float_dtype(*operands: Any) -> np.dtype[Any] | None:
    """float64 where integers meet an op of floats; None where the operands' own dtype serves."""
    for x in operands:
        if isinstance(x, float) or (isinstance(x, Expr) and x.type.is_float):
            return None
        if not isinstance(x, (Expr, bool, int)) and np.asarray(x).dtype.kind == "f":
            return None
    return FLOAT64


# --- arithmetic --------------------------------------------------------------------------------

negative = _unary(
    "negative", "-x, elementwise.", np.negative, -1, takes="n", symbol="-", infix=7, latex="-{0}"
)
add = _binary(
    "add",
    "a + b, elementwise; also `a + b`. Booleans add as logical or, as in NumPy.",
    np.add,
    (1, 1),
    symbol="+",
    infix=4,
    latex="{0} + {1}",
    commutative=True,
)
subtract = _binary(
    "subtract",
    "a - b, elementwise; also `a - b`.",
    np.subtract,
    (1, -1),
    takes="n",
    symbol="-",
    infix=4,
    latex="{0} - {1}",
)
multiply = _binary(
    "multiply",
    "a * b, elementwise; also `a * b`.",
    np.multiply,
    (lambda y, a, b: b, lambda y, a, b: a),
    symbol="×",
    infix=5,
    latex=r"{0} \cdot {1}",
    commutative=True,
    plain="*",
)
divide = _binary(
    "divide",
    "a / b, elementwise; also `a / b`. Integers divide to float64.",
    np.divide,
    (lambda y, a, b: 1.0 / b, lambda y, a, b: -y / b),
    takes="f",
    symbol="÷",
    infix=5,
    latex=r"\frac{{{0}}}{{{1}}}",
    plain="/",
)


def _pow_base(y: Expr, a: Expr, b: Expr) -> Expr | int | None:
    exponent = uniform_value(b)
    if exponent is None:
        # b·a^(b-1), with the 0·0^-1 of a = b = 0 taken out; elsewhere on b = 0 it moves with b.
        flat = (a == 0) & (b == 0)
        return where(flat, 0.0, b * a ** where(flat, 1.0, b - 1.0))
    if exponent in (0, 1):
        return 1 if exponent else None
    return exponent * a if exponent == 2 else exponent * a ** (exponent - 1)


def _pow_exponent(y: Expr, a: Expr, b: Expr) -> Expr:
    return y * log(where((a == 0) & (b >= 0), 1.0, a))


pow = _binary(
    "pow",
    "a to the power b, elementwise; also `a ** b`. The derivative towards a is 0 where b is 0, and "
    "towards b it is 0 where a is 0 and b >= 0.",
    np.power,
    (_pow_base, _pow_exponent),
    takes="n",
    symbol="^",
    infix=8,
    latex="{{{0}}}^{{{1}}}",
)


def _floor_divide_numpy(a: Array, b: Array, out: Array | None = None) -> Array:
    if a.dtype.kind != "f" or not (unbounded := np.isinf(a) | np.isinf(b)).any():
        return np.floor_divide(a, b, out=out)
    # NumPy makes NaN of ∞ // 2 and -1 of 1 // -∞; the array API standard asks for ∞ and -0.
    y = np.where(unbounded, np.divide(a, b), np.floor_divide(a, b))
    if out is None:
        return y
    np.copyto(out, y)
    return out


floor_divide = _binary(
    "floor_divide",
    "floor(a / b), elementwise; also `a // b`. Where a or b is infinite, a / b. Derivative 0.",
    _floor_divide_numpy,
    (None, None),
    takes="n",
    symbol="//",
    infix=5,
    latex=r"\left\lfloor {0} / {1} \right\rfloor",
)
remainder = _binary(
    "remainder",
    "a - b floor(a / b), elementwise, with the sign of b; also `a % b`.",
    np.remainder,
    (1, lambda y, a, b: -(a // b)),
    takes="n",
    symbol="%",
    infix=5,
    latex=r"{0} \bmod {1}",
)
fmod = _binary(
    "fmod",
    "a - b trunc(a / b), elementwise, with the sign of a, as C has it.",
    np.fmod,
    (1, lambda y, a, b: -trunc(a / b)),
    takes="n",
)
square = _unary(
    "square", "x², elementwise.", np.square, lambda y, x: 2.0 * x, takes="n", latex="{{{0}}}^2"
)
sqrt = _unary(
    "sqrt",
    "Square root, elementwise. Its derivative at 0 is infinity.",
    np.sqrt,
    lambda y, x: 0.5 / y,
    symbol="√",
    latex=r"\sqrt{{{0}}}",
)
cbrt = _unary(
    "cbrt",
    "Cube root, elementwise. Its derivative at 0 is infinity.",
    np.cbrt,
    lambda y, x: 1.0 / (3.0 * y * y),
    symbol="∛",
    latex=r"\sqrt[3]{{{0}}}",
)
abs = _unary(
    "abs",
    "|x|, elementwise. Derivative 0 at 0.",
    np.absolute,
    lambda y, x: sign(x),
    takes="n",
    symbol="|·|",
    latex=r"\left|{0}\right|",
)
sign: UnaryFunction = _unary(
    "sign", "-1, 0 or 1, elementwise. Derivative 0.", np.sign, takes="n", steps=True
)
floor = _unary("floor", "Largest integer <= x, in its dtype. Derivative 0.", np.floor, rounds=True)
ceil = _unary("ceil", "Smallest integer >= x, in its dtype. Derivative 0.", np.ceil, rounds=True)
trunc: UnaryFunction = _unary(
    "trunc", "x without its fraction, in its dtype. Derivative 0.", np.trunc, rounds=True
)
round = _unary(
    "round", "Nearest integer, ties to even, in its dtype. Derivative 0.", np.rint, rounds=True
)

# --- exponentials and logarithms ---------------------------------------------------------------

exp = _unary("exp", "e to the x, elementwise.", np.exp, lambda y, x: y, latex="e^{{{0}}}")
expm1 = _unary("expm1", "exp(x) - 1, accurate near 0.", np.expm1, lambda y, x: exp(x))
log = _unary(
    "log",
    "Natural logarithm, elementwise.",
    np.log,
    lambda y, x: 1.0 / x,
    latex=r"\log\left({0}\right)",
)
log1p = _unary(
    "log1p",
    "log(1 + x), accurate near 0.",
    np.log1p,
    lambda y, x: 1.0 / (1.0 + x),
    latex=r"\log\left(1 + {0}\right)",
)
log2 = _unary(
    "log2",
    "Logarithm to base 2.",
    np.log2,
    lambda y, x: (1 / math.log(2)) / x,
    latex=r"\log_2\left({0}\right)",
)
log10 = _unary(
    "log10",
    "Logarithm to base 10.",
    np.log10,
    lambda y, x: (1 / math.log(10)) / x,
    latex=r"\log_{{10}}\left({0}\right)",
)
logaddexp = _binary(
    "logaddexp",
    "log(exp(a) + exp(b)) without overflow.",
    np.logaddexp,
    (lambda y, a, b: sigmoid(a - b), lambda y, a, b: sigmoid(b - a)),
    takes="f",
    commutative=True,
)

# --- trigonometric and hyperbolic --------------------------------------------------------------

sin = _unary("sin", "Sine.", np.sin, lambda y, x: cos(x), latex=r"\sin\left({0}\right)")
cos: UnaryFunction = _unary(
    "cos", "Cosine.", np.cos, lambda y, x: -sin(x), latex=r"\cos\left({0}\right)"
)
tan = _unary("tan", "Tangent.", np.tan, lambda y, x: 1.0 + y * y, latex=r"\tan\left({0}\right)")


def one_minus_square(x: Expr) -> Expr:
    """1 - x² with all its digits: near ±1, where 1 - x and 1 + x are exact, and in its slope."""
    return make(_ONE_MINUS_SQUARE, (x,))


_ONE_MINUS_SQUARE = _declare(
    1,
    "one_minus_square",
    lambda x, out=None: np.multiply(1 - x, 1 + x, out=out),
    (lambda y, x: -2.0 * x,),
    "f",
    False,
    "1-x²",
    0,
    "1 - {{{0}}}^2",
)


def _asin_slope(x: Expr) -> Expr:
    return 1.0 / sqrt(one_minus_square(x))


asin = _unary("asin", "Inverse sine.", np.arcsin, lambda y, x: _asin_slope(x))
acos = _unary("acos", "Inverse cosine.", np.arccos, lambda y, x: -_asin_slope(x))
atan = _unary("atan", "Inverse tangent.", np.arctan, lambda y, x: 1.0 / (1.0 + x * x))
sinh = _unary("sinh", "Hyperbolic sine.", np.sinh, lambda y, x: cosh(x))
cosh: UnaryFunction = _unary("cosh", "Hyperbolic cosine.", np.cosh, lambda y, x: sinh(x))
tanh = _unary(
    "tanh",
    "Hyperbolic tangent.",
    np.tanh,
    lambda y, x: tanh_slope(x),
    latex=r"\tanh\left({0}\right)",
)


def _tanh_slope_numpy(x: Array, out: Array | None = None) -> Array:
    # 4/(eˣ + e⁻ˣ)², squared last: there it may underflow, and nothing overflows before it is 0.
    root = np.divide(2, _twice_cosh(x, out), out=out)
    return np.square(root, out=out)


def _twice_cosh(x: Array, out: Array | None) -> Array:
    power = np.exp(x, out=out)
    return np.add(power, np.reciprocal(power), out=out)


tanh_slope: UnaryFunction = _unary(
    "tanh_slope",
    "The derivative of tanh, 1 - tanh²(x) = sech²(x), with all its digits where tanh is saturated.",
    _tanh_slope_numpy,
    lambda y, x: -2.0 * tanh(x) * y,
    symbol="tanh′",
    latex=r"\operatorname{{sech}}^2\left({0}\right)",
)
asinh = _unary("asinh", "Inverse sinh.", np.arcsinh, lambda y, x: 1.0 / hypot(x, 1.0))
acosh = _unary(
    "acosh", "Inverse cosh.", np.arccosh, lambda y, x: 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0))
)
atanh = _unary("atanh", "Inverse tanh.", np.arctanh, lambda y, x: 1.0 / one_minus_square(x))
atan2 = _binary(
    "atan2",
    "Angle of the point (b, a): atan(a / b) in the right quadrant.",
    np.arctan2,
    # By hypot, for a * a + b * b is infinite from 1e155 and 0 below 1e-162.
    (
        lambda y, a, b: hypot_slope(b, a) / hypot(a, b),
        lambda y, a, b: -hypot_slope(a, b) / hypot(a, b),
    ),
    takes="f",
)
hypot: BinaryFunction = _binary(
    "hypot",
    "sqrt(a² + b²) without overflow. Derivative 0 at (0, 0).",
    np.hypot,
    (lambda y, a, b: hypot_slope(a, b), lambda y, a, b: hypot_slope(b, a)),
    takes="f",
    commutative=True,
)


def _hypot_slope_numpy(a: Array, b: Array, out: Array | None = None) -> Array:
    size = np.hypot(a, b)
    return np.divide(a, np.where(size == 0, size.dtype.type(1), size), out=out)


def _bend(y: Expr, a: Expr, b: Expr) -> Expr:
    """b²/hypot³ towards a, and of it b/hypot: 1/hypot is kept finite, so that sums of them are."""
    size, least = hypot(a, b), float(np.finfo(a.dtype).tiny)
    return hypot_slope(b, a) / where(size < least, least, size)


hypot_slope: BinaryFunction = _binary(
    "hypot_slope",
    "a / hypot(a, b), the derivative of hypot towards a; 0 at (0, 0).",
    _hypot_slope_numpy,
    (
        lambda y, a, b: hypot_slope(b, a) * _bend(y, a, b),
        lambda y, a, b: -y * _bend(y, a, b),
    ),
    takes="f",
    symbol="hypot′",
)

# --- neural nets' own --------------------------------------------------------------------------


def _sigmoid_numpy(x: Array, out: Array | None = None) -> Array:
    y = np.reciprocal(1 + np.exp(-x))
    if not y.all():  # where exp(-x) overflows the 1 counts for nothing, and exp(x) is not 0 yet
        y = np.where(y == 0, np.exp(x), y)
    return np.positive(y, out=out)  # type: ignore[no-any-return]


def _sigmoid_slope_numpy(x: Array, out: Array | None = None) -> Array:
    root = np.reciprocal(_twice_cosh(np.multiply(x, 0.5, out=out), out), out=out)
    return np.square(root, out=out)


def _softplus_numpy(x: Array, out: Array | None = None) -> Array:
    return np.logaddexp(x, x.dtype.type(0), out=out)  # type: ignore[no-any-return]


_erf_scalar = np.frompyfunc(math.erf, 1, 1)


def _erf_numpy(x: Array, out: Array | None = None) -> Array:
    result: Array = np.asarray(_erf_scalar(x), dtype=x.dtype)
    if out is None:
        return result
    np.copyto(out, result)
    return out


def _relu_numpy(x: Array, out: Array | None = None) -> Array:
    return np.maximum(x, x.dtype.type(0), out=out)  # type: ignore[no-any-return]


sigmoid: UnaryFunction = _unary(
    "sigmoid",
    "1 / (1 + exp(-x)), without overflow.",
    _sigmoid_numpy,
    lambda y, x: sigmoid_slope(x),
    symbol="σ",
    latex=r"\sigma\left({0}\right)",
)
sigmoid_slope: UnaryFunction = _unary(
    "sigmoid_slope",
    "The derivative of sigmoid, σ(x) σ(-x), with all its digits where sigmoid is saturated.",
    _sigmoid_slope_numpy,
    lambda y, x: -tanh(0.5 * x) * y,  # σ(-x) - σ(x), which cancels near 0
    symbol="σ′",
    latex=r"\sigma'\left({0}\right)",
)
softplus = _unary(
    "softplus", "log(1 + exp(x)), without overflow.", _softplus_numpy, lambda y, x: sigmoid(x)
)
relu = _unary(
    "relu",
    "max(x, 0). Derivative 0 at 0.",
    _relu_numpy,
    lambda y, x: where(x > 0, full_like(x, 1), 0),
    takes="n",
)
erf = _unary(
    "erf",
    "Error function, 2/√π ∫₀ˣ exp(-t²) dt.",
    _erf_numpy,
    lambda y, x: (2 / math.sqrt(math.pi)) * exp(-(x * x)),
    latex=r"\operatorname{{erf}}\left({0}\right)",
)

# --- extremes and signs ------------------------------------------------------------------------


def _larger(a: Expr, b: Expr) -> Expr:
    # One mask outside, which rewrites know for one: what meets it is not 0·∞ on the other side.
    return where(a >= b, where(a == b, full_like(a, 0.5), 1), 0)


maximum = _binary(
    "maximum",
    "The larger of a and b; NaN if either is. A tie gives half the derivative to each.",
    np.maximum,
    (lambda y, a, b: _larger(a, b), lambda y, a, b: _larger(b, a)),
    commutative=True,
)
minimum = _binary(
    "minimum",
    "The smaller of a and b; NaN if either is. A tie gives half the derivative to each.",
    np.minimum,
    (lambda y, a, b: _larger(b, a), lambda y, a, b: _larger(a, b)),
    commutative=True,
)
copysign: BinaryFunction = _binary(
    "copysign",
    "|a| with the sign of b.",
    np.copysign,
    (lambda y, a, b: sign(a) * copysign(full_like(a, 1), b), None),
    takes="f",
)
nextafter = _binary(
    "nextafter",
    "The next float after a towards b.",
    np.nextafter,
    (1, None),
    takes="f",
)

# --- tests, without derivative -----------------------------------------------------------------

equal = _binary("equal", "a == b.", np.equal, test=True, symbol="==", infix=1, latex="{0} = {1}")
not_equal = _binary(
    "not_equal", "a != b.", np.not_equal, test=True, symbol="!=", infix=1, latex=r"{0} \ne {1}"
)
less = _binary("less", "a < b.", np.less, test=True, symbol="<", infix=1, latex="{0} < {1}")
less_equal = _binary(
    "less_equal", "a <= b.", np.less_equal, test=True, symbol="<=", infix=1, latex=r"{0} \le {1}"
)
greater = _binary(
    "greater", "a > b.", np.greater, test=True, symbol=">", infix=1, latex="{0} > {1}"
)
greater_equal = _binary(
    "greater_equal",
    "a >= b.",
    np.greater_equal,
    test=True,
    symbol=">=",
    infix=1,
    latex=r"{0} \ge {1}",
)
isnan = _unary("isnan", "Whether x is NaN.", np.isnan, test=True)
isinf = _unary("isinf", "Whether x is infinite.", np.isinf, test=True)
isfinite = _unary("isfinite", "Whether x is neither NaN nor infinite.", np.isfinite, test=True)
signbit = _unary("signbit", "Whether the sign bit is set.", np.signbit, test=True)
logical_not = _unary("logical_not", "Whether x is false (0).", np.logical_not, takes="a", test=True)
logical_and = _binary("logical_and", "Whether both are true.", np.logical_and, test=True)
logical_or = _binary("logical_or", "Whether either is true.", np.logical_or, test=True)
logical_xor = _binary("logical_xor", "Whether just one is true.", np.logical_xor, test=True)
bitwise_and = _binary(
    "bitwise_and", "a & b.", np.bitwise_and, takes="l", symbol="&", infix=2, latex=r"{0} \wedge {1}"
)
bitwise_or = _binary(
    "bitwise_or", "a | b.", np.bitwise_or, takes="l", symbol="|", infix=2, latex=r"{0} \vee {1}"
)
bitwise_xor = _binary(
    "bitwise_xor", "a ^ b.", np.bitwise_xor, takes="l", symbol="⊕", infix=2, latex=r"{0} \oplus {1}"
)
bitwise_left_shift = _binary(
    "bitwise_left_shift", "a << b.", np.left_shift, takes="i", symbol="<<", infix=2
)
bitwise_right_shift = _binary(
    "bitwise_right_shift", "a >> b.", np.right_shift, takes="i", symbol=">>", infix=2
)
bitwise_invert = _unary(
    "bitwise_invert",
    "~x; logical not for booleans.",
    np.invert,
    takes="l",
    steps=True,
    symbol="~",
    infix=7,
    latex=r"\neg {0}",
)

# --- where -------------------------------------------------------------------------------------


def _where_type(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    require_tensors((condition, a, b))
    if condition.dtype != BOOL:
        raise DTypeError(f"where takes a boolean condition, not {condition.dtype}")
    same_type(condition.with_dtype(a.dtype), a, b)
    return a


def _where_transpose(cotangent: Expr, out: Expr) -> Terms:
    condition, zero = out.args[0], full_like(cotangent, 0)
    sides = (condition, cotangent, zero), (condition, zero, cotangent)
    return (None, *(make(WHERE, side) for side in sides))


WHERE = register(
    Op("where", _where_type, np.where, transpose=_where_transpose, jointly=True, pointwise=True)
)


@public
def where(condition: Any, a: Any, b: Any, /) -> Expr:
    """a where the condition holds, b elsewhere. The side not taken gets derivative 0, never NaN.

    >>> where(as_expr([True, False]), 1.0, [2.0, 3.0]).eval()
    array([1., 3.])
    """
    a, b = meet("where", a, b)
    condition = astype(condition, BOOL)
    with explaining("where", condition, a, b):
        shape = broadcast_shapes(condition.shape, a.shape)
    return make(WHERE, tuple(broadcast_to(x, shape) for x in (condition, a, b)))


# --- compositions ------------------------------------------------------------------------------


@public
def positive(x: Any, /) -> Expr:
    """+x: the operand itself."""
    return as_expr(x)


@public
def conj(x: Any, /) -> Expr:
    """The operand itself: all expressions are real."""
    return as_expr(x)


@public
def real(x: Any, /) -> Expr:
    """The operand itself: all expressions are real."""
    return as_expr(x)


@public
def imag(x: Any, /) -> Expr:
    """Zeros of the type of x: all expressions are real."""
    return full_like(as_expr(x), 0)


@public
def reciprocal(x: Any, /) -> Expr:
    """1 / x."""
    return divide(1.0, x)


@public
def clip(x: Any, /, min: Any = None, max: Any = None) -> Expr:
    """x limited to [min, max]; None leaves a side open. At a limit the derivative is half.

    >>> clip(as_expr([-2.0, 0.5, 2.0]), -1, 1).eval()
    array([-1. ,  0.5,  1. ])
    """
    x = as_expr(x)
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)
