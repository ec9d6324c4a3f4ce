"""The optimisers. What each remembers is named by a letter and the parameter: `v.layer1.W_f`.

Weight decay pulls weights towards 0. It is for leaves of two axes or more, unless `decays` says
otherwise: a bias or a gain does not fit noise, it says where a unit works. Decay would pull a gate
that is set to remember back to half open, and a norm's gain from 1 to 0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log
from typing import TypeAlias

import minigrad as mg
from lstm.errors import check_number
from lstm.optim.base import Named, Optimizer, Rate, Tensors, checked_rate, rate_at, times, zeros
from minigrad import Expr

Decays: TypeAlias = Callable[[str, Expr], bool]


def weights_only(name: str, param: Expr) -> bool:
    """Whether a parameter decays where nothing else is said: with two axes or more."""
    return param.ndim >= 2


def sgd(rate: Rate, decay: float = 0.0, decays: Decays = weights_only) -> Optimizer:
    """Gradient descent: w ← w - rate · (g + decay · w)."""
    rate, decay = checked_rate(rate), check_number("decay", decay, least=0)

    def update(grads: Named, state: Named, params: Named, step: Expr) -> tuple[Tensors, Tensors]:
        grads = _with_decay(grads, params, decay, decays)
        return _moves(rate, step, grads), {}

    return Optimizer(lambda params: {}, update)


def momentum(
    rate: Rate, beta: float = 0.9, decay: float = 0.0, decays: Decays = weights_only
) -> Optimizer:
    """v ← beta · v + g + decay · w; w ← w - rate · v (Polyak, "Some methods of speeding up the
    convergence of iteration methods", 1964)."""
    return _heavy_ball(rate, beta, decay, decays, lambda g, v, beta: v)


def nesterov(
    rate: Rate, beta: float = 0.9, decay: float = 0.0, decays: Decays = weights_only
) -> Optimizer:
    """v ← beta · v + d; w ← w - rate · (d + beta · v), where d = g + decay · w: Nesterov's, in the
    form of Sutskever et al., "On the importance of initialization and momentum in deep learning",
    2013, and PyTorch."""
    return _heavy_ball(rate, beta, decay, decays, lambda g, v, beta: g + beta * v)


def rmsprop(rate: Rate, beta: float = 0.9, eps: float = 1e-8) -> Optimizer:
    """s ← beta · s + (1-beta) · g²; w ← w - rate · g / (√s + eps) (Tieleman & Hinton, Coursera
    lecture 6.5, 2012)."""
    rate, beta, eps = checked_rate(rate), _checked_beta("beta", beta), _checked_eps(eps)

    def update(grads: Named, state: Named, params: Named, step: Expr) -> tuple[Tensors, Tensors]:
        new = {
            f"s.{name}": beta * state[f"s.{name}"] + (1 - beta) * mg.square(g)
            for name, g in grads.items()
        }
        scaled = {name: g / (mg.sqrt(new[f"s.{name}"]) + eps) for name, g in grads.items()}
        return _moves(rate, step, scaled), new

    return Optimizer(lambda params: zeros(params, "s"), update)


def adam(rate: Rate, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Kingma & Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1, with the bias
    correction of both moments."""
    return adamw(rate, beta1, beta2, eps, decay=0.0)


def adamw(
    rate: Rate,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.01,
    decays: Decays = weights_only,
) -> Optimizer:
    """Adam with decoupled weight decay: w ← w - rate · (m̂ / (√ŝ + eps) + decay · w) (Loshchilov &
    Hutter, "Decoupled weight decay regularization", 2019, algorithm 2).

    decays: which parameters do; those of two axes or more unless given, so that biases do not.
    """
    rate, eps = checked_rate(rate), _checked_eps(eps)
    beta1, beta2 = _checked_beta("beta1", beta1), _checked_beta("beta2", beta2)
    decay = check_number("decay", decay, least=0)

    def update(grads: Named, state: Named, params: Named, step: Expr) -> tuple[Tensors, Tensors]:
        count = step + 1
        scaled: Tensors = {}
        new: Tensors = {}
        for name, g in grads.items():
            m = beta1 * state[f"m.{name}"] + (1 - beta1) * g
            s = beta2 * state[f"s.{name}"] + (1 - beta2) * mg.square(g)
            new[f"m.{name}"], new[f"s.{name}"] = m, s
            m_hat = times(1 / _one_minus_power(beta1, count), m)
            s_hat = times(1 / _one_minus_power(beta2, count), s)
            scaled[name] = m_hat / (mg.sqrt(s_hat) + eps)
        return _moves(rate, step, _with_decay(scaled, params, decay, decays)), new

    return Optimizer(lambda params: zeros(params, "m") | zeros(params, "s"), update)


def _heavy_ball(
    rate: Rate,
    beta: float,
    decay: float,
    decays: Decays,
    direction: Callable[[Expr, Expr, float], Expr],
) -> Optimizer:
    rate, beta = checked_rate(rate), _checked_beta("beta", beta)
    decay = check_number("decay", decay, least=0)

    def update(grads: Named, state: Named, params: Named, step: Expr) -> tuple[Tensors, Tensors]:
        grads = _with_decay(grads, params, decay, decays)
        new = {f"v.{name}": beta * state[f"v.{name}"] + g for name, g in grads.items()}
        along = {name: direction(g, new[f"v.{name}"], beta) for name, g in grads.items()}
        return _moves(rate, step, along), new

    return Optimizer(lambda params: zeros(params, "v"), update)


def _with_decay(grads: Named, params: Named, decay: float, decays: Decays) -> Tensors:
    return {
        name: g + decay * params[name] if decay and decays(name, params[name]) else g
        for name, g in grads.items()
    }


def _moves(rate: Rate, step: Expr, along: Named) -> Tensors:
    lr = rate_at(rate, step)
    return {name: times(-lr, direction) for name, direction in along.items()}


def _checked_beta(name: str, beta: float) -> float:
    return check_number(name, beta, least=0, below=1)


def _checked_eps(eps: float) -> float:
    return check_number("eps", eps, above=0)  # 0 is 0/0 where there never was a gradient


def _one_minus_power(beta: float, count: Expr) -> Expr:
    # 1 - beta^count as it stands loses digits while beta^count is near one.
    return -mg.expm1(count * (log(beta) if beta else -inf))
