"""The command line: what it prints and writes, and that every error is one line and status 2."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import command as run
from rich.console import Console

import lstm
from lstm.cells import LSTM
from lstm.cli import main
from lstm.cli.demo import FILES as DEMO_FILES
from lstm.cli.flow import FILES as FLOW_FILES
from lstm.cli.tables import score_table
from lstm.gradient_flow.measuring import flow_to_draw
from lstm.model import Model
from lstm.tasks import Adding
from lstm.training import Report, Score

pytestmark = pytest.mark.usefixtures("by_numpy")

QUICK = ["--steps", "3", "--length", "5", "--hidden", "3", "--batch", "4"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Models that are written where one is are written into a folder of the test's."""
    monkeypatch.chdir(tmp_path)


def saved(path, task=None):
    task = Adding(5).config() if task is None else task
    Model.create(LSTM(2, 3), 1, seed=0, task=task).save(path)
    return path


def test_tasks(capsys):
    status, out, err = run(capsys, "tasks")
    assert (status, err) == (0, "")
    assert "adding" in out
    found = json.loads(run(capsys, "tasks", "--json")[1])
    assert found["adding"]["baseline"] == pytest.approx(1 / 6)


def test_train_prints_a_table_and_writes_a_model(capsys, tmp_path):
    path = tmp_path / "m.safetensors"
    status, out, _ = run(capsys, "train", "adding", *QUICK, "--out", path)
    assert status == 0
    assert "always 1" in out
    assert "0.1667" in out
    model = Model.load(path)
    assert model.cell == LSTM(2, 3, memory=5)
    assert model.task == {"name": "adding", "settings": {"length": 5, "variant": "halves"}}
    assert sorted(os.listdir(tmp_path)) == ["m.checkpoint.safetensors", "m.safetensors"]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "coupled"])
def test_train_json_is_all_of_stdout_and_repeats_by_seed(capsys, cell):
    status, out, err = run(capsys, "train", "adding", *QUICK, "--cell", cell, "--json")
    assert (status, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    again = run(capsys, "train", "adding", *QUICK, "--cell", cell, "--json", "--force")[1]
    first, second = told[-1], json.loads(again.splitlines()[-1])
    assert [line["step"] for line in told[:-1]] == [1, 2, 3]  # its validations
    assert first.pop("seconds") > 0
    assert second.pop("seconds") > 0
    assert first == second
    assert first["cell"]["name"] == cell
    assert first["test_loss"] > 0
    assert first["solved"] is False


@pytest.mark.parametrize(
    ("option", "expected"), [([], 5), (["--memory", "40"], 40), (["--memory", "0"], None)]
)
def test_memory(capsys, option, expected):
    out = run(capsys, "train", "adding", *QUICK, "--json", *option)[1]
    assert json.loads(out.splitlines()[-1])["cell"]["memory"] == expected


def test_info(capsys, tmp_path):
    path = saved(tmp_path / "[bold]m.safetensors")  # a name that is no markup
    status, out, err = run(capsys, "info", path)
    assert (status, err) == (0, "")
    assert all(word in out for word in ("lstm", "hidden_size", "W_f", "(5, 3)", "float32"))
    found = json.loads(run(capsys, "info", path, "--json")[1])
    assert found["tensors"]["readout.W_y"] == {"shape": [3, 1], "dtype": "float32"}
    assert found["task"]["name"] == "adding"


def test_demo_writes_its_pictures_and_prints_both_errors(capsys, tmp_path):
    out_dir = tmp_path / "new" / "demo"
    status, out, _ = run(capsys, "demo", "--steps", 2, "--length", 4, "--out", out_dir)
    assert status == 0
    assert all(word in out for word in ("always 1", "0.1667", "RNN", "LSTM", "∂L/∂C₁", "memory"))
    assert (out_dir / "index.html").is_file()
    assert set(os.listdir(out_dir)) == {*DEMO_FILES, "rnn.safetensors", "lstm.safetensors"}


@pytest.mark.usefixtures("undrawn")
def test_demo_json(capsys, tmp_path):
    args = ["--steps", 2, "--length", 4, "--out", tmp_path, "--json"]
    status, out, err = run(capsys, "demo", *args)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert set(found["models"]) == {"rnn", "lstm"}
    assert set(found["models"]["lstm"]["gradient_after"]) == {"h", "C"}
    assert all(os.path.isfile(name) for name in found["files"])


@pytest.mark.slow
def test_flow(capsys, tmp_path, request):
    path = saved(tmp_path / "m.safetensors")
    status, out, _ = run(capsys, "flow", path, "--out", tmp_path / "flow")
    assert status == 0
    assert "∂L/∂C reaches t=1" in out
    assert set(os.listdir(tmp_path / "flow")) == set(FLOW_FILES)
    request.getfixturevalue("undrawn")
    args = ["--out", tmp_path / "flow", "--length", 7, "--json"]  # over what was written before
    found = json.loads(run(capsys, "flow", path, *args)[1])
    assert found["task"]["settings"]["length"] == 7
    assert set(found["flow"]["series"]) == {"h", "C"}


# --- errors ------------------------------------------------------------------------------------

ERRORS = [
    ([], "the following arguments are required: COMMAND (see lstm --help)"),
    (["trian"], "there is no 'trian'; there are demo, train, flow"),
    (["train"], "the following arguments are required: TASK (see lstm train --help)"),
    (["train", "juggling"], "there is no task 'juggling'; there are: adding, agreement, caption, "),
    (
        ["train", "adding", "--cell", "mlp"],
        "argument --cell: there is no 'mlp'; there are",
    ),
    (["train", "adding", "--length", "x"], "'x' is no whole number of at least 1"),
    (["train", "adding", "--length", "10001"], "argument --length: '10001' is more than 10000"),
    (["train", "adding", "--steps", "9" * 5000], "is no whole number of at least 1"),
    (["train", "adding", "--length", "1"], "length must be a whole number of at least 2, not 1"),
    (["train", "adding", "--hidden", "2147483647"], "'2147483647' is more than 1000000"),
    (["train", "adding", "--out", ""], "argument --out: the path is empty"),
    (["info", ""], "argument MODEL: the path is empty"),
    (["train", "adding", "--steps", "0"], "'0' is no whole number of at least 1"),
    (["train", "adding", "--steps", "1.5"], "'1.5' is no whole number of at least 1"),
    (["train", "adding", "--rate", "-1"], "'-1' is no positive number"),
    (["train", "adding", "--rate", "nan"], "'nan' is no positive number"),
    (["train", "adding", "--optimizer", "adan"], "there is no 'adan'; there are sgd"),
    (["train", "adding", "--warmup", "500"], "warmup must end before training does"),
    (["train", "adding", "--beta", "0.5"], "--beta is a number for momentum, nesterov, rmsprop"),
    (["train", "adding", "--schedule", "exponential"], "exponential needs factor="),
    (["train", "adding", "--resume"], "adding-lstm.checkpoint.safetensors: No such file"),
    (["train", "adding", "--seed", "-1"], "'-1' is no whole number of at least 0"),
    (["train", "adding", "--sed", "1"], "unrecognized arguments: --sed"),
    (["train", "adding", "--memory", "1"], "memory must be more than 2 steps, and finite, not 1"),
    (["train", "adding", "--cell", "rnn", "--memory", "9"], "has no gates for a memory to set"),
    (["train", "adding", "--out", "{tmp}/absent/m"], "cannot write {tmp}/absent/m: there is no"),
    (["train", "adding", "--out", "{tmp}"], "cannot write {tmp}: it is no regular file"),
    (["train", "adding", "--metrics", "{tmp}"], "cannot write {tmp}: it is no regular file"),
    (["info", "{tmp}/absent"], "cannot load the model {tmp}/absent: No such file"),
    (["info", "{tmp}/noise"], "cannot load the model {tmp}/noise: it is no sound safetensors"),
    (["info", "{tmp}"], "cannot load the model {tmp}: Is a directory"),
    (["info", "adding"], "adding is a task, and a model is needed: lstm train adding makes one"),
    (["train", "adding", "--cell", "{tmp}/noise:Own"], "{tmp}/noise is no file of Python, which"),
]
DRAWING_ERRORS = [
    (["demo", "--length", "2"], "'2' is no whole number of at least 3"),
    (["demo", "--out", "{tmp}/noise"], "cannot write into {tmp}/noise: it is a file, and no fo"),
    (["demo", "--out", "{tmp}/noise/demo"], "cannot write into {tmp}/noise/demo"),
    (["flow", "{tmp}/noise"], "cannot load the model {tmp}/noise: it is no sound safetensors"),
    (["flow", "{tmp}/good", "--length", "0"], "'0' is no whole number of at least 1"),
    (
        ["flow", "{tmp}/good", "--length", "1"],
        "length must be a whole number of at least 2",
    ),
    (["flow", "{tmp}/long"], "the model {tmp}/long has a task of 20000 steps, more than 10000"),
    (["demo", "--out", ""], "argument --out: the path is empty"),
    (["flow", "{tmp}/good", "--out", "{tmp}/noise/x"], "cannot write into {tmp}/noise/x"),
    (["flow", "{tmp}/taskless"], "the model {tmp}/taskless has no task to show it"),
    (["flow", "{tmp}/odd"], "the model {tmp}/odd has no task to show it"),
    (
        ["flow", "{tmp}/other"],
        "the model {tmp}/other does not fit its task copying: the model has 2 inputs and 1 outputs",
    ),
]


def check_error(capsys, tmp_path, args, message):
    (tmp_path / "noise").write_bytes(b"\0" * 64)
    saved(tmp_path / "good")
    saved(tmp_path / "taskless", task={})
    saved(tmp_path / "odd", task={"name": "adding", "settings": {"size": 3}})
    saved(tmp_path / "long", task=Adding(20000).config())
    saved(tmp_path / "other", task={"name": "copying", "settings": {}})
    before = sorted(os.listdir(tmp_path))
    status, out, err = run(capsys, *[a.replace("{tmp}", str(tmp_path)) for a in args])
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("lstm: ")
    assert message.replace("{tmp}", str(tmp_path)) in err
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(("args", "message"), ERRORS)
def test_errors(capsys, tmp_path, args, message):
    check_error(capsys, tmp_path, args, message)


@pytest.mark.parametrize(("args", "message"), DRAWING_ERRORS)
def test_errors_of_drawing_commands(capsys, tmp_path, args, message):
    check_error(capsys, tmp_path, args, message)


def test_a_folder_without_permission_is_found_before_training(capsys, tmp_path):
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("permission bits do not stop this user")
    tmp_path.chmod(0o500)
    path = tmp_path / "m.safetensors"
    status, _, err = run(capsys, "train", "adding", "--steps", 10**6, "--out", path)
    tmp_path.chmod(0o700)
    assert status == 2
    assert "cannot write into" in err


def test_nothing_is_left_of_a_demo_that_fails(capsys, tmp_path, monkeypatch):
    def fail(folder, *_, **__):
        (folder / "half.svg").write_text("<svg")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lstm.figures.write_demo", fail)
    args = ["demo", "--steps", 1, "--length", 4, "--out", tmp_path / "a" / "b", "--json"]
    status, out, err = run(capsys, *args)
    assert (status, out) == (2, "")
    assert "No space left on device" in err
    assert os.listdir(tmp_path) == []


def test_training_that_diverges_says_so_in_one_line(capsys, tmp_path, monkeypatch):
    def poisoned(self, rng, size):
        return np.full((5, size, 2), np.nan, np.float32), np.zeros((size, 1), np.float32)

    monkeypatch.setattr(Adding, "batch", poisoned)
    path = tmp_path / "m.safetensors"
    status, out, err = run(capsys, "train", "adding", *QUICK, "--json", "--out", path)
    assert (status, out) == (2, "")
    assert err.startswith("lstm: the loss is not finite in step 1 of training")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_help_of_every_command(capsys):
    for args in ([], ["demo"], ["train"], ["flow"], ["tasks"], ["info"]):
        with pytest.raises(SystemExit) as caught:
            main([*args, "--help"])
        assert caught.value.code == 0
        assert "usage: lstm" in capsys.readouterr().out


def test_ctrl_c_is_one_line_and_130(capsys, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lstm.cli.train.fit", interrupted)
    path = tmp_path / "m.safetensors"
    status, out, err = run(capsys, "train", "adding", *QUICK, "--json", "--out", path)
    assert (status, out, err) == (130, "", "lstm: interrupted\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
@pytest.mark.slow
def test_a_full_disk_behind_stdout_is_one_line():
    for option in ([], ["--json"]):
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "lstm.cli", "tasks", *option]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=30)
        assert done.returncode == 2
        assert done.stderr == b"lstm: cannot write: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX's")
def test_a_reader_that_leaves_early_sees_no_traceback():
    command = f"{sys.executable} -m lstm.cli tasks --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are POSIX's")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_demo_that_is_stopped_leaves_nothing(capsys, tmp_path, monkeypatch, name):
    def stopped(model, task, settings):
        yield Report(1, 0.5, 0.5)
        assert os.listdir(tmp_path) == ["demo"]
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(30)

    monkeypatch.setattr("lstm.cli.parts.train", stopped)
    before = signal.getsignal(getattr(signal, name))
    status, out, err = run(capsys, "demo", "--length", 5, "--json", "--out", tmp_path / "demo")
    expected = 128 + getattr(signal, name)
    assert (status, out, err) == (expected, "", "lstm: stopped from outside\n")
    assert os.listdir(tmp_path) == []
    assert signal.getsignal(getattr(signal, name)) == before


def test_json_of_a_loss_that_overflows_is_json(capsys):
    status, out, _ = run(
        capsys, "train", "adding", "--length", 10, "--steps", 1, "--rate", 1e30, "--json"
    )
    assert status == 0
    told = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert told[0]["score"]["loss"] == told[-1]["test_loss"] == "inf"


def test_what_a_file_says_cannot_steer_the_terminal(capsys, tmp_path):
    task = {"name": "adding", "settings": {"\x1b[31m": "\x1b[2J"}}
    status, out, _ = run(capsys, "info", saved(tmp_path / "m", task))
    assert (status, "\x1b" in out) == (0, False)
    status, _, err = run(capsys, "info", f"{tmp_path}/\x1b[31m")
    assert (status, "\x1b" in err) == (2, False)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("command", "flows"), [("demo", 4), ("flow", 1)])
def test_each_model_is_measured_once(capsys, tmp_path, monkeypatch, command, flows):
    measured = []

    def counting(model, *args, _flow=lstm.flow):
        measured.append(model)
        return _flow(model, *args)

    def drawing(model, *args, _flow=flow_to_draw, **ends):
        measured.append(model)
        return _flow(model, *args, **ends)

    monkeypatch.setattr("lstm.gradient_flow.flow", counting)
    monkeypatch.setattr("lstm.gradient_flow.measuring.flow_to_draw", drawing)
    monkeypatch.setattr("lstm.figures.write.flow_of", counting)
    args = ["--length", 4, "--out", tmp_path / "out", "--json"]
    args = [saved(tmp_path / "m"), *args] if command == "flow" else ["--steps", 1, *args]
    assert run(capsys, command, *args)[0] == 0
    assert len(measured) == flows


def test_a_task_says_what_tables_call_it_and_its_baseline():
    class Mine(Adding):
        name = "mine"
        title = None
        baseline_words = "guessing"

    shown = io.StringIO()
    Console(file=shown, width=60).print(score_table(Mine(4), {"My cell": Score(0.1, 0.5, True)}))
    assert shown.getvalue().startswith("mine, 4 steps")
    assert "guessing  0.1667" in shown.getvalue()
    assert (Adding(4).heading, Mine(4).heading) == ("Adding problem", "mine")


WORD = re.compile(r"\S+")


def _words(text):
    """The words of a table, without its rules."""
    return sorted(w for w in WORD.findall(text) if not set(w) <= set("─━"))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("command", ["tasks", "train", "demo", "flow", "info"])
@pytest.mark.slow
def test_what_is_printed_fits_60_columns_without_a_word_that_is_cut(
    capsys, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path / "m").name
    args = {
        "tasks": [],
        "train": ["adding", *QUICK, "--cell", "peephole", "--out", "n", "--force"],
        "demo": ["--steps", 1, "--length", 4, "--out", "out"],
        "flow": [path, "--out", "out"],
        "info": [path],
    }
    shown = {}
    for columns in ("60", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        status, shown[columns], _ = run(capsys, command, *args[command])
        assert status == 0
    assert max(map(len, shown["60"].splitlines())) <= 60
    assert _words(shown["60"]) == _words(shown["300"])
