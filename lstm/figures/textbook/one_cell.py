"""A cell, and one of its parts at a time with the equations of that part: ex8 to ex13."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes

import minigrad as mg
from lstm.cells import GRU, CoupledLSTM, PeepholeLSTM
from lstm.errors import ConfigError
from lstm.figures.textbook.canvas import (
    LEADING,
    cell_given,
    chart_of,
    paper_of,
    themed,
    width_of,
    write,
)
from lstm.figures.textbook.module import BEFORE, NOW, Highlight, Module
from lstm.figures.textbook.notation import WORDS
from lstm.figures.textbook.parts import Parts
from minigrad.drawing.charts import Chart, Theme

_AIR = 0.5  # beside equations, in units


@themed
def whole_cell(
    cell: Any = None,
    ax: Axes | None = None,
    *,
    highlight: Highlight | None = None,
    theme: Theme = "auto",
) -> Chart:
    """A cell, open, with all its equations.

    cell: a cell, its class, or a step function; an LSTM unless given. ax: axes to draw on; a figure
    of its own, as large as fits a slide, unless given. theme: "light", "dark", or "auto", which is
    light, and as svg follows the reader's colour scheme. So for all figures here.
    highlight: boxes that are drawn in full, with the wires into them and out of them, and pairs
    (from, to) for single wires, where all else is faint. A box is called by the symbol of its
    value, or by its way down from one: "C.0" is the first argument of C; the ends are "h_before",
    "x", "h_after", "out". Raises ConfigError for a name that is not there.

    >>> print(whole_cell("rnn").description)
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: cell= takes a cell, such as lstm.GRU(2, 3), its class or a step \
function, not 'rnn'
    """
    module = Module(cell_given(cell))
    return cell_figure(module, highlight, module.symbols, "a step", ax, theme)


@themed
def cell_line(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """The line alone (ex8): the part of the state that lasts, and the ops that it passes.

    Arguments as in `whole_cell`. Raises ConfigError for a cell without a line, so for all of what
    follows; of other parts, where the cell has none.

    >>> cell_line().title
    'LSTM: the line of C'
    """
    module = Module(cell_given(cell))
    parts = Parts(module.cell, module.wiring, "line")
    wires = list(zip(parts.line, parts.line[1:], strict=False))
    return cell_figure(module, wires, [], f"the line of {parts.symbol}", ax, theme)


@themed
def forget_gate(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """What decides how much of the line a step keeps (ex10), with its equation.

    >>> print(forget_gate().description)
    LSTM: what a step keeps
    fₜ = sigmoid(concat(hₜ₋₁, xₜ, axis=1) @ W_f + b_f)
    """
    return _part(cell, ax, theme, "forget gate", "what a step keeps", lambda p: p.forgetting)


@themed
def input_gate(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """What decides what a step adds to the line (ex11): the gate and the candidate."""
    return _part(cell, ax, theme, "input gate", "what a step adds", lambda p: p.writing)


@themed
def cell_update(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """How the line goes from one step to the next (ex12)."""
    return _part(cell, ax, theme, "line", "how the line is updated", lambda p: p.updating)


@themed
def output_gate(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """What of the line leaves the cell (ex13): the output gate, and h."""
    return _part(cell, ax, theme, "output gate", "what a step shows", lambda p: p.showing)


def _part(
    cell: Any,
    ax: Axes | None,
    theme: Theme,
    name: str,
    title: str,
    boxes_of: Callable[[Parts], list[str]],
) -> Chart:
    module = Module(cell_given(cell))
    boxes = boxes_of(Parts(module.cell, module.wiring, name))
    if not boxes:
        raise ConfigError(f"cell {module.cell.name} has no {name}")
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
    equations, told = equations_of(module, written)
    left, bottom, right, top = module.box
    wide = max(map(width_of, equations), default=-2 * _AIR)
    paper = paper_of((left, bottom, right + wide + 2 * _AIR, top), ax, theme)
    module.draw(paper, highlight=highlight)
    write(paper, equations, right + _AIR, module.high / 2)
    return chart_of(paper, f"{module.cell.heading}: {title}", told, theme)


def equations_of(module: Module, written: Iterable[str]) -> tuple[list[str], list[str]]:
    """The equations of symbols as mathematics and as text; of other names none."""
    formulas = module.cell.formulas(BEFORE, NOW)
    shown = [s for s in module.symbols if s in {*written}]
    return (
        [f"${mg.var(s + NOW).latex()} = {formulas[s].latex()}$" for s in shown],
        [f"{s}{NOW} = {formulas[s]}" for s in shown],
    )


@themed
def variants(
    cells: Sequence[Any] = (PeepholeLSTM, CoupledLSTM, GRU),
    ax: Axes | None = None,
    *,
    theme: Theme = "auto",
) -> Chart:
    """Cells side by side, each with its equations below: the LSTM's kin, unless others are given.

    >>> variants().title
    'LSTM with peepholes, LSTM with i = 1 − f, GRU'
    """
    modules = [Module(cell_given(cell)) for cell in cells]
    if not modules:
        raise ConfigError("cells= takes one or more cells to be drawn side by side")
    texts = [equations_of(module, module.symbols) for module in modules]
    lines = max(len(equations) for equations, _ in texts)
    boxes = [module.box for module in modules]
    heading = 1.6 * WORDS + _AIR
    low = min(box[1] for box in boxes) - lines * LEADING - _AIR
    high = max(box[3] for box in boxes) + heading
    widths = [
        max(box[2] - box[0], *(width_of(line) + 2 * _AIR for line in equations))
        for box, (equations, _) in zip(boxes, texts, strict=True)
    ]
    paper = paper_of((0.0, low, sum(widths), high), ax, theme)
    left = 0.0
    for module, (equations, _), box, wide in zip(modules, texts, boxes, widths, strict=True):
        start = left - box[0] + (wide - box[2] + box[0]) / 2
        module.draw(paper, left=start)
        middle = start + module.width / 2
        paper.words((middle, high - heading / 2), module.cell.heading, size=1.2 * WORDS)
        bottom = min(box[1] for box in boxes)
        write(paper, equations, left + _AIR, bottom - _AIR / 2 - len(equations) / 2 * LEADING)
        left += wide
    told = [line for (_, lines_of) in texts for line in lines_of]
    title = ", ".join(module.cell.heading for module in modules)
    return chart_of(paper, title, told, theme)
