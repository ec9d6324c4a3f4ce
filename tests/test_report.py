"""`lstm train --report`: one page, its pictures, and that every number of it is of the training."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import command, refused

import lstm
from lstm.cli.reports import FILES, Seen
from lstm.errors import ConfigError
from lstm.figures.files import Pictures
from lstm.figures.of_task import answered, chart_of_task, right_by_step
from lstm.tasks import make_task
from lstm.training import random_streams

QUICK = ["--length", "6", "--hidden-size", "3", "--batch", "4", "--steps", "20"]


pytestmark = pytest.mark.usefixtures("by_numpy")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unsaved(monkeypatch):
    """Pictures are made, and not written as files, which takes longer than all else here."""

    def empty(figures, narrow):
        svg = dict.fromkeys(figures, "<svg/>")
        return Pictures(svg, dict.fromkeys(figures, b""), dict.fromkeys(narrow, "<svg/>"))

    monkeypatch.setattr("lstm.figures.report.draw_all", empty)


def test_the_page(capsys, unsaved):
    args = ["train", "adding", *QUICK, "--cell", "rnn", "--cell", "lstm", "--report", "r"]
    status, out, _ = command(capsys, *args)
    assert status == 0
    assert out.endswith("Wrote r/index.html\n")
    # There is no picture of one sequence of the adding problem.
    assert sorted(os.listdir("r")) == sorted(f for f in FILES if "example" not in f)
    text = Path("r/index.html").read_text("utf-8")
    ElementTree.fromstring(text.partition("\n")[2])
    models = [lstm.Model.load(f"lstm-models/adding-{cell}.safetensors") for cell in ("rnn", "lstm")]
    for model in models:
        score = lstm.evaluate(model, lstm.Adding(6), 0)
        said = (
            f"The {model.cell.heading} does not meet the criterion after 80 sequences: "
            f"{score.correct:.1%} of new sequences right, test loss {score.loss:.4f} "
            "(always 1: 0.1667)."
        )
        assert said in text
    heads = ["How the loss fell", "Results", "Does the gradient reach step 1?", "In words"]
    heads += ["What it says of sequences that it never saw", "How it was trained"]
    places = [text.index(f">{head}</h2>") for head in [*heads, "How to do it again"]]
    assert places == sorted(places)
    assert " ".join(["lstm", *args]) in text
    assert "before training" in text and "half-way" in text and "after training" in text
    # The gradient after training is that of the model that was saved, of the shown batch.
    xs, ys = lstm.Adding(6).batch(random_streams(0).test, 32)
    expected = lstm.flow(models[1], xs, ys)
    with open("r/flow.csv", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["when"] == "after training"]
    first = {
        r["quantity"]: float(r["value"]) for r in rows if r["model"] == "LSTM" and r["t"] == "1"
    }
    for symbol, series in expected.series.items():
        np.testing.assert_allclose(first[f"|dL/d{symbol}|"], series.norms[0], rtol=1e-4)


def test_what_is_seen_changes_nothing_of_the_training(capsys, monkeypatch):
    monkeypatch.setattr("lstm.cli.train.write_page", lambda *_: [])
    quick = ["train", "adding", *QUICK]
    assert command(capsys, *quick, "--out", "a.safetensors")[0] == 0
    out = command(capsys, *quick, "--out", "b.safetensors", "--report", "r", "--json")[1]
    assert json.loads(out.splitlines()[-1]) == {"report": "r"}
    one, other = (lstm.Model.load(f"{name}.safetensors").values() for name in "ab")
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_moments_are_of_one_batch_before_half_way_and_after():
    task, settings = lstm.Adding(5), lstm.Settings(steps=40, batch=4)
    seen = Seen(task, settings)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3, seed=0)
    xs, ys = task.batch(random_streams(0).test, 32)
    before = lstm.flow(model, xs, ys).main.norms
    options = {"callback": seen.callback, "watch": seen.watch, "validate": 10}
    fitted = lstm.fit(model, task, settings, progress=False, **options)
    made = seen.trained(fitted)
    assert list(made.flows) == ["before training", "half-way", "after training"]
    np.testing.assert_allclose(made.flows["before training"].main.norms, before, rtol=1e-4)
    after = lstm.flow(fitted.best, xs, ys).main.norms
    np.testing.assert_allclose(made.flows["after training"].main.norms, after, rtol=1e-4)
    assert made.flows["half-way"] is seen._watch.flows[20]
    assert list(made.run.at) == [40, 80, 120, 160]
    assert made.training[0][:2] == [4, 8]
    assert made.watched is not None and [row[0] for row in made.watched.rows][:2] == ["0", "4"]


def test_what_cannot_be_measured_is_trained_and_told(monkeypatch):
    def refuse(*_):
        raise ConfigError("no such flow")

    task, settings = lstm.Adding(4), lstm.Settings(steps=2, batch=2)
    seen = Seen(task, settings)
    monkeypatch.setattr(seen, "_watch", refuse)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=2, seed=0)
    fitted = lstm.fit(model, task, settings, watch=seen.watch, validate=0)
    assert seen.trained(fitted).flows == {}
    assert seen.why_no_flow == "no such flow"


def test_a_folder_of_others_is_refused_before_training(capsys):
    os.mkdir("r")
    Path("r/index.html").write_text("mine")
    said = refused(capsys, "train", "adding", *QUICK, "--report", "r")
    assert "r/index.html is there already, and it is not of lstm" in said
    assert Path("r/index.html").read_text() == "mine"


# --- the task's own picture ---------------------------------------------------------------------


def made(name: str, **settings) -> tuple[lstm.Task, dict[str, lstm.Model]]:
    task = make_task(name, settings)
    kinds = {"RNN <b>": lstm.RNN, "LSTM": lstm.LSTM}
    return task, {
        name: lstm.Model.create(kind, task=task, hidden_size=2, seed=0)
        for name, kind in kinds.items()
    }


def test_numbers_are_drawn_against_what_is_true():
    task, models = made("adding", length=3)
    told = answered(models, task)
    batch = task.batch(random_streams(0).test, 500)
    np.testing.assert_array_equal(told.truth, batch.ys)
    chart = chart_of_task(models, task)
    assert chart is not None and "RNN &lt;b&gt;" in chart.svg
    for ax, (name, model) in zip(chart.figure.axes, models.items(), strict=True):
        level, points = ax.lines
        assert level.get_xdata()[0] == level.get_ydata()[0] == batch.ys[:300].min()
        np.testing.assert_array_equal(points.get_xdata(), batch.ys[:300, 0])
        said = model.output(batch.xs[:, :300]).eval()[:, 0]
        np.testing.assert_allclose(points.get_ydata(), said, atol=1e-5, err_msg=name)


def test_classes_steps_and_lengths_have_pictures_of_their_own():
    titles = {}
    for name, settings in {
        "temporal-order": {"length": 10},
        "anbn": {"most": 2},
        "delayed-sine": {"length": 12, "delay": 2},
    }.items():
        task, models = made(name, **settings)
        chart = chart_of_task(models, task)
        assert chart is not None
        titles[name] = chart.title
    assert titles == {
        "temporal-order": "How often each class is called what",
        "anbn": "How often all that is asked is right, step by step",
        "delayed-sine": "What is said of a test sequence, beside what is true",
    }


def test_what_is_right_by_step():
    labels = np.array([[1, 0], [-1, 2], [-1, -1]])
    scores = np.eye(3)[[[1, 1], [0, 2], [0, 0]]]
    assert right_by_step(scores, labels) == ([1, 2], [0.5, 1.0])
    many = np.array([[[1.0, 0.0], [1.0, 1.0]], [[-1.0, -1.0], [0.0, 1.0]]])
    signs = np.array([[[2.0, -1.0], [2.0, -1.0]], [[9.0, 9.0], [-3.0, 0.5]]])
    assert right_by_step(signs, many) == ([1, 2], [0.5, 1.0])
