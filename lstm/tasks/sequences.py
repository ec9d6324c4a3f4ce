"""Sequences as people hold them, one after the other, made into arrays as nets read them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError

Array = NDArray[Any]


def padded(sequences: Any, lengths: Any = None) -> tuple[Array, NDArray[np.int64]]:
    """Sequences, one after the other, as `Model.run` takes them: xs, time first, 0 beyond a
    sequence's end, and how long each is.

    sequences: an array (N, T, I), or a list of (T, I), each with a T of its own. Where a step is
        one number, (N, T) or a list of (T,): floats are numbers, integers tokens.
    lengths: (N,), of sequences that are padded already; what is beyond is not read.

    Raises ConfigError for what are no such sequences, and for a number that is not finite.

    >>> import lstm
    >>> xs, lengths = lstm.padded([[0.5, 1.5, 2.5], [3.5]])
    >>> xs.shape, xs[:, 1, 0].tolist(), lengths.tolist()
    ((3, 2, 1), [3.5, 0.0, 0.0], [3, 1])
    """
    rows = sequences_of(sequences, lengths)
    return side_by_side(rows, 0), np.array([len(row) for row in rows])


def sequences_of(sequences: Any, lengths: Any = None) -> list[Array]:
    """Each sequence by itself, up to its end: (T, I) of floats, or (T,) of integer tokens.

    Raises what `padded` raises.
    """
    rows = [_steps(k, row) for k, row in enumerate(rows_of("xs", sequences))]
    for k, row in enumerate(rows):
        if row.shape[1:] != rows[0].shape[1:]:
            kinds = [f"{r.shape[1]} numbers" if r.ndim == 2 else "a token" for r in (row, rows[0])]
            raise ConfigError(f"a step of xs[{k}] is {kinds[0]}, and one of xs[0] is {kinds[1]}")
    if lengths is not None:
        counts = _lengths(lengths, rows)
        rows = [row[:count] for row, count in zip(rows, counts, strict=True)]
    for k, row in enumerate(rows):
        require_finite(f"xs[{k}]", row)
    return rows


def side_by_side(rows: Sequence[Array], filler: float) -> Array:
    """Arrays (T, ...) of unequal T as one of (T, N, ...), with a filler beyond the ends."""
    longest = max(len(row) for row in rows)
    dtype = np.result_type(*{row.dtype for row in rows})
    whole = np.full((longest, len(rows), *rows[0].shape[1:]), filler, dtype)
    for k, row in enumerate(rows):
        whole[: len(row), k] = row
    return whole


def require_finite(name: str, values: Array) -> None:
    """Raise ConfigError, which says where, for a NaN or an infinity."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
        raise ConfigError(
            f"{name}{place or ''} is {values[tuple(place)]}: mend it, or leave the sequence out"
        )


def checksum(arrays: Sequence[Array]) -> str:
    """A number that other data do not have, but by chance, as text.

    >>> checksum([np.array([1, 2])]) == checksum([np.array([2, 1])])
    False
    """
    total = 0
    for array in arrays:
        total = zlib.crc32(f"{array.dtype} {array.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
    return f"{total:08x}"


def rows_of(name: str, values: Any) -> list[Any]:
    """What is there for each sequence."""
    if not isinstance(values, (list, tuple)):  # these may be ragged, which NumPy refuses
        array = array_of(values)
        if array.ndim == 0:
            raise ConfigError(
                f"{name} are an array, or a list with an entry a sequence, not {values!r:.40}"
            )
        values = list(array)
    if not values:
        raise ConfigError(f"{name} are empty: at least one sequence is needed")
    return list(values)


def array_of(row: Any) -> Array:
    """A row as an array; as one of an object where it is ragged, which NumPy refuses. Raises
    ConfigError where elements are masked."""
    if np.ma.is_masked(row):  # which NumPy's functions would take for the numbers below it
        raise ConfigError(
            "a masked array has elements that are missing: fill them, as by .filled(0), or leave "
            "the sequences out"
        )
    try:
        return np.asarray(row)
    except ValueError:
        return np.asarray(None)


def _steps(k: int, row: Any) -> Array:
    """A sequence as (T, I) of floats, or (T,) of integer tokens."""
    steps = array_of(row)
    if steps.dtype.kind not in "biuf":
        raise ConfigError(f"xs[{k}] is no sequence of numbers, nor of tokens 0, 1 …: {row!r:.40}")
    if steps.ndim not in (1, 2) or 0 in steps.shape:
        raise ConfigError(
            f"xs[{k}] must be (T, I), or (T,) where a step is one number or token, with at least "
            f"one step, not {steps.shape}"
        )
    if steps.ndim == 1 and steps.dtype.kind in "iu":
        return steps.astype(np.int64)
    floats = steps if steps.dtype == np.float32 else steps.astype(np.float64)
    return floats[:, None] if floats.ndim == 1 else floats


def _lengths(lengths: Any, rows: Sequence[Array]) -> Array:
    counts = array_of(lengths)
    if counts.shape != (len(rows),) or counts.dtype.kind not in "iu":
        raise ConfigError(
            f"lengths are {len(rows)} whole numbers, one a sequence, not {counts.dtype} of shape "
            f"{counts.shape}"
        )
    for k, (count, row) in enumerate(zip(counts, rows, strict=True)):
        if not 1 <= count <= len(row):
            raise ConfigError(f"lengths[{k}] is {count}, of a sequence of {len(row)} steps")
    return counts
