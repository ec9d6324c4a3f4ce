"""Gradients that are kept to a size."""

from __future__ import annotations

from collections.abc import Mapping

import minigrad as mg
from lstm.errors import ConfigError
from lstm.optim.base import Named, Tensors, times
from minigrad import Expr


def global_norm(tensors: Named) -> Expr:
    """The Euclidean norm of all elements together; a float32 or float64 scalar.

    Raises ConfigError for what is no dict of tensors.
    """
    if not isinstance(tensors, Mapping) or not tensors:
        raise ConfigError(
            "gradients are a dict by name, as minigrad.grad(loss, model.flat_params) gives, not "
            f"{tensors!r:.40}"
        )
    total = mg.zeros((), next(iter(tensors.values())).dtype)
    for x in tensors.values():
        total = total + mg.sum(mg.square(x))
    return mg.sqrt(total)


def clip_by_global_norm(grads: Named, limit: float) -> Tensors:
    """The gradients, scaled down together so that their global norm is at most `limit` (Pascanu,
    Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1).

    >>> clip_by_global_norm({"w": mg.const([3.0, 4.0])}, 1.0)["w"].eval()
    array([0.6, 0.8])
    """
    norm = global_norm(grads)
    scale = limit / mg.maximum(norm, limit)
    return {name: times(scale, g) for name, g in grads.items()}
