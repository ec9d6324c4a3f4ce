"""Graphs of every kind beside the engines that are fast at them: jobs, peers, ratios of one run.

    python benchmarks/general.py [JOB ...] [--seconds 1]      default: all jobs

A job is a function of an engine's ops and of arrays, written once for all engines. Each gives
the value and its gradients. `before` is the processor's time up to the first result, the first call
included, imports not; `call` the least time of one call after that; `calls` is the first with so
many of the second as `auto` reckons with. Engines are called in turn, and must agree. A ratio is
minigrad's time, by `auto`, to the best peer's: below 1, minigrad is faster; `choice` is its time to
the better of `native` and `numpy`.

Two jobs are about loops that come anew: an LSTM of another length than the one that was compiled
before, and 360 loops that are compiled, called and dropped, of which the memory that stays is told.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from general_engines import ENGINES, OWN, Call, Prepare
from general_jobs import JOBS, Job
from general_loops import LOOPS
from rich.console import Console
from rich.table import Table

from minigrad.compile.backends.cost import CALLS
from minigrad.compile.backends.native.backend import keep

SHORT = 1e-3  # seconds of a call

Figures = dict[str, tuple[float, float]]
"""For each engine that is there: seconds before the first result, and of a call."""


def ready() -> dict[str, tuple[Prepare, set[str]]]:
    """The engines that are installed, imported."""
    made = {}
    for name, engine in ENGINES.items():
        try:
            made[name] = engine()
        except ImportError:
            continue
    return made


def measure(job: Job, engines: dict[str, tuple[Prepare, set[str]]], seconds: float) -> Figures:
    """One job, by all engines that do its kind."""
    at = job.inputs(np.random.default_rng(1))
    before: dict[str, float] = {}
    calls: dict[str, Call] = {}
    results: dict[str, Any] = {}
    for name, (prepare, kinds) in engines.items():
        if job.kind not in kinds:
            continue
        start = time.process_time()  # of this process, whatever else a machine does
        try:
            calls[name] = prepare(job, at)
            results[name] = _copied(calls[name]())
        except (ImportError, NotImplementedError):
            calls.pop(name, None)
            continue
        before[name] = time.process_time() - start
        if name in OWN:  # or the next one finds its code
            del calls[name]
            keep.cache_clear()
            gc.collect()
    calls |= {name: engines[name][0](job, at) for name in OWN}
    _must_agree(results)
    times: dict[str, list[float]] = {name: [] for name in calls}
    while waiting := [name for name in calls if len(times[name]) < 2 or sum(times[name]) < seconds]:
        for name in waiting:  # in turn; short ones some times, as the first finds others' caches
            for _ in range(2 if min(times[name], default=0) > SHORT else 5):
                start = time.perf_counter()
                calls[name]()
                times[name].append(time.perf_counter() - start)
    return {name: (before[name], min(times[name])) for name in calls}


def _copied(result: Any) -> list[Any]:
    value, gradients = result
    return [np.array(value), *[np.array(g) for g in gradients]]


def _must_agree(results: dict[str, Any]) -> None:
    for name, arrays in results.items():
        for mine, other in zip(results["numpy"], arrays, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-9, err_msg=name)


def rows(figures: Figures) -> list[tuple[str, dict[str, float]]]:
    """What is told of a job: seconds by engine."""
    return [
        ("before", {name: before for name, (before, _) in figures.items()}),
        ("call", {name: call for name, (_, call) in figures.items()}),
        (f"{CALLS:,} calls", {name: b + CALLS * c for name, (b, c) in figures.items()}),
    ]


def ratios(seconds: dict[str, float]) -> list[str]:
    """To the best peer, and to the better of the two backends."""
    peers = [s for name, s in seconds.items() if name not in OWN]
    own = [seconds[name] for name in OWN if name != "auto"]
    return [f"{seconds['auto'] / min(others):.2f}" if others else "–" for others in (peers, own)]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    names = [*[job.name for job in JOBS], *LOOPS]
    parser.add_argument("JOB", nargs="*", default=names, help=", ".join(names))
    parser.add_argument("--seconds", type=float, default=1.0, help="for the calls of an engine")
    asked = parser.parse_args()
    if unknown := set(asked.JOB) - set(names):
        parser.error(f"no job {sorted(unknown)[0]!r}; there are {', '.join(names)}")
    engines = ready()
    table = Table(title="milliseconds; compiled: torch.compile")
    for column in ("job", "", *engines, "ratio", "choice"):
        table.add_column(column, justify="left" if column == "job" else "right")
    console = Console(width=170)
    for job in [job for job in JOBS if job.name in asked.JOB]:
        for k, (what, s) in enumerate(rows(measure(job, engines, asked.seconds))):
            table.add_row(job.name if not k else "", what, *_shown(engines, s), *ratios(s))
        table.add_section()
    if table.row_count:
        console.print(table)
    for name in [name for name in LOOPS if name in asked.JOB]:
        console.print(f"{name}: {LOOPS[name]()}")


def _shown(engines: Sequence[str], seconds: dict[str, float]) -> list[str]:
    return [f"{seconds[n] * 1e3:.4g}" if n in seconds else "–" for n in engines]


if __name__ == "__main__":
    main()
