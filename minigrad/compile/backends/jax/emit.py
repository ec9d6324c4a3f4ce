"""A plan as calls of JAX, one after another: what jit traces, loops as `lax.scan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, cast

import numpy as np

from minigrad.compile.backends.jax.host import on_host
from minigrad.compile.backends.jax.libraries import jax, jnp, lax
from minigrad.compile.backends.jax.rows import ROWS, Emission
from minigrad.compile.backends.jax.stacks import Value, of_stacks
from minigrad.compile.plan import Plan, Step, make_plan
from minigrad.errors import GraphError
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, Op, describe
from minigrad.graph.numpy_call import is_ours, numpy_call
from minigrad.loop.body import Body, Loop
from minigrad.rewrite.rules import simplify_safely
from minigrad.types import INT64, TupleType

# What a call raises: made when it is known that a check has failed, of what was told of it.
Raises = Callable[..., Exception]

# Of these operands XLA would make another formula, of other values where one of them is not finite
# or has no digits left: log(x**y) = y log|x|, (x / y) / y = x / (y y), exp(x) exp(y) = exp(x + y).
_KEPT = {
    "log": {"exp", "pow"},
    "pow": {"exp", "pow"},
    "multiply": {"exp"},
    "divide": {"exp", "pow", "divide"},
}


class Faults:
    """What NumPy raises in the middle of a run, and compiled code cannot: noted as a number."""

    def __init__(self) -> None:
        self._raises: list[Raises] = []
        self._caught: dict[int, Exception] = {}
        self._below = count(-1, -1)

    def add(self, raises: Raises) -> int:
        """A number for something that may go wrong; 0 is that nothing did."""
        self._raises.append(raises)
        return len(self._raises)

    def catch(self, error: Exception) -> int:
        """A number, below 0, for what the host has caught in a call that runs now."""
        number = next(self._below)
        self._caught[number] = error
        return number

    def error(self, number: int, told: Mapping[int, Sequence[Any]]) -> Exception:
        """What went wrong."""
        if number < 0:
            return self._caught[number]
        return self._raises[number - 1](*map(np.asarray, told.get(number, ())))

    def forget(self) -> None:
        """Drop what the host has caught: no call runs."""
        self._caught.clear()


class Emitted(Emission):
    """One trace of a plan or of a body of a loop; `fault` is the number of what went wrong first,
    and `told`, by number, what is known of that.

    faults: where checks are noted; None for functions that cannot raise, which check nothing.
    """

    def __init__(self, faults: Faults | None) -> None:
        self.faults = faults
        self.fault: Any = 0
        self.told: dict[int, Any] = {}

    def run(self, plan: Plan, slots: list[Any]) -> None:
        """Fill the slots of all steps; those of leaves are filled already."""
        places = {node: slot for slot, node in enumerate(plan.nodes)}
        for step in plan.steps:
            self._step(step, slots, lambda node: slots[places[node]])

    def _step(self, step: Step, slots: list[Any], value_of: Value) -> None:
        node = step.node
        value = of_stacks(node, value_of)
        if value is None:
            operands = _as_written(node, [slots[s] for s in step.args])
            value = row_of(node.op)(self, node, *operands)
        type_: Any = node.type
        whole = value if isinstance(type_, TupleType) else (value,)
        wanted = type_.items if isinstance(type_, TupleType) else (type_,)
        for got, t in zip(whole, wanted, strict=True):
            if got.shape != t.shape or got.dtype != t.dtype:
                raise GraphError(
                    f"JAX computed {got.dtype}{got.shape} for op {node.op.name}, of which the "
                    f"graph says {t!r}\n  {describe(node)}"
                )
        slots[step.slot] = value
        for k, slot in step.items:
            slots[slot] = value[k]

    def require(self, holds: Any, raises: Raises, told: Any = ()) -> None:
        """Note that a call raises unless this holds, a boolean of any shape; scalars that are told
        are arguments of what makes the error."""
        if self.faults is not None:
            number = self.faults.add(raises)
            self.told[number] = told
            self._meet(jnp.where(jnp.all(holds), np.int32(0), np.int32(number)))

    def _meet(self, fault: Any) -> None:
        none = isinstance(self.fault, int)
        self.fault = fault if none else jnp.where(self.fault == 0, fault, self.fault)

    @property
    def pure(self) -> bool:
        """Whether this is a function that raises nothing."""
        return self.faults is None

    def body(self, body: Body, operands: Sequence[Any]) -> list[Any]:
        """The results of a body, its ops written out here."""
        return self._all(_plan_of(body), operands)

    def graph(
        self, inputs: Sequence[Expr], outputs: Sequence[Expr], values: Sequence[Any]
    ) -> list[Any]:
        """The values of expressions of some inputs."""
        return self._all(make_plan(inputs, simplify_safely(outputs)), values)

    def _all(self, plan: Plan, values: Sequence[Any]) -> list[Any]:
        slots: list[Any] = [None] * len(plan.nodes)
        for slot, value in zip(plan.inputs, values, strict=True):
            slots[slot] = value
        for slot, array in plan.constants:
            slots[slot] = jnp.asarray(array)
        for slot, cell in plan.params:  # of a derivative of the user's own, alone
            slots[slot] = jnp.asarray(cell.array)
        self.run(plan, slots)
        return [slots[s] for s in plan.outputs]

    def loop(self, loop: Loop, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The last carries and the stacked outputs of a loop."""
        body = loop.body
        carries, xs, constants = body.split(list(operands))

        def step(carries: list[Any], xs: list[Any]) -> tuple[list[Any], Any]:
            inner = Emitted(self.faults)
            results = inner.body(body, [*carries, *xs, *constants])
            fault = None if isinstance(inner.fault, int) else inner.fault
            return results[: body.n_carry], (results[body.n_carry :], fault, inner.told)

        last, (ys, fault, told) = lax.scan(step, carries, xs, loop.length, loop.reverse)
        if fault is not None and loop.length:
            order = np.arange(loop.length)[:: -1 if loop.reverse else 1]
            first = jnp.asarray(order)[jnp.argmax(fault[order] != 0)]
            self._meet(fault[first])
            self.told |= jax.tree.map(lambda of_steps: of_steps[first], told)
        return (*last, *ys)

    def required(self, node: Expr, x: Any) -> Any:
        """The operand of an op that raises or hands it on."""
        if self.faults is None or not x.size:
            return x
        leaf = placeholder("of", node.args[0].type)
        (passes,) = self.graph([leaf], [cast(Any, node.op.requires)(leaf, *node.attrs)], [x])
        values, passing = x.reshape(-1), passes.reshape(-1)

        def first_wrong() -> tuple[Any, ...]:
            place = jnp.argmin(passing)
            return place, jnp.sum(~passing), values[place], values[jnp.argmax(passing)]

        def nothing() -> tuple[Any, ...]:
            return jnp.zeros((), INT64), jnp.zeros((), INT64), values[0], values[0]

        told = lax.cond(jnp.all(passing), nothing, first_wrong)
        self.require(passing, partial(_refusal, node), told)
        return x

    def on_host(self, node: Expr, *operands: Any) -> Any:
        """What NumPy computes of a node; what it raises, we raise."""
        value, fault = on_host(node, operands, None if self.faults is None else self.faults.catch)
        if self.faults is not None:
            self._meet(fault)
        return value


def _refusal(node: Expr, place: Any, count: Any, wrong: Any, right: Any) -> Exception:
    """What NumPy raises of an operand in which the first of `count` wrong elements is that one."""
    operand = np.full(node.shape, right)
    operand.reshape(-1)[place : place + count] = wrong
    try:
        numpy_call(node)(operand, *node.attrs)
    except Exception as error:
        error.add_note(f"while computing op {node.op.name}, {describe(node)}")
        return error
    return GraphError(f"op {node.op.name} lets {wrong} pass, which its `requires` does not")


def _as_written(node: Expr, operands: list[Any]) -> list[Any]:
    """The operands of a node, of those that XLA would look through only the values."""
    kept = [a.op.name in _KEPT.get(node.op.name, ()) for a in node.args]
    if node.op.name == "multiply" and not all(kept):
        return operands
    return [lax.optimization_barrier(x) if k else x for x, k in zip(operands, kept, strict=True)]


def row_of(op: Op) -> Callable[..., Any]:
    """What emits a node of an op: (emission, node, *arrays) -> array."""
    if op.requires is not None:
        return Emitted.required
    return ROWS[op.name] if runs_on_jax(op) else Emitted.on_host


def runs_on_jax(op: Op) -> bool:
    """Whether XLA computes the op; others are NumPy's, called from the running code."""
    return op.requires is not None or (op.name in ROWS and is_ours(op))


def _plan_of(body: Body) -> Plan:
    if "jax" not in body.derived:
        body.derived["jax"] = make_plan(body.inputs, simplify_safely(body.outputs))
    return cast(Plan, body.derived["jax"])
