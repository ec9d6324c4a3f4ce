"""benchmarks/lstm_step.py --device: its table, how it divides its time, and what it says of engines
that are not there, stop, or compute something else."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import pytest
from jax_peer import jax

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
assert jax


def command(*arguments, **environment):
    """The benchmark, run to its end."""
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "lstm_step.py"), *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture
def on_device(monkeypatch):
    """The benchmark's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import lstm_on_device

    return lstm_on_device


def chosen(**options):
    """What the command line says."""
    given = {"device": "gpu", "cell": "lstm", "sizes": "one,tiny", "seconds": 60.0}
    return Namespace(**given, remember=False, threads=1, **options)


def test_a_row_for_each_size_engine_and_dtype():
    done = command("--device", "cpu", "--sizes", "one", "--seconds", "240")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    rows = {(r[3], r[4]): r[5:-1] for r in lines if len(r) > 5 and r[1] == "one"}
    assert len(rows) == 6
    assert rows["bfloat16", "minigrad"] == [*["—"] * 6, "the engine has no bfloat16"]
    measured = [("float32", "minigrad"), ("float32", "JAX"), ("bfloat16", "JAX")]
    if find_spec("torch"):
        measured += [("float32", "torch"), ("bfloat16", "torch")]
    else:
        assert rows["float32", "torch"][-1] == rows["bfloat16", "torch"][-1] == "no torch"
    for key in measured:
        first, middle, least, calls = map(float, rows[key][:4])
        assert first > 0 and middle >= least > 0 and calls >= 3
    assert rows["float32", "JAX"][5] == "1.00" and float(rows["float32", "minigrad"][5]) > 0
    assert float(rows["float32", "JAX"][6]) < 1e-5 < float(rows["bfloat16", "JAX"][6])
    assert f"JAX {jax.__version__}: cpu" in done.stdout and "XLA" in done.stdout


def test_without_a_gpu_it_ends_in_one_sentence():
    done = command("--device", "gpu", JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1 and done.stdout == ""
    torch = "torch finds no GPU" if find_spec("torch") else "no torch"
    said = f"--device gpu: JAX finds no GPU; {torch}; benchmarks/README.md says what to install\n"
    assert done.stderr == said


def test_time_that_a_job_leaves_goes_to_the_next_ones(on_device, monkeypatch):
    now, given = [0.0], []

    def run_job(engine, dtype, chosen, seconds):
        given.append((engine, dtype, seconds))
        now[0] += 4.0
        outcomes = [on_device.Outcome(times=[1.0]) for _ in range(2)]
        return engine != "torch", "torch finds no GPU", outcomes

    monkeypatch.setattr(on_device.time, "time", lambda: now[0])
    monkeypatch.setattr(on_device, "run_job", run_job)
    devices, table = on_device.measure_all(chosen())
    # Of five jobs; torch is not there, and is not asked a second time.
    assert given == [
        ("minigrad", "float32", 60 / 5), ("JAX", "float32", 56 / 4), ("torch", "float32", 52 / 3),
        ("JAX", "bfloat16", 48.0),
    ]  # fmt: skip
    assert list(devices) == ["JAX"] and len(table) == 12
    assert table["tiny", "torch", "bfloat16"].missing == "torch finds no GPU"


def crash(engine, dtype, chosen, end, pipe):
    os._exit(3)


def hang(engine, dtype, chosen, end, pipe):
    import time

    pipe.send((True, "a device"))
    time.sleep(600)


@pytest.mark.parametrize(
    ("work", "seconds", "reason"),
    [(crash, 60.0, "its process ended with 3"), (hang, 0.5, "no time was left")],
)
def test_a_process_that_ends_or_hangs_costs_its_own_rows_alone(
    on_device, monkeypatch, work, seconds, reason
):
    monkeypatch.setattr(on_device, "work", work)
    there, _, outcomes = on_device.run_job("JAX", "float32", chosen(), seconds)
    assert there and [o.missing for o in outcomes] == [reason] * 2


def test_a_loss_that_is_not_minigrads_is_told(on_device, monkeypatch, capsys):
    losses = {"minigrad": 1.0, "JAX": 1.00001, "torch": 1.001}
    measured = {
        ("one", engine, dtype): on_device.Outcome(times=[0.001], losses=[loss, loss, loss + slip])
        for engine, loss in losses.items()
        for dtype, slip in (("float32", 0.0), ("bfloat16", 0.1))
    }
    measured["one", "JAX", "float32"].losses[2] += 0.0002
    monkeypatch.setattr(on_device, "measure_all", lambda chosen: ({"JAX": "a GPU"}, measured))
    assert on_device.report(chosen()) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if "differs" in line]
    told = "{}, float32: a loss differs from minigrad's by {} of it"
    assert said == [told.format("one, JAX", "2.1e-04"), told.format("one, torch", "1.0e-03")]
