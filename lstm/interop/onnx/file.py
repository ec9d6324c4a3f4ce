"""What an ONNX file holds: its model, and tensors as arrays. Nothing in a file is taken on trust:
sizes are compared with the bytes that are there before any array is made, and tensors that lie in
files of their own are read from the model's folder alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm.errors import ConfigError, MissingPackageError, ModelFileError
from lstm.files import path_given
from lstm.interop.gates import Array
from lstm.store.foreign import what_it_is

LARGEST = 2**31 - 1  # bytes of one protocol buffer
_AXES = 8
_FIELDS = {  # by number of a dtype in onnx.proto: the dtype, and the field of its numbers
    1: ("float32", "float_data"),
    6: ("int32", "int32_data"),
    7: ("int64", "int64_data"),
    9: ("bool", "int32_data"),
    10: ("float16", "int32_data"),
    11: ("float64", "double_data"),
}


class Opened(NamedTuple):
    """A model, and where its further files may lie."""

    proto: Any
    """onnx.ModelProto"""
    folder: Path | None


def onnx_module() -> Any:
    """The package. Raises MissingPackageError, which says how it is installed."""
    try:
        import onnx
    except ImportError:
        raise MissingPackageError(
            "an ONNX model is read and written by the package onnx, which is not installed: pip "
            "install 'minigrad-lstm[onnx]'",
            name="onnx",
        ) from None
    return onnx


@contextmanager
def opened_onnx(source: Any) -> Iterator[Opened]:
    """The model of a path or of an onnx.ModelProto. Raises ConfigError for what is neither, and
    ModelFileError, with the path, for whatever is wrong with a file, within the block too."""
    onnx = onnx_module()
    if isinstance(source, onnx.ModelProto):
        yield Opened(_checked(source), None)
        return
    if not isinstance(source, (str, Path)):
        raise ConfigError(
            "from_onnx takes the path of an .onnx file, or an onnx.ModelProto, not an object of "
            f"the class {type(source).__name__}"
        )
    path = path_given(source)
    try:
        yield Opened(_proto_in(path, onnx.ModelProto), path.parent)
        return
    except OSError as error:
        reason = error.strerror or str(error)
    except ConfigError as error:
        reason = str(error)
    raise ModelFileError(f"cannot read {path!s:.200}: {reason}") from None


def _proto_in(path: Path, kind: Any) -> Any:
    if path.exists() and not path.is_file():
        raise ConfigError("it is no regular file")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except ValueError:  # half a character, or a NUL
        raise ConfigError("no file can be called so") from None
    if len(data) > LARGEST:
        raise ConfigError(
            "it is of 2 GiB or more, and no ONNX file is: large tensors lie beside it"
        )
    try:
        return _checked(kind.FromString(data))
    except ConfigError as error:
        reason = str(error)
    except Exception:  # protobuf's own class of error, which need not be importable
        reason = "it is no sound ONNX file"
    said = what_it_is(path)
    if "an ONNX model" in said:
        said = "it is an ONNX model, but a damaged one"
    raise ConfigError(said or reason) from None


def _checked(proto: Any) -> Any:
    """The model. Raises ConfigError without a graph, and for names that are no text."""
    if not proto.ir_version or not proto.HasField("graph"):
        raise ConfigError("it is no ONNX model: it has no graph")
    if not all(isinstance(name, str) for name in _names(proto.graph)):
        raise ConfigError("a name in it is no UTF-8")
    return proto


def _names(graph: Any) -> Iterator[Any]:
    """All that is text in a graph, which protobuf hands out as bytes where it is no UTF-8."""
    for value in (*graph.input, *graph.output):
        yield value.name
    tensors = list(graph.initializer)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
        tensors += [attribute.t for attribute in node.attribute if attribute.type == 4]
    for tensor in tensors:
        yield tensor.name
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))


def array_of(tensor: Any, folder: Path | None) -> Array:
    """A TensorProto as an array, read-only where it can be. Raises ConfigError for a dtype that no
    weight has, for sizes that its bytes do not have, and for data outside of the folder."""
    name = f"tensor {tensor.name!r:.60}"
    dims = tuple(tensor.dims)
    if len(dims) > _AXES or any(not 0 <= n < 2**40 for n in dims):
        raise ConfigError(f"{name} has a shape that no tensor can have: {dims!s:.80}")
    if tensor.data_type not in _FIELDS:
        raise ConfigError(
            f"{name} is of the ONNX dtype number {tensor.data_type}; float32, float64, float16, "
            "int32, int64 and bool are read"
        )
    dtype, field = _FIELDS[tensor.data_type]
    if tensor.data_location == 1:  # EXTERNAL
        data = _external(tensor, folder, name)
    elif tensor.HasField("raw_data"):
        data = bytes(tensor.raw_data)
    else:
        return _of_field(getattr(tensor, field), dtype, dims, name)
    array = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")) if _whole(data, dtype) else None
    if array is None or array.size != prod(dims):
        raise ConfigError(f"{name} is {dims} of {dtype}, and has {len(data):,} bytes")
    return array.astype(dtype, copy=False).reshape(dims)


def _whole(data: bytes, dtype: str) -> bool:
    return len(data) % np.dtype(dtype).itemsize == 0


def _of_field(numbers: Any, dtype: str, dims: tuple[int, ...], name: str) -> Array:
    if len(numbers) != prod(dims):
        raise ConfigError(f"{name} is {dims} of {dtype}, and has {len(numbers):,} numbers")
    if dtype == "float16":  # as bits
        return np.array(numbers, np.int64).astype(np.uint16).view(dtype).reshape(dims)
    return np.array(numbers, dtype).reshape(dims)


def _external(tensor: Any, folder: Path | None, name: str) -> bytes:
    """The bytes that lie in another file. Raises ConfigError for one outside of the folder."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    where = said.get("location", "")
    if folder is None:
        raise ConfigError(f"{name} lies in another file, {where!r:.60}: give the path of the model")
    try:
        offset, length = int(said.get("offset", "0")), int(said.get("length", "-1"))
        root = folder.resolve()
        path = (root / where).resolve()
        inside = path.is_relative_to(root) and not Path(where).is_absolute() and path != root
        if not where or not inside or offset < 0:
            raise ConfigError(
                f"{name} is said to lie in {where!r:.80} from byte {offset}; only files in the "
                "model's own folder are read"
            )
        size = path.stat().st_size if path.is_file() else -1
        length = size - offset if length < 0 else length
        if not 0 <= length <= size - offset:
            what = f"has {size:,} bytes" if size >= 0 else "is not there"
            raise ConfigError(f"{name} lies in {where!r:.80}, which {what}")
        with path.open("rb") as file:
            file.seek(offset)
            data: bytes = file.read(length)
            return data
    except (ValueError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name} lies in another file, and where cannot be read") from None
