"""The picture of a task: what models say of its sequences, beside what is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lstm.figures.answers import plot_correct_by_length
from lstm.figures.dependencies import chart_of_reads, read_sentence
from lstm.figures.flow import EDGE, WIDE, head_height, headed
from lstm.figures.line_looks import look_of_line
from lstm.model import Model
from lstm.tasks import Task
from lstm.tasks.sentences import Sentences
from lstm.training import random_streams
from lstm.training.evaluation import TEST_BATCH, TEST_SEQUENCES, Evaluation
from lstm.training.streams import padding_of
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart, Theme
from minigrad.drawing.escape import WIDEST, plain

Array = NDArray[Any]
Models = Mapping[str, Model]
_CLASSES = 12  # of more, shares by class are no picture
_POINTS = 300
_CARRIED = (
    ". Read as for the score: from {} places side by side, each piece from the state in which the "
    "one before it ended; what is short of a whole piece has fewer steps."
)
_LEFT, _AXIS, _TITLE, _GAP = 54.0, 46.0, 28.0, 22.0


class Answered(NamedTuple):
    """A batch of test sequences, and what each model says of it."""

    said: dict[str, Array]
    truth: Array
    lengths: Array | None
    """(B,), of sequences of unequal length."""
    how: str = ""
    """How they were read, where that is not each from a state of its own."""


def answered(models: Models, task: Task, seed: int = 0, carried: int | None = None) -> Answered:
    """What models say of a batch that no training of that seed draws; carried: as in `evaluate`, of
    all that it is tested on, read as there."""
    size, count = (TEST_BATCH, TEST_BATCH) if carried is None else (carried, TEST_SEQUENCES)
    stream = random_streams(seed).test
    batches = list(task.held_out("test", stream, count, size))
    batches = batches if carried is not None else batches[:1]
    axis = 0 if task.readout == "last" else 1  # (T, B, ...) of every step
    said = {}
    for name, model in models.items():
        evaluation = Evaluation(model, task, carried)
        outputs = [np.asarray(evaluation.run(batch)[0]) for batch in batches]
        said[name] = np.concatenate(outputs, axis)
    ends = [padding_of(task, batch) for batch in batches]
    lengths = [e["lengths"] if "lengths" in e else e["mask"].sum(0) for e in ends if e]
    truth = np.concatenate([np.asarray(batch[1]) for batch in batches], axis)
    how = "" if carried is None else _CARRIED.format(carried)
    return Answered(said, truth, np.concatenate(lengths) if lengths else None, how)


def chart_of_task(
    models: Models,
    task: Task,
    *,
    seed: int = 0,
    carried: int | None = None,
    theme: Theme = "auto",
    width: float | None = None,
) -> Chart | None:
    """What models of a task say, beside what is true, on test sequences; None where there is no
    picture of it. models: {heading: model}. carried: as in `evaluate`; theme, width: as in
    `compare_flows`."""
    if isinstance(task, Sentences) and task.readout == "last":
        reads = {name: read_sentence(model, task, seed) for name, model in models.items()}
        return chart_of_reads(task.heading, reads, theme=theme, width=width or WIDE)
    if task.readout == "decoder":
        return _by_length(models, task, seed, theme, width)
    told = answered(models, task, seed, carried)
    labels = told.truth.dtype.kind in "iub"
    if task.readout == "last" and labels:
        if len(np.unique(told.truth)) > _CLASSES:
            return None
        title = "How often each class is called what"
        return _panels(title, told, _draw_classes, theme, width, named=46.0)
    if task.readout == "last":
        return _panels("What is said, against what is true", told, _draw_scatter, theme, width)
    if labels or task.by_sign:
        return _one(
            "How often all that is asked is right, step by step", told, _draw_right, theme, width
        )
    return _one(
        "What is said of a test sequence, beside what is true", told, _draw_lines, theme, width
    )


def _by_length(
    models: Models, task: Task, seed: int, theme: Theme, width: float | None
) -> Chart | None:
    if task.padding != "lengths":
        return None
    title = "How many answers are right, by length"
    with charts.drawn_in(theme):
        ax = charts.own_axes(min(width or 520.0, 520.0), 270.0)
        plot_correct_by_length(models, task, ax, seed=seed, title=title)
    return Chart(ax.figure, title=title, description=title, theme=theme)


Draw = Callable[[Axes, Array, Array], None]


def _panels(
    title: str,
    told: Answered,
    draw: Draw,
    theme: Theme,
    width: float | None,
    named: float = _TITLE,
) -> Chart:
    """A panel for each model, as many beside each other as there is room for. named: how far above
    it stands which one it is."""
    wide = width or WIDE
    columns = max(1, min(len(told.said), int(wide / 300.0)))
    room = min((wide - EDGE) / columns - _LEFT - _GAP, 300.0)
    wide = EDGE + columns * (_LEFT + room + _GAP)  # no wider than what is drawn
    step, top = room + named + _AXIS, head_height(title, wide) + named
    rows = -(-len(told.said) // columns)
    with charts.drawn_in(theme):
        sheet = headed(title, wide, top + step * rows - named)
        for k, (name, said) in enumerate(told.said.items()):
            left = EDGE + _LEFT + (k % columns) * (room + _LEFT + _GAP)
            down = top + (k // columns) * step
            sheet.text(left, down - named, plain(name, WIDEST), fontsize=12, fontweight="bold")
            draw(sheet.axes(left, down, room, room), said, told.truth)
    return Chart(sheet.figure, title=title, description=title, theme=theme)


def _draw_scatter(ax: Axes, said: Array, truth: Array) -> None:
    pairs = np.stack([truth.reshape(len(truth), -1), said.reshape(len(said), -1)])[:, :_POINTS]
    least, most = float(pairs[0].min()), float(pairs[0].max())
    ax.plot([least, most], [least, most], color=ax.xaxis.label.get_color(), lw=1.0, ls=":")
    ax.plot(pairs[0].ravel(), pairs[1].ravel(), "o", ms=3, alpha=0.6, mew=0)
    charts.set_name(ax, "what is true")
    ax.set_ylabel("what is said")
    ax.grid(True)
    ax.set_axisbelow(True)


def _draw_classes(ax: Axes, said: Array, truth: Array) -> None:
    classes, answers = np.unique(truth), said.argmax(-1)
    called = {str(k): answers == k for k in classes}
    rows, others = [*called], ~np.isin(answers, classes)
    if others.any():
        called["others"] = others
    sizes = [[those[truth == k].mean() for those in called.values()] for k in classes]
    names = ("what is true", "what is said")
    charts.shares(sizes, rows, [*called], ax, names=names, legend=False)


def _one(
    title: str,
    told: Answered,
    draw: Callable[[Axes, Answered], None],
    theme: Theme,
    width: float | None,
) -> Chart:
    """One panel for all models."""
    wide = width or 640.0
    top = head_height(title, wide) + 8
    with charts.drawn_in(theme):
        sheet = headed(title, wide, top + 210.0 + _AXIS)
        ax = sheet.axes(EDGE + _LEFT, top, wide - _LEFT - _GAP - EDGE, 210.0)
        draw(ax, told)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        charts.set_name(ax, "time step")
        ax.grid(True, axis="y")
        ax.set_axisbelow(True)
        for text in ax.legend(loc="best").texts:
            text.set_parse_math(False)
    return Chart(sheet.figure, title=title, description=title + told.how, theme=theme)


def right_by_step(said: Array, truth: Array) -> tuple[list[int], list[float]]:
    """Steps, from 1, at which something is asked, and there the share of sequences in which all is
    right. said, truth: labels, or the scores of labels; or numbers whose signs say yes or no, and 1
    or 0, or what is less, or NaN, where nothing is asked.

    >>> right_by_step(np.array([[1, 0], [1, 1]]), np.array([[1, 1], [-1, -1]]))
    ([1], [0.5])
    """
    right: Array
    asked: Array
    if truth.dtype.kind in "iub":
        right = np.asarray((said if said.ndim == truth.ndim else said.argmax(-1)) == truth)
        asked = truth >= 0
    else:
        asked = np.asarray((truth >= 0).any(-1))
        right = np.asarray(((said > 0) == (truth > 0.5)).all(-1))
    steps = np.flatnonzero(asked.any(1))
    return (steps + 1).tolist(), [float(right[t][asked[t]].mean()) for t in steps]


def _draw_right(ax: Axes, told: Answered) -> None:
    for k, (name, said) in enumerate(told.said.items()):
        steps, shares = right_by_step(said, told.truth)
        mark: Any = {"marker": "o", "ms": 3} if len(steps) <= 60 else {}
        _line(ax, steps, shares, k, name, **mark)
    ax.set_ylim(-0.03, 1.03)
    ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])


def _draw_lines(ax: Axes, told: Answered) -> None:
    count = len(told.truth) if told.lengths is None else int(told.lengths[0])
    steps = range(1, count + 1)
    muted = ax.xaxis.label.get_color()
    for column in told.truth[:count, 0].T:
        ax.plot(steps, column, color=muted, lw=3.0, alpha=0.5, **_dot(count))
    ax.lines[0].set_label("what is true")
    for k, (name, said) in enumerate(told.said.items()):
        for j, column in enumerate(said[:count, 0].T):
            _line(ax, steps, column, k, name if not j else "", **_dot(count))


def _dot(count: int) -> dict[str, Any]:
    """The look of what a line of so many points shows too: one of one point shows nothing."""
    return {"marker": "o"} if count == 1 else {}


def _line(ax: Axes, steps: Sequence[int], values: Any, k: int, name: str, **look: Any) -> None:
    label = plain(name, WIDEST) or "_"
    ax.plot(steps, values, lw=1.6, label=label, **look_of_line(k), **look)
