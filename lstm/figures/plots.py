"""Each quantity of a flow as one chart on axes that are given, or on new ones; returns the axes.

Nothing is measured here but by reading the flow's arrays, of which some are computed when read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

import numpy as np
from matplotlib.axes import Axes

from lstm.errors import ConfigError, check_count
from lstm.figures.answers import plot_alignment as plot_alignment
from lstm.figures.answers import plot_attention_routes as plot_attention_routes
from lstm.figures.answers import plot_caption as plot_caption
from lstm.figures.answers import plot_correct_by_length as plot_correct_by_length
from lstm.figures.distances import plot_accuracy as plot_accuracy
from lstm.figures.film import plot_film as plot_film
from lstm.figures.flow import flow_curves, path_curves
from lstm.figures.speech import plot_speech as plot_speech
from lstm.figures.token_text import plot_text as plot_text
from lstm.gradient_flow import Flow, Knockout, StepMap, Waterfall, check_flow
from lstm.gradient_flow.steps import Words
from minigrad.drawing import Scale, charts
from minigrad.drawing.amount import told

MOST = 8
"""So many knock-outs are drawn unless more are asked for."""
P = ParamSpec("P")
PADDED = (
    "Sequences end at steps of their own: “enters” is what their ends add on the way, and “leaves” "
    "what stays at their first steps."
)
"""What is said beneath a waterfall of sequences of unequal length."""


def of_flow(plot: Callable[Concatenate[Flow, P], Axes]) -> Callable[Concatenate[Flow, P], Axes]:
    """A chart of a flow that raises ConfigError where it is given something else."""

    @wraps(plot)
    def of_checked(flow: Flow, *args: P.args, **kwargs: P.kwargs) -> Axes:
        return plot(check_flow(flow, plot.__name__), *args, **kwargs)

    return cast(Callable[Concatenate[Flow, P], Axes], of_checked)


@of_flow
def plot_norms(
    flow: Flow, ax: Axes | None = None, *, scale: Scale | None = None, legend: bool = True
) -> Axes:
    """How much of the gradient reaches each step: a curve for each part of the state.

    ax: axes to draw on; new ones unless given. scale: of the colours; that of all that is drawn of
    this flow unless given; share one to compare flows. legend: draw what the looks mean beneath, in
    the place of the axes. So for all charts here.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, seed=0)
    >>> flow = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> plot_norms(flow).get_xlabel()
    'time step t (← the gradient flows back)'
    """
    title = titled(flow, "How much of the gradient reaches each step", ax)
    locked = scale or flow.scale
    return charts.curves(flow_curves(flow), ax, scale=locked, title=title, legend=legend)


@of_flow
def plot_paths(
    flow: Flow, ax: Axes | None = None, *, scale: Scale | None = None, legend: bool = True
) -> Axes:
    """By which path it came: along the line, and around it. Raises ConfigError without a line."""
    drawn = path_curves(flow)
    title = titled(flow, f"By which path ∂L/∂{flow.main.symbol}ₜ came back", ax)
    return charts.curves(drawn, ax, scale=scale or flow.scale, title=title, legend=legend)


def titled(flow: Flow, words: str, ax: Axes | None) -> str:
    """A title that says which layer it is of, where a model has several and no heading of the
    figure says so."""
    heading = [] if ax is None else [text.get_text() for text in ax.figure.texts]
    is_told = not flow.place or flow.place in " ".join(heading)
    return words if is_told else f"{words} ({flow.place})"


@of_flow
def plot_units(
    flow: Flow,
    part: str = "",
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    legend: bool = True,
) -> Axes:
    """‖∂L/∂part‖ of each unit at each step, over the batch. part: that made to last, unless given.

    Raises ConfigError for another part.
    """
    name = _part(flow, part)
    sizes, kinds = units_of(flow, name)
    return charts.heat_map(
        sizes,
        ax,
        kinds=kinds,
        scale=scale or flow.scale,
        title=titled(flow, f"|∂L/∂{name}ₜ| of each unit", ax),
        legend=legend,
    )


def units_of(flow: Flow, part: str) -> tuple[charts.Floats, Words]:
    """‖∂L/∂part‖ of each unit over the batch, (H, T), and what kind each is."""
    whole = np.array(flow.series[part].kinds)
    sizes = flow.unit_norms[part].T.astype(np.float64)
    told = np.where(np.isin(whole, ["underflow", "disconnected"]), whole, "normal")
    kinds = np.where(sizes == 0.0, told, "normal")
    lost = np.where((sizes == 0.0) & flow.lost[part].T, "underflow", kinds)
    return sizes, charts.kinds_of(sizes, lost)


@of_flow
def plot_waterfall(
    flow: Flow,
    route: str = "",
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    legend: bool = True,
) -> Axes:
    """How many powers of ten each local derivative wins or loses on the way from t = T to t = 1.

    route: of `flow.waterfalls`, such as "line" or "f"; that of `flow.waterfall` unless given.
    Raises ConfigError for another route.
    """
    if route and not _is_one(route, flow.waterfalls):
        raise ConfigError(f"no route {route!r:.40}; the routes are {', '.join(flow.waterfalls)}")
    fall = flow.waterfalls[route] if route else flow.waterfall
    way = "along the line" if fall.route == "line" else f"through {fall.route}"
    return charts.waterfall(
        fall.start,
        fall.links,
        fall.decades,
        ax,
        scale=scale or flow.scale,
        ends=(f"∂L/∂{fall.part} at t={flow.steps}", "at t=1"),
        title=titled(flow, f"Lost {way}, in powers of ten", ax),
        notes=waterfall_notes(fall),
        legend=legend,
    )


def waterfall_notes(fall: Waterfall) -> tuple[str, ...]:
    """What a waterfall's links for sequences of unequal length mean, where it has them."""
    padded = {"leaves", "enters"} <= {*fall.links}
    return (PADDED,) if padded else ()


@of_flow
def plot_knockouts(flow: Flow, at: int = 1, ax: Axes | None = None, *, most: int = MOST) -> Axes:
    """What of the gradient at step `at` changes where one route is cut, the largest change first;
    where none arrives, it says so.

    Raises ConfigError for a step that is not.
    """
    cuts = flow.knockouts(at)[: check_count("most", most)]
    main = flow.main.symbol
    nothing = flow.main.norms[at - 1] == 0.0
    ax = charts.bars(
        [cut.route for cut in cuts],
        [cut.share for cut in cuts],
        ax,
        words=[_change(cut, told(0.0, flow.main.kinds[at - 1])) for cut in cuts],
        name=f"no gradient ∂L/∂{main} arrives at t={at}"
        if nothing
        else f"change of ∂L/∂{main} at t={at}, as a share of it",
        title=titled(flow, "Where a route is cut", ax),
    )
    if nothing:
        ax.set_xticks([])  # shares of 0 are no numbers
    return ax


def _change(cut: Knockout, nothing: str) -> str:
    """What a cut changes of a gradient, in words; nothing: of one that is 0, what it is."""
    if np.isfinite(cut.share):
        return f"{cut.share:.1%} ({cut.change:.1e})"
    return nothing if cut.change == 0.0 else f"{cut.change:.1e}"


@of_flow
def plot_cancellation(flow: Flow, part: str = "", ax: Axes | None = None) -> Axes:
    """‖Σ terms‖ / Σ ‖term‖ where terms of ∂L/∂part meet: 1 where they agree, 0 where they cancel.

    part: that made to last, unless given. Raises ConfigError for another part.
    """
    name = _part(flow, part)
    shares = flow.main_cancellation if name == flow.main.symbol else flow.cancellation[name]
    title = titled(flow, f"How far the terms of ∂L/∂{name} agree", ax)
    return charts.band(shares, ax, label="‖Σ‖ / Σ ‖·‖", title=title)


@of_flow
def plot_gate(flow: Flow, symbol: str = "", ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """A gate over time: the mean over batch and units, between the least and the largest.

    All gates, each in a colour of the style's cycle, unless a symbol is given. Raises ConfigError
    for another symbol, and for a cell without gates.
    """
    if not symbol and flow.gates:
        ax = charts.own_axes(460.0, 200.0) if ax is None else ax
        for k, gate in enumerate(flow.gates.values()):
            told = legend and not k
            look: Any = {"color": charts.curve_color(k), "legend": told}
            ax = charts.band(gate.mean, ax, low=gate.low, high=gate.high, **look)
        charts.set_title(ax, titled(flow, "The gates: mean, least and largest", ax))
        lines = ax.lines[-len(flow.gates) :]
        charts.set_names(ax, lines, [f"{g.name or 'gate'} {g.symbol}" for g in flow.gates.values()])
        return ax
    if not flow.gates:
        raise ConfigError(f"a cell of kind {flow.cell} has no gates to draw")
    if not _is_one(symbol, flow.gates):
        raise ConfigError(f"no gate {symbol!r:.40}; the gates are {', '.join(flow.gates)}")
    gate = flow.gates[symbol]
    words = f"{gate.name or 'gate'} {symbol}" + (f": 1 {gate.one}" if gate.one else "")
    return charts.band(
        gate.mean,
        ax,
        low=gate.low,
        high=gate.high,
        label=symbol,
        title=titled(flow, words, ax),
        legend=legend,
    )


@of_flow
def plot_itemised(
    flow: Flow, ax: Axes | None = None, *, scale: Scale | None = None, legend: bool = True
) -> Axes:
    """‖∂Lₜ/∂state_s‖ for a loss at each step t and each step s before it: the triangle. Its scale
    is its own unless given."""
    pairs, labels = flow.itemised, ("back to step s", "the loss at step t")
    return _plot_pairs(flow, pairs, ax, scale, labels, "Norm of the gradient: colour", legend)


@of_flow
def plot_influence(
    flow: Flow, ax: Axes | None = None, *, scale: Scale | None = None, legend: bool = True
) -> Axes:
    """‖∂yₜ/∂x_s‖: how much the input at each step s moves the output at each step t. Its scale is
    its own unless given."""
    pairs, labels = flow.influence, ("the input at step s", "the output at step t")
    caption = "Norm of the Jacobian ∂yₜ/∂x_s: colour"
    return _plot_pairs(flow, pairs, ax, scale, labels, caption, legend)


def _plot_pairs(
    flow: Flow,
    pairs: StepMap,
    ax: Axes | None,
    scale: Scale | None,
    labels: tuple[str, str],
    caption: str,
    legend: bool,
) -> Axes:
    return charts.triangle(
        pairs.high,
        ax,
        low=pairs.low,
        kinds=pairs.kinds,
        low_kinds=pairs.low_kinds,
        rows=pairs.rows,
        columns=pairs.columns,
        scale=scale,
        labels=labels,
        title=titled(flow, pairs.symbol, ax),
        caption=caption,
        legend=legend,
    )


@of_flow
def plot_memory(flow: Flow, ax: Axes | None = None, *, most: int = 16) -> Axes:
    """How many steps each unit of the line remembers, beside what its bias promises; the longest
    first. Raises ConfigError for a cell without a line."""
    most, memory = check_count("most", most), flow.memory
    if memory is None:
        raise ConfigError(f"a cell of kind {flow.cell} has no line whose memory could be measured")
    order = np.argsort(-np.nan_to_num(memory.measured, posinf=np.inf), kind="stable")[:most]
    return charts.bars(
        [f"unit {k + 1}" for k in order],
        memory.measured[order],
        ax,
        words=[f"{_steps(memory.measured[k])} ({_steps(memory.promised[k])})" for k in order],
        name="steps remembered (and what the bias promises)",
        title=titled(flow, "Memory of the line", ax),
    )


def _steps(count: float) -> str:
    return f"{count:.3g}" if np.isfinite(count) else "all"


def _is_one(name: object, names: Collection[str]) -> bool:
    return isinstance(name, str) and name in names


def _part(flow: Flow, part: str) -> str:
    if part and not _is_one(part, flow.series):
        raise ConfigError(
            f"no part {part!r:.40}; the parts of the state are {', '.join(flow.series)}"
        )
    return part or flow.main.symbol
