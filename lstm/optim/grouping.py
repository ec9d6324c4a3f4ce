"""Optimisers for parts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.optim.base import Named, Optimizer, Tensors
from minigrad import Expr
from minigrad.names import did_you_mean


def groups(optimizers: Mapping[str, Optimizer]) -> Optimizer:
    """One optimiser made of several, each for the parameters whose dotted names start with its
    prefix; of several prefixes the longest counts, and "" takes the others.

    A prefix ends where a part of the name does: "layer1" takes "layer1.W_f", not "layer10.W_f".
    Raises ConfigError, where the parameters are known (`init`), for a prefix that no parameter has,
    and for a parameter that no group takes; `sgd(0)` leaves a group as it is.

    >>> import lstm
    >>> import minigrad as mg
    >>> parts = lstm.optim.groups({"embedding": lstm.optim.sgd(0.1), "": lstm.optim.adam(1e-3)})
    >>> sorted(parts.init({"embedding.E": mg.param("E", [[0.0]]), "b": mg.param("b", [0.0])}))
    ['m.b', 's.b']
    """
    if not isinstance(optimizers, Mapping) or not optimizers:
        raise ConfigError(
            'groups are given as {prefix: optimiser}, such as {"embedding": sgd(0.1), '
            f'"": adam(1e-3)}}, not {optimizers!r:.40}'
        )
    for prefix, optimizer in optimizers.items():
        if not isinstance(prefix, str) or not isinstance(optimizer, Optimizer):
            raise ConfigError(f"group {prefix!r:.40} is not a prefix with an optim.Optimizer")
    optimizers = dict(optimizers)

    def init(params: Named) -> dict[str, NDArray[Any]]:
        state: dict[str, NDArray[Any]] = {}
        for prefix, names in _members(optimizers, params).items():
            own = optimizers[prefix].init({name: params[name] for name in names})
            if twice := state.keys() & own.keys():
                raise ConfigError(f"two groups remember {min(twice)!r}")
            state |= own
        return state

    def update(grads: Named, state: Named, params: Named, step: Expr) -> tuple[Tensors, Tensors]:
        moves: Tensors = {}
        new: Tensors = {}
        for prefix, names in _members(optimizers, params).items():
            own_params = {name: params[name] for name in names}
            remembered = optimizers[prefix].init(own_params)  # for its names
            own_moves, own_new = optimizers[prefix].update(
                {name: grads[name] for name in names},
                {name: state[name] for name in remembered},
                own_params,
                step,
            )
            moves |= own_moves
            new |= own_new
        return moves, new

    return Optimizer(init, update)


def _members(prefixes: Iterable[str], names: Iterable[str]) -> dict[str, list[str]]:
    """The names that each prefix takes."""
    names = list(names)
    members: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
    for prefix in members:
        if not any(_starts(name, prefix) for name in names):
            parts = {
                ".".join(n.split(".")[: i + 1]) for n in names for i in range(n.count(".") + 1)
            }
            raise ConfigError(
                f"no parameter's name starts with {prefix!r}{did_you_mean(prefix, sorted(parts))}; "
                f"there are {', '.join(sorted(names))}"
            )
    for name in names:
        fitting = [prefix for prefix in members if _starts(name, prefix)]
        if not fitting:
            raise ConfigError(f'no group takes the parameter {name!r}; the prefix "" takes any')
        members[max(fitting, key=len)].append(name)
    return members


def _starts(name: str, prefix: str) -> bool:
    """
    >>> [_starts("layer1.W_f", p) for p in ("layer1", "layer1.W_f", "layer", "")]
    [True, True, False, True]
    """
    return not prefix or name == prefix or name.startswith(f"{prefix}.")
