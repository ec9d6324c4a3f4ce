"""`lstm train`: a model of a task, trained, tested and saved; stopped, and resumed."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lstm.cells import CELLS, Cell
from lstm.cli.asked import (
    Tasks,
    cells_named,
    model_asked,
    model_options,
    settings_asked,
    task_asked,
    task_options,
    tasks_of,
    training_options,
)
from lstm.cli.hosts import host_options, writes_files
from lstm.cli.options import OrOwn, one_of, path, whole
from lstm.cli.parts import about, scored
from lstm.cli.reports import FILES, Seen, write_page
from lstm.cli.tables import console, print_json, printable, score_table
from lstm.errors import ConfigError, OutputError, TrainingWarning
from lstm.files import check_file, new_folder, output_folder
from lstm.model import Model
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Task
from lstm.training import Fitted, Progress, Settings, fit

HELP = "train a model on a task, or on a text or table of your own"
FOLDER = Path("lstm-models")

_ENDED = {
    "solved": "the task is solved",
    "patience": "validation got no better",
    "steps": "these are all steps",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    task_options(parser)
    parser.add_argument("--seed", type=whole(0), help="of all that is random (default: 0)")
    parser.add_argument("--json", action="store_true", help="results as JSON, an object a line")
    group = parser.add_argument_group("the model")
    text = f"one of {', '.join(CELLS)}, or your own: FILE.py:NAME (default: lstm); may be given "
    text += "several times, for a model of each"
    group.add_argument("--cell", choices=OrOwn(CELLS), action="append", metavar="NAME", help=text)
    model_options(group)
    group = parser.add_argument_group("how to train")
    training_options(group)
    one_of(group, "--backend", ["auto", "numpy", "native", "jax"], default="auto")
    host_options(group)
    _file_options(parser.add_argument_group("files"))


def _file_options(group: Any) -> None:
    text = f"default: {FOLDER}/TASK-CELL.safetensors; of arrays without a name FILE-NAME-CELL"
    group.add_argument("--out", type=path, help=text)
    group.add_argument("--metrics", type=path, help="a file for a line of JSON each step")
    text = "a folder for a page of what came of it, with pictures"
    group.add_argument("--report", type=path, metavar="FOLDER", help=text)
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint beside it")
    group.add_argument("--force", action="store_true", help="write over what is there")


def run(args: argparse.Namespace) -> int:
    if not writes_files(args):
        args.report = None  # as all files, it is the first one's
    cells = cells_named(args.cell or ["lstm"])
    for option in ("out", "metrics"):
        if len(cells) > 1 and getattr(args, option) is not None:
            raise ConfigError(f"--{option} is one file, and there are {len(cells)} cells")
    _check_report(args)
    tasks = tasks_of(args)
    with ExitStack() as stack:
        folder = FOLDER if args.out is not None else stack.enter_context(new_folder(FOLDER))
        outs = [args.out or folder / f"{tasks.label}-{kind.name}.safetensors" for kind in cells]
        for out in outs:
            check_file(out)  # so that it has a name
        if args.metrics is not None:
            check_file(args.metrics)
        asked = [_asked(args, kind, tasks, out) for kind, out in zip(cells, outs, strict=True)]
        for one in asked:  # once nothing else is wrong: --force is no answer to that
            _check_files(args, one.out, one.checkpoint)
        if args.report is not None:
            page = stack.enter_context(
                output_folder(args.report, FILES, force=args.force, command="train")
            )
        made = [_trained(args, one) for one in asked]
        if not args.json:
            _print(made, outs)  # what is there already, should the page fail
        if args.report is None:
            return 0
        seen = [one.seen for one in made if one.seen is not None]
        write_page(page, seen, [one.fitted for one in made], args.spelled)
    if args.json:
        return print_json({"report": str(args.report)}, indent=None)
    console().print(printable(f"Wrote {args.report / 'index.html'}"), soft_wrap=True)
    return 0


class _Asked(NamedTuple):
    """A training as it is asked for, or goes on."""

    out: Path
    checkpoint: Path
    cell: str
    task: Task
    settings: Settings
    model: Model


class _Made(NamedTuple):
    """What came of a cell."""

    task: Task
    settings: Settings
    fitted: Fitted
    seen: Seen | None
    """What a report needs of it, where one is asked for."""


def _checkpoint_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.checkpoint{out.suffix}")


def _asked(args: argparse.Namespace, kind: type[Cell[Any]], tasks: Tasks, out: Path) -> _Asked:
    file = _checkpoint_of(out)
    checkpoint = read_checkpoint(file) if args.resume else None
    task = task_asked(args, tasks, checkpoint)
    settings = settings_asked(args, task, checkpoint)
    model = model_asked(args, kind, task, settings, checkpoint)
    return _Asked(out, file, kind.name, task, settings, model)


def _trained(args: argparse.Namespace, asked: _Asked) -> _Made:
    """A model that is trained and saved; its results are printed where they are for a machine."""
    out, file, cell, task, settings, model = asked
    seen = None if args.report is None else Seen(task, settings)
    start = time.perf_counter()
    with warnings.catch_warnings():  # they are printed with what came of it
        warnings.simplefilter("ignore", TrainingWarning)
        fitted = fit(
            model,
            task,
            settings,
            validate=args.validate,
            patience=args.patience,
            out=file,
            resume=args.resume,
            force=args.force,
            metrics=args.metrics,
            callback=partial(_tell, cell if args.json else "", seen),
            watch=None if seen is None else seen.watch,
            progress=False if args.json else None,
            backend=args.backend,
            devices=args.devices,
        )
    if writes_files(args):
        fitted.best.save(out)
    if args.json:
        results = about(task, settings) | {"cell": {"name": model.cell.name} | asdict(model.cell)}
        results |= scored(fitted.score) | {"why": fitted.why, "model": str(out)}
        results |= {"notes": fitted.notes, "warnings": fitted.warnings}
        if fitted.reports:
            results |= {"train_loss": fitted.reports[-1].loss, "steps": fitted.reports[-1].step}
        print_json(results | {"seconds": round(time.perf_counter() - start, 3)}, indent=None)
    return _Made(task, settings, fitted, seen)


def _tell(cell: str, seen: Seen | None, progress: Progress) -> None:
    """Pass on where training stands. cell: where it is printed for a machine, of which."""
    if seen is not None:
        seen.callback(progress)
    if cell and progress.score is not None:
        print_json({"cell": cell} | progress.values(), indent=None)


def _print(made: Sequence[_Made], outs: Sequence[Path]) -> None:
    to, task = console(), made[0].task
    to.print(score_table(task, {one.fitted.model.cell.heading: one.fitted.score for one in made}))
    to.print(f"Solved is: {task.criterion}.")
    for one, out in zip(made, outs, strict=True):
        fitted = one.fitted
        said = [*fitted.notes]
        if fitted.reports:
            end = f"Ended after step {fitted.reports[-1].step} of {one.settings.steps}"
            said.append(f"{end}: {_ENDED[fitted.why]}.")
        head = f"{fitted.model.cell.heading}: " if len(made) > 1 else ""
        to.print(head + " ".join([*said, *fitted.warnings]))
        to.print(printable(f"Wrote {out}"), soft_wrap=True)


def _check_report(args: argparse.Namespace) -> None:
    """Raise ConfigError, before any work, for a training of which no page can be made."""
    if args.report is None:
        return
    if args.validate == 0:
        raise ConfigError("--validate 0: the curves of a --report are of validations")
    if args.resume:
        raise ConfigError("--report tells of a training from its first step on, not with --resume")


def _check_files(args: argparse.Namespace, out: Path, checkpoint: Path) -> None:
    """Raise OutputError, or ConfigError, before any work, for what should not be written."""
    metrics = args.metrics
    if metrics is not None and metrics.resolve() == out.resolve():
        raise ConfigError("--out and --metrics are one file; a model needs one of its own")
    for file in (out, checkpoint, metrics):
        if file is not None and file.exists() and not (args.resume or args.force):
            way = "--resume goes on with its training, " if checkpoint.exists() else ""
            option = "--metrics" if file == metrics else "--out"
            raise OutputError(
                f"{file} is there already: {way}--force writes over it, {option} takes another"
            )
