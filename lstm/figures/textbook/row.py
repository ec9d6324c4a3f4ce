"""Cells in a row, closed or open, and a cell rolled up: ex1, ex2, ex5 and ex6.

`closed` and `hand_on` draw a row of any length.
"""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from lstm.cells import RNN
from lstm.errors import ConfigError, check_count
from lstm.figures.textbook.canvas import cell_given, chart_of, paper_of, themed
from lstm.figures.textbook.module import STUB, Module, tex
from lstm.figures.textbook.notation import END, WORDS, Paper
from lstm.figures.textbook.wiring import AFTER
from lstm.layers import subscript
from minigrad.drawing.charts import Chart, Theme

CLOSED = 2.6
"""The width of a cell that is closed."""
NAME = "A"
"""What the textbook calls a cell whose inside is not shown."""
OUTSIDE = STUB + 2 * END + 0.1
"""What stands above and below a closed cell."""
_MARGIN, _LOOP, _EQUALS, _REST = 0.3, 0.9, 1.6, 1.8


def closed(paper: Paper, module: Module, left: float, time: str) -> None:
    """A closed cell between others, what it reads below, what it gives above, and the state that it
    hands on to the right."""
    low, high, middle = module.low, module.high, left + CLOSED / 2
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
    for part, y in heights(module).items():
        way = [(left, y), (left + length, y)]
        paper.wire(way, arrow=0.0, label=f"{part} → {part}")


def heights(module: Module) -> dict[str, float]:
    """How high each part of the state runs from cell to cell."""
    at, parts = module.plan.at, module.cell.state_type._fields
    return {part: module.place(at[f"{part}{AFTER}"])[1] for part in parts}


@themed
def repeating_module(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """Three cells in a row, the middle one open: what a step computes, and what it hands on.

    Arguments as in `forget_gate`; an LSTM unless given (ex6), and `lstm.RNN` is ex5.

    >>> repeating_module().title
    'LSTM: the repeating module'
    """
    module = Module(cell_given(cell))
    left, right = -STUB - CLOSED, module.width + STUB
    box = (left - STUB, module.low - OUTSIDE, right + CLOSED + STUB, module.high + OUTSIDE)
    paper = paper_of(box, ax, theme)
    hand_on(paper, module, left - STUB)
    closed(paper, module, left, "ₜ₋₁")
    module.draw(paper, in_row=True)
    closed(paper, module, right, "ₜ₊₁")
    hand_on(paper, module, right + CLOSED)
    told = [f"{s} = {formula}" for s, formula in module.cell.formulas("ₜ₋₁", "ₜ").items()]
    return chart_of(paper, f"{module.cell.heading}: the repeating module", told, theme)


@themed
def rolled(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """A recurrent net as a loop (ex1): a cell that reads x, gives h, and hands its state to itself.

    Arguments as in `whole_cell`; an RNN unless given.

    >>> rolled().title
    'RNN, rolled up'
    """
    module = Module(cell_given(cell, RNN))
    box = (-_MARGIN, module.low - OUTSIDE, CLOSED + _LOOP + _MARGIN, module.high + OUTSIDE)
    paper = paper_of(box, ax, theme)
    _loop(paper, module, 0.0)
    told = f"{NAME} reads xₜ, gives {module.cell.output}ₜ, and hands on {_state(module)}"
    return chart_of(paper, f"{module.cell.heading}, rolled up", [told], theme)


@themed
def unrolled(
    cell: Any = None, ax: Axes | None = None, *, steps: int = 4, theme: Theme = "auto"
) -> Chart:
    """The loop written out (ex2): the same cell once a step, each handing its state to the next.

    steps: how many cells are drawn, the last of them as the step T. Other arguments as in `rolled`.
    Raises ConfigError for fewer than two.

    >>> unrolled(steps=3).description
    'RNN, rolled up and written out\\nA is the same cell at each step: t = 1, 2, …, T'
    """
    module = Module(cell_given(cell, RNN))
    if check_count("steps", steps) < 2:
        raise ConfigError("steps= must be at least 2: one cell is what `rolled` draws")
    start = CLOSED + _LOOP + _EQUALS
    each = CLOSED + STUB
    right = start + steps * each - STUB + _REST
    paper = paper_of(
        (-_MARGIN, module.low - OUTSIDE, right + _MARGIN, module.high + OUTSIDE), ax, theme
    )
    _loop(paper, module, 0.0)
    middle = (module.low + module.high) / 2
    paper.words((start - _EQUALS / 2, middle), "=", size=2.5 * WORDS)
    for k in range(steps):
        is_last = k == steps - 1
        left = start + k * each + _REST * is_last
        closed(paper, module, left, "_T" if is_last else subscript("", k + 1))
        if not is_last:
            hand_on(paper, module, left + CLOSED, STUB if k < steps - 2 else STUB / 2 + _REST / 4)
    gap = start + (steps - 1) * each - STUB
    paper.words((gap + (STUB + _REST) / 2, middle), "…", size=2.5 * WORDS)
    hand_on(paper, module, gap + (STUB + _REST) * 0.75, (STUB + _REST) / 4)
    times = ", ".join(map(str, range(1, steps)))
    told = f"{NAME} is the same cell at each step: t = {times}, …, T"
    heading = f"{module.cell.heading}, rolled up and written out"
    return chart_of(paper, heading, [told], theme)


def _state(module: Module) -> str:
    return ", ".join(f"{part}ₜ" for part in module.cell.state_type._fields)


def _loop(paper: Paper, module: Module, left: float) -> None:
    """A closed cell whose state comes back to it."""
    closed(paper, module, left, "ₜ")
    right, middle = left + CLOSED, (module.low + module.high) / 2
    out, back = middle - _LOOP * 0.6, middle + _LOOP * 0.6
    far = right + _LOOP
    parts = ", ".join(module.cell.state_type._fields)
    way = [(right, out), (far, out), (far, back), (right, back)]
    paper.wire(way, arrow=0.0, label=f"{parts} → {parts}")
