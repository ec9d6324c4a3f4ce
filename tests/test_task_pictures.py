"""Pictures of what models say: a task states what its answers are, and none of them is left out."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import lstm
from lstm.figures.of_task import _draw_classes, answered, chart_of_task, right_by_step

NUMBERS = "What is said of a test sequence, beside what is true"
SIGNS = "How often all that is asked is right, step by step"


@pytest.mark.parametrize(
    ("loss", "title"), [("mse", NUMBERS), ("mae", NUMBERS), ("binary_cross_entropy", SIGNS)]
)
def test_numbers_that_happen_to_be_0_and_1_are_drawn_as_the_loss_takes_them(loss, title, by_numpy):
    rng = np.random.default_rng(0)
    xs, ys = rng.random((20, 4, 2)), rng.integers(0, 2, (20, 4, 1)).astype(float)
    task = lstm.ArrayTask(xs, ys, loss=loss)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=2, seed=0)
    chart = chart_of_task({"RNN": model}, task)
    assert chart is not None and chart.title == title


def test_tasks_state_that_signs_say_yes_or_no():
    by_sign = {name for name, kind in lstm.TASKS.items() if getattr(kind, "by_sign", False)}
    assert by_sign == {"anbn", "anbncn", "dyck2", "parity"}


def test_classes_that_no_test_sequence_has_are_drawn_beside_the_others():
    truth = np.array([0, 0, 0, 2])
    said = np.eye(4)[[0, 2, 3, 1]]
    ax = Figure().subplots()
    _draw_classes(ax, said, truth)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "2", "others"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "2"]
    plain = Figure().subplots()
    _draw_classes(plain, np.eye(4)[[0, 2, 0, 2]], truth)
    assert [label.get_text() for label in plain.get_xticklabels()] == ["0", "2"]


def test_steps_at_which_nothing_is_asked_are_left_out_also_where_they_are_nan():
    truth = np.array([[[1.0], [0.0]], [[np.nan], [1.0]]])
    said = np.array([[[0.2], [0.3]], [[-1.0], [0.1]]])
    assert right_by_step(said, truth) == ([1, 2], [0.5, 1.0])


def test_a_text_is_read_as_by_its_score() -> None:
    """The state goes on from piece to piece in the picture too, over all that is tested."""
    task = lstm.TextTask("she sells sea shells by the sea shore. " * 40, length=6)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=5)
    for seed, carried in [(0, 4), (1, 2)]:
        score = lstm.evaluate(model, task, seed, carried=carried)
        told = answered({"RNN": model}, task, seed, carried)
        asked = told.truth >= 0
        right = (told.said["RNN"] == told.truth)[asked]
        assert right.mean() == pytest.approx(score.correct, abs=1e-12)
        steps, shares = right_by_step(told.said["RNN"], told.truth)
        assert steps == [1, 2, 3, 4, 5, 6]
        assert np.average(shares, weights=asked.sum(1)) == pytest.approx(score.correct)
    chart = chart_of_task({"RNN": model}, task, carried=4)
    assert chart is not None
    assert chart.figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert ". Read as for the score: from 4 places side by side, each piece" in chart.description
