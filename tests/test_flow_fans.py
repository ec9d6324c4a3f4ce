"""What each value of a step gets from where, told by one loop, beside the arrays of all steps."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from lstm.gradient_flow.fans import Fans

pytestmark = pytest.mark.usefixtures("by_numpy")

STATED = {
    "lstm": (lstm.LSTM, {}, {}),
    "gru": (lstm.GRU, {}, {}),
    "padded": (lstm.LSTM, {}, {"lengths": [6, 2, 1]}),
    "backward": (lstm.LSTM, {"bidirectional": True}, {"direction": "backward"}),
    "zoneout": (lstm.LSTM, {"zoneout": 0.2}, {}),
    "every step": (lstm.PeepholeLSTM, {"readout": "every"}, {}),
}


def norms(stack: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(stack.astype(float)).sum((1, 2)))


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED)
def test_fans_have_the_norms_of_edges_and_adjoints(stated) -> None:
    cell, options, given = stated
    rng = np.random.default_rng(0)
    model = lstm.Model.create(cell(2, 4, "float64"), 1, 2, **options)
    ys = rng.standard_normal((6, 3, 1) if options.get("readout") else (3, 1))
    flow = lstm.flow(model, rng.standard_normal((6, 3, 2)), ys, lstm.mse, **given)
    told = flow.source.told("fans", lambda: Fans(flow.source.meter.way))
    made = flow._stacks.made
    for part, fan in flow.edges.items():
        terms = told["terms"][made[part]]
        assert {*terms} == {*fan}
        for reader, term in fan.items():
            np.testing.assert_allclose(terms[reader], norms(term), rtol=1e-9, atol=1e-14)
        wanted = norms(flow.adjoints[part])
        np.testing.assert_allclose(told["gradients"][made[part]], wanted, rtol=1e-9, atol=1e-14)
    for name, value in flow.values.items():
        np.testing.assert_allclose(told["values"][name], norms(value), rtol=1e-9)
