"""What a file is that is none of ours: told by its first bytes or its names, and never by loading.

Nothing is unpickled, and no part of a file decides what code runs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_TAKE = "read its arrays there, and give them to lstm.Model.of(cell, output_size, values)"
_OF_TORCH = (
    "one line of torch makes a file of its state dict that lstm.from_torch reads: "
    "safetensors.torch.save_file(torch.load('net.pt', weights_only=True), 'net.safetensors')"
)
_ANOTHER = "give a file that lstm wrote"

_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as older Keras writes", _TAKE),
    (b"\x93NUMPY", "an array of NumPy (.npy)", "give it to lstm.Model.of with the other arrays"),
    (b"GGUF", "a GGUF file of llama.cpp", _ANOTHER),
    (b"%PDF", "a PDF", _ANOTHER),
    (b"\x89PNG", "a picture", _ANOTHER),
    (b"<svg", "a picture", _ANOTHER),
    (b"<?xml", "an XML file", _ANOTHER),
    (b"<!DOCTYPE html", "a web page", _ANOTHER),
)
_PICKLE = "a pickle, which can run any code and is never loaded here"
_ONNX_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}  # of ModelProto, in onnx.proto
_ONNX_GRAPH = 7


def what_it_is(path: Path) -> str:
    """What a file seems to be and what to do with it, or "" for one that nothing is known of.

    Raises OSError.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "it is empty"
    if start[8:9] == b"{":
        return ""  # a safetensors file, whose reader says what is wrong with it
    for sign, name, advice in _STARTS:
        if start.startswith(sign):
            return f"it is {name}; {advice}"
    if start[4:8] == b"TFL3":
        return f"it is a model of TensorFlow Lite; {_TAKE}"
    if start.startswith(b"PK"):
        return _archive(path)
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return f"it is {_PICKLE}; of an old checkpoint of PyTorch, {_OF_TORCH}"
    if is_onnx(path):
        return "it is an ONNX model; lstm.from_onnx reads its LSTM, GRU and RNN nodes"
    if start.lstrip()[:1] in (b"{", b"["):
        return f"it is JSON; {_ANOTHER} (a graph that mg.save wrote is read by mg.load)"
    return ""


def what_is_wrong(path: Path, error: Exception) -> str:
    """Why a file cannot be read that should be safetensors: what it is instead, or what the reader
    said, in one line and not for ever."""
    try:
        said = " ".join(str(error).split())[:200]
        return what_it_is(path) or f"it is no sound safetensors file ({said})"
    except OSError as problem:
        return problem.strerror or str(problem)


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "it is a damaged zip archive"
    if any(name.endswith("data.pkl") for name in names):
        where = f"it is a checkpoint of PyTorch, {_PICKLE}"
        return f"{where}; {_OF_TORCH}"
    if "model.weights.h5" in names:
        return f"it is a model of Keras; {_TAKE}"
    if names and all(name.endswith(".npy") for name in names):
        return "it is arrays of NumPy (.npz); give them to lstm.Model.of(cell, output_size, values)"
    return f"it is a zip archive; {_ANOTHER}"


def is_onnx(path: Path) -> bool:
    """Whether a file is, from its start to its end, the fields of an ONNX ModelProto."""
    size = path.stat().st_size
    numbers = list(_fields(path, size))
    return bool(numbers) and numbers[0] == 1 and numbers[-1] != 0 and _ONNX_GRAPH in numbers


def _fields(path: Path, size: int) -> Iterator[int]:
    """The numbers of the fields of a protocol buffer; 0, and the end, where it is none of ONNX."""
    with path.open("rb") as file:
        while file.tell() < size:
            key, value = _varint(file), _varint(file)
            field, kind = key >> 3, key & 7
            length = value if kind == 2 else 0
            if min(key, value) < 0 or field not in _ONNX_FIELDS or kind not in (0, 2):
                field = 0
            if file.tell() + length > size:
                field = 0
            yield field
            if not field:
                return
            file.seek(length, 1)


def _varint(file: BinaryIO) -> int:
    """The number that the next bytes spell, seven bits each; -1 where they spell none."""
    number = 0
    for k in range(10):
        byte = file.read(1)
        if not byte:
            return -1
        number |= (byte[0] & 0x7F) << 7 * k
        if byte[0] < 0x80:
            return number
    return -1
