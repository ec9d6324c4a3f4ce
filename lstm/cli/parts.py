"""What several commands do: load, train, show progress, and say what came out."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lstm.cells import AnyCell, Cell
from lstm.cli.own_code import class_named
from lstm.model import Model
from lstm.tasks import Task
from lstm.training import Report, Score, Settings, evaluate, random_streams, train

SHOWN_SEQUENCES = 32  # how many sequences a gradient is measured on


def loaded(args: argparse.Namespace) -> Model:
    cells = [] if args.cell is None else [class_named(args.cell, Cell)]
    return Model.load(args.model, cells)


def shown_batch(task: Task, seed: int) -> tuple[Any, Any]:
    xs, ys, *_ = task.batch(random_streams(seed).test, SHOWN_SEQUENCES)
    return xs, ys


def trained(
    cell: AnyCell, task: Task, settings: Settings, quiet: bool
) -> tuple[Model, Model, Score, list[Report]]:
    rng = random_streams(settings.seed).params
    model = Model.create(cell, task.output_size, rng, task.config())
    before = model.copy()
    reports = list(_progress(cell.name, train(model, task, settings), settings.steps, quiet))
    return before, model, evaluate(model, task, settings.seed), reports


def _progress(name: str, reports: Iterable[Report], steps: int, quiet: bool) -> Iterator[Report]:
    if quiet:  # rich before 14.3 writes an empty line for a bar that it does not show
        yield from reports
        return
    columns = (
        TextColumn(f"{name:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        job = progress.add_task(name, total=steps, loss="  -   ")
        for report in reports:
            progress.update(job, completed=report.step, loss=f"{report.loss:.4f}")
            yield report


def status(what: str, quiet: bool) -> Any:
    return Console(stderr=True, quiet=quiet).status(f"{what} ...")


def about(task: Task, settings: Settings) -> dict[str, Any]:
    return {
        "task": task.config(),
        "baseline": task.baseline,
        "baseline_words": task.baseline_words,
        "training": asdict(settings),
    }


def scored(score: Score) -> dict[str, Any]:
    return {"test_loss": score.loss, "correct": score.correct, "solved": score.solved}
