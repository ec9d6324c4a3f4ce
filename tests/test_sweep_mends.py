"""`lstm sweep`: whose runs are whose, what is told of those that failed, and what is never lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import command, refused

import lstm
import minigrad as mg
from lstm.cli import main, reports, results, sweep
from lstm.cli.results import Head, Sweep, Trial, read_sweep, summed, write_sweep
from lstm.cli.sweep_words import finding, headings, rows_of, words
from lstm.cli.task_page import sweeps_in, task_page
from lstm.figures.seeds import Run, Seeds, draw_seeds, plot_seeds
from lstm.files import generator_of, output_folder

QUICK = ["--length", "4", "--hidden-size", "2", "--batch", "4", "--steps", "4", "--validate", "2"]
HEAD = Head(lstm.Adding(50).config(), lstm.Adding.criterion, {}, {"rate": 0.01}, 2, None)
OWN = """
import lstm, minigrad as mg
class Mine(lstm.RNN):
    def equations(self, p, state, x):
        return {"h": mg.sigmoid(mg.concat([state.h, x], -1) @ p["W_h"] + p["b_h"])}
"""


@contextmanager
def pool(jobs):
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture(autouse=True)
def in_this_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "_pool", pool)


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(sweep, "write_results", lambda *_: [])


def sweeps(capsys, *more):
    return command(capsys, "sweep", "adding", *QUICK, "--out", "d", "--seeds", "1", *more)


def one(cell="rnn", seed=0, **values) -> Trial:
    return replace(Trial(cell, seed, "steps", 4, 16, 1.0, 0.25, 0.5), **values)


# --- whose runs are whose -----------------------------------------------------------------------


def test_an_own_cell_has_its_own_runs_whatever_name_it_inherits(capsys, undrawn):
    Path("own.py").write_text(OWN)
    assert sweeps(capsys, "--cell", "rnn")[0] == 0
    status, out, _ = sweeps(capsys, "--cell", "own.py:Mine")
    assert status == 0 and "Mine: its one seed" in out and "RNN" not in out
    made = read_sweep(Path("d/sweep.json")).trials
    assert set(made) == {("rnn", 0), ("own.py:Mine", 0)}
    assert made["rnn", 0].loss != made["own.py:Mine", 0].loss
    before = Path("d/sweep.json").read_bytes()
    Path("own.py").write_text(OWN.replace("sigmoid", "tanh"))
    assert "has runs of 'own.py:Mine' when its equations" in refused(
        capsys, "sweep", "adding", *QUICK, "--out", "d", "--cell", "own.py:Mine"
    )
    assert Path("d/sweep.json").read_bytes() == before


def test_a_digest_sees_constants_and_where_parameters_start():
    def scaled(values):
        scale = np.asarray(values, "float32")  # too many for a formula's text to have them all
        return lambda p, h, x: mg.tanh(mg.concat([h, x], -1) @ p["W_h"] + p["b_h"] * scale)

    cells = [lstm.cell(scaled([*range(8), last]))(2, 9) for last in (1, 2, 1)]
    first, other, same = map(results.digest, cells)
    assert first == same != other
    gates = [results.digest(lstm.LSTM(2, 3, memory=memory)) for memory in (10, 100)]
    assert gates[0] != gates[1]


def test_cells_that_are_called_alike_are_told_apart():
    same = {"lstm": [one("lstm", title="LSTM")], "a.py:B": [one("a.py:B", title="LSTM")]}
    assert headings(same) == {"lstm": "LSTM", "a.py:B": "LSTM (a.py:B)"}


# --- what is told of runs -----------------------------------------------------------------------


def test_a_sweep_of_which_all_runs_fail_is_told_without_a_chart(capsys):
    Path("d").mkdir()
    Path("d/index.html").write_text(f'<meta name="generator" content="{generator_of("sweep")}"/>')
    Path("d/sweep.svg").write_text("of an earlier run")
    status, out, _ = sweeps(capsys, "--cell", "rnn", "--rate", "1e30")
    assert status == 0
    page, text = (Path("d", name).read_text() for name in ("index.html", "sweep.md"))
    why = read_sweep(Path("d/sweep.json")).trials["rnn", 0].said
    assert why and f"RNN: 1 of 1 failed, seed 0: {why}"[:60] in text.replace("\\", "")
    assert "RNN: 1 of 1 failed, seed 0: " in page and "<svg" not in page
    assert "RNN: 1 of 1 failed, seed 0: " in " ".join(out.split())
    assert "| RNN | 0 of 1 | 1 | - |" in text
    assert not Path("d/sweep.svg").exists() and "sweep.svg" not in out


def test_runs_that_are_not_drawn_are_told_and_marks_that_are_not_there_are_not():
    lost = Run([], [], [], "failed")
    seeds = Seeds({"A": [Run([8], [0.5], [0.5]), lost, lost], "B\x1b": [lost]})
    said = draw_seeds(seeds, "T").description
    assert "of A 2 of 3 failed before a validation" in said
    assert "of B^[ 1 of 1 failed before a validation" in said
    assert "✕" not in said and "median" not in said


def test_a_band_down_to_zero_has_no_axis_of_powers():
    runs = [Run([1, 2], [1.0, last], [0.0, 0.0]) for last in (0.01, 0.01, 0.0)]
    assert plot_seeds(Seeds({"A": runs})).get_yscale() == "linear"
    assert plot_seeds(Seeds({"A": runs[:2]})).get_yscale() == "log"


def test_seconds_are_of_the_seeds_that_met_the_criterion():
    fast = one(why="solved", seconds=1.0, sequences=1000)
    made = summed(
        [fast, *[one(seed=k, seconds=50.0) for k in (1, 2, 3)], one(seed=4, why="failed")]
    )
    assert (made.seconds, made.reached, made.failed) == (1.0, 1, 1)
    assert summed([one(seconds=50.0)]).seconds == 50.0
    said = finding(lstm.Adding(4), {"rnn": [fast, one(seed=1, seconds=50.0)]})
    assert said == "RNN: 1 of 2 seeds meets the criterion after 1,000 sequences, in 1 s."


def test_without_a_criterion_the_loss_is_told():
    rng = np.random.default_rng(0)
    task = lstm.ArrayTask(rng.random((6, 4, 2)), rng.random(6))
    assert not task.has_criterion and lstm.Adding(4).has_criterion
    trials = {"rnn": [one(), one(seed=1, loss=0.75)], "lstm": [one("lstm", loss=0.125)]}
    assert finding(task, trials) == (
        "LSTM: test loss 0.1250 after at most 16 sequences, 50.0% correct; "
        "RNN: test loss 0.5000, the median of 2 seeds, after at most 16 sequences, 50.0% correct."
    )
    assert rows_of(task, trials)[0][1] == "- of 2"
    fitted = lstm.fit(lstm.Model.create(lstm.RNN, task=task), task, lstm.Settings(steps=1))
    said = reports.finding(task, lstm.Settings(steps=1), [fitted])
    assert said.startswith("The RNN was trained on 32 sequences: ") and "criterion" not in said
    failed = {"rnn": [one(why="failed", loss=None, correct=None)]}
    assert finding(task, failed) == "RNN: its one seed failed within 16 sequences."
    assert f"of {task.tested_on}," in words(task.tested_on)


def test_json_has_runs_of_the_cells_that_were_asked_for(capsys, undrawn):
    assert sweeps(capsys, "--cell", "rnn")[0] == 0
    for _ in range(2):
        out = sweeps(capsys, "--cell", "gru", "--json")[1]
        *runs, last = [json.loads(line) for line in out.splitlines()]
        assert [run["cell"] for run in runs] == ["gru"] and list(last["cells"]) == ["gru"]


# --- what is never lost -------------------------------------------------------------------------


def test_force_keeps_what_is_there_until_a_run_has_ended(capsys, undrawn, monkeypatch):
    assert sweeps(capsys, "--cell", "rnn")[0] == 0
    before = Path("d/sweep.json").read_bytes()

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "trial", stopped)
        status, _, err = sweeps(capsys, "--cell", "gru", "--force")
    assert (status, err) == (130, "lstm: interrupted\n")
    assert Path("d/sweep.json").read_bytes() == before
    assert sweeps(capsys, "--cell", "gru", "--force")[0] == 0
    assert set(read_sweep(Path("d/sweep.json")).trials) == {("gru", 0)}


if results.fcntl is not None:  # a system with locks of files

    def test_sweeps_that_write_at_once_lose_nothing():
        file = Path("sweep.json")

        def write(seed):
            made = one(seed=seed)
            write_sweep(file, Sweep(HEAD, [], {made.key: made}))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(32)))
        assert {seed for _, seed in read_sweep(file).trials} == set(range(32))
        assert [path.name for path in Path().iterdir()] == ["sweep.json"]


def test_a_closed_pipe_is_not_taken_for_a_folder_that_cannot_be_written():
    with pytest.raises(BrokenPipeError), output_folder("out"):
        raise BrokenPipeError
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["sweep", "adding", *QUICK, "--out"],
        ["train", "adding", *QUICK, "--report"],
        ["demo", "--out"],
        ["flow", "m", "--out"],
    ],
)
def test_pages_of_other_commands_are_not_written_over(capsys, words):
    lstm.Model.create(lstm.RNN, task=lstm.Adding(4)).save("m")
    Path("d").mkdir()
    Path("d/index.html").write_text(f'<meta name="generator" content="{generator_of("walk")}"/>')
    assert main([*words, "d"]) == 2
    assert "of another command, lstm walk: --out takes" in capsys.readouterr().err


def test_a_sweep_goes_on_beside_its_file_and_chart_alone(capsys, undrawn):
    """As where these two are kept of a sweep, and its page is not."""
    assert sweeps(capsys, "--cell", "rnn")[0] == 0
    Path("d/sweep.svg").write_text("of that sweep")
    assert sweeps(capsys, "--cell", "gru")[0] == 0
    assert set(read_sweep(Path("d/sweep.json")).trials) == {("rnn", 0), ("gru", 0)}
    args = ["sweep", "adding", *QUICK, "--out", "d"]
    Path("d/index.html").write_text("mine")
    assert "is there already, and it is not of lstm" in refused(capsys, *args)
    assert Path("d/index.html").read_text() == "mine"
    Path("d/index.html").unlink()
    Path("d/sweep.json").unlink()
    Path("d/sweep.svg").write_text("mine")
    assert "d/sweep.svg is there already, and it is not of lstm" in refused(capsys, *args)


# --- the page of tasks --------------------------------------------------------------------------


def test_the_page_of_tasks_tells_what_was_asked_for_and_of_which_sweep():
    for folder, rate, asked in (("s/a", 0.01, 5), ("s/b", 0.1, 2)):
        Path(folder).mkdir(parents=True)
        head = replace(HEAD, training={"rate": rate})
        made = [one("lstm", seed, why="solved") for seed in range(2)]
        if rate == 0.01:
            made[1] = one("lstm", 1)
        trials = {run.key: run for run in made}
        write_sweep(Path(folder, "sweep.json"), Sweep(head, ["c"], trials, {"lstm": asked}))
    text = task_page(sweeps_in(Path("s")), "lstm tasks `x`", Path())
    assert "\n    lstm tasks `x`\n" in text
    assert "- From every seed in some of its sweeps: adding." in text
    assert "The LSTM meets the criterion from every seed" not in text
    assert "| length=50, rate=0.01 | not run | not run | 1 of 2 (5 asked for), 16, 1 s |" in text
    assert "| length=50, rate=0.1 | not run | not run | 2 of 2, 16, 1 s |" in text
    assert text.count("Stopped before all seeds had run: LSTM 2 of 5.") == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(600.0, "none of these takes over 10 minutes"), (601.0, "over 10 minutes")],
)
def test_the_page_of_tasks_tells_of_the_longest_run(seconds, said):
    Path("s").mkdir()
    runs = [one("rnn", 0), one("lstm", 1, seconds=seconds, title="<LSTM>"), one("gru", 2)]
    write_sweep(Path("s/sweep.json"), Sweep(HEAD, ["c"], {run.key: run for run in runs}))
    text = task_page(sweeps_in(Path("s")), "c", Path())
    which = f"took {seconds:.3g} s of one core (adding, &lt;LSTM>, seed 1)"
    assert f"- The longest of all runs {which}: {said}.\n" in text
