"""Random numbers: uniform ones as a function of a key, and keys from seeds and from other keys.

A key is two uint64 numbers. Nothing here has a state: the same key gives the same numbers, in every
process and on every backend, and an equal expression of it is the same node, so it is drawn once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr, const
from minigrad.graph.node import Attr, Expr, Op, make, register
from minigrad.ops.core import SHAPE, astype, broadcast_to, explaining
from minigrad.ops.shape import concat
from minigrad.types import (
    FLOAT32,
    FLOAT64,
    UINT64,
    Array,
    Shape,
    TensorType,
    as_dtype,
    as_shape,
    broadcast_shapes,
    require_integers,
)

# --- keys --------------------------------------------------------------------------------------


def key(seed: Any) -> Expr:
    """The key of a seed: a whole number of 0 … 2⁶⁴ − 1, or an integer expression () of one.

    Returns uint64 (2,): the seed, which `fold_in` leaves as it is, and 0. So no key that comes of
    one seed comes of another. Raises DTypeError or ShapeError for what is no whole number.

    >>> key(7).eval()
    array([7, 0], dtype=uint64)
    """
    word = _word(seed, "a seed")
    if word.shape:
        raise ShapeError(f"a seed is one number, not a tensor of shape {word.shape}")
    return concat([broadcast_to(word, (1,)), const([0], UINT64)])


def fold_in(key: Any, number: Any) -> Expr:
    """Another key, made of a key and a number: of a step, a layer, a sample.

    key: uint64 (..., 2). number: whole numbers of 0 … 2⁶⁴ − 1, or an integer expression whose shape
    broadcasts with the keys'; negative ones count modulo 2⁶⁴. Returns uint64 (..., 2).

    Different numbers make different keys of one key, without exception: the second word w becomes
    mix(w + (number + 1) · 0x9E3779B97F4A7C15), where mix is the bijection of Steele, Lea & Flood,
    "Fast splittable pseudorandom number generators" (2014), as in SplitMix64. Keys that were made
    in several turns (a step's, then a layer's) agree with a probability of 2⁻⁶⁴ a pair.
    Raises DTypeError or ShapeError for what is no key or no whole number.

    >>> [fold_in(key(7), n).eval().tolist() for n in (0, 1)]
    [[7, 16294208416658607535], [7, 7960286522194355700]]
    >>> fold_in(key(7), as_expr([0, 1, 2])).shape
    (3, 2)
    """
    with explaining("fold_in", key, number):
        key = _as_key(key)
        word = _word(number, "a number that a key is made of")
        rows = broadcast_shapes(key.shape[:-1], word.shape)
    return make(FOLD_IN, (broadcast_to(key, (*rows, 2)), broadcast_to(word, rows)))


def _word(number: Any, what: str) -> Expr:
    """A whole number as uint64."""
    if isinstance(number, int) and not isinstance(number, bool):
        if not 0 <= number < 1 << 64:
            raise DTypeError(f"{what} is at least 0 and less than 2**64, not {number}")
        return const(number, UINT64)
    word = as_expr(number)
    if word.dtype.kind not in "iu":
        raise DTypeError(f"{what} is a whole number, not {number!r:.60}")
    return astype(word, UINT64)


def _as_key(key: Any) -> Expr:
    expr = as_expr(key)
    _check_key(expr.type)
    return expr


def _check_key(key: TensorType) -> None:
    if key.dtype != UINT64 or key.shape[-1:] != (2,):
        kind = DTypeError if key.dtype != UINT64 else ShapeError
        raise kind(
            f"a key is two uint64 numbers, not {key!r}: minigrad.key(seed) makes one of a seed, "
            "and minigrad.fold_in(key, number) others of it"
        )


def _fold_in_type(key: TensorType, number: TensorType) -> TensorType:
    _check_key(key)
    if number.dtype != UINT64 or number.shape != key.shape[:-1]:
        raise ShapeError(f"keys {key!r} take one uint64 number each, not {number!r}")
    return key


_STEP = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = [(np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
           (np.uint64(27), np.uint64(0x94D049BB133111EB))]  # fmt: skip
_LAST = np.uint64(31)


def _fold_in(key: Array, number: Array) -> Array:
    folded = key.copy()
    z = folded[..., 1:]  # a slice: NumPy warns where the product of two scalars wraps around
    z += (number[..., None] + np.uint64(1)) * _STEP
    for shift, factor in _ROUNDS:
        z ^= z >> shift
        z *= factor
    z ^= z >> _LAST
    return folded


FOLD_IN = register(Op("fold_in", _fold_in_type, _fold_in, no_gradient=True, stacks=True))

# --- uniform numbers ---------------------------------------------------------------------------


def uniform(key: Any, shape: int | Iterable[int], dtype: npt.DTypeLike = FLOAT32) -> Expr:
    """Numbers of [0, 1), equally likely: a function of the key alone, without derivative.

    key: uint64 (2,), from `key` or `fold_in`; keys (..., 2) give (..., *shape), numbers of each.
    shape: of one key's numbers. dtype: float32 or float64.

    The bits are those of Philox 4×64 with 10 rounds (Salmon et al., "Parallel random numbers: as
    easy as 1, 2, 3", 2011) for that key, its counter from 1 on, as in `np.random.Philox(key=key)`.
    Elements take them in row-major order: float64 a 64-bit word w each, (w >> 11) · 2⁻⁵³; float32
    half a word h, the lower half first, (h >> 8) · 2⁻²⁴. So they are multiples of 2⁻⁵³ or 2⁻²⁴, the
    same everywhere. Raises DTypeError or ShapeError for what is no key, shape or such dtype.

    >>> uniform(key(7), 3).eval()
    array([0.16372651, 0.8720734 , 0.97226334], dtype=float32)
    >>> keep = uniform(fold_in(key(7), 1), (2, 3)) < 0.8  # the mask of a dropout of 0.2
    """
    with explaining("uniform", key):
        key = _as_key(key)
        shape = (*key.shape[:-1], *as_shape(shape))
        return make(UNIFORM, (key,), (shape, as_dtype(dtype)))


def _uniform_type(key: TensorType, shape: Shape, dtype: np.dtype[Any]) -> TensorType:
    _check_key(key)
    require_integers(shape, "the shape")
    if shape[: key.ndim - 1] != key.shape[:-1]:
        raise ShapeError(f"the numbers of keys {key!r} cannot have the shape {shape}")
    # Exactly ours: text is equal to a dtype, and so is one that is marked for the other byte order.
    if not isinstance(dtype, np.dtype) or dtype not in (FLOAT32, FLOAT64):
        raise DTypeError(f"uniform numbers are float32 or float64, not {dtype!r:.60}")
    return TensorType(shape, dtype)


class _Bits(threading.local):
    """NumPy's generator, keyed anew for each call: making one costs 30 µs, keying it 2."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(0)

    def words(self, key: Array, count: int) -> Array:
        """The first 64-bit words of a key's stream."""
        self.generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.zeros(4, UINT64), "key": key},
            "buffer": np.zeros(4, UINT64),
            "buffer_pos": 4,  # nothing is left in the buffer: the next word begins with a new block
            "has_uint32": 0,
            "uinteger": 0,
        }
        return self.generator.random_raw(count)


_BITS = _Bits()


def _uniform(key: Array, shape: Shape, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    values = np.empty(shape, dtype) if out is None else out
    for row in np.ndindex(key.shape[:-1] if values.size else (0,)):
        place = values[(*row, ...)]
        bits = (_halves if dtype == FLOAT32 else _wholes)(key[row], place.size)
        scale = dtype.type(2.0**-24 if dtype == FLOAT32 else 2.0**-53)
        np.multiply(bits.reshape(place.shape), scale, out=place, dtype=dtype)
    return values


# Both give signed integers, which processors turn into floats faster than unsigned ones.


def _wholes(key: Array, count: int) -> Array:
    words = _BITS.words(key, count)
    words >>= np.uint64(11)
    return words.view(np.int64)


def _halves(key: Array, count: int) -> Array:
    words = _BITS.words(key, (count + 1) // 2)
    halves = words.view(np.uint32)
    if sys.byteorder == "big":
        halves = halves.reshape(-1, 2)[:, ::-1].ravel()
    halves >>= np.uint32(8)
    return halves.view(np.int32)[:count]


UNIFORM = register(
    Op(
        "uniform",
        _uniform_type,
        _uniform,
        no_gradient=True,
        attrs=(SHAPE, Attr("dtype")),
        stacks=True,
        out=True,
        checks=True,
    )
)
