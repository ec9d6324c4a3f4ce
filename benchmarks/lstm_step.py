"""One training step of a recurrent net, loss and all gradients: minigrad beside torch, JAX, NumPy.

    python benchmarks/lstm_step.py [--cell lstm|gru|rnn] [--sizes tiny,small] [--adam]
        [--hand-packed] [--remember] [--threads N] [--seconds S]
    python benchmarks/lstm_step.py --device gpu [--cell …] [--sizes small,large] [--seconds 300]

x (T, B, I) → cell(H) → last h → linear → mean squared error, float32; with --adam the update too.
All contenders have the same weights and data, and must agree on the loss before they are timed.
They are then called in turn, round by round, so that a noisy moment meets all of them; the least
time of each counts. With --device it is minigrad on JAX beside JAX and torch, on that device
(lstm_on_device.py). benchmarks/README.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arguments import count
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # imported for real once the number of threads is set
    from lstm_case import Arrays, Case, Contender

TARGETS = {
    "one": 0.35,
    "tiny": 0.45,
    "small": 0.9,
    "long": 0.5,
    "medium": 0.9,
    "large": 1.0,
    "xl": 1.0,
}
ON_DEVICE = ("small", "large", "xl", "long", "medium")  # those that goals are set for first
AGREE = 1e-4  # losses, relative
TURN = 0.03  # seconds that a contender gets in a round, or one call
PATIENCE = 4  # rounds after which a slow contender is let off
SLOW = 0.1  # calls longer than this fraction of all the time are slow


@dataclass
class Measured:
    """What one contender did at one size."""

    first: float = 0.0
    best: float = float("inf")
    error: float | None = None
    peak: int = 0
    missing: str = ""
    """Why there are no numbers."""
    notes: tuple[str, ...] = ()


@dataclass
class Row:
    """One size."""

    name: str
    size: tuple[int, ...]
    limit: float
    loss: float = 0.0
    measured: dict[str, Measured] = field(default_factory=dict)

    def ratio(self) -> float | None:
        """Native to the faster of torch and JAX."""
        peers = [self.measured[k].best for k in ("torch", "JAX") if not self.measured[k].missing]
        native = self.measured["native"]
        return native.best / min(peers) if peers and not native.missing else None


Build = Callable[["Case"], "Contender"]


def builders(adam: bool, packed: bool, threads: int) -> dict[str, Build]:
    """How to make each contender, by column."""
    import lstm_bptt
    import lstm_contenders as made

    columns: dict[str, Build] = {
        "native": lambda case: made.textbook(case, adam, "native"),
        "numpy": lambda case: made.textbook(case, adam, "numpy"),
        "torch": lambda case: made.torch_layer(case, adam, threads),
        "JAX": lambda case: made.jax_scan(case, adam),
        "hand NumPy": lambda case: lstm_bptt.handwritten(case, adam),
    }
    if packed:
        columns["packed"] = lambda case: made.hand_packed(case, adam)
    return columns


def start(build: Build, case: Case, reference: tuple[float, Arrays]) -> tuple[Contender, Measured]:
    """Make a contender, run it for the first time and check what it computes."""
    begun = time.perf_counter()
    contender = build(case)
    traced = contender.name.startswith("minigrad")
    if traced:  # sees NumPy's arrays; torch and JAX have allocators of their own
        tracemalloc.start()
    result = contender.run()
    first = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1] if traced else 0
    tracemalloc.stop()
    loss, grads = contender.read(result)
    if contender.same and abs(loss - reference[0]) > AGREE * abs(reference[0]):
        raise SystemExit(f"{contender.name} finds a loss of {loss}; float64: {reference[0]}")
    error = None
    if contender.same and grads:
        largest = max(float(abs(g).max()) for g in reference[1].values())
        error = max(float(abs(grads[k] - g).max()) for k, g in reference[1].items()) / largest
    return contender, Measured(first, error=error, peak=peak, notes=contender.notes)


def warm_up() -> None:
    """Load what is there, so that first calls do not count imports."""
    with contextlib.suppress(ImportError):
        import torch

        torch.ones(1).sum()
    with contextlib.suppress(ImportError):
        import jax

        jax.numpy.ones(1).sum().block_until_ready()
    with contextlib.suppress(ImportError):
        from minigrad.compile.backends.native import jit

        jit.host()


def check_updated(contenders: list[Contender]) -> None:
    """With the update included: the losses after the first must agree too."""
    losses = {c.name: c.read(c.run())[0] for c in contenders if c.same}
    low, high = min(losses.values()), max(losses.values())
    if high - low > AGREE * abs(low):
        raise SystemExit(f"losses after an update differ: {losses}")


def race(contenders: dict[str, Contender], measured: dict[str, Measured], seconds: float) -> None:
    """Call all in turn until the time is over; the least time of each."""
    gc.collect()
    gc.disable()
    end, turn = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or turn < 2:
        for name, contender in contenders.items():
            if turn >= PATIENCE and measured[name].best > SLOW * seconds:
                continue
            begun = now = time.perf_counter()
            while now - begun < TURN:
                contender.run()
                before, now = now, time.perf_counter()
                measured[name].best = min(measured[name].best, now - before)
        turn += 1
    gc.enable()


def measure(name: str, chosen: argparse.Namespace, columns: dict[str, Build]) -> Row:
    """One size's figures, without the limit."""
    from lstm_bptt import reference
    from lstm_case import SIZES, make_case

    case = make_case(chosen.cell, SIZES[name], chosen.remember)
    expected = reference(case)
    row = Row(name, SIZES[name], 0.0, expected[0])
    contenders: dict[str, Contender] = {}
    for column, build in columns.items():
        try:
            contenders[column], row.measured[column] = start(build, case, expected)
        except ImportError as error:
            row.measured[column] = Measured(missing=f"no {error.name or 'package'}")
    if chosen.adam:
        check_updated(list(contenders.values()))
    race(contenders, row.measured, chosen.seconds)
    return row


# --- tables ------------------------------------------------------------------------------------


def milliseconds(seconds: float) -> str:
    """Three digits."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def times_table(rows: list[Row], title: str, targets: dict[str, float]) -> Table:
    """Least times, the ratio, and the limit."""
    columns = list(rows[0].measured)
    table = Table(title=title)
    for k, head in enumerate(["size", "T,B,I,H", *columns, "ratio", "target", "limit", "×limit"]):
        table.add_column(head, justify="right" if k > 1 else "left", overflow="fold")
    if "packed" in columns:
        table.add_column("native/packed", justify="right")
    for row in rows:
        cells = [row.name, ",".join(map(str, row.size))]
        cells += [m.missing or milliseconds(m.best) for m in row.measured.values()]
        ratio, native = row.ratio(), row.measured["native"]
        cells.append("—" if ratio is None else f"{ratio:.2f}")
        cells.append(f"{targets[row.name]:.2f}" if row.name in targets else "—")
        cells.append(milliseconds(row.limit) if row.limit else "—")
        known = row.limit and not native.missing
        cells.append(f"{native.best / row.limit:.1f}" if known else "—")
        if "packed" in columns:
            packed = row.measured["packed"]
            both = not (packed.missing or native.missing)
            cells.append(f"{native.best / packed.best:.2f}" if both else "—")
        table.add_row(*cells)
    return table


def other_table(rows: list[Row]) -> Table:
    """First calls, errors, memory."""
    table = Table(title="first call (s), gradient error against float64, arrays of a call (MiB)")
    firsts = [k for k in ("native", "numpy", "torch", "JAX", "packed") if k in rows[0].measured]
    errors = ["native", "torch", "JAX", "hand NumPy"]
    heads = [f"first {k}" for k in firsts] + [f"error {k}" for k in errors]
    table.add_column("size")
    for head in [*heads, "MiB native", "MiB numpy"]:
        table.add_column(head, justify="right")
    for row in rows:
        cells = [row.name]
        cells += [
            "—" if row.measured[k].missing else f"{row.measured[k].first:.2f}" for k in firsts
        ]
        values = [row.measured[k].error for k in errors]
        cells += ["—" if e is None else f"{e:.1e}" for e in values]
        peaks = [row.measured[k].peak for k in ("native", "numpy")]
        table.add_row(*cells, *(f"{p / 2**20:.2f}" if p else "—" for p in peaks))
    return table


def limits(rows: list[Row], cell: str, threads: int) -> str:
    """Fill in the limits; says what they rest on."""
    from lstm_case import SIZES, flops

    try:
        from fma import fma_peak

        peak = fma_peak(threads)
    except ImportError:
        return "no limit: its loop is made by llvmlite, which is not installed"
    for row in rows:
        row.limit = flops(cell, SIZES[row.name]) / (peak * 1e9)
    return f"limit: the matrix products alone at the {peak:.0f} GFLOP/s of a loop of FMAs"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"], default="lstm")
    parser.add_argument("--device", choices=["cpu", "gpu"], help="minigrad on JAX, JAX, torch")
    parser.add_argument("--sizes", help="names, with commas; all, or on a device from small up")
    parser.add_argument("--adam", action="store_true", help="include Adam's update, as on a device")
    parser.add_argument("--hand-packed", action="store_true", help="minigrad packed by hand too")
    parser.add_argument("--remember", action="store_true", help="start with a memory of T steps")
    parser.add_argument("--threads", type=count, default=1, help="of every contender")
    parser.add_argument(
        "--seconds", type=float, help="of timing a size (15); of a device in all (300)"
    )
    chosen = parser.parse_args()
    chosen.sizes = chosen.sizes or ",".join(ON_DEVICE if chosen.device else TARGETS)
    if chosen.seconds is None:
        chosen.seconds = 300.0 if chosen.device else 15.0
    if chosen.device and chosen.hand_packed:
        parser.error("--hand-packed is of the native backend, which has no --device")
    unknown = [s for s in chosen.sizes.split(",") if s not in TARGETS]
    if unknown:
        parser.error(f"no size {unknown[0]!r}; there are {', '.join(TARGETS)}")
    return chosen


def set_threads(threads: int) -> None:
    """For all that read it from the environment when they are loaded."""
    for name in ("MINIGRAD", "OPENBLAS_NUM", "MKL_NUM", "OMP_NUM"):
        os.environ[f"{name}_THREADS"] = str(threads)
    os.environ["NPROC"] = str(threads)  # XLA's pool
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"


def main() -> None:
    """Measure and print."""
    chosen = arguments()
    if chosen.device:
        import lstm_on_device

        raise SystemExit(lstm_on_device.report(chosen))
    set_threads(chosen.threads)
    warm_up()
    columns = builders(chosen.adam, chosen.hand_packed, chosen.threads)
    rows: list[Row] = []
    console = Console(width=150)
    for name in chosen.sizes.split(","):
        with console.status(name):
            rows.append(measure(name, chosen, columns))
    said = limits(rows, chosen.cell, chosen.threads)
    plain = chosen.cell == "lstm" and not chosen.adam
    what = "loss, all gradients and Adam's update" if chosen.adam else "loss and all gradients"
    title = f"{chosen.cell}: {what}, float32, milliseconds, threads: {chosen.threads}"
    if chosen.remember:
        title += ", memory of T steps"
    console.print(times_table(rows, title, TARGETS if plain else {}))
    console.print("ratio: native to the faster of torch and JAX; " + said)
    console.print(other_table(rows))
    if chosen.cell == "gru":
        console.print("torch's GRU resets after the product: another function, not compared")
    for row in rows:
        for column, m in row.measured.items():
            for note in m.notes:
                console.print(f"{row.name}, {column}: {note}")


if __name__ == "__main__":
    main()
