"""How results are printed: tables, sentences and JSON, on standard output.

Tables fit 60 columns without a word that is cut; a test prints them all.
"""

from __future__ import annotations

import json
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from lstm.percents import percent
from lstm.plain_values import jsonable
from lstm.tasks import Task
from lstm.training import Score
from minigrad.drawing.amount import told

SMALLEST = "< 1e-45"  # what float32 cannot tell from zero


def table(*heads: str, title: str | None = None) -> Table:
    """An empty table with a rule under its heads, and none between columns."""
    return Table(
        *heads,
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def demo_table(task: Task, results: dict[str, Any]) -> Table:
    """Both test errors beside the baseline, and the gradients that reach t = 1."""
    heads = ["", "test error", "÷ baseline", "gradient at t=1", "before training", "after training"]
    rows = table(*heads, title=f"{task.heading}, {task.steps} steps")
    rows.add_row(task.baseline_words, f"{task.baseline:.4f}", "1.00", "", "", "")
    for numbers in results["models"].values():
        first = [numbers["title"], loss_text(numbers["test_loss"])]
        first.append(f"{numbers['test_loss'] / task.baseline:.2f}")
        for part in numbers["gradient_before"]:
            norms = [norm_text(numbers[f"gradient_{when}"][part]) for when in ("before", "after")]
            rows.add_row(*first, f"‖∂L/∂{part}₁‖", *norms)
            first = ["", "", ""]
    return rows


def score_table(task: Task, scores: dict[str, Score]) -> Table:
    """Test losses, in the task's own unit, beside the baselines."""
    title = f"{task.heading}, {task.steps} steps"
    rows = table("", task.unit, "correct", "solved", title=title)
    for name, loss in task.baselines.items():
        rows.add_row(name, f"{task.in_unit(loss):.4f}", "", "")
    for name, score in scores.items():
        said = loss_text(task.in_unit(score.loss))
        rows.add_row(name, said, percent(score.correct), solved_text(task, score))
    return rows


def solved_text(task: Task, score: Score) -> str:
    """Whether a task is solved, where there is a criterion to meet."""
    return ("yes" if score.solved else "no") if task.has_criterion else "-"


def console() -> Console:
    """Standard output, on which a file's name is never taken for markup."""
    return Console(markup=False, emoji=False, highlight=False)


def loss_text(loss: float) -> str:
    """A loss in a few letters."""
    return f"{loss:.4f}" if loss >= 0.001 else f"{loss:.1e}"


def norm_text(measured: dict[str, Any]) -> str:
    """A norm as flow measures it; a product too small for its dtype is not called zero."""
    kind = measured["kind"]
    return SMALLEST if kind == "underflow" else told(measured["norm"], kind, 1)


LINES = "\n\t"


def printable(text: str, also: str = "") -> str:
    """Text from a file or a name without what would steer a terminal; also: characters that stay,
    such as LINES.

    >>> printable("a\\x1b[31mb\\n"), printable("a\\tb\\n\\x1b", LINES)
    ('a\ufffd[31mb\ufffd', 'a\\tb\\n\ufffd')
    """
    return "".join(c if c.isprintable() or c in also else "\ufffd" for c in text)


def print_json(results: Any, indent: int | None = 2) -> int:
    """Print results for a machine, in one line where indent is None; returns the exit status."""
    print(json.dumps(jsonable(results), indent=indent, allow_nan=False), flush=True)
    return 0
