"""What each value of a step gets from where, told by one loop, beside the arrays of all steps."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.gradient_flow.fans import Fans
from lstm.gradient_flow.steps import largest, wide_norms

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_of_several_shapes_are_those_of_each(dtype: str) -> None:
    rng = np.random.default_rng(0)
    tiny = np.finfo(dtype).tiny
    arrays = {
        "a": rng.standard_normal((3, 4)),
        "of its own shape": rng.standard_normal((2, 5)),
        "tiny": np.full((3, 4), tiny),
        "huge": np.full((3, 4), np.finfo(dtype).max / 4),
    }
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    norms = wide_norms({name: mg.const(array) for name, array in arrays.items()})
    for name, array in arrays.items():
        wanted = np.linalg.norm(array.astype(np.longdouble))
        np.testing.assert_allclose(norms[name].eval(), float(wanted), rtol=1e-14)


def test_the_largest_of_several_arrays_is_0_where_their_norms_are() -> None:
    arrays = [[[0.0, -5e-324]], [[0.0, 0.0]], [[np.nan, 0.0]], [[-np.inf, np.nan]], [[-3.0], [2.0]]]
    of = {k: mg.const(np.array(array)) for k, array in enumerate(arrays)}
    told = {k: float(size.eval()) for k, size in largest(of).items()}
    assert told[0] == 5e-324 and told[1] == 0.0 and told[4] == 3.0
    assert np.isnan(told[2]) and np.isnan(told[3])


@pytest.mark.parametrize("cell", [lstm.LSTM, lstm.GRU, lstm.PeepholeLSTM])
def test_what_the_net_has_multiplied_is_read_of_it(cell) -> None:
    model = lstm.Model.create(cell(2, 4), 1, 2)
    flow = lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1)), lstm.mse)
    meter = flow.source.meter
    graph = meter.graph
    in_step = {*mg.toposort([*meter.loop.made])}
    assert graph.inner and {*graph.inner.values()} <= in_step
    _, told = meter.way.told({"fans": Fans(meter.way)})
    (loop,) = {stack.args[0] for stack in told["fans"]["values"].values()}
    z = [n for n in loop.attrs[0].body.nodes if n.op.name == "concat" and n.shape == (3, 6)]
    assert not z  # [h, x] is not made again
