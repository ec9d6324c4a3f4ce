"""Training in several processes on JAX: on loopback, each with two virtual devices."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from commands import refused
from jax_peer import jax
from safetensors.numpy import load_file

assert jax

# Each step is saved. DIE="1:6" is: the process 1 ends by itself as its step 6 begins, which the
# others have begun, too, or will; STOP="1:6" is that it is asked to stop.
TASK = """
import os, signal
import lstm
from lstm.training import fitting

fitting.SECONDS_BETWEEN_SAVES = 0.0

class Mortal(lstm.Adding):
    name = "mortal"

    def batch_at(self, position, rng, size):
        import jax
        for name, number in (("DIE", signal.SIGKILL), ("STOP", signal.SIGTERM)):
            if os.environ.get(name) == f"{jax.process_index()}:{position + 1}":
                os.kill(os.getpid(), number)
        return super().batch_at(position, rng, size)
"""
OPTIONS = "--cell rnn --length 4 --hidden-size 3 --steps 8 --batch 8 --validate 5 --backend jax"
OPTIONS += " --out m.safetensors"
SAVED = "m.checkpoint.safetensors; resume=True (--resume) goes on from there\n"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def started(folder, words, devices, **environment):
    """One process of a training."""
    (folder / "mortal.py").write_text(TASK)
    flags = f"--xla_force_host_platform_device_count={devices}"
    setting = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | environment
    command = [sys.executable, "-m", "lstm.cli", "train", "mortal.py:Mortal", *OPTIONS.split()]
    return subprocess.Popen(
        [*command, *words], cwd=folder, env={**os.environ, **setting}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def trained(folder, count, options="", devices=2, last="", **environment):
    """(status, output, errors) of each of so many processes that train together; last: what the
    last one is asked for beside."""
    folder.mkdir(exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    asked = [[*options.split()] for _ in range(count)]
    asked[-1] += last.split()
    with contextlib.ExitStack() as stack:
        processes = []
        for k, words in enumerate(asked):
            words += ["--hosts", f"{k}/{count}@{address}"] * (count > 1)
            processes.append(started(folder, words, devices, **environment))
            stack.callback(processes[-1].kill)
        told = [process.communicate(timeout=100) for process in processes]
    return [(p.returncode, *said) for p, said in zip(processes, told, strict=True)]


def weights(folder):
    return {k: v for k, v in load_file(folder / "m.checkpoint.safetensors").items() if "." in k}


def same(ours, theirs, exactly=False):
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        tolerance = {} if exactly else {"rtol": 1e-4, "atol": 1e-5}
        check = np.testing.assert_array_equal if exactly else np.testing.assert_allclose
        check(ours[name], value, err_msg=name, **tolerance)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A training of eight steps in one process, on four devices."""
    folder = tmp_path_factory.mktemp("alone")
    [(status, _, errors)] = trained(folder, 1, "--devices 4", devices=4)
    assert status == 0, errors
    return weights(folder)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """The same in four processes of two devices."""
    folder = tmp_path_factory.mktemp("four")
    told = trained(folder, 4)
    assert [status for status, *_ in told] == [0] * 4, told
    return weights(folder)


def test_processes_train_as_one(tmp_path, alone, four):
    first, second = trained(tmp_path, 2)
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "Wrote m.safetensors" in first[1] and second[1] == ""
    assert first[2] == second[2] == ""
    same(weights(tmp_path), alone)
    same(four, alone)


def test_one_is_killed_and_training_goes_on_from_the_checkpoint(tmp_path, alone, four):
    told = trained(tmp_path, 4, DIE="2:6")
    for k, (status, output, errors) in enumerate(told):
        assert (status, output) == (2, "") and errors.count("\n") == 1, errors
        assert errors.startswith(f"lstm: process {k} of 4 ") and "--resume" in errors
    assert "was ended by SIGKILL" in told[2][2]
    shutil.copytree(tmp_path, tmp_path / "on")
    assert [status for status, *_ in trained(tmp_path, 4, "--resume")] == [0] * 4
    same(weights(tmp_path), four, exactly=True)
    assert [status for status, *_ in trained(tmp_path / "on", 2, "--resume")] == [0] * 2
    same(weights(tmp_path / "on"), alone)


def test_all_stop_where_one_is_asked_to(tmp_path):
    for status, output, errors in trained(tmp_path, 2, STOP="1:3"):
        assert (status, output) == (143, "")
        assert errors == "lstm: stopped from outside: step 4 of 8 is saved in " + SAVED


def test_processes_that_are_not_asked_for_the_same(tmp_path):
    first, second = trained(tmp_path, 2, "--devices 4", last="--rate 0.5")
    assert (first[0], second[0]) == (2, 2)
    assert "asked for something else: it is of another settings: its 'rate' is" in second[2]
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--hosts 2/2@h:1 --backend jax", "neither auto nor such as 0/4@10.0.0.1:8476"),
        ("--hosts 0/2@h --backend jax", "neither auto nor"),
        ("--hosts 0/2@h:1", "--hosts is for --backend jax, not --backend auto"),
        ("--devices 2", "devices= is for backend=\"jax\", not 'auto'"),
        ("--devices 0 --backend jax", "'0' is no whole number of at least 1"),
        ("--devices 3 --backend jax", "does not divide over 3 devices; take 33"),
        ("--devices 16 --backend jax", "xla_force_host_platform_device_count=16"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, capfd, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capfd, "train", "adding", *options.split())


def test_a_process_that_no_launcher_started_is_told_so(tmp_path):
    process = started(tmp_path, ["--hosts", "auto"], 1)
    output, errors = process.communicate(timeout=100)
    assert (process.returncode, output, errors.count("\n")) == (2, "", 1)
    assert "cannot join the others: coordinator_address" in errors
