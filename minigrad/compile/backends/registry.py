"""Backends: what `function` asks of one, the registry of them, and how `auto` takes one.

A backend that computes node by node states `call`; one that takes a whole plan states `compile`.
Where params live is the business of their cells (`graph.leaves.Storage`), so a backend may keep
them elsewhere than in the host's memory.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from minigrad.compile.backends.cost import could_pay, estimate
from minigrad.compile.backends.numpy import Runner, compile_plan
from minigrad.compile.binding import bind
from minigrad.compile.plan import Plan
from minigrad.errors import GraphError
from minigrad.graph.node import Expr
from minigrad.graph.numpy_call import numpy_call
from minigrad.graph.walk import toposort
from minigrad.loop.node import SCAN
from minigrad.types import Array

Caller: TypeAlias = Callable[[Sequence[Any]], Sequence[Array]]
"""The values of a call, in the order of inputs -> the arrays of the outputs."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller of `function` asks of a backend."""

    check_finite: bool = False
    threads: int | None = None
    auto: bool = False
    """Whether the backend was chosen by `auto`, which waits for no compiler longer than seconds."""
    device: Any = None
    mesh: Any = None
    shard: Mapping[Expr, Any] | None = None


class Backend:
    """One function's use of a backend; this one is the reference: NumPy computes every node."""

    name = "numpy"
    placed = False
    """Whether it takes the options device, mesh and shard."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.notes: list[str] = []
        """What it could not do as it would, and why; for reports."""
        self.choices: list[str] = []
        """What `auto` chose, and by which estimates; for reports."""
        self.scratch = 0
        """Bytes that its code takes besides the plan's buffers, for one running call."""

    def bind(self, v: Expr, value: Any) -> Any:
        """A value for a variable, as an array. Raises ShapeError or DTypeError."""
        return bind(v, value)

    def prepare(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The graph in the form that it runs."""
        return list(outputs)

    def compile(self, plan: Plan) -> Runner:
        """A function from input arrays to output arrays, in the order of the plan.

        It also writes the plan's updates, all of them or, where it raises, none.
        """
        return compile_plan(plan, self.options.check_finite, self.call)

    def caller(self, plan: Plan) -> Caller:
        """What is done with the values of a call: they become arrays, on which the plan runs."""
        run, variables = self.compile(plan), [plan.nodes[slot] for slot in plan.inputs]
        return lambda values: run([self.bind(v, x) for v, x in zip(variables, values, strict=True)])

    def call(self, node: Expr) -> Callable[..., Any]:
        """What computes a node of the prepared graph, for plans that run node by node."""
        return numpy_call(node, self.options.check_finite)

    def label(self, node: Expr) -> str:
        """What a report calls a node of the prepared graph: its op, and what runs it."""
        return node.op.name

    def has_code(self, node: Expr) -> bool:
        """Whether something else than NumPy computes a node of the prepared graph."""
        return False

    def said(self) -> list[str]:
        """The notes, and what there is to say of calls so far."""
        return self.notes


Factory: TypeAlias = Callable[[Options], Backend]


def _native(options: Options) -> Backend:
    # Imported when it is asked for: minigrad runs without llvmlite.
    module = importlib.import_module("minigrad.compile.backends.native.backend")
    backend: Backend = module.Native(options)
    return backend


def _jax(options: Options) -> Backend:
    module = importlib.import_module("minigrad.compile.backends.jax.backend")
    backend: Backend = module.Jax(options)
    return backend


BACKENDS: dict[str, Factory] = {"numpy": Backend, "native": _native, "jax": _jax}


def register_backend(name: str, factory: Factory) -> None:
    """Add a backend that `function(..., backend=name)` takes. Raises GraphError for a name taken.

    factory: Options -> Backend, called for each function.

    >>> class Loud(Backend):
    ...     name = "loud"
    >>> register_backend("loud", Loud)
    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> mg.function([x], x + 1, backend="loud").backend
    'loud'
    >>> del BACKENDS["loud"]
    """
    if not isinstance(name, str) or not callable(factory):
        raise GraphError(
            f"a backend is registered as (name, Options -> Backend), not {name!r:.40}, "
            f"{factory!r:.40}"
        )
    if name in BACKENDS or name == "auto":
        raise GraphError(f"a backend named {name!r} is registered already")
    BACKENDS[name] = factory


def choose_backend(
    name: str, outputs: Sequence[Expr], options: Options
) -> tuple[Backend, list[Expr]]:
    """The backend of that name, and a graph in the form that it runs. Raises GraphError."""
    threads = options.threads
    if threads is not None and (type(threads) is not int or threads < 1):
        raise GraphError(f"threads must be at least 1, a whole number, not {threads!r}")
    if isinstance(name, str) and name == "auto":
        _check_unplaced(name, options)
        return _faster(outputs, options)
    if not isinstance(name, str) or name not in BACKENDS:
        listed = ", ".join(repr(n) for n in ("auto", *BACKENDS))
        raise GraphError(f"no backend {name!r}; there are {listed}")
    if options.check_finite and name != "numpy":
        raise GraphError("check_finite looks at every op, so it runs on backend='numpy' only")
    backend = BACKENDS[name](options)
    if not backend.placed:
        _check_unplaced(name, options)
    return backend, backend.prepare(outputs)


def _check_unplaced(name: str, options: Options) -> None:
    """Raise GraphError where devices are asked for of a backend that has none but the CPU."""
    if options.mesh is not None or options.shard or options.device not in (None, "cpu"):
        raise GraphError(f"device=, mesh= and shard= are backend='jax's, not {name!r}'s")


def _faster(outputs: Sequence[Expr], options: Options) -> tuple[Backend, list[Expr]]:
    """Native where some of the graph is faster as machine code, by estimate; or else NumPy."""
    numpy = BACKENDS["numpy"](options)
    if not options.check_finite and importlib.util.find_spec("llvmlite"):
        order = toposort(outputs)
        computed = [n for n in order if n.args]
        if could_pay(computed) or any(n.op is SCAN for n in order):
            native = BACKENDS["native"](replace(options, auto=True))
            prepared = native.prepare(outputs)
            if any(map(native.has_code, toposort(prepared))):
                return native, prepared
            numpy.notes, numpy.choices = native.notes, native.choices
        else:
            numpy.choices = [f"{estimate(computed)}"]
    return numpy, numpy.prepare(outputs)


# Ops from which a graph of small ones is interpreted, and their elements, at most and on average.
# Calling NumPy for each would take longer than all else of a call, and making code for so many
# takes seconds; larger ones are faster as vectors.
MANY, LARGEST, SMALL = 200, 1024, 16
