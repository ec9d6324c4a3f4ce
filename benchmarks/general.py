"""Graphs without loops beside the engines that are fast at them: jobs, peers, ratios of one run.

    python benchmarks/general.py [JOB ...] [--seconds 1]      default: all jobs

A job is a function of an engine's ops and of one vector, written once for all engines. Each gives
the value and its gradient towards the vector. `before` is the processor's time up to the first
result, the first call included; `call` the least time of one call after that. Engines are called
in turn, and must agree. A ratio is minigrad's time to the best peer's: below 1, minigrad is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scalar_value import Value

import minigrad as mg

Ops = Any  # tanh, relu, total: those of an engine
Call = Callable[[], "tuple[float, Any]"]


@dataclass(frozen=True)
class Job:
    """A function to differentiate, and where."""

    name: str
    build: Callable[[Ops, Any], Any]
    """(ops, vector) -> scalar."""
    size: int
    vectors: bool = False
    """Whether ops are applied to slices of the vector, which not all engines have."""


# --- jobs --------------------------------------------------------------------------------------


def net(ops: Ops, theta: Any) -> Any:
    """micrograd's demo: an MLP 2-16-16-1 neuron by neuron, 50 points, hinge loss."""
    rng = np.random.default_rng(0)
    points, sizes = rng.standard_normal((50, 2)), [2, 16, 16, 1]
    taken = iter(range(NET))
    layers = [
        [([theta[next(taken)] for _ in range(a)], theta[next(taken)]) for _ in range(b)]
        for a, b in pairwise(sizes)
    ]
    losses = []
    for point in points:
        h = [float(v) for v in point]
        for weights in layers:
            last = weights is layers[-1]
            sums = [sum((w * v for w, v in zip(ws, h, strict=True)), b) for ws, b in weights]
            h = sums if last else [ops.relu(s) for s in sums]
        losses.append(ops.relu(1.0 - float(np.sign(point[0] * point[1])) * h[0]))
    return ops.total(losses) * (1 / len(points))


def chain(ops: Ops, theta: Any) -> Any:
    """100,000 ops, each of the one before. Its gradient does not vanish: numbers below the smallest
    normal one take a hundred times as long in every engine."""
    y = theta[0]
    for _ in range(50_000):
        y = ops.tanh(y) * 1.000001
    return y


def products(ops: Ops, theta: Any) -> Any:
    """100,000 ops, each of the one before: what a CPU does in one cycle or two."""
    y, x = theta[0], theta[1]
    for _ in range(50_000):
        y = y * 0.5 + x
    return y


def dag(ops: Ops, theta: Any) -> Any:
    """40,000 ops of a random few among the last hundred."""
    rng = np.random.default_rng(0)
    made = [theta[k] for k in range(10)]
    kinds, *pairs = rng.integers(4, size=20_000), *rng.integers(1, 100, (2, 20_000))
    for kind, i, j in zip(kinds.tolist(), *[p.tolist() for p in pairs], strict=True):
        made.append(_joined(ops, kind, made[-min(i, len(made))], made[-min(j, len(made))]))
    return ops.total(made[-50:])


def _joined(ops: Ops, kind: int, a: Any, b: Any) -> Any:
    if kind == 0:
        return (a + b) * 0.5
    if kind == 1:
        return a * b - b
    return ops.tanh(a - b) if kind == 2 else ops.relu(a) - b * 0.5


def small_vectors(ops: Ops, theta: Any) -> Any:
    """20,000 ops on vectors of three."""
    y, w, x = theta[0:3], theta[3:6], theta[6:9]
    for k in range(5_000):
        y = ops.tanh(y * w) + x if k % 2 else y - (x + w) * 0.1
    return ops.summed(y)


NET = 337
JOBS = [
    Job("net", net, NET),
    Job("chain", chain, 1),
    Job("products", products, 2),
    Job("dag", dag, 10),
    Job("vectors", small_vectors, 9, vectors=True),
]


# --- engines -----------------------------------------------------------------------------------
# Each prepares a job at a point and gives what one call of it takes. An ImportError is no failure.


def total(terms: Sequence[Any]) -> Any:
    """Their sum, one after the other."""
    return reduce(lambda a, b: a + b, terms)


def with_minigrad(job: Job, at: Any) -> Call:
    ops = SimpleNamespace(tanh=mg.tanh, relu=mg.relu, total=total, summed=mg.sum)
    theta = mg.var("theta", at.shape)
    y = job.build(ops, theta)
    f = mg.function([theta], [y, mg.grad(y, theta)])
    return lambda: tuple(f(at))


def with_casadi(job: Job, at: Any) -> Call:
    import casadi as ca

    ops = SimpleNamespace(tanh=ca.tanh, relu=lambda x: ca.fmax(x, 0), total=total, summed=ca.sum1)
    theta = ca.SX.sym("theta", len(at))
    y = job.build(ops, theta)
    f = ca.Function("f", [theta], [y, ca.gradient(y, theta)])
    buffer, call = f.buffer()  # its fastest way to be called
    values = np.zeros(1), np.zeros(len(at))
    buffer.set_arg(0, memoryview(at))
    for k, value in enumerate(values):
        buffer.set_res(k, memoryview(value))

    def run() -> tuple[float, Any]:
        call()
        return values[0][0], values[1]

    run.keep = buffer, f  # type: ignore[attr-defined]
    return run


def with_torch(job: Job, at: Any) -> Call:
    import torch

    ops = SimpleNamespace(tanh=torch.tanh, relu=torch.relu, total=total, summed=torch.sum)

    def run() -> tuple[float, Any]:
        theta = torch.tensor(at, requires_grad=True)
        y = job.build(ops, theta)
        (gradient,) = torch.autograd.grad(y, theta)
        return float(y.detach()), gradient.numpy()

    return run


def with_micrograd(job: Job, at: Any) -> Call:
    """The eager engine of scalars in 40 lines that micrograd made known; see scalar_value.py."""
    if job.vectors:
        raise ImportError("it has scalars alone")
    ops = SimpleNamespace(tanh=Value.tanh, relu=Value.relu, total=total)

    def run() -> tuple[float, Any]:
        theta = [Value(x) for x in at.tolist()]
        y = job.build(ops, theta)
        y.backward()
        return y.data, np.array([v.grad for v in theta])

    return run


ENGINES = {
    "minigrad": with_minigrad,
    "CasADi": with_casadi,
    "torch": with_torch,
    "micrograd": with_micrograd,
}


# --- one run -----------------------------------------------------------------------------------


def measure(job: Job, seconds: float) -> dict[str, tuple[float, float]]:
    """For each engine that is there: seconds before the first result, and of a call."""
    at = np.random.default_rng(1).uniform(-0.5, 0.5, job.size)
    before: dict[str, float] = {}
    calls: dict[str, Call] = {}
    results: dict[str, Any] = {}
    for name, prepare in ENGINES.items():
        start = time.process_time()  # of this process, whatever else a machine does
        try:
            calls[name] = prepare(job, at)
        except ImportError:
            continue
        results[name] = calls[name]()
        before[name] = time.process_time() - start
    for name, (y, gradient) in results.items():
        for mine, other in zip(results["minigrad"], (y, gradient), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-9, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in calls}
    while waiting := [name for name in calls if len(times[name]) < 2 or sum(times[name]) < seconds]:
        for name in waiting:  # in turn
            start = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - start)
    best = {name: min(took) for name, took in times.items()}
    return {name: (before[name], best[name]) for name in calls}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    names = [job.name for job in JOBS]
    parser.add_argument("JOB", nargs="*", default=names, help=", ".join(names))
    parser.add_argument("--seconds", type=float, default=1.0, help="for the calls of an engine")
    asked = parser.parse_args()
    if unknown := set(asked.JOB) - set(names):
        parser.error(f"no job {sorted(unknown)[0]!r}; there are {', '.join(names)}")
    table = Table(title="milliseconds before the first result, and of a call after it")
    for column in ("job", "", *ENGINES, "ratio"):
        table.add_column(column, justify="left" if column == "job" else "right")
    for job in JOBS:
        if job.name not in asked.JOB:
            continue
        figures = measure(job, asked.seconds)
        for k, what in enumerate(("before", "call")):
            shown = [f"{figures[n][k] * 1e3:.4g}" if n in figures else "–" for n in ENGINES]
            peers = [figures[n][k] for n in figures if n != "minigrad"]
            ratio = f"{figures['minigrad'][k] / min(peers):.2f}" if peers else "–"
            table.add_row(job.name if not k else "", what, *shown, ratio)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
