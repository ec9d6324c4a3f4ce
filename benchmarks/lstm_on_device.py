"""lstm_step.py --device: a training step on a GPU (or a CPU): minigrad on JAX, JAX, torch's cuDNN.

Each engine has a process of its own for each dtype, one after the other, so that they share neither
memory nor CUDA's libraries, and one that fails or takes too long costs its own rows alone. A step
is loss, gradients and Adam's update; parameters and data lie on the device, and a call ends when
the device has done all of it. The losses of the first steps are compared with minigrad's.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from lstm_step import milliseconds, set_threads
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:  # imported for real in the processes
    from lstm_case import Case, Contender

Key = tuple[str, str, str]
"""Size, engine, dtype."""

LIBRARY = {"minigrad": "JAX", "JAX": "JAX", "torch": "torch"}
JOBS = [(engine, dtype) for dtype in ("float32", "bfloat16") for engine in LIBRARY]
ABSENT = {("minigrad", "bfloat16"): "the engine has no bfloat16"}
NO_TIME = "no time was left"
STEPS = 3  # before those that are timed; their losses are compared
CALLS = 3, 200  # timed: at least, and at most
PLANNED = 0.9  # of a job's seconds; the rest is for what overshoots
COMPARED = {"float32": STEPS, "bfloat16": 1}  # whose updates are lost in its rounding
TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2}  # of losses, relative

DIGITS = (
    "Products of float32 have all their digits in all three (JAX's precision is highest, torch's "
    "TF32 is off). bfloat16 holds parameters, data, states and Adam's moments; the loss is float32."
)


class NoDeviceError(Exception):
    """The library is there, and has no such device."""


@dataclass
class Outcome:
    """What one engine did at one size."""

    first: float = 0.0
    times: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    same: bool = True
    """Whether it computes the same function as minigrad."""
    notes: tuple[str, ...] = ()
    missing: str = ""
    """Why there are no numbers."""


# --- in a process of its own ---------------------------------------------------------------------


def open_jax(device: str) -> str:
    """Make the device JAX's default; its name. Raises NoDeviceError, ImportError."""
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")
    try:
        chosen = jax.local_devices(backend=device)[0]
    except RuntimeError:
        raise NoDeviceError(f"JAX finds no {device.upper()}") from None
    jax.config.update("jax_default_device", chosen)
    return f"JAX {jax.__version__}: {chosen.device_kind}"


def open_torch(device: str) -> str:
    """The device's name. Raises NoDeviceError, ImportError."""
    import torch

    if device == "gpu" and not torch.cuda.is_available():
        raise NoDeviceError("torch finds no GPU")
    torch.optim.Adam([torch.ones(1)])  # loads what is no part of the first call
    if device == "cpu":
        return f"torch {torch.__version__}: cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    name, cudnn = torch.cuda.get_device_name(), torch.backends.cudnn.version()
    return f"torch {torch.__version__}, cuDNN {cudnn}: {name}"


def builder(engine: str, dtype: str, chosen: argparse.Namespace) -> Callable[[Case], Contender]:
    """How to make the contender."""
    import lstm_contenders as made

    if engine == "minigrad":
        return lambda case: made.textbook(case, True, "jax")
    if engine == "JAX":
        return lambda case: made.jax_scan(case, True, dtype)
    place = "cuda" if chosen.device == "gpu" else "cpu"
    return lambda case: made.torch_layer(case, True, chosen.threads, place, dtype)


def measure(build: Callable[[Case], Contender], case: Case, end: float) -> Outcome:
    """First call, losses, and calls until `end`, on time.time()'s clock."""
    begun = time.perf_counter()
    contender = build(case)
    losses = [contender.read(contender.run())[0]]
    first = time.perf_counter() - begun
    losses += [contender.read(contender.run())[0] for _ in range(STEPS - 1)]
    times: list[float] = []
    gc.collect()
    gc.disable()
    while len(times) < CALLS[0] or (len(times) < CALLS[1] and time.time() < end):
        begun = time.perf_counter()
        contender.run()
        times.append(time.perf_counter() - begun)
    gc.enable()
    return Outcome(first, times, losses, contender.same, contender.notes)


def why(error: Exception) -> str:
    """In a line."""
    if isinstance(error, ImportError):
        return f"no {error.name or 'package'}"
    if isinstance(error, NoDeviceError):
        return str(error)
    return f"{type(error).__name__}: {error}"[:200]


def work(engine: str, dtype: str, chosen: argparse.Namespace, end: float, pipe: Any) -> None:
    """Send whether the device is there and its name or why not, then the outcome of each size."""
    try:
        name = {"JAX": open_jax, "torch": open_torch}[LIBRARY[engine]](chosen.device)
    except Exception as error:
        pipe.send((False, why(error)))
        return
    pipe.send((True, name))
    from lstm_case import SIZES, make_case

    build, sizes = builder(engine, dtype, chosen), chosen.sizes.split(",")
    for k, size in enumerate(sizes):
        now = time.time()
        if now > end:
            pipe.send(Outcome(missing=NO_TIME))
            continue
        try:
            case = make_case(chosen.cell, SIZES[size], chosen.remember)
            pipe.send(measure(build, case, now + (end - now) / (len(sizes) - k)))
        except Exception as error:  # out of memory, say: other sizes may still go
            pipe.send(Outcome(missing=why(error)))


# --- in the process that prints ------------------------------------------------------------------


def run_job(
    engine: str, dtype: str, chosen: argparse.Namespace, seconds: float
) -> tuple[bool, str, list[Outcome]]:
    """Whether the device is there, its name or why not, and the sizes' outcomes, in so many
    seconds at most."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    begun, wanted = time.time(), len(chosen.sizes.split(","))
    arguments = (engine, dtype, chosen, begun + PLANNED * seconds, theirs)
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    theirs.close()
    there, said, missing = True, "", NO_TIME
    outcomes: list[Outcome] = []
    try:
        if ours.poll(seconds):
            there, said = ours.recv()
        left = lambda: max(0.0, begun + seconds - time.time())  # noqa: E731
        while there and len(outcomes) < wanted and ours.poll(left()):
            outcomes.append(ours.recv())
    except EOFError:  # it crashed
        process.join()
        missing = f"its process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    missing = missing if there else said
    outcomes += [Outcome(missing=missing) for _ in range(wanted - len(outcomes))]
    return there, said, outcomes


def measure_all(chosen: argparse.Namespace) -> tuple[dict[str, str], dict[Key, Outcome]]:
    """{library: its device}, and {(size, engine, dtype): outcome}. The time is divided over the
    jobs; what one does not use goes to the next. Raises SystemExit where no library has the device.
    """
    sizes, end = chosen.sizes.split(","), time.time() + chosen.seconds
    devices: dict[str, str] = {}
    absent: dict[str, str] = {}
    table: dict[Key, Outcome] = {}
    for k, job in enumerate(JOBS):
        library = LIBRARY[job[0]]
        reason = ABSENT.get(job) or absent.get(library)
        if reason:
            outcomes = [Outcome(missing=reason) for _ in sizes]
        else:
            jobs = sum(j not in ABSENT and LIBRARY[j[0]] not in absent for j in JOBS[k:])
            there, said, outcomes = run_job(*job, chosen, max(0.0, end - time.time()) / jobs)
            (devices if there else absent).setdefault(library, said)
        table |= {(size, *job): o for size, o in zip(sizes, outcomes, strict=True)}
    if not devices:
        said = "; ".join(absent.values())
        raise SystemExit(
            f"--device {chosen.device}: {said}; benchmarks/README.md says what to install"
        )
    return devices, table


def gap(table: dict[Key, Outcome], key: Key) -> float | None:
    """The largest relative difference of a loss from minigrad's, where both are there."""
    own, ours = table[key], table[key[0], "minigrad", "float32"]
    pairs = list(zip(own.losses, ours.losses, strict=False))[: COMPARED[key[2]]]
    return max((abs(a / b - 1) for a, b in pairs), default=None) if own.same else None


def ratio(table: dict[Key, Outcome], key: Key, peer: str) -> str:
    """Of medians, to a peer of the same size and dtype."""
    own, other = table[key].times, table[key[0], peer, key[2]].times
    return f"{median(own) / median(other):.2f}" if own and other else "—"


def times_table(table: dict[Key, Outcome], title: str, cudnn: str) -> Table:
    """A row for each size, dtype and engine."""
    from lstm_case import SIZES

    drawn = Table(title=title)
    numbers = ["first (s)", "median", "least", "calls", f"× {cudnn}", "× JAX"]
    for head in ["size", "T,B,I,H", "dtype", "engine", *numbers, "loss, from minigrad's"]:
        drawn.add_column(head, justify="right" if head in numbers else "left", overflow="fold")
    previous = ""
    for key, outcome in sorted(table.items(), key=lambda item: list(SIZES).index(item[0][0])):
        size, engine, dtype = key
        if previous not in ("", size):
            drawn.add_section()
        previous = size
        cells = [size, ",".join(map(str, SIZES[size])), dtype, engine]
        if outcome.missing:
            drawn.add_row(*cells, *["—"] * len(numbers), escape(outcome.missing))
            continue
        far = gap(table, key)
        loss = "—" if far is None else f"{far:.0e}"
        cells += [f"{outcome.first:.2f}", milliseconds(median(outcome.times))]
        cells += [milliseconds(min(outcome.times)), str(len(outcome.times))]
        cells += [ratio(table, key, peer) for peer in ("torch", "JAX")]
        drawn.add_row(*cells, loss if outcome.same else "another function")
    return drawn


def report(chosen: argparse.Namespace) -> int:
    """Measure and print; 1 where a loss is not minigrad's."""
    if chosen.device == "cpu":
        set_threads(chosen.threads)
    devices, table = measure_all(chosen)
    console = Console(width=150)
    title = f"{chosen.cell}: loss, all gradients and Adam's update; ms a step"
    if chosen.remember:
        title += ", memory of T steps"
    console.print(times_table(table, title, "cuDNN" if chosen.device == "gpu" else "torch"))
    console.print("; ".join(filter(None, devices.values())) + ". " + DIGITS, markup=False)
    for (size, engine, dtype), outcome in table.items():
        if outcome.notes:
            console.print(f"{size}, {engine}, {dtype}: {'; '.join(outcome.notes)}", markup=False)
    wrong = 0
    for key in table:
        far = gap(table, key)
        if far is not None and not far <= TOLERANCE[key[2]]:  # NaN is not
            console.print(f"{', '.join(key)}: a loss differs from minigrad's by {far:.1e} of it")
            wrong = 1
    return wrong
