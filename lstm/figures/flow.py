"""The figures of a gradient over time: curves, heat strips and words, side by side on one scale.

Layout only: the numbers and what they mean come from gradient_flow, the parts from mg.charts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from lstm.errors import ConfigError
from lstm.gradient_flow import Flow, Series, path_words
from lstm.gradient_flow.words import EVERY, compare
from minigrad.drawing import Scale, charts
from minigrad.drawing.charts import Chart, Curve, Key, Mark, Sheet, Theme
from minigrad.drawing.escape import WIDEST, plain

WIDE, ALONE, NARROW = 900.0, 640.0, 255.0
"""Widths in points: of several panels, of one, and for a screen of a phone."""
_NUMBER, _BETWEEN, _LEAST = 52.0, 108.0, 240.0  # beside a strip, between two, and of a panel
_CURVES, _LINE, _TITLE, _HEAD = 210.0, 15.0, 24.0, 19.0  # heights
EDGE = 6.0
"""Beside all that is drawn."""
_MARKS: tuple[Mark, ...] = "△", "○", "□"  # the line's part, what came around it, what entered
_LETTER = 5.6  # width of a letter of the words


def compare_flows(
    flows: Mapping[str, Sequence[Flow]],
    title: str = "",
    scale: Scale | None = None,
    *,
    theme: Theme = "auto",
    words: Sequence[str] = (),
    width: float | None = None,
) -> Chart:
    """RNN beside LSTM, panel after panel, on one scale: which gradient reaches step 1?

    flows: {title of a panel, such as "before training": the flows to draw in it, one a model}.
    Each panel has a curve for every part of the state, a heat strip for each curve with its first
    and last value, and the diagnosis in words. words: more sentences, under the first panel. theme:
    "light", "dark", or "auto", which is light, and as svg follows the reader's colour scheme.
    width: in points; panels that have no room beside each other stand below each other.

    >>> import numpy as np, lstm
    >>> model = lstm.Model.create(lstm.RNN(2, 4), output_size=1, seed=0)
    >>> flow = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> compare_flows({"untrained": [flow]}).title
    'How much of the gradient reaches step 1'
    """
    panels = {
        panel: _Panel([c for f in group for c in flow_curves(f)], _diagnosis(group))
        for panel, group in flows.items()
    }
    first = next(iter(panels))
    panels[first] = _Panel(panels[first].curves, [*panels[first].words, *words])
    head = title or "How much of the gradient reaches step 1"
    return _figure(head, panels, scale, theme, width)


def paths(
    flows: Mapping[str, Flow],
    title: str = "",
    scale: Scale | None = None,
    *,
    theme: Theme = "auto",
    width: float | None = None,
) -> Chart:
    """By which path the gradient came: along the cell line, or through h and the gates.

    flows: {title of a panel: flow}; the rest is as in `compare_flows`. Raises ConfigError for a
    cell without a line.
    """
    panels = {panel: _Panel(path_curves(flow), _path_words(flow)) for panel, flow in flows.items()}
    return _figure(title or "By which path the gradient came back", panels, scale, theme, width)


@dataclass(frozen=True)
class _Panel:
    """What is drawn and written under one title."""

    curves: Sequence[Curve]
    words: Sequence[str]


def flow_curves(flow: Flow) -> list[Curve]:
    """One curve for each part of the state, the one that is made to last first."""
    name = plain(flow.heading, WIDEST - 12)  # what it is the gradient of is never cut
    return [
        _curve(f"{name}  |∂L/∂{s.symbol}ₜ|", s, "" if s is flow.main else "○") for s in flow.ordered
    ]


def _curve(label: str, series: Series, mark: Mark = "") -> Curve:
    return Curve.of(label, series.norms, series.kinds, mark)


def path_curves(flow: Flow) -> list[Curve]:
    """The main gradient and its parts. Raises ConfigError for a cell without a line."""
    if flow.split is None:
        raise ConfigError(f"a cell of kind {flow.cell} has no cell line to split the gradient by")
    return [
        _curve(f"all of |∂L/∂{flow.split.symbol}ₜ|", flow.main),
        *(
            _curve(name, series, mark)
            for (name, series), mark in zip(flow.paths.items(), _MARKS, strict=False)
        ),
    ]


def _path_words(flow: Flow) -> list[str]:
    words = path_words(flow)
    if flow.split is not None:
        share = sum(flow.split.keep) / flow.steps
        words.append(
            f"One step keeps {share:.3g} of {flow.split.symbol}: the mean of {flow.split.factor}."
        )
    return words


def _diagnosis(flows: Sequence[Flow]) -> list[str]:
    words = [f"{flow.heading}: {line}" for flow in flows for line in flow.diagnosis[:2]]
    if any(EVERY in flow.diagnosis for flow in flows):
        words = [*(line for line in words if not line.endswith(EVERY)), EVERY]
    if len(flows) == 2:
        words.append(compare(*flows))
    return words


def _figure(
    head: str,
    panels: Mapping[str, _Panel],
    scale: Scale | None,
    theme: Theme,
    width: float | None,
) -> Chart:
    """Panels side by side, as many as there is room for, each with its strips and its words
    beneath; and the legend of all at the bottom."""
    every = [c for panel in panels.values() for c in panel.curves]
    locked, limits = scale or charts.scale_of(every), charts.decades(every)
    key = Key(locked, charts.kinds_in(every, locked), notes=charts.marks_in(every))
    wide = width or (WIDE if len(panels) > 1 else ALONE)
    grid = _Grid(wide, len(panels))
    placed = list(grid.placed(panels.values(), head_height(head, wide), any(panels)))
    bottom = placed[-1].bottom
    within = wide - 2 * EDGE
    with charts.drawn_in(theme):
        sheet = headed(head, wide, bottom + key.height(within) + 8)
        for spot, (title, panel) in zip(placed, panels.items(), strict=True):
            _draw_panel(sheet, spot, title, panel, locked, limits)
        key.draw(sheet.axes(EDGE, bottom, within, key.height(within)), within)
    said = "\n".join(line for panel in panels.values() for line in panel.words)
    return Chart(sheet.figure, title=head, description=f"{head}\n{said}", theme=theme)


def head_height(head: str, width: float) -> float:
    """How much height a figure's heading takes, and the air below it."""
    return 14.0 + _HEAD * len(_lines(head, width))


def headed(head: str, width: float, height: float) -> Sheet:
    """A sheet of a size in points with its heading."""
    sheet = Sheet(width, height)
    for k, line in enumerate(_lines(head, width)):
        sheet.text(EDGE, 6 + _HEAD * k, line, fontsize=14, fontweight="bold")
    return sheet


def _lines(head: str, width: float) -> list[str]:
    return wrap(plain(head), int(width / 9.6))


@dataclass(frozen=True)
class _Spot:
    """Where a panel stands: its curves' left end, top and width, its words, and where it ends."""

    left: float
    top: float
    wide: float
    words: Sequence[str]
    bottom: float


class _Grid:
    """Columns of panels in so much width."""

    def __init__(self, width: float, panels: int) -> None:
        room = width - 2 * _NUMBER + _BETWEEN
        self.columns = max(1, min(panels, int(room / (_LEAST + _BETWEEN))))
        self.wide = room / self.columns - _BETWEEN

    def placed(self, panels: Iterable[_Panel], top: float, is_titled: bool) -> Iterator[_Spot]:
        """Where each panel stands, row by row from a height down."""
        every = list(panels)
        for k in range(0, len(every), self.columns):
            row = every[k : k + self.columns]
            top += _TITLE * is_titled
            texts = [_wrapped(panel.words, self.wide + _BETWEEN - 16) for panel in row]
            below = max(_words_top(panel, self.wide) for panel in row)
            below += _LINE * max(map(len, texts)) + 12
            for column, words in enumerate(texts):
                left = _NUMBER + column * (self.wide + _BETWEEN)
                yield _Spot(left, top, self.wide, words, top + below)
            top += below


def _words_top(panel: _Panel, wide: float) -> float:
    """How far below the top of its curves the words of a panel begin."""
    axis = 40.0 if wide > _LEAST else 54.0  # its name takes two lines where it is narrow
    return _CURVES + 8 + len(panel.curves) * charts.ROW + axis


def _draw_panel(
    sheet: Sheet, spot: _Spot, title: str, panel: _Panel, scale: Scale, limits: tuple[int, int]
) -> None:
    ax = sheet.axes(spot.left, spot.top, spot.wide, _CURVES)
    charts.curves(panel.curves, ax, scale=scale, limits=limits, title=title, legend=False)
    ax.set_xlabel("")
    ax.tick_params(axis="x", labelbottom=False)
    below = sheet.axes(spot.left, spot.top + _CURVES + 8, spot.wide, len(panel.curves) * charts.ROW)
    charts.strips(panel.curves, below, scale=scale, legend=False)
    for k, line in enumerate(spot.words):
        top = spot.top + _words_top(panel, spot.wide) + k * _LINE
        sheet.text(spot.left - _NUMBER + EDGE, top, line, fontsize=9.5)


def _wrapped(lines: Sequence[str], width: float) -> list[str]:
    """Sentences in lines that are not wider."""
    return [part for line in lines for part in wrap(line, int(width / _LETTER))]
