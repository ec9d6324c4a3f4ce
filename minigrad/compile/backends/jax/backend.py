"""The JAX backend: compiles a plan for devices, keeps params there, and calls it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from minigrad.compile.backends.jax.emit import Emitted, Faults, runs_on_jax
from minigrad.compile.backends.jax.libraries import jax, jnp
from minigrad.compile.backends.jax.params import GIVING_UP, DeviceParams
from minigrad.compile.backends.jax.placing import Placing, put
from minigrad.compile.backends.numpy import Runner
from minigrad.compile.backends.registry import Backend, Options
from minigrad.compile.binding import bind
from minigrad.compile.plan import Plan
from minigrad.graph.node import Expr
from minigrad.graph.walk import toposort
from minigrad.loop.node import BLOCK, SCAN
from minigrad.types import Array


class Jax(Backend):
    """One function's use of the backend; `notes` say what runs on the host, and what took long."""

    name = "jax"
    placed = True

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.placing = Placing(options)

    def bind(self, v: Expr, value: Any) -> Any:
        """A value for a variable; arrays of JAX's, and others' by DLPack, stay where they are."""
        if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | jax.Array):
            with jax.enable_x64(True), suppress(Exception):  # then as all others, by NumPy
                value = jnp.from_dlpack(value)
        if isinstance(value, jax.Array) and value.dtype == v.dtype and value.shape == v.shape:
            return value
        return bind(v, value)

    def compile(self, plan: Plan) -> Runner:
        """The plan, compiled by XLA."""
        for name, count in sorted(_on_host(plan).items()):
            many = f" ({count} of them)" if count > 1 else ""
            self.notes.append(f"op {name}{many} runs on numpy, called by XLA's code")
        with jax.enable_x64(True):
            compiled = Compiled(plan, self.placing)
        self.notes += [str(self.placing), compiled.cost]
        self.scratch = compiled.scratch
        self._compiled = compiled
        return compiled

    def said(self) -> list[str]:
        """The notes, and how long calls took so far."""
        return [*self.notes, self._compiled.calls()]

    def label(self, node: Expr) -> str:
        """What a report calls a node."""
        return node.op.name if runs_on_jax(node.op) else f"{node.op.name}, on numpy"


def _on_host(plan: Plan) -> Counter[str]:
    """The ops that XLA has not, and how many nodes there are of each, those of loops included."""
    counts: Counter[str] = Counter()
    waiting = [s.node for s in plan.steps]
    while waiting:
        node = waiting.pop()
        if node.op is SCAN:
            waiting += [n for n in toposort(node.attrs[0].body.outputs) if n.args]
        elif node.op is BLOCK:
            waiting += [n for n in toposort(node.attrs[0].outputs) if n.args]
        elif not runs_on_jax(node.op) and not node.op.of_tuple:
            counts[node.op.name] += 1
    return counts


class Compiled:
    """A plan that XLA has compiled; a call moves inputs to the devices and results to the host."""

    def __init__(self, plan: Plan, placing: Placing) -> None:
        self.plan, self._faults = plan, Faults()
        self._params = DeviceParams(plan, placing)
        self._constants = [placing.put(array) for _, array in plan.constants]
        inputs = [placing.type_of(plan.nodes[s]) for s in plan.inputs]
        self._places = [t.sharding for t in inputs]
        constants = [placing.like(c) for c in self._constants]
        begun = time.perf_counter()
        jitted = jax.jit(
            self._trace,
            donate_argnums=0,
            out_shardings=(placing.whole, self._params.written_places, *[placing.whole] * 2),
        )
        lowered = jitted.lower(*self._params.types, inputs, constants)
        traced = time.perf_counter()
        self._run = lowered.compile()
        done = time.perf_counter()
        self.cost = f"compiled in {done - begun:.2f} s: traced {traced - begun:.2f}, XLA "
        self.cost += f"{done - traced:.2f}"
        memory = self._run.memory_analysis()
        self.scratch = int(getattr(memory, "temp_size_in_bytes", 0) or 0)
        self._count, self._least, self._running = 0, float("inf"), 0

    def _trace(self, written: Any, read: Any, inputs: Any, constants: Any) -> Any:
        """Outputs, what params become, the number of what went wrong, and what is told of it."""
        plan, emission = self.plan, Emitted(self._faults)
        slots: list[Any] = [None] * len(plan.nodes)
        for places, values in ((plan.inputs, inputs), (_first(plan.constants), constants)):
            for slot, value in zip(places, values, strict=True):
                slots[slot] = value
        self._params.fill(slots, written, read)
        emission.run(plan, slots)
        fault = jnp.asarray(emission.fault, np.int32)
        updates = self._params.updated(slots, written, fault)
        return [slots[s] for s in plan.outputs], updates, fault, emission.told

    def __call__(self, values: Sequence[Any]) -> list[Array]:
        """The outputs. Raises what NumPy would, with no param updated."""
        begun = time.perf_counter()
        with jax.enable_x64(True), self._call():
            pairs = zip(values, self._places, strict=True)
            inputs = [put(x, place) for x, place in pairs]
            with GIVING_UP:
                written, read = self._params.load()
                outputs, updates, fault, told = self._run(written, read, inputs, self._constants)
                self._params.store(updates)
            if number := int(fault):
                raise self._faults.error(number, told)
            arrays = [np.array(y) for y in outputs]
        self._count, took = self._count + 1, time.perf_counter() - begun
        self._least = min(self._least, took)
        return arrays

    @contextmanager
    def _call(self) -> Iterator[None]:
        """One of the calls that run; after the last of them what the host caught is dropped."""
        with GIVING_UP:
            self._running += 1
        try:
            yield
        finally:
            with GIVING_UP:
                self._running -= 1
                if not self._running:
                    self._faults.forget()

    def calls(self) -> str:
        """How many calls there were, and how long the shortest took."""
        if not self._count:
            return "not called yet"
        times = f"{self._count:,} call{'s' * (self._count != 1)}"
        return f"{times}, the shortest {1000 * self._least:.3g} ms"


def _first(pairs: Sequence[tuple[int, Any]]) -> list[int]:
    return [slot for slot, _ in pairs]
