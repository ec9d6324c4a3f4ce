"""Optimisers as expressions: pure (init, update) pairs, so that a training step is one graph.

`init(params)` gives what the optimiser must remember, as a flat dict of arrays by name: keep them
in `minigrad.param` leaves. `update(grads, state, params, step)` gives the steps to add to the
parameters, and the new state. Parameters are a flat dict by dotted name. `step` counts from zero,
as a float64 scalar; a rate is a number or a function of it. Nothing here runs anything.
"""

from typing import TYPE_CHECKING

from lstm.optim.base import Optimizer, Rate, Schedule
from lstm.optim.by_name import OPTIMIZERS, SCHEDULES, Option, make, make_schedule, options
from lstm.optim.clipping import clip_by_global_norm, global_norm
from lstm.optim.grouping import groups
from lstm.optim.rules import adam, adamw, momentum, nesterov, rmsprop, sgd, weights_only
from lstm.optim.schedules import constant, cosine, exponential, warmup
from minigrad.names import what_instead

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Optimizer",
    "Option",
    "Rate",
    "Schedule",
    "adam",
    "adamw",
    "clip_by_global_norm",
    "constant",
    "cosine",
    "exponential",
    "global_norm",
    "groups",
    "make",
    "make_schedule",
    "momentum",
    "nesterov",
    "options",
    "rmsprop",
    "sgd",
    "warmup",
    "weights_only",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        hint = what_instead(name, __all__)
        raise AttributeError(f"module 'lstm.optim' has no attribute {name!r}{hint}")
