"""Random graphs and random loops as ONNX files, with their gradients: onnxruntime computes what
NumPy does, or onnx's own evaluator where onnxruntime has no kernel of float64.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from test_onnx_ops import assert_same, written
from test_properties import LEAVES, graphs, points
from test_scan import random_loop

import minigrad as mg


def same(outputs, at):
    """What the file of some outputs gives is what NumPy does."""
    outputs = dict.fromkeys(y * 1 for y in outputs)  # equal ones are one, of one name
    named = {f"y{k}": y.named(f"y{k}") for k, y in enumerate(outputs)}
    with TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        written(named, path, inputs=[*at])
        assert_same(path, named, [*at], [*at.values()])


@given(graphs(), points())
@settings(max_examples=25)
def test_random_graphs_and_their_gradients(y, at):
    gradients = mg.grad(mg.sum(y * y), LEAVES)
    same([y, *gradients, *mg.grad(mg.sum(mg.sin(gradients[0])), LEAVES[:2])], at)


@given(st.data())
@settings(max_examples=10)
def test_random_loops_and_their_gradients(data):
    same(*random_loop(data.draw))
