"""What several commands do: load, train, show progress, and say what came out."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console

from lstm.cells import AnyCell, Cell
from lstm.cli.own_code import class_named
from lstm.cli.own_files import OF_FILES
from lstm.errors import CheckpointError, ConfigError, ModelFileError
from lstm.model import Model
from lstm.store.checkpoint import Checkpoint, read_checkpoint
from lstm.tasks import TASKS, Task
from lstm.training import Report, Score, Settings, evaluate, random_streams, train
from lstm.training.progress import after, shown
from lstm.training.streams import padding_of

SHOWN_SEQUENCES = 32  # how many sequences a gradient is measured on


def loaded(args: argparse.Namespace) -> Model:
    cells = [] if args.cell is None else [class_named(args.cell, Cell)]
    if str(args.model) in TASKS and not args.model.exists():
        raise ConfigError(
            f"{args.model} is a task, and a model is needed: lstm train {args.model} makes one, a "
            "file in lstm-models"
        )
    try:
        return Model.load(args.model, cells)
    except ModelFileError:
        if (told := _checkpoint_words(args.model)) is None:
            raise
    raise ModelFileError(f"cannot load the model {args.model}: {told}")


def checkpoint_of(file: Path) -> Checkpoint | None:
    """A checkpoint; None of a file that is no sound one."""
    try:
        return read_checkpoint(file)
    except CheckpointError:
        return None


def step_of(checkpoint: Checkpoint) -> int | None:
    """After which step it is; None where it says nothing that could be one."""
    count = checkpoint.arrays.get("count")
    if count is None or count.shape != () or not isfinite(count):
        return None
    return int(count)


def way_on(file: Path, checkpoint: Checkpoint) -> str:
    """How its training goes on."""
    model = file.with_name(f"{file.stem.removesuffix('.checkpoint')}{file.suffix}")
    if model == file:
        return "lstm.fit(model, task, out=…, resume=True)"
    name = checkpoint.about["task"].get("name", "")
    words = f"{name} FILE" if name in OF_FILES else name
    return f"lstm train {words} --resume --out {model}"


def _checkpoint_words(file: Path) -> str | None:
    """What a checkpoint is and how to go on with it; None of a file that is no sound one."""
    checkpoint = checkpoint_of(file)
    if checkpoint is None:
        return None
    name = checkpoint.about["task"].get("name", "")
    return (
        f"it is a checkpoint of lstm, of the task {name} after step {step_of(checkpoint)}, not a "
        f"model; go on with its training, which ends in a model: {way_on(file, checkpoint)}"
    )


def shown_batch(task: Task, seed: int) -> tuple[Any, Any, dict[str, Any]]:
    """Sequences, targets, and how the sequences end, as `lengths=` or `mask=` of `measure`."""
    batch = task.batch(random_streams(seed).test, SHOWN_SEQUENCES)
    return batch[0], batch[1], padding_of(task, batch)


def trained(
    cell: AnyCell, task: Task, settings: Settings, quiet: bool
) -> tuple[Model, Model, Score, list[Report]]:
    rng = random_streams(settings.seed).params
    model = Model.create(cell, task.output_size, rng, task.config())
    before = model.copy()
    reports = []
    with shown(cell.name, settings.steps, (), not quiet) as show:
        start = time.perf_counter()
        for report in train(model, task, settings):
            reports.append(report)
            show(after(report, settings, len(reports), time.perf_counter() - start))
    return before, model, evaluate(model, task, settings.seed), reports


def status(what: str, quiet: bool) -> Any:
    return Console(stderr=True, quiet=quiet).status(f"{what} ...")


def about(task: Task, settings: Settings) -> dict[str, Any]:
    return {
        "task": task.config(),
        "baseline": task.baseline,
        "baseline_words": task.baseline_words,
        "baselines": {name: task.in_unit(loss) for name, loss in task.baselines.items()},
        "unit": task.unit,
        "criterion": task.criterion,
        "training": asdict(settings),
    }


def scored(score: Score) -> dict[str, Any]:
    return {"test_loss": score.loss, "correct": score.correct, "solved": score.solved}
