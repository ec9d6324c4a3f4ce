"""`lstm sweep`: a task, trained by several cells and from several seeds, in processes of their own.

What has been trained is read back from the sweep's file, so that the same command goes on where it
was stopped, and a larger one adds to it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from lstm.cells import CELLS
from lstm.cli.asked import (
    cells_named,
    made_of,
    model_asked,
    model_options,
    settings_asked,
    task_asked,
    task_options,
    tasks_of,
    training_options,
)
from lstm.cli.options import OrOwn, path, whole
from lstm.cli.results import (
    FILE,
    Head,
    Key,
    Sweep,
    Trial,
    digest,
    resumed,
    summed,
    write_sweep,
)
from lstm.cli.sweep_words import USUAL, failures, finding, result_table, write_results
from lstm.cli.tables import console, print_json, printable
from lstm.errors import ConfigError, LstmError, TrainingError, TrainingWarning
from lstm.files import check_file, output_folder
from lstm.model import Model
from lstm.tasks import Task
from lstm.training import Progress, check_fits, fit
from minigrad.names import did_you_mean

HELP = "train a task with several cells and seeds, and compare them"
FOLDER = Path("lstm-sweeps")
FILES = ("index.html", "sweep.csv", "sweep.md", "sweep.svg", "sweep.png")
_ALONE = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")]
_ALONE += ["MINIGRAD_THREADS", "VECLIB_MAXIMUM_THREADS"]
_MOST_JOBS = 61 if sys.platform == "win32" else 1_000  # processes that Windows can wait for


def add_options(parser: argparse.ArgumentParser) -> None:
    task_options(parser)
    names = f"of {', '.join(CELLS)}, or your own: FILE.py:NAME"
    text = f"cells, {names} (default: {','.join(USUAL)})"
    parser.add_argument("--cell", type=_names, default=[*USUAL], metavar="NAME,…", help=text)
    text = "how many, from 0 on, for each cell (default: 5)"
    parser.add_argument("--seeds", type=whole(1, 10_000), default=5, help=text)
    text = "processes at a time, of one thread each (default: 2)"
    parser.add_argument("--jobs", type=whole(1, _MOST_JOBS), default=2, help=text)
    parser.add_argument("--json", action="store_true", help="results as JSON, an object a line")
    model_options(parser.add_argument_group("the models"))
    training_options(parser.add_argument_group("how to train"))
    group = parser.add_argument_group("files")
    text = f"a folder for {FILE}, the table and the chart (default: {FOLDER}/TASK)"
    group.add_argument("--out", type=path, help=text)
    group.add_argument("--force", action="store_true", help="begin anew, whatever is there")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if names.count(name) > 1:
            raise argparse.ArgumentTypeError(f"{name!r:.40} is there more than once")
        if not name.isprintable():
            raise argparse.ArgumentTypeError(f"{name!r:.40} has letters that cannot be shown")
        if name not in OrOwn(CELLS):
            hint = did_you_mean(name, list(CELLS))
            said = f"there is no {name!r:.40}; there are {', '.join(CELLS)}{hint}"
            raise argparse.ArgumentTypeError(said)
    return names


def run(args: argparse.Namespace) -> int:
    tasks = tasks_of(args)
    task, out = task_asked(args, tasks), args.out or FOLDER / tasks.label
    head = _head(args, task)
    equations = {cell: digest(_model(args, cell, task).cell) for cell in args.cell}
    asked = [(cell, seed) for seed in range(args.seeds) for cell in args.cell]
    file = out / FILE
    # A sweep's file is read before anything is trained; without a page all beside it is its own.
    ours = args.force or (file.exists() and not (out / FILES[0]).exists())
    with output_folder(out, FILES, force=ours, command="sweep") as part:
        check_file(file)
        anew = args.force or not file.exists()
        sweep = Sweep(head) if anew else resumed(file, head, equations)
        sweep.commands = list(dict.fromkeys([*sweep.commands, args.spelled]))
        for cell in args.cell:
            sweep.asked[cell] = max(args.seeds, sweep.asked.get(cell, 0))
        for key in asked if args.json else ():
            if key in sweep.trials:
                _tell(sweep.trials[key])
        _train(args, sweep, [key for key in asked if key not in sweep.trials], equations, file)
        trials = sweep.of(args.cell)
        written = write_results(part, sweep, task, trials)
        names = [one.name for one in written]
    for name in FILES:  # no chart of earlier runs beside a page without one
        if name not in names:
            (out / name).unlink(missing_ok=True)
    files = [file, *(out / name for name in names)]
    if args.json:
        sums = {cell: asdict(summed(made)) for cell, made in trials.items()}
        return print_json({"cells": sums, "files": [str(one) for one in files]}, indent=None)
    to = console()
    to.print(result_table(task, trials))
    to.print(f"Solved is: {task.criterion}.")
    for sentence in (finding(task, trials), *failures(trials)):
        to.print(printable(sentence))
    for one in files:
        to.print(printable(f"Wrote {one}"), soft_wrap=True)
    return 0


def _model(args: argparse.Namespace, cell: str, task: Task) -> Model:
    """One of a cell. What cannot be is told by it before anything is trained."""
    (kind,) = cells_named([cell])
    model = model_asked(args, kind, task, settings_asked(args, task))
    check_fits(model, task)
    return model


def _head(args: argparse.Namespace, task: Task) -> Head:
    """What all runs have in common."""
    settings = settings_asked(args, task)
    if args.validate == 0:
        raise ConfigError("--validate 0: a sweep asks by validation whether a criterion is met")
    every = args.validate or settings.between_validations
    training = {name: value for name, value in asdict(settings).items() if name != "seed"}
    return Head(task.config(), task.criterion, made_of(args), training, every, args.patience)


# --- the runs -----------------------------------------------------------------------------------


def _train(
    args: argparse.Namespace,
    sweep: Sweep,
    keys: list[Key],
    equations: Mapping[str, str],
    file: Path,
) -> None:
    """Train what is not known yet; each run is in the file as soon as it has ended. What is there
    to be written over stays until then."""
    if not keys:
        return
    plain = {k: v for k, v in vars(args).items() if k not in ("run", "parser")}
    work = partial(trial, argparse.Namespace(**plain))
    anew = args.force
    try:
        with _pool(min(args.jobs, len(keys))) as pool, _shown(len(keys), args.json) as show:
            jobs = [pool.submit(work, *key) for key in keys]
            for job in as_completed(jobs):
                made = job.result()
                if made.equations != equations[made.cell]:
                    raise ConfigError(f"{made.cell} was edited while it was trained")
                sweep.trials[made.key] = made
                write_sweep(file, sweep, anew=anew)
                anew = False
                show(made)
    except BrokenProcessPool:
        few = "a process that trained was ended from outside, as where memory is short: fewer "
        few += "--jobs need less"
        raise LstmError("; ".join([few, *_way_on(sweep, file)])) from None
    except BaseException as error:
        for note in _way_on(sweep, file):
            error.add_note(note)
        raise


def _way_on(sweep: Sweep, file: Path) -> list[str]:
    """How to go on, where there is anything to go on from."""
    count = len(sweep.trials)
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return [f"{runs} whole in {file}; the same command goes on"] if count else []


@contextmanager
def _pool(jobs: int) -> Iterator[Executor]:
    """Processes of one thread each, which do not outlive this one, however it ends."""
    before = {name: os.environ.get(name) for name in _ALONE}
    others = set(multiprocessing.active_children())
    os.environ.update(dict.fromkeys(_ALONE, "1"))
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_begin)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _begin() -> None:
    """What a process does first: Ctrl-C is its parent's to answer, without which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def trial(args: argparse.Namespace, cell: str, seed: int) -> Trial:
    """Train one cell from one seed, as `lstm train` does."""
    task = task_asked(args, tasks_of(args))
    (kind,) = cells_named([cell])
    settings = replace(settings_asked(args, task), seed=seed)
    curve: list[tuple[int, float, float]] = []
    steps = 0

    def see(progress: Progress) -> None:
        nonlocal steps
        steps, score = progress.step, progress.score
        if score is not None and isfinite(score.loss):
            curve.append((steps * settings.batch, score.loss, score.correct))

    model = model_asked(args, kind, task, settings)
    start = time.process_time()
    loss, correct, said = None, None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)
            options: Any = {"validate": args.validate, "patience": args.patience}
            made = fit(model, task, settings, **options, callback=see, progress=False)
        why, correct = made.why, made.score.correct
        loss = made.score.loss if isfinite(made.score.loss) else None
    except TrainingError as error:
        why, said = "failed", str(error).partition("\n")[0]
    seconds = round(time.process_time() - start, 2)
    count = steps * settings.batch
    known = printable(model.cell.heading)[:100], digest(model.cell)
    return Trial(cell, seed, why, steps, count, seconds, loss, correct, curve, said, *known)


def _tell(made: Trial) -> None:
    """A line of JSON."""
    print_json(asdict(made), indent=None)


@contextmanager
def _shown(count: int, as_json: bool) -> Iterator[Callable[[Trial], None]]:
    """A function that tells of runs as they end: a line of JSON each, or, on a terminal, a bar."""
    if as_json:
        yield _tell
        return
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda made: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    told = TextColumn("{task.fields[last]}", markup=False)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("runs"), told, TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        job = bar.add_task("", total=count, last="")

        def show(made: Trial) -> None:
            last = f"{made.title} {made.seed}: {made.why} after {made.sequences:,} sequences"
            bar.update(job, advance=1, last=printable(last))

        yield show
