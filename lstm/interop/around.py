"""What stands before and after the recurrent layers of a net of torch: an Embedding, a Linear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lstm.errors import ConfigError
from lstm.interop.assembled import Net
from lstm.interop.gates import Array
from lstm.params import join, listed


class Asked(NamedTuple):
    """What is said of it."""

    readout: str | None
    embedding: str | None
    whole: bool
    """Whether the net is all that is there, so that each tensor has its part in it."""


def with_ends(net: Net, tensors: Mapping[str, Array], others: set[str], asked: Asked) -> Net:
    """The net with its Linear and its Embedding, out of the tensors of other names.

    Raises ConfigError for what is not there or does not fit, and where a whole net would leave
    tensors over.
    """
    reads, gives = net.cell.input_size, net.cell.hidden_size * len(net.layers[-1])
    readout, embedding = asked.readout, asked.embedding
    if asked.whole:
        maps = {name.removesuffix("weight").removesuffix(".") for name in others if _is_map(name)}
        linear = {name for name in maps if join(name, "bias") in others}
        readout = readout or _only(tensors, linear, gives, "readout")
        embedding = embedding or _only(tensors, maps - linear, reads, "embedding")
    used: set[str] = set()
    if embedding is not None:
        E = _matrix(tensors, embedding, reads, used)
        net = net._replace(embedding=E)
    if readout is not None:
        W = _matrix(tensors, readout, gives, used)
        b = np.zeros(len(W), W.dtype)
        if (bias := join(readout, "bias")) in tensors:
            b = tensors[bias]
            used.add(bias)
        if b.shape != W.shape[:1]:
            raise ConfigError(f"{listed({bias})} is {b.shape}, and not {W.shape[:1]}")
        net = net._replace(readout=(W.T, b))
    if asked.whole and others - used:
        raise ConfigError(
            f"beside what fits together there are {listed(others - used)}: with prefix= only the "
            "recurrent module is taken, and what readout= and embedding= name"
        )
    return net


def _is_map(name: str) -> bool:
    return name == "weight" or name.endswith(".weight")


def _only(tensors: Mapping[str, Array], names: set[str], width: int, option: str) -> str | None:
    """The one map of so many units among those of the names."""
    fit = {name for name in names if tensors[join(name, "weight")].shape[1:] == (width,)}
    if len(fit) > 1:
        raise ConfigError(f"{listed(fit)} all fit: give one as {option}=")
    return next(iter(fit), None)


def _matrix(tensors: Mapping[str, Array], name: str, width: int, used: set[str]) -> Array:
    full = join(name, "weight")
    if full not in tensors:
        raise ConfigError(f"there is no {listed({full})}; there are {listed(set(tensors))}")
    if tensors[full].ndim != 2 or tensors[full].shape[1] != width:
        raise ConfigError(f"{listed({full})} is {tensors[full].shape}, and not (…, {width})")
    used.add(full)
    return tensors[full]
