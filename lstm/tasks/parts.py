"""The parts of data of one's own: what is given for training, validation and test, and which of all
the sequences are in each."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from lstm.errors import ConfigError, check_count
from lstm.tasks.sequences import Array, sequences_of
from lstm.tasks.targets import Targets, targets_of


class Part(NamedTuple):
    """What was given for a part of the data."""

    xs: list[Array]
    targets: Targets


def read_parts(data: dict[str, tuple[Any, ...]], asked: dict[str, Any]) -> dict[str, Part]:
    """The sequences and the targets of each part, which are of one kind."""
    read: dict[str, Part] = {}
    for part, items in data.items():
        try:
            if len(items) not in (2, 3):
                raise ConfigError(
                    f"(xs, ys) or (xs, ys, lengths) is needed, not {len(items)} items"
                )
            xs = sequences_of(items[0], *items[2:])
            cut = len(items) == 3 and items[2] is not None
            read[part] = Part(xs, targets_of(items[1], xs, cut=cut, **asked))
            _require_same(read["training"], read[part])
        except ConfigError as error:
            raise ConfigError(str(error) if part == "training" else f"{part}: {error}") from None
        asked = asked | {"readout": "every" if read[part].targets.every else "last"}
    return read


def _require_same(first: Part, other: Part) -> None:
    """Raise ConfigError where held-out data are of another kind than those for training."""
    kinds = [
        (
            "tokens" if one.xs[0].ndim == 1 else f"{one.xs[0].shape[1]} numbers a step",
            "labels" if one.targets.labels else f"{one.targets.outputs} numbers for a target",
        )
        for one in (first, other)
    ]
    if kinds[0] != kinds[1]:
        said = [" and ".join(kind) for kind in kinds]
        raise ConfigError(f"these are {said[1]}, and those for training {said[0]}")


def places_of(read: dict[str, Part], held: dict[str, Any], seed: int) -> dict[str, Array]:
    """Which of all the sequences are for training, for validation and for the test."""
    sizes = {name: len(part.xs) for name, part in read.items()}
    ends = np.cumsum([*sizes.values()])
    places = {p: np.arange(end - sizes[p], end) for p, end in zip(read, ends, strict=True)}
    order = np.random.default_rng(seed).permutation(places["training"])
    for part in ("test", "validation"):
        if part not in places:
            count = _count(part, held[part], len(places["training"]))
            places[part], order = np.sort(order[:count]), order[count:]
    if not len(order):
        raise ConfigError(
            f"of {len(places['training'])} sequences none is left to train on: hold out fewer, as "
            "by validation=0"
        )
    places["training"] = np.sort(order)
    return {part: places[part] for part in ("training", "validation", "test")}


def _count(part: str, asked: Any, whole: int) -> int:
    """How many sequences to hold out."""
    if asked is None or (isinstance(asked, Integral) and not isinstance(asked, bool)):
        return check_count(part, asked or 0, 0)
    if not isinstance(asked, float) or not 0 <= asked < 1:
        raise ConfigError(
            f"{part}= is a share of the sequences, 0.2, a number of them, 50, or (xs, ys), not "
            f"{asked!r:.40}"
        )
    return max(1, round(asked * whole)) if asked else 0
