"""`lstm train`: several cells, a task's own settings, a task that is made already, options that do
not fit; and `lstm info` of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lstm
from lstm.cli import main
from lstm.store.checkpoint import read_checkpoint

pytestmark = pytest.mark.usefixtures("by_numpy")

TINY = ["--hidden-size", "2", "--steps", "2", "--batch", "4", "--validate", "0"]
DATA = """
import numpy as np, lstm
rng = np.random.default_rng(0)
mine = lstm.ArrayTask(rng.normal(size=(30, 5, 2)), rng.integers(0, 2, 30))
Cell = lstm.GRU
"""


def run(capsys, *words, status=0):
    capsys.readouterr()
    assert main([*words]) == status
    said = capsys.readouterr()
    return said.err if status else said.out


def words_of(text):
    """Without the ends of lines, which depend on how wide a terminal is."""
    return " ".join(text.split())


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_each_of_several_cells_has_its_result_and_its_model(capsys, tmp_path):
    words = ["train", "adding", "--length", "4", "--cell", "rnn", "--cell", "mgu", *TINY]
    lines = [json.loads(line) for line in run(capsys, *words, "--json").splitlines()]
    results = [line for line in lines if "test_loss" in line]
    assert [r["cell"]["name"] for r in results] == ["rnn", "mgu"]
    for r in results:
        model = lstm.Model.load(r["model"])
        assert model.cell.name == r["cell"]["name"]
        assert r["test_loss"] == lstm.evaluate(model, lstm.Adding(4), 0).loss
    assert results[0]["test_loss"] != results[1]["test_loss"]
    table = run(capsys, *words, "--force")
    for r in results:
        assert f"{r['test_loss']:.4f}" in table
        assert f"Wrote {r['model']}" in table


@pytest.mark.parametrize("option", ["out", "metrics"])
def test_one_file_is_not_for_several_cells(capsys, tmp_path, option):
    words = ["train", "adding", "--cell", "rnn", "--cell", "gru", f"--{option}", "x", *TINY]
    assert f"--{option} is one file, and there are 2 cells" in run(capsys, *words, status=2)
    assert list(tmp_path.iterdir()) == []


def test_progress_says_of_which_cell_it_is(capsys):
    words = ["train", "adding", "--length", "4", "--cell", "rnn", "--cell", "gru", *TINY[:-1], "2"]
    lines = [json.loads(line) for line in run(capsys, *words, "--json").splitlines()]
    assert [line["cell"] for line in lines if "test_loss" not in line] == ["rnn", "gru"]


def test_a_tasks_own_settings(capsys, tmp_path):
    words = ["train", "adding", *TINY, "--set", "variant=paper", "--set", "length=12", "--json"]
    result = json.loads(run(capsys, *words).splitlines()[-1])
    assert result["task"] == lstm.Adding(12, "paper").config()
    assert lstm.Model.load(result["model"]).task == result["task"]
    listed = run(capsys, "tasks")
    assert "Settings (--set NAME=VALUE): length=100, variant=halves." in listed
    said = json.loads(run(capsys, "tasks", "--json"))
    assert said["adding"]["settings"] == {"length": 100, "variant": "halves"}
    assert "--set NAME=VALUE" in run_help(capsys)


def run_help(capsys):
    with pytest.raises(SystemExit):
        main(["help", "train"])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "size=3"], "task adding has no setting 'size'; it has length, variant"),
        (["--set", "variant"], "argument --set: 'variant' is no NAME=VALUE"),
        (["--set", "variant=[1]"], "variant must be one of halves, paper, not [1]"),
        (["--schedule", "cosine", "--factor", "0.5"], "--factor is a number for exponential, and "),
        (["--beta", "0.5"], "--beta is a number for momentum, nesterov, rmsprop, and this is --op"),
        (
            ["--optimizer", "sgd", "--eps", "1"],
            "this is --optimizer sgd with --schedule cosine",
        ),
    ],
)
def test_what_does_not_fit_is_named_as_it_was_typed(capsys, tmp_path, words, message):
    assert message in run(capsys, "train", "adding", *words, status=2)
    assert list(tmp_path.iterdir()) == []


def test_options_that_fit_reach_optimiser_and_schedule(capsys):
    words = ["--optimizer", "momentum", "--beta", "0.5", "--schedule", "exponential"]
    words += ["--factor", "0.25", "--every", "3"]
    said = run(capsys, "train", "adding", "--length", "4", *TINY, *words, "--json")
    training = json.loads(said.splitlines()[-1])["training"]
    assert training["optimizer_options"] == {"beta": 0.5}
    assert training["schedule_options"] == {"factor": 0.25, "every": 3}


@pytest.mark.usefixtures("undrawn")
def test_a_task_of_data_in_a_file_of_ones_own_trains_resumes_and_flows(capsys, tmp_path):
    (tmp_path / "data.py").write_text(DATA)
    said = run(capsys, "train", "data.py:mine", *TINY)
    assert "Sequences of your own, 5 steps" in said
    file = "lstm-models/data-mine-lstm.safetensors"
    assert lstm.Model.load(file).task["settings"]["training"] == 24
    again = words_of(run(capsys, "train", "data.py:mine", "--resume", "--steps", "3"))
    assert "Ended after step 3 of 3" in again
    flow = json.loads(run(capsys, "flow", file, "--task", "data.py:mine", "--json"))
    assert flow["task"]["name"] == "arrays"
    for words in (["--length", "9"], ["--set", "x=1"]):
        message = f"{words[0]} is for a task that is a class"
        assert message in run(capsys, "train", "data.py:mine", "--force", *words, status=2)
    (tmp_path / "data.py").write_text(DATA.replace("rng(0)", "rng(1)"))
    said = run(capsys, "train", "data.py:mine", "--resume", "--steps", "4", status=2)
    assert "it is of another task" in said
    assert "it has: mine" in run(capsys, "train", "data.py:yours", status=2)


def test_an_explosion_is_said_with_the_result_and_how_to_go_on_when_it_is_over(capsys):
    words = ["train", "adding", "--length", "4", "--steps", "20", "--rate", "1e4"]
    assert "The loss has exploded: it is" in words_of(run(capsys, *words))
    said = json.loads(run(capsys, *words, "--json", "--force").splitlines()[-1])
    assert said["warnings"][0].startswith("The loss has exploded")
    again = words_of(run(capsys, "train", "adding", "--resume"))
    assert "This training was over after step 20: these were all steps; more of them" in again


def test_info_shows_a_checkpoint(capsys, monkeypatch):
    run(capsys, "train", "adding", "--length", "4", *TINY[:-2], "--validate", "1", "--rate", "0.5")
    file = "lstm-models/adding-lstm.checkpoint.safetensors"
    said = json.loads(run(capsys, "info", file, "--json"))
    assert said["training"]["step"] == said["training"]["steps"] == 2
    assert said["training"]["rate"] == 0.5
    assert said["training"]["best validation"] == read_checkpoint(file).about["run"]["best"]
    assert said["task"] == lstm.Adding(4).config()
    assert said["tensors"]["layer1.W_f"]["shape"] == [4, 2]
    shown = run(capsys, "info", file).splitlines()
    rows = {tuple(line.split()) for line in shown}
    assert {("step", "2"), ("rate", "0.5"), ("validate", "1"), ("task's", "length", "4")} <= rows
    assert shown[-1] == (
        "It goes on: lstm train adding --resume --out lstm-models/adding-lstm.safetensors"
    )
    monkeypatch.setenv("COLUMNS", "60")
    assert all(len(line) <= 60 for line in run(capsys, "info", file).splitlines()[:-1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("adding --set foo=1", "foo"),
        ("adding --dropout 2", "dropout"),
        ("csv a.csv", "--target"),
        ("adding", "is there already"),
    ],
)
def test_what_else_is_wrong_is_told_before_that_a_file_is_there(
    words: str, message: str, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("x,y\n" + "1,2\n" * 40)
    Path("m.safetensors").write_bytes(b"mine")
    told = run(capsys, "train", *words.split(), "--out", "m.safetensors", status=2)
    assert message in told and ("--force" in told) is (message == "is there already")
    assert Path("m.safetensors").read_bytes() == b"mine"
