"""How gates start where a task says that holding on for as long as it lasts would be in the way."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from lstm.tasks.digits import Digits
from lstm.tasks.parity import Parity

TURNING = [Parity(length=30), Digits(), Digits("pixel")]


@pytest.mark.parametrize("task", TURNING, ids=repr)
def test_gates_start_at_their_usual_bias(task):
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3)
    bias = model.values()["layer1.b_f"], model.values()["layer1.b_i"]
    np.testing.assert_array_equal(bias, [[1.0] * 3, [0.0] * 3])
    assert model.notes == ()


def test_a_memory_that_is_asked_for_is_set():
    task = Parity(length=30)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3, memory=30)
    np.testing.assert_allclose(model.values()["layer1.b_f"], np.log(29), rtol=1e-6)
    assert "a memory of 30 steps" in model.notes[0]


def test_parity_is_learnt_with_its_own_settings():
    task = Parity(length=6)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=8)
    settings = lstm.Settings(**{**task.usual, "steps": 600})
    assert lstm.fit(model, task, settings, validate=50, progress=False).why == "solved"
