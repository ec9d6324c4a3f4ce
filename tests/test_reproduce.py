"""`lstm reproduce`: what it trains, what it says of it, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lstm
from lstm.cli import main, reproduce
from lstm.cli.reproduce import Experiment, Trial
from lstm.training import random_streams

# Of the paper's tables 1, 4, 7, 8 and 9.
PAPER = {
    "1": ("reber", 8_440),
    "3a": ("two-sequences", 39_850),
    "3a, N = 1": ("two-sequences", 64_330),
    "4": ("adding", 74_000),
    "4, T = 500": ("adding", 209_000),
    "4, T = 1,000": ("adding", 853_000),
    "5": ("multiplication", 482_000),
    "6a": ("temporal-order", 31_390),
    "6b": ("temporal-order", 571_100),
}
QUICK = lstm.Settings(steps=4, batch=2, schedule="constant")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_experiments_are_those_of_the_paper():
    experiments = reproduce.experiments_of("hs1997")
    assert {e.number: (e.task.name, e.sequences) for e in experiments} == PAPER
    for e in experiments:
        assert e.task.steps >= {"1": 39, "4, T = 500": 500, "4, T = 1,000": 1000}.get(e.number, 100)
        most = e.settings.steps * e.settings.batch
        assert 2.9 * e.sequences < most <= 3 * e.sequences


def test_a_trial_is_a_training_like_any_other():
    experiment = Experiment("4", lstm.Adding(3), 10, QUICK, validate=2)
    trial = reproduce._trial(experiment, lstm.RNN, 1)
    model = lstm.Model.create(lstm.RNN, seed=random_streams(1).params, task=experiment.task)
    settings = lstm.Settings(steps=4, batch=2, schedule="constant", seed=1)
    fitted = lstm.fit(model, experiment.task, settings, validate=2)
    assert (trial.reached, trial.sequences) == (False, 8)
    assert trial.wrong == round(2000 * (1 - fitted.score.correct)) > 0


def test_seconds_are_of_one_core_as_a_sweeps(monkeypatch):
    clock = iter([3.0, 4.5])
    monkeypatch.setattr(reproduce.time, "process_time", lambda: next(clock))
    experiment = Experiment("4", lstm.Adding(3), 10, QUICK, validate=2)
    assert reproduce._trial(experiment, lstm.RNN, 0).seconds == 1.5


@pytest.fixture
def trials(monkeypatch):
    """Trials that are given instead of trained: the second of three meets no criterion."""

    def trial(experiment, kind, seed):
        asked.append((experiment.number, kind, seed))
        return Trial(seed != 1, 1000 * (seed + 1), 3 - seed, 0.5)

    asked: list[tuple] = []
    monkeypatch.setattr(reproduce, "_trial", trial)
    tiny = [Experiment("4", lstm.Adding(3), 74_000, QUICK)]
    monkeypatch.setattr(reproduce, "experiments_of", lambda paper: tiny)
    return asked


def test_what_is_said_and_written(capsys, trials):
    args = ["reproduce", "hs1997", "--cell", "gru", "--seeds", "3", "--out", "t.md"]
    assert main(args) == 0
    assert trials == [("4", lstm.GRU, seed) for seed in range(3)]
    out = capsys.readouterr().out
    said = "4, Adding problem: 2 of 3 seeds, 2,000 sequences (paper: 74,000)"
    assert said in out
    text = Path("t.md").read_text()
    row = "| 4 | Adding problem | 74,000 | 2,000 | 2 of 3 | 1,000 to 3,000 | 3 | 0.5 |"
    assert row in text
    assert "# `lstm reproduce hs1997 --cell gru --seeds 3`" in text
    assert f"- 4: {lstm.Adding.criterion}" in text
    assert main(args) == 2
    assert "t.md is there already: --force writes over it" in capsys.readouterr().err
    assert main([*args, "--force"]) == 0


def test_results_for_a_machine(capsys, trials):
    assert main(["reproduce", "hs1997", "--seeds", "2", "--json"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["reached"], line["seeds"], line["sequences"], line["range"]) == (
        1,
        2,
        1000,
        [1000] * 2,
    )
    assert [t["sequences"] for t in line["trials"]] == [1000, 2000]
    assert line["task"] == lstm.Adding(3).config()


def test_what_no_seed_met(capsys, trials, monkeypatch):
    given = Trial(False, 6, 2000, 0.1)
    monkeypatch.setattr(reproduce, "_trial", lambda *_: given)
    assert main(["reproduce", "hs1997", "--seeds", "1", "--out", "t.md"]) == 0
    assert "0 of 1 seeds, not within three times as many sequences" in capsys.readouterr().out
    assert "| 74,000 | - | 0 of 1 | - | 2000 | 0.1 |" in Path("t.md").read_text()


def test_a_paper_that_is_not_known(capsys):
    assert main(["reproduce", "hs1979"]) == 2
    assert "there is no 'hs1979'; there are hs1997" in capsys.readouterr().err
