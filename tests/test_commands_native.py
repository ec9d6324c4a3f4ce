"""The commands as people run them: on machine code where there is a compiler, which tests of what
they print do without; and with no standard error to write to."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from commands import command

import lstm
from lstm.cli.demo import FILES as DEMO_FILES
from lstm.cli.flow import FILES as FLOW_FILES
from minigrad.compile.backends import registry

QUICK = ["--steps", "2", "--length", "4"]


@pytest.fixture
def native(monkeypatch):
    """What machine code was asked for, one entry a function."""
    made, make = [], registry.BACKENDS["native"]

    def noted(options):
        made.append(options)
        return make(options)

    monkeypatch.setitem(registry.BACKENDS, "native", noted)
    return made


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("args", "files"),
    [
        (["demo", *QUICK], {*DEMO_FILES, "rnn.safetensors", "lstm.safetensors"}),
        (["flow", "m.safetensors"], {*FLOW_FILES}),
    ],
    ids=["demo", "flow"],
)
@pytest.mark.slow
def test_commands_run_on_machine_code_with_no_standard_error(
    capsys, tmp_path, monkeypatch, native, args, files
):
    monkeypatch.chdir(tmp_path)
    task = lstm.Adding(4)
    lstm.Model.create(lstm.LSTM, task=task, hidden_size=2, seed=0).save("m.safetensors")
    monkeypatch.setattr(sys, "stderr", None)
    assert command(capsys, *args, "--out", "made")[0] == 0
    assert {*os.listdir("made")} == files
    assert bool(native) == bool(find_spec("llvmlite"))


@pytest.mark.skipif(sys.platform == "win32", reason="closed descriptors are POSIX's")
def test_training_goes_on_where_standard_error_is_closed(tmp_path):
    asked = f"train adding {' '.join(QUICK)} --hidden-size 2 --batch 2 --out m.safetensors"
    line = f"{sys.executable} -m lstm.cli {asked} 2>&-"
    done = subprocess.run(
        line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Wrote m.safetensors\n")
    assert lstm.Model.load(tmp_path / "m.safetensors").cell.hidden_size == 2
