"""What happens on the way back, in one figure: where it is lost, what carries it, which units, and
the gates beside their inputs.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from lstm.figures.plots import (
    MOST,
    plot_cancellation,
    plot_gate,
    plot_knockouts,
    plot_units,
    plot_waterfall,
    unit_curves,
)
from lstm.gradient_flow import Flow
from minigrad.chains import norms_of
from minigrad.drawing import Scale, charts
from minigrad.drawing.charts import Chart, Sheet, Theme

_WIDTH, _LEFT, _HALF, _RIGHT = 880.0, 112.0, 300.0, 550.0  # of the figure, and of two columns
_ROW, _UNITS, _BAND, _NEXT = 24.0, 150.0, 40.0, 64.0  # heights; from one band to the next
_TOP, _BETWEEN, _EDGE = 66.0, 66.0, 6.0
_INPUTS = 4
"""Of more features than so many their norm is drawn."""


def flow_details(flow: Flow, *, theme: Theme = "auto", sequence: int = 0) -> Chart:
    """Where the gradient is lost, which routes carry it, which units, and what the gates do.

    Beside the gates stand the inputs of one sequence of the batch. theme: as in `compare_flows`.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, seed=0)
    >>> flow = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> len(flow_details(flow).figure.axes)
    10
    """
    head = f"{flow.heading}: what happens on the way back"
    scale = Scale.of(x for series in flow.ordered for x in series.norms)
    kinds = charts.kinds_in(unit_curves(flow, flow.main.symbol), scale)
    first = _ROW * max(len(flow.waterfall.links) + 2, min(len(flow.cuts.routes), MOST))
    second = _TOP + first + _BETWEEN
    key, key_high = second + _UNITS + 44, charts.legend_height(scale, kinds, _WIDTH - _LEFT)
    inputs, gates = _inputs(flow, sequence), list(flow.gates)
    third = key + key_high + 34
    with charts.drawn_in(theme):
        sheet = Sheet(_WIDTH, third + _NEXT * (len(inputs) + len(gates)) + 22)
        sheet.text(_EDGE, 6, head, fontsize=15, fontweight="bold")
        plot_waterfall(flow, ax=sheet.axes(_LEFT, _TOP, _HALF, first), scale=scale)
        plot_knockouts(flow, ax=sheet.axes(_RIGHT, _TOP, _HALF, first))
        plot_units(flow, ax=sheet.axes(_LEFT, second, _HALF, _UNITS), scale=scale)
        plot_cancellation(flow, ax=sheet.axes(_RIGHT, second, _HALF, _UNITS))
        below = sheet.axes(_LEFT - 18, key, _WIDTH - _LEFT, key_high)
        charts.legend(scale, kinds, below, width=_WIDTH - _LEFT)
        _draw_bands(flow, inputs, sheet, third)
    said = "\n".join([head, *flow.diagnosis])
    return Chart(sheet.figure, title=head, description=said, theme=theme)


def _draw_bands(flow: Flow, inputs: dict[str, charts.Floats], sheet: Sheet, top: float) -> None:
    """The inputs of one sequence, and under them the gates, over the same time."""
    for k, label in enumerate([*inputs, *flow.gates]):
        ax = sheet.axes(_LEFT, top + k * _NEXT, _RIGHT + _HALF - _LEFT, _BAND)
        if k < len(inputs):
            _draw_input(inputs[label], label, ax)
        else:
            plot_gate(flow, label, ax)
        if k + 1 < len(inputs) + len(flow.gates):
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
