"""What a training saves where it is made longer later, what it refuses, and whom it blames."""

import math
from typing import ClassVar

import numpy as np
import pytest

import lstm
from lstm.cli import main
from lstm.errors import CheckpointError, ConfigError, TrainingError
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Adding
from lstm.tasks.base import PaddedBatch
from lstm.training import Settings, fit

pytestmark = pytest.mark.usefixtures("by_numpy")

TASK = Adding(length=6)


def model_of(seed=0):
    return lstm.Model.create(lstm.LSTM(2, 5, memory=6), 1, seed)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# --- made longer later ---------------------------------------------------------------------------


# A rate that learns, so that the end is the best so far; and one at which nothing gets better.
@pytest.mark.slow
@pytest.mark.parametrize(("rate", "patience"), [(0.03, None), (0.03, 1), (1e-30, 2)])
def test_steps_that_are_added_go_on_as_if_there_had_been_no_end(tmp_path, rate, patience):
    asked = {"validate": 7, "patience": patience}
    settings = [Settings(steps=n, rate=rate, schedule="constant") for n in (20, 40)]
    whole, told, halves = tmp_path / "whole", [], tmp_path / "halves"
    at_20 = tmp_path / "at_20"
    fit(model_of(), TASK, settings[1], out=at_20, callback=lambda p: p.step == 20, **asked)
    one = fit(model_of(), TASK, settings[1], out=whole, **asked)
    half = fit(model_of(), TASK, settings[0], out=halves, callback=told.append, **asked)
    now, then = read_checkpoint(halves), read_checkpoint(at_20)
    assert same(now.arrays, then.arrays)
    assert now.about["run"] == then.about["run"]
    if half.reports[-1].step == 20:  # that validation was told, and is part of what came of it
        assert told[-1].score is not None
        again = fit(model_of(), TASK, out=halves, resume=True)
        assert same(again.best.values(), half.best.values())
    rest = fit(model_of(1), TASK, settings[1], out=halves, resume=True)
    assert half.reports + rest.reports == one.reports
    assert rest.why == one.why
    assert same(rest.best.values(), one.best.values())
    assert same(read_checkpoint(halves).arrays, read_checkpoint(whole).arrays)
    assert read_checkpoint(halves).about["run"] == read_checkpoint(whole).about["run"]


def test_the_end_may_be_the_best_and_is_not_saved(tmp_path):
    told: list = []
    settings = Settings(steps=20, schedule="constant")
    fitted = fit(model_of(), TASK, settings, validate=15, out=tmp_path / "c", callback=told.append)
    first, last = (p.score.loss for p in told if p.score is not None)
    assert last < first  # or this shows nothing
    assert same(fitted.best.values(), fitted.model.values())
    assert told[-1].best == told[-1].score
    assert read_checkpoint(tmp_path / "c").about["run"]["best"]["step"] == 15


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adam"}, r"a name is Settings\(optimizer='adam'\)"),
        ({"optimizer": lstm.optim.adam}, r"such as lstm\.optim\.adam\(0\.01\), not <function adam"),
        ({"callback": 3}, "callback= is a function of a Progress, not 3"),
        ({"out": 3}, "out= is a path, a str or a pathlib.Path, not 3"),
        ({"metrics": 3}, "metrics= is a path"),
        ({"callback": lambda p: np.zeros(2)}, "callback= must return True"),
        ({"patience": 2, "validate": 0}, "patience counts validations"),
    ],
)
def test_arguments_of_another_kind(arguments, message):
    with pytest.raises(ConfigError, match=message):
        fit(model_of(), TASK, Settings(steps=2), **arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"seed": "a"}, "seed must be a whole number"),
        ({"droput": 0.1}, "no option 'droput'; did you mean dropout[?]"),
        ({"num_layers": 2}, "no option 'num_layers'; did you mean layers[?]"),
        ({"hiddensize": 2}, "did you mean hidden_size[?]"),
        ({"zzz": 2}, "no option 'zzz'; there are layers, bidirectional, "),
    ],
)
def test_options_of_a_model_that_are_not_there(options, message):
    with pytest.raises(ConfigError, match=message):
        lstm.Model.create(lstm.LSTM, task=TASK, **options)


QUICK = ["--length", 5, "--hidden", 3, "--batch", 4, "--steps", 2]


def command(capsys, task, *args):
    status = main([str(a) for a in ("train", task, *QUICK, *args)])
    return status, capsys.readouterr().err


@pytest.mark.parametrize("out", [".", "/", ".."])
def test_a_folder_is_no_model(capsys, out):
    said = f"lstm: cannot write {out}: it is no regular file\n"
    assert command(capsys, "adding", "--out", out) == (2, said)


def test_metrics_do_not_go_into_the_model(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for metrics in ("m", tmp_path / "m"):
        status, said = command(capsys, "adding", "--out", "m", "--metrics", metrics)
        assert (status, said.count("\n")) == (2, 1)
        assert "--out and --metrics are one file" in said
        assert not list(tmp_path.iterdir())


def test_patience_without_validations(capsys, tmp_path):
    args = ("--out", tmp_path / "m", "--patience", 2, "--validate", 0)
    status, said = command(capsys, "adding", *args)
    assert (status, said.count("\n")) == (2, 1)
    assert "patience counts validations" in said
    assert not list(tmp_path.iterdir())


def test_resumed_with_another_task(capsys, tmp_path):
    out = tmp_path / "m"
    assert command(capsys, "adding", "--out", out)[0] == 0
    status, said = command(capsys, "copying", "--out", out, "--resume")
    what = "cannot resume: the checkpoint is of the task 'adding', not 'copying'"
    assert (status, said) == (2, f"lstm: {what}\n")
    with pytest.raises(CheckpointError, match="of another"):
        fit(model_of(), Adding(7), out=tmp_path / "m.checkpoint", resume=True)


# --- whom it blames ------------------------------------------------------------------------------


class Padded(Adding):
    """The second sequence ends after two steps, in NaN; the first has one NaN that counts."""

    padding: ClassVar[str | None] = "lengths"
    hole = (4, 0, 1)
    number = math.nan

    def batch(self, rng, size):
        xs, ys = super().batch(rng, size)
        xs[2:, 1] = np.nan
        xs[self.hole] = self.number
        ends = np.full(size, len(xs))
        ends[1] = 2
        if self.padding == "mask":
            ends = np.arange(len(xs))[:, np.newaxis] < ends
        return PaddedBatch(xs, ys, ends)


class Masked(Padded):
    padding: ClassVar[str | None] = "mask"


class Log(lstm.RNN):
    """A cell that takes the logarithm of a negative number where an input is 1."""

    name = "log"

    def equations(self, params, state, x):
        from minigrad import log

        return {"h": log(3.0 - 8.0 * x[:, :1] + 0.0 * state.h)}


@pytest.mark.parametrize("kind", [Padded, Masked])
def test_padding_is_not_blamed(kind):
    with pytest.raises(TrainingError) as caught:
        fit(model_of(), kind(6), Settings(steps=2, batch=3))
    said = str(caught.value)
    assert "xs[4, 0, 1] is nan: it came with the data" in said


@pytest.mark.parametrize("kind", [Padded, Masked])
def test_padding_is_not_blamed_for_what_the_net_did(kind, monkeypatch):
    monkeypatch.setattr(kind, "hole", (0, 0, 0))
    monkeypatch.setattr(kind, "number", 1.0)
    with pytest.raises(TrainingError) as caught:
        fit(lstm.Model.create(Log(2, 3), 1, 0), kind(6), Settings(steps=2, batch=3))
    said = str(caught.value)
    assert "born at op log" in said
    assert "xs" not in said
