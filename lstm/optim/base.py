"""What optimisers are made of: types, rates, and the products that keep a parameter's dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import check_number
from minigrad import Expr

Tensors: TypeAlias = dict[str, Expr]
Named: TypeAlias = Mapping[str, Expr]
Schedule: TypeAlias = Callable[[Expr], Expr]
Rate: TypeAlias = "float | Schedule"
Init: TypeAlias = Callable[[Named], dict[str, NDArray[Any]]]
Update: TypeAlias = Callable[[Named, Named, Named, Expr], tuple[Tensors, Tensors]]


class Optimizer(NamedTuple):
    """A pair of pure functions; see lstm/optim/__init__.py."""

    init: Init
    """params -> what is to be remembered: a flat dict of arrays by name."""
    update: Update
    """(grads, state, params, step) -> (what to add to each parameter, new state)."""


def rate_at(rate: Rate, step: Expr) -> Expr:
    """The rate of a step, as a scalar expression."""
    return rate(step) if callable(rate) else mg.full_like(step, rate)


def checked_rate(rate: Rate) -> Rate:
    """The rate. Raises ConfigError for what is neither a schedule nor a number of at least 0."""
    return rate if callable(rate) else check_number("rate", rate, least=0)


def times(scale: Expr, x: Expr) -> Expr:
    """scale · x in the dtype of x."""
    # The rate is float64, like the step it comes from; it must not lift the parameters' dtype.
    return mg.astype(scale, x.dtype) * x


def zeros(params: Named, prefix: str) -> dict[str, NDArray[Any]]:
    """An array of zeros for each parameter, under `prefix.name`."""
    return {f"{prefix}.{name}": np.zeros(p.shape, p.dtype) for name, p in params.items()}
