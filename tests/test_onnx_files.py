"""ONNX files that are damaged, or made to do harm: each ends in a sentence, and no file outside of
the model's folder is read.
"""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from onnx_graphs import AFTER, LINEAR, changed, node, two_layers, with_one
from onnx_peer import H, I, helper, onnx, tensor

import lstm

pytestmark = pytest.mark.usefixtures("by_numpy")


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


@pytest.mark.parametrize("op", ["Mul", "Gather", "Slice", "Concat"])
@pytest.mark.parametrize("end", [1, 3])
def test_an_op_of_a_shape_alone(op, end, path):
    def change(graph):
        graph.node.insert(0, node("Shape", "X", "s", start=0, end=end))
        graph.node.insert(1, node(op, "s", "made", **({"axis": 0} if op == "Concat" else {})))

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
