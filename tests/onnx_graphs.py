"""Graphs of ONNX of two recurrent layers and of one node, for tests of what is read of them."""

from __future__ import annotations

import numpy as np
from onnx_peer import B, H, I, T, graph_of, helper, one_node, onnx, weights

O, V = 4, 9  # noqa: E741
RNG = np.random.default_rng(3)
XS = RNG.standard_normal((T, B, I)).astype("float32")
FLAT = np.array([0, 0, -1])


def node(op, reads, gives, name="", **attributes):
    return helper.make_node(op, reads.split(), gives.split(), name, **attributes)


def recurrent(op, x, y, place, more="", **attributes):
    reads = f"{x} {place}W {place}R {place}B {more}".split(" ")
    gives = [y, f"{y}_h", f"{y}_c"][: 3 if op == "LSTM" else 2]
    return helper.make_node(op, reads, gives, place, hidden_size=H, **attributes)


def drawn(place, op, ways=1, inputs=I):
    seed = sum(map(ord, place))
    return {f"{place}{n}": w for n, w in weights(op, "float32", ways, inputs, seed=seed).items()}


def two_layers(*after, inputs=None, outputs=None, more=(), **arrays):
    """A GRU both ways, and an LSTM backward above it, and nodes after both."""
    given = {"b_xs": ("float32", (T, B, I))} if inputs is None else inputs
    nodes = [
        *more,
        recurrent("GRU", "xs" if more else "b_xs", "a", "a.", direction="bidirectional"),
        node("Transpose", "a", "a2", perm=[0, 2, 1, 3]),
        node("Reshape", "a2 flat", "a3"),
        recurrent("LSTM", "a3", "b", "b.", direction="reverse"),
        node("Squeeze", "b one", "b2"),
        *after,
    ]
    arrays |= drawn("a.", "GRU", 2) | drawn("b.", "LSTM", 1, 2 * H)
    arrays |= {"flat": FLAT, "one": np.array([1]), "end": np.array(0), "last": np.array(-1)}
    return graph_of(nodes, given, outputs or {"b2": ("float32", (T, B, H))}, arrays)


LINEAR = {"W": RNG.standard_normal((H, O)), "c": RNG.standard_normal(O)}
LINEAR = {name: array.astype("float32") for name, array in LINEAR.items()}
SCORES = {"y": ("float32", (T, B, O))}
AFTER = {
    "a map of every step": (
        [node("MatMul", "b2 W", "z"), node("Add", "z c", "y")],
        SCORES,
    ),
    "its bias first": ([node("MatMul", "b2 W", "z"), node("Add", "c z", "y")], SCORES),
    "without a bias": ([node("MatMul", "b2 W", "y")], SCORES),
    "the end of steps, a Gemm": (
        [node("Gather", "b2 end", "e"), node("Gemm", "e W c", "y")],
        {"y": ("float32", (B, O))},
    ),
    "a map, then the end": (
        [node("MatMul", "b2 W", "z"), node("Gather", "z end", "y")],
        {"y": ("float32", (B, O))},
    ),
    "the state": (
        [node("Gather", "b_h last", "e"), node("Dropout", "e", "d"), node("MatMul", "d W", "y")],
        {"y": ("float32", (B, O))},
    ),
}


def with_one(kind="LSTM", **options):
    return one_node(kind, **options)


def changed(graph, change):
    """A copy to which something was done."""
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    change(copy.graph)
    return copy
