"""The figures of a gradient over time: curves, heat strips and words, side by side on one scale.

Layout only: the numbers and what they mean come from gradient_flow, the parts from panels.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap

from lstm.figures.panels import (
    Axis,
    Curve,
    curves_of,
    decades,
    draw_axis,
    draw_curve,
    draw_legend,
    draw_strip,
    draw_time,
    scale_of,
)
from lstm.gradient_flow import Flow, compare, path_words
from lstm.gradient_flow.words import EVERY
from minigrad.drawing import Diagram, Scale
from minigrad.drawing.canvas import Canvas
from minigrad.drawing.palette import INK, MUTED

_LEFT, _PANEL, _GAP = 168.0, 360.0, 130.0
_TOP, _CURVES, _ROW, _LINE = 62.0, 230.0, 21.0, 17.0
_LETTER, _NUMBER = 5.2, 56.0  # widths of a letter of the words, and of what stands before a strip


def compare_flows(
    flows: Mapping[str, Sequence[Flow]], title: str = "", scale: Scale | None = None
) -> Diagram:
    """RNN beside LSTM, panel after panel, on one scale: which gradient reaches step 1?

    flows: {title of a panel, such as "before training": the flows to draw in it, one a model}.
    Each panel has a curve for every part of the state, a heat strip for each curve with its first
    and last value, and the diagnosis in words.

    >>> from lstm.gradient_flow import measure
    >>> import numpy as np, lstm
    >>> model = lstm.Model.create(lstm.RNN(2, 4), output_size=1, seed=0)
    >>> flow = measure(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> compare_flows({"untrained": [flow]}).title
    'How much of the gradient reaches step 1'
    """
    rows = {panel: [c for f in group for c in curves_of(f)] for panel, group in flows.items()}
    words = {panel: _diagnosis(group) for panel, group in flows.items()}
    head = title or "How much of the gradient reaches step 1"
    return _figure(head, rows, words, scale)


def paths(flows: Mapping[str, Flow], title: str = "", scale: Scale | None = None) -> Diagram:
    """By which path the gradient came: along the cell line, or through h and the gates.

    flows: {title of a panel: flow}. Raises ValueError for a cell without a line.
    """
    rows, words = {}, {}
    for panel, flow in flows.items():
        rows[panel], words[panel] = _path_curves(flow), _path_words(flow)
    return _figure(title or "By which path the gradient came back", rows, words, scale)


def _path_curves(flow: Flow) -> list[Curve]:
    if flow.split is None:
        raise ValueError(f"a cell of kind {flow.cell} has no cell line to split the gradient by")
    return [
        Curve.of(f"all of |∂L/∂{flow.split.symbol}ₜ|", flow.main),
        Curve.of(f"along the line ({flow.split.product})", flow.split.line),
        Curve.of(f"through {flow.around}", flow.split.gates, "dashed"),
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
    rows: Mapping[str, Sequence[Curve]],
    words: Mapping[str, Sequence[str]],
    scale: Scale | None,
) -> Diagram:
    """Panels side by side, strips under them, and words and legend at the bottom."""
    curves = [c for group in rows.values() for c in group]
    locked = scale or scale_of(curves)
    lo, hi = decades(curves)
    strips_top = _TOP + _CURVES + 18
    words_top = strips_top + max(map(len, rows.values())) * _ROW + 52
    first = max(_LEFT, _NUMBER + _LETTER * max(len(c.label) for c in curves))
    width = max(first + len(rows) * (_PANEL + _GAP), 860.0)
    column = (width if len(rows) == 1 else first - 36 + _PANEL + _GAP) - 10
    texts = [_wrapped(lines, column) for lines in words.values()]
    count = max(map(len, texts)) + 2
    sheet = Canvas(width, words_top + count * _LINE + 64)
    sheet.text(0, 14, head, align="l", size=15, bold=True)
    for k, (panel, group) in enumerate(rows.items()):
        steps = len(group[0].norms)
        left = first + k * (_PANEL + _GAP)
        axis = Axis(left, _TOP, _PANEL, _CURVES, lo, hi, steps)
        draw_axis(sheet, axis, panel, labels=True)
        for curve in group:
            draw_curve(sheet, axis, curve, locked)
        _name_curves(sheet, axis, group)
        for r, curve in enumerate(group):
            y = strips_top + r * _ROW
            if not k:
                sheet.text(0, y + 8, curve.label, align="l", size=9, color=INK)
            draw_strip(sheet, axis, y, curve, locked)
        draw_time(sheet, axis, strips_top + len(group) * _ROW + 1)
    for k, lines in enumerate(texts):
        for r, line in enumerate(lines):
            sheet.text(k * (column + 10), words_top + r * _LINE, line, align="l", size=9.5)
    draw_legend(sheet, 4, words_top + (count - 1) * _LINE + 8, locked, curves)
    said = "\n".join(line for lines in words.values() for line in lines)
    return Diagram(sheet.dot, title=head, description=f"{head}\n{said}")


def _wrapped(lines: Sequence[str], width: float) -> list[str]:
    """Sentences in lines that are not wider."""
    return [part for line in lines for part in wrap(line, int(width / _LETTER))]


def _name_curves(sheet: Canvas, axis: Axis, curves: Sequence[Curve]) -> None:
    for words, spot in name_spots(axis, curves):
        sheet.text(spot.left, spot.y, words, align="l", size=8.5, color=MUTED)


def name_spots(axis: Axis, curves: Sequence[Curve]) -> list[tuple[str, Spot]]:
    """Each curve's name and where to write it: close to it, and where there is room clear of all
    curves and other names. The name of a curve that fills the panel is left to its strip.
    """
    named: list[tuple[str, Spot]] = []
    for curve in sorted(curves, key=lambda c: axis.y(c.norms[0])):
        words = ("╌ " if curve.dash == "dashed" else "") + " ".join(curve.label.split())
        spots = [s for s in _spots(axis, curve, 5.4 * len(words)) if s.is_within(axis)]
        taken = [spot for _, spot in named]
        others = [c for c in curves if c is not curve]
        free = [s for s in spots if not s.hits(axis, curves, taken)]
        # Best is a place that is nearer to this curve than to any other.
        best = [s for s in free if not s.hits(axis, others, taken, _CLEAR + 3.0)]
        if spots:
            named.append((words, min(best or free or spots, key=lambda s: s.cost)))
    return named


_HALF = 7.0  # of a name's height, and some air
_CLEAR = 9.0  # from the middle of a name to its curve


@dataclass(frozen=True)
class Spot:
    """A place for a name: from `left`, so wide, around the height y; the less cost the better."""

    left: float
    wide: float
    y: float
    cost: float

    def is_within(self, axis: Axis) -> bool:
        top, right = axis.top - 2.0, axis.left + axis.width
        return top <= self.y <= axis.top + axis.height + 2.0 and self.left + self.wide <= right

    def hits(
        self, axis: Axis, curves: Sequence[Curve], others: Sequence[Spot], air: float = _HALF
    ) -> bool:
        for curve in curves:
            ys = _heights(axis, curve, self.left, self.wide)
            if any(min(p) - air < self.y < max(p) + air for p in pairwise([ys[0], *ys])):
                return True
        return any(
            abs(self.y - o.y) < 11.0
            and self.left < o.left + o.wide
            and o.left < self.left + self.wide
            for o in others
        )


def _spots(axis: Axis, curve: Curve, wide: float) -> Iterator[Spot]:
    """Above and below the curve, all along it; near its start and where it is flat are best."""
    for k in range(9):
        left = axis.left + 5.0 + k / 10 * axis.width
        ys = _heights(axis, curve, left, wide)
        for y in (min(ys) - _CLEAR, max(ys) + _CLEAR):
            yield Spot(left, wide, y, max(abs(y - other) for other in ys) + 4.0 * k)


def _heights(axis: Axis, curve: Curve, left: float, wide: float) -> list[float]:
    """The curve's heights from `left` so far to the right, one step more at each end."""
    steps = len(curve.norms)
    first, last = ((x - axis.left) / axis.width * steps for x in (left, left + wide))
    lo, hi = max(0, min(int(first) - 1, steps - 1)), int(last) + 2
    return [axis.y(norm) for norm in curve.norms[lo:hi]]
