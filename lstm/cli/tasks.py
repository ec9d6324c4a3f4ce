"""`lstm tasks`: what there is to train on."""

from __future__ import annotations

import argparse

from lstm.cli.tables import console, print_json, table
from lstm.tasks import TASKS

HELP = "list the tasks"
OWN = (
    "Of your own: lstm train text FILE; lstm train csv FILE --target COLUMN; a class or a variable "
    "in Python, lstm train FILE.py:NAME."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="results as JSON")


def run(args: argparse.Namespace) -> int:
    tasks = {name: kind() for name, kind in TASKS.items()}
    if args.json:
        return print_json(
            {
                name: {
                    "summary": t.summary,
                    "paper": t.paper,
                    "baseline": t.baseline,
                    "criterion": t.criterion,
                    "settings": t.config()["settings"],
                }
                for name, t in tasks.items()
            }
        )
    rows = table("task", "")
    for name, task in tasks.items():
        rows.add_row(name, f"What is asked: {task.summary}.")
        if task.paper is not None:
            rows.add_row("", f"From: {task.paper}.")
        rows.add_row("", f"Baseline: a loss of {task.baseline:.4f} ({task.baseline_words}).")
        rows.add_row("", f"Solved is: {task.criterion}.")
        settings = task.config()["settings"].items()
        said = ", ".join(f"{setting}={value}" for setting, value in settings)
        rows.add_row("", f"Settings (--set NAME=VALUE): {said}.")
    console().print(rows)
    console().print(OWN)
    return 0
