"""Exponentials and logarithms."""

from __future__ import annotations

import math

import numpy as np

from minigrad.ops.pointwise import unary

exp = unary("exp", "e to the x, elementwise.", np.exp, lambda y, x: y, latex="e^{{{0}}}")
expm1 = unary("expm1", "exp(x) - 1, accurate near 0.", np.expm1, lambda y, x: exp(x))
log = unary(
    "log",
    "Natural logarithm, elementwise.",
    np.log,
    lambda y, x: 1.0 / x,
    latex=r"\log\left({0}\right)",
)
log1p = unary(
    "log1p",
    "log(1 + x), accurate near 0.",
    np.log1p,
    lambda y, x: 1.0 / (1.0 + x),
    latex=r"\log\left(1 + {0}\right)",
)
log2 = unary(
    "log2",
    "Logarithm to base 2.",
    np.log2,
    lambda y, x: (1 / math.log(2)) / x,
    latex=r"\log_2\left({0}\right)",
)
log10 = unary(
    "log10",
    "Logarithm to base 10.",
    np.log10,
    lambda y, x: (1 / math.log(10)) / x,
    latex=r"\log_{{10}}\left({0}\right)",
)
