"""Params on devices: those that a function updates move there, and their memory is used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.compile.backends.jax.libraries import jax, jnp
from minigrad.compile.backends.jax.placing import Placing, put
from minigrad.compile.plan import Plan
from minigrad.graph.leaves import HostStorage, ParamCell
from minigrad.locks import process_lock
from minigrad.types import Array

GIVING_UP = process_lock()
"""Who holds it may read arrays of params, give them up and put others in their place: of two calls
at once the second begins with what the first one made. XLA computes outside of it."""


class DeviceStorage:
    """A param's value on devices; on the host there is a copy of it that cannot be written."""

    __slots__ = ("_host", "array")

    def __init__(self, array: Any) -> None:
        self.array = array
        self._host: Array | None = None

    def load(self) -> Array:
        """The value as it is now, read-only."""
        with GIVING_UP:
            if self._host is None:
                self._host = np.array(self.array)
                self._host.flags.writeable = False
            return self._host

    def store(self, value: Array) -> None:
        """Put another value in its place, on the same devices."""
        with GIVING_UP, jax.enable_x64(True):
            self.replace(put(np.array(value), self.array.sharding, may_alias=False))

    def replace(self, array: Any) -> None:
        """Hold another array of JAX's."""
        self.array, self._host = array, None


class DeviceParams:
    """What a plan reads of params and writes to them: written ones are donated, so that what they
    become lies in the same memory."""

    def __init__(self, plan: Plan, placing: Placing) -> None:
        self._placing = placing
        self._slots: dict[ParamCell, list[int]] = {}
        places: dict[ParamCell, Any] = {}
        for slot, cell in plan.params:
            self._slots.setdefault(cell, []).append(slot)
            places[cell] = placing.place_of(plan.nodes[slot])
        self._next = {cell: slot for slot, _, cell in plan.updates}
        self._names = {cell: name for _, name, cell in plan.updates}
        self._names |= {cell: str(plan.nodes[slot].attrs[0]) for slot, cell in plan.params}
        self._written = list(self._next)
        self._read = [cell for cell in self._slots if cell not in self._next]
        self._places = {cell: places.get(cell, placing.whole) for cell in self._names}
        self.types = [[self._type(c) for c in cells] for cells in (self._written, self._read)]
        self.written_places = [self._places[cell] for cell in self._next]

    def _type(self, cell: ParamCell) -> Any:
        place = self._places[cell]
        return jax.ShapeDtypeStruct(cell.type.shape, cell.type.dtype, sharding=place)

    def load(self) -> tuple[list[Any], list[Any]]:
        """The values that are given up, and the others. Raises GraphError for one of another type,
        and for one that may not be written."""
        for cell in self._next:
            cell.require_writable(self._names[cell])
        return [self._array(c) for c in self._written], [self._array(c) for c in self._read]

    def _array(self, cell: ParamCell) -> Any:
        storage = cell.storage
        if isinstance(storage, DeviceStorage):
            return put(storage.array, self._places[cell])
        loaded = storage.load()
        cell.require_type(self._names[cell], loaded)
        # What is donated must not lie in the memory of the host's array.
        own = loaded if cell not in self._next else np.array(loaded)
        return put(own, self._places[cell], may_alias=cell not in self._next)

    def fill(self, slots: list[Any], written: Sequence[Any], read: Sequence[Any]) -> None:
        """Put values into the slots of a trace."""
        for cell, value in zip([*self._written, *self._read], [*written, *read], strict=True):
            for slot in self._slots.get(cell, ()):
                slots[slot] = value

    def updated(self, slots: Sequence[Any], written: Sequence[Any], fault: Any) -> list[Any]:
        """What each param becomes: what it was, where something went wrong."""
        return [
            jnp.where(fault == 0, slots[slot], before)
            for slot, before in zip(self._next.values(), written, strict=True)
        ]

    def store(self, updates: Sequence[Any]) -> None:
        """Hold what params have become, in place of what was given up."""
        for cell, array in zip(self._next, updates, strict=True):
            if isinstance(cell.storage, DeviceStorage):
                cell.storage.replace(array)
            elif type(cell.storage) is HostStorage:
                cell.storage = DeviceStorage(array)
            else:
                cell.storage.store(np.array(array))
