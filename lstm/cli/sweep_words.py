"""What a sweep came to, said: sentences, tables for a terminal, Markdown and CSV, a page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from rich.table import Table as Printed

from lstm.cells import CELLS
from lstm.cli.results import Head, Summary, Sweep, Trial, summed
from lstm.cli.tables import loss_text, table
from lstm.files import generator_of, write_atomically
from lstm.percents import percent
from lstm.tasks import Task
from lstm.training import Settings
from minigrad.display import Table, plain

Trials = Mapping[str, Sequence[Trial]]
"""The runs of each cell, by its name; a cell may have none."""
USUAL = ("rnn", "gru", "lstm")
"""Cells that are swept unless others are asked for."""
_COLUMNS = ("cell", "seed", "why", "steps", "sequences", "seconds", "loss", "correct", "said")


def heading(cell: str, made: Sequence[Trial] = ()) -> str:
    """What a cell is called: as its runs say; one without, as lstm does, or as it is spelled."""
    if made and made[-1].title:
        return made[-1].title
    kind = CELLS.get(cell)
    return cell if kind is None else kind.title or kind.__name__


def headings(trials: Trials) -> dict[str, str]:
    """What each cell is called, where no two are called alike."""
    names = {cell: heading(cell, made) for cell, made in trials.items()}
    same = [name for name in names.values() if [*names.values()].count(name) > 1]
    return {
        cell: f"{name} ({cell})" if name in same and cell not in CELLS else name
        for cell, name in names.items()
    }


def finding(task: Task, trials: Trials) -> str:
    """What came of each cell, in a sentence, those that did best first."""
    sums = {cell: summed(made) for cell, made in trials.items() if made}
    names = headings(trials)

    def worth(cell: str) -> tuple[float, float]:
        one = sums[cell]
        loss = inf if one.loss is None else one.loss
        return (-one.reached / one.seeds, 0.0) if task.has_criterion else (0.0, loss)

    said = "; ".join(
        f"{names[cell]}: {_said(task, sums[cell])}" for cell in sorted(sums, key=worth)
    )
    return f"{said}." if said else "Nothing was run."


def _said(task: Task, made: Summary) -> str:
    if not task.has_criterion:
        return _loss_said(task, made)
    if made.sequences is None:
        right = "" if made.correct is None else f", {percent(made.correct)} correct"
        of = f"none of {made.seeds} seeds meets" if made.seeds > 1 else "its one seed does not meet"
        return f"{of} the criterion in {made.most:,} sequences{right}"
    meet = "meets" if made.reached == 1 else "meet"
    return (
        f"{made.reached} of {made.seeds} seeds {meet} the criterion after {_spread(made)} "
        f"sequences, in {made.seconds:.3g} s"
    )


def _loss_said(task: Task, made: Summary) -> str:
    """What came of a cell where there is no criterion to meet."""
    if made.loss is None:
        failed = "its one seed failed" if made.seeds == 1 else f"all {made.seeds} seeds failed"
        return f"{failed} within {made.most:,} sequences"
    sound = made.seeds - made.failed
    of = "" if sound == 1 else f", the median of {sound} seeds,"
    right = "" if made.correct is None else f", {percent(made.correct)} correct"
    loss = loss_text(task.in_unit(made.loss))
    return f"{task.unit} {loss}{of} after at most {made.most:,} sequences{right}"


def failures(trials: Trials) -> list[str]:
    """Of each cell of which runs failed, how many, and why the first of them."""
    names = headings(trials)
    said = []
    for cell, made in trials.items():
        failed = [one for one in made if one.why == "failed"]
        if failed:
            why = f", seed {failed[0].seed}: {failed[0].said}" if failed[0].said else ""
            said.append(f"{names[cell]}: {len(failed)} of {len(made)} failed{why}")
    return said


def _spread(made: Summary) -> str:
    """Of those that met it: the median, and from the least to the largest."""
    if made.sequences is None:
        return "-"
    middle, least, most = made.sequences
    return f"{middle:,.0f}" + (f" ({least:,} to {most:,})" if least < most else "")


HEADS = ("", "reached", "failed", "sequences", "seconds", "correct")


def row_of(task: Task, name: str, made: Sequence[Trial]) -> list[str]:
    """What came of a cell that is called so: under HEADS, and the loss in the task's unit."""
    if not made:
        return [name, "not run", "", "", "", "", ""]
    one = summed(made)
    return [
        name,
        f"{one.reached} of {one.seeds}" if task.has_criterion else f"- of {one.seeds}",
        str(one.failed),
        _spread(one),
        f"{one.seconds:.3g}",
        "-" if one.correct is None else percent(one.correct),
        "-" if one.loss is None else loss_text(task.in_unit(one.loss)),
    ]


def rows_of(task: Task, trials: Trials) -> list[list[str]]:
    """A row for each cell."""
    return [row_of(task, name, trials[cell]) for cell, name in headings(trials).items()]


def result_table(task: Task, trials: Trials) -> Printed:
    """The table for a terminal."""
    rows = table(*HEADS, task.unit, title=f"{task.heading}, {task.steps} steps")
    for row in rows_of(task, trials):
        rows.add_row(*map(plain, row))
    return rows


def settings_said(head: Head, task: Task) -> str:
    """What is not as usual for the task, in words."""
    settings = {k: v for k, v in head.task["settings"].items() if not isinstance(v, (dict, list))}
    said = {**settings, **head.model, **training_said(head, task)}
    return plain(", ".join(f"{name}={value}" for name, value in said.items()), 400)


def training_said(head: Head, task: Task) -> dict[str, Any]:
    """The settings of training that are not as usual for the task."""
    usual = json.loads(json.dumps(vars(Settings(**task.usual)), default=dict))
    return {name: value for name, value in head.training.items() if value != usual.get(name)}


# --- files --------------------------------------------------------------------------------------


def as_csv(trials: Trials) -> str:
    """All runs at full precision, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for made in trials.values():
        writer.writerows([getattr(one, name) for name in _COLUMNS] for one in made)
    return text.getvalue()


def words(tested_on: str) -> str:
    """What the columns of the table are. tested_on: as `Task.tested_on` has it."""
    return (
        "Reached: of how many seeds the criterion was met, on validation sequences; failed: of how "
        "many the loss was not finite; sequences: trained on until the criterion was met, the "
        "median of those seeds (and the least to the largest); seconds: of one core, compiling and "
        "tests among them, the median of the seeds that met it, or of all where none did; correct "
        f"and loss: of {tested_on}, the median of the seeds that did not fail."
    )


def as_markdown(sweep: Sweep, task: Task, trials: Trials) -> str:
    """The table as a file keeps it, with how it was made."""
    lines = [f"# {escaped(_title(task, trials))}", "", escaped(finding(task, trials)), ""]
    lines += rows_of_markdown([*HEADS, task.unit], rows_of(task, trials))
    said = [*baselines(task), f"Solved is: {task.criterion}.", words(task.tested_on)]
    said = [escaped(line) for line in [*failures(trials), *said]]
    said += ["Made by", "\n".join(f"    {line}" for line in map(plain, sweep.commands))]
    return "\n".join([*lines, *(f"\n{line}" for line in said), ""])


def _title(task: Task, trials: Trials) -> str:
    return f"{task.heading}, {task.steps} steps: {', '.join(headings(trials).values())}"


def baselines(task: Task) -> list[str]:
    """What the losses are to be compared with."""
    losses = [f"{name}: {loss_text(task.in_unit(x))}" for name, x in task.baselines.items()]
    return [f"To beat: {', '.join(losses)}."] if losses else []


def rows_of_markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, nothing in which is markup.

    >>> rows_of_markdown(["a", "b"], [["1|2", "<i>"]])
    ['| a | b |', '|---|---|', '| 1\\\\|2 | &lt;i> |']
    """
    lines = [f"| {' | '.join(map(escaped, row))} |" for row in [heads, *rows]]
    return [lines[0], "|---" * len(heads) + "|", *lines[1:]]


def escaped(text: str) -> str:
    """Text in a line of Markdown, in which nothing is markup."""
    shown = re.sub(r"&(?=[#\w]+;)", "&amp;", plain(text)).replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#~" else c for c in shown)


def write_results(folder: Path, sweep: Sweep, task: Task, trials: Trials) -> list[Path]:
    """Write the page, the table, and the chart where there is anything to draw; returns their
    paths."""
    from lstm.figures.page import Section, page  # drawing is loaded by those who draw

    title = _title(task, trials)
    every = [[str(getattr(one, k)) for k in _COLUMNS] for made in trials.values() for one in made]
    files: dict[str, Any] = {
        "sweep.md": as_markdown(sweep, task, trials),
        "sweep.csv": as_csv(trials),
    }
    sections = [
        Section(
            "In numbers",
            tables=[Table(task.heading, rows_of(task, trials), [*HEADS, task.unit])],
            footnotes=[
                *failures(trials),
                f"Solved is: {task.criterion}.",
                *baselines(task),
                words(task.tested_on),
            ],
        ),
        Section("How it was made", text=[settings_said(sweep.head, task)], points=sweep.commands),
        Section("All runs", folded=[Table("Each run", every, _COLUMNS)]),
    ]
    if any(run.curve for made in trials.values() for run in made):
        chart, narrow = _charts(task, trials, title)
        training = {"picture": chart.svg, "narrow": narrow.svg, "caption": chart.description}
        sections.insert(0, Section("Training", **training))
        files |= {"sweep.svg": chart.data("svg"), "sweep.png": chart.data("png")}
    said = [finding(task, trials)]
    by = generator_of("sweep")
    files["index.html"] = page(title, said, sections, leads=True, generator=by)
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in sorted(files)]


def _charts(task: Task, trials: Trials, title: str) -> tuple[Any, Any]:
    """How the runs went, and the same for narrow screens."""
    from lstm.figures.seeds import NARROW, Seeds, draw_seeds

    names = headings(trials)
    shown = {names[cell]: [run_of(task, one) for one in made] for cell, made in trials.items()}
    losses = {name: task.in_unit(x) for name, x in task.baselines.items()}
    asked = Seeds(shown, losses, task.unit.removeprefix("test "))
    chart, narrow = draw_seeds(asked, title), draw_seeds(asked, title, width=NARROW)
    chart.prefix, narrow.prefix = "sweep", "sweep-narrow"
    return chart, narrow


def run_of(task: Task, made: Trial) -> Any:
    """A run as it is drawn."""
    from lstm.figures.seeds import Run

    at = [count for count, _, _ in made.curve]
    losses = [task.in_unit(loss) for _, loss, _ in made.curve]
    return Run(at, losses, [right for *_, right in made.curve], made.why)
