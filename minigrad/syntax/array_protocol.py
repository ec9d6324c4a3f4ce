"""The array API's protocols on an expression: its namespace, its device, and exchange by DLPack."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.errors import GraphError
from minigrad.names import OTHERS
from minigrad.syntax.asked import Asked
from minigrad.types import check_device

if TYPE_CHECKING:
    from minigrad.graph.node import Expr

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""The versions of the standard whose names and signatures are here; the last is what is meant."""
_CPU = (1, 0)  # DLPack's number of the kind of device, and which of them


class ArrayProtocol:
    """Mixin by which code that is written to the array API standard takes expressions."""

    __slots__ = ()

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        """The standard's functions, as the module minigrad.array_api.

        Raises GraphError, a ValueError, for a version that it has not.
        """
        if api_version not in (None, *VERSIONS):
            raise GraphError(f"minigrad has the array API of {VERSIONS[-1]}, not of {api_version}")
        return import_module("minigrad.array_api")

    @property
    def device(self) -> str:
        """Where the values are: "cpu", whatever backend computes them."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Expr:
        """The expression itself. Raises ShapeError, a ValueError, for a device but "cpu"."""
        check_device(device)
        return cast("Expr", self)

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """The values of a closed expression, computed for whoever asks.

        Raises OpenGraphError for one with variables, as np.asarray does, and for one with params,
        whose gradients would be lost; BufferError for another device or without copying.
        """
        if copy is False or dl_device not in (None, _CPU):
            raise BufferError("the values of an expression are made on the CPU when asked for")
        values = np.array(OTHERS["concrete"](self, Asked.DLPACK))
        # NumPy 2.0 knows no version.
        named: Any = {} if max_version is None else {"max_version": max_version}
        return values.__dlpack__(stream=stream, **named)

    def __dlpack_device__(self, /) -> tuple[int, int]:
        return _CPU

    def __complex__(self, /) -> complex:
        return complex(OTHERS["concrete"](self, Asked.COMPLEX))
