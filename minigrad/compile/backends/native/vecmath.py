"""Elementary functions as LLVM IR, branch-free, for float32 and float64, scalars and vectors.

Within 2 ulp over the whole range, subnormal results included, the slopes of sigmoid and tanh within
4; and NumPy's values at ±0, ±inf, NaN and beyond overflow. Loops of them vectorise, since nothing
branches, looks up a table or calls a library. CPUs without fused multiply-add run them correctly
but slowly (a library call each).

Largest errors found, in ulp (float32: every seventh float there is; float64: 4 million points of
many distributions), against the half ulp that rounding costs at least:

|         | exp  | expm1 | log  | log1p | sigmoid | its slope | softplus | tanh | its slope | erf  |
|---------|------|-------|------|-------|---------|-----------|----------|------|-----------|------|
| float32 | 1.05 | 1.31  | 0.83 | 1.39  | 1.52    | 2.27      | 1.68     | 1.70 | 2.82      | 1.10 |
| float64 | 0.97 | 1.32  | 0.81 | 1.24  | 1.42    | 2.29      | 1.62     | 1.79 | 3.10      | 1.01 |

The slopes share nearly all of their work with the functions, in loops that compute both. To round
them as well as the rest would cost 4 % of an LSTM's step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minigrad.compile.backends.native import coefficients
from minigrad.compile.backends.native.lanes import (
    EXP_LOW,
    Exponent,
    Lanes,
    Value,
    exp_of_negative,
    half_expm1,
    log_of_normal,
)

# Just above where exp overflows; further out the reduction has no room for the exponent.
EXP_HIGH = (88.73, 709.79)


def emit(builder: Any, name: str, value: Value) -> Value:
    """Emit the function `name` of a float, a double or a vector of them; the result's value.

    Raises KeyError for a name that is not in FUNCTIONS, TypeError for another type.
    """
    return FUNCTIONS[name](Lanes(builder, value.type), value)


def _exp(lanes: Lanes, x: Value) -> Value:
    clamped = lanes.at_most(lanes.at_least(x, lanes.pick(EXP_LOW)), lanes.pick(EXP_HIGH))
    exponent = Exponent(lanes, clamped)
    return exponent.scale(exponent.exp_of_rest())


def _expm1(lanes: Lanes, x: Value) -> Value:
    # far below -log(epsilon) the result is -1
    clamped = lanes.at_most(lanes.at_least(x, lanes.pick((-20.0, -40.0))), lanes.pick(EXP_HIGH))
    half = half_expm1(lanes, clamped)
    return _identity_near_zero(lanes, x, lanes.add(half, half))


def _identity_near_zero(lanes: Lanes, x: Value, y: Value) -> Value:
    """x itself where it is so small that y would be x: keeps -0 and odd subnormals."""
    tiny = lanes.less(lanes.abs(x), lanes.const(2.0 ** -(lanes.mantissa + 2)))
    return lanes.select(tiny, x, y)


def _log(lanes: Lanes, x: Value) -> Value:
    lift = lanes.mantissa + 1.0
    subnormal = lanes.less(x, lanes.const(2.0 ** (1 - lanes.bias)))
    normal = lanes.select(subnormal, lanes.mul(x, lanes.const(2.0**lift)), x)
    offset = lanes.select(subnormal, lanes.const(-lift), lanes.const(0.0))
    y = log_of_normal(lanes, normal, k_offset=offset)
    return _log_ends(lanes, x, y, pole=0.0)


def _log_ends(lanes: Lanes, x: Value, y: Value, pole: float) -> Value:
    """y for x between the pole and infinity, and the values outside."""
    infinity = lanes.const(math.inf)
    y = lanes.select(lanes.equal(x, infinity), infinity, y)
    at_pole = lanes.equal(x, lanes.const(pole))
    outside = lanes.select(at_pole, lanes.const(-math.inf), lanes.const(math.nan))
    return lanes.select(lanes.less(lanes.const(pole), x), y, outside)


def _log1p(lanes: Lanes, x: Value) -> Value:
    one = lanes.const(1.0)
    u = lanes.add(one, x)
    # what the sum lost, exactly (Knuth's two-sum)
    rounded = lanes.sub(u, one)
    lost = lanes.add(lanes.sub(one, lanes.sub(u, rounded)), lanes.sub(x, rounded))
    y = log_of_normal(lanes, u, lost)
    return _identity_near_zero(lanes, x, _log_ends(lanes, x, y, pole=-1.0))


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


FUNCTIONS: dict[str, Callable[[Lanes, Value], Value]] = {
    "erf": _erf,
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "sigmoid": _sigmoid,
    "sigmoid_slope": _sigmoid_slope,
    "softplus": _softplus,
    "tanh": _tanh,
    "tanh_slope": _tanh_slope,
}
