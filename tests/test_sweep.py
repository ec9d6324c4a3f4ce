"""`lstm sweep`: what it trains, what it keeps of it, how it goes on, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import command, refused

import lstm
from lstm.cli import results, sweep
from lstm.cli.results import Head, Sweep, Trial, read_sweep, summed, write_sweep
from lstm.cli.sweep_words import escaped, finding
from lstm.errors import ConfigError, TrainingError
from lstm.figures.seeds import NARROW, Run, Seeds, bands, draw_seeds, plot_seeds
from lstm.training import random_streams

QUICK = ["--length", "4", "--hidden-size", "2", "--batch", "4", "--steps", "4", "--validate", "2"]
HEAD = Head(lstm.Adding(4).config(), lstm.Adding.criterion, {}, {"steps": 4}, 2, None)


class Inline(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future:
        done: Future = Future()
        try:
            done.set_result(function(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@contextmanager
def pool(jobs):
    yield Inline()


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.setattr(sweep, "_pool", pool)


@pytest.fixture
def told(inline, monkeypatch):
    """Runs that are told instead of trained: an LSTM meets its criterion, an RNN never does."""
    asked: list[tuple[str, int]] = []

    def trial(args, cell, seed):
        asked.append((cell, seed))
        solved = cell == "lstm"
        curve = [(8, 0.5, 0.25), (16, 0.125, 0.5 + solved / 2)]
        count = 16 + 8 * seed if solved else 16
        why = "solved" if solved else "steps"
        equations = sweep.digest(sweep._model(args, cell, lstm.Adding(4)).cell)
        made = Trial(cell, seed, why, count // 4, count, 0.5 + seed, 0.125, 0.5, curve)
        return replace(made, equations=equations)

    monkeypatch.setattr(sweep, "trial", trial)
    return asked


def sweeps(capsys, *more):
    return command(capsys, "sweep", "adding", *QUICK, "--out", "d", *more)


@pytest.fixture
def undrawn(monkeypatch):
    """Without the page and its chart, which take longer than all else here."""
    monkeypatch.setattr(sweep, "write_results", lambda *_: [])


# --- what is trained ----------------------------------------------------------------------------


def test_a_run_is_a_training_like_any_other(capsys, inline, undrawn):
    status, out, _ = sweeps(capsys, "--cell", "gru", "--seeds", "2", "--json")
    assert status == 0
    *runs, last = [json.loads(line) for line in out.splitlines()]
    lines = sorted(runs, key=lambda run: run["seed"])
    task, seen = lstm.Adding(4), []
    model = lstm.Model.create(lstm.GRU, seed=random_streams(1).params, task=task, hidden_size=2)
    settings = lstm.Settings(steps=4, batch=4, seed=1)
    fitted = lstm.fit(model, task, settings, validate=2, callback=lambda p: seen.append(p.score))
    scores = [score for score in seen if score is not None]
    expected = [[8, scores[0].loss, scores[0].correct], [16, scores[1].loss, scores[1].correct]]
    one = lines[1]
    assert (one["cell"], one["seed"], one["why"]) == ("gru", 1, "steps")
    assert (one["steps"], one["sequences"], one["loss"]) == (4, 16, fitted.score.loss)
    assert one["curve"] == expected
    assert [line["seed"] for line in lines] == [0, 1]
    assert last["cells"]["gru"]["seeds"] == 2
    kept = read_sweep(Path("d/sweep.json")).trials["gru", 1]
    np.testing.assert_allclose(kept.loss, fitted.score.loss, rtol=1e-5)


@pytest.mark.slow
def test_runs_in_processes_are_those_of_this_one(capsys, monkeypatch, undrawn):
    """Two processes, each of one thread, give what one gives that does one after the other."""
    before = dict(os.environ)
    assert sweeps(capsys, "--cell", "rnn,lstm", "--seeds", "1")[0] == 0
    made = read_sweep(Path("d/sweep.json"))
    assert set(made.trials) == {("rnn", 0), ("lstm", 0)}
    assert dict(os.environ) == before
    monkeypatch.setattr(sweep, "_pool", pool)
    assert command(capsys, "sweep", "adding", *QUICK, "--cell", "rnn,lstm", "--seeds", "1")[0] == 0
    alone = read_sweep(Path("lstm-sweeps/adding/sweep.json"))
    for key, one in made.trials.items():
        assert one.curve == alone.trials[key].curve and one.loss == alone.trials[key].loss


def test_what_is_known_is_not_trained_again(capsys, told, undrawn):
    assert sweeps(capsys, "--cell", "rnn", "--seeds", "1")[0] == 0
    assert sweeps(capsys, "--cell", "rnn,lstm", "--seeds", "2")[0] == 0
    assert told == [("rnn", 0), ("lstm", 0), ("rnn", 1), ("lstm", 1)]
    assert sweeps(capsys, "--cell", "lstm", "--seeds", "1")[0] == 0
    assert len(told) == 4
    assert set(read_sweep(Path("d/sweep.json")).trials) == set(told)
    assert sweeps(capsys, "--cell", "lstm", "--seeds", "1", "--force")[0] == 0
    assert set(read_sweep(Path("d/sweep.json")).trials) == {("lstm", 0)}


def test_two_sweeps_of_one_folder_lose_nothing(tmp_path):
    file = tmp_path / "sweep.json"
    for cell in ("rnn", "lstm"):
        one = Trial(cell, 0, "steps", 4, 16, 0.5, 0.1, 0.5)
        write_sweep(file, Sweep(HEAD, [f"lstm sweep --cell {cell}"], {one.key: one}))
    both = read_sweep(file)
    assert (both.cells, len(both.commands)) == (["lstm", "rnn"], 2)


def test_ctrl_c_leaves_whole_runs(capsys, told, monkeypatch):
    def interrupted(args, cell, seed, trial=sweep.trial):
        if seed == 1:
            raise KeyboardInterrupt
        return trial(args, cell, seed)

    monkeypatch.setattr(sweep, "trial", interrupted)
    monkeypatch.setattr(sweep, "as_completed", lambda jobs: iter(jobs))
    monkeypatch.setattr(
        Inline, "submit", lambda self, f, *a: type("Late", (), {"result": lambda s: f(*a)})()
    )
    status, out, err = sweeps(capsys, "--cell", "rnn,lstm", "--seeds", "2")
    assert (status, out) == (130, "")
    assert err == "lstm: interrupted: 2 runs are whole in d/sweep.json; the same command goes on\n"
    assert os.listdir("d") == ["sweep.json"]
    assert set(read_sweep(Path("d/sweep.json")).trials) == {("rnn", 0), ("lstm", 0)}


def test_a_run_that_fails_is_told_and_the_others_go_on(capsys, inline, monkeypatch, undrawn):
    def fit(model, task, settings, **options):
        if settings.seed == 0:
            raise TrainingError("the loss is not finite in step 1\nmore of it")
        return lstm.fit(model, task, settings, **options)

    monkeypatch.setattr(sweep, "fit", fit)
    status, out, _ = sweeps(capsys, "--cell", "rnn", "--seeds", "2")
    assert status == 0 and "0 of 2" in out
    failed = read_sweep(Path("d/sweep.json")).trials["rnn", 0]
    assert (failed.why, failed.said) == ("failed", "the loss is not finite in step 1")
    assert (failed.loss, failed.correct, failed.curve) == (None, None, [])


# --- what is written ----------------------------------------------------------------------------


def test_what_is_said_and_written(capsys, told):
    status, out, _ = sweeps(capsys, "--cell", "rnn,lstm", "--seeds", "3")
    assert status == 0
    said = (
        "LSTM: 3 of 3 seeds meet the criterion after 24 (16 to 32) sequences, in 1.5 s; "
        "RNN: none of 3 seeds meets the criterion in 16 sequences, 50.0% correct."
    )
    assert said in " ".join(out.split())
    text = Path("d/sweep.md").read_text()
    assert "| LSTM | 3 of 3 | 0 | 24 (16 to 32) | 1.5 | 50.0% | 0.1250 |" in text
    assert "| RNN | 0 of 3 | 0 | - | 1.5 | 50.0% | 0.1250 |" in text
    assert f"Solved is: {lstm.Adding.criterion}." in text
    assert "    lstm sweep adding --length 4" in text
    with open("d/sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["cell"], r["seed"], r["sequences"]) for r in rows][-1] == ("lstm", "2", "32")
    page = Path("d/index.html").read_text()
    assert said in page and "lstm sweep adding --length 4" in page and page.count("<svg") == 2


def test_cells_that_were_not_asked_for_stay_out_of_the_table(capsys, told, undrawn):
    assert sweeps(capsys, "--cell", "rnn", "--seeds", "1")[0] == 0
    out = sweeps(capsys, "--cell", "lstm", "--seeds", "1")[1]
    assert "LSTM" in out and "RNN" not in out


def test_the_finding_is_in_words_whatever_came():
    one = Trial("mine", 0, "solved", 4, 16, 0.5, 0.1, 0.5)
    assert finding(lstm.Adding(4), {"mine": [one]}) == (
        "mine: 1 of 1 seeds meets the criterion after 16 sequences, in 0.5 s."
    )
    failed = Trial("rnn", 0, "failed", 4, 16, 0.5, None, None)
    assert finding(lstm.Adding(4), {"rnn": [failed]}) == (
        "RNN: its one seed does not meet the criterion in 16 sequences."
    )
    assert finding(lstm.Adding(4), {"rnn": []}) == "Nothing was run."
    assert summed([failed]).correct is None
    assert escaped("a|b_c<i>\n") == "a\\|b\\_c&lt;i>^J"


def test_bands_are_read_back_from_the_chart():
    runs = [
        Run([8, 16, 24], [4.0, 2.0, 1.0], [0.0, 0.5, 1.0], "solved"),
        Run([16], [6.0], [0.25], "failed"),
        Run([8, 16], [5.0, 3.0], [0.0, 0.75]),
    ]
    at, middle, low, high = bands(runs, lambda run: run.losses)
    assert at.tolist() == [16, 24]
    assert (middle.tolist(), low.tolist(), high.tolist()) == ([3, 3], [2, 1], [6, 6])
    ax = plot_seeds(Seeds({"A <b>": runs}, {"always 1": 8.0}, "bits"))
    curve, solved, failed, level = ax.lines
    assert curve.get_xydata().tolist() == [[16, 3], [24, 3]]
    assert solved.get_xydata().tolist() == [[24, 1]]
    assert failed.get_xydata().tolist() == [[16, 6]]
    assert level.get_ydata() == [8.0, 8.0]
    (band,) = ax.collections
    assert sorted(set(map(tuple, band.get_paths()[0].vertices.tolist()))) == [
        (16, 2),
        (16, 6),
        (24, 1),
        (24, 6),
    ]
    assert (ax.get_title(), ax.get_yscale()) == ("Bits in validation", "linear")
    right = plot_seeds(Seeds({"A": runs}), of="correct")
    assert right.lines[0].get_ydata().tolist() == [0.5, 0.75]
    chart = draw_seeds(Seeds({"A <b>": runs}), "T", width=NARROW)
    assert "A &lt;b&gt;" in chart.svg and "✕ where its loss was not finite" in chart.description
    wide = plot_seeds(Seeds({"A": [Run([1, 2], [1.0, 0.01], [0, 0])]}))
    assert wide.get_yscale() == "log"


def test_charts_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="no run with a validation"):
        plot_seeds(Seeds({"A": [Run([], [], [])]}))
    with pytest.raises(ConfigError, match="has not as many losses"):
        Seeds({"A": [Run([1], [], [])]})
    with pytest.raises(ConfigError, match='of= is "loss"'):
        plot_seeds(Seeds({}), of="rate")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--cell", "rnn,lsmt"], "there is no 'lsmt'; there are"),
        (["--cell", "rnn,rnn"], "'rnn' is there more than once"),
        (["--validate", "0"], "asks by validation"),
        (["--attention", "dot"], "attention"),
        (["--seeds", "0"], "no whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(capsys, args, said):
    assert said in refused(capsys, "sweep", "adding", *QUICK, "--out", "d", *args)


def test_a_sweep_of_other_settings_is_not_written_over(capsys, told, undrawn):
    assert sweeps(capsys, "--cell", "rnn", "--seeds", "1")[0] == 0
    before = Path("d/sweep.json").read_bytes()
    status, _, err = sweeps(capsys, "--cell", "rnn", "--rate", "0.5")
    assert status == 2
    assert "d/sweep.json is a sweep of another training: its 'rate' is 0.03, not 0.5; --out" in err
    assert Path("d/sweep.json").read_bytes() == before


GOOD = {"what": "lstm sweep 2", "head": results.asdict(HEAD), "commands": [], "asked": {}}
TRIAL = {
    "cell": "rnn", "seed": 0, "why": "steps", "steps": 4, "sequences": 16, "seconds": 0.5,
    "loss": 0.1, "correct": 0.5, "curve": [[8, 0.5, 0.5]], "said": "",
    "title": "RNN", "equations": "0a",
}  # fmt: skip


@pytest.mark.parametrize(
    "trial",
    [
        [],
        {**TRIAL, "cell": "a\x1b[31m"},
        {**TRIAL, "cell": 3},
        {**TRIAL, "seed": -1},
        {**TRIAL, "seed": True},
        {**TRIAL, "why": "luck"},
        {**TRIAL, "sequences": 1e400},
        {**TRIAL, "seconds": "1"},
        {**TRIAL, "correct": 1.5},
        {**TRIAL, "curve": [[8, "nan", 0.5]]},
        {**TRIAL, "curve": [[8, 0.5]]},
        {**TRIAL, "curve": [[8, 0.5, 0.5], [8, 0.5, 0.5]]},
        {**TRIAL, "loss": 10**400},
        {**TRIAL, "title": "\x1b"},
        {**TRIAL, "equations": "../"},
        {**TRIAL, "more": 1},
        {k: v for k, v in TRIAL.items() if k != "said"},
    ],
)
def test_hostile_runs_are_refused(tmp_path, trial):
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(GOOD | {"trials": [TRIAL]}))
    assert read_sweep(file).trials["rnn", 0].correct == 0.5
    file.write_text(json.dumps(GOOD | {"trials": [trial]}))
    with pytest.raises(ConfigError, match="is no sweep that lstm wrote"):
        read_sweep(file)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "[" * 100_000,
        '{"what": "lstm sweep 2"}',
        '{"what": "lstm sweep 1", "head": {}, "commands": [], "trials": []}',
        '{"what": "lstm sweep 2", "head": {}, "commands": [], "asked": {}, "trials": []}',
        '{"what": "lstm sweep 2", "head": {}, "commands": [], "asked": {"rnn": -1}, "trials": []}',
        '{"what": NaN}',
        '{"what": "lstm sweep 2", "head": {}, "commands": [1], "asked": {}, "trials": []}',
    ],
)
def test_files_that_are_no_sweep_are_refused(capsys, told, text):
    os.mkdir("d")
    Path("d/sweep.json").write_text(text)
    status, out, err = sweeps(capsys)
    assert (status, out, told) == (2, "", [])
    assert "d/sweep.json is no sweep that lstm wrote" in err and err.count("\n") == 1
    assert Path("d/sweep.json").read_text() == text


def test_a_seed_that_is_there_twice_is_refused(tmp_path):
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(GOOD | {"trials": [TRIAL, TRIAL]}))
    with pytest.raises(ConfigError, match="seed 0 of 'rnn' twice"):
        read_sweep(file)
