"""What is drawn of a flow is told in the loop of its norms, and the same when it is asked alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.figures import flow_details
from lstm.gradient_flow.measuring import flow_to_draw

TASK = lstm.Adding(length=7)


def _model(cell: Any = lstm.LSTM, memory: float | None = 30) -> lstm.Model:
    return lstm.Model.create(cell, task=TASK, hidden_size=4, memory=memory)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The functions that are compiled."""
    made: list[Any] = []
    function = mg.function

    def noted(*args: Any, **options: Any) -> Any:
        made.append(function(*args, **options))
        return made[-1]

    monkeypatch.setattr(mg, "function", noted)
    return made


@pytest.mark.parametrize("lengths", [None, [7, 3, 5]])
def test_all_that_is_drawn_comes_of_one_function(compiled: list[Any], lengths: Any) -> None:
    model, (xs, ys) = _model(), TASK.batch(np.random.default_rng(0), 3)
    drawn = flow_to_draw(model, xs, ys, TASK.loss, lengths=lengths)
    assert drawn.split is not None and drawn.split.share[0] >= 0.5  # so that the line's is drawn
    flow_details(drawn)
    assert len(compiled) == 1
    flow = lstm.flow(model, xs, ys, TASK.loss, lengths=lengths)
    assert drawn.waterfall.links == flow.waterfalls["line"].links
    near = {"rtol": 1e-5, "atol": 1e-7}
    np.testing.assert_allclose(drawn.waterfall.decades, flow.waterfalls["line"].decades, **near)
    assert drawn.cuts.routes == flow.cuts.routes
    np.testing.assert_allclose(drawn.cuts.left, flow.cuts.left, rtol=1e-5)
    np.testing.assert_array_equal(drawn.inputs, flow.inputs)
    for part, adjoint in flow.adjoints.items():
        norms = np.sqrt(np.square(adjoint.astype(np.float64)).sum(axis=1))
        np.testing.assert_allclose(drawn.unit_norms[part], norms, rtol=1e-6)


@pytest.mark.parametrize("cell", [lstm.RNN, lstm.GRU])
def test_waterfalls_of_all_routes_come_of_one_function(compiled: list[Any], cell: Any) -> None:
    """Without a line from that which draws; of a line that brings less than half, from one more."""
    model, (xs, ys) = _model(cell, memory=None), TASK.batch(np.random.default_rng(0), 3)
    if cell is lstm.GRU:  # which forgets at once
        model.params["layer1"]["b_z"].value = np.full(4, 9.0, "float32")
    drawn = flow_to_draw(model, xs, ys, TASK.loss)
    flow_details(drawn)
    assert drawn.waterfall.route == ("h" if cell is lstm.RNN else "h̃")
    assert len(compiled) == (1 if cell is lstm.RNN else 2)
    made, flow = len(compiled), lstm.flow(model, xs, ys, TASK.loss)
    assert [*flow.waterfalls] == [*drawn.waterfalls] and len(compiled) == made + 2
    for route, fall in flow.waterfalls.items():
        near = {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(drawn.waterfalls[route].decades, fall.decades, **near)
        assert drawn.waterfalls[route].start == pytest.approx(fall.start)


def test_what_a_watch_keeps_is_of_the_parameters_at_its_step() -> None:
    model, watch = _model(), lstm.FlowWatch(every=2, arrays=True)
    settings, batches = lstm.Settings(batch=3, steps=3, rate=0.1), []

    class Noting:
        every = 2

        def __call__(self, step: int, model: Any, task: Any, batch: Any) -> None:
            watch(step, model, task, batch)
            if step == 0:
                batches.append((model.copy(), [np.array(x) for x in batch[:2]]))

    list(lstm.train(model, TASK, settings, watch=Noting()))
    (before, (xs, ys)) = batches[0]
    then, kept = lstm.flow(before, xs, ys, TASK.loss), watch.flows[0]
    assert not np.allclose(kept.cuts.whole, watch.flows[2].cuts.whole)
    np.testing.assert_array_equal(kept.cuts.left, then.cuts.left)
    np.testing.assert_array_equal(kept.itemised.high, then.itemised.high)
    for route, fall in then.waterfalls.items():
        np.testing.assert_array_equal(kept.waterfalls[route].decades, fall.decades)
