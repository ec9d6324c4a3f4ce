"""Accuracy against distance: how far back what is asked for may lie, for one cell beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lstm.errors import ConfigError, check_number
from lstm.figures.line_looks import look_of_line
from minigrad.drawing import charts
from minigrad.drawing.charts import Floats
from minigrad.drawing.escape import WIDEST, plain

Scores = Mapping[str, Mapping[float, Sequence[float]]]
_WIDTH, _HEIGHT = 520.0, 300.0
_MARKS = ("o", "s", "^", "D")


def plot_accuracy(
    scores: Scores,
    ax: Axes | None = None,
    *,
    chance: float | None = None,
    criterion: float | None = None,
    name: str = "distance in steps",
    title: str = "Accuracy against distance",
) -> Axes:
    """How often each cell is right, against how far back what it needs lies; returns the axes.

    scores: {cell: {distance: the accuracy of each seed}}. A line is the mean of the seeds, filled
    from the least to the largest; each seed is a dot. Distances stand on an axis of powers. chance,
    criterion: accuracies that are marked. The legend, at the right, names all of them: words beside
    curves would lie on others. ax: axes to draw on; new ones unless given. name: what a distance
    is. Raises ConfigError for what are no such scores.

    >>> ax = plot_accuracy({"RNN": {5: [1.0, 0.9], 50: [0.2, 0.25]}}, chance=0.2)
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['RNN', 'chance: 20 %']
    """
    rows = {cell: _checked(cell, by_distance) for cell, by_distance in scores.items()}
    if not rows:
        raise ConfigError("scores are {cell: {distance: [accuracy of each seed]}}, and not empty")
    ax = ax or charts.own_axes(_WIDTH, _HEIGHT)
    ax.set_xscale("log")
    ax.set_ylim(-0.03, 1.03)
    for k, (cell, by_distance) in enumerate(rows.items()):
        _draw_cell(ax, cell, by_distance, k)
    muted = ax.xaxis.label.get_color()
    for word, level, dots in (("criterion", criterion, (0, (1, 1))), ("chance", chance, ":")):
        if level is not None:
            at = check_number(word, level, least=0, most=1)
            ax.axhline(at, color=muted, lw=1.0, ls=dots, label=f"{word}: {100 * at:.3g} %")
    every = sorted({distance for row in rows.values() for distance in row})
    ax.set_xlim(every[0] / 1.15, every[-1] * 1.15)
    ax.set_xticks(every, [f"{distance:g}" for distance in every])
    ax.set_xticks([], minor=True)
    ax.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "20 %", "40 %", "60 %", "80 %", "100 %"])
    ax.grid(True, axis="y")
    ax.set_axisbelow(True)
    charts.set_name(ax, name)
    charts.set_title(ax, title)
    for text in ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False).texts:
        text.set_parse_math(False)
    return ax


def _draw_cell(ax: Axes, cell: str, by_distance: Mapping[float, Floats], k: int) -> None:
    """The mean of the seeds, the band, and the seeds."""
    at = sorted(by_distance)
    means, lows, highs = (
        [float(pick(by_distance[x])) for x in at] for pick in (np.mean, np.min, np.max)
    )
    color, mark = charts.curve_color(k), _MARKS[k % len(_MARKS)]
    ax.plot(at, means, lw=1.8, label=plain(cell, WIDEST), **look_of_line(k))
    ax.fill_between(at, lows, highs, color=color, alpha=0.2, lw=0)
    for x in at:
        row = by_distance[x]
        ax.plot([x] * len(row), row, mark, color=color, ms=4, mfc=ax.get_facecolor(), mew=1.0)


def _checked(cell: str, by_distance: Mapping[float, Sequence[float]]) -> dict[float, Floats]:
    """Rows of accuracies by distance. Raises ConfigError for others."""
    if not isinstance(by_distance, Mapping) or not by_distance:
        raise ConfigError(f"the scores of {cell!r:.40} are accuracies by distance, and not empty")
    made = {}
    for distance, row in by_distance.items():
        values = np.asarray(row, np.float64)
        if values.ndim != 1 or not values.size or not ((values >= 0) & (values <= 1)).all():
            raise ConfigError(
                f"the scores of {cell!r:.40} at {distance!r:.40} are accuracies of seeds, each of "
                f"0 to 1, not {row!r:.40}"
            )
        made[check_number("a distance", distance, above=0)] = values
    return made


def how_far(scores: Scores, criterion: float = 0.99) -> dict[str, float | None]:
    """{cell: the largest distance up to which each seed's accuracy is so large}; None: none.

    >>> how_far({"RNN": {5: [1.0, 1.0], 10: [1.0, 0.4], 20: [1.0, 1.0]}})
    {'RNN': 5.0}
    """
    far: dict[str, float | None] = {}
    for cell, by_distance in scores.items():
        far[cell] = None
        for distance, row in sorted(_checked(cell, by_distance).items()):
            if row.min() < criterion:
                break
            far[cell] = distance
    return far
