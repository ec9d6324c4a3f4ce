"""What a training step costs before it runs for the first time, against the number of steps T.

    python benchmarks/compile_time.py [T ...]          default: 10 100 1,000 10,000

An LSTM's loss and gradients (batch 8, 2 inputs, 32 hidden units, float32) as a loop, mg.scan, and
written out as plain nodes, which is for pictures and small T. Each row is a process of its own, so
that none finds what another has compiled; figures are seconds of one run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

from arguments import count
from rich.console import Console
from rich.table import Table

B, I, H = 8, 2, 32  # noqa: E741
UNROLLED = [5, 10, 20, 50]
FORMS = ("scan native", "scan numpy", "unrolled native", "unrolled numpy")


def measure(form: str, T: int) -> list[str]:
    """Seconds to import, build, differentiate and compile, of the first call and of the best."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MINIGRAD_THREADS"] = "1"
    begun = time.perf_counter()
    import numpy as np

    import minigrad as mg
    from lstm.cells import LSTM

    times = [time.perf_counter() - begun]

    def lap() -> None:
        nonlocal begun
        times.append(time.perf_counter() - begun)
        begun = time.perf_counter()

    rng = np.random.default_rng(0)
    cell = LSTM(I, H, memory=float(max(T, 3)))  # else gradients underflow on the way back
    params = {name: mg.param(name, value) for name, value in cell.init(rng).items()}
    data = rng.standard_normal((T, B, I), dtype=np.float32)
    begun = time.perf_counter()
    xs = mg.var("xs", data.shape, "float32")
    last, _ = mg.scan(
        lambda state, x: (cell.step(params, state, x), None),
        cell.initial_state(B),
        xs,
        unroll=form.startswith("unrolled"),
    )
    loss = mg.mean(mg.square(last.h))
    lap()
    grads = mg.grad(loss, params)
    lap()
    f = mg.function([xs], [loss, grads], backend=form.split()[1])
    lap()
    f(data)
    lap()
    total = sum(times[1:])
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        f(data)
        best = min(best, time.perf_counter() - begun)
    return [f"{t:.3f}" for t in times] + [f"{total:.3f}", f"{best:.4f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("T", nargs="*", type=count, default=[10, 100, 1000, 10_000])
    lengths = parser.parse_args().T
    table = Table(title=f"LSTM({I}, {H}), batch {B}, loss and all gradients, seconds")
    heads = ["import", "build", "grad", "compile", "1st call", "all but import", "later calls"]
    for k, head in enumerate(["form", "T", *heads]):
        table.add_column(head, justify="right" if k else "left")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for form in FORMS:
            if form.endswith("native") and find_spec("llvmlite") is None:
                table.add_row(form, "llvmlite is not installed")
                continue
            for T in UNROLLED if form.startswith("unrolled") else lengths:
                table.add_row(form, f"{T:,}", *pool.submit(measure, form, T).result())
            table.add_section()
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
