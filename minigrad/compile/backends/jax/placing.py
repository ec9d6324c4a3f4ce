"""Where arrays lie: on one device, or over the devices of a mesh, whole or in shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.compile.backends.jax.libraries import jax, sharding
from minigrad.compile.backends.registry import Options
from minigrad.errors import GraphError, ShapeError
from minigrad.graph.leaves import PARAM, PLACEHOLDER, VAR
from minigrad.graph.node import Expr, describe


class Placing:
    """What `device=`, or `mesh=` and `shard=`, say of a function's inputs and params.

    mesh: a jax.sharding.Mesh, or {axis: how many devices}, the first there are.
    shard: {input or param: the mesh's axis over which its first axis is divided, or one for each of
        its axes, None for those that stay whole}. All else lies whole on every device.
    """

    def __init__(self, options: Options) -> None:
        if options.mesh is None:
            if options.shard:
                raise GraphError("shard= says how inputs lie on a mesh: give mesh={'batch': 2} too")
            self.mesh, self._axes = None, {}
            self.whole = sharding.SingleDeviceSharding(_device(options.device))
            return
        if options.device is not None:
            raise GraphError("a mesh has its devices: give device= or mesh=, not both")
        self.mesh = _mesh(options.mesh)
        shard = {} if options.shard is None else options.shard
        if not isinstance(shard, Mapping):
            raise GraphError(f"shard is a dict such as {{x: 'batch'}}, not {shard!r:.60}")
        self._axes = {v: _axes(v, axes, self.mesh) for v, axes in shard.items()}
        self.whole = sharding.NamedSharding(self.mesh, sharding.PartitionSpec())

    def place_of(self, leaf: Expr) -> Any:
        """JAX's record of where the value of an input or a param lies."""
        if leaf not in self._axes:
            return self.whole
        return sharding.NamedSharding(self.mesh, sharding.PartitionSpec(*self._axes[leaf]))

    def type_of(self, leaf: Expr) -> Any:
        """Shape, dtype and place of the value of an input."""
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.place_of(leaf))

    def like(self, array: Any) -> Any:
        """Shape, dtype and place of an array of JAX's."""
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)

    def put(self, array: Any) -> Any:
        """An array, whole on every device."""
        return put(array, self.whole)

    def __str__(self) -> str:
        if self.mesh is None:
            (device,) = self.whole.device_set
            return f"device: {device}"
        axes = ", ".join(f"{name}: {n}" for name, n in self.mesh.shape.items())
        leaves = ", ".join(f"{v.name} {axes}" for v, axes in self._axes.items()) or "nothing"
        kind = self.mesh.devices.flat[0].platform
        return f"mesh of {self.mesh.size} {kind} devices ({axes}); divided: {leaves}"


def put(array: Any, place: Any, may_alias: bool | None = None) -> Any:
    """An array where it shall lie; of one that lies in several processes, each puts its own part of
    what it has, and nothing is sent."""
    if getattr(array, "sharding", None) == place:  # device_put takes 40 µs to find that out
        return array
    if isinstance(array, jax.Array) or place.is_fully_addressable:
        return jax.device_put(array, place, may_alias=may_alias)
    parts = place.addressable_devices_indices_map(array.shape).items()
    pieces = [jax.device_put(array[part], device, may_alias=may_alias) for device, part in parts]
    return jax.make_array_from_single_device_arrays(array.shape, place, pieces)


def _device(asked: Any) -> Any:
    if asked is None:
        # The user's jax_default_device is one, or a platform's name.
        default = jax.config.jax_default_device
        asked = default if default is not None else jax.local_devices()[0]
    if isinstance(asked, jax.Device):
        return asked
    try:
        return jax.local_devices(backend=asked)[0]
    except (RuntimeError, TypeError, AttributeError):
        kinds = ", ".join(sorted({repr(d.platform) for d in jax.devices()} | {"'cpu'"}))
        raise GraphError(
            f"JAX has no device {asked!r:.40} here; there are {kinds}, and a jax.Device is taken"
        ) from None


def _mesh(asked: Any) -> Any:
    if isinstance(asked, sharding.Mesh):
        devices, names = asked.devices, asked.axis_names
    elif isinstance(asked, Mapping) and all(type(n) is int and n > 0 for n in asked.values()):
        names, counts = tuple(asked), tuple(asked.values())
        there, needed = jax.devices(), int(np.prod(counts))
        if needed > len(there):
            raise GraphError(
                f"a mesh of {needed} devices is asked for, and JAX has {len(there)}; for virtual "
                f"ones set XLA_FLAGS=--xla_force_host_platform_device_count={needed} before JAX "
                "is imported"
            )
        devices = np.array(there[:needed]).reshape(counts)
    else:
        raise GraphError(
            f"mesh is a jax.sharding.Mesh, or a dict such as {{'batch': 4}}, not {asked!r:.60}"
        )
    automatic = (sharding.AxisType.Auto,) * len(names)
    return sharding.Mesh(devices, names, axis_types=automatic)


def _axes(leaf: Any, axes: Any, mesh: Any) -> tuple[Any, ...]:
    """One axis of the mesh, or None, for each axis of a leaf. Raises GraphError, ShapeError."""
    if not isinstance(leaf, Expr) or leaf.op not in (VAR, PARAM, PLACEHOLDER):
        raise GraphError(f"shard= says of inputs and params how they lie, not of {leaf!r:.60}")
    listed = (axes,) if isinstance(axes, str) else axes
    known = (None, *mesh.axis_names)
    if not isinstance(listed, (tuple, list)) or any(name not in known for name in listed):
        names = ", ".join(map(repr, mesh.axis_names))
        raise GraphError(
            f"shard={{{leaf.name}: {axes!r}}}: the mesh has the axes {names}; give one, for the "
            "first axis, or one for each axis, None for those that stay whole"
        )
    if len(listed) > leaf.ndim:
        raise ShapeError(f"{describe(leaf)} has {leaf.ndim} axes, and shard= names {len(listed)}")
    if twice := [name for k, name in enumerate(listed) if name and name in listed[:k]]:
        raise GraphError(
            f"shard={{{leaf.name}: {axes!r}}}: the mesh's axis {twice[0]!r} divides one axis of an "
            "array; give None for the others"
        )
    for k, name in enumerate(listed):
        if name is not None and leaf.shape[k] % mesh.shape[name]:
            raise ShapeError(
                f"axis {k} of {describe(leaf)} has {leaf.shape[k]} elements, which do not divide "
                f"over the {mesh.shape[name]} devices of the mesh's axis {name!r}"
            )
    return tuple(listed)
