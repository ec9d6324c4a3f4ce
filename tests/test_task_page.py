"""`lstm tasks --sweeps`: a page of all tasks, each number of which is of a sweep's file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from commands import command, refused

import lstm
from lstm.cli.results import Head, Sweep, Trial, read_sweep, write_sweep
from lstm.cli.task_page import sweeps_in, task_page
from lstm.tasks import TASKS

DOCS = Path(__file__).parents[1] / "docs"
HEAD = Head(lstm.Adding(50).config(), lstm.Adding.criterion, {}, {"rate": 0.01}, 2, None)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(head: Head = HEAD, folder: str = "s/adding", **sequences: int) -> None:
    """A sweep of two seeds for each cell: the first meets the criterion, unless that was to be in
    no sequences."""
    trials = {}
    for cell, count in sequences.items():
        for seed in range(2):
            why = "solved" if count and not seed else "steps"
            one = Trial(cell, seed, why, 10, count or 640, 1.5 + seed, 0.25, 0.5)
            trials[one.key] = one
    os.makedirs(folder)
    sweep = Sweep(head, ["lstm sweep adding `--length` 50"], trials)
    write_sweep(Path(folder, "sweep.json"), sweep)


def test_each_number_is_of_a_file(capsys):
    written(rnn=0, lstm=6400, mine=3200)
    status, out, _ = command(capsys, "tasks", "--sweeps", "s")
    assert (status, out) == (0, "Wrote tasks.md\n")
    text = Path("tasks.md").read_text()
    assert "| adding | length=50 | 0 of 2, 2 s | not run | 1 of 2, 6,400, 1.5 s |" in text
    assert "| RNN | 0 of 2 | 0 | - | 2 | 50.0% | 0.2500 |" in text
    assert "| GRU | not run |  |  |  |  |  |" in text
    assert "| LSTM | 1 of 2 | 0 | 6,400 | 1.5 | 50.0% | 0.2500 |" in text
    assert "| mine | 1 of 2 | 0 | 3,200 | 1.5 | 50.0% | 0.2500 |" in text
    assert "none of 2 seeds meets the criterion in 640 sequences, 50.0% correct" in text
    assert f"- Solved is: {lstm.Adding.criterion}." in text
    assert "50 steps; length=50, variant=halves, rate=0.01. To beat: always 1: 0.1667." in text
    assert "- From some seeds: adding." in text
    assert "\n\n    lstm sweep adding `--length` 50\n" in text


def test_all_tasks_are_there_whether_swept_or_not(capsys):
    written(lstm=6400)
    assert command(capsys, "tasks", "--sweeps", "s", "--out", "t.md")[0] == 0
    text = Path("t.md").read_text()
    for name in TASKS:
        assert f"\n## {name}\n" in text
        assert name == "adding" or f"| {name} |  | not run | not run | not run |" in text
    assert text.count("- Not run.") == len(TASKS) - 1


def test_charts_beside_sweeps_are_shown(capsys):
    written(folder="s/a )b", lstm=6400)
    Path("s/a )b/sweep.svg").write_text("<svg/>")
    os.mkdir("docs")
    assert command(capsys, "tasks", "--sweeps", "s", "--out", "docs/t.md")[0] == 0
    assert "](../s/a%20%29b/sweep.svg)" in Path("docs/t.md").read_text()


def test_several_sweeps_of_a_task_are_all_that_was_tried(capsys):
    written(lstm=0)
    written(replace(HEAD, training={"rate": 0.1}), "s/again", lstm=3200)
    assert command(capsys, "tasks", "--sweeps", "s")[0] == 0
    text = Path("tasks.md").read_text()
    assert "| adding | length=50, rate=0.01 | not run | not run | 0 of 2, 2 s |" in text
    assert "| adding | length=50, rate=0.1 | not run | not run | 1 of 2, 3,200, 1.5 s |" in text
    assert "rate=0.01" in text and "rate=0.1." in text


def test_of_commands_that_differ_in_seeds_the_one_with_most_stands(capsys):
    written(lstm=6400)
    file = Path("s/adding/sweep.json")
    said = json.loads(file.read_text())
    five, other = "lstm sweep adding --jobs 1 --seeds 5", "lstm sweep adding --jobs 1 --seeds x"
    said["commands"] = ["lstm sweep adding --seeds 2 --jobs 1", five, other]
    said["commands"] += ["lstm sweep adding --seeds 3 --jobs 1", "lstm sweep adding --cells gru"]
    file.write_text(json.dumps(said))
    assert command(capsys, "tasks", "--sweeps", "s")[0] == 0
    lines = Path("tasks.md").read_text().splitlines()
    shown = [line.strip() for line in lines if line.startswith("    lstm sweep adding")]
    assert shown == [five, other, "lstm sweep adding --cells gru"]


def test_how_long_runs_took_is_said_of_those_that_ran(capsys):
    written(lstm=6400)
    assert command(capsys, "tasks", "--sweeps", "s")[0] == 0
    assert "seed 1): none of these takes over 10 minutes." in Path("tasks.md").read_text()


def test_the_page_in_docs_is_what_its_command_writes(capsys, monkeypatch):
    """All of it: the command stands on the page."""
    page = (DOCS / "tasks.md").read_text("utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("    lstm tasks ")]
    monkeypatch.chdir(DOCS.parent)
    made = task_page(sweeps_in(Path("docs/tables/sweeps")), line.strip(), Path("docs"))
    assert made == page


def test_what_is_refused(capsys):
    os.mkdir("empty")
    assert "there is no sweep.json in empty" in refused(capsys, "tasks", "--sweeps", "empty")
    assert "there is no sweep.json in none" in refused(capsys, "tasks", "--sweeps", "none")
    assert "--out is for the page" in refused(capsys, "tasks", "--out", "x.md")
    written(lstm=6400)
    Path("there.md").write_text("mine")
    args = ["tasks", "--sweeps", "s", "--out", "there.md"]
    assert "there.md is there already: --force" in refused(capsys, *args)
    assert command(capsys, *args, "--force")[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"criterion": "luck"}, "was swept when solved was: luck"),
        ({"task": {"name": "nope", "settings": {}}}, "there is no task 'nope'"),
        ({"task": {"name": "adding", "settings": {"length": "x"}}}, "length must be"),
        ({"task": {"name": "adding", "settings": {"size": 1}}}, "no setting 'size'"),
        (
            {"task": {"name": "adding", "settings": {"length": 10**9}}},
            "1000000000 steps, more than",
        ),
    ],
)
def test_hostile_sweeps_are_refused(capsys, change, said):
    written(replace(HEAD, **change), lstm=6400)
    assert said in refused(capsys, "tasks", "--sweeps", "s")


def test_text_of_a_file_is_no_markup(capsys):
    written(replace(HEAD, model={"<script>|": "`x`\x1b"}), lstm=6400)
    file = Path("s/adding/sweep.json")
    said = json.loads(file.read_text())
    said["commands"] = ["```\n<script>"]
    file.write_text(json.dumps(said))
    assert read_sweep(file).commands == ["```\n<script>"]
    assert command(capsys, "tasks", "--sweeps", "s")[0] == 0
    text = Path("tasks.md").read_text()
    assert "\x1b" not in text and "&lt;script>\\|=\\`x\\`" in text
    assert [line for line in text.splitlines() if "```" in line] == ["    ```^J<script>"]


def test_what_was_tried_for_a_criterion_that_is_not_met_stands_beside_it(capsys, monkeypatch):
    monkeypatch.setattr(lstm.Adding, "tried", "a <b>larger</b> net, 98 %")
    written(lstm=0)
    assert command(capsys, "tasks", "--sweeps", "s")[0] == 0
    lines = Path("tasks.md").read_text().splitlines()
    said = lines.index("- Not met yet; tried: a &lt;b>larger&lt;/b> net, 98 %.")
    assert lines[said - 1] == f"- Solved is: {lstm.Adding.criterion}."
    # Where the page in docs says that a criterion is met from every seed, nothing else was tried.
    page = (DOCS / "tasks.md").read_text("utf-8")
    met = [line for line in page.splitlines() if line.startswith("- The LSTM meets the criterion")]
    names = met[0].partition(": ")[2].rstrip(".").split(", ")
    assert not [name for name in names if name != "adding" and TASKS[name].tried]
