"""What happens on the way back, in one figure: where it is lost, what carries it, which units, and
the gates beside their inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from lstm.figures.flow import EDGE, WIDE, head_height, headed
from lstm.figures.plots import (
    MOST,
    plot_cancellation,
    plot_gate,
    plot_knockouts,
    plot_units,
    plot_waterfall,
    units_of,
    waterfall_notes,
)
from lstm.gradient_flow import Flow
from minigrad.drawing import Scale, charts
from minigrad.drawing.amount import norms_of
from minigrad.drawing.charts import Chart, Key, Sheet, Theme

_LABELS, _RIGHT = (104.0, 80.0), (30.0, 22.0)  # beside a chart, of a wide and a narrow figure
_TITLE, _NAME = (34.0, 48.0), (46.0, 58.0)  # above a chart, and below it
_ROW, _UNITS, _BAND, _AIR = 24.0, 150.0, 40.0, 26.0  # heights
_INPUTS = 4
"""Of more features than so many their norm is drawn."""


def flow_details(
    flow: Flow,
    scale: Scale | None = None,
    *,
    theme: Theme = "auto",
    sequence: int = 0,
    width: float = WIDE,
) -> Chart:
    """Where the gradient is lost, which routes carry it, which units, and what the gates do.

    Beside the gates stand the inputs of one sequence of the batch. scale: that of all that is drawn
    of this flow unless given. theme, width: as in `compare_flows`.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, seed=0)
    >>> flow = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> len(flow_details(flow).figure.axes)
    10
    """
    head = f"{flow.called}: what happens on the way back"
    locked = scale or flow.scale
    sizes, known = units_of(flow, flow.main.symbol)
    units = charts.Curve("units", sizes.ravel(), known.ravel())
    kinds = charts.kinds_in([units], locked)
    notes = charts.WON, *waterfall_notes(flow.waterfall), *([charts.BAND] if flow.gates else [])
    key = Key(locked, kinds, notes=notes)
    first = _ROW * max(len(flow.waterfall.links) + 2, min(len(flow.cuts.routes), MOST))
    places, below = _places(width, head_height(head, width), [first, first, _UNITS, _UNITS])
    within, inputs = width - 2 * EDGE, _inputs(flow, sequence)
    bands = below + key.height(within) + _AIR
    high = bands + (len(inputs) + len(flow.gates)) * _next(width) + _AIR
    with charts.drawn_in(theme):
        sheet = headed(head, width, high)
        fall, cuts, rows, agree = (sheet.axes(*place) for place in places)
        plot_waterfall(flow, ax=fall, scale=locked, legend=False)
        plot_knockouts(flow, ax=cuts)
        plot_units(flow, ax=rows, scale=locked, legend=False)
        plot_cancellation(flow, ax=agree)
        key.draw(sheet.axes(EDGE, below, within, key.height(within)), within)
        _draw_bands(flow, inputs, sheet, bands)
    said = "\n".join([head, *flow.diagnosis])
    return Chart(sheet.figure, title=head, description=said, theme=theme)


def _is_narrow(width: float) -> bool:
    return width < WIDE / 2


def _places(
    width: float, top: float, heights: Sequence[float]
) -> tuple[list[tuple[float, float, float, float]], float]:
    """Left end, top, width and height of charts in two columns, or in one, and where they end."""
    narrow = _is_narrow(width)
    columns = 1 if narrow else 2
    column, places = (width - EDGE) / columns, []
    wide = column - _LABELS[narrow] - _RIGHT[narrow]
    for k, height in enumerate(heights):
        if k % columns == 0:
            top += _TITLE[narrow]
        places.append((EDGE + k % columns * column + _LABELS[narrow], top, wide, height))
        if k % columns == columns - 1:
            top += height + _NAME[narrow]
    return places, top


def _next(width: float) -> float:
    """From one band to the next, with its title."""
    return _BAND + (40.0 if _is_narrow(width) else 24.0)


def _draw_bands(flow: Flow, inputs: dict[str, charts.Floats], sheet: Sheet, top: float) -> None:
    """The inputs of one sequence, and under them the gates, over the same time."""
    narrow, labels = _is_narrow(sheet.width), [*inputs, *flow.gates]
    left = EDGE + _LABELS[narrow]
    for k, label in enumerate(labels):
        at = top + (k + 1) * _next(sheet.width) - _BAND - _AIR
        ax = sheet.axes(left, at, sheet.width - left - _RIGHT[narrow], _BAND)
        if k < len(inputs):
            _draw_input(inputs[label], label, ax)
        else:
            plot_gate(flow, label, ax, legend=False)
        if k + 1 < len(labels):
            ax.set_xlabel("")
            ax.tick_params(axis="x", labelbottom=False)


def _inputs(flow: Flow, sequence: int) -> dict[str, charts.Floats]:
    """What the layer read of one sequence, by feature."""
    xs = flow.inputs[:, sequence].astype(np.float64)
    if xs.shape[1] > _INPUTS:
        return {"‖x‖": np.array(norms_of(xs))}
    names = [f"x[{k}]" for k in range(xs.shape[1])] if xs.shape[1] > 1 else ["x"]
    return dict(zip(names, xs.T, strict=True))


def _draw_input(row: charts.Floats, label: str, ax: Axes) -> None:
    sound = row[np.isfinite(row)]
    ends = (float(sound.min()), float(sound.max())) if sound.size else (0.0, 1.0)
    limits = ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[0] + 0.5)
    charts.band(row, ax, limits=limits, label=label, title=f"input {label} of one sequence")
