"""`lstm info`: what a model file holds, or a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lstm.cells import Cell
from lstm.cli.nets import check_said, engine_of, net_of, net_options
from lstm.cli.options import model_file, own_cell
from lstm.cli.own_code import class_named
from lstm.cli.parts import checkpoint_of, loaded, step_of, way_on
from lstm.cli.tables import console, print_json, printable, table
from lstm.model import Model
from lstm.params import flatten
from lstm.store.checkpoint import Checkpoint
from lstm.training import model_in, settings_in

HELP = "what a file holds: a model, a checkpoint, a net of torch or ONNX"
LONGEST_VALUE = 500  # characters


def add_options(parser: argparse.ArgumentParser) -> None:
    model_file(parser)
    own_cell(parser)
    net_options(parser)
    parser.add_argument("--json", action="store_true", help="results as JSON")


def run(args: argparse.Namespace) -> int:
    checkpoint = checkpoint_of(args.model)
    engine = None if checkpoint is not None else engine_of(args.model)
    if checkpoint is None:
        model, training = net_of(args, engine) if engine else loaded(args), {}
    else:
        own = [] if args.cell is None else [class_named(args.cell, Cell)]
        model, training = model_in(checkpoint, own), _training(checkpoint)
    check_said(args, engine)
    if args.json:
        params = model.flat_params.items()
        shapes = {n: {"shape": p.shape, "dtype": str(p.dtype)} for n, p in params}
        return print_json(training | model.config() | {"tensors": shapes})
    out = console()
    what = f": {engine.title}" if engine else ""
    out.print(printable(f"{args.model}{what}"), soft_wrap=True)
    if checkpoint is not None:
        out.print(_training_table(training["training"]), "")
    _print_model(model)
    if checkpoint is not None:
        out.print(printable(f"It goes on: {way_on(args.model, checkpoint)}"), soft_wrap=True)
    return 0


def _training(checkpoint: Checkpoint) -> dict[str, Any]:
    """How far a training is, by what settings, and how well it did, as plain values."""
    run = dict(checkpoint.about["run"])
    far = {"step": step_of(checkpoint)} | asdict(settings_in(checkpoint))
    best = run.pop("best", None)
    scores = {"best validation": best} if isinstance(best, dict) else {}
    return {"training": far | scores | {"plan": run}}


def _training_table(training: Mapping[str, Any]) -> Any:
    rows = table("of its training", "value")
    for name, value in flatten(training).items():
        rows.add_row(printable(name.removeprefix("plan.")), printable(str(value)))
    return rows


def _print_model(model: Model) -> None:
    from minigrad.drawing.amount import norm  # drawing is loaded by those who need it

    about = table("setting", "value")
    config = model.config()
    for key, value in flatten({part: config[part] for part in ("layers", "readout")}).items():
        about.add_row(printable(key), printable(str(value)))
    about.add_row("task", printable(str(model.task.get("name", "-"))))
    for key, value in model.task.get("settings", {}).items():
        about.add_row(printable(f"task's {key}"), printable(_short(str(value))))
    tensors = table("tensor", "shape", "dtype", "norm")
    for name, p in model.flat_params.items():
        tensors.add_row(name, str(p.shape), str(p.dtype), f"{norm(p.value):.4g}")
    console().print(about, "", tensors)


def _short(text: str) -> str:
    """A text that is too long for a table, such as all the words of a language, cut."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} …"
