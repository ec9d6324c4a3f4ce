"""The reference backend: a plan run step by step with NumPy, obviously right first.

Buffers belong to a workspace; each running call has one to itself, so that threads can share a
function, and finished calls leave theirs for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from minigrad.compile.params import Params, picker
from minigrad.compile.plan import Plan, Step
from minigrad.errors import NonFiniteError
from minigrad.graph.node import Expr, describe
from minigrad.graph.numpy_call import Watched, numpy_call
from minigrad.types import Array

Runner = Callable[[Sequence[Array]], list[Array]]


def compile_plan(
    plan: Plan,
    check_finite: bool = False,
    call_of: Callable[[Expr], Callable[..., Any]] | None = None,
    params: type[Params] = Params,
) -> Runner:
    """A function from input arrays to output arrays, in the plan's order, which writes its updates.

    call_of: what computes a node, for backends that have something faster than NumPy for some.
    params: how params are loaded and written, likewise.
    With check_finite it raises NonFiniteError at the first step that makes a NaN or an infinity.
    """
    call_of = call_of or partial(numpy_call, checks_finite=check_finite)
    return _Compiled(plan, check_finite, call_of, params(plan))


class _Compiled:
    """A plan that can be called; it keeps the workspaces of calls that have ended."""

    def __init__(
        self,
        plan: Plan,
        check_finite: bool,
        call_of: Callable[[Expr], Callable[..., Any]],
        params: Params,
    ) -> None:
        self.plan, self.check_finite, self._params = plan, check_finite, params
        self._template: list[Any] = [None] * len(plan.nodes)
        for slot, array in plan.constants:
            self._template[slot] = array
        self._program = [
            (call_of(s.node), picker(s.args), s.node.attrs, s.slot, s.items, s.buffer, s.frees)
            for s in plan.steps
        ]
        # NumPy is to keep quiet about infinities; machine code is, and is spared the 2 µs.
        calls = [call for call, *_ in self._program]
        noisy = any(
            c is s.node.op.numpy or isinstance(c, Watched)
            for c, s in zip(calls, plan.steps, strict=True)
        )
        self._hush: Callable[[], Any] = partial(np.errstate, all="ignore") if noisy else nullcontext
        self._workspaces: list[list[Array]] = []

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        plan = self.plan
        slots = self._template.copy()
        for slot, value in zip(plan.inputs, values, strict=True):
            slots[slot] = value
        self._params.load(slots)
        if self.check_finite:
            _check_leaves(plan, slots)
        try:
            buffers = self._workspaces.pop()  # atomic: no two calls take the same one
        except IndexError:
            buffers = [np.empty(t.shape, t.dtype) for t in plan.buffers]
        try:
            self._run(slots, buffers)
            outputs = [
                np.array(slots[s]) if s in plan.copied else np.asarray(slots[s])
                for s in plan.outputs
            ]
            self._params.store(slots)
        finally:
            self._workspaces.append(buffers)
        return outputs

    def _run(self, slots: list[Any], buffers: Sequence[Array]) -> None:
        """All steps, from slot to slot."""
        k = 0
        try:
            with self._hush():
                for k, (call, pick, attrs, slot, items, buffer, frees) in enumerate(self._program):
                    operands = pick(slots)
                    if buffer is None:
                        slots[slot] = call(*operands, *attrs)
                    elif isinstance(buffer, int):
                        slots[slot] = call(*operands, *attrs, out=buffers[buffer])
                    else:
                        out = [None if b is None else buffers[b] for b in buffer]
                        slots[slot] = call(*operands, *attrs, out=out)
                    whole = slots[slot]
                    for i, item in items:
                        slots[item] = whole[i]
                    if self.check_finite:
                        _check_step(self.plan.steps[k], slots, operands)
                    for dead in frees:
                        slots[dead] = None
        except NonFiniteError:
            raise
        except Exception as error:  # an index out of range, a singular matrix ...
            error.add_note(f"while computing {_made(self.plan.steps[k].node)}")
            raise


def _check_leaves(plan: Plan, slots: Sequence[Any]) -> None:
    for slot in [*plan.inputs, *(s for s, _ in plan.params)]:
        if what := _fault(slots[slot]):
            node = plan.nodes[slot]
            raise NonFiniteError(
                f"{what} in {node.op.name} {describe(node)}: it came with the data"
            )


def _check_step(step: Step, slots: Sequence[Any], operands: Sequence[Any]) -> None:
    if what := _fault(slots[step.slot]):
        lines = [f"{what} born at {_made(step.node)}"]
        for arg, value in zip(step.node.args, operands, strict=True):
            lines.append(f"  operand {describe(arg)}, {_range(value)}")
        error = NonFiniteError("\n".join(lines))
        error.node = step.node
        raise error


def _range(value: Any) -> str:
    if not np.size(value):
        return "no values"
    return f"values {float(np.min(value)):.6g} to {float(np.max(value)):.6g}"


def _made(node: Expr) -> str:
    return f"op {node.op.name}, {describe(node)}"


def _fault(value: Any) -> str:
    if isinstance(value, tuple):
        return next(filter(None, map(_fault, value)), "")
    if np.asarray(value).dtype.kind != "f" or np.isfinite(value).all():
        return ""
    return "NaN" if np.isnan(value).any() else "infinity"
