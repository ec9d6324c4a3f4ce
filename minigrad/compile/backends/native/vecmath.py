"""Elementary functions as LLVM IR, branch-free, for float32 and float64, scalars and vectors.

Within 2 ulp over the whole range, subnormal results included, the slopes of sigmoid and tanh within
4; and NumPy's values at ±0, ±inf, NaN and beyond overflow. logaddexp has the error of its larger
operand, as NumPy's. Nothing looks up a table, and nothing branches but sin, cos and tan, which call
the C library where an argument is so large that its reduction takes many digits of π. CPUs without
fused multiply-add run them correctly but slowly (a library call each).

Largest errors found, in ulp, against the half ulp that rounding costs at least. float32: every
seventh float there is; float64: 4 million points of many distributions.

|         | exp  | expm1 | log  | log1p | sigmoid | its slope | softplus | tanh | its slope | erf  |
|---------|------|-------|------|-------|---------|-----------|----------|------|-----------|------|
| float32 | 1.05 | 1.31  | 0.83 | 1.39  | 1.52    | 2.27      | 1.68     | 1.70 | 2.82      | 1.10 |
| float64 | 0.99 | 1.32  | 0.81 | 1.24  | 1.42    | 2.29      | 1.63     | 1.79 | 3.10      | 1.01 |

float32: every 211th float, of two operands .3 million pairs; float64: .2 and .3 million points, or
3 million of those whose polynomials are long.

|         | sin  | cos  | tan  | asin | acos | atan | sinh | cosh | asinh | acosh | atanh | cbrt |
|---------|------|------|------|------|------|------|------|------|-------|-------|-------|------|
| float32 | 0.87 | 0.85 | 1.27 | 0.66 | 0.65 | 0.79 | 0.77 | 0.88 | 1.51  | 1.34  | 1.50  | 0.80 |
| float64 | 0.81 | 0.86 | 0.99 | 0.75 | 0.74 | 0.83 | 0.77 | 0.88 | 1.39  | 1.38  | 1.41  | 0.52 |

|         | log2 | log10 | pow  | atan2 | hypot |
|---------|------|-------|------|-------|-------|
| float32 | 0.82 | 0.70  | 0.88 | 1.06  | 0.96  |
| float64 | 0.90 | 0.73  | 0.88 | 0.93  | 0.95  |

The slopes share nearly all of their work with the functions, in loops that compute both. To round
them as well as the rest would cost 4 % of an LSTM's step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.compile.backends.native import circular, coefficients, hyperbolic, powers
from minigrad.compile.backends.native.lanes import (
    EXP_HIGH,
    EXP_LOW,
    Exponent,
    Lanes,
    Value,
    exp_of_negative,
    half_expm1,
    identity_below,
    log_of_normal,
)
from minigrad.compile.backends.native.powers import lifted, log_ends


def emit(builder: Any, name: str, *values: Value) -> Value:
    """Emit the function `name` of floats, doubles or vectors of them; the result's value.

    Raises KeyError for a name that is not in FUNCTIONS, TypeError for another type.
    """
    return FUNCTIONS[name](Lanes(builder, values[0].type), *values)


def _exp(lanes: Lanes, x: Value) -> Value:
    clamped = lanes.at_most(lanes.at_least(x, lanes.pick(EXP_LOW)), lanes.pick(EXP_HIGH))
    exponent = Exponent(lanes, clamped)
    return exponent.scale(exponent.exp_of_rest())


def _expm1(lanes: Lanes, x: Value) -> Value:
    # far below -log(epsilon) the result is -1
    clamped = lanes.at_most(lanes.at_least(x, lanes.pick((-20.0, -40.0))), lanes.pick(EXP_HIGH))
    half = half_expm1(lanes, clamped)
    return identity_below(lanes, x, lanes.add(half, half), lanes.tiny)


def _log(lanes: Lanes, x: Value) -> Value:
    normal, offset = lifted(lanes, x)
    return log_ends(lanes, x, log_of_normal(lanes, normal, k_offset=offset), pole=0.0)


def _log1p(lanes: Lanes, x: Value) -> Value:
    one = lanes.const(1.0)
    u = lanes.add(one, x)
    # what the sum lost, exactly (Knuth's two-sum)
    rounded = lanes.sub(u, one)
    lost = lanes.add(lanes.sub(one, lanes.sub(u, rounded)), lanes.sub(x, rounded))
    y = log_of_normal(lanes, u, lost)
    return identity_below(lanes, x, log_ends(lanes, x, y, pole=-1.0), lanes.tiny)


def _sigmoid(lanes: Lanes, x: Value) -> Value:
    lower = _lower_sigmoid(lanes, x)
    upper = lanes.sub(lanes.const(1.0), lower)
    return lanes.select(lanes.less(x, lanes.const(0.0)), lower, upper)


def _sigmoid_slope(lanes: Lanes, x: Value) -> Value:
    lower = _lower_sigmoid(lanes, x)
    return lanes.fma(lanes.neg(lower), lower, lower)  # which cancels nothing, up to ½


def _lower_sigmoid(lanes: Lanes, x: Value) -> Value:
    """sigmoid(-|x|) = e/(1 + e), at most ½, rounded nearly once.

    exp of the negative magnitude never overflows, and small results keep their relative precision.
    The plain quotient would be 2.3 ulp wrong: what it and the sum lost is put back.
    """
    one = lanes.const(1.0)
    e = exp_of_negative(lanes, lanes.neg(lanes.abs(x)))
    q = lanes.div(e, lanes.add(one, e))
    rest = lanes.fma(lanes.neg(q), e, lanes.sub(e, q))  # e - q (1 + e), for e - q is exact
    return lanes.fma(rest, lanes.sub(one, q), q)


class _Tanh:
    """What tanh and its slope are made of; in a loop that computes both, LLVM does it once.

    tanh(a) = h p and sech²(a) = p (2 - p) with p = 1/(1 + h), where h = (exp(2a) - 1)/2. Far out,
    where exp(2a) would overflow, h is 2^-SHIFT times that: tanh is 1 there as before, and the slope
    is put right in the end.
    """

    SHIFT = 64

    def __init__(self, lanes: Lanes, x: Value) -> None:
        one = lanes.const(1.0)
        twice = lanes.mul(lanes.abs(x), lanes.const(2.0))
        self.far = lanes.less(lanes.const(lanes.pick((80.0, 700.0))), twice)
        shift = lanes.select(self.far, lanes.int_const(self.SHIFT), lanes.int_const(0))
        capped = lanes.at_most(twice, lanes.pick((107.5, 748.0)))  # the slope rounds to 0
        self.h = half_expm1(lanes, capped, shift)
        self.p = lanes.div(one, lanes.add(one, self.h))
        # 1 - p (1 + h): p times that is what the quotient and the sum lost.
        self.rest = lanes.fma(lanes.neg(self.p), self.h, lanes.sub(one, self.p))


def _tanh(lanes: Lanes, x: Value) -> Value:
    t = _Tanh(lanes, x)
    q = lanes.mul(t.h, t.p)
    lost = lanes.fma(t.h, t.p, lanes.neg(q))
    q = lanes.add(q, lanes.fma(q, t.rest, lost))
    return lanes.copysign(lanes.at_most(q, 1.0), x)  # mending may overshoot by an ulp


def _tanh_slope(lanes: Lanes, x: Value) -> Value:
    t = _Tanh(lanes, x)
    p = lanes.fma(t.rest, t.p, t.p)
    shift = lanes.select(t.far, lanes.const(2.0**-t.SHIFT), lanes.const(1.0))
    return lanes.mul(lanes.fma(lanes.neg(p), p, lanes.add(p, p)), shift)


def _softplus(lanes: Lanes, x: Value) -> Value:
    # log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))
    one = lanes.const(1.0)
    e = exp_of_negative(lanes, lanes.neg(lanes.abs(x)))
    u = lanes.add(one, e)
    lost = lanes.sub(e, lanes.sub(u, one))  # exact, since e ≤ 1
    return lanes.add(lanes.at_least(x, 0.0), log_of_normal(lanes, u, lost))


def _erf(lanes: Lanes, x: Value) -> Value:
    near = lanes.fma(x, lanes.polynomial(lanes.mul(x, x), coefficients.ERF_NEAR), x)
    size = lanes.abs(x)
    capped = lanes.at_most(size, lanes.pick((3.95, 5.95)))  # erf rounds to 1
    exponent = Exponent(lanes, lanes.neg(lanes.polynomial(capped, coefficients.ERF_FAR)))
    complement = lanes.mul(exponent.exp_of_rest(), exponent.power())
    far = lanes.copysign(lanes.sub(lanes.const(1.0), complement), x)
    return lanes.select(lanes.less(size, lanes.const(1.0)), near, far)


def _logaddexp(lanes: Lanes, a: Value, b: Value) -> Value:
    # the larger, and log1p of exp of what the other is less; equal ones may be infinite
    larger = lanes.select(lanes.less(a, b), b, a)
    apart = lanes.select(lanes.equal(a, b), lanes.const(0.0), lanes.sub(a, b))
    return lanes.add(larger, _softplus(lanes, lanes.neg(lanes.abs(apart))))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "acos": circular.acos,
    "acosh": hyperbolic.acosh,
    "asin": circular.asin,
    "asinh": hyperbolic.asinh,
    "atan": circular.atan,
    "atan2": circular.atan2,
    "atanh": hyperbolic.atanh,
    "cbrt": powers.cbrt,
    "cos": circular.cos,
    "cosh": hyperbolic.cosh,
    "erf": _erf,
    "exp": _exp,
    "expm1": _expm1,
    "hypot": powers.hypot,
    "hypot_slope": powers.hypot_slope,
    "log": _log,
    "log10": powers.log10,
    "log1p": _log1p,
    "log2": powers.log2,
    "logaddexp": _logaddexp,
    "pow": powers.pow,
    "sigmoid": _sigmoid,
    "sigmoid_slope": _sigmoid_slope,
    "sin": circular.sin,
    "sinh": hyperbolic.sinh,
    "softplus": _softplus,
    "tan": circular.tan,
    "tanh": _tanh,
    "tanh_slope": _tanh_slope,
}
