"""ONNX's nodes LSTM, GRU and RNN as models: outputs and last states beside onnxruntime, beside
onnx's own evaluator in float64, and in the node cases that the onnx package brings.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from onnx_peer import (
    LENGTHS,
    B,
    H,
    I,
    T,
    assert_close,
    feeds_of,
    numpy_helper,
    one_node,
    onnx,
    run_of,
    run_ort,
    run_reference,
    tensor,
)

import lstm

DIRECTIONS = ("forward", "reverse", "bidirectional")
KINDS = {
    "lstm": ("LSTM", {}, lstm.LSTM),
    "peepholes": ("LSTM", {"peepholes": True}, lstm.PeepholeLSTM),
    "coupled": ("LSTM", {"input_forget": 1}, lstm.CoupledLSTM),
    "gru before": ("GRU", {"linear_before_reset": 0}, lstm.GRU),
    "gru after": ("GRU", {"linear_before_reset": 1}, lstm.GRUAfter),
    "tanh": ("RNN", {}, lstm.RNN),
    "relu": ("RNN", {"activations": ["Relu"]}, lstm.RNN),
}
STATES = {"LSTM": ("initial_h", "initial_c"), "GRU": ("initial_h",), "RNN": ("initial_h",)}
directions = pytest.mark.parametrize("direction", DIRECTIONS)
kinds = pytest.mark.parametrize("kind", KINDS)


def built(kind, direction, dtype="float32", told=(), **more):
    op, attributes, _ = KINDS[kind]
    if "activations" in attributes and direction == "bidirectional":
        attributes = {"activations": attributes["activations"] * 2}
    return one_node(op, dtype, direction=direction, told=told, **attributes, **more)


@kinds
@directions
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
@pytest.mark.parametrize("states", [False, True], ids=["from 0", "from states"])
def test_a_node_is_what_onnxruntime_computes(kind, direction, lengths, states):
    op, _, cell = KINDS[kind]
    told = (*(() if lengths is None else ("sequence_lens",)), *(STATES[op] if states else ()))
    node = built(kind, direction, told=told)
    model = lstm.from_onnx(node)
    assert type(model.cell) is cell and model.cell == cell(I, H, **_rectified(kind))
    feeds = feeds_of(node, lengths)
    theirs, ours = run_ort(node, feeds), run_of(model, feeds)
    assert theirs.keys() == ours.keys()
    for name, values in theirs.items():
        assert_close(ours[name], values, name)


def _rectified(kind):
    return {"rectified": True} if kind == "relu" else {}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"relu"}))  # of which it knows nothing
@directions
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_of_float64_it_is_what_the_evaluator_computes(kind, direction, lengths):
    """It knows neither lengths nor coupled gates: each sequence is run by itself, and f = 1 - i
    is σ of the other sign."""
    op, *_ = KINDS[kind]
    told = (*(() if lengths is None else ("sequence_lens",)), *STATES[op])
    node = built(kind, direction, "float64", told=told)
    feeds = feeds_of(node, lengths)
    ours = run_of(lstm.from_onnx(node), feeds)
    plain = built("lstm" if kind == "coupled" else kind, direction, "float64", told=STATES[op])
    if kind == "coupled":
        _tie_gates(plain)
    for b, steps in enumerate([T] * B if lengths is None else lengths):
        one = {"X": feeds["X"][:steps, [b]]}
        one |= {name: feeds[name][:, [b]] for name in STATES[op]}
        theirs = run_reference(plain, one)
        assert_close(ours["Y"][:steps, :, [b]], theirs["Y"])
        for name in theirs.keys() - {"Y"}:
            assert_close(ours[name][:, [b]], theirs[name], name)


def _tie_gates(model):
    """Give the forget gate the input gate's weights with the other sign."""
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight).copy()
        parts = array.reshape(len(array), -1, H, *array.shape[2:])  # i, o, f, c; of B twice
        parts[:, 2::4] = -parts[:, 0::4]
        weight.CopyFrom(tensor(weight.name, array))


@directions
@pytest.mark.parametrize("kind", ["peepholes", "gru after", "tanh"])
def test_layout_1_is_the_same_with_axes_changed(kind, direction):
    op, *_ = KINDS[kind]
    node = built(kind, direction, told=STATES[op], layout=1)
    feeds = feeds_of(node)
    theirs = run_reference(node, feeds)
    ours = run_of(lstm.from_onnx(node), feeds, batch_first=True)
    assert_close(ours["Y"], theirs["Y"].transpose(1, 2, 0, 3))
    assert_close(ours["Y_h"], theirs["Y_h"].swapaxes(0, 1))


# --- the cases of the onnx package ---------------------------------------------------------------


def _cases():
    for name in ("lstm", "gru", "rnn"):  # each adds its own to a list as it is imported
        importlib.import_module(f"onnx.backend.test.case.node.{name}")
    cases = importlib.import_module("onnx.backend.test.case.node")._NodeTestCases
    own = [case for case in cases if case.model.graph.node[0].op_type in STATES]
    return {case.name: case for case in own}


CASES = _cases()


def test_there_are_cases_of_all_kinds():
    ops = [case.model.graph.node[0].op_type for case in CASES.values()]
    assert min(ops.count(op) for op in STATES) >= 4
    words = " ".join(CASES)
    assert all(word in words for word in ("length", "peephole", "batchwise", "bias"))


@pytest.mark.parametrize("name", CASES)
def test_the_cases_of_the_onnx_package(name):
    case = CASES[name]
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    (node,) = model.graph.node
    constant = {n for k, n in enumerate(node.input) if k in (1, 2, 3, 7) and n}
    ((inputs, expected),) = case.data_sets
    names = [given.name for given in model.graph.input]
    feeds = dict(zip(names, inputs, strict=True))
    for given in list(model.graph.input):
        if given.name in constant:
            model.graph.initializer.append(tensor(given.name, feeds.pop(given.name)))
            model.graph.input.remove(given)
    roles = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
    role = dict(zip(node.input, roles, strict=False))
    layout = any(a.name == "layout" and a.i for a in node.attribute)
    ours = run_of(lstm.from_onnx(model), {role[n]: v for n, v in feeds.items()}, batch_first=layout)
    outputs = dict(zip(node.output, ("Y", "Y_h", "Y_c"), strict=False))
    for given, values in zip(model.graph.output, expected, strict=True):
        what = outputs[given.name]
        if layout:
            values = values.transpose(1, 2, 0, 3) if what == "Y" else values.swapaxes(0, 1)
        assert_close(ours[what], values, what)


def test_lengths_keep_padding_out():
    node = built("lstm", "bidirectional", told=("sequence_lens",))
    model, feeds = lstm.from_onnx(node), feeds_of(node, LENGTHS)
    padding = np.arange(T)[:, None] >= LENGTHS
    assert padding.shape == (T, B)
    expected = run_of(model, feeds)
    feeds["X"][padding] = np.nan
    for name, values in run_of(model, feeds).items():
        np.testing.assert_array_equal(values, expected[name])
