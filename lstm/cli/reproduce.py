"""`lstm reproduce`: the experiments of a paper, done again, beside its own numbers."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, NamedTuple

from lstm.cells import CELLS, Cell
from lstm.cli.options import one_of, path, whole
from lstm.cli.tables import console, print_json, printable, table
from lstm.errors import OutputError, TrainingWarning
from lstm.files import check_file, write_atomically
from lstm.model import Model
from lstm.tasks import Adding, Task
from lstm.tasks.multiplication import Multiplication
from lstm.tasks.reber import Reber
from lstm.tasks.temporal_order import TemporalOrder
from lstm.tasks.two_sequences import TwoSequences
from lstm.training import TEST_SEQUENCES, Settings, fit, random_streams

HELP = "do the experiments of a paper again, beside its numbers"


class Experiment(NamedTuple):
    """What a paper did, and how it is done here."""

    number: str
    task: Task
    sequences: int
    """In how many training sequences the paper's LSTM met its criterion, on average."""
    settings: Settings
    """Here: at most so many steps, which are some three times as many sequences."""
    validate: int = 50


def _settings(sequences: int, batch: int, rate: float) -> Settings:
    return Settings(steps=3 * sequences // batch, batch=batch, rate=rate, schedule="constant")


def _hs1997() -> list[Experiment]:
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997: tables 1, 4, 7, 8 and 9, with as
    many steps as their first rows, and the other rows of table 7."""
    return [
        Experiment("1", Reber(), 8_440, _settings(8_440, 8, 0.01)),
        Experiment("3a", TwoSequences(100, 3), 39_850, _settings(39_850, 10, 0.01), 100),
        Experiment("3a, N = 1", TwoSequences(100, 1), 64_330, _settings(64_330, 10, 0.01), 100),
        Experiment("4", Adding(100, "paper"), 74_000, _settings(74_000, 20, 0.01), 100),
        Experiment("4, T = 500", Adding(500, "paper"), 209_000, _settings(209_000, 20, 0.01), 100),
        Experiment(
            "4, T = 1,000", Adding(1000, "paper"), 853_000, _settings(853_000, 20, 0.01), 100
        ),
        Experiment("5", Multiplication(100), 482_000, _settings(482_000, 32, 0.005), 200),
        Experiment("6a", TemporalOrder(100, 2), 31_390, _settings(31_390, 20, 0.01)),
        Experiment("6b", TemporalOrder(100, 3), 571_100, _settings(571_100, 20, 0.01)),
    ]


PAPERS = {"hs1997": _hs1997}


def experiments_of(paper: str) -> list[Experiment]:
    """The experiments of a paper by its name."""
    return PAPERS[paper]()


class Trial(NamedTuple):
    """What came of one seed."""

    reached: bool
    """Whether the criterion was met, on validation sequences."""
    sequences: int
    wrong: int
    """Of 2000 test sequences."""
    seconds: float
    """Of one core, for all of `fit`, as a sweep has them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paper", choices=PAPERS, metavar="PAPER", help=f"one of {', '.join(PAPERS)}"
    )
    one_of(parser, "--cell", CELLS, default="lstm")
    parser.add_argument("--seeds", type=whole(1), default=5, help="how many (default: 5)")
    parser.add_argument("--out", type=path, help="a file for the table, in Markdown")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    parser.add_argument("--json", action="store_true", help="results as JSON, an object a line")


def run(args: argparse.Namespace) -> int:
    if args.out is not None:
        check_file(args.out)
        if args.out.exists() and not args.force:
            raise OutputError(f"{args.out} is there already: --force writes over it")
    rows = []
    for experiment in experiments_of(args.paper):
        trials = [_trial(experiment, CELLS[args.cell], seed) for seed in range(args.seeds)]
        rows.append(_row(experiment, CELLS[args.cell], trials))
        if args.json:
            print_json(rows[-1] | {"trials": [t._asdict() for t in trials]}, indent=None)
        else:
            console().print(printable(_said(rows[-1])), soft_wrap=True)
    if args.out is not None:
        write_atomically(args.out, markdown(args.paper, rows))
    if not args.json:
        console().print("", _table(rows))
        if args.out is not None:
            console().print(printable(f"Wrote {args.out}"), soft_wrap=True)
    return 0


def _trial(experiment: Experiment, kind: type[Cell[Any]], seed: int) -> Trial:
    """Train until the criterion is met, or the steps are done."""
    task, settings = experiment.task, replace(experiment.settings, seed=seed)
    model = Model.create(kind, seed=random_streams(seed).params, task=task)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        fitted = fit(model, task, settings, validate=experiment.validate, progress=False)
    sequences = fitted.reports[-1].step * settings.batch
    wrong = round((1 - fitted.score.correct) * TEST_SEQUENCES)
    return Trial(fitted.why == "solved", sequences, wrong, time.process_time() - start)


def _row(experiment: Experiment, kind: type[Cell[Any]], trials: Sequence[Trial]) -> dict[str, Any]:
    """Of all seeds; the mean of sequences is of those that met the criterion, as the paper's."""
    counts = [trial.sequences for trial in trials if trial.reached]
    return {
        "experiment": experiment.number,
        "task": experiment.task.config(),
        "heading": experiment.task.heading,
        "criterion": experiment.task.criterion,
        "cell": kind.name,
        "paper_sequences": experiment.sequences,
        "seeds": len(trials),
        "reached": len(counts),
        "sequences": round(mean(counts)) if counts else None,
        "range": [min(counts), max(counts)] if counts else None,
        "wrong": max(trial.wrong for trial in trials),
        "seconds": round(mean(trial.seconds for trial in trials), 1),
    }


def _said(row: dict[str, Any]) -> str:
    """A result in words."""
    ours = "not within three times as many" if row["sequences"] is None else f"{row['sequences']:,}"
    return (
        f"{row['experiment']}, {row['heading']}: {row['reached']} of {row['seeds']} seeds, "
        f"{ours} sequences (paper: {row['paper_sequences']:,})"
    )


_HEADS = ("", "task", "paper", "here", "seeds", "wrong")


def _cells(row: dict[str, Any]) -> list[str]:
    ours = "-" if row["sequences"] is None else f"{row['sequences']:,}"
    seeds = f"{row['reached']} of {row['seeds']}"
    sequences = [f"{row['paper_sequences']:,}", ours]
    return [row["experiment"], row["heading"], *sequences, seeds, f"{row['wrong']}"]


def _table(rows: Iterable[dict[str, Any]]) -> Any:
    shown = table(*_HEADS, title="Training sequences until the criterion is met")
    for row in rows:
        shown.add_row(*_cells(row))
    return shown


_WORDS = """\
Training sequences until the criterion is met: in the paper, and here, on average over
the seeds that met it; how many did, and by how many sequences; the most of 2000 other
sequences that any of the models has wrong; and the mean seconds of one core a seed, compiling
and tests among them. A seed that has not met it after three times as many sequences as the
paper's is given up. A net is 16 units, trained by Adam on batches of 8 to 32, with gates that
are set to remember at first; those of the paper are smaller, trained by plain gradient descent,
a sequence at a time.
"""


def markdown(paper: str, rows: Sequence[dict[str, Any]]) -> str:
    """The table as a file keeps it, with how it was made and what was to be reached."""
    cell, seeds = rows[0]["cell"], rows[0]["seeds"]
    lines = [
        f"# `lstm reproduce {paper} --cell {cell} --seeds {seeds}`",
        "",
        *_WORDS.splitlines(),
        "",
        "| | task | paper | here | seeds | by | wrong | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        *cells, wrong = _cells(row)
        least, most = row["range"] or (None, None)
        spread = "-" if least is None else f"{least:,} to {most:,}"
        lines.append(f"| {' | '.join([*cells, spread, wrong, str(row['seconds'])])} |")
    lines += ["", "What is to be reached:", ""]
    lines += [f"- {row['experiment']}: {row['criterion']}" for row in rows]
    return "\n".join([*lines, ""])
