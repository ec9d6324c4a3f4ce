"""Training in several processes on JAX: on loopback, each with two virtual devices."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from commands import refused
from jax_peer import jax
from safetensors.numpy import load_file

import lstm
from lstm.training.course import Course, Plan
from lstm.training.hosts import Hosts

# Each step is saved, messages have many blocks, and all but the first begin from weights of their
# own, which do not count. DIE="1:6" is: the process 1 ends by itself as its step 6 begins, which
# the others have begun, too, or will. ALONE: its command ends. STOP: that is asked to stop.
TASK = """
import os, signal, time
import lstm
from lstm.training import course, hosts, saver

saver.SECONDS_BETWEEN_SAVES = 0.0
hosts._BLOCK = 16
course.TEST_BATCH = 50

def start(self, start=course.Course.start):
    for p in self.state.leaves().values():
        p.value = p.value + self.hosts.index
    start(self)

course.Course.start = start

class Mortal(lstm.Adding):
    name = "mortal"

    def batch_at(self, position, rng, size):
        import jax
        at = f"{jax.process_index()}:{position + 1}"
        if os.environ.get("FAIL") == at:
            raise ValueError("a task's own")
        if os.environ.get("DIE") == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ.get("ALONE") == at:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(20)
        if os.environ.get("STOP", "").startswith(at):
            number = int(os.environ["STOP"].split(":")[2])
            before, end = signal.getsignal(number), time.monotonic() + 20
            os.kill(os.getppid(), number)
            while signal.getsignal(number) == before and time.monotonic() < end:
                time.sleep(0.01)  # until it is noted here
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


def trained(folder, count, options="", devices=2, last="", at_least=2, **environment):
    """(status, output, errors) of each of so many processes that train together; last: what the
    last one is asked for beside; at_least: so many are told that they are one of several."""
    folder.mkdir(exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    asked = [[*options.split()] for _ in range(count)]
    asked[-1] += last.split()
    with contextlib.ExitStack() as stack:
        processes = []
        for k, words in enumerate(asked):
            words += ["--hosts", f"{k}/{count}@{address}"] * (count >= at_least)
            processes.append(started(folder, words, devices, **environment))
            stack.callback(processes[-1].kill)
        told = [process.communicate(timeout=300) for process in processes]
    waits = re.compile(".* waits for the others .*\n")  # where the machine is slow
    return [
        (p.returncode, output, waits.sub("", errors))
        for p, (output, errors) in zip(processes, told, strict=True)
    ]


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


def test_processes_train_as_one(alone, four):
    same(four, alone)


def test_one_is_killed_and_training_goes_on_from_the_checkpoint(tmp_path, alone, four):
    told = trained(tmp_path, 4, DIE="2:6", ALONE="3:6")
    for k, (status, output, errors) in enumerate(told[:3]):
        assert (status, output) == (2, "") and errors.count("\n") == 1, errors
        assert errors.startswith(f"lstm: process {k} of 4 ") and "--resume" in errors
    assert "was ended by SIGKILL" in told[2][2]
    assert told[3] == (-signal.SIGKILL, "", "")
    shutil.copytree(tmp_path, tmp_path / "on")
    assert [status for status, *_ in trained(tmp_path, 4, "--resume")] == [0] * 4
    same(weights(tmp_path), four, exactly=True)
    for status, output, errors in trained(tmp_path / "on", 2, "--resume", STOP="1:8:15"):
        assert (status, output) == (143, "")
        assert errors == "lstm: stopped from outside: step 8 of 8 is saved in " + SAVED
    same(weights(tmp_path / "on"), alone)


def test_all_stop_where_one_is_asked_to(tmp_path):
    for status, output, errors in trained(tmp_path, 2, STOP="1:3:2"):
        assert (status, output) == (130, "")
        assert errors == "lstm: interrupted: step 4 of 8 is saved in " + SAVED


def test_one_that_is_asked_to_stop_while_it_waits_for_the_others_does(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as first:
        first.settimeout(100)
        address = f"127.0.0.1:{first.getsockname()[1]}"
        process = started(tmp_path, ["--hosts", f"1/2@{address}"], 1)
        with first.accept()[0]:
            process.terminate()
            output, errors = process.communicate(timeout=100)
    assert (process.returncode, output, errors) == (143, "", "lstm: stopped from outside\n")


def test_one_that_waits_says_so():
    place = f"0/2@127.0.0.1:{free_port()}"
    words = ["train", "adding", "--backend", "jax", "--hosts", place]
    code = "import sys; from lstm.cli import hosts, main; hosts.NOTICE = 0; sys.exit(main({}))"
    command = [sys.executable, "-c", code.format(words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        process.terminate()
        after = process.stderr.read()
    assert line == f"lstm: process 0 of 2 waits for the others at {place[4:]}, 300 s\n"
    assert (process.returncode, after) == (143, "lstm: stopped from outside\n")


def test_processes_that_are_told_other_numbers(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    asked = [["--hosts", f"0/2@{address}"], ["--hosts", f"1/3@{address}"]]
    first, second = (started(tmp_path, words, 2) for words in asked)
    _, errors = second.communicate(timeout=300)
    first.communicate(timeout=300)
    assert (first.returncode, second.returncode) == (2, 2)
    assert "process 1 of 3 has joined 2: each is to be told one number" in errors


def test_the_place_of_an_error_that_is_not_ours_is_told(tmp_path):
    [(status, output, errors)] = trained(tmp_path, 1, at_least=1, FAIL="0:1")
    assert (status, output) == (1, "")
    assert errors.startswith("Traceback") and errors.endswith("ValueError: a task's own\n")


def test_an_address_in_use_is_refused(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"0/1@127.0.0.1:{taken.getsockname()[1]}"
        errors = refused(capfd, "train", "adding", "--backend", "jax", "--hosts", place)
    assert "process 0 of 1 cannot listen at 127.0.0.1:" in errors and "in use" in errors


def course_of(optimizer=None, steps=1):
    """A training that takes itself for one of two processes."""
    model = lstm.Model.create(lstm.RNN(2, 3), output_size=1)
    settings, plan = lstm.Settings(steps=steps, batch=2), Plan(3, None, optimizer is not None)
    course = Course(model, lstm.Adding(length=4), settings, plan, optimizer)
    course.hosts.count = 2
    return course


def test_only_what_processes_compute_together_tells_of_a_lost_one(monkeypatch):
    course = course_of()
    failure = jax.errors.JaxRuntimeError

    def fails(*_):
        raise failure("UNAVAILABLE: the task's own")

    monkeypatch.setattr(lstm.Adding, "batch_at", fails)
    with pytest.raises(failure, match="the task's own"):
        course.step()
    with pytest.raises(failure, match="memory"), course.hosts.lost_if_it_fails():
        raise failure("RESOURCE_EXHAUSTED: out of memory")
    for error in (failure, ValueError):  # which of both it is depends on where JAX meets it
        with pytest.raises(lstm.LostProcessError, match="gone"), course.hosts.lost_if_it_fails():
            raise error("UNKNOWN: Gloo all-reduce failed: Connection closed by peer")
    with pytest.raises(ValueError, match="bounds"), course.hosts.lost_if_it_fails():
        raise ValueError("index 3 is out of bounds")


def test_an_optimizer_that_remembers_something_else_is_refused(monkeypatch):
    first, second = course_of(lstm.optim.sgd(0.1)), course_of(lstm.optim.adam(0.1))
    messages = []
    monkeypatch.setattr(first.hosts, "told", lambda data: messages.append(data) or data)
    first.start()
    monkeypatch.setattr(second.hosts, "told", lambda data: messages[0])
    with pytest.raises(lstm.ConfigError, match="another state: its 'optimizer"):
        second.start()


def test_what_is_resumed_is_compared_before_anything_is_computed_together(monkeypatch):
    course = course_of(steps=1)
    course.hosts.count = 1
    course.step()
    again, messages = course_of(steps=1), []
    monkeypatch.setattr(again.hosts, "told", lambda data: messages.append(data) or data)
    again.resume(course.checkpoint())
    assert not messages
    again.start()
    assert b"settings" in messages[0] and len(messages) == 2 and again.best is not None


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
        ("--hosts 0/2@h:99999 --backend jax", "a port up to 65535"),
        ("--hosts 0/2@h:1", "--hosts is for --backend jax, not --backend auto"),
        ("--devices 2", "devices= is for backend=\"jax\", not 'auto'"),
        ("--devices 0 --backend jax", "'0' is no whole number of at least 1"),
        ("--devices 3 --backend jax", "xla_force_host_platform_device_count=3"),
        ("--devices 16 --backend jax", "xla_force_host_platform_device_count=16"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, capfd, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capfd, "train", "adding", *options.split())


def test_a_batch_is_divided_evenly(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    with pytest.raises(
        lstm.ConfigError, match="5 sequences does not divide over 3 devices; take 6"
    ):
        Hosts("jax", 3, batch=5)
    assert Hosts("jax", "all", batch=8).devices == 4


def test_a_launcher_that_does_not_say_all_is_told_so(tmp_path):
    environment = {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://127.0.0.1:1"}
    process = started(tmp_path, ["--hosts", "auto"], 1, **environment)
    output, errors = process.communicate(timeout=100)
    assert (process.returncode, output, errors.count("\n")) == (2, "", 1)
    assert "cannot join the others: KeyError('OMPI_" in errors
