"""Cells in a row, closed or open, and a cell rolled up: ex1, ex2, ex5 and ex6."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from lstm.figures.textbook.canvas import cell_given, chart_of, paper_of, themed
from lstm.figures.textbook.module import LOW, STUB, Module, tex
from lstm.figures.textbook.notation import END, ROW, Paper
from minigrad.drawing.charts import Chart, Theme

CLOSED = 2.6
"""The width of a cell that is closed."""
NAME = "A"
"""What the textbook calls a cell whose inside is not shown."""
OUTSIDE = STUB + 2 * END + 0.1


def closed(paper: Paper, module: Module, left: float, time: str) -> None:
    """A closed cell between others, what it reads below, what it gives above, and the state that it
    hands on to the right."""
    low, high, middle = LOW, module.high, left + CLOSED / 2
    paper.cell((left, low, left + CLOSED, high), NAME)
    cell = module.cell
    below = [(middle, low - STUB), (middle, low)]
    above = [(middle, high), (middle, high + STUB)]
    paper.wire(below, arrow=0.0, label=f"x{time} → {NAME}")
    paper.wire(above, arrow=0.0, label=f"{NAME} → {cell.output}{time}")
    paper.end((middle, low - STUB - END), tex(f"x{time}"), "reads")
    paper.end((middle, high + STUB + END), tex(f"{cell.output}{time}"), "gives")


def hand_on(paper: Paper, module: Module, left: float, length: float = STUB) -> None:
    """The parts of the state on their way from one cell to the next."""
    for part in module.cell.state_type._fields:
        y = module.plan.at[f"{part}_after"][1] * ROW
        way = [(left, y), (left + length, y)]
        paper.wire(way, arrow=0.0, label=f"{part} → {part}")


@themed
def repeating_module(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """Three cells in a row, the middle one open: what a step computes, and what it hands on.

    Arguments as in `forget_gate`; an LSTM unless given (ex6), and `lstm.RNN` is ex5.

    >>> repeating_module().title
    'LSTM: the repeating module'
    """
    module = Module(cell_given(cell))
    left, right = -STUB - CLOSED, module.width + STUB
    box = (left - STUB, LOW - OUTSIDE, right + CLOSED + STUB, module.high + OUTSIDE)
    paper = paper_of(box, ax, theme)
    hand_on(paper, module, left - STUB)
    closed(paper, module, left, "ₜ₋₁")
    module.draw(paper, in_row=True)
    closed(paper, module, right, "ₜ₊₁")
    hand_on(paper, module, right + CLOSED)
    told = [f"{s} = {formula}" for s, formula in module.cell.formulas("ₜ₋₁", "ₜ").items()]
    return chart_of(paper, f"{module.cell.heading}: the repeating module", told, theme)
