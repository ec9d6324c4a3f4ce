"""Models of several layers on paper: layers stand on each other, directions beside each other.

Positions are read back from the SVG; which node is of which layer, from the model written out.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from pictures import Rect, is_over, rects, ways

import lstm
from lstm.figures import cell_unrolled
from minigrad.drawing import Diagram

RNG = np.random.default_rng(0)
XS, YS = RNG.normal(size=(3, 3, 2)).astype("float32"), np.ones((3, 1), np.float32)
EVERY = np.ones((3, 3, 1), np.float32)
NORMED: dict[str, Any] = {"layers": 2, "layer_norm": True, "residual": True}
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "stack": (lstm.LSTM, {"layers": 2}),
    "three": (lstm.RNN, {"layers": 3}),
    "both ways": (lstm.LSTM, {"bidirectional": True}),
    "stack both ways": (lstm.PeepholeLSTM, {"layers": 2, "bidirectional": True}),
    "what is between": (lstm.GRU, NORMED),
    "every step": (lstm.RNN, {"bidirectional": True, "readout": "every"}),
}


@cache
def _drawn(name: str) -> Diagram:
    cell, options = MODELS[name]
    model = lstm.Model.create(cell(2, 4), output_size=1, seed=0, **options)
    return cell_unrolled(model, XS, EVERY if "readout" in options else YS, steps=3)


def _by_name(name: str) -> dict[str, Rect]:
    """The outlines of what has a name, such as "layer1.forward.C₂"."""
    diagram = _drawn(name)
    assert diagram.picture is not None and diagram.picture.is_placed
    outlines = rects(diagram.svg)
    return {n.name or n.title: outlines[n.id] for n in diagram.picture.nodes}


def _of(name: str, place: str) -> list[Rect]:
    return [rect for key, rect in _by_name(name).items() if key.startswith(f"{place}.")]


def _middle(rect: Rect) -> tuple[float, float]:
    return (rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2


@pytest.mark.parametrize("name", MODELS)
def test_nothing_lies_over_anything_else_and_steps_stand_in_order(name: str) -> None:
    diagram = _drawn(name)
    assert diagram.picture is not None and diagram.picture.is_placed
    outlines = rects(diagram.svg)
    nodes = {n.id: outlines[n.id] for n in diagram.picture.nodes}
    for a, b in combinations(nodes, 2):
        assert not is_over(nodes[a], nodes[b]), (a, b)
    steps = [outlines[f"group{k}"] for k in range(3)]
    assert all(left[2] < right[0] for left, right in pairwise(steps))
    for node in diagram.picture.nodes:
        if node.group is not None:
            step = steps[diagram.picture.groups.index(node.group)]
            assert step[0] < nodes[node.id][0] and nodes[node.id][2] < step[2]


CELLS = [lstm.LSTM, lstm.CoupledLSTM, lstm.PeepholeLSTM, lstm.GRU, lstm.RNN]
STACKS: list[dict[str, Any]] = [{"layers": 3}, {"bidirectional": True}, NORMED]


@pytest.mark.parametrize("options", STACKS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_no_arrow_passes_over_a_box_that_is_not_its_own(cell: Any, options: Any) -> None:
    model = lstm.Model.create(cell(2, 4), output_size=1, seed=0, **options)
    _assert_clear(cell_unrolled(model, XS, YS, steps=2))


@pytest.mark.parametrize("name", ["stack both ways", "every step"])
def test_no_arrow_of_three_steps_passes_over_a_box_that_is_not_its_own(name: str) -> None:
    _assert_clear(_drawn(name))


def _assert_clear(diagram: Diagram) -> None:
    """No arrow's points lie within a box but those at its ends."""
    assert diagram.picture is not None and diagram.picture.is_placed
    outlines, drawn = rects(diagram.svg), ways(diagram.svg)
    names = [n.id for n in diagram.picture.nodes]
    left, top, right, bottom = np.array([outlines[name] for name in names]).T
    for edge in diagram.picture.edges:
        others = np.array([name not in (edge.source, edge.target) for name in names])
        for piece in drawn[edge.id]:
            x, y = np.linspace(*piece, num=60).T[..., None]
            inside = (left < x) & (x < right) & (top < y) & (y < bottom)
            assert not (inside.any(0) & others).any(), edge


@pytest.mark.parametrize("name", ["stack", "three", "what is between"])
def test_layers_stand_on_each_other(name: str) -> None:
    layers = MODELS[name][1]["layers"]
    for k in range(1, layers):
        above, below = _of(name, f"layer{k + 1}"), _of(name, f"layer{k}")
        assert max(bottom for *_, bottom in above) < min(top for _, top, *_ in below)


def test_a_layer_reads_what_the_one_below_gives_in_the_same_step() -> None:
    outlines = _by_name("three")
    for t in "₁₂₃":
        heights = [_middle(outlines[f"layer{k}.h{t}"])[1] for k in (1, 2, 3)]
        assert heights == sorted(heights, reverse=True)
        columns = {round(_middle(outlines[f"layer{k}.h{t}"])[0]) for k in (1, 2, 3)}
        assert len(columns) == 1


@pytest.mark.parametrize("name", ["both ways", "stack both ways"])
def test_directions_have_lanes_of_their_own_and_one_is_the_other_mirrored(name: str) -> None:
    outlines = _by_name(name)
    for k in range(1, MODELS[name][1].get("layers", 1) + 1):
        ahead, back = _of(name, f"layer{k}.forward"), _of(name, f"layer{k}.backward")
        assert max(bottom for *_, bottom in back) < min(top for _, top, *_ in ahead)
        for way, forwards in (("forward", True), ("backward", False)):
            line = [_middle(outlines[f"layer{k}.{way}.C{t}"]) for t in "₁₂₃"]
            assert len({round(y, 1) for _, y in line}) == 1
            assert [x for x, _ in line] == sorted(x for x, _ in line)
            starts = _middle(outlines[f"layer{k}.{way}.C₀"])[0]
            assert (starts < line[0][0]) if forwards else (starts > line[-1][0])
            for t in "₁₂₃":
                gate = _middle(outlines[f"layer{k}.{way}.f{t}"])[0]
                output = _middle(outlines[f"layer{k}.{way}.o{t}"])[0]
                assert (gate < output) == forwards


def test_every_step_has_its_readout_above_it() -> None:
    diagram, outlines = _drawn("every step"), _by_name("every step")
    assert diagram.picture is not None
    shapes = rects(diagram.svg)
    readouts = [n for n in diagram.picture.nodes if "@ readout.W_y" in n.title]
    assert [n.group for n in readouts] == diagram.picture.groups
    for node, t in zip(readouts, "₁₂₃", strict=True):
        assert shapes[node.id][3] < outlines[f"layer1.backward.h{t}"][1]


def test_a_model_with_a_decoder_is_laid_out_by_graphviz_and_fits_a_png() -> None:
    attention = lstm.DotAttention(4, 4)
    decoder = lstm.Decoder(4, 5, cell=lstm.GRU(7, 4), attention=attention, steps=2)
    layers = lstm.Recurrent(lstm.GRU(2, 4))
    values = {"readout": decoder.init(RNG)} | layers.init(RNG)
    model = lstm.Model.of(layers, decoder, values)
    targets = np.zeros((2, 3), np.int64)
    diagram = cell_unrolled(model, XS, targets, steps=2, loss=lstm.cross_entropy)
    assert diagram.picture is not None and not diagram.picture.is_placed
    assert diagram.picture.groups == ["step t = 1", "step t = 2"]
    assert diagram.png.startswith(b"\x89PNG")
