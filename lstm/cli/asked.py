"""What options ask for: a task, cells, settings and models of them, for commands that train."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from lstm.cells import CELLS, Cell
from lstm.cli.options import LARGEST, LONGEST, by_name, one_of, positive, setting, whole
from lstm.cli.own_code import class_named
from lstm.cli.own_files import OF_FILES, file_label, file_options, task_of_file
from lstm.errors import CheckpointError, ConfigError
from lstm.for_task import HIDDEN
from lstm.layers.usual import ATTENTIONS
from lstm.model import Model
from lstm.optim import OPTIMIZERS, SCHEDULES, Option, options
from lstm.store.checkpoint import Checkpoint
from lstm.tasks import TASKS, ArrayTask, Task, make_task
from lstm.training import Settings, model_in, random_streams, settings_in


def task_options(parser: argparse.ArgumentParser) -> None:
    """The task, and the file that it is made of, if it is."""
    parser.add_argument(
        "task",
        metavar="TASK",
        help="one that `lstm tasks` lists, your own: FILE.py:NAME, or text or csv, with a FILE",
    )
    file_options(parser)
    parser.add_argument("--length", type=whole(1, LONGEST), help="time steps (default: the task's)")
    setting(parser)


def model_options(group: Any) -> None:
    """What a model is made of, beside its cell."""
    # Without defaults: those of Model.create, or what the checkpoint says.
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
    text = "of cells (default: the task's, mostly 1; 0: a decoder looks at the steps themselves)"
    group.add_argument("--layers", type=whole(0, LARGEST), help=text)
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


def training_options(group: Any) -> None:
    """How it is trained."""
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


# --- what is asked ------------------------------------------------------------------------------


class Tasks(NamedTuple):
    """The tasks to choose from, and what files of the one that is named are called."""

    kinds: Mapping[str, type[Task] | Task]
    name: str
    label: str


def tasks_of(args: argparse.Namespace) -> Tasks:
    """Those of the package, or the one of one's own that is named. Raises ConfigError."""
    label = file_label(args)
    if ":" not in args.task:
        return Tasks(TASKS, args.task, label)
    own = class_named(args.task, Task)
    return Tasks({own.name: own}, own.name, _label(args.task, own))


def _label(spelled: str, own: type[Task] | Task) -> str:
    """What files of a task of one's own are called: by its name, and where that is what all tasks
    of arrays are called, by where it stands, FILE-NAME."""
    if own.name != ArrayTask.name:
        return own.name
    where, _, name = spelled.rpartition(":")
    stem = Path(where).stem if where.endswith(".py") else where.rpartition(".")[2]
    return f"{stem}-{name}"


def cells_named(names: Sequence[str]) -> list[type[Cell[Any]]]:
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


def task_asked(
    args: argparse.Namespace, tasks: Tasks, checkpoint: Checkpoint | None = None
) -> Task:
    """The task as asked for; the rest as in the checkpoint that is resumed, or as usual."""
    about: Any = {"name": tasks.name} if checkpoint is None else checkpoint.about["task"]
    if about.get("name") != tasks.name:
        said = f"the task {about.get('name')!r:.60}, not {tasks.name!r}"
        raise CheckpointError(f"cannot resume: the checkpoint is of {said}")
    length = {} if args.length is None else {"length": args.length}
    asked = dict(args.set or []) | length
    if tasks.name in OF_FILES:
        return task_of_file(args, asked, about.get("settings", {}))
    own = tasks.kinds.get(tasks.name)
    if isinstance(own, Task):
        if asked:
            raise ConfigError(f"--{'set' if args.set else 'length'} is for a task that is a class")
        return own
    try:
        return make_task(tasks.name, {**about.get("settings", {}), **asked}, tasks.kinds)
    except TypeError as error:  # a checkpoint may say anything
        if checkpoint is None:
            raise ConfigError(
                f"the task {tasks.name} needs settings, --set NAME=VALUE: {error}"
            ) from None
        raise CheckpointError(f"the task of the checkpoint cannot be made: {error}") from None


def made_of(args: argparse.Namespace) -> dict[str, Any]:
    """What is asked of a model beside its cell, as `Model.create` takes it."""
    return {name: getattr(args, name) for name in _MODEL if getattr(args, name) is not None}


def model_asked(
    args: argparse.Namespace,
    kind: type[Cell[Any]],
    task: Task,
    settings: Settings,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """A new model, or that of the checkpoint, which is compared with one that is asked for."""
    asked = made_of(args)
    if checkpoint is not None and not asked:
        return model_in(checkpoint, own=[kind])
    rng = random_streams(settings.seed).params
    return Model.create(kind, seed=rng, task=task, **asked)


def settings_asked(
    args: argparse.Namespace, task: Task, checkpoint: Checkpoint | None = None
) -> Settings:
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
