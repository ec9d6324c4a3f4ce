"""What a model says of a table's rows, drawn over what they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lstm.errors import ConfigError, check_count
from lstm.forecasting import Forecast
from lstm.percents import percent
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart, Sheet
from minigrad.drawing.escape import plain

_SIZE = 720.0, 320.0
_PLACE = 90.0, 68.0, 606.0, 212.0  # left, top, width and height of the axes
_TICKS = 6


def plot_forecast(forecast: Forecast, ax: Axes | None = None, *, last: int | None = 200) -> Axes:
    """Draw the truth and what was said of it, of so many of the last rows; returns the axes.

    Where nothing is known, the curve of the truth has a gap. last: None for all.
    """
    drawn = forecast if last is None else forecast.last(check_count("last", last))
    at = range(len(drawn.rows))
    ax = Sheet(*_SIZE).axes(*_PLACE) if ax is None else ax
    if not isinstance(ax, Axes):
        raise ConfigError(f"ax= takes axes of matplotlib, such as plt.gca(), not {ax!r:.40}")
    charts.set_title(ax, title_of(drawn))
    ink, focus = str(ax.title.get_color()), charts.focus_color(ax)  # of whatever style it is in
    curves = {"truth": (drawn.truth, ink, "o"), "said": (drawn.said, focus, "x")}
    for label, (values, color, mark) in curves.items():
        (line,) = ax.plot(at, _heights(drawn, values), color=color, label=label)
        if drawn.classes is not None:
            line.set(linestyle="none", marker=mark, fillstyle="none")
    if drawn.classes is not None:
        names = [plain(name) for name in drawn.classes]
        ax.set_yticks(range(len(names)), names, parse_math=False)
    else:
        ax.set_ylabel(plain(drawn.target), parse_math=False)
    shown = np.unique(np.linspace(0, len(drawn.rows) - 1, _TICKS).astype(int))
    ax.set_xticks(shown, [plain(drawn.rows[k]) for k in shown], parse_math=False)
    charts.set_name(ax, "row")
    ax.grid(True, axis="y")
    charts.set_names(ax, ax.lines[-len(curves) :], [*curves])
    return ax


def draw_forecast(forecast: Forecast, *, theme: Any = "auto") -> Chart:
    """The picture as a chart, which is saved as svg, png or pdf."""
    with charts.drawn_in(theme):
        ax = plot_forecast(forecast)
    title = (ax.get_title("left") or ax.get_title()).replace("\n", " ")
    return Chart(ax.figure, title=title, description=title, theme=theme)


def title_of(forecast: Forecast) -> str:
    """What it shows, and how far off it is, of the rows that are known."""
    ahead = f", {forecast.horizon} row{'s' * (forecast.horizon > 1)} ahead"
    head = forecast.target if forecast.horizon == 0 else forecast.target + ahead
    known = sum(true is not None for true in forecast.truth)
    if not known:
        return head
    if forecast.classes is not None:
        return f"{head}: {percent(1 - forecast.error)} of {known} are right"
    return f"{head}: off by {forecast.error:.3g} (root mean square of {known} rows)"


def _heights(forecast: Forecast, values: Sequence[Any]) -> list[float]:
    """Numbers, or the places of classes; NaN of None."""
    place = {name: float(k) for k, name in enumerate(forecast.classes or ())}
    return [float("nan") if x is None else place.get(x, x) for x in values]
