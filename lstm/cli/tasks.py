"""`lstm tasks`: what there is to train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from lstm.cli.options import path
from lstm.cli.tables import console, print_json, printable, table
from lstm.cli.task_page import sweeps_in, task_page
from lstm.errors import ConfigError, OutputError
from lstm.files import check_file, write_atomically
from lstm.tasks import TASKS

HELP = "list the tasks, or write a page of what sweeps of them came to"
PAGE = Path("tasks.md")
OWN = (
    "Of your own: lstm train text FILE; lstm train csv FILE --target COLUMN; a class or a variable "
    "in Python, lstm train FILE.py:NAME."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="results as JSON")
    text = "a folder of what `lstm sweep` wrote, for a page in Markdown of all tasks"
    parser.add_argument("--sweeps", type=path, metavar="FOLDER", help=text)
    text = f"the page's file (default: {PAGE})"
    parser.add_argument("--out", type=path, help=text)
    parser.add_argument("--force", action="store_true", help="write over what is there")


def run(args: argparse.Namespace) -> int:
    if args.sweeps is not None:
        return _write_page(args)
    if args.out is not None:
        raise ConfigError("--out is for the page that --sweeps FOLDER makes")
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
        rows.add_row("", f"Settings (--set NAME=VALUE): {said or 'none'}.")
    console().print(rows)
    console().print(OWN)
    return 0


def _write_page(args: argparse.Namespace) -> int:
    """The page of all tasks, of a folder of sweeps."""
    out = args.out or PAGE
    check_file(out)
    if out.exists() and not args.force:
        raise OutputError(f"{out} is there already: --force writes over it, --out takes another")
    swept = sweeps_in(args.sweeps)
    write_atomically(out, task_page(swept, args.spelled, out.parent))
    if args.json:
        return print_json({"file": str(out), "sweeps": [str(one.path) for one in swept]})
    console().print(printable(f"Wrote {out}"), soft_wrap=True)
    return 0
