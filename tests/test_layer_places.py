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
from lstm.tasks.caption import Caption
from lstm.tasks.reverse import Reverse
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


@pytest.mark.slow
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


DECODERS: dict[str, tuple[Any, str | None, dict[str, Any]]] = {
    "additive": (lstm.LSTM, "additive", {"bidirectional": True}),
    "dot": (lstm.GRU, "dot", {"layers": 2}),
    "none": (lstm.RNN, None, {}),
    "alone": (lstm.GRU, "dot", {}),
}


@cache
def _answering(name: str, task: Any = None) -> Diagram:
    cell, attention, options = DECODERS[name]
    task = Reverse(longest=4) if task is None else task
    model = lstm.Model.create(cell, task=task, hidden_size=4, attention=attention, **options)
    xs, ys, *lengths = task.batch(np.random.default_rng(0), 40)
    long = np.flatnonzero(lengths[0] >= 2)[:3] if lengths else np.arange(3)
    return cell_unrolled(model, xs[:, long], ys[:, long], steps=2, loss=task.loss)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["additive", "dot", "none"])
def test_a_decoder_has_a_lane_above_all_that_is_read_and_attention_stands_between(
    name: str,
) -> None:
    diagram = _answering(name)
    _assert_clear(diagram)
    assert diagram.picture is not None
    assert diagram.picture.groups == ["step t = 1", "step t = 2", "token u = 1", "token u = 2"]
    assert "2 steps and 2 tokens" in diagram.picture.title
    outlines = rects(diagram.svg)
    for a, b in combinations([n.id for n in diagram.picture.nodes], 2):
        assert not is_over(outlines[a], outlines[b]), (a, b)
    read, said = [outlines[f"group{k}"] for k in (0, 1)], [outlines[f"group{k}"] for k in (2, 3)]
    assert max(bottom for *_, bottom in said) < min(top for _, top, *_ in read)
    for left, right in (read, said):
        assert left[2] < right[0]
    by_name = {n.name: outlines[n.id] for n in diagram.picture.nodes if n.name}
    looks = [n for n in diagram.picture.nodes if n.title == "softmax"]
    assert [n.group for n in looks] == diagram.picture.groups[2:] * (name != "none")
    for look in looks:  # below the cell that reads what it finds, above the encoder
        t = "₁₂"[diagram.picture.groups.index(look.group or "") - 2]
        assert by_name[f"readout.h{t}"][3] < outlines[look.id][1]
        assert outlines[look.id][3] < min(top for _, top, *_ in read)


def test_what_a_decoder_starts_from_stands_before_its_first_step() -> None:
    diagram = _answering("additive")
    assert diagram.picture is not None
    outlines = rects(diagram.svg)
    for part in "hC":
        (made,) = (n for n in diagram.picture.nodes if n.title == f"· @ readout.start.W_{part}")
        assert made.group is None and outlines[made.id][2] < outlines["group2"][0]
    lines = {n.lane for n in diagram.picture.nodes if n.lane is not None}
    assert lines == {
        f"{place}: the cell line" for place in ("layer1.forward", "layer1.backward", "readout")
    }


def test_a_model_that_reads_without_recurrent_layers_has_the_steps_of_its_decoder() -> None:
    diagram = _answering("alone", Caption())
    _assert_clear(diagram)
    assert diagram.picture is not None
    assert diagram.picture.groups == ["token u = 1", "token u = 2"]


def test_a_decoder_that_is_written_out_gives_what_its_steps_say() -> None:
    task = Reverse(longest=4)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, readout="decoder")
    xs, ys, lengths = task.batch(np.random.default_rng(1), 3)
    unrolled = model.unroll(xs, lengths=lengths, targets=ys)
    written = unrolled.layers["readout"]
    assert len(written.states) == len(ys) + 1 == len(written.xs) + 1
    assert [values["f"].name for values in written.values[:2]] == ["readout.f₁", "readout.f₂"]
    values = model.values()
    said = [s.h.eval() @ values["readout.W_y"] + values["readout.b_y"] for s in written.states[1:]]
    np.testing.assert_allclose(unrolled.output.eval(), said, rtol=1e-5, atol=1e-6)
    looped = model.run(xs, lengths=lengths, targets=ys).output
    np.testing.assert_allclose(unrolled.output.eval(), looped.eval(), rtol=1e-5, atol=1e-6)
