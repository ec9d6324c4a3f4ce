"""The page that `lstm train --report` writes: what is seen of a training while it runs, and what
is said of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm.cli.parts import shown_batch
from lstm.cli.tables import loss_text, solved_text
from lstm.errors import LstmError
from lstm.model import Model
from lstm.percents import percent
from lstm.tasks import Task
from lstm.training import Fitted, Progress, Settings
from minigrad import MinigradError
from minigrad.display import Table

if TYPE_CHECKING:
    from lstm.figures.report import Trained
    from lstm.gradient_flow import Flow, FlowWatch

PICTURES = ("curves", "flow", "paths", "details", "task", "example")
FILES = ["index.html", "flow.csv"]
FILES += [f"{name}.{kind}" for name in PICTURES for kind in ("svg", "png")]
_LOOKS = 10  # at the gradient, in all of a training


class Seen:
    """What a report needs of a training: `watch=` and `callback=` of `lstm.fit`."""

    def __init__(self, task: Task, settings: Settings) -> None:
        from lstm.gradient_flow import FlowWatch

        self.task, self.settings = task, settings
        self.validations: list[Progress] = []
        self.why_no_flow = ""
        self._batch = shown_batch(task, settings.seed)
        self._watch: FlowWatch = FlowWatch(every=max(1, settings.steps // _LOOKS))

    def watch(self, step: int, model: Model, task: Task, batch: Sequence[Any]) -> None:
        """Look at how the gradient of one batch of test sequences flows, the same at each step."""
        if self.why_no_flow:
            return
        xs, ys, ends = self._batch
        try:
            self._watch(step, model, task, (xs, ys, *ends.values()))
        except (LstmError, MinigradError) as error:  # what cannot be measured can be trained
            self.why_no_flow = str(error)

    def callback(self, progress: Progress) -> None:
        """Note a validation."""
        if progress.score is not None and isfinite(progress.score.loss):
            self.validations.append(progress)

    def trained(self, fitted: Fitted) -> Trained:
        """All of it, when the training has ended."""
        from lstm.figures.report import BEFORE, Trained
        from lstm.figures.seeds import Run

        unit, size = self.task.in_unit, self.settings.batch
        run = Run(
            [p.step * size for p in self.validations],
            [unit(p.score.loss) for p in self.validations if p.score is not None],
            [p.score.correct for p in self.validations if p.score is not None],
            fitted.why,
        )
        sound = [r for r in fitted.reports if isfinite(r.loss)]
        training = [r.step * size for r in sound], [unit(r.loss) for r in sound]
        flows = self._flows(fitted)
        watched = None
        if flows:
            rows = [
                (f"{step:,}", f"{flow.loss:.4g}", flow.main.shown(1))
                for step, flow in self._watch.flows.items()
            ]
            heads = "step", "loss", f"∂L/∂{flows[BEFORE].main.symbol} at t=1"
            watched = Table(f"{fitted.model.cell.heading} while it was trained", rows, heads)
        return Trained(fitted, run, training, flows, self.why_no_flow, watched)

    def _flows(self, fitted: Fitted) -> Mapping[str, Flow]:
        """Before, half-way through and after training."""
        from lstm.figures.report import AFTER, BEFORE, DURING
        from lstm.gradient_flow.measuring import flow_to_draw

        if self.why_no_flow or not self._watch.flows:
            return {}
        seen, last = self._watch.flows, fitted.reports[-1].step if fitted.reports else 0
        xs, ys, ends = self._batch
        first, *later = sorted(seen)
        flows = {BEFORE: seen[first]}
        inner = [step for step in later if step < last]
        if inner:
            flows[DURING] = seen[min(inner, key=lambda step: abs(step - (first + last) / 2))]
        try:
            flows[AFTER] = flow_to_draw(fitted.best, xs, ys, self.task.loss, **ends)
        except (LstmError, MinigradError) as error:
            self.why_no_flow = str(error)
        return flows


def write_page(
    folder: Path, seen: Sequence[Seen], made: Sequence[Fitted], command: str
) -> list[Path]:
    """Write the report into a folder that exists; returns the files' paths."""
    from lstm.figures.report import write_report

    task, settings = seen[0].task, seen[0].settings
    trained = [one.trained(fitted) for one, fitted in zip(seen, made, strict=True)]
    return write_report(
        folder,
        task,
        trained,
        finding(task, settings, made),
        results=_results(task, settings, made),
        settings=_settings(task, settings, made),
        reproduce=_again(command, settings),
        seed=settings.seed,
        carried=settings.carried,
    )


def finding(task: Task, settings: Settings, made: Sequence[Fitted]) -> str:
    """What came of it, in a sentence, those that solved the task first."""
    return " ".join(
        _said(task, settings, one) for one in sorted(made, key=lambda one: not one.score.solved)
    )


def _said(task: Task, settings: Settings, one: Fitted) -> str:
    count = (one.reports[-1].step if one.reports else 0) * settings.batch
    name, score = one.model.cell.heading, one.score
    beat = [f"{k}: {loss_text(task.in_unit(x))}" for k, x in task.baselines.items()]
    solved = "meets the criterion" if score.solved else "does not meet the criterion"
    solved = f"{solved} after" if task.has_criterion else "was trained on"
    return (
        f"The {name} {solved} {count:,} sequences: {percent(score.correct)} of {one.tested_on} "
        f"right, {task.unit} {loss_text(task.in_unit(score.loss))} ({', '.join(beat)})."
    )


def _results(task: Task, settings: Settings, made: Sequence[Fitted]) -> Table:
    rows = [[name, loss_text(task.in_unit(x)), "", "", ""] for name, x in task.baselines.items()]
    for one in made:
        score, last = one.score, one.reports[-1].step if one.reports else 0
        right, solved = percent(score.correct), solved_text(task, score)
        loss = loss_text(task.in_unit(score.loss))
        rows.append([one.model.cell.heading, loss, right, solved, f"{last * settings.batch:,}"])
    return Table("Results", rows, ["", task.unit, "correct", "solved", "sequences"])


def _settings(task: Task, settings: Settings, made: Sequence[Fitted]) -> list[Table]:
    """What task, models and training were made of."""
    said = {"name": task.name, **task.config()["settings"]}
    models = [(one.model.cell.heading, repr(one.model).partition("\n")[0]) for one in made]
    return [
        Table("The task", [(k, str(v)[:200]) for k, v in said.items()], ["the task", ""]),
        Table("The models", models, ["the models", ""]),
        Table(
            "Training",
            [(name, str(value)) for name, value in asdict(settings).items()],
            ["training", ""],
        ),
    ]


def _again(command: str, settings: Settings) -> list[str]:
    """The command, and with what it was run."""
    try:
        version = metadata.version("minigrad-lstm")
    except metadata.PackageNotFoundError:
        version = "not installed"
    return [
        command,
        f"With minigrad-lstm {version}, Python {platform.python_version()}, NumPy "
        f"{np.__version__}, on {platform.machine()}; all that is random is drawn from seed "
        f"{settings.seed}.",
    ]
