"""Files of other programs are told by what is in them, whatever their names, and never run."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from lstm.cells import RNN
from lstm.cli import main
from lstm.errors import ModelFileError
from lstm.model import Model

RAN = []


class _Bomb:
    """What a pickle runs when it is loaded."""

    def __reduce__(self):
        return RAN.append, (1,)


def _zip(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, pickle.dumps(_Bomb()))


def _field(number, data):
    """A field of bytes of a protocol buffer, by its specification."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number):
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


GRAPH = _field(7, bytes(300))
ONNX = b"\x08\x08" + _field(2, b"pytorch") + _field(8, b"\x10\x11") + GRAPH
MAKE = {
    "it is a checkpoint of PyTorch": lambda p: _zip(p, ["net/data.pkl", "net/data/0"]),
    "it is a model of Keras": lambda p: _zip(p, ["config.json", "model.weights.h5"]),
    "it is arrays of NumPy": lambda p: _zip(p, ["W.npy", "b.npy"]),
    "it is a zip archive": lambda p: _zip(p, ["letter.txt"]),
    "it is a damaged zip archive": lambda p: p.write_bytes(b"PK\x03\x04" + bytes(40)),
    "it is a pickle, which can run any code": lambda p: p.write_bytes(pickle.dumps(_Bomb())),
    "it is an ONNX model": lambda p: p.write_bytes(ONNX),
    "it is an HDF5 file": lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90)),
    "it is an array of NumPy": lambda p: p.write_bytes(b"\x93NUMPY\x01\0" + bytes(90)),
    "it is a GGUF file": lambda p: p.write_bytes(b"GGUF" + bytes(90)),
    "it is a model of TensorFlow Lite": lambda p: p.write_bytes(bytes(4) + b"TFL3" + bytes(90)),
    "it is JSON": lambda p: p.write_text('{"nodes": []}'),
    "it is a web page": lambda p: p.write_text("<!DOCTYPE html><html></html>"),
    "it is a picture": lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50)),
    "it is empty": lambda p: p.touch(),
    "no weights of an nn.LSTM": lambda p: save_file({"w": np.ones(2)}, p),
}


@pytest.mark.parametrize("words", MAKE)
def test_info_says_what_a_file_is(words, tmp_path, capsys):
    path = tmp_path / "x.bin"
    MAKE[words](path)
    assert main(["info", str(path)]) == 2
    err = capsys.readouterr().err
    assert words.removeprefix("it is ") in err
    assert err.count("\n") == 1
    assert not RAN


@pytest.mark.parametrize("words", ["PyTorch", "Keras", "ONNX", "pickle", "HDF5", "NumPy"])
def test_what_has_arrays_is_told_the_way_in(words, tmp_path):
    path = tmp_path / "x"
    next(make for said, make in MAKE.items() if words in said)(path)
    with pytest.raises(ModelFileError, match=r"lstm\.(Model\.of|from_torch|from_onnx)"):
        Model.load(path)


def test_the_way_in_that_is_told_works(tmp_path):
    values = Model.create(RNN(2, 3), 1, seed=4).values()
    Model.of(RNN(2, 3), 1, values).save(tmp_path / "m")
    np.testing.assert_array_equal(
        Model.load(tmp_path / "m").values()["layer1.W_h"], values["layer1.W_h"]
    )


ALMOST = {
    "cut": ONNX[:-1],
    "without a graph": b"\x08\x08" + _field(2, b"pytorch"),
    "without a version": _field(2, b"pytorch") + GRAPH,
    "a field that ONNX has not": ONNX + _field(9, b"?"),
    "a field of another kind": ONNX + b"\x0d\0\0\0\0",
    "a length of eleven bytes": b"\x08" + b"\xff" * 11,
}


@pytest.mark.parametrize("name", ALMOST)
def test_what_is_nearly_onnx_is_not_called_that(name, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(ALMOST[name])
    with pytest.raises(ModelFileError, match="no sound safetensors file"):
        Model.load(path)


def test_a_cut_model_of_ours_is_no_pickle(tmp_path):
    """The length of its header may begin like a pickle: 0x80, then the protocol."""
    header = json.dumps({"W": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    path = tmp_path / "m"
    path.write_bytes((0x280).to_bytes(8, "little") + header.ljust(0x280).encode())
    with pytest.raises(ModelFileError, match="no sound safetensors file"):
        Model.load(path)
