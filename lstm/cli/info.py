"""`lstm info`: what a model file holds."""

from __future__ import annotations

import argparse

from lstm.cli.options import model_file, own_cell
from lstm.cli.parts import loaded
from lstm.cli.tables import console, print_json, printable, table
from lstm.params import flatten

HELP = "what a model file holds"


def add_options(parser: argparse.ArgumentParser) -> None:
    model_file(parser)
    own_cell(parser)
    parser.add_argument("--json", action="store_true", help="results as JSON")


def run(args: argparse.Namespace) -> int:
    from minigrad.drawing.amount import norm  # drawing is loaded by those who need it

    model = loaded(args)
    params = model.flat_params
    if args.json:
        shapes = {n: {"shape": p.shape, "dtype": str(p.dtype)} for n, p in params.items()}
        return print_json(model.config() | {"tensors": shapes})
    about = table("setting", "value")
    config = model.config()
    for key, value in flatten({part: config[part] for part in ("layers", "readout")}).items():
        about.add_row(printable(key), printable(str(value)))
    about.add_row("task", printable(str(model.task.get("name", "-"))))
    for key, value in model.task.get("settings", {}).items():
        about.add_row(printable(f"task's {key}"), printable(str(value)))
    tensors = table("tensor", "shape", "dtype", "norm")
    for name, p in params.items():
        tensors.add_row(name, str(p.shape), str(p.dtype), f"{norm(p.value):.4g}")
    out = console()
    out.print(printable(str(args.model)), soft_wrap=True)
    out.print(about, "", tensors)
    return 0
