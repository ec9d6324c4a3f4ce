"""How results are printed: tables, sentences and JSON, on standard output."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from lstm.plain_values import jsonable
from lstm.tasks import Task
from lstm.training import Score

SMALLEST = "< 1e-45"  # what float32 cannot tell from zero


def demo_table(task: Task, results: dict[str, Any]) -> Table:
    """Both test errors beside the baseline, and the gradients that reach t = 1."""
    table = Table(
        "",
        "test error",
        "÷ baseline",
        "gradient at t=1",
        "before training",
        "after training",
        title=f"Adding problem, {task.steps} steps",
    )
    table.add_row("always 1", f"{task.baseline:.4f}", "1.00", "", "", "")
    for name, numbers in results["models"].items():
        first = [name.upper(), _loss_text(numbers["test_loss"])]
        first.append(f"{numbers['test_loss'] / task.baseline:.2f}")
        for part in numbers["gradient_before"]:
            norms = [norm_text(numbers[f"gradient_{when}"][part]) for when in ("before", "after")]
            table.add_row(*first, f"‖∂L/∂{part}₁‖", *norms)
            first = ["", "", ""]
    return table


def about_biases(length: int, steps: int) -> str:
    """What the demo's comparison owes to how the LSTM starts."""
    text = f"The LSTM's gate biases are set for a memory of {length} steps (Tallec & Ollivier 2018)"
    # Seen at 50 and 100 steps, three seeds each: with b_f = 1 the error stays at 0.166 to 0.176.
    measured = length >= 50 and steps <= 500
    return text + ("; without that it does not learn in this budget either." if measured else ".")


def score_table(task: Task, scores: dict[str, Score]) -> Table:
    """Test losses beside the baseline."""
    table = Table("", "test loss", "correct", "solved", title=f"{task.name}, {task.steps} steps")
    table.add_row("baseline", f"{task.baseline:.4f}", "", "")
    for name, score in scores.items():
        solved = "yes" if score.solved else "no"
        table.add_row(name, _loss_text(score.loss), f"{score.correct:.1%}", solved)
    return table


def console() -> Console:
    """Standard output, on which a file's name is never taken for markup."""
    return Console(markup=False, emoji=False, highlight=False)


def _loss_text(loss: float) -> str:
    return f"{loss:.4f}" if loss >= 0.001 else f"{loss:.1e}"


def norm_text(measured: dict[str, Any]) -> str:
    """A norm as flow measures it; a product too small for its dtype is not called zero."""
    return SMALLEST if measured["kind"] == "underflow" else f"{measured['norm']:.1e}"


def printable(text: str) -> str:
    """Text from a file or a name without what would steer a terminal.

    >>> printable("a\\x1b[31mb")
    'a\ufffd[31mb'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def print_json(results: Any) -> int:
    """Print results for a machine; returns the exit status."""
    print(json.dumps(jsonable(results), indent=2, allow_nan=False))
    return 0
