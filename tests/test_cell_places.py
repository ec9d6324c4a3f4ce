"""Where the ops of cells stand on paper: nothing lies over anything else, and steps are apart."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from pictures import is_over, rects

import lstm
import minigrad as mg
from lstm.figures import cell_unrolled
from minigrad import Expr
from minigrad.drawing import Diagram
from minigrad.drawing.spread import spread

RNG = np.random.default_rng(0)
XS, YS = RNG.normal(size=(3, 3, 2)).astype("float32"), np.ones((3, 1), np.float32)


def _drawn(cell: Any, steps: int = 3) -> Diagram:
    model = lstm.Model.create(cell(input_size=2, hidden_size=4), output_size=1, seed=0)
    return cell_unrolled(model, XS, YS, steps=steps)


class NoOut(lstm.LSTM):
    """A cell of somebody's own that computes an output gate and does not read it."""

    name = "no_out"

    def equations(self, params: Any, state: Any, x: Expr) -> Any:
        values = super().equations(params, state, x)
        return {**values, "h": mg.tanh(values["C"])}


CELLS = [lstm.LSTM, lstm.CoupledLSTM, lstm.PeepholeLSTM, lstm.GRU, lstm.RNN, NoOut]


@pytest.mark.parametrize("cell", CELLS)
def test_no_box_of_a_cell_lies_over_another_and_steps_are_apart(cell: Any) -> None:
    diagram = _drawn(cell)
    assert diagram.picture is not None and diagram.picture.is_placed
    outlines = rects(diagram.svg)
    nodes = {key: rect for key, rect in outlines.items() if key.startswith("n")}
    assert len(nodes) == len(diagram.picture.nodes)
    for a, b in combinations(nodes, 2):
        assert not is_over(nodes[a], nodes[b]), (a, b)
    steps = [outlines[key] for key in outlines if key.startswith("group")]
    assert len(steps) == 3
    for left, right in pairwise(sorted(steps)):
        assert left[2] < right[0]
    for node in diagram.picture.nodes:
        if node.group is not None:
            step = steps[diagram.picture.groups.index(node.group)]
            rect = nodes[node.id]
            assert step[0] < rect[0] and rect[2] < step[2]


@pytest.mark.parametrize("cell", CELLS)
def test_the_line_is_straight_and_above_all_else(cell: Any) -> None:
    picture = _drawn(cell).picture
    assert picture is not None
    heights = {n.id: n.place[1] for n in picture.nodes if n.place is not None}
    on_line = {n.id for n in picture.nodes if n.lane is not None}
    assert bool(on_line) == (cell is not lstm.RNN)
    assert {heights[key] for key in on_line} <= {0.0}
    in_steps = [heights[n.id] for n in picture.nodes if n.group is not None]
    assert min(in_steps) >= 0.0 or cell is lstm.RNN


def test_layers_stand_above_what_they_read_and_the_input_lowest() -> None:
    picture = _drawn(lstm.GRU, steps=1).picture
    assert picture is not None
    heights = {n.name or n.title: n.place[1] for n in picture.nodes if n.place is not None}
    for gate in "zr":
        rows = [
            heights[key] for key in (f"{gate}₁", f"· + b_{gate}", f"· @ W_{gate}", "[ , ]", "x₁")
        ]
        assert rows == sorted(rows) and len({*rows}) == len(rows)


def test_a_cell_that_computes_what_nobody_reads_is_drawn() -> None:
    diagram = _drawn(NoOut, steps=2)
    assert diagram.picture is not None
    assert "<svg" in diagram.svg
    assert not [n for n in diagram.picture.nodes if n.name.startswith("o")]


def test_places_that_leave_room_are_kept() -> None:
    places = [(0.0, 0.0), (100.0, 5.0), (100.0, 90.0), (-40.0, 200.0)]
    assert spread(places, [50.0] * 4) == places
    # What moves takes its column with it, and all that stands to the right of it.
    moved = spread([(0.0, 0.0), (50.0, 0.0), (50.0, 90.0), (80.0, 90.0)], [60.0, 60.0, 10.0, 10.0])
    assert moved == [(0.0, 0.0), (74.0, 0.0), (74.0, 90.0), (104.0, 90.0)]


def test_boxes_stand_side_by_side_and_what_comes_after_is_out_of_them() -> None:
    places = [(0.0, 0.0), (10.0, 300.0), (20.0, 600.0)]
    (a, _), (b, _), (c, _) = spread(places, [40.0, 40.0, 40.0], ["one", "two", None])
    assert b - a == pytest.approx(58.0 + 8.0 + 58.0)
    assert c - b == pytest.approx(58.0 + 8.0 + 20.0)
