"""The command `lstm`: what it runs, what it prints, how it fails. The work is done elsewhere.

Tables and results go to standard output, progress and errors to standard error. An error is one
line and exit status 2; Ctrl-C is one line and 130, SIGTERM one line and 143. Nothing is left
half-written.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from io import StringIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lstm.cells import CELLS, LSTM, RNN, AnyCell, Cell
from lstm.errors import ConfigError, LstmError, ModelFileError
from lstm.files import check_file, output_folder
from lstm.model import Model
from lstm.options import LONGEST, command_line
from lstm.own_code import class_named
from lstm.tables import about_biases, console, demo_table, print_json, printable, score_table
from lstm.tasks import TASKS, Adding, Task, make_task
from lstm.training import (
    Report,
    Score,
    Settings,
    evaluate,
    random_streams,
    train,
)
from minigrad import MinigradError

if TYPE_CHECKING:
    from lstm.gradient_flow import Flow

SHOWN_SEQUENCES = 32  # how many sequences a gradient is measured on


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if sys.stderr is None:  # closed by whoever called: errors go nowhere, and are not in the way
        sys.stderr = StringIO()
    if sys.stdout is None:
        return _fail("cannot write: standard output is closed", 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show ∂ shows ?
            stream.reconfigure(errors="replace")
    try:
        with _cleaning_up():
            args = command_line(_COMMANDS).parse_args(argv)
            status: int = args.run(args)
            sys.stdout.flush()
        return status
    except (LstmError, MinigradError) as error:
        return _fail(str(error), 2)
    except MemoryError:
        return _fail("not enough memory; try a smaller --length, --batch or --hidden", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except _StoppedError as error:
        return _fail("stopped from outside", 128 + error.signal)
    except BrokenPipeError:  # `lstm tasks | head -1`: whoever read has had enough
        _drop_output()
        return 1
    except OSError as error:  # a full disk behind `lstm tasks > file`, say
        _drop_output()
        return _fail(f"cannot write: {error.strerror or error}", 2)


class _StoppedError(BaseException):
    """SIGTERM, or the terminal was closed; no BaseException less would pass all that is caught."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Signals that would end the process at once raise instead, so that what is begun is undone."""

    def stop(signum: int, _: object) -> NoReturn:
        raise _StoppedError(signum)

    signals = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    caught = [s for s in signals if s is not None and signal.getsignal(s) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        caught = []
    for s in caught:
        signal.signal(s, stop)
    try:
        yield
    finally:
        for s in caught:
            signal.signal(s, signal.SIG_DFL)


def _drop_output() -> None:
    # Python tries once more to write what is left when it ends, and would complain.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    line = printable(" ".join(part.strip() for part in message.splitlines()))
    print(f"lstm: {line}", file=sys.stderr)
    return status


# --- commands ----------------------------------------------------------------------------------


def _demo(args: argparse.Namespace) -> int:
    from lstm.figures import write_demo  # drawing is loaded by those who draw
    from lstm.gradient_flow import measure

    task = Adding(length=args.length)
    settings = Settings(steps=args.steps, seed=args.seed)
    cells: list[AnyCell] = [RNN(2, 16), LSTM(2, 16, memory=args.length)]
    xs, ys = _shown_batch(task, args.seed)
    results: dict[str, Any] = _about(task, settings) | {"models": {}}
    models: dict[str, tuple[Model[Any], Model[Any]]] = {}
    with output_folder(args.out) as part:
        for cell in cells:
            before, after, score, reports = _trained(cell, task, settings, args.json)
            models[cell.name] = before, after
            results["models"][cell.name] = _scored(score) | {
                "gradient_before": _at_start(measure(before, xs, ys)),
                "gradient_after": _at_start(measure(after, xs, ys)),
                "curve": [r.loss for r in reports],
            }
        with _status("drawing", args.json):
            written = write_demo(part, models, xs, ys, results)
        results["files"] = [str(args.out / p.relative_to(part)) for p in written]
    if args.json:
        return print_json(results)
    out = console()
    out.print(demo_table(task, results))
    out.print(about_biases(args.length, args.steps))
    page = next((f for f in results["files"] if f.endswith("index.html")), str(args.out))
    out.print(printable(f"Open {page}"), soft_wrap=True)
    return 0


def _train(args: argparse.Namespace) -> int:
    task = make_task(args.task, {} if args.length is None else {"length": args.length})
    settings = Settings(args.steps, args.batch, args.lr, seed=args.seed)
    cell = _cell(args, task)
    if args.out is not None:
        check_file(args.out)
    start = time.perf_counter()
    _, model, score, reports = _trained(cell, task, settings, args.json)
    results = _about(task, settings) | {"cell": {"name": cell.name} | asdict(cell)}
    results |= _scored(score) | {"train_loss": reports[-1].loss}
    results["seconds"] = round(time.perf_counter() - start, 3)
    if args.out is not None:
        model.save(args.out)
        results["model"] = str(args.out)
    if args.json:
        return print_json(results)
    out = console()
    out.print(score_table(task, {cell.name: score}))
    out.print(f"Solved is: {task.criterion}.")
    if args.out is not None:
        out.print(printable(f"Wrote {args.out}"), soft_wrap=True)
    return 0


def _flow(args: argparse.Namespace) -> int:
    from lstm.figures import write_flow
    from lstm.gradient_flow import measure

    model = _loaded(args)
    task = _task_of(model, args)
    xs, ys = _shown_batch(task, args.seed)
    with output_folder(args.out) as part, _status("measuring and drawing", args.json):
        written = write_flow(part, model, xs, ys, task.loss)
        files = [str(args.out / p.relative_to(part)) for p in written]
        flow = measure(model, xs, ys, task.loss)
    if args.json:
        return print_json({"task": task.config(), "flow": flow.to_json(), "files": files})
    out = console()
    for sentence in flow.diagnosis:
        out.print(sentence)
    for file in files:
        out.print(printable(f"Wrote {file}"), soft_wrap=True)
    return 0


def _tasks(args: argparse.Namespace) -> int:
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


def _info(args: argparse.Namespace) -> int:
    from minigrad.drawing.amount import norm

    model = _loaded(args)
    if args.json:
        tensors = {n: {"shape": p.shape, "dtype": str(p.dtype)} for n, p in model.params.items()}
        return print_json(model.config() | {"tensors": tensors})
    about = Table("setting", "value", title=printable(str(args.model)))
    cell = model.config()["cell"]
    for key, value in [*cell.items(), ("output_size", model.output_size)]:
        about.add_row("cell" if key == "name" else key, str(value))
    about.add_row("task", printable(str(model.task.get("name", "-"))))
    for key, value in model.task.get("settings", {}).items():
        about.add_row(printable(f"task's {key}"), printable(str(value)))
    tensors_table = Table("tensor", "shape", "dtype", "norm")
    for name, p in model.params.items():
        tensors_table.add_row(name, str(p.shape), str(p.dtype), f"{norm(p.value):.4g}")
    out = console()
    out.print(about, tensors_table)
    return 0


_COMMANDS = {"demo": _demo, "train": _train, "flow": _flow, "tasks": _tasks, "info": _info}


# --- parts of commands -------------------------------------------------------------------------


def _cell(args: argparse.Namespace, task: Task) -> AnyCell:
    kind = CELLS[args.cell]
    sizes = {"input_size": task.input_size, "hidden_size": args.hidden}
    if not any(f.name == "memory" for f in fields(kind)):
        if args.memory is not None:
            raise ConfigError(f"a cell of kind {args.cell} has no gates for --memory to set")
        return kind(**sizes)
    memory = max(task.steps, 3) if args.memory is None else args.memory or None
    settings: dict[str, Any] = sizes | {"memory": memory}
    return kind(**settings)


def _loaded(args: argparse.Namespace) -> Model[Any]:
    cells = [] if args.cell is None else [class_named(args.cell, Cell)]
    return Model.load(args.model, cells)


def _task_of(model: Model[Any], args: argparse.Namespace) -> Task:
    kinds = dict(TASKS)
    if args.task is not None:
        own = class_named(args.task, Task)
        kinds = {own.name: own}
    name = model.task.get("name", next(iter(kinds)) if args.task else "")
    settings = model.task.get("settings", {})
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
    if (model.cell.input_size, model.output_size) != (task.input_size, task.output_size):
        raise ModelFileError(f"the model {args.model} does not fit its task {task.name}")
    return task


def _shown_batch(task: Task, seed: int) -> tuple[Any, Any]:
    _, _, rng = random_streams(seed)
    return task.batch(rng, SHOWN_SEQUENCES)


def _trained(
    cell: AnyCell, task: Task, settings: Settings, quiet: bool
) -> tuple[Model[Any], Model[Any], Score, list[Report]]:
    rng, _, _ = random_streams(settings.seed)
    model: Model[Any] = Model.create(cell, task.output_size, rng, task.config())
    before = model.copy()
    reports = list(_progress(cell.name, train(model, task, settings), settings.steps, quiet))
    return before, model, evaluate(model, task, settings.seed), reports


def _progress(name: str, reports: Iterable[Report], steps: int, quiet: bool) -> Iterator[Report]:
    if quiet:  # rich before 14.3 writes an empty line for a bar that it does not show
        yield from reports
        return
    columns = (
        TextColumn(f"{name:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        job = progress.add_task(name, total=steps, loss="  -   ")
        for report in reports:
            progress.update(job, completed=report.step, loss=f"{report.loss:.4f}")
            yield report


def _status(what: str, quiet: bool) -> Any:
    return Console(stderr=True, quiet=quiet).status(f"{what} ...")


# --- results -----------------------------------------------------------------------------------


def _about(task: Task, settings: Settings) -> dict[str, Any]:
    return {"task": task.config(), "baseline": task.baseline, "training": asdict(settings)}


def _scored(score: Score) -> dict[str, Any]:
    return {"test_loss": score.loss, "correct": score.correct, "solved": score.solved}


def _at_start(flow: Flow) -> dict[str, dict[str, Any]]:
    """The norm of the gradient to each part of the state at t = 1, and its kind."""
    return {name: {"norm": s.first, "kind": s.kinds[0]} for name, s in flow.series.items()}


if __name__ == "__main__":
    sys.exit(main())
