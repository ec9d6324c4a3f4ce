"""The figures of a gradient over time: curves, heat strips and words, side by side on one scale.

Layout only: the numbers and what they mean come from gradient_flow, the parts from mg.charts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from lstm.gradient_flow import Flow, Series, path_words
from lstm.gradient_flow.words import EVERY, compare
from minigrad.drawing import Scale, charts
from minigrad.drawing.charts import Chart, Curve, Sheet, Theme
from minigrad.drawing.escape import WIDEST, plain

_LEFT, _PANEL, _GAP = 168.0, 360.0, 130.0
_TOP, _CURVES, _ROW, _LINE = 62.0, 230.0, 21.0, 17.0
_LETTER, _NUMBER = 5.6, 60.0  # widths of a letter of the words, and of what stands before a strip
_EDGE, _LEAST = 6.0, 700.0
_DASHES = ("solid", "dashed", "dotted")  # of a line's part, of what came around it, and entered


def compare_flows(
    flows: Mapping[str, Sequence[Flow]],
    title: str = "",
    scale: Scale | None = None,
    *,
    theme: Theme = "auto",
    words: Sequence[str] = (),
) -> Chart:
    """RNN beside LSTM, panel after panel, on one scale: which gradient reaches step 1?

    flows: {title of a panel, such as "before training": the flows to draw in it, one a model}.
    Each panel has a curve for every part of the state, a heat strip for each curve with its first
    and last value, and the diagnosis in words. words: more
    sentences, under the first panel. theme: "light", "dark", or "auto", which is light, and as svg
    follows the reader's colour scheme.

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
    return _figure(title or "How much of the gradient reaches step 1", panels, scale, theme)


def paths(
    flows: Mapping[str, Flow],
    title: str = "",
    scale: Scale | None = None,
    *,
    theme: Theme = "auto",
) -> Chart:
    """By which path the gradient came: along the cell line, or through h and the gates.

    flows: {title of a panel: flow}; the rest is as in `compare_flows`. Raises ValueError for a cell
    without a line.
    """
    panels = {panel: _Panel(path_curves(flow), _path_words(flow)) for panel, flow in flows.items()}
    return _figure(title or "By which path the gradient came back", panels, scale, theme)


@dataclass(frozen=True)
class _Panel:
    """What is drawn and written under one title."""

    curves: Sequence[Curve]
    words: Sequence[str]


def flow_curves(flow: Flow) -> list[Curve]:
    """One curve for each part of the state, the one that is made to last first."""
    name = plain(flow.heading, WIDEST - 12)  # what it is the gradient of is never cut
    return [
        _curve(f"{name}  |∂L/∂{s.symbol}ₜ|", s, "solid" if s is flow.main else "dashed")
        for s in flow.ordered
    ]


def _curve(label: str, series: Series, dash: Any = "solid") -> Curve:
    return Curve.of(label, series.norms, series.kinds, dash)


def path_curves(flow: Flow) -> list[Curve]:
    """The main gradient and its parts. Raises ValueError for a cell without a line."""
    if flow.split is None:
        raise ValueError(f"a cell of kind {flow.cell} has no cell line to split the gradient by")
    return [
        _curve(f"all of |∂L/∂{flow.split.symbol}ₜ|", flow.main),
        *(
            _curve(name, series, dash)
            for (name, series), dash in zip(flow.paths.items(), _DASHES, strict=False)
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


def _figure(head: str, panels: Mapping[str, _Panel], scale: Scale | None, theme: Theme) -> Chart:
    """Panels side by side, strips under them, and words and legend at the bottom.

    The strips are named once, at the left, where all panels have the same; else in each.
    """
    every = [c for panel in panels.values() for c in panel.curves]
    locked, limits = scale or charts.scale_of(every), charts.decades(every)
    first = max(_LEFT, _NUMBER + _LETTER * max(min(len(c.label), WIDEST) for c in every))
    alone = len(panels) == 1
    wide = _PANEL + _GAP / 2 if alone else _PANEL
    differ = len({tuple([c.label for c in panel.curves]) for panel in panels.values()}) > 1
    gap = first + _GAP / 2 if differ else _GAP
    width = max(first + len(panels) * (wide + gap) - gap + _GAP / 2, _LEAST)
    column = (width - _EDGE) / len(panels)
    texts = [_wrapped(panel.words, column - 10) for panel in panels.values()]
    top = _TOP if any(panels) else 44.0
    strips_top = top + _CURVES + 12
    words_top = strips_top + max(len(p.curves) for p in panels.values()) * _ROW + 46
    key_top = words_top + (max(map(len, texts)) + 0.6) * _LINE
    kinds = charts.kinds_in(every, locked)
    key_high = charts.legend_height(locked, kinds, width - 2 * _EDGE)
    with charts.drawn_in(theme):
        sheet = Sheet(width, key_top + key_high + 8)
        sheet.text(_EDGE, 6, head, fontsize=15, fontweight="bold")
        for k, (title, panel) in enumerate(panels.items()):
            left = first + k * (wide + gap)
            ax = sheet.axes(left, top, wide, _CURVES)
            charts.curves(panel.curves, ax, scale=locked, limits=limits)
            ax.set_title(plain(title), parse_math=False)
            ax.set_xlabel("")
            ax.tick_params(axis="x", labelbottom=False)
            below = sheet.axes(left, strips_top, wide, len(panel.curves) * _ROW)
            charts.strips(panel.curves, below, scale=locked, labels=differ or not k)
            for r, line in enumerate(texts[k]):
                sheet.text(_EDGE + k * column, words_top + r * _LINE, line, fontsize=9.5)
        key = sheet.axes(_EDGE, key_top, width - 2 * _EDGE, key_high)
        charts.legend(locked, kinds, key, width=width - 2 * _EDGE)
    said = "\n".join(line for panel in panels.values() for line in panel.words)
    return Chart(sheet.figure, title=head, description=f"{head}\n{said}", theme=theme)


def _wrapped(lines: Sequence[str], width: float) -> list[str]:
    """Sentences in lines that are not wider."""
    return [part for line in lines for part in wrap(line, int(width / _LETTER))]
