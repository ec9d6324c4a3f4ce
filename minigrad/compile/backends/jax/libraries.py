"""JAX's modules, imported when something of them is first asked for: minigrad runs without JAX."""

from __future__ import annotations

import importlib
from typing import Any

from minigrad.errors import MissingPackageError


class _Module:
    """A module that is not imported yet."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked by tools that look at this object, not at JAX
            raise AttributeError(attribute)
        try:
            module = importlib.import_module(self._name)
        except ImportError as error:
            raise MissingPackageError(
                "JAX is not installed, or not whole: pip install 'minigrad-lstm[jax]' (for a GPU "
                f"pip install 'jax[cuda13]'), or take another backend ({error})",
                name="jax",
            ) from None
        return getattr(module, attribute)


jax: Any = _Module("jax")
jnp: Any = _Module("jax.numpy")
lax: Any = _Module("jax.lax")
sharding: Any = _Module("jax.sharding")
multihost: Any = _Module("jax.experimental.multihost_utils")
