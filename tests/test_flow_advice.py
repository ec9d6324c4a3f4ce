"""What is advised, and from which measurement on: each threshold at, above and below."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lstm
from lstm.gradient_flow import Flow, Memory, Series, Split, advice, diagnose
from lstm.gradient_flow.advice import CANCELS, DROWNED, EXPLODED, GROWN, TOO_SMALL, cancelled
from minigrad.drawing.amount import kind_of

ABOVE, BELOW = math.inf, -math.inf


def _series(norms: Any, symbol: str = "C") -> Series:
    return Series(symbol, list(norms), [kind_of(x) for x in norms])


def _flow(
    norms: Any,
    line: Any = (1.0, 1.0),
    gates: Any = (1.0, 1.0),
    *,
    has_line: bool = True,
    memory: float = 1e6,
    share: Any = (1.0, 1.0),
    cell: Any = None,
) -> Flow:
    """A flow of chosen numbers, as if they had been measured."""
    split = Split("C", "f", [0.5] * len(norms), _series(line), _series(gates))
    series = {"C": _series(norms), "h": _series([1.0] * len(norms), "h")}
    layer = SimpleNamespace(cell=cell or lstm.LSTM(2, 3))
    source: Any = SimpleNamespace(
        meter=SimpleNamespace(layer=layer), lost={}, agreement=np.array(share)
    )
    flow = Flow(
        "lstm",
        len(norms),
        1,
        "float64",
        0.0,
        series,
        split if has_line else None,
        {},
        [],
        source=source,
        output="C",
    )
    vars(flow)["memory"] = Memory(np.array([memory]), np.array([3.7])) if has_line else None
    vars(flow).update(unsound=None, decades=np.log10(np.maximum(norms, 1e-99)))
    return flow


def _tries(flow: Flow) -> list[str]:
    return [one.remedy for one in advice(flow)]


def test_clipping_is_for_what_explodes() -> None:
    assert (EXPLODED, GROWN) == (1e3, 10.0)
    assert _tries(_flow([EXPLODED, 1.0])) == []
    (one,) = advice(_flow([math.nextafter(EXPLODED, ABOVE), 1.0]))
    assert one.remedy.startswith("clip=1.0") and "grows by 3.0 decades" in one.finding
    assert _tries(_flow([5e3, 5.0])) == []
    assert "clip" in _tries(_flow([5e3, math.nextafter(5.0, BELOW)]))[0]


def test_a_cell_with_a_line_is_for_what_vanishes_without_one() -> None:
    assert TOO_SMALL == 1e-6
    assert _tries(_flow([TOO_SMALL, 1.0], has_line=False)) == []
    small = math.nextafter(TOO_SMALL, BELOW)
    assert "lstm.LSTM or lstm.GRU" in _tries(_flow([small, 1.0], has_line=False))[0]
    assert "lstm.LSTM or lstm.GRU" in _tries(_flow([0.0, 1.0], has_line=False))[0]
    assert _tries(_flow([0.0, 0.0], has_line=False)) == []  # nothing came at all
    assert _tries(_flow([math.nan, 1.0], has_line=False)) == []


def test_a_longer_memory_is_for_a_line_that_forgets_before_the_sequence_ends() -> None:
    norms = [1e-9, 1e-6, 1e-3, 1.0]
    assert _tries(_flow(norms, memory=4.0)) == []  # as many steps as there are
    (one,) = advice(_flow(norms, memory=math.nextafter(4.0, BELOW)))
    assert one.remedy.startswith("memory=4, a bias of 1.1")  # ln 3
    assert "remembers 4.0 steps" in one.finding and "promises 3.7" in one.finding
    assert "the sequences have 4" in one.finding
    assert _tries(_flow([1e-3, 1.0], memory=1.5)) == []  # it arrives
    other = SimpleNamespace(name="own")
    assert "a step keeps 0.75" in _tries(_flow(norms, memory=2.0, cell=other))[0]


def test_h_detach_is_for_a_line_that_drowns() -> None:
    assert DROWNED == 10.0
    assert _tries(_flow([1.0, 1.0], gates=(DROWNED, 0.0))) == []
    (one,) = advice(_flow([1.0, 1.0], gates=(math.nextafter(DROWNED, ABOVE), 0.0)))
    assert one.remedy.startswith('detach={"h": 0.25}')
    assert one.finding == (
        "At t=1, what comes through h has 10 times the norm of what comes along the line"
    )
    assert _tries(_flow([1.0, 1.0], line=(0.0, 1.0), gates=(1.0, 0.0))) == []
    assert _tries(_flow([1.0, 1.0], gates=(math.inf, 0.0))) == []
    # Where the loss enters at each step, what the line brought counts, not what enters at t = 1.
    for carried, told in ((0.1, False), (0.0999, True)):
        flow = _flow([1.0, 1.0], line=(1.0, 1.0), gates=(1.0, 0.0))
        split = replace(flow.split, entered=_series((1.0, 1.0)), carried=_series((carried, 0.0)))
        flow = replace(flow, split=split)
        vars(flow)["memory"] = Memory(np.array([1e6]), np.array([3.7]))
        assert bool(_tries(flow)) == told


def test_what_cancels_has_not_vanished() -> None:
    assert CANCELS == 0.1
    assert cancelled(_flow([1.0, 1.0], share=(1.0, CANCELS))) is None
    said = cancelled(_flow([1.0, 1.0], share=(1.0, math.nextafter(CANCELS, BELOW))))
    assert said is not None and said.startswith("At t=2 the terms of ∂L/∂C cancel")
    assert "10.0% of their sizes" in said and "has not vanished" in said
    assert cancelled(_flow([1.0, 1.0], share=(math.nan, math.nan))) is None
    assert cancelled(_flow([1.0, 1.0], share=(0.02, 0.05))).startswith("At t=1")


def test_the_main_gradient_comes_first_and_what_to_try_for_it_next() -> None:
    flow = _flow([1e-9, 1e-6, 1e-3, 1.0], memory=2.0, share=(0.05, 1.0, 1.0, 1.0))
    said = diagnose(flow)
    assert said[0].startswith("∂L/∂C vanishes") and "memory=4" in said[1]
    assert said[2].startswith("At t=1 the terms") and said[3].startswith("∂L/∂h")


@pytest.mark.parametrize(("bias", "tries"), [(0.0, True), (6.0, False)])
def test_what_is_advised_of_a_model_is_what_was_measured(bias, tries) -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4, "float64", forget_bias=bias), 1, 0)
    xs, ys = lstm.Adding(length=60).batch(np.random.default_rng(0), 4)
    flow = lstm.flow(model, xs, ys)
    found = [line for line in flow.diagnosis if "memory=60" in line]
    assert bool(found) == tries
    if tries:
        assert flow.memory is not None
        assert f"remembers {np.median(flow.memory.measured):.1f} steps" in found[0]
        assert "promises 2.0" in found[0]  # 1 + e⁰


def test_h_detach_as_advised_leaves_the_line_alone() -> None:
    """The cut as a training option: with the h-route detached ∂L/∂C is the line's part."""
    model = lstm.Model.create(lstm.LSTM(2, 4, "float64"), 1, 0)
    xs, ys = lstm.Adding(length=12).batch(np.random.default_rng(0), 3)
    flow = lstm.flow(model, xs, ys)
    written = model.unroll(np.asarray(xs, "float64"), routes={"h": 0.0})
    import minigrad as mg

    loss = lstm.mse(written.output, mg.const(np.asarray(ys, "float64")))
    adjoints = mg.adjoints(loss)
    cut = np.stack(mg.eval([adjoints[state.C] for state in written.states[1:]]))
    # ∂L/∂C_t of what is left: the line's part, and what C_t shows the loss at the last step.
    np.testing.assert_allclose(cut, flow.line, rtol=1e-9, atol=1e-15)
