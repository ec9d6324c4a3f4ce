"""A cell and one of its parts at a time, with the equations of that part: ex8 to ex13."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from matplotlib.axes import Axes

import minigrad as mg
from lstm.errors import ConfigError
from lstm.figures.textbook.canvas import cell_given, chart_of, paper_of, themed, width_of, write
from lstm.figures.textbook.module import BEFORE, NOW, Highlight, Module
from lstm.figures.textbook.parts import Parts
from minigrad.drawing.charts import Chart, Theme

_AIR = 0.5  # beside equations


@themed
def forget_gate(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """What decides how much of the line a step keeps, lit in the whole cell, with its equation.

    cell: a cell, its class, or a step function; an LSTM unless given. ax: axes to draw on; a figure
    of its own unless given. theme: "light", "dark", or "auto", which is light, and as svg follows
    the reader's colour scheme. So for all figures here. Raises ConfigError for a cell without a
    line or without such a part.

    >>> forget_gate().description
    'LSTM: what a step keeps\\nfₜ = sigmoid(concat(hₜ₋₁, xₜ, axis=1) @ W_f + b_f)'
    """
    return _part(cell, ax, theme, "forget gate", "what a step keeps", lambda p: p.forgetting)


def _part(
    cell: Any,
    ax: Axes | None,
    theme: Theme,
    shown: str,
    title: str,
    boxes_of: Callable[[Parts], list[str]],
) -> Chart:
    module = Module(cell_given(cell))
    boxes = boxes_of(Parts(module.cell, module.wiring, shown))
    if not boxes:
        raise ConfigError(f"cell {module.cell.name} has no {shown}")
    return cell_figure(module, boxes, boxes, title, ax, theme)


def cell_figure(
    module: Module,
    highlight: Highlight | None,
    written: Iterable[str],
    title: str,
    ax: Axes | None,
    theme: Theme,
) -> Chart:
    """A cell, what is lit of it, and beside it the equations of those symbols."""
    formulas = module.cell.formulas(BEFORE, NOW)
    shown = [s for s in written if s in formulas]
    lines = {s: f"${mg.var(s + NOW).latex()} = {formulas[s].latex()}$" for s in shown}
    left, bottom, right, top = module.box
    wide = max(map(width_of, lines.values()), default=-2 * _AIR)
    paper = paper_of((left, bottom, right + wide + 2 * _AIR, top), ax, theme)
    module.draw(paper, highlight=highlight)
    write(paper, [*lines.values()], right + _AIR, module.high / 2)
    told = [f"{s}{NOW} = {formulas[s]}" for s in lines]
    return chart_of(paper, f"{module.cell.heading}: {title}", told, theme)
