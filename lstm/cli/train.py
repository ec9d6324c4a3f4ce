"""`lstm train`: a model of a task, trained, tested and saved; stopped, and resumed."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lstm.cells import CELLS, Cell
from lstm.cli.options import (
    LARGEST,
    LONGEST,
    OrOwn,
    by_name,
    one_of,
    path,
    positive,
    setting,
    whole,
)
from lstm.cli.own_code import class_named
from lstm.cli.own_files import OF_FILES, file_label, file_options, task_of_file
from lstm.cli.parts import about, scored
from lstm.cli.tables import console, print_json, printable, score_table
from lstm.errors import CheckpointError, ConfigError, OutputError, TrainingWarning
from lstm.files import check_file, new_folder
from lstm.for_task import HIDDEN
from lstm.layers.usual import ATTENTIONS
from lstm.model import Model
from lstm.optim import OPTIMIZERS, SCHEDULES, Option, options
from lstm.store.checkpoint import Checkpoint, read_checkpoint
from lstm.tasks import TASKS, ArrayTask, Task, make_task
from lstm.training import Fitted, Progress, Settings, fit, model_in, random_streams, settings_in

HELP = "train a model on a task, or on a text or table of your own"
FOLDER = Path("lstm-models")

_ENDED = {
    "solved": "the task is solved",
    "patience": "validation got no better",
    "steps": "these are all steps",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task",
        metavar="TASK",
        help="one that `lstm tasks` lists, your own: FILE.py:NAME, or text or csv, with a FILE",
    )
    file_options(parser)
    parser.add_argument("--length", type=whole(1, LONGEST), help="time steps (default: the task's)")
    setting(parser)
    parser.add_argument("--seed", type=whole(0), help="of all that is random (default: 0)")
    parser.add_argument("--json", action="store_true", help="results as JSON, an object a line")
    _model_options(parser.add_argument_group("the model"))
    _training_options(parser.add_argument_group("how to train"))
    _file_options(parser.add_argument_group("files"))


def _model_options(group: Any) -> None:
    # Without defaults, but for the cell: those of Model.create, or what the checkpoint says.
    text = f"one of {', '.join(CELLS)}, or your own: FILE.py:NAME (default: lstm); may be given "
    text += "several times, for a model of each"
    group.add_argument("--cell", choices=OrOwn(CELLS), action="append", metavar="NAME", help=text)
    group.add_argument(
        "--hidden-size",
        type=whole(1, LARGEST),
        help=f"units (default: the task's, mostly {HIDDEN})",
    )
    group.add_argument(
        "--memory",
        type=whole(0),
        help="steps that the gates are set to remember at first (default: the task's length, of "
        "text 0; 0: the usual bias, a forget gate of σ(1))",
    )
    group.add_argument("--layers", type=whole(1, LARGEST), help="of cells (default: 1)")
    text = f"of a task whose answers are sequences: {', '.join(ATTENTIONS)} (default: none)"
    group.add_argument("--attention", choices=[*ATTENTIONS], metavar="NAME", help=text)
    for name, text in _SWITCHES.items():
        group.add_argument(f"--{_option(name)}", action="store_true", default=None, help=text)
    for name, text in _PARTS.items():
        group.add_argument(f"--{_option(name)}", type=float, metavar="P", help=text)


_SWITCHES = {
    "bidirectional": "layers read both ways",
    "layer_norm": "what a layer gives is normalised",
    "residual": "a layer adds to what it reads",
}
_PARTS = {
    "dropout": "of what goes from layer to layer",
    "input_dropout": "of the inputs",
    "recurrent_dropout": "of what a step hands to the next, one mask a sequence",
    "zoneout": "of the state, which then stays as it was",
}
_MODEL = ("hidden_size", "memory", "layers", "attention", *_SWITCHES, *_PARTS)


def _option(name: str) -> str:
    return name.replace("_", "-")


def _training_options(group: Any) -> None:
    # Without defaults: those of Settings, or what the checkpoint says.
    for name, (kind, text) in {
        "steps": (whole(1), "in all"),
        "batch": (whole(1, LARGEST), "sequences a step"),
        "rate": (positive, "the learning rate"),
        "clip": (positive, "largest norm of the gradient"),
        "warmup": (whole(0), "steps in which the rate rises at first"),
    }.items():
        usual = getattr(Settings(), name)
        group.add_argument(f"--{name}", type=kind, help=f"{text} (default: {usual})")
    for name, kinds in {"optimizer": [*OPTIMIZERS], "schedule": [*SCHEDULES]}.items():
        one_of(group, f"--{name}", kinds, usual=getattr(Settings(), name))
    group.add_argument("--truncate", type=whole(1), help="gradients go back so many steps at most")
    for name, text in {
        "routes": "how much of what comes back along parts of the state goes on",
        "detach": "how likely, at each step, none of it does (h-detach)",
    }.items():
        group.add_argument(f"--{name}", type=by_name, metavar="PART=NUMBER,…", help=text)
    group.add_argument(
        "--stateful", action="store_true", default=None, help="states go on from batch to batch"
    )
    for option, takers in _numbers().items():
        number = int if isinstance(option.default, int) else float
        text = f"a number for {', '.join(takers)}"
        group.add_argument(f"--{option.name}", type=number, help=text)
    group.add_argument(
        "--validate", type=whole(0), help="steps between validations (default: ten in all; 0: none)"
    )
    group.add_argument(
        "--patience", type=whole(1), help="end after so many validations without a better one"
    )


def _file_options(group: Any) -> None:
    text = f"default: {FOLDER}/TASK-CELL.safetensors; of arrays without a name FILE-NAME-CELL"
    group.add_argument("--out", type=path, help=text)
    group.add_argument("--metrics", type=path, help="a file for a line of JSON each step")
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint beside it")
    group.add_argument("--force", action="store_true", help="write over what is there")


def run(args: argparse.Namespace) -> int:
    cells = _cells(args.cell or ["lstm"])
    for option in ("out", "metrics"):
        if len(cells) > 1 and getattr(args, option) is not None:
            raise ConfigError(f"--{option} is one file, and there are {len(cells)} cells")
    tasks: dict[str, type[Task] | Task] = dict(TASKS)
    label = file_label(args)
    if ":" in args.task:
        own = class_named(args.task, Task)
        label = _label(args.task, own)
        tasks, args.task = {own.name: own}, own.name
    with ExitStack() as stack:
        folder = FOLDER if args.out is not None else stack.enter_context(new_folder(FOLDER))
        outs = [args.out or folder / f"{label}-{kind.name}.safetensors" for kind in cells]
        for out in outs:
            check_file(out)  # so that it has a name
            _check_files(args, out, _checkpoint_of(out))
        made = [_trained(args, kind, tasks, out) for kind, out in zip(cells, outs, strict=True)]
    if not args.json:
        _print(made, outs)
    return 0


def _cells(names: Sequence[str]) -> list[type[Cell[Any]]]:
    """The classes of cells that are named. Raises ConfigError where two would be in one file."""
    cells: dict[str, type[Cell[Any]]] = {}
    for name in names:
        kind = CELLS.get(name) or class_named(name, Cell)
        if kind.name in cells:
            raise ConfigError(
                f"--cell: there are two called {kind.name!r:.40}, and a model of each is trained: "
                "for another seed, run it again with --seed and --out"
            )
        cells[kind.name] = kind
    return list(cells.values())


def _label(spelled: str, own: type[Task] | Task) -> str:
    """What files of a task of one's own are called: by its name, and where that is what all tasks
    of arrays are called, by where it stands, FILE-NAME."""
    if own.name != ArrayTask.name:
        return own.name
    where, _, name = spelled.rpartition(":")
    stem = Path(where).stem if where.endswith(".py") else where.rpartition(".")[2]
    return f"{stem}-{name}"


class _Made(NamedTuple):
    """What came of a cell."""

    task: Task
    settings: Settings
    fitted: Fitted


def _checkpoint_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.checkpoint{out.suffix}")


def _trained(
    args: argparse.Namespace,
    kind: type[Cell[Any]],
    tasks: Mapping[str, type[Task] | Task],
    out: Path,
) -> _Made:
    """A model that is trained and saved; its results are printed where they are for a machine."""
    file = _checkpoint_of(out)
    checkpoint = read_checkpoint(file) if args.resume else None
    task = _task(args, tasks, checkpoint)
    settings = _settings(args, task, checkpoint)
    model = _model(args, kind, task, settings, checkpoint)
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
            callback=partial(_tell, kind.name) if args.json else None,
            progress=False if args.json else None,
        )
    fitted.best.save(out)
    if args.json:
        results = about(task, settings) | {"cell": {"name": model.cell.name} | asdict(model.cell)}
        results |= scored(fitted.score) | {"why": fitted.why, "model": str(out)}
        results |= {"notes": fitted.notes, "warnings": fitted.warnings}
        if fitted.reports:
            results |= {"train_loss": fitted.reports[-1].loss, "steps": fitted.reports[-1].step}
        print_json(results | {"seconds": round(time.perf_counter() - start, 3)}, indent=None)
    return _Made(task, settings, fitted)


def _tell(cell: str, progress: Progress) -> None:
    if progress.score is not None:
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


# --- what is asked ------------------------------------------------------------------------------


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


def _task(
    args: argparse.Namespace, kinds: Mapping[str, type[Task] | Task], checkpoint: Checkpoint | None
) -> Task:
    """The task as asked for; the rest as in the checkpoint that is resumed, or as usual."""
    about = {"name": args.task} if checkpoint is None else checkpoint.about["task"]
    if about.get("name") != args.task:
        said = f"the task {about.get('name')!r:.60}, not {args.task!r}"
        raise CheckpointError(f"cannot resume: the checkpoint is of {said}")
    length = {} if args.length is None else {"length": args.length}
    asked = dict(args.set or []) | length
    if args.task in OF_FILES:
        return task_of_file(args, asked, about.get("settings", {}))
    own = kinds.get(args.task)
    if isinstance(own, Task):
        if asked:
            raise ConfigError(f"--{'set' if args.set else 'length'} is for a task that is a class")
        return own
    try:
        return make_task(args.task, {**about.get("settings", {}), **asked}, kinds)
    except TypeError as error:  # a checkpoint may say anything
        if checkpoint is None:
            raise ConfigError(
                f"the task {args.task} needs settings, --set NAME=VALUE: {error}"
            ) from None
        raise CheckpointError(f"the task of the checkpoint cannot be made: {error}") from None


def _model(
    args: argparse.Namespace,
    kind: type[Cell[Any]],
    task: Task,
    settings: Settings,
    checkpoint: Checkpoint | None,
) -> Model:
    """A new model, or that of the checkpoint, which is compared with one that is asked for."""
    asked = {name: getattr(args, name) for name in _MODEL if getattr(args, name) is not None}
    if checkpoint is not None and not asked:
        return model_in(checkpoint, own=[kind])
    rng = random_streams(settings.seed).params
    return Model.create(kind, seed=rng, task=task, **asked)


def _settings(args: argparse.Namespace, task: Task, checkpoint: Checkpoint | None) -> Settings:
    """What is asked for; the rest as in the checkpoint that is resumed, or as usual."""
    usual = Settings(**task.usual) if checkpoint is None else settings_in(checkpoint)
    names = {f.name for f in fields(Settings)}
    asked = {k: v for k, v in vars(args).items() if k in names and v is not None}
    optimizer = asked.get("optimizer", usual.optimizer)
    schedule = asked.get("schedule", usual.schedule)
    for (name, _), takers in _numbers().items():
        value = getattr(args, name)
        if value is None:
            continue
        if optimizer in takers:
            asked.setdefault("optimizer_options", {})[name] = value
        elif schedule in takers:
            asked.setdefault("schedule_options", {})[name] = value
        else:
            raise ConfigError(
                f"--{name} is a number for {', '.join(takers)}, and this is "
                f"--optimizer {optimizer} with --schedule {schedule}"
            )
    return replace(usual, **asked)


def _numbers() -> dict[Option, list[str]]:
    """The options of optimisers and schedules, and which of these take each."""
    takers: dict[str, tuple[Option, list[str]]] = {}
    for kind, factory in [*OPTIMIZERS.items(), *SCHEDULES.items()]:
        for option in options(factory):
            if option.name != "steps":  # all schedules end where training does
                takers.setdefault(option.name, (option, []))[1].append(kind)
    return dict(takers.values())
