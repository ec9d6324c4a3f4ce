"""Notebooks, executed: what a bare name in a cell shows, and the examples."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLE = Path(__file__).parent.parent / "examples" / "gradient_flow.ipynb"


def executed(book: Any, folder: Path) -> list[Any]:
    """The code cells of a notebook, run in a folder of its own; an error in one of them raises."""
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=resources).execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


SHOWN = {  # what a cell ends with -> the type that notebooks choose to show, and words in it
    "y": ("text/latex", [r"\tanh\left(W \, v\right) \cdot \sigma\left(x\right)", "float64"]),
    "W": ("text/latex", [r"W = \begin{bmatrix} 0.1 & 0.1 & 0.1"]),
    "mg.grad(y, W)": ("text/latex", [r"\mathtt{float64(4,\ 3)}"]),
    "f": ("text/html", ["Function on numpy", "float64(4, 3)"]),
    "f.report()": ("text/html", ["backend numpy: ", "tanh", "1 ×"]),
    "mg.adjoints(y)": ("text/plain", ["Adjoints of", "tanh(W @ v)"]),
    "mg.draw(y)": ("image/svg+xml", ["<svg", "tanh"]),
    "model": ("text/html", ["Model for adding(length=10", "Recurrent LSTM", "10 steps"]),
    "model.run(task.batch(np.random.default_rng(0), 2).xs)": ("text/plain", ["float32(2, 1)"]),
    "task": ("text/html", ["Adding problem", "always 1"]),
    "task.batch(np.random.default_rng(0), 2)": ("text/plain", ["xs=float32(10, 2, 2)"]),
    "lstm.LSTM(2, 3)": ("text/latex", [r"C &= f \cdot C_{\mathrm{before}} + i \cdot \tilde{C}"]),
    "lstm.Recurrent(lstm.LSTM(2, 3))": ("text/html", ["hidden_size=3", "zoneout"]),
    "lstm.Settings()": ("text/html", ["cosine"]),
    "fitted": ("text/html", ["Training ended: steps", "loss"]),
    "fitted.score": ("text/plain", ["Score(loss="]),
    "fitted.reports": ("text/plain", ["[Report(step=1, loss="]),
    "flow": ("text/html", ["LSTM: how the gradient flows back through 10 steps", "∂L/∂C"]),
    "lstm.compare(flow, flow)": ("text/html", ["side by side", "is as large as"]),
    "flow.knockouts()": ("text/plain", ["Knockout(route="]),
    "mg.var('</script>')": ("text/latex", ["script"]),
}
START = """
import numpy as np, lstm, minigrad as mg
x, v, W = mg.var("x"), mg.var("v", (3,)), mg.param("W", np.full((4, 3), 0.1))
y = mg.sum(mg.tanh(W @ v) * mg.sigmoid(x))
f = mg.function([x, v], [y, mg.grad(y, W)], backend="numpy")
task = lstm.Adding(length=10)
model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4)
flow = lstm.flow(model, *task.batch(np.random.default_rng(0), 3))
fitted = lstm.fit(model.copy(), task, lstm.Settings(steps=2), validate=0)
"""


@pytest.mark.slow
def test_a_bare_name_is_legible(tmp_path):
    cells = [nbformat.v4.new_code_cell(code) for code in (START, *SHOWN)]
    first, *rest = executed(nbformat.v4.new_notebook(cells=cells), tmp_path)
    assert first.outputs == []
    for cell, (kind, words) in zip(rest, SHOWN.values(), strict=True):
        (output,) = cell.outputs
        assert output.output_type == "execute_result"
        assert set(output.data) == {"text/plain", kind}
        assert len(output.data["text/plain"]) < 1000
        shown = output.data[kind]
        assert [word for word in words if word not in html.unescape(shown)] == []
        assert "<script" not in shown


@pytest.mark.slow
def test_the_example_runs_says_what_is_so_and_is_kept_without_outputs(tmp_path):
    book = nbformat.read(EXAMPLE, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert [cell.id for cell in book.cells] == [f"cell-{k}" for k in range(len(book.cells))]
    shown = {}
    for cell in executed(book, tmp_path):
        *_, last = cell.source.splitlines()
        assert [output.output_type for output in cell.outputs] == ["execute_result"]
        shown[last] = cell.outputs[0].data
    # "Along it a gradient meets the forget gate, and nothing else. The derivative says so."
    slope = shown["mg.grad(mg.sum(C), C_before)"]
    assert slope["text/latex"] == r"$\displaystyle f \quad \mathtt{float32(1,\ 16)}$"
    # "... σ(1) = 0.73, which is gone in a few steps, too. A cell made for a task ... remember ..."
    lines = shown["compared"]["text/plain"].splitlines()
    first = {line.split("  ")[1]: float(line.split("∂L/∂")[1].split()[1])
             for line in reversed(lines) if "∂L/∂" in line and line.startswith("  ")}  # fmt: skip
    assert first["RNN"] < 1e-15 < first["LSTM, usual bias"] < 1e-6
    assert first["LSTM, memory of 100"] > 1e-3
    assert " 9" in shown["fitted"]["text/plain"].split("loss")[-1]  # 9x.x % correct
