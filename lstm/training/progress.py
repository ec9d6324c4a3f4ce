"""What training tells while it runs, and the bar that shows it on a terminal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from lstm.errors import TrainingWarning
from lstm.percents import percent
from lstm.training.evaluation import Score
from lstm.training.settings import Settings
from lstm.training.trainer import Report
from minigrad.display import in_a_line


class Progress(NamedTuple):
    """Where training stands after a step."""

    step: int
    """Counted from one, over all runs that were resumed."""
    steps: int
    loss: float
    grad_norm: float
    sequences_per_second: float
    """Over this run."""
    seconds_left: float
    score: Score | None
    """The validation after this step, if there was one."""
    best: Score | None
    """The best validation so far."""
    warning: str | None = None
    """What goes wrong, in words, for as long as it does."""

    def __repr__(self) -> str:
        return in_a_line(self)

    def values(self) -> dict[str, Any]:
        """As plain values; scores and a warning only where they are there."""
        values = {k: v for k, v in self._asdict().items() if v is not None}
        return {k: v._asdict() if isinstance(v, Score) else v for k, v in values.items()}


def after(
    report: Report,
    settings: Settings,
    steps: int,
    seconds: float,
    score: Score | None = None,
    best: Score | None = None,
    warning: str | None = None,
) -> Progress:
    """Where training stands after a step, the last of so many that this run took in so long."""
    return Progress(
        report.step,
        settings.steps,
        report.loss,
        report.grad_norm,
        steps * settings.batch / seconds,
        (settings.steps - report.step) * seconds / steps,
        score,
        best,
        warning,
    )


Callback: TypeAlias = Callable[[Progress], "bool | None"]


def _warner(tell: Callable[[str], object]) -> Callable[[Progress], None]:
    """What tells of what goes wrong, for the first time, and of nothing else."""
    warned = False

    def show(progress: Progress) -> None:
        nonlocal warned
        if progress.warning is not None and not warned:
            warned = True
            tell(progress.warning)

    return show


@contextmanager
def shown(
    name: str, steps: int, notes: Sequence[str], visible: bool | None
) -> Iterator[Callable[[Progress], None]]:
    """A function that shows where training stands, on standard error, below the notes.

    visible: None is where that is a terminal.
    """
    if visible is None:
        visible = sys.stderr is not None and sys.stderr.isatty()
    if not visible:  # rich before 14.3 writes an empty line for a bar that it does not show
        # Python's own warning is of the line that asked for the training, four calls up.
        yield _warner(partial(warnings.warn, category=TrainingWarning, stacklevel=5))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    texts = [f"{name:>8}", "loss {task.fields[loss]}{task.fields[score]}", "{task.fields[speed]}"]
    head, loss, speed = (TextColumn(text) for text in texts)
    columns = (head, BarColumn(), MofNCompleteColumn(), loss, speed, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tell = partial(bar.console.print, markup=False, highlight=False)
        for note in notes:
            tell(note)
        warn = _warner(tell)
        job = bar.add_task(name, total=steps, loss="  -   ", score="", speed="")

        def show(progress: Progress) -> None:
            warn(progress)
            best = progress.best
            correct = "" if best is None else f" · {percent(best.correct, 0)} correct"
            bar.update(
                job,
                completed=progress.step,
                loss=f"{progress.loss:.4f}",
                score=correct,
                speed=f"{progress.sequences_per_second:.0f}/s",
            )

        yield show
