"""The page of all tasks: what is to be reached, and what sweeps came to, cell by cell. Every number
on it is read from the files of sweeps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from lstm.cli.options import LONGEST
from lstm.cli.results import FILE, Sweep, read_sweep, summed
from lstm.cli.sweep_words import (
    HEADS,
    USUAL,
    Trials,
    baselines,
    escaped,
    failures,
    finding,
    heading,
    rows_of,
    rows_of_markdown,
    settings_said,
    training_said,
    words,
)
from lstm.errors import ConfigError
from lstm.tasks import TASKS, Task, make_task
from minigrad.display import plain

_CHART = "sweep.svg"
_MOST_SECONDS = 600  # of a training on two cores: one more core only makes it shorter
_HEAD = """\
A run ends when its criterion is met, or with the last step that was asked for. The first table has
of how many seeds it was met, after how many sequences and in how many seconds; the others have
more of it.
"""


class Swept(NamedTuple):
    """A sweep of a task, and where its file is."""

    path: Path
    task: Task
    sweep: Sweep

    @property
    def trials(self) -> Trials:
        """The runs of each cell: of those that are usual, and what else there is."""
        return self.sweep.of(dict.fromkeys([*USUAL, *self.sweep.cells]))


def sweeps_in(folder: Path) -> list[Swept]:
    """All sweeps in a folder and below it, in the order of their paths. Raises ConfigError where
    there is none, for a file that is none, and for one of a task that is now another."""
    files = sorted(folder.rglob(FILE)) if folder.is_dir() else []
    if not files:
        raise ConfigError(f"there is no {FILE} in {folder}; lstm sweep TASK --out writes one")
    return [_swept(path) for path in files]


def _swept(path: Path) -> Swept:
    sweep = read_sweep(path)
    said = sweep.head.task
    try:
        task = make_task(said["name"], said["settings"])
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path} is of a task that cannot be made: {error}") from None
    if task.steps > LONGEST:
        raise ConfigError(f"{path} is of a task of {task.steps} steps, more than {LONGEST}")
    if task.criterion != sweep.head.criterion:
        raise ConfigError(
            f"{path} was swept when solved was: {plain(sweep.head.criterion, 80)}; with --force "
            "lstm sweep does it again"
        )
    return Swept(path, task, sweep)


def task_page(swept: Sequence[Swept], command: str, beside: Path) -> str:
    """The page in Markdown. command: what makes it; beside: the folder that it will be in, from
    which charts are named."""
    by_name: dict[str, list[Swept]] = {name: [] for name in TASKS}
    for one in swept:
        by_name[one.task.name].append(one)
    lines = ["# Tasks", "", "Made from what `lstm sweep` wrote by", "", f"    {plain(command)}", ""]
    lines += [
        *_HEAD.splitlines(),
        "",
        words("test sequences"),
        "",
        *_overview(by_name),
        "",
        *_how_many(by_name),
        *_longest(swept),
    ]
    for name, sweeps in by_name.items():
        lines += ["", *_section(name, sweeps, beside)]
    return "\n".join([*lines, ""])


def _overview(by_name: Mapping[str, Sequence[Swept]]) -> list[str]:
    """A row for each sweep, and one for each task without any."""
    rows = []
    for name, sweeps in by_name.items():
        differ = any(one.sweep.head.training != sweeps[0].sweep.head.training for one in sweeps)
        for one in sweeps:
            said = [_in_short(one, cell) for cell in USUAL]
            rows.append([name, _settings(one, differ), *said])
        if not sweeps:
            rows.append([name, "", *["not run"] * len(USUAL)])
    return rows_of_markdown(["task", "settings", *map(heading, USUAL)], rows)


def _settings(one: Swept, with_training: bool) -> str:
    """What task and model were made with, and trained with if that is asked, where not as usual."""
    usual = make_task(one.task.name).config()["settings"]
    own = one.task.config()["settings"]
    said = {name: value for name, value in own.items() if usual[name] != value}
    said |= one.sweep.head.model
    if with_training:
        said |= training_said(one.sweep.head, one.task)
    return ", ".join(f"{name}={value}" for name, value in said.items())


def _in_short(swept: Swept, cell: str) -> str:
    made = swept.trials[cell]
    if not made:
        return "not run"
    one = summed(made)
    after = "" if one.sequences is None else f", {one.sequences[0]:,.0f}"
    wanted = swept.sweep.asked.get(cell, 0)
    of = f" ({wanted} asked for)" if wanted > one.seeds else ""
    return f"{one.reached} of {one.seeds}{of}{after}, {one.seconds:.3g} s"


def _how_many(by_name: Mapping[str, Sequence[Swept]]) -> list[str]:
    """Which criteria the LSTM meets; of a task with several sweeps, in which of them."""
    shares: dict[str, list[float]] = {}
    for name, sweeps in by_name.items():
        sums = [summed(one.trials["lstm"]) for one in sweeps if one.trials["lstm"]]
        if sums:
            shares[name] = [one.reached / one.seeds for one in sums]
    parts = {
        "The LSTM meets the criterion from every seed": [
            n for n, x in shares.items() if min(x) == 1
        ],
        "From every seed in some of its sweeps": [
            n for n, x in shares.items() if min(x) < max(x) == 1
        ],
        "From some seeds": [n for n, x in shares.items() if 0 < max(x) < 1],
        "From none": [n for n, x in shares.items() if not max(x)],
        "Not run": [n for n in by_name if n not in shares],
    }
    return [f"- {said}: {', '.join(names)}." for said, names in parts.items() if names]


def _longest(swept: Sequence[Swept]) -> list[str]:
    """Which run took longest, beside the most that any may take."""
    runs = [(run, one.task.name) for one in swept for run in one.sweep.trials.values()]
    if not runs:
        return []
    run, name = max(runs, key=lambda pair: pair[0].seconds)
    which = f"{name}, {heading(run.cell, [run])}, seed {run.seed}"
    took = f"The longest of all runs took {run.seconds:.3g} s of one core ({escaped(which)})"
    limit = f"{_MOST_SECONDS // 60} minutes"
    within = (
        f"none of these takes over {limit}" if run.seconds <= _MOST_SECONDS else f"over {limit}"
    )
    return [f"- {took}: {within}."]


def _section(name: str, sweeps: Sequence[Swept], beside: Path) -> Iterator[str]:
    task = sweeps[0].task if sweeps else make_task(name)
    yield f"## {escaped(name)}"
    yield ""
    yield f"{escaped(task.heading)}: {escaped(task.summary)}."
    yield ""
    if task.paper is not None:
        yield f"- From: {escaped(task.paper)}."
    yield f"- Solved is: {escaped(task.criterion)}."
    if task.tried:
        yield f"- Not met yet; tried: {escaped(task.tried)}."
    if not sweeps:
        yield "- Not run."
    for one in sweeps:
        yield from _results(one, beside)


def _results(one: Swept, beside: Path) -> Iterator[str]:
    task, trials = one.task, one.trials
    said = settings_said(one.sweep.head, task)
    yield ""
    yield f"{task.steps} steps{f'; {escaped(said)}' if said else ''}. " + escaped(
        " ".join(baselines(task))
    )
    yield ""
    yield escaped(finding(task, trials))
    yield ""
    yield from rows_of_markdown([*HEADS, task.unit], rows_of(task, trials))
    for line in (*failures(trials), *_stopped(one)):
        yield ""
        yield escaped(line)
    yield ""
    yield from (f"    {plain(command)}" for command in _last_of_each(one.sweep.commands))
    chart = one.path.with_name(_CHART)
    if chart.is_file():
        where = quote(Path(os.path.relpath(chart, beside)).as_posix())
        yield ""
        yield f"![{escaped(task.heading)}: losses and right answers of each cell]({where})"


def _last_of_each(commands: Sequence[str]) -> list[str]:
    """Of commands that differ in how many seeds they ask for alone, in whatever order of their
    options, the last that asks for most: its runs are those of the others and more."""
    last: dict[tuple[str, ...], tuple[int, str]] = {}
    for command in commands:
        words, seeds = command.split(), 0
        at = words.index("--seeds") + 1 if "--seeds" in words else len(words)
        if at < len(words) and words[at].isdecimal():
            seeds = int(words[at])
            del words[at]
        key = tuple(sorted(words))
        if seeds >= last.get(key, (0, ""))[0]:
            last[key] = seeds, command
    return [command for _, command in last.values()]


def _stopped(one: Swept) -> list[str]:
    """Of which cells fewer seeds have run than were asked for."""
    counts = {cell: (len(made), one.sweep.asked.get(cell, 0)) for cell, made in one.trials.items()}
    said = [f"{heading(c, one.trials[c])} {n} of {of}" for c, (n, of) in counts.items() if n < of]
    return [f"Stopped before all seeds had run: {', '.join(said)}."] if said else []
