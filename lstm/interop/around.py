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
        readout, embedding = _told_by_shapes(tensors, others, asked, reads, gives)
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


def _told_by_shapes(
    tensors: Mapping[str, Array], others: set[str], asked: Asked, reads: int, gives: int
) -> tuple[str | None, str | None]:
    """The readout and the embedding, said or else told by their shapes, such that no map is over;
    what is said where there are none. Raises ConfigError where shapes leave a choice."""
    names = {name.removesuffix("weight").removesuffix(".") for name in others if _is_map(name)}
    maps = names - {asked.readout, asked.embedding}
    if not 1 <= len(maps) <= 2:
        return asked.readout, asked.embedding
    shapes = {name: tensors[join(name, "weight")].shape for name in maps}
    read = {name for name in maps if shapes[name][1:] == (gives,)}
    embed = {n for n in maps if shapes[n][1:] == (reads,) and join(n, "bias") not in others}
    wholes = [
        (readout, embedding)
        for readout in ({None, *read} if asked.readout is None else {asked.readout})
        for embedding in ({None, *embed} if asked.embedding is None else {asked.embedding})
        if maps <= {readout, embedding} and (readout is None or readout != embedding)
    ]
    before = [
        name
        for _, embedding in wholes
        for name in maps  # as a Linear before the layers, after an embedding or after none
        if shapes[name][0] == reads and (embedding in (None, name) or shapes[name][1] == reads)
    ]
    if len(wholes) > 1 or before:
        raise ConfigError(_choice(wholes, maps, bool(before)))
    return wholes[0] if wholes else (asked.readout, asked.embedding)


def _choice(wholes: list[tuple[str | None, str | None]], maps: set[str], before: bool) -> str:
    """What can be said of maps whose shapes fit several places."""
    ways = [
        ", ".join(
            f"{option}={name!r:.60}"
            for option, name in zip(("readout", "embedding"), whole, strict=True)
            if name in maps
        )
        for whole in wholes
    ]
    way = ", or prefix= alone if there is a Linear before the layers" if before else ""
    return (
        f"by shape {listed({join(name, 'weight') for name in maps})} could be more than one thing: "
        f"give {' or '.join(sorted(ways))}{way}"
    )


def _is_map(name: str) -> bool:
    return name == "weight" or name.endswith(".weight")


def _matrix(tensors: Mapping[str, Array], name: str, width: int, used: set[str]) -> Array:
    full = join(name, "weight")
    if full not in tensors:
        raise ConfigError(f"there is no {listed({full})}; there are {listed(set(tensors))}")
    if tensors[full].ndim != 2 or tensors[full].shape[1] != width:
        raise ConfigError(f"{listed({full})} is {tensors[full].shape}, and not (…, {width})")
    used.add(full)
    return tensors[full]
