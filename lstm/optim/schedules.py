"""Rates that depend on the step, which counts from zero."""

from __future__ import annotations

from math import pi

import minigrad as mg
from lstm.errors import check_count, check_number
from lstm.optim.base import Rate, Schedule, checked_rate, rate_at
from minigrad import Expr


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    rate = check_number("rate", rate, least=0)
    return lambda step: mg.full_like(step, rate)


def exponential(rate: float, factor: float, every: int = 1) -> Schedule:
    """rate · factor^(step / every)."""
    rate = check_number("rate", rate, least=0)
    factor = check_number("factor", factor, above=0)
    every = check_count("every", every)
    return lambda step: rate * factor ** (step / every)


def cosine(rate: float, steps: int) -> Schedule:
    """From the rate down to zero after `steps`, along half a cosine (Loshchilov & Hutter, "SGDR:
    stochastic gradient descent with warm restarts", 2017, equation 5, without restarts).

    >>> schedule = cosine(1.0, steps=10)
    >>> [round(float(schedule(mg.const(s, "float64"))), 3) for s in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
    rate = check_number("rate", rate, least=0)
    steps = check_count("steps", steps)
    return lambda step: 0.5 * rate * (1 + mg.cos(pi * mg.minimum(step / steps, 1.0)))


def warmup(steps: int, after: Rate) -> Schedule:
    """A linear rise in `steps` steps, then the given rate or schedule, which starts there.

    The first step already moves: its rate is 1/steps of the full one.
    """
    steps, after = check_count("steps", steps), checked_rate(after)

    def rate(step: Expr) -> Expr:
        rise = mg.minimum((step + 1) / steps, 1.0)
        return rise * rate_at(after, mg.maximum(step - steps, 0.0))

    return rate
