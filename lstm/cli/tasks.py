"""`lstm tasks`: what there is to train on."""

from __future__ import annotations

import argparse

from rich.table import Table

from lstm.cli.tables import console, print_json
from lstm.tasks import TASKS

HELP = "list the tasks"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="results as JSON")


def run(args: argparse.Namespace) -> int:
    if args.json:
        return print_json(
            {
                name: {"summary": t.summary, "baseline": t.baseline, "criterion": t.criterion}
                for name, t in TASKS.items()
            }
        )
    table = Table("task", "what is asked", "baseline loss", "solved when")
    for name, t in TASKS.items():
        table.add_row(name, t.summary, f"{t.baseline:.4f}", t.criterion)
    console().print(table)
    return 0
