"""Printed tables against their numbers."""

from __future__ import annotations

import pytest
from rich.table import Table

from lstm.cells import LSTM
from lstm.cli.demo import about_biases
from lstm.cli.tables import demo_table, norm_text, score_table
from lstm.tasks import Adding, TextTask
from lstm.training import Score


def _rows(table: Table) -> list[list[str]]:
    return [list(row) for row in zip(*[list(c.cells) for c in table.columns], strict=True)]


def _norm(norm: float, kind: str = "normal") -> dict[str, object]:
    return {"norm": norm, "kind": kind}


def test_the_demos_table() -> None:
    results = {
        "models": {
            "rnn": {
                "title": "RNN",
                "test_loss": 0.17,
                "gradient_before": {"h": _norm(1e-9)},
                "gradient_after": {"h": _norm(0.0, "underflow")},
            },
            "lstm": {
                "title": "an LSTM",
                "test_loss": 0.0005,
                "gradient_before": {"h": _norm(2e-3), "C": _norm(3e-2)},
                "gradient_after": {"h": _norm(4e-1), "C": _norm(5.0)},
            },
        }
    }
    table = demo_table(Adding(30), results)
    assert table.title == "Adding problem, 30 steps"
    heads = ["", "test error", "÷ baseline", "gradient at t=1", "before training", "after training"]
    assert [c.header for c in table.columns] == heads
    assert _rows(table) == [
        ["always 1", "0.1667", "1.00", "", "", ""],
        ["RNN", "0.1700", "1.02", "‖∂L/∂h₁‖", "1.0e-09", "< 1e-45"],
        ["an LSTM", "5.0e-04", "0.00", "‖∂L/∂h₁‖", "2.0e-03", "4.0e-01"],
        ["", "", "", "‖∂L/∂C₁‖", "3.0e-02", "5.0e+00"],
    ]


def test_the_table_of_scores() -> None:
    scores = {"lstm": Score(0.0123, 0.875, False), "gru": Score(0.001, 1.0, True)}
    assert _rows(score_table(Adding(30), scores)) == [
        ["always 1", "0.1667", "", ""],
        ["lstm", "0.0123", "87.5%", "no"],
        ["gru", "0.0010", "100.0%", "yes"],
    ]


@pytest.mark.parametrize(
    ("length", "steps", "measured"),
    [(50, 500, True), (49, 500, False), (50, 501, False), (100, 1, True)],
)
def test_what_was_measured_is_said_where_it_was(length, steps, measured) -> None:
    text = about_biases(LSTM(2, 3, memory=length), length, steps)
    assert f"a memory of {length} steps" in text
    assert ("does not learn in this budget" in text) == measured


def test_a_zero_is_called_zero() -> None:
    assert norm_text(_norm(0.0, "zero")) == "exactly 0"


def test_a_task_without_a_criterion_is_neither_solved_nor_unsolved() -> None:
    task = TextTask("she sells sea shells by the sea shore. " * 20, length=8)
    *_, row = _rows(score_table(task, {"lstm": Score(0.5, 0.25, False)}))
    assert row[-2:] == ["25.0%", "-"]
