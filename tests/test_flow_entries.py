"""Where a gradient enters at every step: what entered, what the line carried, and the rest, beside
sums over the losses of the unrolled graph, each split by itself."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from written_flows import Stated, Written, close

import lstm
import minigrad as mg
from lstm.cells.anatomy import line_over_time
from lstm.figures.flow import path_curves
from lstm.gradient_flow import advice
from lstm.gradient_flow.advice import DROWNED
from minigrad.drawing.amount import kind_of, told

T, B, H = 4, 3, 3
LENGTHS = [4, 2, 3]
LOWER = {"layer": 1}
CASES: dict[str, Stated] = {
    "lstm": (lstm.LSTM, {"readout": "every"}, {}),
    "gru, padded": (lstm.GRU, {"readout": "every"}, {"lengths": LENGTHS}),
    "peephole, padded": (lstm.PeepholeLSTM, {"readout": "every"}, {"lengths": LENGTHS}),
    "zoneout": (lstm.LSTM, {"readout": "every", "zoneout": 0.2}, {}),
    "gru with zoneout": (lstm.GRU, {"readout": "every", "zoneout": 0.2}, {}),
    "lower layer": (lstm.LSTM, {"layers": 2}, LOWER),
    "lower layer, backward, padded": (
        lstm.LSTM,
        {"layers": 2, "bidirectional": True},
        {**LOWER, "direction": "backward", "lengths": LENGTHS},
    ),
    "at the end": (lstm.LSTM, {}, {}),
    "at their ends": (lstm.GRU, {}, {"lengths": LENGTHS}),
    "at their ends, zoneout": (lstm.LSTM, {"zoneout": 0.2}, {"lengths": LENGTHS}),
}
each = pytest.mark.parametrize("case", CASES)


class Case(Written):
    def __init__(self, name: str) -> None:
        super().__init__(CASES[name], (T, B, H), seed=4)

    def entries(self) -> np.ndarray:
        """What enters the layer after each step, (T, B, H): its gradient where no step sends any
        back to the one before."""
        parts = self.model.cell.state_type._fields
        written, loss = self.written_out(routes={f"{self.place}.{p}": 0.0 for p in parts})
        adjoints = mg.adjoints(loss)
        return np.stack(mg.eval([adjoints[state.h] for state in written.made]))


@lru_cache
def made(name: str) -> Case:
    return Case(name)


@pytest.mark.slow
@each
def test_the_parts_are_the_sums_of_those_of_each_loss(case: str) -> None:
    """As if each step's output had a loss of its own, Σ e · h, for e what enters there: its line
    begins at that step, and the gradient is linear in the losses."""
    it = made(case)
    written, _ = it.written_out()
    states = [getattr(state, it.symbol) for state in written.states]
    nodes = [getattr(state, it.symbol) for state in written.made]
    entered, carried, around = (np.zeros((T, B, H)) for _ in range(3))
    splits = []  # of each loss: its step, and the two parts at each step up to that
    rows = np.eye(B) if "lengths" in it.given else np.ones((1, B))  # a sequence ends by itself
    for s, entry in enumerate(it.entries()):
        for row in rows:
            one = entry * row[:, None]
            if not one.any():
                continue
            loss = mg.sum(written.states[s + 1].h * mg.const(one))
            over = line_over_time(states[: s + 2], loss)
            line = {node for step in over.steps for node in step}
            off = {n for n in over.detours if line & {*n.args}}  # zeros are the first state of all
            adjoints = mg.adjoints(loss)
            splits.append((s, [adjoints.split(node, off) for node in nodes[: s + 1]]))
    for (s, _), of_one in zip(splits, mg.eval([parts for _, parts in splits]), strict=True):
        for t, (left, stayed) in enumerate(of_one):
            around[t] += left
            (entered if t == s else carried)[t] += stayed
    for part, expected in (("entered", entered), ("carried", carried), ("around", around)):
        close(getattr(it.flow, part), expected)
        assert np.abs(expected).max() > 1e-3 or (part == "entered" and "zoneout" in case)
    close(it.flow.line, entered + carried)


@pytest.mark.slow
@each
def test_the_parts_sum_to_the_whole_and_are_none_of_padding(case: str) -> None:
    flow = made(case).flow
    close(flow.entered + flow.carried + flow.around, flow.adjoints[flow.main.symbol])
    padding = ~flow.source.reading.stacks.counted
    for part in (flow.entered, flow.carried, flow.around):
        assert not part[padding].any()


@pytest.mark.parametrize("case", ["lstm", "lower layer", "lower layer, backward, padded"])
def test_with_the_other_route_cut_what_is_left_is_the_lines(case: str) -> None:
    """∂L/∂C without the way through h, of losses at all steps; with neither way, what entered."""
    it = made(case)
    for cut, part in ((["h"], it.flow.line), (["h", "C"], it.flow.entered)):
        written, loss = it.written_out(routes={f"{it.place}.{p}": 0.0 for p in cut})
        adjoints = mg.adjoints(loss)
        close(part, np.stack(mg.eval([adjoints[state.C] for state in written.made])))


@each
def test_norms_tables_and_charts_tell_the_parts(case: str) -> None:
    flow = made(case).flow
    split, columns = flow.split, flow.table()
    curves = {c.label: list(c.norms) for c in path_curves(flow)}
    norms = {
        part: np.linalg.norm(getattr(flow, part).reshape(T, -1), axis=1)
        for part in ("line", "entered", "carried", "around")
    }
    close(columns["along the line"], norms["line"])
    close(columns["through the gates"], norms["around"])
    around = f"through {flow.beside}"
    rows = [name.strip() for name, *_ in flow._table().rows][-len(flow.paths) :]
    if case.startswith("at the"):
        assert split.entered is None and split.carried is None and split.along is split.line
        assert list(flow.paths) == [f"along the line ({split.product})", around] == rows
        assert "entered here" not in columns
        close(curves[f"along the line ({split.product})"], norms["line"])
        return
    along = f"along the line ({split.product}) from later steps"
    assert list(flow.paths) == [along, around, "entered at that very step"] == rows
    close(columns["entered here"], norms["entered"])
    close(columns["along the line from later steps"], norms["carried"])
    for name, part in zip(rows, ("carried", "around", "entered"), strict=True):
        close(curves[name], norms[part])
    plain = flow.to_json()["split"]
    assert plain["entered"]["norms"] == split.entered.norms
    assert plain["carried"]["norms"] == split.carried.norms
    first = {part: size[0] for part, size in norms.items()}
    close(split.share[0], first["carried"] / (first["carried"] + first["around"]))
    shown = {part: told(size, kind_of(size), 1) for part, size in first.items()}
    said = (
        f"have these norms: {shown['carried']} {along}, {shown['around']} {around}, "
        f"{shown['entered']} entered at that very step."
    )
    assert said in " ".join(flow.diagnosis)


@pytest.mark.parametrize("case", ["lstm", "lower layer"])
def test_the_lines_waterfall_is_of_what_entered_at_the_end(case: str) -> None:
    flow = made(case).flow
    size = np.linalg.norm(flow.entered[-1] * flow.factor[1:].prod(axis=0))
    assert flow.waterfalls["line"].end == pytest.approx(math.log10(size), abs=1e-10)


@pytest.mark.parametrize("weight", [1.0, 40.0])
def test_h_detach_is_advised_where_what_comes_through_h_drowns_the_line(weight: float) -> None:
    """A loss at each step, and weights of h that send much or little back."""
    model = lstm.Model.create(lstm.LSTM(2, 4, "float64"), 1, 0, readout="every")
    for name, leaf in model.flat_params.items():
        if ".W_" in name:
            leaf.value = np.concatenate([leaf.value[:4] * weight, leaf.value[4:]])
    rng = np.random.default_rng(0)
    flow = lstm.flow(model, rng.random((12, 3, 2)), rng.random((12, 3, 1)), lstm.mse)
    around, carried = (np.linalg.norm(part[0]) for part in (flow.around, flow.carried))
    advised = [one for one in advice(flow) if "detach=" in one.remedy]
    assert bool(advised) == (around > DROWNED * carried) == (weight > 1.0)
    for one in advised:
        assert f"{around / carried:.0f} times the norm of what comes along" in one.finding


def test_a_watch_tells_the_same_parts() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, layers=2, seed=0)
    task, watch = lstm.Adding(length=5), lstm.FlowWatch(every=2, layer=1)
    whole = lstm.FlowWatch(every=2, layer=1, arrays=True)
    for one in (watch, whole):
        one(0, model, task, task.batch(np.random.default_rng(0), 4))
    few, full = watch.flows[0], whole.flows[0]
    for part in ("line", "gates", "entered", "carried"):
        norms = getattr(full.split, part).norms
        assert getattr(few.split, part).norms == pytest.approx(norms, rel=1e-5)
        assert getattr(few.split, part).kinds == getattr(full.split, part).kinds
    assert [*few.paths] == [*full.paths] and len(few.paths) == 3
