"""A value of a step that nobody reads changes nothing in a flow: it is told, as not connected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from own_cells import Blend

import lstm
import minigrad as mg
from lstm.figures.explorer.packed import OTHERS
from lstm.figures.explorer.steps import steps_of
from lstm.gradient_flow.fans import Fans

pytestmark = pytest.mark.usefixtures("by_numpy")


class Unread(Blend):
    """Blend, with two values that no other value needs; the second needs the first."""

    def equations(self, params: Any, state: Any, x: Any) -> Any:
        values = super().equations(params, state, x)
        d = mg.tanh(values["c"]) * state.C + mg.sum(x, axis=1, keepdims=True)
        return {"d": d, **values, "e": d * d}


STATED = {
    "plain": ({}, {}),
    "all else": (
        {"bidirectional": True, "zoneout": 0.2, "layers": 2},
        {"lengths": [6, 2, 1], "direction": "backward"},
    ),
}


def flow_of(cell: type[lstm.Cell], options: Any, given: Any) -> lstm.Flow:
    rng = np.random.default_rng(0)
    model = lstm.Model.create(cell(2, 4, "float64"), 1, 2, **options)
    xs, ys = rng.standard_normal((6, 3, 2)), rng.standard_normal((3, 1))
    return lstm.flow(model, xs, ys, lstm.mse, **given)


def fans_of(flow: lstm.Flow) -> Any:
    return flow.source.told("fans", lambda: Fans(flow.source.meter.way))


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED)
def test_what_nobody_reads_changes_nothing_and_is_told(stated) -> None:
    flow, without = (flow_of(cell, *stated) for cell in (Unread, Blend))
    assert str(flow).partition(":")[2] == str(without).partition(":")[2] != ""
    assert {*flow.values} == {*without.values, "d", "e"}
    for part, fan in without.edges.items():
        assert flow.edges[part].keys() == fan.keys()
        assert_allclose(flow.adjoints[part], without.adjoints[part], rtol=1e-12)
    before = flow._stacks.before["C"]
    d = np.tanh(flow.values["c"]) * before + flow.inputs.sum(2, keepdims=True)
    assert_allclose(flow.values["d"], d, rtol=1e-12, atol=1e-15)
    assert_allclose(flow.values["e"], d * d, rtol=1e-12, atol=1e-15)
    told, other = map(fans_of, (flow, without))
    assert told["terms"]["d"] == told["terms"]["e"] == {}
    for name, fan in other["terms"].items():
        assert told["terms"][name].keys() == fan.keys()
        for reader, norms in fan.items():
            assert_allclose(told["terms"][name][reader], norms, rtol=1e-12, atol=1e-15)


def test_it_is_no_route_and_the_explorer_tells_it_as_not_connected() -> None:
    flow = flow_of(Unread, {}, {})
    assert {*flow.cuts.routes} == {"h", "C", "h → g", "h → c"}
    equations = {e["name"]: e for e in steps_of(flow)["equations"]}
    apart = OTHERS["disconnected"]
    assert [n for n, e in equations.items() if (e["adjoint"] == apart).any()] == ["d", "e"]
    assert all((equations[name]["adjoint"] == apart).all() for name in ("d", "e"))
    assert equations["d"]["terms"] == equations["e"]["terms"] == []
