"""Philox 4×64 with 10 rounds, and SplitMix64, in Python's own integers: what random ops must equal.

Written from Salmon et al. (2011), section 4.3, and from Steele, Lea & Flood (2014).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

WORD = (1 << 64) - 1


def block(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Four words of a counter of four words, under a key of two."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(right >> 64) ^ c[1] ^ k0, right & WORD, (left >> 64) ^ c[3] ^ k1, left & WORD]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & WORD, (k1 + 0xBB67AE8584CAA73B) & WORD
    return c


def words(key: Sequence[int]) -> Iterator[int]:
    """The stream of a key: the blocks of the counters 1, 2, 3 …"""
    for n in count(1):
        yield from block([n & WORD, n >> 64, 0, 0], key)


def wholes(key: Sequence[int], n: int) -> list[float]:
    """Numbers of 53 bits, one a word."""
    return [(w >> 11) / 2**53 for w in islice(words(key), n)]


def halves(key: Sequence[int], n: int) -> list[float]:
    """Numbers of 24 bits, two a word, the lower half first."""
    parts = (part for w in words(key) for part in (w & 0xFFFFFFFF, w >> 32))
    return [(part >> 8) / 2**24 for part in islice(parts, n)]


def fold_in(key: Sequence[int], number: int) -> list[int]:
    """A key of a key and a number: the seed's word stays, the other is mixed."""
    z = (key[1] + (number + 1) * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return [key[0], z ^ (z >> 31)]
