"""One training step of whole models (loss, gradient, Adam's update): lstm beside torch and JAX.

    python benchmarks/models.py [--models stacked,char] [--threads N] [--seconds S] [--cpu]

stacked: two bidirectional layers of LSTM(32), T 50, B 16, I 8, read at the end. char: characters
through an embedding (64) and an LSTM(128) to 64 characters, T 64, B 32, read at every step. Each is
run as it is, with lengths of T/2 … T, and with a dropout of 0.2: between layers, or of the input.

All start from the same weights and, where nothing is drawn, must agree on the losses of three steps
before they are timed. They are then called in turn, round by round, so that a noisy moment meets
all of them; the least time counts. benchmarks/README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from arguments import count
from lstm_step import milliseconds, set_threads
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # imported for real once the number of threads is set
    from models_case import Case, Contender

TARGETS = {"stacked": 0.25, "char": 0.5}  # of the faster peer, as it is
MORE = {"lengths": 1.15, "dropout": 1.2}  # of its own time without
AGREE = 1e-4  # losses, relative
TURN = 0.05  # seconds that a contender gets in a round, or one call


def contenders(case: Case, threads: int, backend: str) -> dict[str, Contender | str]:
    """By column; a text says why one is not there."""
    import models_contenders as made

    builders = {
        backend: lambda: made.minigrad_step(case, backend),
        "torch": lambda: made.torch_step(case, threads),
        "JAX": lambda: made.jax_step(case),
    }
    columns: dict[str, Contender | str] = {}
    for name, build in builders.items():
        try:
            columns[name] = build()
        except ImportError as error:
            columns[name] = f"no {error.name or 'package'}"
    return columns


def check(case: Case, present: dict[str, Contender]) -> None:
    """Three steps of each, so that updates are seen too. Raises SystemExit where losses differ."""
    losses = {name: [c.run() for _ in range(3)] for name, c in present.items()}
    for k, row in enumerate(zip(*losses.values(), strict=True), 1):
        if not case.dropout and max(row) - min(row) > AGREE * abs(min(row)):
            raise SystemExit(f"{case.name}: the losses of step {k} differ: {losses}")


def race(
    present: dict[tuple[str, str], Contender], seconds: float, clock: Callable[[], float]
) -> dict[tuple[str, str], float]:
    """The least time of a call of each, all called in turn until the time is over."""
    times: dict[tuple[str, str], list[float]] = {key: [] for key in present}
    gc.collect()
    gc.disable()
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds < 3:
        for key, contender in present.items():
            begun = now = clock()
            while now - begun < TURN:
                contender.run()
                before, now = now, clock()
                times[key].append(now - before)
        rounds += 1
    gc.enable()
    return {key: min(values) for key, values in times.items()}


def measure(kind: str, chosen: argparse.Namespace, table: Table) -> None:
    """The rows of one model, whose variants run in one race."""
    from models_case import VARIANTS, make_case

    columns, present = {}, {}
    for variant in VARIANTS:
        case = make_case(kind, variant)
        columns[variant] = contenders(case, chosen.threads, chosen.backend)
        here = {k: c for k, c in columns[variant].items() if not isinstance(c, str)}
        check(case, here)
        present |= {(variant, name): c for name, c in here.items()}
    clock = time.process_time if chosen.cpu else time.perf_counter
    least = race(present, chosen.seconds, clock)
    plain = least["plain", chosen.backend]
    for variant in VARIANTS:
        cells = [
            c if isinstance(c, str) else milliseconds(least[variant, name])
            for name, c in columns[variant].items()
        ]
        own = least[variant, chosen.backend]
        peers = [t for (v, name), t in least.items() if v == variant and name != chosen.backend]
        target = f"{TARGETS[kind]}" if variant == "plain" else "—"
        more = f"{own / plain:.2f}" if variant != "plain" else "—"
        ratio = f"{own / min(peers):.2f}" if peers else "—"
        table.add_row(kind, variant, *cells, ratio, target, more, f"{MORE.get(variant, '—')}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--models", default="stacked,char", help="names, with commas")
    parser.add_argument("--backend", default="native", help="minigrad's")
    parser.add_argument("--threads", type=count, default=2, help="of every contender")
    parser.add_argument("--seconds", type=float, default=30.0, help="of timing, a model")
    parser.add_argument(
        "--cpu", action="store_true", help="count the CPU's time, of all threads, not the clock's"
    )
    chosen = parser.parse_args()
    kinds = chosen.models.split(",")
    if unknown := [k for k in kinds if k not in TARGETS]:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(TARGETS)}")
    set_threads(chosen.threads)
    what = "milliseconds of CPU" if chosen.cpu else "milliseconds"
    table = Table(title=f"a training step, float32, {what}, threads: {chosen.threads}")
    heads = [chosen.backend, "torch", "JAX", "ratio", "target", "to plain", "target"]
    for head in ["model", "variant", *heads]:
        table.add_column(head, justify="left" if head in ("model", "variant") else "right")
    console = Console(width=110)
    for kind in kinds:
        with console.status(kind):
            measure(kind, chosen, table)
    console.print(table)
    console.print("ratio: to the faster of torch and JAX; to plain: to its own time without")


if __name__ == "__main__":
    main()
