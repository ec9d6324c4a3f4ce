"""Graphs of ONNX with recurrent nodes: what of one is taken for what, what is refused, and in which
words.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx_graphs import AFTER, LINEAR, RNG, SCORES, XS, O, V, changed, node, two_layers, with_one
from onnx_peer import LENGTHS, B, H, I, T, assert_close, helper, onnx, run_ort, tensor

import lstm

pytestmark = pytest.mark.usefixtures("by_numpy")


@pytest.mark.parametrize("after", AFTER)
def test_what_stands_after_the_layers(after):
    nodes, outputs = AFTER[after]
    graph = two_layers(*nodes, outputs=outputs, **LINEAR)
    model = lstm.from_onnx(graph)
    assert list(model.recurrent()) == ["layer1.forward", "layer1.backward", "layer2"]
    assert_close(model.run(XS).output, run_ort(graph, {"b_xs": XS})["y"])


def test_an_embedding_before_them():
    graph = two_layers(
        inputs={"tokens": ("int64", (T, B))},
        more=[node("Gather", "E tokens", "xs")],
        E=RNG.standard_normal((V, I)).astype("float32"),
    )
    tokens = RNG.integers(0, V, (T, B))
    model = lstm.from_onnx(graph)
    assert model.input_size == V
    assert_close(model.run(tokens).output, run_ort(graph, {"tokens": tokens})["b2"])


def test_ways_of_a_state_are_put_side_by_side():
    nodes = [
        node("Gather", "a_h end", "f", axis=0),
        node("Gather", "a_h last", "g", axis=0),
        node("Concat", "f g", "h", axis=1),
        node("MatMul", "h W2", "y"),
    ]
    W = {"W2": RNG.standard_normal((2 * H, O)).astype("float32")}
    graph = two_layers(*nodes, outputs={"y": ("float32", (B, O))}, **W)
    model = lstm.from_onnx(graph, output="y")
    assert list(model.recurrent()) == ["layer1.forward", "layer1.backward"]
    assert_close(model.run(XS).output, run_ort(graph, {"b_xs": XS})["y"])
    crossed = [node("Concat", "g f", "h", axis=1) if n.op_type == "Concat" else n for n in nodes]
    graph = two_layers(*crossed, outputs={"y": ("float32", (B, O))}, **W)
    with pytest.raises(lstm.ConfigError, match="'y' is what 'MatMul' makes"):
        lstm.from_onnx(graph)


def test_the_value_that_is_meant():
    nodes = [node("MatMul", "b2 W", "z"), node("Softmax", "z", "y")]
    graph = two_layers(*nodes, outputs=SCORES, **LINEAR)
    with pytest.raises(lstm.ConfigError, match=r"'y' is what 'Softmax' makes.*: .*b2, .*z$"):
        lstm.from_onnx(graph)
    values = lstm.from_onnx(graph, output="z").values()
    np.testing.assert_array_equal(values["readout.W_y"], LINEAR["W"])
    with pytest.raises(lstm.ConfigError, match="no value 'nobody'"):
        lstm.from_onnx(graph, output="nobody")
    assert lstm.from_onnx(graph, output="z", read="last").run(XS).output.shape == (B, O)


# --- what no model has ---------------------------------------------------------------------------


def _no_nodes(graph):
    graph.ClearField("node")
    graph.node.append(node("Relu", "X", "Y"))


def _weights_are_inputs(graph):
    graph.ClearField("initializer")
    for name in "WRB":
        graph.input.append(helper.make_tensor_value_info(name, 1, None))


def _other_rows(graph):
    graph.initializer[1].CopyFrom(tensor("R", np.zeros((1, 4 * H + 1, H), "float32")))


def _another_start(graph):
    graph.input.pop()
    graph.initializer.append(tensor("initial_h", np.ones((1, B, H), "float32")))


def _lengths_that_are_constant(graph):
    graph.input.pop()
    graph.initializer.append(tensor("sequence_lens", LENGTHS.astype("int32")))


def _start_of_another(graph):
    graph.node.insert(0, node("Sin", "initial_h", "s"))
    graph.node[1].input[5] = "s"


def _own(**attributes):
    def change(graph):
        for name, value in attributes.items():
            graph.node[0].attribute.append(helper.make_attribute(name, value))

    return change


def _integers(graph):
    graph.initializer[0].CopyFrom(tensor("W", np.ones((1, 4 * H, I), "int64")))


def _backwards(graph):
    graph.node.insert(0, node("Identity", "Y", "Z"))


def _twice(graph):
    graph.node.append(graph.node[0])


START = {"told": ("initial_h",)}
CHANGES = {
    "an ONNX model without a node LSTM, GRU or RNN; it has Relu": ({}, _no_nodes),
    r"node 'Y' \(LSTM\): its W is an input of the graph, and must be": ({}, _weights_are_inputs),
    r"its R is \(1, 21, 5\), and not \(1, 20, 5\)": ({}, _other_rows),
    "its initial_h is a constant other than 0": (START, _another_start),
    "its initial_h is what 'Sin' makes": (START, _start_of_another),
    "its sequence_lens is no input": ({"told": ("sequence_lens",)}, _lengths_that_are_constant),
    "it clips what activations read to ±3, which no cell does": ({}, _own(clip=3.0)),
    "activations are sigmoid, relu, tanh, which no": (
        {},
        _own(activations=["Sigmoid", "Relu", "Tanh"]),
    ),
    "activations are softsign, which .*of an RNN Relu": (
        {"kind": "RNN"},
        _own(activations=["Softsign"]),
    ),
    "has peepholes, and gates that are coupled": ({"peepholes": True}, _own(input_forget=1)),
    "its direction is 'sideways'": ({}, _own(direction="sideways")),
    "its hidden_size is 7, and its R": ({}, _own(hidden_size=7)),
    "its direction is of the wrong type": ({}, _own(direction=3)),
    "tensor 'W' is of int64, and weights are floats": ({}, _integers),
    "it reads 'Y', which nothing before it makes": ({}, _backwards),
    "two values are called 'Y'": ({}, _twice),
}


@pytest.mark.parametrize("words", CHANGES)
def test_what_no_model_has_is_refused(words, tmp_path):
    options, change = CHANGES[words]
    graph = changed(with_one(**options), change)
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.from_onnx(graph)
    path = tmp_path / "net.onnx"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(lstm.ModelFileError, match=rf"^cannot read .*net\.onnx: .*{words}"):
        lstm.from_onnx(path)


ENDS = {
    "of both ways the last step": {"direction": "bidirectional"},
    "of padded sequences the last step": {"told": ("sequence_lens",)},
    "of what reads backward the last step": {"direction": "reverse"},
}


@pytest.mark.parametrize("end", ENDS)
def test_the_last_step_is_not_each_ways_own_end(end):
    def change(graph):
        graph.initializer.append(tensor("last", np.array(-1)))
        graph.node.append(node("Gather", "Y last", "y", axis=0))
        del graph.output[:]
        graph.output.append(helper.make_tensor_value_info("y", 1, None))

    with pytest.raises(lstm.ConfigError, match="'y' is what 'Gather' makes"):
        lstm.from_onnx(changed(with_one(**ENDS[end]), change))


def test_layers_that_are_left_over():
    graph = two_layers(outputs={"a3": ("float32", (T, B, 2 * H))})
    with pytest.raises(lstm.ConfigError, match="2 recurrent nodes, of which the output reads 1"):
        lstm.from_onnx(graph)
    assert len(lstm.from_onnx(graph, output="a3").recurrent()) == 2


def test_axes_that_do_not_fit_the_layer_above():
    def change(graph):
        graph.node[1].attribute[0].ints[:] = [2, 0, 1, 3]  # (B, T, …) into a layer of layout 0

    with pytest.raises(lstm.ConfigError, match="other axes than"):
        lstm.from_onnx(changed(two_layers(), change))


def test_float16_comes_in_as_float32():
    def change(graph):
        for weight in graph.initializer:
            array = onnx.numpy_helper.to_array(weight).astype("float16")
            weight.CopyFrom(tensor(weight.name, array))

    graph = changed(with_one("GRU"), change)
    model = lstm.from_onnx(graph)
    assert model.dtype == "float32"
    W = onnx.numpy_helper.to_array(graph.graph.initializer[0])[0]
    np.testing.assert_array_equal(model.values()["layer1.W_r"][H:], W[H : 2 * H].T)
