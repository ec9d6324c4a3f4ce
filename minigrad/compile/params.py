"""The params of a plan: looked at and loaded at each call, and written together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from minigrad.compile.plan import Plan
from minigrad.graph.leaves import HostStorage
from minigrad.types import Array


def picker(
    places: Sequence[int], length: int | None = None
) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A function from a sequence to its items at some places; faster than asking for each.

    length: that of the sequence, which is given back where those are all its items in order.
    """
    if length is not None and [*places] == [*range(length)]:
        return lambda items: items
    if len(places) > 1:
        return itemgetter(*places)
    return lambda items: [items[k] for k in places]


class Params:
    """What a plan reads of params and writes to them, between a call's slots and the storages."""

    def __init__(self, plan: Plan) -> None:
        self._slots = [slot for slot, _ in plan.params]
        self._read = [(str(plan.nodes[slot].attrs[0]), cell) for slot, cell in plan.params]
        self._types = [(cell.type.shape, cell.type.dtype) for _, cell in plan.params]
        self._written = [(name, cell) for _, name, cell in plan.updates]
        slots = [slot for slot, *_ in plan.updates]
        self._values = picker(slots)
        self._shares = {k for k, slot in enumerate(slots) if slot in plan.copied}

    def load(self, slots: list[Any]) -> None:
        """Put the value of each into its slot. Raises GraphError where one is of another type."""
        if not self._read:
            return
        arrays = [
            s.array if type(s := cell.storage) is HostStorage else s.load()
            for _, cell in self._read
        ]
        if not self._fit(arrays):
            for (name, cell), array in zip(self._read, arrays, strict=True):
                cell.require_type(name, array)
        for slot, array in zip(self._slots, arrays, strict=True):
            slots[slot] = array

    def store(self, slots: Sequence[Any]) -> None:
        """Write the next values. Raises GraphError, writing none, where one cannot be written."""
        if not self._written:
            return
        values = self._values(slots)
        if self._shares:
            values = [np.array(v) if k in self._shares else v for k, v in enumerate(values)]
        if self._copied(values):
            return
        for name, cell in self._written:
            cell.require_writable(name)
        for (_, cell), value in zip(self._written, values, strict=True):
            # A storage of another kind may keep what it is given; buffers are written again.
            cell.storage.store(value if isinstance(cell.storage, HostStorage) else np.array(value))

    def _fit(self, arrays: Sequence[Array]) -> bool:
        """Whether all are plainly of the types of their params; those that are not are asked."""
        # Dtypes are nearly always one object; comparing them took half of the look.
        return all(
            a.dtype is dtype and a.shape == shape
            for a, (shape, dtype) in zip(arrays, self._types, strict=True)
        )

    def _copied(self, values: Sequence[Any]) -> bool:
        """Whether all values were written in a way that is faster than one after the other."""
        return False
