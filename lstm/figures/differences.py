"""One flow less another: decades by step as bars and by unit as a map, on a scale of its own."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes

from lstm.errors import ConfigError
from lstm.figures.flow import ALONE, EDGE, head_height, headed
from lstm.figures.plots import units_of
from lstm.gradient_flow import Difference
from lstm.gradient_flow.steps import Floats
from minigrad.drawing import Ratios, Scale, charts
from minigrad.drawing.charts import Chart, Key, Theme
from minigrad.drawing.escape import plain

_NO_NUMBER = "A line says what one of the two is where it is no number."
_LEFT, _BARS, _UNITS = 56.0, 150.0, 170.0  # beside the charts; heights of the two
_TITLE, _AXIS, _LINE, _LETTER = 30.0, 46.0, 15.0, 5.6


def plot_difference(
    difference: Difference,
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    legend: bool = True,
) -> Axes:
    """By how many powers of ten one flow holds more of the gradient than the other, by step.

    ax, legend: as in `plot_norms`. scale: of the colours; that of all of this difference unless
    given. Raises ConfigError for what is no difference, as of `lstm.compare(a, b).difference()`.
    """
    if not isinstance(difference, Difference):
        raise ConfigError(
            "plot_difference takes a difference, what lstm.compare(a, b).difference() gives, not "
            f"{type(difference).__name__:.40}"
        )
    locked = scale or difference_scale(difference)
    names, parts = difference.names, (difference.first.main, difference.second.main)
    told = [f"|∂L/∂{p.symbol}ₜ| of {name}" for p, name in zip(parts, names, strict=True)]
    title = " less ".join(told)
    return charts.difference(
        difference.decades, ax, names=names, scale=locked, title=title, legend=legend
    )


def difference_scale(difference: Difference) -> Ratios:
    """The one scale of all that is drawn of it, two-sided, in whole decades."""
    units = () if difference.by_unit is None else difference.by_unit.ravel().tolist()
    decades = np.array([*difference.decades.tolist(), *units])
    return Ratios.between(_ratios(decades).tolist())


def _ratios(decades: Floats) -> charts.Floats:
    """10 to the power of them, as near as a float can be; what is not finite stays so."""
    with np.errstate(over="ignore", under="ignore"):
        near = np.where(np.isfinite(decades), np.clip(decades, -300.0, 300.0), decades)
        ratios: charts.Floats = np.power(10.0, near)
    return ratios


def _unit_kinds(difference: Difference, ratios: charts.Floats) -> list[charts.Curve]:
    """The ratios of each unit, with what one of the two is where it is no number."""
    flows = difference.first, difference.second
    both = [units_of(flow, flow.main.symbol)[1] for flow in flows]
    return [
        charts.Curve("unit", row, np.where(a == "normal", b, a))
        for row, a, b in zip(ratios, *both, strict=True)
    ]


def draw_difference(
    difference: Difference, *, theme: Theme = "auto", width: float = ALONE
) -> Chart:
    """The difference by step, by unit beneath it where both have as many, and what it says.

    theme, width: as in `compare_flows`.
    """
    locked, units = difference_scale(difference), difference.by_unit
    head = "Where {} holds more of the gradient than {}, and where less".format(*difference.names)
    caption = charts.difference_caption(*map(plain, difference.names))
    within, wide = width - 2 * EDGE, width - _LEFT - 3 * EDGE
    ratios = None if units is None else _ratios(units.T)
    curves = [] if ratios is None else _unit_kinds(difference, ratios)
    kinds = charts.kinds_in(curves, locked) | charts.difference_kinds(difference.decades, locked)
    key = Key(locked, kinds, caption, (_NO_NUMBER,) if kinds - {"normal", "even"} else ())
    told = [*difference.sentences, *filter(None, [difference.without_units])]
    lines = [part for said in told for part in wrap(plain(said), int(within / _LETTER))]
    top = head_height(head, width) + _TITLE
    bars = top + _BARS + _AXIS
    below = bars if ratios is None else bars + _TITLE + _UNITS + _AXIS
    words = below + key.height(within) + 8
    with charts.drawn_in(theme):
        sheet = headed(head, width, words + _LINE * len(lines) + EDGE)
        ax = sheet.axes(_LEFT, top, wide, _BARS)
        plot_difference(difference, ax, scale=locked, legend=False)
        if ratios is not None:
            ax = sheet.axes(_LEFT, bars + _TITLE, wide, _UNITS)
            known, title = np.stack([c.kinds for c in curves]), "The same of each unit"
            charts.heat_map(ratios, ax, kinds=known, scale=locked, title=title, legend=False)
        key.draw(sheet.axes(EDGE, below, within, key.height(within)), within)
        for k, line in enumerate(lines):
            sheet.text(EDGE, words + k * _LINE, line, fontsize=9.5)
    description = "\n".join([head, *told])
    return Chart(sheet.figure, title=head, description=description, theme=theme)
