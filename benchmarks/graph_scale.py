"""How the cost of building and transforming a graph grows with its size.

    python benchmarks/graph_scale.py [N ...]          default: 1,000 10,000 100,000 1,000,000

A chain of N scalar ops (tanh and multiply in turn) is built, differentiated, simplified, compiled,
evaluated, written as text and freed. Every figure is seconds, the least of a few runs at small N,
of one at large; the last columns are microseconds an op, which stay level where cost is linear.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable
from typing import Any

from arguments import count
from rich.console import Console
from rich.table import Table

import minigrad as mg

STEPS = ["build", "grad", "simplify", "compile", "evaluate", "str", "free"]


def chain(x: mg.Expr, n: int) -> mg.Expr:
    """n ops, in turn tanh and multiplication by a constant."""
    y = x
    for _ in range(n // 2):
        y = mg.tanh(y) * 1.01
    return y


def measure(n: int) -> dict[str, float]:
    """Seconds for each step, once."""
    seconds: dict[str, float] = {}
    results: dict[str, Any] = {}

    def timed(name: str, step: Callable[[], Any]) -> None:
        gc.collect()
        start = time.perf_counter()
        results[name] = step()
        seconds[name] = time.perf_counter() - start

    x = mg.var("x")
    timed("build", lambda: chain(x, n))
    timed("grad", lambda: mg.grad(results["build"], x))
    timed("simplify", lambda: mg.simplify([results["build"], results["grad"]]))
    timed("compile", lambda: mg.function([x], [results["build"], results["grad"]]))
    timed("evaluate", lambda: results["compile"](0.5))
    timed("str", lambda: str(results["grad"]))
    timed("free", results.clear)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("N", nargs="*", type=count, default=[10**3, 10**4, 10**5, 10**6])
    sizes = parser.parse_args().N
    table = Table(title="chain of N scalar ops, seconds")
    for column in ["N", *STEPS, "build + grad", "µs an op"]:
        table.add_column(column, justify="right")
    for n in sizes:
        runs = [measure(n) for _ in range(max(1, min(5, 200_000 // n)))]
        best = {step: min(r[step] for r in runs) for step in STEPS}
        both = best["build"] + best["grad"]
        figures = [f"{best[step]:.3f}" for step in STEPS]
        table.add_row(f"{n:,}", *figures, f"{both:.3f}", f"{both / n * 1e6:.1f}")
    console = Console(width=110)
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
