"""Writing a model out costs as much for each step, however many there are."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import lstm
import minigrad as mg


def _calls(model: Any, steps: int) -> int:
    """How many functions are called to write a model out, Python's own and others: no times."""
    xs = mg.var(f"xs{steps}", (steps, 2, 2), "float32")
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        model.unroll(xs)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("cell", [lstm.LSTM, lstm.GRU])
def test_twice_the_steps_are_written_out_by_twice_the_calls(cell: Any) -> None:
    model = lstm.Model.create(cell(2, 3), output_size=1, seed=0)
    model.unroll(mg.var("first", (2, 2, 2), "float32"))  # what is made once
    few, many = _calls(model, 24), _calls(model, 48)
    assert many < 2.2 * few


def test_every_step_has_names_of_its_own_and_what_is_not_of_it_has_none() -> None:
    class Own(lstm.RNN):
        name = "own_of_a_constant"

        def equations(self, params: Any, state: Any, x: Any) -> Any:
            values = super().equations(params, state, x)
            return {**values, "rate": mg.exp(params["b_h"]), "h": 0.5 * values["h"] + state.h * 0.5}

    model = lstm.Model.create(Own(2, 3), output_size=1, seed=0)
    unrolled = model.unroll(mg.var("xs", (3, 2, 2), "float32"))
    assert [values["h"].name for values in unrolled.values] == ["h₁", "h₂", "h₃"]
    assert {values["rate"].name for values in unrolled.values} == {None}
