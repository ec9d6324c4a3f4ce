"""Random numbers in JAX, bit for bit those of `minigrad.ops.random`: Philox 4×64, and SplitMix64.

Words are uint64, so all of this needs 64-bit numbers switched on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.compile.backends.jax.libraries import jnp
from minigrad.types import FLOAT32, UINT64, Shape

_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_FACTORS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_WEYL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10


def fold_in(key: Any, number: Any) -> Any:
    """Keys (..., 2) made of keys and numbers (...)."""
    z = key[..., 1] + (number + np.uint64(1)) * _WEYL[0]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return jnp.stack([key[..., 0], z ^ (z >> np.uint64(31))], -1)


def uniform(key: Any, shape: Shape, dtype: np.dtype[Any]) -> Any:
    """Numbers of [0, 1) for keys (..., 2), of a shape that begins with that of the keys."""
    rows = key.shape[:-1]
    count = math.prod(shape[len(rows) :])
    if dtype == FLOAT32:
        words = _words(key, (count + 1) // 2)
        halves = jnp.stack([words & _LOW, words >> _HALF], -1)
        halves = halves.reshape(*rows, 2 * words.shape[-1])
        bits = (halves[..., :count] >> np.uint64(8)).astype(np.int32)
    else:
        bits = (_words(key, count) >> np.uint64(11)).astype(np.int64)
    scale = dtype.type(2.0**-24 if dtype == FLOAT32 else 2.0**-53)
    return bits.reshape(shape).astype(dtype) * scale


def _words(key: Any, count: int) -> Any:
    """The first words of each key's stream, (..., count): the blocks of the counters 1, 2, 3 …"""
    blocks = -(-count // 4)
    counter = jnp.arange(1, blocks + 1, dtype=UINT64)
    first = jnp.broadcast_to(counter, (*key.shape[:-1], blocks))
    zero = jnp.zeros_like(first)
    c = [first, zero, zero, zero]
    k = [key[..., :1], key[..., 1:]]
    for _ in range(_ROUNDS):
        (left_high, left), (right_high, right) = map(_product, _FACTORS, (c[0], c[2]))
        c = [right_high ^ c[1] ^ k[0], right, left_high ^ c[3] ^ k[1], left]
        k = [k[0] + _WEYL[0], k[1] + _WEYL[1]]
    return jnp.stack(c, -1).reshape(*key.shape[:-1], 4 * blocks)[..., :count]


def _product(factor: int, x: Any) -> tuple[Any, Any]:
    """The upper and the lower word of factor · x."""
    low, high = np.uint64(factor & 0xFFFFFFFF), np.uint64(factor >> 32)
    x_low, x_high = x & _LOW, x >> _HALF
    middle = high * x_low + ((low * x_low) >> _HALF)
    other = low * x_high + (middle & _LOW)
    return high * x_high + (middle >> _HALF) + (other >> _HALF), np.uint64(factor) * x
