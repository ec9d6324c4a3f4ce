"""`lstm train`: where it writes, what it refuses to write over, how it stops and is resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm.cli import main
from lstm.files import new_folder
from lstm.model import Model
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Adding

QUICK = ["--length", 5, "--hidden", 3, "--batch", 4]
MODEL = "lstm-models/adding-lstm.safetensors"
CHECKPOINT = "lstm-models/adding-lstm.checkpoint.safetensors"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(capsys, *args):
    status = main([str(a) for a in ("train", "adding", *args)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_nothing_that_was_trained_is_lost(capsys):
    status, out, _ = command(capsys, *QUICK, "--steps", 2)
    assert status == 0
    assert f"Wrote {MODEL}" in out
    assert "Ended after step 2 of 2: these are all steps." in out
    assert sorted(os.listdir("lstm-models")) == sorted(map(os.path.basename, (MODEL, CHECKPOINT)))
    before = {name: Path(name).read_bytes() for name in (MODEL, CHECKPOINT)}
    status, out, err = command(capsys, *QUICK, "--steps", 10**9)
    assert (status, out) == (2, "")
    assert err == (
        f"lstm: {MODEL} is there already: --resume goes on with its training, --force writes over "
        "it, --out takes another\n"
    )
    assert {name: Path(name).read_bytes() for name in before} == before
    os.unlink(MODEL)  # the checkpoint alone is not written over either
    assert command(capsys, *QUICK, "--steps", 10**9)[0] == 2
    assert command(capsys, *QUICK, "--steps", 1, "--force")[0] == 0
    assert Path(CHECKPOINT).read_bytes() != before[CHECKPOINT]
    assert command(capsys, *QUICK, "--steps", 1, "--cell", "gru", "--metrics", "m")[0] == 0
    status, _, err = command(capsys, *QUICK, "--steps", 1, "--out", "x", "--metrics", "m")
    assert (status, "m is there already: --force" in err) == (2, True)


def test_the_model_is_the_best_one(capsys):
    args = [*QUICK, "--steps", 20, "--rate", 3, "--schedule", "constant", "--validate", 1]
    told = [json.loads(line) for line in command(capsys, *args, "--json")[1].splitlines()]
    best = min(told[:-1], key=lambda line: line["score"]["loss"])
    assert best["step"] < 20
    arrays = read_checkpoint(CHECKPOINT).arrays
    saved = Model.load(MODEL).values()
    assert same(saved, {name: arrays[f"best.{name}"] for name in saved})
    assert told[-1]["why"] == "steps"
    assert told[-1]["model"] == MODEL


def test_options_of_optimisers_and_schedules(capsys):
    args = [*QUICK, "--steps", 5, "--optimizer", "momentum", "--beta", 0.5, "--warmup", 2]
    args += ["--schedule", "exponential", "--factor", 0.9, "--every", 3, "--json"]
    told = json.loads(command(capsys, *args)[1].splitlines()[-1])["training"]
    assert told["optimizer_options"] == {"beta": 0.5}
    assert told["schedule_options"] == {"factor": 0.9, "every": 3}
    assert (told["optimizer"], told["schedule"], told["warmup"]) == ("momentum", "exponential", 2)


# --- stopped and resumed --------------------------------------------------------------------------


@pytest.fixture
def stopped(monkeypatch):
    """A function that lets training meet a signal while it draws its fifth batch."""

    def install(number):
        def batch(self, rng, size):
            if size == 4 and not draws.append(size) and len(draws) == 5:
                os.kill(os.getpid(), number)
            return drawn(self, rng, size)

        draws: list[int] = []
        drawn = Adding.batch
        monkeypatch.setattr(Adding, "batch", batch)

    return install


@pytest.mark.parametrize(
    ("name", "word", "status"),
    [("SIGINT", "interrupted", 130), ("SIGTERM", "stopped from outside", 143)],
)
def test_stopped_and_resumed_it_ends_where_it_would_have(capsys, stopped, name, word, status):
    args = [*QUICK, "--steps", 9, "--validate", 2]
    assert command(capsys, *args, "--out", "whole", "--metrics", "whole.jsonl")[0] == 0
    stopped(getattr(signal, name))
    ended = command(capsys, *args, "--metrics", "m.jsonl")
    assert ended == (
        status,
        "",
        f"lstm: {word}: step 5 of 9 is saved in {CHECKPOINT}; resume=True (--resume) goes on from "
        "there\n",
    )
    assert not os.path.exists(MODEL)
    status, out, _ = command(capsys, "--resume", "--metrics", "m.jsonl", *QUICK)
    assert status == 0
    assert "Ended after step 9 of 9" in out
    assert same(Model.load(MODEL).values(), Model.load("whole").values())
    assert Path("m.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_it_may_be_resumed_to_train_longer_and_not_otherwise(capsys):
    assert command(capsys, *QUICK, "--steps", 2, "--schedule", "constant")[0] == 0
    status, _, err = command(capsys, *QUICK, "--resume", "--rate", 0.5)
    assert (status, "its settings are others: rate was 0.03, not 0.5" in err) == (2, True)
    status, _, err = command(capsys, *QUICK, "--resume", "--optimizer", "sgd")
    assert (status, "its settings are others: optimizer was adam, not sgd" in err) == (2, True)
    told = command(capsys, *QUICK, "--resume", "--steps", 4, "--json")[1]
    assert json.loads(told.splitlines()[-1])["steps"] == 4
    args = ["--steps", 4, "--schedule", "constant", "--out", "w", "--validate", 1]
    assert command(capsys, *QUICK, *args)[0] == 0
    assert same(read_checkpoint(CHECKPOINT).arrays, read_checkpoint("w.checkpoint").arrays)


@pytest.mark.slow
def test_the_same_bits_across_processes():
    """A training in one process; and in three, each stopped by a signal of its own."""
    args = ["train", "adding", *map(str, QUICK)]
    first = ["--steps", "40", "--validate", "7", "--optimizer", "nesterov"]
    code = (
        "import os, signal, sys\nfrom lstm.cli import main\nfrom lstm.tasks import Adding\n"
        "drawn, left = Adding.batch, [{}]\n"
        "def batch(self, rng, size):\n"
        "    left[0] -= size == 4\n"
        "    if not left[0]: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return drawn(self, rng, size)\n"
        "Adding.batch = batch\nsys.exit(main(sys.argv[1:]))\n"
    )
    assert main([*args, *first, "--out", "whole"]) == 0
    args += ["--out", "parts"]
    for stop, more in ((20, first), (7, ["--resume"])):
        done = subprocess.run([sys.executable, "-c", code.format(stop), *args, *more])
        assert done.returncode == 143
    assert main([*args, "--resume"]) == 0
    assert Path("whole").read_bytes() == Path("parts").read_bytes()
    ours, theirs = read_checkpoint("whole.checkpoint"), read_checkpoint("parts.checkpoint")
    assert same(ours.arrays, theirs.arrays)
    assert ours.about == theirs.about


# --- the disk -------------------------------------------------------------------------------------


def test_a_folder_that_was_made_in_vain_goes_again(tmp_path):
    with new_folder(tmp_path / "a" / "b"):
        pass
    assert os.listdir(tmp_path) == []
    with new_folder(tmp_path / "a" / "b") as folder:
        (folder / "x").touch()
    assert os.listdir(tmp_path / "a" / "b") == ["x"]


# --- cells and tasks of one's own -----------------------------------------------------------------

OWN = """
import lstm

class Half(lstm.RNN):
    name = "half"
    def equations(self, params, state, x):
        return {"h": 0.5 * super().equations(params, state, x)["h"]}

class Twice(lstm.Adding):
    name = "twice"
    def batch(self, rng, size):
        xs, ys = super().batch(rng, size)
        return xs, 2 * ys
"""


def test_own_cells_and_tasks_train_and_resume(capsys):
    Path("own.py").write_text(OWN)
    own = ["own.py:Twice", "--cell", "own.py:Half", "--length", 5, "--batch", 4]
    status = main([str(a) for a in ("train", *own, "--steps", 2)])
    out = capsys.readouterr().out
    assert (status, "Wrote lstm-models/twice-half.safetensors" in out) == (0, True)
    assert main([str(a) for a in ("train", *own, "--resume", "--steps", 4)]) == 0
    assert "Ended after step 4 of 4" in capsys.readouterr().out
    assert main(["info", "lstm-models/twice-half.safetensors", "--cell", "own.py:Half"]) == 0
    for wrong, message in (
        (["own.py:Half"], "own.py has no Task called 'Half'; it has: Twice"),
        (["adding", "--cell", "own.py:Twice"], "own.py has no Cell called 'Twice'"),
        (["adding", "--cell", "hlaf"], "argument --cell: there is no 'hlaf'; there are"),
    ):
        capsys.readouterr()
        assert main(["train", *wrong]) == 2
        assert message in capsys.readouterr().err
