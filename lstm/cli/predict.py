"""`lstm predict`: what a model of a table says of its rows, or of those of another."""

from __future__ import annotations

import argparse
import sys

from lstm.cli.options import model_file, own_cell, path
from lstm.cli.parts import loaded
from lstm.cli.tables import LINES, console, print_json, printable

HELP = "what a model of a table says of its rows"


def add_options(parser: argparse.ArgumentParser) -> None:
    model_file(parser)
    parser.add_argument("table", type=path, metavar="FILE", help="with the columns that it reads")
    own_cell(parser)
    text = "what to write: .csv, .json, .html, or a picture with the truth, .svg, .png or .pdf; may"
    text += " be given several times (default: CSV, on standard output)"
    parser.add_argument("--out", type=path, action="append", help=text)
    parser.add_argument("--json", action="store_true", help="results as JSON")


def run(args: argparse.Namespace) -> int:
    from lstm.forecasting import predict  # measuring, and writing, is loaded by those who do
    from lstm.gradient_flow.saving import check_target

    for out in args.out or []:
        check_target(out)  # all of them, or none is written
    forecast = predict(loaded(args), args.table)
    for out in args.out or []:
        forecast.save(out)
    if args.json:
        return print_json(forecast.plain_values())
    if not args.out:
        sys.stdout.write(printable(forecast.to_csv(), LINES))
        return 0
    to = console()
    to.print(printable(forecast.summary))
    for out in args.out:
        to.print(printable(f"Wrote {out}"), soft_wrap=True)
    return 0
