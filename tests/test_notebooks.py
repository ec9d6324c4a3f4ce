"""Notebooks, executed: what a bare name in a cell shows."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient


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
    "mg.var('</script>')": ("text/latex", ["script"]),
}
START = """
import numpy as np, lstm, minigrad as mg
x, v, W = mg.var("x"), mg.var("v", (3,)), mg.param("W", np.full((4, 3), 0.1))
y = mg.sum(mg.tanh(W @ v) * mg.sigmoid(x))
f = mg.function([x, v], [y, mg.grad(y, W)], backend="numpy")
task = lstm.Adding(length=10)
model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4)
fitted = lstm.fit(model.copy(), task, lstm.Settings(steps=2), validate=0)
"""


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
