"""Params in the host's memory, looked at and written by machine code, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.compile.backends.native.arrays import Copies, Kinds
from minigrad.compile.params import Params
from minigrad.compile.plan import Plan
from minigrad.graph.leaves import HostStorage
from minigrad.types import Array


class NativeParams(Params):
    """What is not plainly right is left to `Params`, which says what is wrong, or does it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._kinds = Kinds([cell.type for _, cell in plan.params], 0)
        self._copies = Copies([cell.type for *_, cell in plan.updates])

    def _fit(self, arrays: Sequence[Array]) -> bool:
        return self._kinds.places(arrays) is not None or super()._fit(arrays)

    def _copied(self, values: Sequence[Any]) -> bool:
        targets = [
            s.array if type(s := cell.storage) is HostStorage else None for _, cell in self._written
        ]
        return self._copies.copied(targets, values)
