"""A model as a pure function of JAX, for people who train and serve with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError
from minigrad import Expr


class JaxNet:
    """What `model.to_jax()` gives: net(params, xs, lengths) -> output, of arrays of JAX.

    It may stand under jax.jit, grad and vmap. A graph is made for each shape of xs, once.
    """

    def __init__(self, output: Callable[..., Expr], params: Mapping[str, Expr], dtype: str) -> None:
        self._output, self._params, self._dtype = output, dict(params), dtype
        self._made: dict[Any, Any] = {}

    @property
    def params(self) -> dict[str, NDArray[Any]]:
        """A copy of the model's parameters as they are now, by dotted names."""
        return {name: p.value.copy() for name, p in self._params.items()}

    def __repr__(self) -> str:
        return f"<model of {sum(p.size for p in self._params.values()):,} parameters, in JAX>"

    def __call__(self, params: Mapping[str, Any], xs: Any, lengths: Any = None) -> Any:
        """The output for xs (T, B, I), numbers of the model's dtype, or integer tokens (T, B).

        params: arrays by dotted names, as `params` has them. lengths: (B,) integers of 1 … T.
        """
        if set(params) != set(self._params):
            raise ConfigError(
                f"the params of this net are a dict by name, of {', '.join(self._params)}, not of "
                f"{', '.join(map(str, params)) or 'none'}"
            )
        given = {"xs": xs} if lengths is None else {"xs": xs, "lengths": lengths}
        types = {k: (np.shape(v), np.dtype(getattr(v, "dtype", None) or np.asarray(v).dtype))
                 for k, v in given.items()}  # fmt: skip
        key = tuple(types.values())
        if key not in self._made:
            inputs = {k: mg.var(k, *type_) for k, type_ in types.items()}
            output = self._output(**inputs)
            self._made[key] = mg.to_jax(output, [*inputs.values()], params=self._params)
        return self._made[key](dict(params), given)
