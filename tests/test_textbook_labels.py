"""Words in the textbook's figures stand on nothing: no text meets another, a wire, or a box that it
is not written in; as they are drawn, for any cell, with numbers and without."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import own_cells
import pytest
from matplotlib.patches import Polygon
from test_textbook import Tangled
from test_textbook_lit import late, misnamed, named, ugrnn

import lstm
import minigrad as mg
from lstm.cells import CELLS, Cell
from lstm.figures.textbook.labels import Choice, Label, placed
from lstm.figures.textbook.lit import Lit
from lstm.figures.textbook.module import Module
from lstm.figures.textbook.with_equations import cell_figure, in_rows
from minigrad.drawing.palette import LIGHT

OWN = [ugrnn, late, named, misnamed, own_cells.Blend, own_cells.Original, own_cells.TwoLines]
KINDS = [*CELLS.values(), *OWN]


def met(figure: Any) -> Iterator[tuple[str, str]]:
    """Each text of a figure with what it lies on, or leaves."""
    ax = figure.figure.axes[0]
    units = ax.transData.inverted()

    def rect(artist: Any) -> Any:
        return units.transform_bbox(artist.get_window_extent())

    texts = [(t.get_text(), rect(t)) for t in ax.texts if t.get_text()]
    solid, wires = [], []
    for patch in ax.patches:
        label = str(patch.get_label())
        if " → " in label:
            wires.append((label, patch.get_path().vertices))
        elif label.startswith(("layer", "pointwise", "reads", "gives")):
            solid.append((label, rect(patch)))
    free = []
    for words, box in texts:
        middle = (box.min + box.max) / 2
        inside = [(label, node) for label, node in solid if node.contains(*middle)]
        free += [(words, box)] * (not inside)
        for label, node in inside:  # written in it
            if box.x0 < node.x0 or node.x1 < box.x1:
                yield words, f"the edge of {label}"
    for k, (words, box) in enumerate(free):
        yield from ((words, other) for other, beside in free[:k] if box.overlaps(beside))
        yield from ((words, label) for label, node in solid if box.overlaps(node))
        for label, corners in wires:
            if any(_crosses(box, p, q) for p, q in pairwise(corners)):
                yield words, label


def _crosses(box: Any, p: Any, q: Any) -> bool:
    (left, bottom), (right, top) = np.minimum(p, q) - 0.03, np.maximum(p, q) + 0.03
    return bool(left < box.x1 and box.x0 < right and bottom < box.y1 and box.y0 < top)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, Tangled])
def test_symbols_lie_on_nothing(kind: type[Cell[Any]]) -> None:
    module = Module(kind(2, 3))
    lit = Lit.of(module.wiring, [*module.wiring.boxes])
    figure = cell_figure(module, lit, [], "symbols", None, "light")
    assert [*met(figure)] == []


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["forget_gate", "input_gate", "cell_update", "output_gate"])
@pytest.mark.parametrize("kind", [lstm.LSTM, lstm.PeepholeLSTM, lstm.CoupledLSTM])
def test_equations_and_symbols_of_parts_lie_on_nothing(draw: str, kind: Any) -> None:
    figure = getattr(lstm.figures, draw)(kind)
    assert [*met(figure)] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_lie_on_nothing_the_longest_neither(kind: type[Cell[Any]]) -> None:
    cell = kind(2, 3)
    words = in_rows(np.array([-2e-3, -0.25, -0.25, -2e-3]))
    module = Module(cell, dict.fromkeys(Module(cell).wiring.boxes, words))
    figure = cell_figure(module, None, [], "numbers", None, "light")
    assert [*met(figure)] == []
    boxes = module.wiring.boxes.values()
    count = sum(box.kind in ("layer", "pointwise", "before", "input") for box in boxes)
    assert [t.get_text() for t in figure.figure.axes[0].texts].count(words) == count


def test_a_place_that_suits_one_is_left_to_who_has_no_other() -> None:
    low, high = (Label((0.0, y, 1.0, y + 1.0), "left") for y in (0.0, 2.0))
    either, one = [Choice(0.0, low), Choice(1.0, high)], [Choice(5.0, low)]
    assert placed({"either": either, "one": one}, []) == {"either": high, "one": low}
    assert placed({"one": one, "two": one}, []) is None
    assert placed({"either": either}, [(0.9, 0.9, 2.0, 1.5)]) == {"either": high}


def test_the_symbol_of_a_value_that_is_read_stands_in_the_figure_of_what_reads_it() -> None:
    """Each symbol on the right of an equation shown is seen, i of i = 1 − f and C too."""
    for draw, kind, symbols in (
        ("cell_update", lstm.CoupledLSTM, ["$C_{t-1}$", "$C_{t}$", "f", "i", "C̃"]),
        ("output_gate", lstm.PeepholeLSTM, ["$C_{t}$", "o"]),
        ("cell_update", ugrnn, ["g", "c"]),
    ):
        figure = getattr(lstm.figures, draw)(kind)
        shown = [t.get_text() for t in figure.figure.axes[0].texts if t.get_color() == LIGHT["ink"]]
        for symbol in symbols:
            assert (symbol if "$" in symbol else f"${mg.var(symbol + 'ₜ').latex()}$") in shown


@pytest.mark.parametrize("kind", [lstm.PeepholeLSTM, lstm.CoupledLSTM])
def test_arrows_that_lead_into_boxes_from_beside_are_seen(kind: type[Cell[Any]]) -> None:
    """Each head ends at the edge of what it leads to, outside of it."""
    module = Module(kind(2, 3))
    ax = cell_figure(module, None, [], "arrows", None, "light").figure.axes[0]
    tips = [p.get_xy()[0] for p in ax.patches if isinstance(p, Polygon)]
    boxes = [p for p in ax.patches if str(p.get_label()).startswith(("layer", "pointwise"))]
    units = ax.transData.inverted()
    rects = [units.transform_bbox(p.get_window_extent()) for p in boxes]
    beside = [
        tip
        for tip in tips
        for r in rects
        if r.y0 + 0.1 < tip[1] < r.y1 - 0.1 and r.x0 - 0.02 < tip[0] < r.x1 + 0.02
    ]
    assert len(beside) >= 3
    assert not any(
        r.x0 + 0.02 < x < r.x1 - 0.02 for x, y in beside for r in rects if r.y0 < y < r.y1
    )


@pytest.mark.parametrize("draw", ["variants", "legend", "rolled", "unrolled", "repeating_module"])
def test_words_of_rows_and_signs_lie_on_nothing_and_keep_a_space(draw: str) -> None:
    figure = getattr(lstm.figures, draw)()
    assert [*met(figure)] == []
    ax = figure.figure.axes[0]
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text()]
    page = ax.figure.bbox
    assert all(page.x0 <= b.x0 and b.x1 <= page.x1 for b in boxes)
