"""Shares in words: 100 % is said of all, 0 % of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from lstm.cli.tables import score_table
from lstm.gradient_flow.summary import GateValues
from lstm.gradient_flow.words import _saturation
from lstm.percents import percent
from lstm.tasks import Adding, ArrayTask, TextTask
from lstm.tasks.movie import Movie
from lstm.training import Score


@pytest.mark.parametrize("whole", [1, 2, 3, 7, 200, 201, 1999, 2000, 2001, 30_000, 10**7])
@pytest.mark.parametrize("digits", [0, 1])
def test_only_all_is_100_percent_and_only_nothing_is_0(whole: int, digits: int) -> None:
    said = [percent(count / whole, digits) for count in (0, whole)]
    assert said == ["0%", "100%"] if digits == 0 else said == ["0.0%", "100.0%"]
    for count in {1, whole - 1} - {0, whole}:
        words = percent(count / whole, digits)
        bound = float(words.split()[-1][:-1])
        assert 0.0 < bound < 100.0
        if words[0].isdigit():
            assert bound == pytest.approx(100 * count / whole, abs=0.5)
        else:
            assert words == ("more than 99.9%" if count > 1 else "less than 0.1%")


def test_a_share_that_is_none_is_told_as_it_is() -> None:
    assert percent(float("nan")) == "nan%"
    assert percent(1.25) == "125.0%"


@pytest.mark.parametrize(("share", "said"), [(1.0, "100%"), (0.995, "99.5%"), (0.9996, "99.96%")])
def test_gates_that_are_nearly_all_closed_are_not_told_as_all(share: float, said: str) -> None:
    gate = GateValues("i", "input gate", "", "", [], [], [], 0.0, share)
    assert _saturation(gate) == f"Of the input gates, {said} are saturated closed (i < 0.1)."


def test_a_score_of_all_but_one_is_not_told_as_all() -> None:
    right = np.ones(2000, bool)
    right[7] = False
    rows = score_table(Adding(5), {"LSTM": Score(0.1, float(right.mean()), True)})
    assert list(rows.columns[2].cells)[-1] == "99.95%"


def test_what_is_counted_step_by_step_is_not_told_of_sequences() -> None:
    """What `correct` is of, and the words for it."""
    xs, ys = np.ones((9, 4, 1)), np.zeros((9, 4), np.int64)
    labels = np.zeros(9, np.int64)
    text = "she sells sea shells " * 20
    for task, counted in [
        (Movie(), "the frames of new films"),
        (TextTask(text, length=8), "the characters at the end of the text"),
        (TextTask(text, length=8, level="word"), "the words at the end of the text"),
        (ArrayTask(xs, ys), "the steps of the validation sequences"),
        (ArrayTask(xs, labels), "the validation sequences, by which it was chosen"),
        (Adding(5), "new sequences"),
    ]:
        assert task.tested_on.startswith(counted)
