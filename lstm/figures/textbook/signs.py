"""The notation itself: its signs with what they mean (ex7), and a gate (ex9)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes

from lstm.cells import Gate
from lstm.cells.anatomy import anatomy
from lstm.figures.textbook.canvas import cell_given, chart_of, paper_of, themed
from lstm.figures.textbook.module import NOW, Module, tex
from lstm.figures.textbook.notation import LAYER, OP, Paper
from lstm.figures.textbook.parts import Parts
from lstm.figures.textbook.wiring import Wiring
from minigrad.drawing.charts import Chart, Theme

_WIDE = 3.4  # of a sign with its words
_STEP = 2.2  # from a gate's layer to the op on the line, or to what is between
MEANINGS = (
    "layer with\nweights",
    "pointwise\noperation",
    "vector on\nits way",
    "vectors\njoined",
    "vector\ncopied",
)


@themed
def legend(ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """What the signs of all these figures mean (ex7). Arguments as in `whole_cell`.

    >>> legend().description.splitlines()[1]
    'layer with weights, pointwise operation, vector on its way, vectors joined, vector copied'
    """
    paper = paper_of((0.0, -2.2, 5 * _WIDE, 1.0), ax, theme)
    middles = [(k + 0.5) * _WIDE for k in range(5)]
    paper.layer((middles[0], 0.0), "", label="layer")
    paper.pointwise((middles[1], 0.0), "", label="pointwise")
    x = middles[2] - 0.8
    paper.wire([(x, 0.0), (x + 1.6, 0.0)], arrow=0.0, label="vector")
    x = middles[3] - 0.8
    for k, y in enumerate((0.55, -0.55)):
        way = [(x, y), (x + 0.8, y), (x + 0.8, 0.0), (x + 1.6, 0.0)]
        paper.wire(way, arrow=0.0, label=f"joined {k}")
    x = middles[4] - 0.8
    for k, y in enumerate((0.55, -0.55)):
        way = [(x, 0.0), (x + 0.8, 0.0), (x + 0.8, y), (x + 1.6, y)]
        paper.wire(way, arrow=0.0, label=f"copied {k}")
    for x, words in zip(middles, MEANINGS, strict=True):
        paper.words((x, -0.9), words, va="top")
    told = ", ".join(words.replace("\n", " ") for words in MEANINGS)
    return chart_of(paper, "What the signs mean", [told], theme)


@themed
def gate(cell: Any = None, ax: Axes | None = None, *, theme: Theme = "auto") -> Chart:
    """A gate (ex9): a layer whose values, between 0 and 1, say how much of the line goes on.

    Arguments as in `whole_cell`; the gate is the one that the line of the cell meets first. Raises
    ConfigError for a cell without a gated line.

    >>> gate().title
    'LSTM: forget gate'
    """
    module = Module(cell_given(cell))
    parts = Parts(module.cell, module.wiring, "gate")
    way = parts.gate()
    layer = module.wiring.symbols.get(way[0], way[0])
    paper = paper_of((-3.6, -1.8, 2.6, _STEP * (len(way) - 1) + 0.5), ax, theme)
    _draw_gate(paper, module.wiring, way)
    said = anatomy(module.cell).gates.get(layer, Gate(layer))
    told = [f"1 {said.one}, 0 {said.zero}"] if said.one and said.zero else []
    return chart_of(paper, f"{module.cell.heading}: {said.name or layer}", told, theme)


def _draw_gate(paper: Paper, wiring: Wiring, way: Sequence[str]) -> None:
    """A gate from its layer up to the op on the line."""
    heights = [k * _STEP for k in range(len(way))]
    top = heights[-1]
    paper.wire([(-2.2, top), (0.0, top)], arrow=OP, label="line in")
    paper.wire([(0.0, top), (2.2, top)], arrow=0.0, label="line out")
    paper.wire([(0.0, -1.5), (0.0, 0.0)], arrow=LAYER[1] / 2, label="in")
    for (low, a), (high, b) in pairwise(zip(heights, way, strict=True)):
        paper.wire([(0.0, low), (0.0, high)], arrow=OP, label=f"{a} → {b}")
        if a in wiring.symbols:
            paper.words((0.15, (low + high) / 2), tex(wiring.symbols[a] + NOW), ha="left")
    for y, name in zip(heights, way, strict=True):
        box = wiring.boxes[name]
        draw = paper.layer if box.kind == "layer" else paper.pointwise
        draw((0.0, y), box.words, label=f"{box.kind} {name}")
    paper.words((-2.3, top), tex(f"{wiring.lasting}ₜ₋₁"), ha="right")
