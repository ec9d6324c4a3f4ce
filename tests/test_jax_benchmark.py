"""benchmarks/lstm_step.py --device: its table, how it divides its time, and what it says of engines
that are not there, stop, or compute something else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

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
    before, reason, after = re.split(r"[()]", done.stderr)
    assert before == "--device gpu: JAX finds no GPU " and "gpu" in reason.lower()
    assert after == f"; {torch}; benchmarks/README.md says what to install\n"


def test_time_that_a_job_leaves_goes_to_the_next_ones_and_then_to_sizes_that_had_none(
    on_device, monkeypatch
):
    now, runs = [0.0], []
    full, none = on_device.Outcome(times=[1.0]), on_device.Outcome(missing=on_device.NO_TIME)

    def run_job(engine, dtype, chosen, sizes, seconds):
        slow = (engine, dtype) == ("minigrad", "float32") and not runs
        runs.append((engine, dtype, *sizes, seconds))
        now[0] += 4.0
        if engine == "torch":
            return False, "torch finds no GPU", dict.fromkeys(sizes, none)
        return True, "a GPU", dict.fromkeys(sizes, full) | ({"tiny": none} if slow else {})

    monkeypatch.setattr(on_device.time, "time", lambda: now[0])
    monkeypatch.setattr(on_device, "run_job", run_job)
    devices, table = on_device.measure_all(chosen())
    # Of five jobs; torch is not there, and is not asked a second time.
    assert runs == [
        ("minigrad", "float32", "one", "tiny", 60 / 5), ("JAX", "float32", "one", "tiny", 56 / 4),
        ("torch", "float32", "one", "tiny", 52 / 3), ("JAX", "bfloat16", "one", "tiny", 48.0),
        ("minigrad", "float32", "tiny", 44.0),
    ]  # fmt: skip
    assert devices == {"JAX": "a GPU"} and len(table) == 12
    assert table["tiny", "minigrad", "float32"] == full
    assert table["tiny", "torch", "bfloat16"].missing == "torch finds no GPU"
    assert table["tiny", "minigrad", "bfloat16"].missing == "the engine has no bfloat16"


def crash(engine, dtype, chosen, sizes, end, pipe):
    pipe.send((True, "a device"))
    pipe.send((sizes[0], "what there is so far"))
    os._exit(3)


def hang(engine, dtype, chosen, sizes, end, pipe):
    import time

    pipe.send((True, "a device"))
    time.sleep(600)


@pytest.mark.parametrize(
    ("work", "seconds", "first", "reason"),
    [(crash, 60.0, "what there is so far", "its process ended with 3"),
     (hang, 0.5, None, "no time was left")],
)  # fmt: skip
def test_a_process_that_ends_or_hangs_costs_its_own_rows_alone(
    on_device, monkeypatch, work, seconds, first, reason
):
    monkeypatch.setattr(on_device, "work", work)
    sizes = ["one", "tiny"]
    there, _, outcomes = on_device.run_job("JAX", "float32", chosen(), sizes, seconds)
    assert there and list(outcomes) == sizes and outcomes["tiny"].missing == reason
    assert outcomes["one"] == (first or outcomes["tiny"])


def test_a_share_counts_from_the_first_result_and_calls_come_after_warming(on_device, monkeypatch):
    clock, calls = [0.0], []

    def run():
        clock[0] += 0.125 if calls else 30.0  # compiling
        calls.append(clock[0])

    contender = SimpleNamespace(run=run, read=lambda _: (1.0, {}), same=True, notes=())
    for name in ("time", "perf_counter"):
        monkeypatch.setattr(on_device.time, name, lambda: clock[0])
    counts = [len(o.times) for o in on_device.measure(lambda case: contender, None, 38.0, 2)]
    # Of the 8 seconds that are left this size has half: two steps and .5 s of warming, then calls.
    assert len(calls) == 1 + 4 * 8
    assert counts == [on_device.CALLS[0], len(calls) - 1 - 2 - 4]


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


def test_without_a_number_of_minigrads_it_ends_with_1(on_device, monkeypatch, capsys):
    measured = {
        ("one", "minigrad", "float32"): on_device.Outcome(missing=on_device.NO_TIME),
        ("one", "JAX", "float32"): on_device.Outcome(times=[0.001], losses=[1.0] * 3),
        ("one", "torch", "float32"): on_device.Outcome(missing="no torch"),
    }
    monkeypatch.setattr(on_device, "measure_all", lambda chosen: ({"JAX": "a GPU"}, measured))
    assert on_device.report(chosen()) == 1
    assert "minigrad has no number at one (no time was left)" in capsys.readouterr().out
    measured["one", "minigrad", "float32"] = measured["one", "JAX", "float32"]
    assert on_device.report(chosen()) == 0
