"""Arrays as text for a page: numbers of four digits, deflated, in base64.

A number's code is a whole one that rises with it, so that extremes of codes are extremes of numbers
and a page shows exactly the digits that Python's `f"{x:.3e}"` would. What is no number has codes
beyond all.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]

DECADE = 9000
"""Codes of one power of ten: from 1.000 to 9.999."""
OTHERS: dict[str, int] = {
    "none": -5_000_003,
    "disconnected": -5_000_002,
    "zero": -5_000_001,
    "underflow": -5_000_000,
    "inf": 5_000_000,
    "nan": 5_000_001,
}
"""Of what is no number: below and above the codes of all numbers. "none" is a place of a map for
which there is nothing to tell."""
_LEVEL = 7  # of deflating; 9 saves 5 % of the bytes and takes five times as long
_TIE = 1e-9
"""As near to the middle between two codes as this, a float's rounding decides: thousands of units
in the last place of numbers below 10,000."""


def codes_of(numbers: Any, kinds: Any = "normal") -> Codes:
    """The codes of numbers that are not negative; kinds: of each, where it is more than it says.

    >>> codes_of([1.0, 9.9996, 0.02345, 0.0, np.inf]).tolist()
    [0, 9000, -16655, -5000001, 5000000]
    """
    sizes = np.asarray(numbers, np.float64)
    kinds = np.broadcast_to(np.asarray(kinds), sizes.shape)
    sound = np.isfinite(sizes) & (sizes > 0.0)
    some = np.where(sound, sizes, 1.0)
    exponents = np.floor(np.log10(some))
    # In two steps, as no float holds 10 to the power of 326.
    half = np.floor(exponents / 2)
    scaled = some * 10.0 ** (3 - half) / 10.0 ** (exponents - half)
    codes = (exponents * DECADE + np.round(scaled) - 1000).astype(np.int32)
    # What is between two codes, or seems so, is rounded as its exact value is.
    ties = np.abs(scaled % 1.0 - 0.5) < _TIE
    codes[ties] = [_exact_code(float(x)) for x in some[ties]]
    beyond = {"zero": sizes == 0.0, "inf": np.isposinf(sizes), "nan": np.isnan(sizes)}
    for kind, places in beyond.items():
        codes[places] = OTHERS[kind]
    for kind, code in OTHERS.items():
        codes[kinds == kind] = code
    return codes


def _exact_code(number: float) -> int:
    digits, exponent = f"{number:.3e}".split("e")
    return int(exponent) * DECADE + int(digits.replace(".", "")) - 1000


def decades_of(codes: Codes) -> NDArray[np.float64]:
    """The powers of ten that the numbers of codes are; of what is none, NaN.

    >>> decades_of(codes_of([1.0, 0.01, 0.0])).tolist()
    [0.0, -2.0, nan]
    """
    exponents, digits = np.divmod(codes, DECADE)
    is_number = (codes > OTHERS["underflow"]) & (codes < OTHERS["inf"])
    return np.where(is_number, exponents + np.log10(1.0 + digits / 1000), np.nan)


class Arrays:
    """Arrays of codes (..., n), as they come: differences along the last axis, byte by byte."""

    def __init__(self) -> None:
        self.planes: list[bytes] = []

    def place(self, codes: Codes) -> dict[str, Any]:
        """Take an array in; where it is, as JSON.

        >>> arrays = Arrays()
        >>> arrays.place(codes_of(np.ones((2, 3)))), arrays.place(codes_of([1.0]))
        ({'shape': [2, 3], 'at': 0}, {'shape': [1], 'at': 6})
        """
        at = sum(map(len, self.planes)) // 4
        steps = np.diff(codes, axis=-1, prepend=np.int32(0)).astype("<i4")
        self.planes.append(steps.reshape(-1, 1).view(np.uint8).T.tobytes())
        return {"shape": [*codes.shape], "at": at}

    @property
    def packed(self) -> str:
        """All of them, deflated, in base64."""
        return b64encode(zlib.compress(b"".join(self.planes), _LEVEL)).decode("ascii")


def runs_of(steps: int, most: int) -> list[tuple[int, int]]:
    """The first and the last step of at most so many runs that hold all steps, from 1.

    >>> runs_of(5, 2), runs_of(2, 9)
    ([(1, 2), (3, 5)], [(1, 1), (2, 2)])
    """
    edges = np.linspace(0, steps, min(steps, most) + 1).round().astype(int).tolist()
    return [(a + 1, b) for a, b in pairwise(edges)]


def extremes(codes: Codes, runs: Sequence[tuple[int, int]]) -> tuple[Codes, Codes]:
    """The least and the largest of each run of columns: (R, T) becomes (R, runs), twice."""
    starts = [a - 1 for a, _ in runs]
    low: Codes = np.minimum.reduceat(codes, starts, axis=1)
    high: Codes = np.maximum.reduceat(codes, starts, axis=1)
    return low, high
