"""What a sweep came to, said: sentences, tables for a terminal, Markdown and CSV, a page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as Printed

from lstm.cells import CELLS
from lstm.cli.results import Head, Summary, Sweep, Trial, summed
from lstm.cli.tables import loss_text, table
from lstm.files import write_atomically
from lstm.tasks import Task
from lstm.training import Settings
from minigrad.display import Table, plain

Trials = Mapping[str, Sequence[Trial]]
"""The runs of each cell, by its name; a cell may have none."""
USUAL = ("rnn", "gru", "lstm")
"""Cells that are swept unless others are asked for."""
_COLUMNS = ("cell", "seed", "why", "steps", "sequences", "seconds", "loss", "correct")


def heading(cell: str) -> str:
    """What a cell is called; one that lstm does not know, by its name."""
    kind = CELLS.get(cell)
    return cell if kind is None else kind.title or kind.__name__


def finding(trials: Trials) -> str:
    """What came of each cell, in a sentence, those that did best first."""
    sums = {cell: summed(made) for cell, made in trials.items() if made}
    order = sorted(sums, key=lambda cell: -sums[cell].reached / sums[cell].seeds)
    said = "; ".join(f"{heading(cell)}: {_said(sums[cell])}" for cell in order)
    return f"{said}." if said else "Nothing was run."


def _said(made: Summary) -> str:
    if made.sequences is None:
        right = "" if made.correct is None else f", {made.correct:.1%} correct"
        of = f"none of {made.seeds} seeds meets" if made.seeds > 1 else "its one seed does not meet"
        return f"{of} the criterion in {made.most:,} sequences{right}"
    meet = "meets" if made.reached == 1 else "meet"
    return (
        f"{made.reached} of {made.seeds} seeds {meet} the criterion after {_spread(made)} "
        f"sequences, in {made.seconds:.3g} s"
    )


def _spread(made: Summary) -> str:
    """Of those that met it: the median, and from the least to the largest."""
    if made.sequences is None:
        return "-"
    middle, least, most = made.sequences
    return f"{middle:,.0f}" + (f" ({least:,} to {most:,})" if least < most else "")


HEADS = ("", "reached", "sequences", "seconds", "correct")


def row_of(task: Task, cell: str, made: Sequence[Trial]) -> list[str]:
    """What came of a cell: under HEADS, and the loss in the task's unit."""
    if not made:
        return [heading(cell), "not run", "", "", "", ""]
    one = summed(made)
    return [
        heading(cell),
        f"{one.reached} of {one.seeds}",
        _spread(one),
        f"{one.seconds:.3g}",
        "-" if one.correct is None else f"{one.correct:.1%}",
        "failed" if one.loss is None else loss_text(task.in_unit(one.loss)),
    ]


def result_table(task: Task, trials: Trials) -> Printed:
    """The table for a terminal."""
    rows = table(*HEADS, task.unit, title=f"{task.heading}, {task.steps} steps")
    for cell, made in trials.items():
        rows.add_row(*map(plain, row_of(task, cell, made)))
    return rows


def settings_said(head: Head, task: Task) -> str:
    """What is not as usual for the task, in words."""
    usual = json.loads(json.dumps(vars(Settings(**task.usual)), default=dict))
    named = {**head.model, **{k: v for k, v in head.training.items() if v != usual.get(k)}}
    settings = {k: v for k, v in head.task["settings"].items() if not isinstance(v, (dict, list))}
    said = [f"{name}={value}" for name, value in {**settings, **named}.items()]
    return plain(", ".join(said), 400)


# --- files --------------------------------------------------------------------------------------


def as_csv(trials: Trials) -> str:
    """All runs at full precision, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for made in trials.values():
        writer.writerows([getattr(one, name) for name in _COLUMNS] for one in made)
    return text.getvalue()


WORDS = (
    "Reached: of how many seeds the criterion was met, on validation sequences; sequences: trained "
    "on until then, the median of those seeds (and the least to the largest); seconds: of one "
    "core, the median; correct and loss: of 2000 other sequences, the median."
)


def as_markdown(sweep: Sweep, task: Task, trials: Trials) -> str:
    """The table as a file keeps it, with how it was made."""
    lines = [f"# {task.heading}: {', '.join(map(heading, trials))}", "", finding(trials), ""]
    lines += rows_of_markdown(
        [*HEADS, task.unit], [row_of(task, cell, made) for cell, made in trials.items()]
    )
    said = [*baselines(task), f"Solved is: {task.criterion}.", WORDS]
    said += ["Made by", "\n".join(f"    {line}" for line in map(plain, sweep.commands))]
    return "\n".join([*lines, *(f"\n{line}" for line in said), ""])


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
    """Write the page, the table and the chart; returns their paths."""
    from lstm.figures.page import Section, page  # drawing is loaded by those who draw
    from lstm.figures.seeds import NARROW, Seeds, draw_seeds

    shown = {heading(cell): [run_of(task, one) for one in made] for cell, made in trials.items()}
    losses = {name: task.in_unit(x) for name, x in task.baselines.items()}
    unit = task.unit.removeprefix("test ")
    asked = Seeds({k: v for k, v in shown.items() if any(r.at for r in v)}, losses, unit)
    title = f"{task.heading}, {task.steps} steps: {', '.join(shown)}"
    chart, narrow = draw_seeds(asked, title), draw_seeds(asked, title, width=NARROW)
    chart.prefix, narrow.prefix = "sweep", "sweep-narrow"
    rows = [row_of(task, cell, made) for cell, made in trials.items()]
    every = [[str(getattr(one, k)) for k in _COLUMNS] for made in trials.values() for one in made]
    sections = [
        Section("Training", picture=chart.svg, narrow=narrow.svg, caption=chart.description),
        Section(
            "In numbers",
            tables=[Table(task.heading, rows, [*HEADS, task.unit])],
            footnotes=[f"Solved is: {task.criterion}.", *baselines(task), WORDS],
        ),
        Section("How it was made", text=[settings_said(sweep.head, task)], points=sweep.commands),
        Section("All runs", folded=[Table("Each run", every, _COLUMNS)]),
    ]
    files: dict[str, Any] = {
        "index.html": page(title, [finding(trials)], sections, leads=True),
        "sweep.md": as_markdown(sweep, task, trials),
        "sweep.csv": as_csv(trials),
        "sweep.svg": chart.data("svg"),
        "sweep.png": chart.data("png"),
    }
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in files]


def run_of(task: Task, made: Trial) -> Any:
    """A run as it is drawn."""
    from lstm.figures.seeds import Run

    at = [count for count, _, _ in made.curve]
    losses = [task.in_unit(loss) for _, loss, _ in made.curve]
    return Run(at, losses, [right for *_, right in made.curve], made.why)
