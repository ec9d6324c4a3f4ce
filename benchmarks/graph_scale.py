"""How the cost of building and transforming a graph grows with its size, beside CasADi's.

    python benchmarks/graph_scale.py [N ...]          default: 1,000 10,000 100,000 1,000,000

A chain of N scalar ops (tanh and multiply in turn) is built, differentiated, simplified, compiled,
evaluated, written as text and freed. Every figure is seconds of the processor, the least of a few
runs at small N, of one at large. `first` is what comes before the first result, and with it: all of
that but to simplify by hand, which compiling does by itself, the text and freeing. CasADi does the
same in turn; the ratio of the two is below 1 where minigrad is faster, and `µs an op` is
minigrad's, level where cost is linear.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from arguments import count
from rich.console import Console
from rich.table import Table

import minigrad as mg

STEPS = ["build", "grad", "simplify", "compile", "evaluate", "str", "free"]
FIRST = ["build", "grad", "compile", "evaluate"]


def chain(x: Any, tanh: Callable[[Any], Any], n: int) -> Any:
    """n ops, in turn tanh and multiplication by a constant."""
    y = x
    for _ in range(n // 2):
        y = tanh(y) * 1.01
    return y


class Timed:
    """Steps by name: what each gave, and its seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.results = SimpleNamespace()

    def __call__(self, name: str, step: Callable[[], Any]) -> None:
        """Run a step."""
        gc.collect()
        start = time.process_time()
        setattr(self.results, name, step())
        self.seconds[name] = time.process_time() - start

    @property
    def first(self) -> float:
        """Seconds up to the first result."""
        return sum(self.seconds[step] for step in FIRST)


def with_minigrad(n: int) -> Timed:
    """All steps, once."""
    x, timed = mg.var("x"), Timed()
    of = timed.results
    timed("build", lambda: chain(x, mg.tanh, n))
    timed("grad", lambda: mg.grad(of.build, x))
    timed("simplify", lambda: mg.simplify([of.build, of.grad]))
    of.simplify = None  # compiling makes these nodes for itself
    timed("compile", lambda: mg.function([x], [of.build, of.grad]))
    timed("evaluate", lambda: of.compile(0.5))
    timed("str", lambda: str(of.grad))
    timed("free", vars(of).clear)
    return timed


def with_casadi(n: int) -> Timed | None:
    """The steps up to the first result, once; None where it is not installed."""
    try:
        import casadi as ca
    except ImportError:
        return None
    x, timed = ca.SX.sym("x"), Timed()
    of = timed.results
    timed("build", lambda: chain(x, ca.tanh, n))
    timed("grad", lambda: ca.gradient(of.build, x))
    timed("compile", lambda: ca.Function("f", [x], [of.build, of.grad]))
    timed("evaluate", lambda: of.compile(0.5))
    return timed


def row(n: int) -> list[str]:
    """The figures of a chain of n ops."""
    runs = [(with_minigrad(n), with_casadi(n)) for _ in range(max(1, min(5, 200_000 // n)))]
    best = [f"{min(run.seconds[step] for run, _ in runs):.3f}" for step in STEPS]
    first = min(run.first for run, _ in runs)
    peer = min((run.first for _, run in runs if run is not None), default=None)
    beside = ["–", "–"] if peer is None else [f"{peer:.3f}", f"{first / peer:.2f}"]
    return [f"{n:,}", *best, f"{first:.3f}", *beside, f"{first / n * 1e6:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("N", nargs="*", type=count, default=[10**3, 10**4, 10**5, 10**6])
    sizes = parser.parse_args().N
    table = Table(title="chain of N scalar ops, seconds")
    for column in ["N", *STEPS, "first", "CasADi", "ratio", "µs an op"]:
        table.add_column(column, justify="right")
    with_minigrad(1000)  # imports, and the machine code of the interpreter, once in a process
    for n in sizes:
        table.add_row(*row(n))
    console = Console(width=120)
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
