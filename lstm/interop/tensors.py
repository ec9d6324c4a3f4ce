"""Tensors by name, of a mapping or of a .safetensors file, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lstm.errors import ConfigError, ModelFileError
from lstm.interop.gates import Array
from lstm.store.reading import MalformedError, opened

_DTYPES = {"F16", "F32", "F64"}


@contextmanager
def named_tensors(source: Any) -> Iterator[Mapping[str, Array]]:
    """The tensors of a mapping of names to arrays (tensors of torch, too), or of a file.

    Raises ConfigError for what is neither, and ModelFileError, with the path, for whatever is wrong
    with a file, within the block too; a pickle is never opened.
    """
    if isinstance(source, (str, Path)):
        with opened(source, ModelFileError, "cannot read") as file:
            yield _OfFile(file)
        return
    if not isinstance(source, Mapping):
        way = "; give its state_dict()" if hasattr(source, "state_dict") else ""
        raise ConfigError(
            "a state dict is a mapping of names to arrays, or the path of a .safetensors file, "
            f"not of the class {type(source).__name__}{way}"
        )
    yield _Given(source)


class _Given(Mapping[str, Array]):
    def __init__(self, source: Mapping[str, Any]) -> None:
        self.source = source

    def __getitem__(self, name: str) -> Array:
        return float_array(self.source[name], name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.source if isinstance(name, str))

    def __len__(self) -> int:
        return len(list(iter(self)))


class _OfFile(Mapping[str, Array]):
    def __init__(self, file: Any) -> None:
        self.file = file

    def __getitem__(self, name: str) -> Array:
        dtype = self.file.get_slice(name).get_dtype()
        if dtype not in _DTYPES:
            raise MalformedError(
                f"tensor {name!r:.60} is of dtype {dtype:.20}; write it as float32, with "
                "{name: tensor.float() for name, tensor in state_dict.items()}"
            )
        return float_array(self.file.get_tensor(name), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.file.keys())

    def __len__(self) -> int:
        return len(self.file.keys())


def float_array(value: Any, name: str) -> Array:
    """A tensor as an array of float32 or float64; float16 becomes float32. Raises ConfigError for
    what is no tensor of floats.

    >>> float_array([1.0, 2.0], "bias")
    array([1., 2.])
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(
            f"tensor {name!r:.60} is no array ({said:.160}); of a tensor of torch, give "
            "tensor.detach().cpu().float()"
        ) from None
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ConfigError(f"tensor {name!r:.60} is of {array.dtype}, and weights are floats")
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)
