"""`lstm train csv FILE` and `lstm predict`: from a table to a forecast, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import command, refused

import lstm

QUICK = ["--length", 4, "--hidden", 3, "--batch", 4, "--steps", 2]
QUICK += ["--cell", "rnn", "--schedule", "constant"]
MODEL = "lstm-models/csv-waves-rnn.safetensors"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{np.sin(k):.3f},{np.cos(k):.3f},{'ab'[k % 2]}" for k in range(60)]
    Path("waves.csv").write_text("\n".join(["x,y,kind", *rows]))


def test_from_a_table_to_a_forecast(capsys):
    args = ["train", "csv", "waves.csv", "--target", "y", "--horizon", 2, *QUICK]
    status, out, _ = command(capsys, *args)
    assert status == 0
    lines = out.splitlines()
    assert lines[1].split()[:3] == ["error", "in", "y"]
    task = lstm.TableTask("waves.csv", "y", horizon=2, length=4)
    told = [f"{name} {task.in_unit(loss):.4f}" for name, loss in task.baselines.items()]
    assert [" ".join(line.split()) for line in lines[3:6]] == told
    assert f"Wrote {MODEL}" in out
    forecast = lstm.predict(lstm.Model.load(MODEL), "waves.csv")
    assert command(capsys, "predict", MODEL, "waves.csv")[:2] == (0, forecast.to_csv())
    told = json.loads(command(capsys, "predict", MODEL, "waves.csv", "--json")[1])
    assert told == json.loads(json.dumps(forecast.plain_values()))
    status, out, _ = command(capsys, "predict", MODEL, "waves.csv", "--out", "f.svg")
    words = f"57 rows of y, off by {forecast.error:.4g}, the root of the mean square."
    assert (status, " ".join(out.split())) == (0, f"{words} Wrote f.svg")
    assert Path("f.svg").read_bytes()[:5] == b"<?xml"


def test_classes_and_what_is_resumed(capsys):
    args = ["train", "csv", "waves.csv", "--target", "kind", "--classify", "--features", "x, y"]
    told = json.loads(command(capsys, *args, *QUICK, "--json")[1].splitlines()[-1])
    assert told["task"]["settings"]["classes"] == ["a", "b"]
    assert list(told["baselines"]) == ["always in the same shares", "by the last class"]
    args = ["train", "csv", "waves.csv", "--cell", "rnn", "--resume", "--steps", 3, "--json"]
    again = json.loads(command(capsys, *args)[1].splitlines()[-1])
    assert (again["task"], again["steps"]) == (told["task"], 3)
    _, out, _ = command(capsys, "predict", MODEL, "waves.csv", "--out", "f.csv")
    assert "57 rows of kind, of those that are known" in " ".join(out.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "csv"], "the task csv takes a file: lstm train csv FILE"),
        (["train", "csv", "waves.csv"], "the task csv needs --target COLUMN"),
        (["train", "csv", "waves.csv", "--target", "z"], "no column 'z'; it has x, y, kind"),
        (["train", "csv", "waves.csv", "--target", "kind"], "kind is 'a' in line 2, and must be"),
        (["train", "csv", ".", "--target", "y"], "it is no regular file"),
        (["train", "csv", "waves.csv", "--target", "y", "--length", "99"], "is too short: 48 of"),
        (["train", "csv", "waves.csv", "--target", "y", "--level", "char"], "takes no --level"),
        (["train", "csv", "waves.csv", "--target", "y", "--set", "target=x"], "--set target= say"),
        (["train", "csv", "waves.csv", "--target", "y", "--set", "features=5"], "features are a"),
        (["train", "csv", "waves.csv", "--target", "y", "--set", "classify=no"], "True or False"),
        (["train", "text", "waves.csv", "--target", "y"], "the task text takes no --target"),
        (["train", "adding", "--horizon", "3"], "the task adding takes no --horizon"),
        (["train", "adding", "--held-out", "0.3"], "the task adding takes no --held-out"),
        (["train", "csv", "waves.csv", "--target", "y", "--held-out", "2"], "held_out must be"),
        (["predict", "waves.csv", "waves.csv"], "cannot load the model waves.csv"),
    ],
)
def test_what_cannot_be(capsys, args, message):
    assert message in refused(capsys, *args)


def test_what_cannot_be_predicted(capsys):
    task = lstm.TableTask("waves.csv", "y", length=4)
    lstm.Model.create(lstm.LSTM, task=task, hidden_size=3).save("model")
    assert "cannot read none.csv" in refused(capsys, "predict", "model", "none.csv")
    Path("short.csv").write_text("x,y\n1,2\n")
    assert "has 1 rows, and sequences of" in refused(capsys, "predict", "model", "short.csv")
    Path("words.csv").write_text("x,y\n" + "1,2\n" * 5 + "one,2\n")
    assert "x is 'one' in line 7" in refused(capsys, "predict", "model", "words.csv")
    assert "suffix" in refused(capsys, "predict", "model", "waves.csv", "--out", "f.xls")
    for wrong in ("f.xls", "none/f.csv"):  # and nothing of what could have been written
        refused(capsys, "predict", "model", "waves.csv", "--out", "f.csv", "--out", wrong)
    assert not Path("f.csv").exists()
    assert "was made for a file, which is not in it" in refused(capsys, "flow", "model")


def test_a_forecast_does_not_steer_the_terminal(capsys, tmp_path):
    rows = "\n".join(f"{k},{'a' if k % 2 else 'b'}" for k in range(40))
    file = tmp_path / "t.csv"
    file.write_text(f"x,kind\n{rows}\n")
    task = lstm.TableTask(file, "kind", classify=True, length=5)
    model = lstm.Model.create(lstm.RNN, task=task)
    settings = model.task["settings"] | {"classes": ["\x1b]0;a\x07", "\x1b]0;b\x07"]}
    named = {"name": "csv", "settings": settings}
    lying = tmp_path / "m.safetensors"
    lstm.Model.of(model.layers, model.readout, model.values(), named).save(lying)
    file.write_text("x\n" + "\n".join(map(str, range(40))) + "\n")
    status, out, _ = command(capsys, "predict", lying, file)
    assert status == 0
    assert "\ufffd]0;" in out and "\x1b" not in out
