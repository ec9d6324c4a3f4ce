"""Optimisers as expressions: pure (init, update) pairs, so that a training step is one graph.

`init(params)` gives what the optimiser must remember, as arrays: keep them in `minigrad.param`
leaves. `update(grads, state, params, step)` gives the steps to add to the parameters, and the new
state. `step` counts from zero, as a float64 scalar; a rate is a number or a function of it.
Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import check_count
from minigrad import Expr

Tensors: TypeAlias = dict[str, Expr]
Schedule: TypeAlias = Callable[[Expr], Expr]
Rate: TypeAlias = "float | Schedule"
Init: TypeAlias = Callable[[Mapping[str, Expr]], dict[str, NDArray[Any]]]
Update: TypeAlias = Callable[
    [Mapping[str, Expr], Mapping[str, Expr], Mapping[str, Expr], Expr], tuple[Tensors, Tensors]
]


class Optimizer(NamedTuple):
    """A pair of pure functions; see the head of this file."""

    init: Init
    update: Update


# --- schedules ---------------------------------------------------------------------------------


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    return lambda step: mg.full_like(step, rate)


def exponential(rate: float, factor: float, every: int = 1) -> Schedule:
    """rate · factor^(step / every)."""
    every = check_count("every", every)
    return lambda step: rate * factor ** (step / every)


def cosine(rate: float, steps: int) -> Schedule:
    """From the rate down to zero after `steps`, along half a cosine (Loshchilov & Hutter, "SGDR:
    stochastic gradient descent with warm restarts", 2017, equation 5, without restarts).

    >>> schedule = cosine(1.0, steps=10)
    >>> [round(float(schedule(mg.const(s, "float64"))), 3) for s in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
    steps = check_count("steps", steps)
    return lambda step: 0.5 * rate * (1 + mg.cos(pi * mg.minimum(step / steps, 1.0)))


def warmup(steps: int, after: Rate) -> Schedule:
    """A linear rise in `steps` steps, then the given rate or schedule, which starts there.

    The first step already moves: its rate is 1/steps of the full one.
    """

    steps = check_count("steps", steps)

    def rate(step: Expr) -> Expr:
        rise = mg.minimum((step + 1) / steps, 1.0)
        return rise * _rate(after, mg.maximum(step - steps, 0.0))

    return rate


def _rate(rate: Rate, step: Expr) -> Expr:
    return rate(step) if callable(rate) else mg.full_like(step, rate)


# --- clipping ----------------------------------------------------------------------------------


def global_norm(tensors: Mapping[str, Expr]) -> Expr:
    """The Euclidean norm of all elements together; a float32 or float64 scalar."""
    total = mg.zeros((), next(iter(tensors.values())).dtype)
    for x in tensors.values():
        total = total + mg.sum(mg.square(x))
    return mg.sqrt(total)


def clip_by_global_norm(grads: Mapping[str, Expr], limit: float) -> Tensors:
    """The gradients, scaled down together so that their global norm is at most `limit` (Pascanu,
    Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1).

    >>> clip_by_global_norm({"w": mg.const([3.0, 4.0])}, 1.0)["w"].eval()
    array([0.6, 0.8])
    """
    norm = global_norm(grads)
    scale = limit / mg.maximum(norm, limit)
    return {name: _times(scale, g) for name, g in grads.items()}


# --- optimisers --------------------------------------------------------------------------------


def sgd(rate: Rate) -> Optimizer:
    """Gradient descent: w ← w - rate · g."""

    def update(
        grads: Mapping[str, Expr], state: Mapping[str, Expr], params: Mapping[str, Expr], step: Expr
    ) -> tuple[Tensors, Tensors]:
        lr = _rate(rate, step)
        return {name: _times(-lr, g) for name, g in grads.items()}, {}

    return Optimizer(lambda params: {}, update)


def momentum(rate: Rate, beta: float = 0.9, nesterov: bool = False) -> Optimizer:
    """v ← beta · v + g; w ← w - rate · v (Polyak 1964), or w - rate · (g + beta · v) for Nesterov's
    (in the form of Sutskever et al. 2013 and PyTorch)."""

    def update(
        grads: Mapping[str, Expr], state: Mapping[str, Expr], params: Mapping[str, Expr], step: Expr
    ) -> tuple[Tensors, Tensors]:
        lr = _rate(rate, step)
        new = {f"v.{name}": beta * state[f"v.{name}"] + g for name, g in grads.items()}
        ahead = {
            name: g + beta * new[f"v.{name}"] if nesterov else new[f"v.{name}"]
            for name, g in grads.items()
        }
        return {name: _times(-lr, v) for name, v in ahead.items()}, new

    return Optimizer(lambda params: _zeros(params, "v"), update)


def rmsprop(rate: Rate, beta: float = 0.9, eps: float = 1e-8) -> Optimizer:
    """s ← beta · s + (1-beta) · g²; w ← w - rate · g / (√s + eps) (Tieleman & Hinton, Coursera
    lecture 6.5, 2012)."""

    def update(
        grads: Mapping[str, Expr], state: Mapping[str, Expr], params: Mapping[str, Expr], step: Expr
    ) -> tuple[Tensors, Tensors]:
        lr = _rate(rate, step)
        new = {
            f"s.{name}": beta * state[f"s.{name}"] + (1 - beta) * mg.square(g)
            for name, g in grads.items()
        }
        steps = {
            name: _times(-lr, g / (mg.sqrt(new[f"s.{name}"]) + eps)) for name, g in grads.items()
        }
        return steps, new

    return Optimizer(lambda params: _zeros(params, "s"), update)


def adam(rate: Rate, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Kingma & Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1, with the bias
    correction of both moments."""
    return adamw(rate, beta1, beta2, eps, decay=0.0)


def adamw(
    rate: Rate, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.01
) -> Optimizer:
    """Adam with decoupled weight decay: w ← w - rate · (m̂ / (√ŝ + eps) + decay · w) (Loshchilov &
    Hutter, "Decoupled weight decay regularization", 2019, algorithm 2)."""

    def update(
        grads: Mapping[str, Expr], state: Mapping[str, Expr], params: Mapping[str, Expr], step: Expr
    ) -> tuple[Tensors, Tensors]:
        lr, count = _rate(rate, step), step + 1
        steps: Tensors = {}
        new: Tensors = {}
        for name, g in grads.items():
            m = beta1 * state[f"m.{name}"] + (1 - beta1) * g
            s = beta2 * state[f"s.{name}"] + (1 - beta2) * mg.square(g)
            new[f"m.{name}"], new[f"s.{name}"] = m, s
            m_hat = _times(1 / _one_minus_power(beta1, count), m)
            s_hat = _times(1 / _one_minus_power(beta2, count), s)
            direction = m_hat / (mg.sqrt(s_hat) + eps)
            if decay:
                direction = direction + decay * params[name]
            steps[name] = _times(-lr, direction)
        return steps, new

    return Optimizer(lambda params: _zeros(params, "m") | _zeros(params, "s"), update)


OPTIMIZERS: dict[str, Callable[[Rate], Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def _one_minus_power(beta: float, count: Expr) -> Expr:
    # 1 - beta^count as it stands loses digits while beta^count is near one.
    return -mg.expm1(count * float(np.log(beta)))


def _times(scale: Expr, x: Expr) -> Expr:
    # The rate is float64, like the step it comes from; it must not lift the parameters' dtype.
    return mg.astype(scale, x.dtype) * x


def _zeros(params: Mapping[str, Expr], prefix: str) -> dict[str, NDArray[Any]]:
    return {f"{prefix}.{name}": np.zeros(p.shape, p.dtype) for name, p in params.items()}
