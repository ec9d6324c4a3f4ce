"""Training from the first step to the last: validated, saved, stopped and resumed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lstm.cells import Gated
from lstm.errors import (
    CheckpointError,
    ConfigError,
    OutputError,
    check_count,
)
from lstm.files import check_file
from lstm.model import Model
from lstm.optim import Optimizer
from lstm.percents import percent
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Task
from lstm.training.course import Course, Plan, plan_in, settings_in
from lstm.training.evaluation import Score
from lstm.training.interruption import Interruption
from lstm.training.loop import Watch, checked
from lstm.training.metrics_file import MetricsFile
from lstm.training.progress import Callback, Progress, after, shown
from lstm.training.saver import Saver
from lstm.training.settings import Settings
from lstm.training.streams import check_fits
from lstm.training.trainer import Report
from minigrad.display import ShownAsTable, Table

SHORT = 10  # steps that gates remember without being set to


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(ShownAsTable):
    """What came of a training."""

    model: Model
    """The model that was trained, after its last step."""
    best: Model
    """A copy of it as it was when validation went best; after the last step where none was made."""
    reports: list[Report]
    """Of each step of this run."""
    score: Score
    """How `best` does on test sequences."""
    why: str
    """Why it ended: "solved", "patience", "steps", "callback" or "interrupted"."""
    notes: tuple[str, ...]
    """How the model started, in sentences, which the bar shows first; and where a training that is
    resumed was over before."""
    warnings: tuple[str, ...] = ()
    """What was still wrong at the end, in sentences."""
    tested_on: str = "new sequences"
    """What `score` is measured on, in words."""
    best_step: int = 0
    """After which step `best` is."""

    def _table(self) -> Table:
        loss, correct, is_solved = self.score
        new = f"loss {loss:.4g}, {percent(correct)} correct, {'' if is_solved else 'not '}solved"
        best = repr(self.best).partition("\n")[0]
        rows = [("best", best), (f"on {self.tested_on}", new)]
        if self.reports:
            first, last = self.reports[0], self.reports[-1]
            steps = f"{first.step} … {last.step}, loss {first.loss:.4g} → {last.loss:.4g}"
            rows.insert(0, ("steps", steps))
        return Table(f"Training ended: {self.why}", rows, notes=[*self.notes, *self.warnings])


def fit(
    model: Model,
    task: Task,
    settings: Settings | None = None,
    *,
    optimizer: Optimizer | None = None,
    validate: int | None = None,
    patience: int | None = None,
    out: str | Path | None = None,
    save_every: int | None = None,
    resume: bool = False,
    force: bool = False,
    metrics: str | Path | None = None,
    callback: Callback | None = None,
    watch: Watch | None = None,
    progress: bool | None = None,
    backend: str = "auto",
    devices: Any = None,
) -> Fitted:
    """Train a model in place until its task is solved or the steps are done.

    optimizer: a pair of `lstm.optim` instead of the one that the settings name.
    validate: the steps between validations, which are on 500 sequences of a stream of their own;
        by default there are ten in all; 0 is none. Training ends where the task's criterion is met,
        on 2000 sequences. patience: it ends, too, after so many validations without a better one.
    out: a checkpoint's path. It is written whole at the end, when interrupted, where a step or the
        callback fails, and every `save_every` steps (by default when 10 s have passed).
    resume: go on from it with its settings, and with its validate and patience unless given: bit
        for bit as if it had never stopped. Only steps may be others, to train longer. That is as
        if they had been so from the start where the schedule is "constant"; one that depends on
        how many steps there are, such as "cosine", is stretched to the new end from there on.
    force: write over a checkpoint or metrics that are there, which is refused otherwise.
    metrics: a file to which each step adds one JSON object in a line.
    callback: is called with a Progress after each step; training ends where it returns True. A
        validation after the last step that was not due is told and may be the best one, but is not
        in the checkpoint: more steps go on as if it had not been.
    watch: is called before each step with its number, the model, the task and the batch, such as
        `lstm.FlowWatch(every=50)`, which records how the gradient flows.
    progress: whether to show a bar on standard error; by default where that is a terminal.
    backend: what runs the steps, as of `minigrad.function`; a training goes on with another, too,
        then to rounding.
    devices: of backend="jax": over how many each batch is divided, or "all"; one by default. Where
        `jax.distributed` has several processes, each calls fit in the same way, and they train
        together on all their devices: the first one validates, writes files and shows the bar. A
        training goes on with other numbers of devices and processes, too, then to rounding.

    The first Ctrl-C, SIGTERM or SIGHUP ends training after the step that is running; the state is
    saved, and the signal then does what it always does, with a note that says how to go on. The
    second one does it at once.

    Raises ConfigError as `train` does; TrainingError for a loss or a gradient that is not finite;
    CheckpointError for a checkpoint that cannot be resumed; OutputError for a file that cannot be
    written: before training where that can be known; LostProcessError where another process that
    trains with this one is gone.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> fitted = lstm.fit(model, lstm.Adding(length=5), lstm.Settings(steps=20))
    >>> fitted.why, fitted.reports[-1].step, fitted.score.solved
    ('steps', 20, False)
    """
    check_fits(model, task)
    _check_kinds(optimizer, callback, out=out, metrics=metrics)
    _check_files(out, metrics, resume=resume, force=force)
    _check_counts(validate, patience, save_every)
    old = out if resume else None
    more = watch, backend, devices
    course = _course(model, task, settings, optimizer, validate, patience, old, *more)
    if not course.hosts.first:
        metrics, progress = None, False
    course.start()
    notes = (*_notes(model, task), *_over_before(course))
    with ExitStack() as stack:
        log = None if metrics is None else _metrics_file(metrics, course, resume=resume)
        if log is not None:
            stack.enter_context(log)
        show = stack.enter_context(shown(task.name, course.settings.steps, notes, progress))
        asked = stack.enter_context(Interruption())
        saver = stack.enter_context(Saver(course, out if course.hosts.first else None, save_every))

        def tell(report: Report, score: Score | None, told: Progress) -> bool:
            if log is not None:
                log.add(_line(report, score))
            saver.save_if_due()
            show(told)
            return callback is not None and _wants_end(callback(told))

        reports, why = _all_steps(course, tell, asked)
    asked.signal = course.hosts.agreed_at_the_end(asked.signal)
    _pass_on(asked, course, out)
    best_model = course.best_model()
    test = course.test(best_model)
    wrong = course.alarm()
    warnings = () if wrong is None else (wrong,)
    at = course.state.steps if course.best is None else course.best.step
    return Fitted(model, best_model, reports, test, why, notes, warnings, task.tested_on, at)


def _all_steps(
    course: Course,
    tell: Callable[[Report, Score | None, Progress], bool],
    asked: Interruption,
) -> tuple[list[Report], str]:
    """Train to the end; the reports of the steps, and why that was the end. tell: is told of each
    step, and gives whether to stop there."""
    reports: list[Report] = []
    start, why = time.perf_counter(), course.over()
    while why is None:
        report, score = course.step(asked.signal)
        reports.append(report)
        best = None if course.best is None else course.best.score
        seconds = time.perf_counter() - start
        wrong = course.alarm()
        told = after(report, course.settings, len(reports), seconds, score, best, wrong)
        stop = tell(report, score, told)
        signal = course.hosts.agreed(report.outputs, asked.signal)
        asked.signal = asked.signal if signal is None else signal
        why = course.over() or _stopped(signal is not None, stop)
    return reports, why


# --- before the first step ----------------------------------------------------------------------


def _check_counts(validate: Any, patience: Any, save_every: Any) -> None:
    """Raise ConfigError for counts that are none."""
    counts = {"validate": (validate, 0), "patience": (patience, 1), "save_every": (save_every, 1)}
    for name, (value, least) in counts.items():
        if value is not None:
            check_count(name, value, least)


def _metrics_file(path: str | Path, course: Course, *, resume: bool) -> MetricsFile:
    """What each step adds a line to; what is there goes on, or goes, as force= says."""
    if not resume:
        Path(path).unlink(missing_ok=True)
    return MetricsFile(path, course.state.steps)


def _check_kinds(optimizer: Any, callback: Any, **paths: Any) -> None:
    """Raise ConfigError for arguments of another kind."""
    if isinstance(optimizer, str):
        raise ConfigError(
            f"optimizer= is a pair of lstm.optim; a name is Settings(optimizer={optimizer!r:.40})"
        )
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"optimizer= is a pair of lstm.optim, such as lstm.optim.adam(0.01), not "
            f"{optimizer!r:.40}"
        )
    if callback is not None and not callable(callback):
        raise ConfigError(f"callback= is a function of a Progress, not {callback!r:.40}")
    for name, path in paths.items():
        if path is not None and not isinstance(path, (str, Path)):
            raise ConfigError(f"{name}= is a path, a str or a pathlib.Path, not {path!r:.40}")


def _check_files(
    out: str | Path | None, metrics: str | Path | None, *, resume: bool, force: bool
) -> None:
    """Raise OutputError, or ConfigError, for files that cannot be written or should not be."""
    if resume and out is None:
        raise ConfigError("resume=True needs out=, the path of the checkpoint")
    for path in (out, metrics):
        if path is None:
            continue
        check_file(path)
        if Path(path).exists() and not (resume or force):
            raise OutputError(
                f"{path} is there already: resume=True goes on from it, force=True writes over it"
            )
    if out is not None and metrics is not None and Path(out).resolve() == Path(metrics).resolve():
        raise ConfigError("out= and metrics= are one file; a checkpoint needs one of its own")


def _notes(model: Model, task: Task) -> tuple[str, ...]:
    """What a person should know of how the model starts: also where it forgets too soon."""
    cells = [layer.cell for layer in model.recurrent().values()]
    if model.notes or task.memory < SHORT or not any(_forgets(cell) for cell in cells):
        return model.notes
    return (
        f"The gates start at their usual bias, a memory of some 4 steps; the task has {task.steps}."
        f" Model.create(lstm.{type(cells[-1]).__name__}, task=task) or memory={task.steps} sets "
        "them to remember (Tallec & Ollivier 2018).",
    )


def _over_before(course: Course) -> list[str]:
    """Why there is nothing to do, where training was over before it was resumed."""
    why, step = course.over(), course.state.steps
    ways = {
        "solved": "the task was solved",
        "patience": f"validation had got no better {course.waited} times in a row; a larger "
        "patience= (--patience) goes on",
        "steps": f"these were all steps; more of them, Settings(steps={2 * step}) or --steps "
        f"{2 * step}, go on",
    }
    return [] if why is None else [f"This training was over after step {step}: {ways[why]}."]


def _forgets(cell: Any) -> bool:
    """Whether gates that could be set to remember are not."""
    return isinstance(cell, Gated) and cell.memory is None and cell.forget_bias <= 1


def _course(
    model: Model,
    task: Task,
    settings: Settings | None,
    optimizer: Optimizer | None,
    validate: int | None,
    patience: int | None,
    resumed: str | Path | None,
    watch: Watch | None,
    backend: str,
    devices: Any = None,
) -> Course:
    """A training at its first step, or at that of the checkpoint."""
    if resumed is None:
        settings = checked(settings, task)
        every = settings.between_validations if validate is None else validate
        plan = Plan(every, patience, optimizer is not None)
        return Course(model, task, settings, plan, optimizer, watch, backend, devices)
    checkpoint = read_checkpoint(resumed)
    try:
        settings = _settings(settings, settings_in(checkpoint), task)
        plan = plan_in(checkpoint)
        if plan.own_optimizer != (optimizer is not None):
            raise ConfigError("it was trained with another optimizer=; give the one of then")
        plan = replace(
            plan,
            validate=plan.validate if validate is None else validate,
            patience=plan.patience if patience is None else patience,
        )
        course = Course(model, task, settings, plan, optimizer, watch, backend, devices)
        course.resume(checkpoint)
    except ConfigError as error:
        raise CheckpointError(f"cannot resume from {resumed}: {error}") from None
    return course


def _settings(now: Settings | None, then: Settings, task: Task) -> Settings:
    """The settings to go on with. Raises ConfigError where they are others than before."""
    if now is None:
        return then
    wrong = [
        f"{name} was {value}, not {getattr(now, name)}"
        for name, value in asdict(then).items()
        if name != "steps" and value != getattr(checked(now, task), name)
    ]
    if wrong:
        raise ConfigError(f"its settings are others: {', '.join(wrong)}")
    return now


# --- after each step ----------------------------------------------------------------------------


def _line(report: Report, score: Score | None) -> dict[str, Any]:
    """What the file of metrics has of a step."""
    line = {"step": report.step, "loss": report.loss, "grad_norm": report.grad_norm}
    return line if score is None else line | {"validation": score._asdict()}


def _wants_end(said: Any) -> bool:
    """What a callback returned. Raises ConfigError for what is neither true nor false."""
    try:
        return bool(said)
    except (TypeError, ValueError):
        raise ConfigError(
            f"callback= must return True, to end training, False or None, not {said!r:.40}"
        ) from None


def _stopped(by_signal: bool, by_callback: bool) -> str | None:
    return "interrupted" if by_signal else "callback" if by_callback else None


def _pass_on(asked: Interruption, course: Course, out: str | Path | None) -> None:
    """Let a signal that was asked to wait do its work, which says how to go on."""
    where = f"step {course.state.steps} of {course.settings.steps}"
    if out is None:
        note = f"stopped after {where}; the model has what it learnt, with out= it could be resumed"
    else:
        note = f"{where} is saved in {out}; resume=True (--resume) goes on from there"
    try:
        asked.pass_on()
    except BaseException as error:
        error.add_note(note)
        raise
