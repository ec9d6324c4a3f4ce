"""Graphs of ONNX with recurrent nodes: what of one is taken for what, what is refused, and in which
words; and files that are damaged, or made to do harm.
"""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from onnx_peer import (
    LENGTHS,
    B,
    H,
    I,
    T,
    assert_close,
    graph_of,
    helper,
    one_node,
    onnx,
    run_ort,
    tensor,
    weights,
)

import lstm

pytestmark = pytest.mark.usefixtures("by_numpy")
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


def with_one(kind="LSTM", **options):
    return one_node(kind, **options)


def changed(graph, change):
    """A copy to which something was done."""
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    change(copy.graph)
    return copy


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


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def refused(path, words):
    with pytest.raises(lstm.ModelFileError, match=words) as told:
        lstm.from_onnx(path)
    assert len(str(told.value)) < 500 and str(told.value).isprintable()


def test_a_file_is_what_its_bytes_are(path):
    path.write_bytes(with_one().SerializeToString())
    assert lstm.from_onnx(str(path)).cell == lstm.LSTM(I, H)
    text = path.with_suffix(".textproto")  # the package would read it by its name
    text.write_bytes(path.read_bytes())
    assert lstm.from_onnx(text).cell == lstm.LSTM(I, H)


def test_files_that_are_none(path, tmp_path):
    refused(tmp_path / "none.onnx", "No such file")
    refused(tmp_path, "no regular file")
    path.write_bytes(pickle.dumps(os.getcwd))
    refused(path, "pickle")
    path.write_bytes(b"")
    refused(path, "empty|no ONNX model")
    path.write_bytes(b"\x08\x08")
    refused(path, "no graph")
    with pytest.raises(lstm.ConfigError, match="not an object of the class int"):
        lstm.from_onnx(3)
    with pytest.raises(lstm.ModelFileError, match="no file can be called so"):
        lstm.from_onnx("a\0b")


def test_files_that_are_cut_or_damaged_end_in_a_sentence(path):
    data = with_one(told=("initial_h", "sequence_lens"), peepholes=True).SerializeToString()
    rng = np.random.default_rng(0)
    for k in range(300):
        damaged = bytearray(data)
        if k % 4 == 0:
            del damaged[rng.integers(len(damaged)) :]
        for at in rng.integers(len(damaged), size=k % 4) if damaged else ():
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        said = _said_of(path)
        assert len(said) < 700 and said.isprintable()


def _said_of(path):
    try:
        return str(lstm.from_onnx(path).cell)
    except lstm.LstmError as error:
        return str(error)


def test_graphs_that_were_changed_at_random_end_in_a_sentence(path):
    """Ops, what they read and numbers of their attributes."""
    nodes, outputs = AFTER["the state"]
    data = two_layers(*nodes, outputs=outputs, **LINEAR).SerializeToString()
    ops = ["Gather", "MatMul", "Add", "Gemm", "Concat", "Slice", "Squeeze", "Reshape", "Transpose"]
    ops += [
        "Shape",
        "Mul",
        "Expand",
        "LSTM",
        "GRU",
        "RNN",
        "Dropout",
        "Identity",
        "Constant",
        "ConstantOfShape",
        "Unsqueeze",
    ]
    rng, said = np.random.default_rng(1), set()
    for _ in range(400):
        model = onnx.ModelProto.FromString(data)
        names = [n for node in model.graph.node for n in (*node.input, *node.output) if n]
        for one in rng.choice(model.graph.node, 2):
            match rng.integers(5):
                case 0:
                    one.op_type = rng.choice(ops)
                case 1 if one.input:
                    del one.input[rng.integers(len(one.input)) :]
                case 2:
                    one.input.insert(rng.integers(2), rng.choice([*names, ""]))
                case 3 if one.input:
                    one.input[rng.integers(len(one.input))] = rng.choice(names)
                case _:
                    for attribute in one.attribute:
                        attribute.i = rng.choice([-(2**62), -1, 0, 1, 2**62])
                        attribute.ints[:] = rng.integers(-5, 5, len(attribute.ints)).tolist()
        path.write_bytes(model.SerializeToString())
        said.add(_said_of(path))
    assert len(said) > 50 and all(len(text) < 700 and text.isprintable() for text in said)


SIZES = {
    "more than there is": [1, 4 * H, 2**31],
    "of a product beyond 64 bits": [2**32, 2**32, 2**32],
    "negative": [1, -4 * H, I],
    "of many axes": [1] * 70,
    "of nothing, and huge": [0, 2**39, 2**39],
}


@pytest.mark.parametrize("dims", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("raw", [True, False])
def test_sizes_that_the_bytes_do_not_have(dims, raw, path):
    def change(graph):
        weight = graph.initializer[0]
        if not raw:
            weight.float_data.extend(np.frombuffer(weight.raw_data, "float32"))
            weight.ClearField("raw_data")
        weight.dims[:] = dims

    path.write_bytes(changed(with_one(), change).SerializeToString())
    refused(path, "tensor 'W'|its W and R")


def test_names_are_told_in_one_line(path):
    name = "evil\n\x1b[31m" + "x" * 10_000

    def change(graph):
        graph.node.append(node("Relu", "Y", "y"))
        graph.node[-1].output[0] = name
        graph.node[-1].op_type = name
        graph.output.append(helper.make_tensor_value_info(name, 1, None))

    path.write_bytes(changed(with_one(), change).SerializeToString())
    refused(path, r"evil\\n\\x1b")


def test_constants_that_double_and_double_end(path):
    def change(graph):
        graph.initializer.append(tensor("c0", np.ones(1000, "float32")))
        for k in range(200):
            graph.node.append(node("Concat", f"c{k} c{k}", f"c{k + 1}", axis=0))

    path.write_bytes(changed(with_one(), change).SerializeToString())
    assert lstm.from_onnx(path).cell == lstm.LSTM(I, H)


def test_lengths_of_axes_that_double_and_double_end(path):
    def change(graph):
        graph.node.insert(0, node("Shape", "X", "s0", start=0, end=1))
        for k in range(200):
            kind, more = ("Concat", {"axis": 0}) if k % 2 else ("Mul", {})
            graph.node.insert(k + 1, node(kind, f"s{k} s{k}", f"s{k + 1}", **more))
        graph.node.insert(201, node("Concat", " ".join(["s0"] * 1000), "many", axis=0))

    path.write_bytes(changed(with_one(), change).SerializeToString())
    assert lstm.from_onnx(path).cell == lstm.LSTM(I, H)


def external(path, location, **more):
    """A file whose W lies elsewhere."""

    def change(graph):
        weight = graph.initializer[0]
        elsewhere = path.parent / "weights.bin"
        elsewhere.write_bytes(b"\0" * 8 + weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = 1
        said = {"location": location, "offset": "8"} | more
        for key, value in said.items():
            weight.external_data.add(key=key, value=value)

    graph = changed(with_one(), change)
    path.write_bytes(graph.SerializeToString())
    return graph


def test_tensors_in_files_of_the_folder_are_read(path):
    graph = external(path, "weights.bin", length=str(4 * 4 * H * I))
    values = lstm.from_onnx(path).values()
    for name, value in lstm.from_onnx(with_one()).values().items():
        np.testing.assert_array_equal(values[name], value)
    with pytest.raises(lstm.ConfigError, match=r"in another file, 'weights\.bin': give the path"):
        lstm.from_onnx(graph)


LOCATIONS = {
    "above": ("../secret.bin", {}, "only files in the model's own folder"),
    "absolute": ("/etc/passwd", {}, "only files in the model's own folder"),
    "a link": ("link.bin", {}, "only files in the model's own folder"),
    "the folder": (".", {}, "only files in the model's own folder"),
    "nowhere": ("none.bin", {}, "which is not there"),
    "without a name": ("", {}, "only files in the model's own folder"),
    "beyond its end": ("weights.bin", {"length": "999999999999"}, "which has 248 bytes"),
    "before its start": ("weights.bin", {"offset": "-8"}, "only files"),
    "no number": ("weights.bin", {"offset": "eight"}, "where cannot be read"),
    "a name that none has": ("a\0b", {}, "where cannot be read"),
    "too few": ("weights.bin", {"length": "8"}, "has 8 bytes"),
}


@pytest.mark.parametrize("where", LOCATIONS)
def test_no_file_outside_of_the_folder_is_read(where, tmp_path):
    location, more, words = LOCATIONS[where]
    folder = tmp_path / "net"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 10_000)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    external(folder / "net.onnx", location, **more)
    refused(folder / "net.onnx", f"tensor 'W'.*{words}")
