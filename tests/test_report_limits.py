"""What `lstm train --report` says and leaves out where something of it could not be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from commands import command, refused

import lstm
from lstm.cli.reports import Seen, write_page
from lstm.errors import ConfigError, LstmError
from lstm.figures.files import Pictures
from lstm.figures.report import AFTER, BEFORE

QUICK = ["--length", "6", "--hidden-size", "3", "--batch", "4", "--steps", "20"]

pytestmark = pytest.mark.usefixtures("by_numpy")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Pictures are made, and not written as files, which takes longer than all else here."""

    def empty(figures, narrow):
        svg = dict.fromkeys(figures, "<svg/>")
        return Pictures(svg, dict.fromkeys(figures, b""), dict.fromkeys(narrow, "<svg/>"))

    monkeypatch.setattr("lstm.figures.report.draw_all", empty)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--validate", "0"], "--validate 0: the curves of a --report are of validations"),
        (["--resume"], "--report tells of a training from its first step on, not with --resume"),
    ],
)
def test_what_has_no_page_is_refused_before_training(capsys, options, why):
    assert why in refused(capsys, "train", "adding", *QUICK, *options, "--report", "r")


def test_what_is_trained_is_told_before_a_page_that_fails(capsys, monkeypatch):
    def fails(*_):
        raise LstmError("no page today")

    monkeypatch.setattr("lstm.cli.train.write_page", fails)
    status, out, err = command(capsys, "train", "adding", *QUICK, "--report", "r")
    assert (status, err) == (2, "lstm: no page today\n")
    assert out.endswith("Wrote lstm-models/adding-lstm.safetensors\n")
    assert lstm.Model.load("lstm-models/adding-lstm.safetensors").cell.hidden_size == 3


def trained(kind: type[lstm.Cell], **options: int) -> tuple[Seen, lstm.Fitted]:
    task, settings = lstm.Adding(5), lstm.Settings(steps=8, batch=4)
    seen = Seen(task, settings)
    model = lstm.Model.create(kind, task=task, hidden_size=2, seed=0)
    watched = {"callback": seen.callback, "watch": seen.watch}
    return seen, lstm.fit(model, task, settings, progress=False, **watched, **options)


def page_of(*made: tuple[Seen, lstm.Fitted]) -> str:
    os.mkdir("r")
    seen, fitted = zip(*made, strict=True)
    write_page(Path("r"), seen, fitted, "lstm train adding")
    return Path("r/index.html").read_text("utf-8")


def test_without_a_finite_validation_there_are_no_curves():
    seen, fitted = trained(lstm.RNN, validate=4)
    seen.validations.clear()
    text = page_of((seen, fitted))
    assert "How the loss fell" not in text
    assert "Results</h2>" in text
    assert not Path("r/curves.svg").exists()


def test_each_model_that_could_not_be_measured_is_told(monkeypatch):
    first, second = trained(lstm.RNN, validate=4), trained(lstm.LSTM, validate=4)

    def refuse(*_, **__):
        raise ConfigError("no such flow")

    with monkeypatch.context() as patch:
        patch.setattr("lstm.gradient_flow.measuring.flow_to_draw", refuse)
        made = second[0].trained(second[1])  # after hours, and the page is there nevertheless
    assert list(made.flows) == [BEFORE, "half-way"]
    assert made.watched is not None
    second[0].why_no_flow = made.why_no_flow
    text = page_of(first, second)
    assert "LSTM: how the gradient flows could not be measured: no such flow" in text
    assert "RNN: how the gradient" not in text


def test_the_step_is_told_of_the_model_that_is_shown_as_trained(monkeypatch):
    # The best validation is that of step 4: the loss of all others is larger.
    losses = iter([2.0, 1.0, 3.0, 4.0])
    score = lstm.training.evaluation.Evaluation.score
    monkeypatch.setattr(
        lstm.training.evaluation.Evaluation,
        "score",
        lambda *args: (
            score(*args)._replace(loss=next(losses)) if args[1] != "test" else score(*args)
        ),
    )
    seen, fitted = trained(lstm.RNN, validate=2)
    assert fitted.best_step == 4
    made = seen.trained(fitted)
    xs, ys = seen.task.batch(lstm.training.random_streams(0).test, 32)
    expected = lstm.flow(fitted.best, xs, ys).main.norms
    np.testing.assert_allclose(made.flows[AFTER].main.norms, expected, rtol=1e-4)
    said = "RNN: 8 steps of training, shown as after step 4, where validation went best"
    assert said in page_of((seen, fitted))


def test_without_validations_the_best_model_is_the_last():
    assert trained(lstm.RNN, validate=0)[1].best_step == 8
