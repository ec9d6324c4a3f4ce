"""Training on several devices, and in several processes on one host or many, by JAX.

JAX knows the processes (`jax.distributed`) and computes each step over all their devices. Each
draws the whole batch and puts its own slice of it on its devices. What else has to be the same in
all is what the first one tells the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import minigrad as mg
from lstm.errors import ConfigError, LostProcessError, check_count
from lstm.tasks import Task
from minigrad import Expr
from minigrad.compile.backends.jax.libraries import jax, multihost

_AXIS = "batch"
_BLOCK = 1 << 16  # bytes, of a message's first block; the others are longer
_TIMES = 64
# What JAX's errors begin with where it is not this process alone that fails, as for want of memory.
_LOST = (
    *("ABORTED:", "CANCELLED:", "DATA_LOSS:", "DEADLINE_EXCEEDED:", "FAILED_PRECONDITION:"),
    *("INTERNAL:", "UNAVAILABLE:", "UNKNOWN:"),
)


class Hosts:
    """The processes that train together, and the devices over which they divide each batch.

    backend: of these, "jax" alone may be more than one of either.
    devices: how many, or "all"; None is one device, or all where there are several processes.

    Raises ConfigError for what cannot be, and for a batch that does not divide.
    """

    def __init__(self, backend: str, devices: Any = None, batch: int = 1) -> None:
        self.count, self.index, self.devices = 1, 0, 1
        if backend != "jax":
            if devices is not None:
                raise ConfigError(f'devices= is for backend="jax", not {backend!r:.40}')
            return
        self.index, self.count = place_among()
        if devices is None and self.count == 1:
            return
        there = jax.device_count()
        whole = devices in (None, "all")
        self.devices = there if whole else check_count("devices", devices)
        if self.count > 1 and self.devices != there:
            raise ConfigError(
                f"the {self.count} processes have {there} devices, and train on all of them, not "
                f"on devices={devices}"
            )
        if self.devices <= there and batch % self.devices:  # what is not there is told by the mesh
            raise ConfigError(
                f"a batch of {batch} sequences does not divide over {self.devices} devices; take "
                f"{batch + -batch % self.devices}"
            )

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.index == 0

    def placing(self, task: Task, inputs: Sequence[Expr]) -> dict[str, Any]:
        """How the inputs of a step lie, as `minigrad.function` takes it."""
        if self.devices == 1:
            return {}
        xs, ys, *ends = inputs
        timed = (None, _AXIS)
        shard: dict[Expr, Any] = {xs: timed, ys: _AXIS if task.readout == "last" else timed}
        shard |= {end: _AXIS if end.ndim == 1 else timed for end in ends}
        return {"mesh": {_AXIS: self.devices}, "shard": shard}

    # --- what has to be the same in all of them --------------------------------------------------

    def told(self, data: bytes) -> bytes:
        """What the first process says; what the others have does not count."""
        if self.count == 1:
            return data
        data, message, size = len(data).to_bytes(8) + data, bytearray(), 8
        with self.lost_if_it_fails():
            while len(message) < size:  # in blocks of two sizes, for which XLA compiles once each
                at, length = len(message), _BLOCK * (_TIMES if message else 1)
                block = np.frombuffer(data[at : at + length].ljust(length), np.uint8)
                message += np.asarray(multihost.broadcast_one_to_all(block)).tobytes()
                size = 8 + int.from_bytes(message[:8])
        return bytes(message[8:size])

    def of_first(self, compute: Callable[[], Sequence[Any]]) -> Any:
        """Numbers that the first process computes."""
        if self.count == 1:
            return compute()
        return json.loads(self.told(json.dumps(compute() if self.first else []).encode()))

    @contextmanager
    def lost_if_it_fails(self) -> Iterator[None]:
        """Within, where only the processes compute together, what JAX fails at is told as the loss
        of one of them; but not what a process fails at alone, such as for want of memory."""
        if self.count == 1:
            yield
            return
        try:
            yield
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # jit makes a ValueError of it
            if not str(error).startswith(_LOST):
                raise
            reason = str(error).partition("\n")[0]
            raise LostProcessError(
                f"process {self.index} of {self.count} stops: another one is gone; resume=True "
                f"(--resume) goes on from the last checkpoint. JAX says: {reason:.200}"
            ) from None

    def signals(self) -> list[Expr]:
        """The input by which processes agree on where they stop: a number of each device."""
        return [mg.var("signals", (self.devices,), "int64")] if self.count > 1 else []

    def sent(self, signal: int | None) -> list[Any]:
        """Its value, of the signal that this process was sent."""
        return [np.full(self.devices, signal or 0)] if self.count > 1 else []

    def agreed(self, outputs: Sequence[Any], signal: int | None) -> int | None:
        """The signal at which all stop after this step; `outputs`: of that step."""
        return signal if self.count == 1 else int(outputs[-1]) or None

    def agreed_at_the_end(self, signal: int | None) -> int | None:
        """The signal at which all stop after the last step, which one of them may have been sent
        while it made that."""
        if self.count == 1:
            return signal
        with self.lost_if_it_fails():
            return int(multihost.process_allgather(np.array(signal or 0)).max()) or None


def place_among() -> tuple[int, int]:
    """Which process this is, of how many that `jax.distributed` has together."""
    if not jax.distributed.is_initialized():
        return 0, 1
    return jax.process_index(), jax.process_count()
