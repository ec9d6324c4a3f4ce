"""`lstm flow`: how the gradient flows through a model that was trained."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from lstm.cli.nets import Loss, check_said, data_of, data_options, engine_of, net_of, net_options
from lstm.cli.options import LONGEST, common, model_file, overwriting, own_cell, path, whole
from lstm.cli.own_code import class_named
from lstm.cli.own_files import OF_FILES
from lstm.cli.parts import loaded, shown_batch, status
from lstm.cli.tables import console, print_json, printable
from lstm.errors import ConfigError, ModelFileError
from lstm.files import output_folder
from lstm.model import Model
from lstm.tasks import TASKS, Task, make_task
from lstm.training import check_fits

HELP = "measure and draw how the gradient flows through a model, or a net of torch or ONNX"
PICTURES = ("flow", "paths", "details", "cell")
FILES = ["index.html", "flow.csv", "flow.json"]
FILES += [f"{name}.{kind}" for name in PICTURES for kind in ("svg", "png")]


def add_options(parser: argparse.ArgumentParser) -> None:
    model_file(parser)
    parser.add_argument(
        "--out", type=path, default=Path("lstm-flow"), help="folder for the pictures"
    )
    overwriting(parser)
    parser.add_argument("--length", type=whole(1, LONGEST), help="time steps (default: as trained)")
    parser.add_argument(
        "--task", metavar="FILE.py:NAME", help="the class of the model's task, if it is your own"
    )
    own_cell(parser)
    text = "the recurrent layer that is measured, its name or number from 1 (default: the last)"
    parser.add_argument("--layer", metavar="NAME", help=text)
    text = "and of a layer of two directions which (default: forward)"
    parser.add_argument("--direction", choices=["forward", "backward"], help=text)
    data_options(parser)
    net_options(parser)
    common(parser)
    parser.set_defaults(seed=None)  # 0, but where --data leaves nothing to draw


def run(args: argparse.Namespace) -> int:
    from lstm.figures import write_flow  # drawing is loaded by those who draw
    from lstm.gradient_flow.measuring import flow_to_draw

    model, batch = measured_on(args)
    with (
        output_folder(args.out, FILES, force=args.force, command="flow") as part,
        status("measuring and drawing", args.json),
    ):
        flow = flow_to_draw(model, batch.xs, batch.ys, batch.loss, **place_in(args), **batch.ends)
        all_of = (model, batch.xs, batch.ys, batch.loss)
        written = write_flow(part, *all_of, flow=flow, **batch.ends)
        files = [str(args.out / p.relative_to(part)) for p in written]
    if args.json:
        return print_json(batch.said | {"flow": flow.to_json(), "files": files})
    out = console()
    for sentence in flow.diagnosis:
        out.print(sentence)
    for file in files:
        out.print(printable(f"Wrote {file}"), soft_wrap=True)
    return 0


def place_in(args: argparse.Namespace) -> dict[str, Any]:
    """Which layer is measured, as `lstm.flow` takes it."""
    place: dict[str, Any] = {}
    if args.layer is not None:
        is_number = args.layer.isdecimal() and len(args.layer) < 10
        place["layer"] = int(args.layer) if is_number else args.layer
    if args.direction is not None:
        place["direction"] = args.direction
    return place


class Measured(NamedTuple):
    """A batch to measure on, and what is said of it."""

    xs: Any
    ys: Any
    loss: Loss
    ends: dict[str, Any]
    """How the sequences end, as `lengths=` or `mask=`."""
    said: dict[str, Any]


def measured_on(args: argparse.Namespace) -> tuple[Model, Measured]:
    """The model, and a batch of its task, or the arrays that are named."""
    data, engine = data_of(args), engine_of(args.model)
    if data is None:
        if engine is not None:
            raise ModelFileError(
                f"{engine.net} needs sequences: lstm flow {args.model} --data X.npy"
            )
        model = loaded(args)
        check_said(args, None)
        task = task_of(model, args)
        xs, ys, ends = shown_batch(task, args.seed or 0)
        return model, Measured(xs, ys, task.loss, ends, {"task": task.config()})
    model = net_of(args, engine, data.read) if engine else loaded(args)
    check_said(args, engine)
    said = {"data": str(args.data), "loss": data.loss.__name__}
    return model, Measured(data.xs, data.targets(model), data.loss, data.ends, said)


def task_of(model: Model, args: argparse.Namespace) -> Task:
    kinds = dict(TASKS)
    if args.task is not None:
        own = class_named(args.task, Task)
        kinds = {own.name: own}
    name = model.task.get("name", next(iter(kinds)) if args.task else "")
    settings = model.task.get("settings", {})
    if name in OF_FILES and name not in kinds:
        raise ModelFileError(
            f"the model {args.model} was made for a file, which is not in it: with the task made "
            "of that again, lstm.flow(model, *task.batch(rng, 32), task.loss) measures it in Python"
        )
    try:
        task = make_task(name, settings, kinds)
    except (ConfigError, TypeError) as error:
        way_out = "" if args.task else "; if it is your own: --task FILE.py:NAME"
        raise ModelFileError(
            f"the model {args.model} has no task to show it: {error}{way_out}"
        ) from None
    if args.length is not None:
        task = make_task(name, settings | {"length": args.length}, kinds)
    if task.steps > LONGEST:
        raise ModelFileError(
            f"the model {args.model} has a task of {task.steps} steps, more than {LONGEST}; "
            "choose a --length"
        )
    try:
        check_fits(model, task)
    except ConfigError as error:
        raise ModelFileError(
            f"the model {args.model} does not fit its task {task.name}: {error}"
        ) from None
    return task
