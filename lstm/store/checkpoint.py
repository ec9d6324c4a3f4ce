"""A checkpoint: what training must know to go on as if it had never stopped, in one file.

It is safetensors: numbers as tensors by dotted name, all else as plain JSON values in the header,
random streams among them. The reader takes nothing on trust, and no code is ever taken from a file.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from safetensors.numpy import save

from lstm.errors import CheckpointError
from lstm.files import write_atomically
from lstm.store.parts import as_text
from lstm.store.reading import MalformedError, json_object, opened

FORMAT = "minigrad-lstm-checkpoint"
VERSION = 1
_SUM = "crc32"
_DTYPES = {"F32", "F64", "I64", "U64", "BOOL"}
_PARTS = ("model", "task", "settings", "streams", "run")


class Checkpoint(NamedTuple):
    """What a checkpoint holds; what it means is training's to say."""

    arrays: dict[str, NDArray[Any]]
    """By dotted name: "params.W_f", "optimizer.m.W_f", "carried.h", "count", "best.W_f"."""
    about: dict[str, Any]
    """Plain values: "model", "task", "settings", "streams", "run"; each an object."""


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write it whole or not at all: the one of before stays until then.

    Raises OutputError, and what `check_plain` raises.
    """
    text = check_plain(checkpoint)
    summed = f"{_checksum(text, checkpoint.arrays):08x}"
    write_atomically(path, save(checkpoint.arrays, metadata={FORMAT: text, _SUM: summed}))


def check_plain(checkpoint: Checkpoint) -> str:
    """What a checkpoint's file says beside the numbers, as text; for asking before long work.

    Raises ConfigError for what a file cannot keep, such as an array among the settings of a task.
    """
    return as_text({"version": VERSION, **checkpoint.about})


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote. Raises CheckpointError, which says what is wrong with the
    file: it is missing, damaged, of another version, or none of ours.
    """
    with opened(path, CheckpointError, "cannot resume from") as file:
        return _read(file)


def _read(file: Any) -> Checkpoint:
    metadata = file.metadata() or {}
    about = _about(metadata)
    arrays = {}
    for name in file.keys():  # noqa: SIM118 - it is no mapping
        dtype = file.get_slice(name).get_dtype()
        if dtype not in _DTYPES:
            raise MalformedError(f"tensor {name!r:.60} is of dtype {dtype!r:.20}")
        arrays[name] = file.get_tensor(name)
    if metadata.get(_SUM) != f"{_checksum(metadata[FORMAT], arrays):08x}":
        raise MalformedError("it is damaged: its checksum is another")
    return Checkpoint(arrays, about)


def _about(metadata: Mapping[str, str]) -> dict[str, Any]:
    if FORMAT not in metadata:
        raise MalformedError("it is a safetensors file, but no checkpoint of lstm")
    about = json_object(metadata[FORMAT])
    version = about.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise MalformedError(f"format version {version!r:.40}; this is {VERSION}")
    if set(about) != set(_PARTS) or not all(isinstance(about[part], dict) for part in _PARTS):
        raise MalformedError(f"its header is not made of {', '.join(_PARTS)}")
    return about


def _checksum(text: str, arrays: Mapping[str, NDArray[Any]]) -> int:
    total = zlib.crc32(text.encode(errors="surrogatepass"))
    for name in sorted(arrays):
        value = arrays[name]
        total = zlib.crc32(f"{name} {value.dtype} {value.shape}".encode(), total)
        total = zlib.crc32(value.tobytes(), total)
    return total
