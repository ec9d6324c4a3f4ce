"""`lstm train`: two models that would be in one file, and what files of own tasks are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lstm.cli import main

OWN = """
import numpy as np
import lstm

xs, ys = np.random.default_rng(0).normal(size=(12, 3, 2)), [0, 1] * 6
words, named = lstm.ArrayTask(xs, ys), lstm.ArrayTask(xs, ys, name="tides")


class Mine(lstm.LSTM):
    name = "mine"


class Other(lstm.RNN):
    name = "mine"


class Sums(lstm.Adding):
    name = "sums"
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weather.py").write_text(OWN)


def train(*args):
    return main(["train", *args, "--hidden-size", "2", "--batch", "2", "--steps", "1"])


@pytest.mark.parametrize(
    ("cells", "name"),
    [(["lstm", "lstm"], "lstm"), (["weather.py:Mine", "gru", "weather.py:Other"], "mine")],
)
def test_two_models_of_one_name_are_refused_before_any_is_trained(capsys, cells, name):
    assert train("adding", *(a for cell in cells for a in ("--cell", cell))) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"lstm: --cell: there are two called '{name}', and a model of each")
    assert not os.path.exists("lstm-models")


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("weather.py:words", "weather-words"),
        ("weather.py:named", "tides"),
        ("weather.py:Sums", "sums"),
    ],
)
def test_files_of_own_tasks_are_called_by_what_they_are(capsys, task, label):
    model = f"lstm-models/{label}-lstm.safetensors"
    assert train(task) == 0
    assert f"Wrote {model}" in capsys.readouterr().out
    assert Path(model).exists()
    assert train(task, "--resume") == 0
    assert train(task) == 2
    assert f"{model} is there already" in capsys.readouterr().err
