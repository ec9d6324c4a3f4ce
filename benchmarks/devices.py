"""A training step of an LSTM divided over devices: what is sent, how long it takes, what it gives.

    python benchmarks/devices.py [--sizes 128,256,512] [--devices 1,2,4,8] [--steps T] [--batch B]

The devices are virtual ones of this machine's CPU, which they share: the times tell what dividing
costs, not what it gains. What each step sends is read off the program that XLA made. The last table
is the model of docs/scale.md, with no measurement in it.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from math import log2, prod
from typing import Any, NamedTuple

from arguments import count
from rich.console import Console
from rich.table import Table

INPUTS = 256
COLLECTIVES = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"

# What docs/scale.md assumes: an H100 SXM, float32 products of all their digits at this part of
# 67 TFLOP/s; 8 devices a host at NVLink's 450 GB/s one way; 50 GB/s a device between hosts.
FLOPS, USED = 67e12, 0.5
WITHIN, BETWEEN, USED_WIRE = 450e9, 50e9, 0.8
LATENCY, PER_HOST = 10e-6, 8
PER_STEP = 20e-6  # of the loop, which cannot be less: kernels that wait for each other


def numbers(text: str) -> list[int]:
    return [count(part) for part in text.split(",")]


class Measured(NamedTuple):
    """One size on so many devices."""

    sent: dict[str, int]
    """Bytes a step, of each kind of collective."""
    seconds: float
    loss: float
    values: dict[str, Any]


def measure(hidden: int, devices: int, asked: argparse.Namespace) -> Measured:
    import numpy as np

    import lstm
    import minigrad as mg

    steps, batch = asked.steps, asked.batch
    model = lstm.Model.create(lstm.LSTM(INPUTS, hidden), output_size=1, seed=0)
    xs, ys = mg.var("xs", (steps, batch, INPUTS), "float32"), mg.var("ys", (batch, 1), "float32")
    loss = mg.mean(mg.square(model.output(xs) - ys))
    placing: dict[str, Any] = {}
    if devices > 1:
        placing = {"mesh": {"batch": devices}, "shard": {xs: (None, "batch"), ys: "batch"}}
    trainer = lstm.Trainer(
        loss, [xs, ys], model.params, lstm.optim.sgd(0.1), None, "jax", **placing
    )
    rng = np.random.default_rng(0)
    data = [rng.normal(size=x.shape).astype("float32") for x in (xs, ys)]
    best, last = float("inf"), 0.0
    for _ in range(asked.calls):
        begun = time.perf_counter()
        last = trainer.step(*data).loss
        best = min(best, time.perf_counter() - begun)
    text = trainer._run._chosen._compiled._run.as_text()  # XLA's program
    return Measured(collectives(text), best, last, model.values())


def collectives(text: str) -> dict[str, int]:
    """Bytes of what the collectives of a program give, by kind; they stand outside of its loops."""
    sent: dict[str, int] = {}
    for shapes, kind in re.findall(rf"= (.*?) ({COLLECTIVES})(?:-start)?\(", text):
        sizes = re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", shapes)
        held = sum(int(bits) // 8 * prod(map(int, filter(None, s.split(",")))) for bits, s in sizes)
        sent[kind] = sent.get(kind, 0) + held
    return sent


def parameters(hidden: int) -> int:
    return 4 * hidden * (hidden + INPUTS + 1) + hidden + 1


def projected(hidden: int, devices: int, steps: int, batch: int) -> tuple[float, float]:
    """Seconds of computing and of sending, of a step with so many sequences on each device."""
    compute = 3 * 2 * 4 * hidden * (hidden + INPUTS) * steps * batch / (FLOPS * USED)
    compute = max(compute, 2 * steps * PER_STEP)
    wire = WITHIN if devices <= PER_HOST else BETWEEN
    data = 4 * parameters(hidden)
    ring = 2 * (devices - 1) / devices * data / (wire * USED_WIRE)
    return compute, (ring + 2 * log2(devices) * LATENCY if devices > 1 else 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=numbers, default=[128, 256, 512])
    parser.add_argument("--devices", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--steps", type=count, default=16)
    parser.add_argument("--batch", type=count, default=32)
    parser.add_argument("--calls", type=count, default=5)
    asked = parser.parse_args()
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={max(asked.devices)}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import numpy as np

    table = Table(title=f"T = {asked.steps}, B = {asked.batch}, I = {INPUTS}, float32")
    for head in ("H", "devices", "parameters, bytes", "sent a step", "ms", "loss", "weights"):
        table.add_column(head, justify="right")
    for hidden in asked.sizes:
        one = None
        for devices in asked.devices:
            made = measure(hidden, devices, asked)
            one = one or made
            far = max(np.abs(v - one.values[k]).max() for k, v in made.values.items())
            sent = ", ".join(f"{kind} {size:,}" for kind, size in made.sent.items()) or "nothing"
            gap = f"{abs(made.loss / one.loss - 1):.0e}"
            row = [hidden, devices, f"{4 * parameters(hidden):,}", sent]
            table.add_row(*map(str, row), f"{1000 * made.seconds:.1f}", gap, f"{far:.0e}")
    Console(width=120).print(table)
    table = Table(
        title="The model of docs/scale.md: T = 100, 64 sequences a device; ms, efficiency"
    )
    for head in ("H", "devices", "compute", "all-reduce", "not overlapped", "half of it hidden"):
        table.add_column(head, justify="right")
    for hidden in (512, 1024, 2048, 4096):
        for devices in (1, 8, 64, 1000):
            compute, send = projected(hidden, devices, 100, 64)
            parts = [f"{1000 * compute:.2f}", f"{1000 * send:.2f}"]
            parts += [f"{compute / (compute + s):.0%}" for s in (send, send / 2)]
            table.add_row(str(hidden), f"{devices:,}", *parts)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
