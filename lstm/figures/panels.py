"""Curves and heat strips of gradient norms over time, on one locked scale, placed on a canvas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lstm.errors import check_count
from lstm.gradient_flow import Flow, Series
from minigrad.drawing.amount import kind_of
from minigrad.drawing.canvas import Canvas
from minigrad.drawing.palette import FAINT, INK, MUTED
from minigrad.drawing.theme import KIND_WORDS, Dash, EdgeStyle, Kind, Scale, fmt, legend_rows

BINS = 256
_STRIP = 15.0


@dataclass(frozen=True)
class Curve:
    """One row of a figure: norms over t = 1 … T, and how to draw them."""

    label: str
    norms: Sequence[float]
    kinds: Sequence[Kind]
    dash: Dash = "solid"

    @staticmethod
    def of(label: str, series: Series, dash: Dash = "solid") -> Curve:
        """The curve of a measured series."""
        return Curve(label, series.norms, series.kinds, dash)

    @staticmethod
    def plain(label: str, norms: Sequence[float], dash: Dash = "solid") -> Curve:
        """The curve of norms that nobody has looked for underflow in."""
        return Curve(label, norms, [kind_of(x) for x in norms], dash)

    def style(self, t: int, scale: Scale) -> EdgeStyle:
        """The look of step t, counted from 0."""
        return scale.look(self.norms[t], self.kinds[t])


def curves_of(flow: Flow) -> list[Curve]:
    """One curve for each part of the state, the one that is made to last first."""
    return [
        Curve.of(f"{flow.heading}  |∂L/∂{s.symbol}ₜ|", s, "solid" if s is flow.main else "dashed")
        for s in flow.ordered
    ]


def scale_of(curves: Sequence[Curve]) -> Scale:
    """One colour scale for everything that is compared."""
    return Scale.of(x for c in curves for x in c.norms)


@dataclass(frozen=True)
class Axis:
    """Decades upwards, and time to the right, in a rectangle of the sheet."""

    left: float
    top: float
    width: float
    height: float
    lo: int
    hi: int
    steps: int

    def x(self, t: float) -> float:
        """Of the middle of step t = 1 … T."""
        return self.left + (t - 0.5) / self.steps * self.width

    def y(self, norm: float) -> float:
        """Of a positive norm, on the axis of decades; what is below stands on the floor."""
        exponent = min(max(math.log10(norm), self.lo), self.hi) if norm > 0.0 else self.lo
        return self.top + (self.hi - exponent) / (self.hi - self.lo) * self.height


def decades(curves: Sequence[Curve]) -> tuple[int, int]:
    """The exponents that an axis needs for all the curves, float64's whole range at most."""
    sound = [math.log10(x) for c in curves for x in c.norms if 0.0 < x < math.inf]
    if not sound:
        return -6, 0
    lo, hi = math.floor(min(sound)), math.ceil(max(sound) + 1e-9)
    return lo - (hi - lo < 3), hi + (hi - lo < 2)


# --- curves --------------------------------------------------------------------------------------


def draw_axis(sheet: Canvas, axis: Axis, title: str, labels: bool) -> None:
    """Frame, decades, time and a title above."""
    span = axis.hi - axis.lo
    every = next(n for n in (1, 2, 4, 5, 10, 20, 50, 100) if span / n <= 9)
    right = axis.left + axis.width
    for exponent in range(axis.lo, axis.hi + 1):
        if exponent % every and exponent != axis.hi:
            continue
        y = axis.top + (axis.hi - exponent) / span * axis.height
        sheet.line([(axis.left, y), (right, y)], FAINT, 0.6)
        if labels and not exponent % every:
            text = "1" if exponent == 0 else f"1e{exponent}"
            sheet.text(axis.left - 5, y, text, align="r", size=9, color=MUTED)
    sheet.text(axis.left, axis.top - 13, title, align="l", size=12, bold=True)


def draw_time(sheet: Canvas, axis: Axis, y: float) -> None:
    """Ticks of t under a panel, and which way the gradient goes."""
    for t in ticks(axis.steps):
        sheet.line([(axis.x(t), y), (axis.x(t), y + 4)], MUTED, 0.8)
        sheet.text(axis.x(t), y + 11, str(t), size=9, color=MUTED)
    middle = axis.left + axis.width / 2
    sheet.text(middle, y + 25, "← the gradient flows back      time step t", size=9, color=MUTED)


def ticks(steps: int) -> list[int]:
    """Steps to write on the time axis: the first, the last, and round ones between.

    >>> ticks(100), ticks(3)
    ([1, 20, 40, 60, 80, 100], [1, 2, 3])
    """
    check_count("steps", steps)
    choices = (n * m for m in (1, 10, 100, 1000, 10**4, 10**5) for n in (1, 2, 5))
    every = next(n for n in choices if n * 6 >= steps)
    inner = [t for t in range(every, steps, every) if t > 1 and steps - t > every / 2]
    return [1, *inner, steps] if steps > 1 else [1]


def draw_curve(sheet: Canvas, axis: Axis, curve: Curve, scale: Scale) -> None:
    """One curve; each stretch of one magnitude has its colour and width."""
    points = list(_extremes(curve))
    places = [(axis.x(t + 1), axis.y(x)) for t, x in points]
    start = 0
    for style, end in _stretches([t for t, _ in points], curve, scale):
        # Neighbours of two looks meet half-way.
        path = [_between(places, start - 1), *places[start:end], _between(places, end - 1)]
        dash = style.dash if style.kind != "normal" else curve.dash
        hint = f"{curve.label}: {_range(points[start:end], style)}"
        sheet.line(path, style.color, min(style.width, 4.0), dash, hint)
        start = end


def _between(places: Sequence[tuple[float, float]], k: int) -> tuple[float, float]:
    """Half-way from one place to the next, or the end of the row."""
    a, b = places[max(k, 0)], places[min(k + 1, len(places) - 1)]
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _extremes(curve: Curve) -> Iterator[tuple[int, float]]:
    """(step, norm) of all steps, or of the least and the largest of each bin of a long curve."""
    steps = len(curve.norms)
    for first, last in bins(steps):
        inside = sorted(range(first, last), key=lambda t: _rank(curve.norms[t]))
        for t in sorted({inside[0], inside[-1]}):
            yield t, curve.norms[t]


def _rank(x: float) -> float:
    return math.inf if x != x else x


def bins(steps: int, most: int = BINS) -> list[tuple[int, int]]:
    """At most 256 stretches of steps (first, one after the last) that cover all of them.

    >>> bins(3), len(bins(1000)), bins(1000)[-1]
    ([(0, 1), (1, 2), (2, 3)], 256, (996, 1000))
    """
    count = min(check_count("steps", steps), check_count("most", most))
    cuts = [steps * k // count for k in range(count + 1)]
    return list(pairwise(cuts))


def _stretches(steps: Sequence[int], curve: Curve, scale: Scale) -> Iterator[tuple[EdgeStyle, int]]:
    """Neighbours of one look together: the look, and the index after the last of them."""
    styles = [curve.style(t, scale) for t in steps]
    for k, style in enumerate(styles, 1):
        if k == len(styles) or styles[k] != style:
            yield style, k


def _range(points: Sequence[tuple[int, float]], style: EdgeStyle) -> str:
    values = [x for _, x in points]
    words = "" if style.kind == "normal" else f", {KIND_WORDS[style.kind]}"
    return (
        f"t={points[0][0] + 1} … {points[-1][0] + 1}, {fmt(values[0])} … {fmt(values[-1])}{words}"
    )


# --- heat strips ---------------------------------------------------------------------------------


def draw_strip(sheet: Canvas, axis: Axis, y: float, curve: Curve, scale: Scale) -> None:
    """A row of colours over time, with the first and the last number at its ends.

    Each bin of a long sequence keeps its largest norm (above) and its least (below).
    """
    halves = [max, min] if len(curve.norms) > BINS else [max]
    height = _STRIP / len(halves)
    for k, pick in enumerate(halves):
        chosen = [
            pick(range(first, last), key=lambda t: _rank(curve.norms[t]))
            for first, last in bins(len(curve.norms))
        ]
        _draw_row(sheet, axis, y + k * height, height, curve, scale, chosen)
    right = axis.left + axis.width
    middle = y + _STRIP / 2
    sheet.text(axis.left - 5, middle, number(curve, 0), align="r", size=9)
    sheet.text(right + 5, middle, number(curve, -1), align="l", size=9)


def _draw_row(
    sheet: Canvas,
    axis: Axis,
    y: float,
    height: float,
    curve: Curve,
    scale: Scale,
    chosen: Sequence[int],
) -> None:
    edges = [*(first for first, _ in bins(len(curve.norms))), len(curve.norms)]
    start = 0
    for style, end in _stretches(chosen, curve, scale):
        left = axis.left + edges[start] / axis.steps * axis.width
        right = axis.left + edges[end] / axis.steps * axis.width
        hint = f"{curve.label}: " + _range([(t, curve.norms[t]) for t in chosen[start:end]], style)
        _draw_piece(sheet, left, right, y, height, style, hint)
        start = end


def _draw_piece(
    sheet: Canvas, left: float, right: float, y: float, height: float, style: EdgeStyle, hint: str
) -> None:
    if style.kind == "normal":
        sheet.box(left, y, right - left, height, style.color, hint)
    else:  # no fill: nothing is there, and the line says what kind of nothing
        middle = y + height / 2
        sheet.line([(left, middle), (right, middle)], style.color, style.width, style.dash, hint)


def number(curve: Curve, t: int) -> str:
    """The norm at a step, in words where there is none."""
    if curve.kinds[t] == "underflow":
        return "underflow"
    return "0" if not curve.norms[t] else f"{curve.norms[t]:.1e}"


# --- legend --------------------------------------------------------------------------------------


def draw_legend(sheet: Canvas, x: float, y: float, scale: Scale, curves: Sequence[Curve]) -> None:
    """The classes of the scale from small to large, and the kinds of nothing that occur."""
    wide = 40.0
    sheet.text(x, y - 9, "Norm of the gradient: colour and width", align="l", size=9, color=MUTED)
    for k in range(scale.classes):
        style = scale.class_style(k)
        sheet.box(x + k * wide, y, wide, 9, style.color)
        sheet.line([(x + k * wide, y + 14), (x + (k + 1) * wide, y + 14)], style.color, style.width)
    for k, edge in enumerate(scale.edges):
        sheet.text(x + k * wide, y + 24, fmt(edge), size=8, color=MUTED)
    place = x + scale.classes * wide + 30
    seen = {c.style(t, scale).kind for c in curves for t in range(len(c.norms))}
    for label, style in legend_rows(scale):
        if style.kind in seen and style.kind != "normal":
            sheet.line([(place, y + 6), (place + 40, y + 6)], style.color, style.width, style.dash)
            sheet.text(place + 46, y + 6, label, align="l", size=9, color=INK)
            place += 70 + 6 * len(label)
