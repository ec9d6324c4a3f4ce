"""`lstm train`: a model of a task, trained, tested and saved."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from lstm.cells import CELLS, AnyCell, Gated
from lstm.cli.options import LARGEST, LONGEST, common, path, positive, whole
from lstm.cli.parts import about, scored, trained
from lstm.cli.tables import console, print_json, printable, score_table
from lstm.errors import ConfigError
from lstm.files import check_file
from lstm.tasks import Task, make_task
from lstm.training import Settings

HELP = "train a model on a task"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="one of those that `lstm tasks` lists")
    parser.add_argument("--cell", choices=list(CELLS), default="lstm", help="default: lstm")
    parser.add_argument("--length", type=whole(1, LONGEST), help="time steps (default: the task's)")
    parser.add_argument("--hidden", type=whole(1, LARGEST), default=16, help="units (default: 16)")
    parser.add_argument(
        "--batch", type=whole(1, LARGEST), default=32, help="sequences (default: 32)"
    )
    parser.add_argument("--lr", type=positive, default=0.03, help="rate (default: 0.03)")
    parser.add_argument(
        "--memory",
        type=whole(0),
        help="steps that the gates are set to remember at first (default: the task's length; "
        "0: the usual bias, a forget gate of σ(1))",
    )
    parser.add_argument("--out", type=path, help="where to write the model (*.safetensors)")
    common(parser, steps=500)


def run(args: argparse.Namespace) -> int:
    task = make_task(args.task, {} if args.length is None else {"length": args.length})
    settings = Settings(args.steps, args.batch, args.lr, seed=args.seed)
    cell = _cell(args, task)
    if args.out is not None:
        check_file(args.out)
    start = time.perf_counter()
    _, model, score, reports = trained(cell, task, settings, args.json)
    results = about(task, settings) | {"cell": {"name": cell.name} | asdict(cell)}
    results |= scored(score) | {"train_loss": reports[-1].loss}
    results["seconds"] = round(time.perf_counter() - start, 3)
    if args.out is not None:
        model.save(args.out)
        results["model"] = str(args.out)
    if args.json:
        return print_json(results)
    out = console()
    out.print(score_table(task, {cell.heading: score}))
    out.print(f"Solved is: {task.criterion}.")
    if args.out is not None:
        out.print(printable(f"Wrote {args.out}"), soft_wrap=True)
    return 0


def _cell(args: argparse.Namespace, task: Task) -> AnyCell:
    kind = CELLS[args.cell]
    sizes = {"input_size": task.input_size, "hidden_size": args.hidden}
    if issubclass(kind, Gated):
        memory = max(task.steps, 3) if args.memory is None else args.memory or None
        return kind(**sizes, memory=memory)
    if args.memory is not None:
        raise ConfigError(f"a cell of kind {args.cell} has no gates for --memory to set")
    return kind(**sizes)
