"""A cell, and one of its parts at a time with the equations of that part: ex8 to ex13."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from matplotlib.axes import Axes

from lstm.cells import GRU, CoupledLSTM, PeepholeLSTM
from lstm.errors import ConfigError
from lstm.figures.textbook.canvas import (
    cell_given,
    chart_of,
    height_of,
    paper_of,
    themed,
    width_of,
    write,
)
from lstm.figures.textbook.lit import Highlight
from lstm.figures.textbook.live import Shown
from lstm.figures.textbook.module import Module
from lstm.figures.textbook.notation import WORDS
from lstm.figures.textbook.with_equations import AIR, equations_of, part_figure, shown_cell
from minigrad.drawing.charts import Chart, Theme


@themed
def whole_cell(
    cell: Any = None,
    ax: Axes | None = None,
    *,
    highlight: Highlight | None = None,
    theme: Theme = "auto",
    **shown: Unpack[Shown],
) -> Chart:
    """A cell, open, with all its equations.

    cell: a cell, its class, or a step function; an LSTM unless given. ax: axes to draw on; a figure
    of its own, as large as fits a slide, unless given. theme: "light", "dark", or "auto", which is
    light, and as svg follows the reader's colour scheme. So for all figures here.
    highlight: boxes that are drawn in full, with the wires into them and out of them, and pairs
    (from, to) for single wires, where all else is faint. A box is called by the symbol of its
    value, or by its way down from one: "C.0" is the first argument of C; the ends are "h_before",
    "x", "h_after", "out".

    model, xs, t: a trained model whose numbers are shown, in the place of a cell, a batch that it
    reads, (T, B, …), of which the first sequence is taken, and the step, counted from 1, the last
    unless given. What has up to four elements shows them, else ‖norm‖.
    grad, ys, loss, scale: with grad=True colour, width and dash of each wire are the norm of what
    it sends back of the gradient of the loss, with targets ys and a loss as in `lstm.flow`, on a
    scale that figures may share; where wires of one vector lie on one another, the widest is seen.

    Raises ConfigError for names that are not there and for numbers that do not fit the model.

    >>> import lstm, numpy as np
    >>> model = lstm.Model.create(lstm.RNN(1, 2), output_size=1, seed=0)
    >>> print(whole_cell(model=model, xs=np.ones((3, 1, 1)), t=1).description)
    RNN: step t = 1
    hₜ = tanh(concat(hₜ₋₁, xₜ, axis=1) @ W_h + b_h) = [0.42, 0.53]
    """
    return shown_cell(cell, ax, theme, shown, "a step", highlight)


@themed
def cell_line(
    cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto", **shown: Unpack[Shown]
) -> Chart:
    """The line alone (ex8): the part of the state that lasts, and the ops that it passes.

    Arguments as in `whole_cell`. Raises ConfigError for a cell without a line, so for all of what
    follows; of other parts, where the cell has none.

    >>> cell_line().title
    'LSTM: the line of C'
    """
    return part_figure(cell, ax, theme, shown, "line", "the line of {line}", lambda p: p.wires)


@themed
def forget_gate(
    cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto", **shown: Unpack[Shown]
) -> Chart:
    """What decides how much of the line a step keeps (ex10), with its equation.

    >>> print(forget_gate().description)
    LSTM: what a step keeps
    fₜ = sigmoid(concat(hₜ₋₁, xₜ, axis=1) @ W_f + b_f)
    """
    return part_figure(
        cell, ax, theme, shown, "forget gate", "what a step keeps", lambda p: p.forgetting
    )


@themed
def input_gate(
    cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto", **shown: Unpack[Shown]
) -> Chart:
    """What decides what a step adds to the line (ex11): the gate and the candidate."""
    return part_figure(
        cell, ax, theme, shown, "input gate", "what a step adds", lambda p: p.writing
    )


@themed
def cell_update(
    cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto", **shown: Unpack[Shown]
) -> Chart:
    """How the line goes from one step to the next (ex12)."""
    return part_figure(
        cell, ax, theme, shown, "line", "how {line} is updated", lambda p: p.updating
    )


@themed
def output_gate(
    cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto", **shown: Unpack[Shown]
) -> Chart:
    """What of the line leaves the cell (ex13): the output gate, and h."""
    return part_figure(
        cell, ax, theme, shown, "output gate", "what a step shows", lambda p: p.showing
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
    if not isinstance(cells, Sequence) or isinstance(cells, str) or not cells:
        raise ConfigError(
            f"cells= takes a list of one or more cells to be drawn side by side, not {cells!r:.60}"
        )
    modules = [Module(cell_given(cell)) for cell in cells]
    written = [equations_of(module) for module in modules]
    texts = [[line for e in equations for line in e.shown] for equations in written]
    written_high = max(map(height_of, texts))
    boxes = [module.box for module in modules]
    heading = 1.6 * WORDS + AIR
    low = min(box[1] for box in boxes) - written_high - AIR
    high = max(box[3] for box in boxes) + heading
    widths = [
        max(box[2] - box[0] + 0.75 * AIR, *(width_of(line) + 2 * AIR for line in equations))
        for box, equations in zip(boxes, texts, strict=True)
    ]
    paper = paper_of((0.0, low, sum(widths), high), ax, theme)
    left = 0.0
    for module, equations, box, wide in zip(modules, texts, boxes, widths, strict=True):
        start = left - box[0] + (wide - box[2] + box[0]) / 2
        module.draw(paper, left=start)
        middle = start + module.width / 2
        paper.words((middle, high - heading / 2), module.cell.heading, size=1.2 * WORDS)
        bottom = min(box[1] for box in boxes)
        write(paper, equations, left + AIR, bottom - AIR / 2 - height_of(equations) / 2)
        left += wide
    told = [e.told for equations in written for e in equations]
    title = ", ".join(module.cell.heading for module in modules)
    return chart_of(paper, title, told, theme)
