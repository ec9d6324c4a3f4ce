"""How a loop runs on NumPy: its body's plan, step after step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from minigrad.compile.backends.numpy import Runner, compile_plan
from minigrad.compile.plan import make_plan
from minigrad.errors import NonFiniteError
from minigrad.loop.body import Body, Loop
from minigrad.rewrite.rules import simplify_safely
from minigrad.types import Array


def run_on_numpy(*rest: Any, out: Sequence[Array | None] | None = None) -> tuple[Array, ...]:
    """All steps of a loop: (*arrays, loop) -> the last carries and the stacked outputs."""
    return _steps(compiled(rest[-1].body), *rest, out=out)


def run_checked(*rest: Any, out: Sequence[Array | None] | None = None) -> tuple[Array, ...]:
    """The loop on NumPy, stopped by NonFiniteError in the step and at the op of its first NaN."""
    return _steps(compiled(rest[-1].body, check_finite=True), *rest, out=out)


def _steps(run: Runner, *rest: Any, out: Sequence[Array | None] | None) -> tuple[Array, ...]:
    *arrays, loop = rest
    body, length = cast(Loop, loop).body, loop.length
    carries, xs, constants = body.split(arrays)
    places = [None] * len(body.ys) if out is None else out[body.n_carry :]
    ys = [
        np.empty((length, *y.shape), y.dtype) if place is None else place
        for y, place in zip(body.ys, places, strict=True)
    ]
    if not length:
        carries = [np.array(c) for c in carries]  # results share no memory with operands
    for t in range(length - 1, -1, -1) if loop.reverse else range(length):
        try:
            results = run([*carries, *[x[t] for x in xs], *constants])
        except NonFiniteError as error:
            raise error.within(t) from None
        carries = results[: body.n_carry]
        for y, value in zip(ys, results[body.n_carry :], strict=True):
            y[t] = value
    return (*carries, *ys)


def compiled(body: Body, check_finite: bool = False) -> Runner:
    """The body as a function of arrays, kept with it."""
    key = ("numpy", check_finite)
    if key not in body.derived:
        plan = make_plan(body.inputs, simplify_safely(body.outputs), reuse=not check_finite)
        body.derived[key] = compile_plan(plan, check_finite)
    return cast(Runner, body.derived[key])
