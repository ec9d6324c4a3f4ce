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
from collections.abc import Callable, Iterator
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
WARM = 0.5  # seconds of calls then, for a GPU that was idle to bring up its clocks
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
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise NoDeviceError(f"JAX finds no {device.upper()} ({reason})") from None
    jax.config.update("jax_default_device", chosen)
    ones = jax.numpy.ones((8, 8))
    jax.block_until_ready(ones @ ones)  # loads what is no part of the first call
    return f"JAX {jax.__version__}: {chosen.device_kind}"


def open_torch(device: str) -> str:
    """The device's name. Raises NoDeviceError, ImportError."""
    import torch

    if device == "gpu" and not torch.cuda.is_available():
        raise NoDeviceError("torch finds no GPU")
    place = "cuda" if device == "gpu" else "cpu"
    layer = torch.nn.LSTM(1, 1, device=place)  # a step loads what is no part of the first call
    layer(torch.ones(1, 1, 1, device=place))[0].sum().backward()
    torch.optim.Adam(layer.parameters(), fused=True).step()
    if device == "cpu":
        return f"torch {torch.__version__}: cpu"
    torch.cuda.synchronize()
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


def measure(
    build: Callable[[Case], Contender], case: Case, end: float, sizes: int
) -> Iterator[Outcome]:
    """What there is once the least number of calls is timed, and all of it at the end.

    end: of the job, on time.time()'s clock; from the first result on what is left is divided over
        so many sizes.
    """
    begun = time.perf_counter()
    contender = build(case)
    losses = [contender.read(contender.run())[0]]
    first, now = time.perf_counter() - begun, time.time()
    end = now + (end - now) / sizes
    losses += [contender.read(contender.run())[0] for _ in range(STEPS - 1)]
    warm = time.perf_counter() + WARM
    while time.perf_counter() < warm:
        contender.run()
    times: list[float] = []
    outcome = Outcome(first, times, losses, contender.same, contender.notes)
    gc.collect()
    gc.disable()
    while len(times) < CALLS[0] or (len(times) < CALLS[1] and time.time() < end):
        begun = time.perf_counter()
        contender.run()
        times.append(time.perf_counter() - begun)
        if len(times) == CALLS[0]:
            yield outcome
    gc.enable()
    yield outcome


def why(error: Exception) -> str:
    """In a line."""
    if isinstance(error, ImportError):
        return f"no {error.name or 'package'}"
    if isinstance(error, NoDeviceError):
        return str(error)
    return f"{type(error).__name__}: {error}"[:200]


def work(
    engine: str, dtype: str, chosen: argparse.Namespace, sizes: list[str], end: float, pipe: Any
) -> None:
    """Send whether the device is there and its name or why not, then each size with its outcome,
    the last that comes of it, and None when nothing more will come."""
    try:
        name = {"JAX": open_jax, "torch": open_torch}[LIBRARY[engine]](chosen.device)
    except Exception as error:
        pipe.send((False, why(error)))
        return
    pipe.send((True, name))
    from lstm_case import SIZES, make_case

    build = builder(engine, dtype, chosen)
    for k, size in enumerate(sizes):
        if time.time() > end:
            break
        try:
            case = make_case(chosen.cell, SIZES[size], chosen.remember)
            for outcome in measure(build, case, end, len(sizes) - k):
                pipe.send((size, outcome))
        except Exception as error:  # out of memory, say: other sizes may still go
            pipe.send((size, Outcome(missing=why(error))))
    pipe.send(None)


# --- in the process that prints ------------------------------------------------------------------


def run_job(
    engine: str, dtype: str, chosen: argparse.Namespace, sizes: list[str], seconds: float
) -> tuple[bool, str, dict[str, Outcome]]:
    """Whether the device is there, its name or why not, and the sizes' outcomes, in so many
    seconds at most."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    begun = time.time()
    arguments = (engine, dtype, chosen, sizes, begun + PLANNED * seconds, theirs)
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    theirs.close()
    there, said, missing = True, "", NO_TIME
    outcomes: dict[str, Outcome] = {}
    left = lambda: max(0.0, begun + seconds - time.time())  # noqa: E731
    try:
        if ours.poll(seconds):
            there, said = ours.recv()
        while there and ours.poll(left()) and (message := ours.recv()):
            outcomes[message[0]] = message[1]
    except EOFError:  # it crashed
        process.join()
        missing = f"its process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    missing = missing if there else said
    return there, said, {size: Outcome(missing=missing) for size in sizes} | outcomes


def measure_all(chosen: argparse.Namespace) -> tuple[dict[str, str], dict[Key, Outcome]]:
    """{library: its device}, and {(size, engine, dtype): outcome}. The time is divided over the
    jobs; what one does not use goes to the next, and at last to the sizes that had none. Raises
    SystemExit where no library has the device.
    """
    sizes, end = chosen.sizes.split(","), time.time() + chosen.seconds
    devices: dict[str, str] = {}
    absent: dict[str, str] = {}
    rows: list[Key] = [(size, *job) for job in JOBS for size in sizes]
    table = {key: Outcome(missing=ABSENT.get(key[1:], NO_TIME)) for key in rows}
    waiting = lambda job: [s for s in sizes if table[s, *job].missing == NO_TIME]  # noqa: E731
    for k, job in [*enumerate(JOBS), *enumerate(JOBS)]:
        left = end - time.time()
        if not waiting(job) or left <= 0:
            continue
        share = left / sum(bool(waiting(j)) for j in JOBS[k:])
        there, said, outcomes = run_job(*job, chosen, waiting(job), share)
        table |= {(size, *job): o for size, o in outcomes.items()}
        library = LIBRARY[job[0]]
        if there:
            devices[library] = said or devices.get(library, "")
        else:
            absent[library] = said
            others = [k for k in rows if LIBRARY[k[1]] == library and k[1:] not in ABSENT]
            table |= {key: Outcome(missing=said) for key in others}
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
    """Measure and print; 1 where a loss is not minigrad's, or minigrad has no number."""
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
    lacking = [f"{k[0]} ({o.missing})" for k, o in table.items() if k[1:] == JOBS[0] and o.missing]
    if lacking:
        console.print(f"minigrad has no number at {', '.join(lacking)}", markup=False)
    return 1 if lacking else wrong
