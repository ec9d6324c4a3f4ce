"""Training from several seeds: how losses fall and answers get right, in bands, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from lstm.errors import ConfigError
from lstm.figures.flow import EDGE, NARROW, WIDE, head_height, headed
from lstm.figures.line_looks import look_of_line
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart, Floats, Sheet, Theme
from minigrad.drawing.escape import WIDEST, plain

__all__ = ["NARROW", "Run", "Seeds", "draw_seeds", "plot_seeds"]

_LOSS, _RIGHT = 230.0, 150.0  # heights in points
_LEFT, _AXIS, _TITLE, _LEGEND = 54.0, 46.0, 28.0, 24.0
_NUMBER = 22.0  # half of the last number of an axis, beside it
_ROW, _LETTER = 15.0, 6.2  # of the legend, in points
_LEVEL = 19  # letters of a baseline's number, and of where it lies
_BASELINES = (":", (0, (6.0, 2.0)), (0, (1.0, 4.0)), (0, (6.0, 2.0, 1.0, 2.0)))
_TOGETHER = 560.0  # as wide as two panels beside each other need
_STRETCHES = 100
_DECADES = 10.0  # a range that needs a scale of powers


@dataclass(frozen=True)
class Run:
    """One training, as its validations saw it."""

    at: Sequence[float]
    """Training sequences before each of them, from the first to the last."""
    losses: Sequence[float]
    correct: Sequence[float]
    """The shares that were right."""
    why: str = "steps"
    """Why it ended: "solved" and "failed" are marked."""


@dataclass(frozen=True)
class Seeds:
    """The trainings of each cell, by what it is called, and the losses to beat."""

    runs: Mapping[str, Sequence[Run]]
    baselines: Mapping[str, float] = field(default_factory=dict)
    unit: str = "loss"
    """What the losses are."""
    training: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    """By cell: sequences, and what the loss of training steps was there."""

    def __post_init__(self) -> None:
        for name, runs in self.runs.items():
            for run in runs:
                if not len(run.at) == len(run.losses) == len(run.correct):
                    raise ConfigError(f"a run of {name!r:.40} has not as many losses as places")


def plot_seeds(seeds: Seeds, ax: Axes | None = None, *, of: str = "loss") -> Axes:
    """The median of each cell's runs, filled from the least to the largest, against the sequences
    that they were trained on; returns the axes.

    of: "loss", or "correct", the share of answers that are right. A run that has ended counts on
    as it was; ● is where one met its task's criterion, ✕ where its loss was not finite. The curves
    decide the range of losses, which a baseline at most doubles at each end; one beyond has words
    in the legend alone. Raises ConfigError where there is nothing to draw.

    >>> ax = plot_seeds(Seeds({"LSTM": [Run([32, 64], [0.5, 0.25], [0.1, 1.0], "solved")]}))
    >>> ax.lines[0].get_ydata().tolist()
    [0.5, 0.25]
    """
    if of not in ("loss", "correct"):
        raise ConfigError(f'of= is "loss" or "correct", not {of!r:.40}')
    drawn = {name: [r for r in runs if len(r.at)] for name, runs in seeds.runs.items()}
    if not any(drawn.values()):
        raise ConfigError("there is no run with a validation to draw")
    ax = charts.own_axes(460.0, 260.0) if ax is None else ax
    if of == "loss":
        _draw_training(ax, seeds)
    for k, (name, runs) in enumerate(drawn.items()):
        if runs:
            _draw_cell(ax, name, runs, k, _LOOKS[of])
    if of == "loss":
        _scale_losses(ax)
        _draw_baselines(ax, seeds.baselines)
    else:
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.grid(True, axis="y")
    ax.set_axisbelow(True)
    charts.set_name(ax, "training sequences")
    charts.set_title(
        ax, f"{seeds.unit} in validation".capitalize() if of == "loss" else "Right in validation"
    )
    return ax


_LOOKS: dict[str, Callable[[Run], Sequence[float]]] = {
    "loss": lambda run: run.losses,
    "correct": lambda run: run.correct,
}


def bands(
    runs: Sequence[Run], pick: Callable[[Run], Sequence[float]]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Where a run was validated, and there the median of all, the least and the largest. One that
    has ended stays as it was; what comes before the first validation of one is left out.

    >>> at, middle, low, high = bands(
    ...     [Run([1, 2], [4.0, 2.0], [0, 0]), Run([1], [6.0], [0])], lambda run: run.losses
    ... )
    >>> middle.tolist(), low.tolist(), high.tolist()
    ([5.0, 4.0], [4.0, 2.0], [6.0, 6.0])
    """
    first = max(run.at[0] for run in runs)
    at = np.array(sorted({float(x) for run in runs for x in run.at if x >= first}))
    rows = np.array(
        [np.asarray(pick(run))[np.searchsorted(run.at, at, side="right") - 1] for run in runs]
    )
    return at, np.median(rows, axis=0), rows.min(axis=0), rows.max(axis=0)


def _draw_cell(
    ax: Axes, name: str, runs: Sequence[Run], k: int, pick: Callable[[Run], Sequence[float]]
) -> None:
    at, middle, low, high = bands(runs, pick)
    color, several = charts.curve_color(k), len(runs) > 1
    label = plain(name, WIDEST)
    marker: Any = {"marker": "o", "ms": 3} if len(at) == 1 else {}
    ax.plot(at, middle, lw=1.8, label=label, **look_of_line(k), **marker)
    if several:
        ax.fill_between(at, low, high, color=color, alpha=0.2, lw=0)
    for why, mark in (("solved", "o"), ("failed", "X")):
        ends = [(run.at[-1], pick(run)[-1]) for run in runs if run.why == why]
        if ends:
            ax.plot(*zip(*ends, strict=True), mark, color=color, ms=7, mec=ax.get_facecolor())


def _draw_training(ax: Axes, seeds: Seeds) -> None:
    """Thin lines of the loss in training, the median of each of so many stretches."""
    for k, name in enumerate(seeds.runs):
        if name in seeds.training:
            at, losses = map(np.asarray, seeds.training[name])
            parts = [slice(*part) for part in charts.bins(len(at), _STRETCHES)]
            middles = [float(np.median(losses[part])) for part in parts]
            ends = [float(at[part][-1]) for part in parts]
            dot: Any = {"marker": "o", "ms": 3} if len(ends) == 1 else {}
            look: Any = {"color": charts.curve_color(k), "lw": 0.8, "alpha": 0.6, "zorder": 1}
            ax.plot(ends, middles, **look, **dot)


def _draw_baselines(ax: Axes, baselines: Mapping[str, float]) -> None:
    """A thin line for each, which the legend names: words beside it would lie on curves."""
    muted, place = ax.xaxis.label.get_color(), ax.transScale
    (_, low), (_, high) = place.transform([(1.0, y) for y in ax.get_ylim()])
    for k, (name, level) in enumerate(baselines.items()):
        label = f"{plain(name, 40)}: {level:.4g}"
        at = place.transform((1.0, level))[1] if level > 0 or ax.get_yscale() == "linear" else -inf
        if 2 * low - high <= at <= 2 * high - low:
            ax.axhline(level, color=muted, lw=1.0, ls=_BASELINES[k % len(_BASELINES)], label=label)
        else:
            arrow = "↓" if at < low else "↑"
            ax.plot([], [], ls="", label=f"{arrow} {label}, {'below' if at < low else 'above'}")


def _scale_losses(ax: Axes) -> None:
    """Powers of ten where losses span more than one."""
    drawn = [np.asarray(line.get_ydata(), float).ravel() for line in ax.lines]
    for band in ax.collections:
        drawn += [np.asarray(path.vertices, float)[:, 1] for path in band.get_paths()]
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > _DECADES * values.min():
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def draw_seeds(
    seeds: Seeds, title: str, *, theme: Theme = "auto", width: float | None = None
) -> Chart:
    """Losses beside the shares that are right, below each other where that is too narrow, under one
    legend. theme, width: as in `compare_flows`."""
    wide = width or WIDE
    beside = wide >= _TOGETHER
    panels = 1 + beside
    room = (wide - EDGE) / panels - _LEFT - _NUMBER
    columns = _columns(seeds, wide)
    rows = -(-(len(seeds.runs) + len(seeds.baselines)) // columns)
    top = head_height(title, wide) + _LEGEND + _ROW * (rows - 1) + _TITLE
    below = top + _LOSS + _AXIS + _TITLE
    height = below - _TITLE if beside else below + _RIGHT + _AXIS
    with charts.drawn_in(theme):
        sheet = headed(title, wide, height)
        first = sheet.axes(EDGE + _LEFT, top, room, _LOSS)
        if beside:
            second = sheet.axes(EDGE + 2 * _LEFT + room + _NUMBER, top, room, _LOSS)
        else:
            second = sheet.axes(EDGE + _LEFT, below, room, _RIGHT)
        plot_seeds(seeds, first)
        plot_seeds(seeds, second, of="correct")
        _draw_legend(sheet, first, head_height(title, wide), columns)
    return Chart(sheet.figure, title=title, description=_described(seeds), theme=theme)


def _columns(seeds: Seeds, width: float) -> int:
    """How many names stand beside each other."""
    widths = [min(len(name), WIDEST) for name in seeds.runs]
    widths += [min(len(name), 40) + _LEVEL for name in seeds.baselines]
    return max(1, min(len(widths), int(width / (46.0 + _LETTER * max(widths)))))


def _draw_legend(sheet: Sheet, ax: Axes, top: float, columns: int) -> None:
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    place = EDGE / sheet.width, 1.0 - top / sheet.height
    look: Any = {"frameon": False, "borderpad": 0.0, "handlelength": 2.6, "columnspacing": 1.4}
    legend = sheet.figure.legend(
        handles=lines, loc="upper left", bbox_to_anchor=place, ncols=columns, **look
    )
    for text in legend.texts:
        text.set_parse_math(False)


def _described(seeds: Seeds) -> str:
    """What the marks mean, of those that are there, and which runs have none."""
    drawn = {name: [run for run in runs if len(run.at)] for name, runs in seeds.runs.items()}
    whys = {run.why for runs in drawn.values() for run in runs}
    said = ["Against the sequences that were trained on, of validation sequences: a line"]
    if any(len(runs) > 1 for runs in drawn.values()):
        said[0] += " is the median of the seeds, filled from the least to the largest"
        said.append("a run that has ended counts on as it was")
    else:
        said[0] += " for each cell"
    if any(name in seeds.training for name in seeds.runs):
        said.append("thin lines are the loss in training")
    if "solved" in whys:
        said.append("● is where a run met the criterion")
    if "failed" in whys:
        said.append("✕ where its loss was not finite")
    for name, runs in seeds.runs.items():
        lost = len(runs) - len(drawn[name])
        if lost:
            of = f"of {plain(name, WIDEST)} {lost} of {len(runs)}"
            said.append(f"{of} failed before a validation: not drawn")
    return "; ".join(said) + "."
